//! Losses: how far the outputs of a network are from what they should be, and the gradient of that.
//!
//! Every loss is a mean over the rows or elements that count, and so is its gradient: what
//! [`Network::backward`](crate::Network::backward) then sums up is the gradient of the mean. Sums are taken in `f64`, in
//! an order that depends on the sizes alone.
//!
//! Where sequences of different lengths are padded to one length, [`Padding`] says which steps count. The others are
//! not read, and their gradient is 0.
//!
//! ```
//! use elman::loss::{mean_squared_error, softmax_cross_entropy};
//!
//! let logits = [2.0_f32, -1.0, 0.5, 0.5];
//! let mut dlogits = [0.0; 4];
//! let loss = softmax_cross_entropy(&logits, 2, &[0, 1], None, None, Some(&mut dlogits))?;
//! assert!((loss - 0.370867).abs() < 1e-6); // (ln(1 + e^-3) + ln 2) / 2
//! assert_eq!(dlogits[2..], [0.25, -0.25]);
//!
//! assert_eq!(mean_squared_error(&[1.0_f32, 2.0], &[1.0, 4.0], None, None)?, 2.0);
//! # Ok::<(), elman::Error>(())
//! ```

use std::ops::Range;

use crate::layout::Layout;
use crate::reduce::{dot, sum};
use crate::{Element, Error, Result, Tier, math, shape};

/// What a network is trained to make small.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Loss {
    /// [`softmax_cross_entropy`], for classes.
    SoftmaxCrossEntropy {
        /// The label of rows that do not count.
        ignored: Option<usize>,
    },
    /// [`mean_squared_error`], for numbers.
    MeanSquaredError,
    /// [`binary_cross_entropy_with_logits`], for probabilities of independent events.
    BinaryCrossEntropy,
}

impl Loss {
    /// Its name in messages.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::SoftmaxCrossEntropy { .. } => "softmax cross-entropy",
            Self::MeanSquaredError => "the mean squared error",
            Self::BinaryCrossEntropy => "binary cross-entropy",
        }
    }
}

/// Rows that lie `[batch][steps]`, and count only up to the end of their sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Padding<'a> {
    /// Rows of each sequence, padding included.
    pub steps: usize,
    /// `[batch]`: rows that count of each sequence, 1 to `steps`.
    pub lengths: &'a [usize],
}

impl Padding<'_> {
    /// Number of rows, once the lengths are found to be right.
    fn rows(self) -> Result<usize> {
        let batch = self.lengths.len();
        Layout::check(batch, self.steps, Some(self.lengths))?;
        shape::product("the rows", &[batch, self.steps])
    }
}

/// The rows that count and those that do not, in turns, as ranges of `rows` rows.
pub(crate) fn runs(
    rows: usize,
    padding: Option<Padding<'_>>,
) -> impl Iterator<Item = (Range<usize>, Range<usize>)> {
    let sequences = padding.map_or(1, |padding| padding.lengths.len());
    (0..sequences).map(move |sequence| match padding {
        None => (0..rows, rows..rows),
        Some(Padding { steps, lengths }) => {
            let (start, end) = (sequence * steps, (sequence + 1) * steps);
            let middle = start + lengths[sequence];
            (start..middle, middle..end)
        }
    })
}

/// A loss before it is divided by what counted.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Total {
    /// The sum over the rows or elements that count.
    pub sum: f64,
    /// Their number.
    pub count: usize,
}

impl Total {
    /// The mean; 0 where nothing counts.
    pub fn mean(self) -> f64 {
        if self.count == 0 {
            0.0
        } else {
            self.sum / self.count as f64
        }
    }
}

/// Elements that are worked on at a time, on the stack.
const CHUNK: usize = 128;

/// The probabilities of the classes: p_k = exp(z_k) / Σ_j exp(z_j) for each row z of `logits` `[rows][classes]`, into
/// `probabilities`, which has the same shape.
///
/// Logits may have any size: the largest of a row is subtracted first. A row with NaN becomes NaN, as does one with two
/// infinities or nothing but minus infinities; a single infinity has probability 1.
///
/// # Errors
/// [`Error::ZeroSize`] without classes, [`Error::Length`] where `logits` is not made of whole rows or `probabilities` is
/// not as long. Nothing is written then.
pub fn softmax<E: Element>(logits: &[E], classes: usize, probabilities: &mut [E]) -> Result<()> {
    shape::expect_nonzero("classes", classes)?;
    shape::expect_len(
        "logits",
        logits.len(),
        logits.len().next_multiple_of(classes),
    )?;
    shape::expect_len("probabilities", probabilities.len(), logits.len())?;
    let tier = Tier::active()?;
    let rows = probabilities.chunks_exact_mut(classes);
    for (probabilities, logits) in rows.zip(logits.chunks_exact(classes)) {
        let row = Exponentials::of(tier, logits, Some(probabilities));
        scale(probabilities, 1.0 / (1.0 + row.rest));
    }
    Ok(())
}

