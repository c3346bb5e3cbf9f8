//! Losses, against what their formulas give in double.

use elman_abi::ctc::*;
use elman_abi::loss::*;
use elman_abi::status::*;

use crate::call::{Argument, Call, Done, adopt, c, flushed};
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
    ctc(world, &mut source.ahead());
    greedy_decode(world, &mut source.ahead());
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
        let padding = Self::draw_lengths(call, source);
        padding.judge(call);
        let argument = call.read(&padding.lengths);
        (padding, argument)
    }

    fn draw_lengths(call: &mut Call, source: &mut Source<'_>) -> Self {
        let (batch, steps) = (source.size(&ROWS), source.size(&ROWS));
        call.wrong(ELMAN_ERROR_ZERO_SIZE, batch == 0 || steps == 0);
        call.len(&[batch, steps]);
        let length = |source: &mut Source<'_>| match source.below(64) {
            63 => source.pick(&[0, steps.wrapping_add(1), usize::MAX]),
            choice => 1 + choice % steps.clamp(1, 100),
        };
        let lengths: Vec<_> = (0..call.len(&[batch])).map(|_| length(source)).collect();
        Self {
            batch,
            steps,
            lengths,
        }
    }

    /// Takes note of lengths that are wrong.
    fn judge(&self, call: &mut Call) {
        let wrong = |length: &usize| *length > self.steps;
        call.wrong(ELMAN_ERROR_OUT_OF_RANGE, self.lengths.iter().any(wrong));
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
            !target.is_nan() && !(0.0..=1.0).contains(&flushed(target))
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

/// The defaults of the options of a CTC loss.
fn ctc_options(world: &mut World, source: &mut Source<'_>) -> CtcOptions {
    let right = size_of::<CtcOptions>();
    let size = match source.below(8) {
        7 => source.pick(&[right - 1, right + 8, 0, 8]),
        _ => right,
    };
    let mut call = Call::new("elman_ctc_options_init", source);
    call.wrong(ELMAN_ERROR_MISMATCH, size != right);
    let options = call.write_structure();
    let done = call.run(&mut world.record, |p| {
        c!(elman_ctc_options_init(p.get(options), size))
    });
    let expected = CtcOptions {
        size: right,
        blank: 0,
        reduction: ELMAN_CTC_MEAN,
        zero_infinity: 0,
    };
    if let Some(done) = done.filter(Done::is_ok) {
        let options: CtcOptions = done.structure(options);
        assert_eq!(format!("{options:?}"), format!("{expected:?}"));
    }
    expected
}

/// Steps, of which some may be padding, and the blank.
struct Steps {
    batch: usize,
    steps: usize,
    classes: usize,
    padding: Option<Padding>,
    lengths: Argument<usize>,
    logits: Vec<f32>,
    blank: usize,
}

impl Steps {
    fn draw(call: &mut Call, source: &mut Source<'_>) -> Self {
        let padding = Padding::draw_lengths(call, source);
        let (batch, steps) = (padding.batch, padding.steps);
        let given = source.rarely(2);
        let lengths = call.read_optional(given.then_some(&padding.lengths[..]));
        let padding = Some(padding).filter(|_| call.gives(lengths));
        if let Some(padding) = &padding {
            padding.judge(call);
        }
        let classes = source.size(&CLASSES);
        let none = [batch, steps, classes].contains(&0);
        call.wrong(ELMAN_ERROR_ZERO_SIZE, none);
        let len = call.len(&[batch, steps, classes]);
        let blank = match source.below(16) {
            14 => source.pick(&[classes, usize::MAX]),
            choice => choice % classes.clamp(1, 3),
        };
        Self {
            batch,
            steps,
            classes,
            padding,
            lengths,
            logits: source.floats(len),
            blank,
        }
    }

    /// Steps of a sequence that count.
    fn length(&self, sequence: usize) -> usize {
        let padded = self.padding.as_ref();
        padded.map_or(self.steps, |padding| padding.lengths[sequence])
    }

    /// Their logits.
    fn rows(&self, sequence: usize) -> &[f32] {
        let row = sequence * self.steps * self.classes;
        &self.logits[row..row + self.length(sequence) * self.classes]
    }
}

/// -ln of the probability that all paths which spell the labels have together, in logarithms.
fn ctc_loss(rows: &[f32], classes: usize, labels: &[usize], blank: usize) -> f64 {
    let states: Vec<_> = { labels.iter() }
        .flat_map(|&label| [blank, label])
        .chain([blank])
        .collect();
    let add = |a: f64, b: f64| match a.max(b) {
        f64::NEG_INFINITY => f64::NEG_INFINITY,
        most => most + ((a - most).exp() + (b - most).exp()).ln(),
    };
    let mut paths = vec![f64::NEG_INFINITY; states.len()];
    paths[0] = 0.0;
    for row in rows.chunks(classes) {
        let max = f64::from(row.iter().copied().fold(f32::NEG_INFINITY, f32::max));
        let (_, sum) = exponentials(row);
        for state in (0..states.len()).rev() {
            let mut to = paths[state];
            if state > 0 {
                to = add(to, paths[state - 1]);
            }
            if state > 1 && states[state] != blank && states[state] != states[state - 2] {
                to = add(to, paths[state - 2]);
            }
            paths[state] = to + f64::from(row[states[state]]) - max - sum.ln();
        }
    }
    let last = states.len() - 1;
    let before = last
        .checked_sub(1)
        .map_or(f64::NEG_INFINITY, |state| paths[state]);
    -add(paths[last], before)
}

fn ctc(world: &mut World, source: &mut Source<'_>) {
    let mut options = ctc_options(world, source);
    let mut make = Call::new("elman_ctc_workspace_create", source);
    let out = make.write::<*mut CtcWorkspace>(1);
    let made = make.run(&mut world.record, |p| {
        c!(elman_ctc_workspace_create(p.get(out)))
    });
    let made = made.filter(Done::is_ok).and_then(|done| done.result(out));
    let mut workspace = made.map(adopt);

    let mut call = Call::new("elman_ctc", source);
    call.starve(source);
    let steps = Steps::draw(&mut call, source);
    let (classes, blank) = (steps.classes, steps.blank);
    let defaults = options;
    options.blank = blank;
    options.reduction = source.constant(2);
    options.zero_infinity = source.constant(2);
    if source.rarely(32) {
        options.size = source.pick(&[0, 8, 32]);
    }
    let mut label_lengths = Vec::new();
    for _ in 0..call.len(&[steps.batch]) {
        label_lengths.push(source.below(4));
    }
    let label = |source: &mut Source<'_>| match source.below(64) {
        63 => source.pick(&[classes, blank, usize::MAX]),
        choice => {
            let label = choice % classes.max(1);
            let next = (label + 1) % classes.max(1);
            if label == blank { next } else { label }
        }
    };
    let labels: Vec<_> = (0..label_lengths.iter().sum())
        .map(|_| label(source))
        .collect();
    let of = |sequence: usize| {
        let start: usize = label_lengths[..sequence].iter().sum();
        &labels[start..start + label_lengths[sequence]]
    };
    let is_short = |sequence: usize| {
        let equal = of(sequence).windows(2).filter(|pair| pair[0] == pair[1]);
        steps.length(sequence) < of(sequence).len() + equal.count()
    };
    let (logits, to_labels) = (call.read(&steps.logits), call.read(&labels));
    let to_label_lengths = call.read(&label_lengths);
    let loss = call.write_optional(1, !source.rarely(8));
    let gradient = call.write_optional(steps.logits.len(), !source.rarely(4));
    let read = options;
    let to_options = call.structure(Some(&mut options));
    let options = if call.gives(to_options) {
        read
    } else {
        defaults
    };
    let blank = options.blank;
    call.wrong(ELMAN_ERROR_MISMATCH, options.size != defaults.size);
    call.wrong(
        ELMAN_ERROR_UNKNOWN_CONSTANT,
        options.reduction > ELMAN_CTC_SUM || options.zero_infinity > 1,
    );
    call.wrong(ELMAN_ERROR_OUT_OF_RANGE, blank >= classes);
    let wrong = |&label: &usize| label >= classes || label == blank;
    call.wrong(ELMAN_ERROR_OUT_OF_RANGE, labels.iter().any(wrong));
    if call.is_sound() {
        let any_is_short = (0..steps.batch).any(is_short);
        call.wrong(
            ELMAN_ERROR_OUT_OF_RANGE,
            any_is_short && options.zero_infinity == 0,
        );
    }
    let done = call.run(&mut world.record, |p| {
        c!(elman_ctc(
            p.get(logits),
            p.get(to_labels),
            p.get(to_label_lengths),
            steps.batch,
            steps.steps,
            p.get(steps.lengths),
            classes,
            p.get(to_options),
            workspace.as_deref_mut(),
            p.get(loss),
            p.get(gradient)
        ))
    });
    elman_ctc_workspace_destroy(workspace);
    let Some(done) = done.filter(Done::is_ok) else {
        return;
    };
    let tame = (0..steps.batch).all(|sequence| is_tame(steps.rows(sequence)));
    if !tame {
        return;
    }
    let gives_mean = options.reduction == ELMAN_CTC_MEAN;
    let part = |sequence: usize| {
        let loss = ctc_loss(steps.rows(sequence), classes, of(sequence), blank);
        let share = match gives_mean {
            true => 1.0 / (steps.batch * of(sequence).len().max(1)) as f64,
            false => 1.0,
        };
        if is_short(sequence) {
            0.0
        } else {
            loss * share
        }
    };
    if let Some(loss) = done.result::<f64>(loss) {
        let expected: f64 = (0..steps.batch).map(part).sum();
        assert!(close(loss, expected), "{loss} is not {expected}");
    }
    let gradient = done.values::<f32>(gradient).unwrap_or_default();
    for (row, slopes) in gradient.chunks(classes).enumerate() {
        let (sequence, step) = (row / steps.steps, row % steps.steps);
        if step >= steps.length(sequence) || is_short(sequence) {
            assert!(
                slopes.iter().all(|slope| *slope == 0.0),
                "a gradient where nothing counts"
            );
        } else {
            // As both probabilities of a step add up to 1.
            let sum: f64 = slopes.iter().map(|slope| f64::from(*slope)).sum();
            assert!(close(sum, 0.0), "the slopes of a step add up to {sum}");
        }
    }
}

