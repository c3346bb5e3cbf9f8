//! Losses, against what their formulas give in double.

use elman_abi::loss::*;
use elman_abi::status::*;

use crate::call::{Argument, Call, Done, c};
use crate::source::Source;
use crate::world::World;

const ROWS: [usize; 8] = [1, 2, 3, 5, 4, 9, 1, 2];
const CLASSES: [usize; 8] = [1, 2, 3, 2, 5, 9, 130, 2];

/// Whether the formulas can be followed: no number so large that float cannot hold the next.
fn is_tame(values: &[f32]) -> bool {
    values.iter().all(|value| value.abs() <= 1e6)
}

fn close(found: f64, expected: f64) -> bool {
    (found - expected).abs() <= 1e-6 + 1e-4 * expected.abs()
}

fn all_close(found: &[f32], expected: impl IntoIterator<Item = f64>) -> bool {
    let mut found = found.iter();
    let close = expected.into_iter().all(|expected| {
        found
            .next()
            .is_some_and(|&found| close(f64::from(found), expected))
    });
    close && found.next().is_none()
}

/// exp(z - max z) of a row, and its sum.
fn exponentials(row: &[f32]) -> (Vec<f64>, f64) {
    let max = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let exponential = |&z: &f32| (f64::from(z) - f64::from(max)).exp();
    let values: Vec<_> = row.iter().map(exponential).collect();
    let sum = values.iter().sum();
    (values, sum)
}

/// -ln of the probability of a class.
pub fn class_loss(row: &[f32], label: usize) -> f64 {
    let (values, sum) = exponentials(row);
    sum.ln() - values[label].ln()
}

/// The part of an element in a loss, before the mean.
pub fn element_loss(kind: Elementwise, output: f32, target: f32) -> f64 {
    let (z, t) = (f64::from(output), f64::from(target));
    match kind {
        Elementwise::Squared => (z - t).powi(2),
        Elementwise::Binary => z.max(0.0) - z * t + (-z.abs()).exp().ln_1p(),
    }
}

fn element_slope(kind: Elementwise, output: f32, target: f32) -> f64 {
    let (z, t) = (f64::from(output), f64::from(target));
    match kind {
        Elementwise::Squared => 2.0 * (z - t),
        Elementwise::Binary => 1.0 / (1.0 + (-z).exp()) - t,
    }
}

/// The losses whose elements stand by themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Elementwise {
    Squared,
    Binary,
}

pub fn softmax(world: &mut World, source: &mut Source<'_>) {
    let (rows, classes) = (source.size(&ROWS), source.size(&CLASSES));
    let mut call = Call::new("elman_softmax", source);
    call.wrong(ELMAN_ERROR_ZERO_SIZE, classes == 0);
    let len = call.len(&[rows, classes]);
    let logits = source.floats(len);
    let from = call.read(&logits);
    let to = call.write(len);
    let done = call.run(&mut world.record, |p| {
        c!(elman_softmax(p.get(from), rows, classes, p.get(to)))
    });
    if let Some(done) = done
        .filter(Done::is_ok)
        .filter(|_| is_tame(&logits) && len > 0)
    {
        let found: Vec<f32> = done.values(to).unwrap_or_default();
        for (found, row) in found.chunks(classes).zip(logits.chunks(classes)) {
            let (values, sum) = exponentials(row);
            assert!(all_close(found, values.iter().map(|value| value / sum)));
        }
    }
}

/// Sequences whose losses are padded.
struct Padding {
    batch: usize,
    steps: usize,
    lengths: Vec<usize>,
}

impl Padding {
    fn draw(call: &mut Call, source: &mut Source<'_>) -> (Self, Argument<usize>) {
        let (batch, steps) = (source.size(&ROWS), source.size(&ROWS));
        call.wrong(ELMAN_ERROR_ZERO_SIZE, batch == 0 || steps == 0);
        call.len(&[batch, steps]);
        let length = |source: &mut Source<'_>| match source.below(64) {
            63 => source.pick(&[0, steps.wrapping_add(1), usize::MAX]),
            choice => 1 + choice % steps.clamp(1, 100),
        };
        let lengths: Vec<_> = (0..call.len(&[batch])).map(|_| length(source)).collect();
        let wrong = |length: &usize| *length > steps;
        call.wrong(ELMAN_ERROR_OUT_OF_RANGE, lengths.iter().any(wrong));
        let argument = call.read(&lengths);
        let padding = Self {
            batch,
            steps,
            lengths,
        };
        (padding, argument)
    }

    /// Whether a row counts.
    fn counts(&self, row: usize) -> bool {
        row % self.steps < self.lengths[row / self.steps]
    }
}

