//! Sequences and their targets.

use std::fmt::Write;
use std::ops::Range;

use super::{Standardization, expect_finite, expect_no};
use crate::buffer::{try_reserve, try_string, try_vec};
use crate::loss::NO_LABEL;
use crate::{Element, Error, Result, shape};

/// What a network should answer, for all sequences of a [`Dataset`] in order.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Targets<E> {
    /// Nothing: the data is only run, not trained on.
    None,
    /// One class per sequence.
    ///
    /// A network that has [class names](crate::Network::class_names) finds its classes by their names, so that data sets
    /// may have them in any order. The names `"0"`, `"1"` and so on in that order, as [`Targets::numbered_classes`] gives
    /// them, stand for no names: then the labels are the numbers of the network's outputs.
    Classes {
        /// `[sequences]`, each less than the number of names, or [`NO_LABEL`] where a sequence has no class: it counts
        /// neither in losses nor in metrics.
        labels: Vec<usize>,
        /// `[classes]`.
        names: Vec<String>,
    },
    /// One class per step. Names are as with [`Targets::Classes`].
    StepClasses {
        /// `[total_steps]`: the labels of the first sequence's steps, then of the second's and so on; each less than
        /// the number of names, or [`NO_LABEL`] where a step has no class.
        labels: Vec<usize>,
        /// `[classes]`.
        names: Vec<String>,
    },
    /// A vector of numbers per sequence or per step.
    Values {
        /// Numbers in one vector, at least 1.
        size: usize,
        /// Whether every step has its vector, or every sequence.
        per_step: bool,
        /// `[total_steps][size]` or `[sequences][size]`: each finite, or NaN where there is no target. That element counts
        /// in no loss.
        values: Vec<E>,
    },
}

/// More of them are taken for a mistake, such as a negative number, before their names take a gigabyte.
const MOST_NUMBERED_CLASSES: usize = 1 << 24;

impl<E: Element> Targets<E> {
    /// [`Targets::Classes`] named by their numbers, 0 to `classes - 1`, once the labels are found to be among them.
    ///
    /// # Errors
    /// [`Error::ZeroSize`] for no classes; [`Error::Label`] for a label that is none of them; [`Error::SizeOverflow`] or
    /// [`Error::OutOfMemory`] where memory cannot hold that many names, or they are more than 2^24. The number of labels is
    /// checked by [`Dataset::new`].
    pub fn numbered_classes(labels: Vec<usize>, classes: usize) -> Result<Self> {
        check_labels(&labels, classes, labels.len())?;
        let what = "class names";
        let bytes = shape::product(what, &[classes])?.saturating_mul(size_of::<String>());
        if classes > MOST_NUMBERED_CLASSES {
            return Err(Error::OutOfMemory { what, bytes });
        }
        let mut names = try_vec(what, classes)?;
        for class in 0..classes {
            let digits = class.checked_ilog10().unwrap_or(0) as usize + 1;
            let mut name = try_string(what, digits)?;
            // Room has been made, so this can't fail.
            let _ = write!(name, "{class}");
            names.push(name);
        }
        Ok(Self::Classes { labels, names })
    }

    fn check(&self, sequences: usize, total_steps: usize) -> Result<()> {
        match self {
            Self::None => Ok(()),
            Self::Classes { labels, names } => check_labels(labels, names.len(), sequences),
            Self::StepClasses { labels, names } => check_labels(labels, names.len(), total_steps),
            Self::Values {
                size,
                per_step,
                values,
            } => {
                shape::expect_nonzero("the size of a target", *size)?;
                let rows = if *per_step { total_steps } else { sequences };
                shape::expect_len(
                    "values",
                    values.len(),
                    shape::product("values", &[rows, *size])?,
                )?;
                expect_no("values", values, |value| value.to_f64().is_infinite())
            }
        }
    }
}

/// Sequences of feature vectors, each of its own length, and their [`Targets`].
#[derive(Clone, Debug, PartialEq)]
pub struct Dataset<E: Element = f32> {
    input_size: usize,
    /// `[total_steps][input_size]`.
    x: Vec<E>,
    /// `[sequences + 1]`: the step at which each sequence starts, and after the last one `total_steps`.
    offsets: Vec<usize>,
    max_length: usize,
    targets: Targets<E>,
    /// Whether the names of the classes are more than their numbers.
    named: bool,
    pub(super) notes: Vec<String>,
}

