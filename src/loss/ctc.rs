//! The loss of labels that have no places in time.

mod scaled;

use std::mem;
use std::ops::Range;

use super::Padding;
use super::softmax::{Exponentials, largest};
use crate::buffer::try_reserve;
use crate::layout::Layout;
use crate::{Element, Error, Result, Tier, in_engine_mode, shape};
use scaled::Scaled;

/// The labels of a batch of sequences, each of which has as many as it likes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CtcLabels<'a> {
    /// The labels of all sequences, one sequence after the other.
    pub labels: &'a [usize],
    /// `[batch]`: labels of each sequence, which may have none. Their sum is the number of labels.
    pub lengths: &'a [usize],
}

/// How [`ctc`] reads its labels, and what it makes of the losses of the sequences. The default is PyTorch's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CtcOptions {
    /// The class that stands for no label. 0 by default.
    pub blank: usize,
    /// What the loss of the batch is. [`CtcReduction::Mean`] by default.
    pub reduction: CtcReduction,
    /// Whether a sequence whose loss is infinite counts as one of loss 0, with a gradient of 0. Otherwise, which is the
    /// default, a sequence that is too short for its labels is an error.
    pub zero_infinity: bool,
}

/// What becomes of the losses of sequences.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CtcReduction {
    /// Each is divided by the number of the sequence's labels, or 1 if it has none; the mean of that over the batch.
    #[default]
    Mean,
    /// Their sum.
    Sum,
}

/// Room in which [`ctc`] works. It is made in the first call, and a call of the same or a smaller shape allocates nothing.
#[derive(Debug)]
pub struct CtcWorkspace<E: Element> {
    /// Of one step, where no gradient is wanted.
    exponentials: Vec<E>,
    /// Of all steps of a sequence.
    rows: Vec<Exponentials>,
    /// `[steps][states]`; of one step where no gradient is wanted.
    alpha: Vec<Scaled>,
    /// Of one step.
    beta: Vec<Scaled>,
    /// `[classes]`: the probability that a class is the one at a step, given the labels. 0 between steps.
    occupied: Vec<f64>,
}

impl<E: Element> CtcWorkspace<E> {
    /// No room yet.
    pub const fn new() -> Self {
        Self {
            exponentials: Vec::new(),
            rows: Vec::new(),
            alpha: Vec::new(),
            beta: Vec::new(),
            occupied: Vec::new(),
        }
    }

    /// Makes room for sequences of a batch.
    fn reserve(&mut self, batch: &CtcBatch<'_, E>, with_gradient: bool) -> Result<()> {
        fn grow<T: Copy>(vec: &mut Vec<T>, len: usize, value: T) -> Result<()> {
            if len > vec.len() {
                try_reserve("the workspace of a CTC loss", vec, len)?;
                vec.resize(len, value);
            }
            Ok(())
        }
        for sequence in batch.sequences() {
            let states = sequence.states();
            let kept = if with_gradient { sequence.steps() } else { 1 };
            let alpha = shape::product("the workspace of a CTC loss", &[kept.max(1), states])?;
            grow(&mut self.alpha, alpha, Scaled::ZERO)?;
            grow(&mut self.rows, sequence.steps(), Exponentials::default())?;
            if with_gradient {
                grow(&mut self.beta, states, Scaled::ZERO)?;
            }
        }
        if with_gradient {
            grow(&mut self.occupied, batch.classes, 0.0)
        } else {
            grow(&mut self.exponentials, batch.classes, E::ZERO)
        }
    }
}

impl<E: Element> Default for CtcWorkspace<E> {
    fn default() -> Self {
        Self::new()
    }
}