fn greedy_decode(world: &mut World, source: &mut Source<'_>) {
    let mut call = Call::new("elman_ctc_greedy_decode", source);
    let steps = Steps::draw(&mut call, source);
    let (classes, blank) = (steps.classes, steps.blank);
    call.wrong(ELMAN_ERROR_OUT_OF_RANGE, blank >= classes);
    let logits = call.read(&steps.logits);
    let room = call.len(&[steps.batch, steps.steps]);
    let labels = call.write::<usize>(room);
    let sequences = call.len(&[steps.batch]);
    let label_lengths = call.write::<usize>(sequences);
    let done = call.run(&mut world.record, |p| {
        c!(elman_ctc_greedy_decode(
            p.get(logits),
            steps.batch,
            steps.steps,
            p.get(steps.lengths),
            classes,
            blank,
            p.get(labels),
            p.get(label_lengths)
        ))
    });
    let Some(done) = done.filter(Done::is_ok) else {
        return;
    };
    let found = done.values(labels).unwrap_or_default();
    let lengths = done.values(label_lengths).unwrap_or_default();
    let mut found = found.iter();
    for (sequence, length) in lengths.into_iter().enumerate() {
        assert!(length <= steps.length(sequence), "more labels than steps");
        let labels: Vec<usize> = found.by_ref().take(length).copied().collect();
        let rows = steps.rows(sequence);
        if rows.iter().all(|value| !value.is_nan()) {
            let best = |row: &[f32]| {
                let most = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
                row.iter().position(|value| *value == most).unwrap_or(0)
            };
            let mut expected: Vec<usize> = rows.chunks(classes).map(best).collect();
            expected.dedup();
            expected.retain(|&class| class != blank);
            assert_eq!(labels, expected);
        }
    }
}
