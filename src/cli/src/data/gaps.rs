//! Missing values, which are NaN until they are filled in.

use crate::options::Missing;

/// Fills the gaps of each feature of a sequence, `[steps][features]`; one at the start takes the first value, one at the end
/// the last.
///
/// # Errors
/// The number of a feature without any value.
pub fn fill(values: &mut [f32], features: usize, missing: Missing) -> Result<(), usize> {
    let steps = values.len() / features;
    for feature in 0..features {
        let place = |step: usize| step * features + feature;
        let present: Vec<usize> = (0..steps)
            .filter(|&step| !values[place(step)].is_nan())
            .collect();
        let (Some(&first), Some(&last)) = (present.first(), present.last()) else {
            return Err(feature);
        };
        for step in 0..first {
            values[place(step)] = values[place(first)];
        }
        for pair in present.windows(2) {
            let (begin, end) = (pair[0], pair[1]);
            let (from, to) = (values[place(begin)], values[place(end)]);
            for step in begin + 1..end {
                let part = (step - begin) as f32 / (end - begin) as f32;
                values[place(step)] = match missing {
                    Missing::Linear => from + (to - from) * part,
                    Missing::Carry | Missing::Error => from,
                };
            }
        }
        for step in last + 1..steps {
            values[place(step)] = values[place(last)];
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAN: f32 = f32::NAN;

    #[test]
    fn gaps_are_carried_or_lie_on_a_line() {
        let values = [NAN, 1.0, 2.0, NAN, NAN, NAN, 5.0, 4.0, NAN, NAN];
        let mut carried = values;
        fill(&mut carried, 2, Missing::Carry).unwrap();
        assert_eq!(carried, [2.0, 1.0, 2.0, 1.0, 2.0, 1.0, 5.0, 4.0, 5.0, 4.0]);
        let mut linear = values;
        fill(&mut linear, 2, Missing::Linear).unwrap();
        assert_eq!(linear, [2.0, 1.0, 2.0, 2.0, 3.5, 3.0, 5.0, 4.0, 5.0, 4.0]);
    }

    #[test]
    fn a_feature_without_any_value_is_named() {
        assert_eq!(fill(&mut [1.0, NAN, 2.0, NAN], 2, Missing::Carry), Err(1));
    }
}