/// The CTC loss (connectionist temporal classification, Graves et al. 2006), for sequences whose labels are known, in their
/// order, but not at which steps they are: -ln of the probability that the steps spell the labels.
///
/// Each step is one class, with the probability that [`softmax`](super::softmax) gives it, or the blank. The steps spell what
/// is left once equal classes that follow each other have become one, and then the blanks are left out: `-aa-a` and `a--aa`
/// spell `aa`. So a sequence needs a step for each label, and one more between two equal ones.
///
/// `logits` is `[batch][steps][classes]` for as many sequences as `labels` has; with `padding`, of each sequence only as many
/// steps count as it says, otherwise all. `dlogits`, in the shape of `logits`, receives the gradient, 0 in padding. The sum
/// over all alignments is taken in `f64`, by the forward-backward algorithm, for each sequence by itself: its gradient depends
/// on the other ones by their number at most.
///
/// Logits may have any size, as in [`softmax`](super::softmax). A NaN in a step that counts makes the loss and the gradient of
/// that sequence NaN. Where logits of minus infinity make the labels impossible the loss is infinite and the gradient of that
/// sequence NaN, as PyTorch has it, unless [`CtcOptions::zero_infinity`] is set.
///
/// ```
/// use elman::loss::{CtcLabels, CtcOptions, CtcWorkspace, ctc};
///
/// // Two steps of two classes, of which 0 is the blank: 1 is spelled by 01, 10 and 11, three of four.
/// let labels = CtcLabels { labels: &[1], lengths: &[1] };
/// let (mut workspace, mut dlogits) = (CtcWorkspace::new(), [0.0; 4]);
/// let options = CtcOptions::default();
/// let loss = ctc(&[0.0_f32; 4], 2, labels, None, options, &mut workspace, Some(&mut dlogits))?;
/// assert!((loss + 0.75_f64.ln()).abs() < 1e-12);
/// assert!((dlogits[0] - (1.0 / 2.0 - 1.0 / 3.0)).abs() < 1e-6);
/// # Ok::<(), elman::Error>(())
/// ```
///
/// # Errors
/// [`Error::ZeroSize`] without classes, sequences or steps, [`Error::Length`] where the sizes do not fit each other,
/// [`Error::SequenceLength`] for a wrong length, [`Error::Label`] for a label that names no class, [`Error::BlankLabel`] for
/// one that is the blank, [`Error::IndexOutOfRange`] for a blank that names no class, [`Error::TooFewSteps`] for a sequence
/// that is too short for its labels, [`Error::OutOfMemory`]. Nothing is written then.
pub fn ctc<E: Element>(
    logits: &[E],
    classes: usize,
    labels: CtcLabels<'_>,
    padding: Option<Padding<'_>>,
    options: CtcOptions,
    workspace: &mut CtcWorkspace<E>,
    dlogits: Option<&mut [E]>,
) -> Result<f64> {
    let tier = Tier::active()?;
    let batch = CtcBatch {
        logits,
        classes,
        labels,
        steps: expect_steps(logits, classes, labels.lengths.len(), padding)?,
        lengths: padding.map(|padding| padding.lengths),
        options,
    };
    batch.check()?;
    if let Some(dlogits) = &dlogits {
        shape::expect_len("dlogits", dlogits.len(), logits.len())?;
    }
    workspace.reserve(&batch, dlogits.is_some())?;
    Ok(in_engine_mode(|| batch.loss(tier, workspace, dlogits)))
}

/// What the likeliest class of each step spells, for each sequence: the best path (Graves et al. 2006), which is not always
/// the likeliest labelling.
///
/// `logits` is `[batch][steps][classes]`, `padding` as in [`ctc`]. `labels`, with room for one label for each step of the
/// batch, receives the labels of all sequences, one sequence after the other, and `label_lengths`, `[batch]`, their numbers: as
/// [`CtcLabels`] has them. Returns the number of all labels; what lies behind them in `labels` stays as it was. Of classes that
/// are equally likely it takes the first.
///
/// ```
/// use elman::loss::ctc_greedy_decode;
///
/// // Five steps of three classes: 1, 1, blank, 1, 2.
/// let logits = [0.0, 2.0, 1.0, 0.0, 3.0, 1.0, 5.0, 1.0, 1.0, 0.0, 1.0, 0.5, 0.0, 0.0, 2.0_f32];
/// let (mut labels, mut lengths) = ([0; 5], [0]);
/// let count = ctc_greedy_decode(&logits, 3, None, 0, &mut labels, &mut lengths)?;
/// assert_eq!((&labels[..count], lengths), (&[1, 1, 2][..], [3]));
/// # Ok::<(), elman::Error>(())
/// ```
///
/// # Errors
/// [`Error::ZeroSize`] without classes, sequences or steps, [`Error::Length`] where the sizes do not fit each other,
/// [`Error::SequenceLength`] for a wrong length, [`Error::IndexOutOfRange`] for a blank that names no class. Nothing is written
/// then.
pub fn ctc_greedy_decode<E: Element>(
    logits: &[E],
    classes: usize,
    padding: Option<Padding<'_>>,
    blank: usize,
    labels: &mut [usize],
    label_lengths: &mut [usize],
) -> Result<usize> {
    let batch = label_lengths.len();
    let steps = expect_steps(logits, classes, batch, padding)?;
    expect_blank(blank, classes)?;
    shape::expect_len("labels", labels.len(), batch * steps)?;
    let mut count = 0;
    for (sequence, label_length) in label_lengths.iter_mut().enumerate() {
        let length = padding.map_or(steps, |padding| padding.lengths[sequence]);
        let rows = logits[sequence * steps * classes..].chunks_exact(classes);
        let (start, mut previous) = (count, blank);
        for row in rows.take(length) {
            let class = largest(row);
            if class != previous && class != blank {
                labels[count] = class;
                count += 1;
            }
            previous = class;
        }
        *label_length = count - start;
    }
    Ok(count)
}

