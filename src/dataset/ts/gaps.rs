//! Missing values.

use super::MissingValues;
use crate::Element;

/// What stands for a missing value until something takes its place.
pub(super) fn missing<E: Element>() -> E {
    E::from_f64(f64::NAN)
}

/// The number of steps up to the last one at which any of the `series`, `[dimensions][length]`, has a value.
pub(super) fn length_without_padding<E: Element>(series: &[E], length: usize) -> usize {
    let ends = series.chunks(length).map(|series| {
        let last = series.iter().rposition(|value| value.is_finite());
        last.map_or(0, |last| last + 1)
    });
    ends.max().unwrap_or(0)
}

/// Fills the gaps of a series, the value at each step of which was taken at the time `at(step)`.
///
/// # Errors
/// The step whose value is missing for good.
pub(super) fn fill<E: Element>(
    series: &mut [E],
    rule: MissingValues,
    at: impl Fn(usize) -> f64,
) -> Result<(), usize> {
    let Some(first) = series.iter().position(|value| value.is_finite()) else {
        return Err(0);
    };
    if rule == MissingValues::Error {
        let missing = series.iter().position(|value| !value.is_finite());
        return missing.map_or(Ok(()), Err);
    }
    let start = series[first];
    series[..first].fill(start);
    let mut last = first;
    while let Some(gap) = next(series, last, |value| !value.is_finite()) {
        // The gap starts behind `last`.
        last = gap - 1;
        let Some(end) = next(series, gap, |value| value.is_finite()) else {
            let value = series[last];
            series[gap..].fill(value);
            return Ok(());
        };
        let (from, to) = (series[last], series[end]);
        for (step, value) in (gap..).zip(&mut series[gap..end]) {
            *value = match rule {
                MissingValues::Linear => between(from, to, [last, step, end].map(&at)),
                _ => from,
            };
        }
        last = end;
    }
    Ok(())
}

/// The next step from `start` on whose value is one such.
fn next<E>(series: &[E], start: usize, is_such: impl Fn(&E) -> bool) -> Option<usize> {
    Some(start + series[start..].iter().position(is_such)?)
}

/// The value at the second of three times on the line from the one at the first to the one at the third.
fn between<E: Element>(from: E, to: E, [start, time, end]: [f64; 3]) -> E {
    let weight = (time - start) / (end - start);
    // Equal times have no line between them; equal values need none.
    if from == to || !weight.is_finite() {
        return from;
    }
    E::from_f64((1.0 - weight) * from.to_f64() + weight * to.to_f64())
}