impl<E: Element> Dataset<E> {
    /// A data set of `lengths.len()` sequences.
    ///
    /// `x` is `[total_steps][input_size]`: the steps of all sequences one after the other, without padding, where
    /// `total_steps` is the sum of `lengths`.
    ///
    /// # Errors
    /// [`Error::ZeroSize`] for no features, no sequences, no classes or target vectors of size 0;
    /// [`Error::SizeOverflow`] for sizes beyond memory; [`Error::Length`] where `x` or the targets have not the number
    /// of elements that follows from `lengths`; [`Error::EmptySequence`]; [`Error::Label`]
    /// for a label without a name; [`Error::NotFiniteAt`] for a number that is not finite, except for NaN as a target;
    /// [`Error::OutOfMemory`].
    pub fn new(
        input_size: usize,
        x: Vec<E>,
        lengths: &[usize],
        targets: Targets<E>,
    ) -> Result<Self> {
        shape::expect_nonzero("input_size", input_size)?;
        shape::expect_nonzero("the number of sequences", lengths.len())?;
        let total_steps = shape::sum("x", lengths)?;
        shape::expect_len(
            "x",
            x.len(),
            shape::product("x", &[total_steps, input_size])?,
        )?;
        if let Some(index) = lengths.iter().position(|&length| length == 0) {
            return Err(Error::EmptySequence { index });
        }
        expect_finite("x", &x)?;
        targets.check(lengths.len(), total_steps)?;

        let mut offsets = try_vec("the starts of the sequences", lengths.len() + 1)?;
        offsets.push(0);
        offsets.extend(lengths.iter().scan(0, |end, &length| {
            *end += length;
            Some(*end)
        }));
        let mut dataset = Self {
            input_size,
            x,
            offsets,
            max_length: lengths.iter().copied().max().unwrap_or(0),
            targets,
            named: false,
            notes: Vec::new(),
        };
        dataset.named = !are_numbers(dataset.class_names());
        Ok(dataset)
    }

    /// The same data set, whose classes have names whatever these are.
    pub(super) fn with_names(mut self) -> Self {
        self.named = self.class_count() > 0;
        self
    }

    /// Number of sequences, at least 1.
    #[expect(clippy::len_without_is_empty, reason = "a data set is never empty")]
    pub fn len(&self) -> usize {
        self.offsets.len() - 1
    }

    /// Features of a step.
    pub fn input_size(&self) -> usize {
        self.input_size
    }

    /// Steps of all sequences together.
    pub fn total_steps(&self) -> usize {
        self.offsets[self.len()]
    }

    /// Steps of the longest sequence.
    pub fn max_length(&self) -> usize {
        self.max_length
    }

    /// Steps of sequence `index`.
    ///
    /// # Panics
    /// If there is no such sequence.
    pub fn length(&self, index: usize) -> usize {
        self.steps(index).len()
    }

    /// Sequence `index`, `[length][input_size]`.
    ///
    /// # Panics
    /// If there is no such sequence.
    pub fn sequence(&self, index: usize) -> &[E] {
        let steps = self.steps(index);
        &self.x[steps.start * self.input_size..steps.end * self.input_size]
    }

    /// What a network should answer.
    pub fn targets(&self) -> &Targets<E> {
        &self.targets
    }

    /// The names of the classes; empty where the targets are no classes.
    pub fn class_names(&self) -> &[String] {
        match &self.targets {
            Targets::Classes { names, .. } | Targets::StepClasses { names, .. } => names,
            Targets::None | Targets::Values { .. } => &[],
        }
    }

    /// The names of the classes where they have names, not numbers: what a network takes over, and finds them by.
    pub(crate) fn own_class_names(&self) -> Option<&[String]> {
        self.named.then(|| self.class_names())
    }

    /// What the file says of itself that is not so, and how it has been read instead; each note with its line, as
    /// `line 5: @seriesLength is 127, the cases have 128 steps`. Empty without a file and without such faults.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// Number of classes; 0 where the targets are no classes.
    pub fn class_count(&self) -> usize {
        self.class_names().len()
    }

    /// The class of sequence `index`; `None` where the sequence, or a sequence as a whole, has none.
    ///
    /// # Panics
    /// If there is no such sequence.
    pub fn label(&self, index: usize) -> Option<usize> {
        match &self.targets {
            Targets::Classes { labels, .. } => {
                Some(labels[index]).filter(|&label| label != NO_LABEL)
            }
            _ => None,
        }
    }

    /// The mean and the deviation of every feature, over all steps of all sequences.
    ///
    /// # Errors
    /// [`Error::NotFiniteAt`] where the numbers are so large that a mean or a deviation overflows (only `f64` can);
    /// [`Error::OutOfMemory`].
    pub fn standardization(&self) -> Result<Standardization<E>> {
        Standardization::measure(&self.x, self.input_size)
    }