/// The mean of -ln p_label over the rows that count (0 if none), where p are the probabilities of [`softmax`].
///
/// `logits` is `[rows][classes]`, `labels` `[rows]`. Rows with the label `ignored` and those that are `padding` do not
/// count; the labels of padding are not read. `dlogits`, in the shape of `logits`, receives the gradient: (p - 1 at the
/// label) / (rows that count), 0 in rows that do not count.
///
/// Logits may have any size, as in [`softmax`], and a loss near 0 keeps its digits. A NaN in a row that counts makes the
/// loss and the gradient of that row NaN.
///
/// # Errors
/// [`Error::ZeroSize`] without classes, [`Error::Length`] where the sizes do not fit each other,
/// [`Error::SequenceLength`] for a wrong length, [`Error::Label`] for a label that names no class. Nothing is written
/// then.
pub fn softmax_cross_entropy<E: Element>(
    logits: &[E],
    classes: usize,
    labels: &[usize],
    ignored: Option<usize>,
    padding: Option<Padding<'_>>,
    dlogits: Option<&mut [E]>,
) -> Result<f64> {
    cross_entropy_total(logits, classes, labels, ignored, padding, dlogits).map(Total::mean)
}

/// [`softmax_cross_entropy`] before the division; the gradient is that of the mean.
pub(crate) fn cross_entropy_total<E: Element>(
    logits: &[E],
    classes: usize,
    labels: &[usize],
    ignored: Option<usize>,
    padding: Option<Padding<'_>>,
    mut dlogits: Option<&mut [E]>,
) -> Result<Total> {
    shape::expect_nonzero("classes", classes)?;
    let rows = labels.len();
    if let Some(padding) = padding {
        shape::expect_len("labels", rows, padding.rows()?)?;
    }
    let len = shape::product("logits", &[rows, classes])?;
    shape::expect_len("logits", logits.len(), len)?;
    if let Some(dlogits) = &dlogits {
        shape::expect_len("dlogits", dlogits.len(), len)?;
    }
    let counts = |row: &usize| Some(labels[*row]) != ignored;
    let mut total = Total::default();
    for index in runs(rows, padding).flat_map(|(run, _)| run).filter(counts) {
        if labels[index] >= classes {
            return Err(Error::Label {
                index,
                label: labels[index],
                classes,
            });
        }
        total.count += 1;
    }
    let tier = Tier::active()?;

    let share = 1.0 / total.count as f64;
    for (run, behind) in runs(rows, padding) {
        for row in run {
            let elements = row * classes..(row + 1) * classes;
            let mut gradient = dlogits.as_deref_mut().map(|all| &mut all[elements.clone()]);
            if !counts(&row) {
                if let Some(gradient) = gradient {
                    gradient.fill(E::ZERO);
                }
                continue;
            }
            let (logits, label) = (&logits[elements], labels[row]);
            let Exponentials { largest, rest } =
                Exponentials::of(tier, logits, gradient.as_deref_mut());
            let sum = 1.0 + rest;
            let above = if label == largest {
                0.0
            } else {
                logits[largest].to_f64() - logits[label].to_f64()
            };
            total.sum += libm::log1p(rest) + above;
            if let Some(gradient) = gradient {
                // The sum of the other classes, not 1 - p: that would lose its digits where p is near 1.
                let others = if label == largest {
                    rest
                } else {
                    sum - gradient[label].to_f64()
                };
                scale(gradient, share / sum);
                gradient[label] = E::from_f64(-others / sum * share);
            }
        }
        if let Some(dlogits) = &mut dlogits {
            dlogits[behind.start * classes..behind.end * classes].fill(E::ZERO);
        }
    }
    Ok(total)
}

/// Index of the first of the largest values; 0 where the first one is NaN.
pub(crate) fn largest<E: Element>(values: &[E]) -> usize {
    let mut largest = 0;
    for (index, &value) in values.iter().enumerate() {
        if value > values[largest] {
            largest = index;
        }
    }
    largest
}

/// exp(z - max z) of a row z.
struct Exponentials {
    /// Index of the first of the largest logits, whose exponential is 1.
    largest: usize,
    /// Sum of the exponentials of all others.
    rest: f64,
}

