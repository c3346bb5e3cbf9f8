//! The losses whose elements stand by themselves.

use std::ops::Range;

use super::{CHUNK, Padding, Total, runs, scale};
use crate::reduce::{dot, sum};
use crate::{Element, Error, Result, Tier, in_engine_mode, math, shape};

/// The mean of (y - target)² over the elements that count (0 if none).
///
/// `y` and `targets` have the same shape, `[rows][columns]` for any number of columns; with `padding`, that many rows.
/// Padding does not count, and neither does an element whose target is NaN: there is none. `dy`, in the same shape,
/// receives the gradient 2 (y - target) / (elements that count), 0 where nothing counts. Where a target is, NaN in `y`
/// makes the loss and its own gradient NaN.
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
    in_engine_mode(|| squared_error_total(y, targets, padding, dy).map(Total::mean))
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
            *difference = if is_nan(target) { E::ZERO } else { y - target };
        }
        if let Some(dy) = dy {
            dy.copy_from_slice(differences);
            scale(dy, 2.0 * share);
        }
        dot(differences, differences)
    }))
}

/// The mean of -t ln σ(z) - (1 - t) ln(1 - σ(z)) over the elements that count (0 if none), where z are the logits, t the
/// targets in [0, 1] and σ is the logistic function.
///
/// `logits` and `targets` have the same shape, `[rows][columns]` for any number of columns; with `padding`, that many
/// rows. Padding does not count, and neither does an element whose target is NaN: there is none. `dlogits`, in the same
/// shape, receives the gradient (σ(z) - t) / (elements that count), 0 where nothing counts.
///
/// It is computed as |z| (1 - t if z > 0, else t) + ln(1 + exp(-|z|)), a sum of two numbers that are not negative: so it
/// is accurate for logits of any size, infinities included, and near 0. Where a target is, a logit that is NaN makes the
/// loss and its own gradient NaN.
///
/// # Errors
/// [`Error::Length`] where the sizes do not fit each other, [`Error::SequenceLength`] for a wrong length,
/// [`Error::OutOfRange`] for a target that is neither in [0, 1] nor NaN, outside padding. Nothing is written then.
pub fn binary_cross_entropy_with_logits<E: Element>(
    logits: &[E],
    targets: &[E],
    padding: Option<Padding<'_>>,
    dlogits: Option<&mut [E]>,
) -> Result<f64> {
    in_engine_mode(|| {
        binary_cross_entropy_total(Tier::active()?, logits, targets, padding, dlogits)
            .map(Total::mean)
    })
}

/// [`binary_cross_entropy_with_logits`] before the division, on a tier; the gradient is that of the mean.
pub(crate) fn binary_cross_entropy_total<E: Element>(
    tier: Tier,
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
            if is_nan(target) {
                *loss = E::ZERO;
            } else if wrong != E::ZERO {
                // An infinite logit that is right costs nothing.
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
                *gradient = if is_nan(target) {
                    E::ZERO
                } else {
                    E::from_f64(if logit > E::ZERO { -slope } else { slope })
                };
            }
        }
        sum(losses)
    }))
}

/// Whether this is no target.
fn is_nan<E: Element>(target: E) -> bool {
    target.to_f64().is_nan()
}

/// Checks that all of `targets` are in [0, 1], or NaN.
pub(crate) fn expect_probabilities<E: Element>(targets: &[E]) -> Result<()> {
    let wrong = |target: &&E| !(is_nan(**target) || (E::ZERO..=E::ONE).contains(*target));
    match targets.iter().find(wrong) {
        None => Ok(()),
        Some(target) => Err(Error::OutOfRange {
            name: "a target",
            value: target.to_f64(),
            expected: "0 to 1, or NaN for none",
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

    /// The elements that are no padding and those that are, in turns.
    fn ranges(&self) -> impl Iterator<Item = (Range<usize>, Range<usize>)> {
        let elements = |rows: Range<usize>| rows.start * self.columns..rows.end * self.columns;
        runs(self.rows, self.padding).map(move |(run, behind)| (elements(run), elements(behind)))
    }

    /// The elements that are no padding.
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
        let present = |run: Range<usize>| {
            let targets = self.targets[run].iter();
            targets.filter(|&&target| !is_nan(target)).count()
        };
        let mut total = Total {
            sum: 0.0,
            weight: self.counted().map(present).sum::<usize>() as f64,
        };
        let share = total.share();
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