/// Steps of each sequence, padding included, once the sizes are found to fit each other.
fn expect_steps<E: Element>(
    logits: &[E],
    classes: usize,
    batch: usize,
    padding: Option<Padding<'_>>,
) -> Result<usize> {
    shape::expect_nonzero("classes", classes)?;
    shape::expect_nonzero("batch", batch)?;
    let steps = match padding {
        Some(Padding { steps, .. }) => steps,
        // However many sequences of however many classes: nothing has no step.
        None if logits.is_empty() => 0,
        None => logits
            .len()
            .div_ceil(shape::product("logits", &[batch, classes])?),
    };
    Layout::check(batch, steps, padding.map(|padding| padding.lengths))?;
    let len = shape::product("logits", &[batch, steps, classes])?;
    shape::expect_len("logits", logits.len(), len)?;
    Ok(steps)
}

fn expect_blank(blank: usize, classes: usize) -> Result<()> {
    if blank < classes {
        return Ok(());
    }
    Err(Error::IndexOutOfRange {
        name: "blank",
        index: blank,
        count: classes,
    })
}

/// The arguments of a call.
struct CtcBatch<'a, E> {
    logits: &'a [E],
    classes: usize,
    labels: CtcLabels<'a>,
    steps: usize,
    lengths: Option<&'a [usize]>,
    options: CtcOptions,
}

impl<'a, E: Element> CtcBatch<'a, E> {
    /// Checks the labels.
    fn check(&self) -> Result<()> {
        let CtcOptions { blank, .. } = self.options;
        expect_blank(blank, self.classes)?;
        let CtcLabels { labels, lengths } = self.labels;
        let count = shape::sum("labels", lengths)?;
        shape::expect_len("labels", labels.len(), count)?;
        for (index, &label) in labels.iter().enumerate() {
            if label >= self.classes {
                return Err(Error::Label {
                    index,
                    label,
                    classes: self.classes,
                });
            }
            if label == blank {
                return Err(Error::BlankLabel { index, label });
            }
        }
        for (sequence, of) in self.sequences().enumerate() {
            let needed = of.steps_needed();
            if of.steps() < needed && !self.options.zero_infinity {
                return Err(Error::TooFewSteps {
                    sequence,
                    steps: of.steps(),
                    needed,
                    labels: of.labels.len(),
                });
            }
        }
        Ok(())
    }