impl Exponentials {
    /// Computes them, and stores them where they are wanted.
    fn of<E: Element>(tier: Tier, logits: &[E], mut store: Option<&mut [E]>) -> Self {
        let largest = largest(logits);
        let max = logits[largest];
        // No number is above a NaN that comes first.
        let mut rest = if max.to_f64().is_nan() { f64::NAN } else { 0.0 };
        let mut chunk = [E::ZERO; CHUNK];
        for (index, logits) in logits.chunks(CHUNK).enumerate() {
            let start = index * CHUNK;
            let chunk = &mut chunk[..logits.len()];
            for (exponential, &logit) in chunk.iter_mut().zip(logits) {
                *exponential = logit - max;
            }
            math::exp(tier, chunk);
            if let Some(exponential) = chunk.get_mut(largest.wrapping_sub(start)) {
                *exponential = E::ZERO;
            }
            rest += sum(chunk);
            if let Some(store) = store.as_deref_mut() {
                store[start..start + chunk.len()].copy_from_slice(chunk);
            }
        }
        if let Some(store) = store {
            store[largest] = E::ONE;
        }
        Self { largest, rest }
    }
}

fn scale<E: Element>(values: &mut [E], factor: f64) {
    for value in values {
        *value = E::from_f64(value.to_f64() * factor);
    }
}

/// The mean of (y - target)² over the elements of the rows that count (0 if none).
///
/// `y` and `targets` have the same shape, `[rows][columns]` for any number of columns; with `padding`, that many rows.
/// `dy`, in the same shape, receives the gradient 2 (y - target) / (elements that count), 0 in rows that do not count.
/// NaN makes the loss and its own gradient NaN.
///
/// # Errors
/// [`Error::Length`] where the sizes do not fit each other, [`Error::SequenceLength`] for a wrong length. Nothing is
/// written then.
pub fn mean_squared_error<E: Element>(
    y: &[E],
    targets: &[E],
    padding: Option<Padding<'_>>,
    dy: Option<&mut [E]>,
) -> Result<f64> {
    squared_error_total(y, targets, padding, dy).map(Total::mean)
}

/// [`mean_squared_error`] before the division; the gradient is that of the mean.
pub(crate) fn squared_error_total<E: Element>(
    y: &[E],
    targets: &[E],
    padding: Option<Padding<'_>>,
    dy: Option<&mut [E]>,
) -> Result<Total> {
    let runs = ElementRuns::new(["y", "targets", "dy"], y, targets, padding, dy.as_deref())?;
    Ok(runs.each(dy, |y, targets, dy, share| {
        let mut differences = [E::ZERO; CHUNK];
        let differences = &mut differences[..y.len()];
        for ((difference, &y), &target) in differences.iter_mut().zip(y).zip(targets) {
            *difference = y - target;
        }
        if let Some(dy) = dy {
            dy.copy_from_slice(differences);
            scale(dy, 2.0 * share);
        }
        dot(differences, differences)
    }))
}

/// The mean of -t ln σ(z) - (1 - t) ln(1 - σ(z)) over the elements of the rows that count (0 if none), where z are the
/// logits, t the targets in [0, 1] and σ is the logistic function.
///
/// `logits` and `targets` have the same shape, `[rows][columns]` for any number of columns; with `padding`, that many
/// rows. `dlogits`, in the same shape, receives the gradient (σ(z) - t) / (elements that count), 0 in rows that do not
/// count.
///
/// It is computed as |z| (1 - t if z > 0, else t) + ln(1 + exp(-|z|)), a sum of two numbers that are not negative: so it
/// is accurate for logits of any size, infinities included, and near 0. NaN makes the loss and its own gradient NaN.
///
/// # Errors
/// [`Error::Length`] where the sizes do not fit each other, [`Error::SequenceLength`] for a wrong length,
/// [`Error::OutOfRange`] for a target that counts and is not in [0, 1]. Nothing is written then.
pub fn binary_cross_entropy_with_logits<E: Element>(
    logits: &[E],
    targets: &[E],
    padding: Option<Padding<'_>>,
    dlogits: Option<&mut [E]>,
) -> Result<f64> {
    binary_cross_entropy_total(logits, targets, padding, dlogits).map(Total::mean)
}

