//! The loss of classes.

use super::{CHUNK, NO_LABEL, Padding, Total, runs, scale};
use crate::reduce::sum;
use crate::{Element, Error, Result, Tier, in_engine_mode, math, shape};

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
    in_engine_mode(|| {
        let rows = probabilities.chunks_exact_mut(classes);
        for (probabilities, logits) in rows.zip(logits.chunks_exact(classes)) {
            let row = Exponentials::of(tier, logits, Some(probabilities));
            scale(probabilities, 1.0 / (1.0 + row.rest));
        }
    });
    Ok(())
}

/// The mean of -ln p_label over the rows that count (0 if none), where p are the probabilities of [`softmax`].
///
/// `logits` is `[rows][classes]`, `labels` `[rows]`. Rows with the label [`NO_LABEL`] or `ignored` and those that are
/// `padding` do not count; the labels of padding are not read. `dlogits`, in the shape of `logits`, receives the gradient:
/// (p - 1 at the label) / (rows that count), 0 in rows that do not count.
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
    softmax_cross_entropy_weighted(logits, classes, labels, None, ignored, padding, dlogits)
}

/// [`softmax_cross_entropy`] with a weight for each class, as PyTorch's `CrossEntropyLoss(weight)` has them: the mean is
/// Σ w_label · -ln p_label / Σ w_label over the rows that count, and so is its gradient.
///
/// `weights` is `[classes]`, each finite and at least 0; None: all are 1. Where one is 0, the rows of its class do not
/// count.
///
/// # Errors
/// As there, [`Error::Length`] for another number of weights and [`Error::OutOfRange`] for a weight that is none.
pub fn softmax_cross_entropy_weighted<E: Element>(
    logits: &[E],
    classes: usize,
    labels: &[usize],
    weights: Option<&[E]>,
    ignored: Option<usize>,
    padding: Option<Padding<'_>>,
    dlogits: Option<&mut [E]>,
) -> Result<f64> {
    let tier = Tier::active()?;
    if let Some(weights) = weights {
        expect_weights("weights", weights, classes)?;
    }
    let classes = Classes {
        count: classes,
        ignored,
        weights,
    };
    in_engine_mode(|| {
        cross_entropy_total(tier, logits, classes, labels, padding, dlogits).map(Total::mean)
    })
}

/// Checks the weights of `classes` classes.
pub(crate) fn expect_weights<E: Element>(
    name: &'static str,
    weights: &[E],
    classes: usize,
) -> Result<()> {
    shape::expect_len(name, weights.len(), classes)?;
    let right = |weight: E| weight.is_finite() && weight >= E::ZERO;
    match weights.iter().find(|&&weight| !right(weight)) {
        None => Ok(()),
        Some(weight) => Err(Error::OutOfRange {
            name,
            value: weight.to_f64(),
            expected: "a finite number, at least 0",
        }),
    }
}

/// The classes of a loss, and what the rows of each count for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Classes<'a, E> {
    pub count: usize,
    /// The class whose rows do not count.
    pub ignored: Option<usize>,
    /// `[count]`, checked by [`expect_weights`]; None: all are 1.
    pub weights: Option<&'a [E]>,
}

impl<E: Element> Classes<'_, E> {
    /// Whether rows of this label count.
    pub fn counts(&self, label: usize) -> bool {
        label != NO_LABEL && Some(label) != self.ignored
    }

    /// What they count for; 0 where the label is that of no class.
    fn weight(&self, label: usize) -> f64 {
        match self.weights {
            _ if !self.counts(label) => 0.0,
            None => 1.0,
            Some(weights) => weights[label].to_f64(),
        }
    }
}

/// [`softmax_cross_entropy_weighted`] before the division, on a tier; the gradient is that of the mean.
pub(crate) fn cross_entropy_total<E: Element>(
    tier: Tier,
    logits: &[E],
    classes: Classes<'_, E>,
    labels: &[usize],
    padding: Option<Padding<'_>>,
    mut dlogits: Option<&mut [E]>,
) -> Result<Total> {
    let Classes { count, .. } = classes;
    shape::expect_nonzero("classes", count)?;
    let rows = labels.len();
    if let Some(padding) = padding {
        shape::expect_len("labels", rows, padding.rows()?)?;
    }
    let len = shape::product("logits", &[rows, count])?;
    shape::expect_len("logits", logits.len(), len)?;
    if let Some(dlogits) = &dlogits {
        shape::expect_len("dlogits", dlogits.len(), len)?;
    }
    let mut total = Total::default();
    for index in runs(rows, padding).flat_map(|(run, _)| run) {
        let label = labels[index];
        if classes.counts(label) && label >= count {
            return Err(Error::Label {
                index,
                label,
                classes: count,
            });
        }
        total.weight += classes.weight(label);
    }

    for (run, behind) in runs(rows, padding) {
        for row in run {
            let elements = row * count..(row + 1) * count;
            let mut gradient = dlogits.as_deref_mut().map(|all| &mut all[elements.clone()]);
            let (logits, label) = (&logits[elements], labels[row]);
            let weight = classes.weight(label);
            if weight == 0.0 {
                if let Some(gradient) = gradient {
                    gradient.fill(E::ZERO);
                }
                continue;
            }
            let Exponentials { largest, rest } =
                Exponentials::of(tier, logits, gradient.as_deref_mut());
            let sum = 1.0 + rest;
            let above = if label == largest {
                0.0
            } else {
                logits[largest].to_f64() - logits[label].to_f64()
            };
            total.sum += weight * (libm::log1p(rest) + above);
            if let Some(gradient) = gradient {
                let share = weight * total.share();
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
            dlogits[behind.start * count..behind.end * count].fill(E::ZERO);
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
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Exponentials {
    /// Index of the first of the largest logits, whose exponential is 1.
    pub largest: usize,
    /// Sum of the exponentials of all others.
    pub rest: f64,
}

impl Exponentials {
    /// Computes them, and stores them where they are wanted.
    pub fn of<E: Element>(tier: Tier, logits: &[E], mut store: Option<&mut [E]>) -> Self {
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