    /// Fills `batch` with the sequences that `indices` names, in that order, padded with zeros to the longest of them.
    ///
    /// The buffers get room for the longest sequence of the data set at once, so from the second call on nothing is
    /// allocated, whatever the indices, as long as there are not more of them than before.
    ///
    /// # Errors
    /// [`Error::ZeroSize`] without indices; [`Error::IndexOutOfRange`] for an index without a sequence;
    /// [`Error::SizeOverflow`] and [`Error::OutOfMemory`] for a batch beyond memory. `batch` is then as it was.
    pub fn gather(&self, indices: &[usize], batch: &mut MiniBatch<E>) -> Result<()> {
        let sequences = shape::expect_nonzero("the number of indices", indices.len())?;
        if let Some(&index) = indices.iter().find(|&&index| index >= self.len()) {
            return Err(Error::IndexOutOfRange {
                name: "an index",
                index,
                count: self.len(),
            });
        }
        let what = "a mini-batch";
        let rows = shape::product(what, &[sequences, self.max_length])?;
        let (labels, values) = match self.targets {
            Targets::None => (0, 0),
            Targets::Classes { .. } => (sequences, 0),
            Targets::StepClasses { .. } => (rows, 0),
            Targets::Values { size, per_step, .. } => {
                let vectors = if per_step { rows } else { sequences };
                (0, shape::product(what, &[vectors, size])?)
            }
        };
        try_reserve(
            what,
            &mut batch.x,
            shape::product(what, &[rows, self.input_size])?,
        )?;
        try_reserve(what, &mut batch.lengths, sequences)?;
        try_reserve(what, &mut batch.labels, labels)?;
        try_reserve(what, &mut batch.values, values)?;

        let longest = indices.iter().map(|&index| self.length(index)).max();
        batch.steps = longest.unwrap_or(0);
        batch.x.clear();
        batch.lengths.clear();
        batch.labels.clear();
        batch.values.clear();
        for &index in indices {
            let steps = self.steps(index);
            batch.lengths.push(steps.len());
            let width = batch.steps * self.input_size;
            extend_padded(&mut batch.x, self.sequence(index), width, E::ZERO);
            match &self.targets {
                Targets::None => {}
                Targets::Classes { labels, .. } => batch.labels.push(labels[index]),
                Targets::StepClasses { labels, .. } => {
                    extend_padded(&mut batch.labels, &labels[steps], batch.steps, 0);
                }
                Targets::Values {
                    size,
                    per_step,
                    values,
                } => {
                    let (rows, padded) = if *per_step {
                        (steps, batch.steps)
                    } else {
                        (index..index + 1, 1)
                    };
                    let vectors = &values[rows.start * size..rows.end * size];
                    extend_padded(&mut batch.values, vectors, padded * size, E::ZERO);
                }
            }
        }
        Ok(())
    }

    /// The steps of sequence `index` among all steps.
    fn steps(&self, index: usize) -> Range<usize> {
        self.offsets[index]..self.offsets[index + 1]
    }
}

/// Some sequences of a [`Dataset`] side by side, padded to one length: what one step of training works on.
///
/// It belongs to the caller, starts empty ([`MiniBatch::default`]) and is refilled by [`Dataset::gather`].
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct MiniBatch<E: Element = f32> {
    /// Steps of the longest sequence in the batch.
    pub steps: usize,
    /// `[batch][steps][input_size]`, zero from the end of a sequence on.
    pub x: Vec<E>,
    /// `[batch]`: steps of each sequence.
    pub lengths: Vec<usize>,
    /// `[batch]` for [`Targets::Classes`], `[batch][steps]` for [`Targets::StepClasses`] (0 from the end of a sequence
    /// on), otherwise empty.
    pub labels: Vec<usize>,
    /// For [`Targets::Values`] `[batch][size]` or, per step, `[batch][steps][size]` (zero from the end of a sequence
    /// on), otherwise empty.
    pub values: Vec<E>,
}

/// Appends `row` and as much `padding` as `width` elements need.
fn extend_padded<T: Copy>(buffer: &mut Vec<T>, row: &[T], width: usize, padding: T) {
    let end = buffer.len() + width;
    buffer.extend_from_slice(row);
    buffer.resize(end, padding);
}

/// A push that reports when memory is out.
pub(super) fn append<T>(what: &'static str, buffer: &mut Vec<T>, value: T) -> Result<()> {
    let count = buffer.len() + 1;
    try_reserve(what, buffer, count)?;
    buffer.push(value);
    Ok(())
}

fn check_labels(labels: &[usize], classes: usize, expected: usize) -> Result<()> {
    shape::expect_nonzero("the number of classes", classes)?;
    shape::expect_len("labels", labels.len(), expected)?;
    let wrong = |&label: &usize| label >= classes && label != NO_LABEL;
    match labels.iter().position(wrong) {
        None => Ok(()),
        Some(index) => Err(Error::Label {
            index,
            label: labels[index],
            classes,
        }),
    }
}

/// Whether the names are those of [`Targets::numbered_classes`].
fn are_numbers(names: &[String]) -> bool {
    let mut names = names.iter().enumerate();
    names.all(|(class, name)| {
        let digits = class.checked_ilog10().unwrap_or(0) as usize + 1;
        name.parse() == Ok(class) && name.len() == digits
    })
}