pub fn cross_entropy(world: &mut World, source: &mut Source<'_>) {
    let (padded, weighted) = (source.rarely(2), source.rarely(4));
    let mut call = Call::new(
        match (padded, weighted) {
            (true, false) => "elman_softmax_cross_entropy_padded",
            (false, false) => "elman_softmax_cross_entropy",
            (true, true) => "elman_softmax_cross_entropy_weighted_padded",
            (false, true) => "elman_softmax_cross_entropy_weighted",
        },
        source,
    );
    let (padding, lengths) = match padded {
        true => {
            let (padding, lengths) = Padding::draw(&mut call, source);
            (Some(padding), Some(lengths))
        }
        false => (None, None),
    };
    let row_sizes = match &padding {
        Some(padding) => vec![padding.batch, padding.steps],
        None => vec![source.size(&ROWS)],
    };
    let classes = source.size(&CLASSES);
    call.wrong(ELMAN_ERROR_ZERO_SIZE, classes == 0);
    let rows = call.len(&row_sizes);
    let len = call.len(&[&row_sizes[..], &[classes]].concat());
    let sound = call.is_sound();
    let counts = |row: usize| {
        padding
            .as_ref()
            .is_none_or(|padding| !sound || padding.counts(row))
    };
    let label = |row: usize, source: &mut Source<'_>| match source.below(32) {
        31 => source.pick(&[ELMAN_NO_LABEL, classes, usize::MAX - 1, ELMAN_NO_LABEL]),
        _ if !counts(row) => 1000,
        choice => choice % classes.max(1),
    };
    let labels: Vec<_> = (0..rows).map(|row| label(row, source)).collect();
    let wrong = |row: &usize| labels[*row] >= classes && labels[*row] != ELMAN_NO_LABEL;
    call.wrong(
        ELMAN_ERROR_OUT_OF_RANGE,
        (0..rows).filter(|&row| counts(row)).any(|row| wrong(&row)),
    );
    let logits = source.floats(len);
    let (from, to_label) = (call.read(&logits), call.read(&labels));
    let loss = call.write_optional(1, !source.rarely(8));
    let gradient = call.write_optional(len, !source.rarely(4));
    let weights = weighted.then(|| {
        let mut weights = source.floats(call.len(&[classes]));
        if !source.rarely(8) {
            { weights.iter_mut() }.for_each(|weight| *weight = weight.abs().min(1e3));
        }
        weights
    });
    let to_weights = call.read_optional(weights.as_deref());
    let weights = weights.filter(|_| call.gives(to_weights));
    let right = |weight: &f32| weight.is_finite() && *weight >= 0.0;
    call.wrong(
        ELMAN_ERROR_OUT_OF_RANGE,
        !weights.iter().flatten().all(right),
    );
    let done = call.run(&mut world.record, |p| {
        let (logits, labels) = (p.get(from), p.get(to_label));
        let weights = p.get(to_weights).cast_const();
        let (loss, gradient) = (p.get(loss), p.get(gradient));
        match (&padding, lengths) {
            (Some(Padding { batch, steps, .. }), Some(lengths)) => {
                let (batch, steps, lengths) = (*batch, *steps, p.get(lengths));
                match weighted {
                    true => c!(elman_softmax_cross_entropy_weighted_padded(
                        logits, labels, batch, steps, lengths, classes, weights, loss, gradient
                    )),
                    false => c!(elman_softmax_cross_entropy_padded(
                        logits, labels, batch, steps, lengths, classes, loss, gradient
                    )),
                }
            }
            _ => match weighted {
                true => c!(elman_softmax_cross_entropy_weighted(
                    logits,
                    labels,
                    row_sizes[0],
                    classes,
                    weights,
                    loss,
                    gradient
                )),
                false => c!(elman_softmax_cross_entropy(
                    logits,
                    labels,
                    row_sizes[0],
                    classes,
                    loss,
                    gradient
                )),
            },
        }
    });
    let Some(done) = done.filter(Done::is_ok) else {
        return;
    };
    let weight = |row: usize| match &weights {
        _ if !counts(row) || labels[row] == ELMAN_NO_LABEL => 0.0,
        Some(weights) => f64::from(weights[labels[row]]),
        None => 1.0,
    };
    let counted = |row: &usize| weight(*row) > 0.0;
    let number: f64 = (0..rows).map(weight).sum();
    let row_of = |row: usize| &logits[row * classes..][..classes];
    let tame = (0..rows).filter(counted).all(|row| is_tame(row_of(row)));
    if let Some(loss) = done.result::<f64>(loss).filter(|_| tame) {
        let sum: f64 = (0..rows)
            .filter(counted)
            .map(|row| weight(row) * class_loss(row_of(row), labels[row]))
            .sum();
        let expected = if number > 0.0 { sum / number } else { 0.0 };
        // exp underflows where the label is hopeless; the library knows better.
        assert!(
            close(loss, expected) || expected.is_infinite(),
            "{loss} is not {expected}"
        );
    }
    for (row, found) in done
        .values::<f32>(gradient)
        .unwrap_or_default()
        .chunks(classes.max(1))
        .enumerate()
    {
        if !counted(&row) {
            assert!(
                found.iter().all(|value| *value == 0.0),
                "a gradient where nothing counts"
            );
        } else if tame {
            let (values, sum) = exponentials(row_of(row));
            let is_label = |class| f64::from(u8::from(class == labels[row]));
            let share = weight(row) / number;
            let slope = |(class, value): (usize, &f64)| (value / sum - is_label(class)) * share;
            assert!(all_close(found, values.iter().enumerate().map(slope)));
        }
    }
}