    fn sequences(&self) -> impl Iterator<Item = Sequence<'a, E>> {
        let mut start = 0;
        { self.labels.lengths.iter().enumerate() }.map(move |(index, &count)| {
            let steps = self.lengths.map_or(self.steps, |lengths| lengths[index]);
            let first = index * self.steps;
            let labels = &self.labels.labels[start..start + count];
            start += count;
            Sequence {
                logits: &self.logits[first * self.classes..(first + steps) * self.classes],
                classes: self.classes,
                labels,
                blank: self.options.blank,
            }
        })
    }

    /// The loss and its gradient, in a workspace that has room for them.
    fn loss(
        &self,
        tier: Tier,
        workspace: &mut CtcWorkspace<E>,
        mut dlogits: Option<&mut [E]>,
    ) -> f64 {
        let mut total = 0.0;
        for (index, sequence) in self.sequences().enumerate() {
            let share = match self.options.reduction {
                CtcReduction::Sum => 1.0,
                CtcReduction::Mean => {
                    1.0 / (self.labels.lengths.len() as f64 * sequence.labels.len().max(1) as f64)
                }
            };
            let len = self.steps * self.classes;
            let gradient = dlogits.as_deref_mut().map(|dlogits| {
                let (gradient, behind) =
                    dlogits[index * len..(index + 1) * len].split_at_mut(sequence.logits.len());
                behind.fill(E::ZERO);
                gradient
            });
            let loss = sequence.loss(tier, workspace, gradient, share);
            if !(loss == f64::INFINITY && self.options.zero_infinity) {
                total += loss * share;
            } else if let Some(dlogits) = &mut dlogits {
                dlogits[index * len..(index + 1) * len].fill(E::ZERO);
            }
        }
        total
    }
}

/// One sequence. A path goes through its states from step to step: 0, 2, 4, ... are the blanks before, between and behind the
/// labels, 1, 3, 5, ... the labels. It starts in one of the first two and ends in one of the last two.
#[derive(Clone, Copy)]
struct Sequence<'a, E> {
    /// `[steps][classes]`
    logits: &'a [E],
    classes: usize,
    labels: &'a [usize],
    blank: usize,
}