/// [`binary_cross_entropy_with_logits`] before the division; the gradient is that of the mean.
pub(crate) fn binary_cross_entropy_total<E: Element>(
    logits: &[E],
    targets: &[E],
    padding: Option<Padding<'_>>,
    dlogits: Option<&mut [E]>,
) -> Result<Total> {
    let names = ["logits", "targets", "dlogits"];
    let runs = ElementRuns::new(names, logits, targets, padding, dlogits.as_deref())?;
    for run in runs.counted() {
        expect_probabilities(&targets[run])?;
    }
    let tier = Tier::active()?;
    Ok(runs.each(dlogits, |logits, targets, gradient, share| {
        let mut losses = [E::ZERO; CHUNK];
        let losses = &mut losses[..logits.len()];
        losses.copy_from_slice(logits);
        math::softplus_tail(tier, losses);
        let wrong = |logit: E, target| {
            if logit > E::ZERO {
                E::ONE - target
            } else {
                target
            }
        };
        for ((loss, &logit), &target) in losses.iter_mut().zip(logits).zip(targets) {
            let wrong = wrong(logit, target);
            // An infinite logit that is right costs nothing.
            if wrong != E::ZERO {
                *loss += logit.abs() * wrong;
            }
        }
        if let Some(gradient) = gradient {
            for (gradient, &logit) in gradient.iter_mut().zip(logits) {
                *gradient = -logit.abs();
            }
            math::sigmoid(tier, gradient);
            for ((gradient, &logit), &target) in gradient.iter_mut().zip(logits).zip(targets) {
                // 1 - σ(z) = σ(-z), without a difference of numbers near 1.
                let slope = (*gradient - wrong(logit, target)).to_f64() * share;
                *gradient = E::from_f64(if logit > E::ZERO { -slope } else { slope });
            }
        }
        sum(losses)
    }))
}

/// Checks that all of `targets` are in [0, 1].
pub(crate) fn expect_probabilities<E: Element>(targets: &[E]) -> Result<()> {
    let wrong = |target: &&E| !(E::ZERO..=E::ONE).contains(*target);
    match targets.iter().find(wrong) {
        None => Ok(()),
        Some(target) => Err(Error::OutOfRange {
            name: "a target",
            value: target.to_f64(),
            expected: "0 to 1",
        }),
    }
}

/// The arguments of a loss whose elements stand by themselves, checked.
struct ElementRuns<'a, E> {
    y: &'a [E],
    targets: &'a [E],
    padding: Option<Padding<'a>>,
    rows: usize,
    columns: usize,
}

impl<'a, E: Element> ElementRuns<'a, E> {
    fn new(
        [y_name, targets_name, dy_name]: [&'static str; 3],
        y: &'a [E],
        targets: &'a [E],
        padding: Option<Padding<'a>>,
        dy: Option<&[E]>,
    ) -> Result<Self> {
        let rows = padding.map_or(Ok(y.len()), Padding::rows)?;
        let whole = y.len().div_ceil(rows.max(1));
        shape::expect_len(y_name, y.len(), shape::product(y_name, &[rows, whole])?)?;
        shape::expect_len(targets_name, targets.len(), y.len())?;
        if let Some(dy) = dy {
            shape::expect_len(dy_name, dy.len(), y.len())?;
        }
        Ok(Self {
            y,
            targets,
            padding,
            rows,
            columns: whole,
        })
    }

    /// The elements that count and those that do not, in turns.
    fn ranges(&self) -> impl Iterator<Item = (Range<usize>, Range<usize>)> {
        let elements = |rows: Range<usize>| rows.start * self.columns..rows.end * self.columns;
        runs(self.rows, self.padding).map(move |(run, behind)| (elements(run), elements(behind)))
    }

    /// The elements that count.
    fn counted(&self) -> impl Iterator<Item = Range<usize>> {
        self.ranges().map(|(run, _)| run)
    }

    /// Adds up what `chunk` returns for some elements, their targets, the place for their gradients and 1 / (elements
    /// that count).
    fn each(
        &self,
        mut dy: Option<&mut [E]>,
        mut chunk: impl FnMut(&[E], &[E], Option<&mut [E]>, f64) -> f64,
    ) -> Total {
        let mut total = Total {
            sum: 0.0,
            count: self.counted().map(|run| run.len()).sum(),
        };
        let share = 1.0 / total.count as f64;
        for (run, behind) in self.ranges() {
            for start in run.clone().step_by(CHUNK) {
                let part = start..run.end.min(start + CHUNK);
                let dy = dy.as_deref_mut().map(|dy| &mut dy[part.clone()]);
                total.sum += chunk(&self.y[part.clone()], &self.targets[part], dy, share);
            }
            if let Some(dy) = &mut dy {
                dy[behind].fill(E::ZERO);
            }
        }
        total
    }
}