pub fn elementwise(world: &mut World, source: &mut Source<'_>) {
    let (padded, kind) = source.pick(&[
        (false, Elementwise::Squared),
        (true, Elementwise::Squared),
        (false, Elementwise::Binary),
        (true, Elementwise::Binary),
    ]);
    let mut call = Call::new(
        match (kind, padded) {
            (Elementwise::Squared, false) => "elman_mean_squared_error",
            (Elementwise::Squared, true) => "elman_mean_squared_error_padded",
            (Elementwise::Binary, false) => "elman_binary_cross_entropy_with_logits",
            (Elementwise::Binary, true) => "elman_binary_cross_entropy_with_logits_padded",
        },
        source,
    );
    let padding = padded.then(|| Padding::draw(&mut call, source));
    let size = source.size(&CLASSES);
    let len = match &padding {
        Some((padding, _)) => call.len(&[padding.batch, padding.steps, size]),
        None => call.len(&[size]),
    };
    let sound = call.is_sound();
    let counts = |element: usize| match &padding {
        Some((padding, _)) => !sound || padding.counts(element / size),
        None => true,
    };
    let outputs = source.floats(len);
    let mut targets = source.floats(len);
    if kind == Elementwise::Binary {
        let stray = source.rarely(4);
        for (element, target) in targets.iter_mut().enumerate() {
            if counts(element) && !stray {
                *target = match target.is_nan() {
                    true => f32::NAN,
                    false => target.abs().min(1.0),
                };
            }
        }
        let wrong = |element: &usize| {
            let target = targets[*element];
            !target.is_nan() && !(0.0..=1.0).contains(&target)
        };
        let any = (0..len)
            .filter(|&element| counts(element))
            .any(|element| wrong(&element));
        call.wrong(ELMAN_ERROR_OUT_OF_RANGE, any);
    }
    let (from, to_targets) = (call.read(&outputs), call.read(&targets));
    let loss = call.write_optional(1, !source.rarely(8));
    let gradient = call.write_optional(len, !source.rarely(4));
    let done = call.run(&mut world.record, |p| {
        let (y, targets) = (p.get(from), p.get(to_targets));
        let (loss, dy) = (p.get(loss), p.get(gradient));
        match (&padding, kind) {
            (None, Elementwise::Squared) => {
                c!(elman_mean_squared_error(y, targets, size, loss, dy))
            }
            (None, Elementwise::Binary) => {
                c!(elman_binary_cross_entropy_with_logits(
                    y, targets, size, loss, dy
                ))
            }
            (Some((Padding { batch, steps, .. }, lengths)), kind) => {
                let function = match kind {
                    Elementwise::Squared => elman_mean_squared_error_padded,
                    Elementwise::Binary => elman_binary_cross_entropy_with_logits_padded,
                };
                c!(function(
                    y,
                    targets,
                    *batch,
                    *steps,
                    p.get(*lengths),
                    size,
                    loss,
                    dy
                ))
            }
        }
    });
    let Some(done) = done.filter(Done::is_ok) else {
        return;
    };
    let counts = |element: usize| counts(element) && !targets[element].is_nan();
    let counted = || (0..len).filter(|&element| counts(element));
    let number = counted().count() as f64;
    let tame = counted().all(|element| is_tame(&[outputs[element], targets[element]]));
    let part = |element: usize| element_loss(kind, outputs[element], targets[element]);
    if let Some(loss) = done.result::<f64>(loss).filter(|_| tame) {
        let expected = if number > 0.0 {
            counted().map(part).sum::<f64>() / number
        } else {
            0.0
        };
        assert!(close(loss, expected), "{loss} is not {expected}");
    }
    for (element, found) in done
        .values::<f32>(gradient)
        .unwrap_or_default()
        .into_iter()
        .enumerate()
    {
        if !counts(element) {
            assert!(found == 0.0, "a gradient where nothing counts");
        } else if tame {
            let slope = element_slope(kind, outputs[element], targets[element]) / number;
            assert!(close(f64::from(found), slope), "{found} is not {slope}");
        }
    }
}