impl<E: Element> Sequence<'_, E> {
    fn steps(&self) -> usize {
        self.logits.len() / self.classes
    }

    /// A step for each label, and one between two that are equal.
    fn steps_needed(&self) -> usize {
        let equal = self.labels.windows(2).filter(|pair| pair[0] == pair[1]);
        self.labels.len() + equal.count()
    }

    fn states(&self) -> usize {
        2 * self.labels.len() + 1
    }

    fn class(&self, state: usize) -> usize {
        if state.is_multiple_of(2) {
            self.blank
        } else {
            self.labels[state / 2]
        }
    }

    /// Whether a path may come from two states before, as it may from a label to a different one.
    fn skips(&self, state: usize) -> bool {
        state >= 3
            && !state.is_multiple_of(2)
            && self.labels[state / 2] != self.labels[state / 2 - 1]
    }

    /// The states at a step between which all paths are, from the first states to the last ones. What is computed of the others
    /// is never read.
    fn band(&self, step: usize) -> Range<usize> {
        let left = self.steps() - step;
        self.states().saturating_sub(2 * left)..self.states().min(2 * step + 2)
    }

    /// exp(z - max z) of a class at a step, of which `exponentials` has what the element type holds.
    fn factor(&self, step: usize, class: usize, largest: usize, exponentials: &[E]) -> Scaled {
        Scaled::new(exponentials[class].to_f64()).unwrap_or_else(|| {
            let row = &self.logits[step * self.classes..];
            Scaled::exp(row[class].to_f64() - row[largest].to_f64())
        })
    }

    /// Its loss, and the gradient of `share` times that. Where the loss is no finite number, nor is the gradient.
    ///
    /// The softmax divides exp(z - max z) by their sum at each step. Paths leave that out, as it is the same for all of them:
    /// so it takes no part in the gradient, and comes to the loss at the end.
    fn loss(
        &self,
        tier: Tier,
        workspace: &mut CtcWorkspace<E>,
        mut gradient: Option<&mut [E]>,
        share: f64,
    ) -> f64 {
        let divisor = self.forward(tier, workspace, gradient.as_deref_mut());
        let states = self.states();
        let kept = gradient.as_ref().map_or(1, |_| self.steps().max(1));
        let last = &workspace.alpha[(kept - 1) * states..kept * states];
        let before = states
            .checked_sub(2)
            .map_or(Scaled::ZERO, |label| last[label]);
        let likelihood = last[states - 1] + before;
        let loss = divisor - likelihood.ln();
        if let Some(gradient) = gradient {
            if loss.is_finite() {
                self.backward(workspace, gradient, share);
            } else {
                gradient.fill(E::from_f64(f64::NAN));
            }
        }
        // All alignments together may be likelier than 1 by an error of rounding.
        if loss < 0.0 { 0.0 } else { loss }
    }

    /// Fills in alpha, the probabilities of all paths that have come to a state at a step: at each step, where there is a place
    /// for what the gradient will be, which then has the exponentials, and otherwise at the last step alone. Returns the
    /// logarithm of what paths leave out.
    fn forward(
        &self,
        tier: Tier,
        workspace: &mut CtcWorkspace<E>,
        mut keep: Option<&mut [E]>,
    ) -> f64 {
        let (classes, states) = (self.classes, self.states());
        let CtcWorkspace {
            exponentials,
            rows,
            alpha,
            ..
        } = workspace;
        // As if all paths had come from the first state: they enter it, or the first label behind it.
        alpha[0] = Scaled::ONE;
        alpha[1..states].fill(Scaled::ZERO);
        let mut divisor = 0.0;
        for (step, logits) in self.logits.chunks_exact(classes).enumerate() {
            let (exponentials, start) = match &mut keep {
                Some(keep) => (&mut keep[step * classes..][..classes], step * states),
                None => (&mut exponentials[..classes], 0),
            };
            if start > 0 {
                alpha.copy_within(start - states..start, start);
            }
            let alpha = &mut alpha[start..start + states];
            let row = Exponentials::of(tier, logits, Some(exponentials));
            divisor += libm::log1p(row.rest);
            let factor = |class| self.factor(step, class, row.largest, exponentials);
            let blank = factor(self.blank);
            for state in self.band(step).rev() {
                let mut paths = alpha[state];
                if state > 0 {
                    paths = paths + alpha[state - 1];
                }
                if self.skips(state) {
                    paths = paths + alpha[state - 2];
                }
                alpha[state] = paths * self.factor_of(state, blank, factor);
            }
            rows[step] = row;
        }
        divisor
    }

    /// Makes the gradient of what [`Self::forward`] has left there: at each step the probability of a class, minus that of the
    /// class given the labels.
    fn backward(&self, workspace: &mut CtcWorkspace<E>, gradient: &mut [E], share: f64) {
        let (classes, states) = (self.classes, self.states());
        let CtcWorkspace {
            rows,
            alpha,
            beta,
            occupied,
            ..
        } = workspace;
        // The probabilities of all paths from a state at the step behind, that step's with it, to the end; as if from there all
        // entered the last state.
        let beta = &mut beta[..states];
        beta.fill(Scaled::ZERO);
        beta[states - 1] = Scaled::ONE;
        let steps = gradient.chunks_exact_mut(classes).enumerate();
        for (step, gradient) in steps.rev() {
            let row = &rows[step];
            let alpha = &mut alpha[step * states..][..states];
            let factor = |class| self.factor(step, class, row.largest, gradient);
            let blank = factor(self.blank);
            // All paths, as far as they are told apart at this step: their likelihood, but for errors of rounding.
            let mut all = Scaled::ZERO;
            for state in self.band(step) {
                let mut paths = beta[state];
                if state + 1 < states {
                    paths = paths + beta[state + 1];
                }
                if state + 2 < states && self.skips(state + 2) {
                    paths = paths + beta[state + 2];
                }
                alpha[state] = alpha[state] * paths;
                all = all + alpha[state];
                beta[state] = paths * self.factor_of(state, blank, factor);
            }
            for state in self.band(step) {
                occupied[self.class(state)] += alpha[state].part_of(all);
            }
            // The slopes of a step add up to 0: that of the likeliest class, which would lose its digits, is what the others
            // leave.
            let scale = 1.0 / (1.0 + row.rest);
            let mut others = 0.0;
            for (class, (slope, occupied)) in gradient.iter_mut().zip(&mut *occupied).enumerate() {
                let given = mem::take(occupied);
                if class != row.largest {
                    let value = (slope.to_f64() * scale - given) * share;
                    others += value;
                    *slope = E::from_f64(value);
                }
            }
            gradient[row.largest] = E::from_f64(0.0 - others);
        }
    }

    /// The factor of a state, where that of the blank is known.
    fn factor_of(&self, state: usize, blank: Scaled, factor: impl Fn(usize) -> Scaled) -> Scaled {
        if state.is_multiple_of(2) {
            blank
        } else {
            factor(self.labels[state / 2])
        }
    }
}
