//! Data sets
//!
//! Sequences of feature vectors, each of its own length, and what a network should answer. A data set is filled once
//! and never changes; it owns copies of all that it was given. It belongs to the caller, who gives it back with
//! elman_dataset_destroy().

use std::ffi::c_char;

use elman_engine::dataset::Targets;
use elman_engine::{Error, shape};

use crate::border::{self, Caller, call, copied, get, require, reserved};
use crate::network::Network;
use crate::optimizer::flag;
use crate::status::{Result, Status};

/// Sequences and their targets.
#[derive(Debug)]
pub struct Dataset {
    pub(crate) data: elman_engine::dataset::Dataset<f32>,
    /// The names of the classes, each with a 0 behind it.
    names: Vec<u8>,
    /// Where each name starts.
    name_starts: Vec<usize>,
}

/// Targets: nothing. The sequences are only run.
pub const ELMAN_TARGETS_NONE: u32 = 0;
/// Targets: one class per sequence.
pub const ELMAN_TARGETS_CLASSES: u32 = 1;
/// Targets: one class per step.
pub const ELMAN_TARGETS_STEP_CLASSES: u32 = 2;
/// Targets: one vector of numbers per sequence.
pub const ELMAN_TARGETS_VALUES: u32 = 3;
/// Targets: one vector of numbers per step.
pub const ELMAN_TARGETS_STEP_VALUES: u32 = 4;

/// Makes a data set without targets.
///
///   input_size  features of a step, at least 1
///   x           [total_steps][input_size], finite: the steps of all sequences one after the other, without padding,
///               where total_steps is the sum of `lengths`
///   lengths     [sequences], the steps of each sequence, at least 1
///   sequences   at least 1
///   out         receives the data set
///
/// Errors: NULL, ZERO_SIZE, SIZE_OVERFLOW, OUT_OF_RANGE for a length, NOT_FINITE, OUT_OF_MEMORY.
/// Threads: any. Since 0.1.
///
/// # Safety
///
/// - `x` and `lengths` are NULL or as large as documented, and nobody writes to them during the call.
/// - `out` is NULL or has room for a result, which nobody else touches during the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn elman_dataset_create(
    input_size: usize,
    x: *const f32,
    lengths: *const usize,
    sequences: usize,
    out: *mut *mut Dataset,
) -> Status {
    create(input_size, x, lengths, sequences, out, |_, _| {
        Ok(Targets::None)
    })
}

/// Makes a data set with classes as targets. They have their numbers for names: a label is the number of the network's
/// output that stands for the class, whatever names the network's classes have.
///
///   labels      [sequences] or, per step, [total_steps]: the labels of the first sequence's steps, then of the
///               second's and so on; each less than `classes`, or ELMAN_NO_LABEL where the sequence or the step has no
///               class: it counts neither in losses nor in metrics
///   classes     number of classes, 1 to 2^24
///   per_step    0: one class per sequence; 1: one class per step
///
/// The other arguments are those of elman_dataset_create().
///
/// Errors: those of elman_dataset_create(), UNKNOWN_CONSTANT, and OUT_OF_RANGE for a label; of `classes`, ZERO_SIZE,
/// SIZE_OVERFLOW or OUT_OF_MEMORY, the latter for more than 2^24. Labels are looked at before memory is asked for.
/// Threads: any. Since 0.1.
///
/// # Safety
///
/// - `x`, `lengths` and `labels` are NULL or as large as documented, and nobody writes to them during the call.
/// - `out` is NULL or has room for a result, which nobody else touches during the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn elman_dataset_create_classes(
    input_size: usize,
    x: *const f32,
    lengths: *const usize,
    sequences: usize,
    labels: *const usize,
    classes: usize,
    per_step: u32,
    out: *mut *mut Dataset,
) -> Status {
    create(
        input_size,
        x,
        lengths,
        sequences,
        out,
        |caller, total_steps| {
            let per_step = flag("per_step", per_step)?;
            let count = if per_step { total_steps } else { sequences };
            let labels = copied("labels", caller.read("labels", labels, &[count])?)?;
            let numbered = Targets::numbered_classes(labels, classes)?;
            Ok(match numbered {
                Targets::Classes { labels, names } if per_step => {
                    Targets::StepClasses { labels, names }
                }
                other => other,
            })
        },
    )
}

/// Makes a data set with vectors of numbers as targets.
///
///   values      [sequences][size] or, per step, [total_steps][size]: each finite, or NAN where there is no target; that
///               element counts in no loss
///   size        numbers in one vector, at least 1
///   per_step    0: one vector per sequence; 1: one vector per step
///
/// The other arguments are those of elman_dataset_create().
///
/// Errors: those of elman_dataset_create(), and UNKNOWN_CONSTANT.
/// Threads: any. Since 0.1.
///
/// # Safety
///
/// - `x`, `lengths` and `values` are NULL or as large as documented, and nobody writes to them during the call.
/// - `out` is NULL or has room for a result, which nobody else touches during the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn elman_dataset_create_values(
    input_size: usize,
    x: *const f32,
    lengths: *const usize,
    sequences: usize,
    values: *const f32,
    size: usize,
    per_step: u32,
    out: *mut *mut Dataset,
) -> Status {
    create(
        input_size,
        x,
        lengths,
        sequences,
        out,
        |caller, total_steps| {
            let per_step = flag("per_step", per_step)?;
            let rows = if per_step { total_steps } else { sequences };
            Ok(Targets::Values {
                size,
                per_step,
                values: copied("values", caller.read("values", values, &[rows, size])?)?,
            })
        },
    )
}

/// Reads a file in the .ts format of the UCR and UEA time-series archive: one sequence per case, one feature per
/// dimension; classes where the header has @classLabel true, one number per sequence where it has @targetLabel true,
/// otherwise no targets.
///
///   path        of the file, ends with 0; UTF-8 on Windows
///   out         receives the data set
///
/// Errors: NULL, IO, OUT_OF_MEMORY; PARSE, with the line, where the file breaks the format or has what a data
/// set cannot hold: missing values, time stamps, numbers beyond float.
/// Threads: any. Since 0.1.
///
/// # Safety
///
/// - `path` is NULL or ends with 0, and nobody writes to it during the call.
/// - `out` is NULL or has room for a result, which nobody else touches during the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn elman_dataset_read_ts(
    path: *const c_char,
    out: *mut *mut Dataset,
) -> Status {
    call(|caller| {
        let path = caller.path("path", path)?;
        let out = caller.result("out", out)?;
        let data = elman_engine::dataset::Dataset::read_ts(path)?;
        out.write(border::handle(Dataset::new(data)?));
        Ok(())
    })
}

/// Frees a data set; of NULL, does nothing. Pointers into it end.
///
/// Threads: needs the data set to itself. Since 0.1.
#[unsafe(no_mangle)]
pub extern "C" fn elman_dataset_destroy(dataset: Option<Box<Dataset>>) {
    border::destroy(dataset);
}

/// Number of sequences, at least 1; 0 for NULL.
///
/// Threads: any number on one data set. Since 0.1.
#[unsafe(no_mangle)]
pub extern "C" fn elman_dataset_sequence_count(dataset: Option<&Dataset>) -> usize {
    get("dataset", dataset, 0, |dataset| dataset.data.len())
}

/// Features of a step; 0 for NULL.
///
/// Threads: any number on one data set. Since 0.1.
#[unsafe(no_mangle)]
pub extern "C" fn elman_dataset_input_size(dataset: Option<&Dataset>) -> usize {
    get("dataset", dataset, 0, |dataset| dataset.data.input_size())
}

/// Steps of all sequences together; 0 for NULL.
///
/// Threads: any number on one data set. Since 0.1.
#[unsafe(no_mangle)]
pub extern "C" fn elman_dataset_total_steps(dataset: Option<&Dataset>) -> usize {
    get("dataset", dataset, 0, |dataset| dataset.data.total_steps())
}

/// Steps of the longest sequence; 0 for NULL.
///
/// Threads: any number on one data set. Since 0.1.
#[unsafe(no_mangle)]
pub extern "C" fn elman_dataset_max_length(dataset: Option<&Dataset>) -> usize {
    get("dataset", dataset, 0, |dataset| dataset.data.max_length())
}

/// What the targets are, an ELMAN_TARGETS_ constant; ELMAN_TARGETS_NONE for NULL.
///
/// Threads: any number on one data set. Since 0.1.
#[unsafe(no_mangle)]
pub extern "C" fn elman_dataset_targets(dataset: Option<&Dataset>) -> u32 {
    get(
        "dataset",
        dataset,
        ELMAN_TARGETS_NONE,
        |dataset| match dataset.data.targets() {
            Targets::Classes { .. } => ELMAN_TARGETS_CLASSES,
            Targets::StepClasses { .. } => ELMAN_TARGETS_STEP_CLASSES,
            Targets::Values {
                per_step: false, ..
            } => ELMAN_TARGETS_VALUES,
            Targets::Values { per_step: true, .. } => ELMAN_TARGETS_STEP_VALUES,
            _ => ELMAN_TARGETS_NONE,
        },
    )
}

/// Number of classes; 0 where the targets are no classes, and for NULL.
///
/// Threads: any number on one data set. Since 0.1.
#[unsafe(no_mangle)]
pub extern "C" fn elman_dataset_class_count(dataset: Option<&Dataset>) -> usize {
    get("dataset", dataset, 0, |dataset| dataset.data.class_count())
}

/// Gives the name of a class.
///
///   index       less than elman_dataset_class_count()
///   name        receives the name; it stays until the data set is destroyed
///
/// Errors: NULL, OUT_OF_RANGE.
/// Threads: any number on one data set. Since 0.1.
///
/// # Safety
///
/// - `name` is NULL or has room for a result, which nobody else touches during the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn elman_dataset_class_name(
    dataset: Option<&Dataset>,
    index: usize,
    name: *mut *const c_char,
) -> Status {
    call(|caller| {
        let dataset = require("dataset", dataset)?;
        let name = caller.result("name", name)?;
        let Some(&start) = dataset.name_starts.get(index) else {
            return Err(Error::IndexOutOfRange {
                name: "index",
                index,
                count: dataset.name_starts.len(),
            }
            .into());
        };
        name.write(dataset.names[start..].as_ptr().cast());
        Ok(())
    })
}

/// Gives a sequence itself.
///
///   index       less than elman_dataset_sequence_count()
///   x           receives the address of the sequence, [length][input_size]; it stays until the data set is destroyed;
///               may be NULL
///   length      receives its number of steps; may be NULL
///
/// Errors: NULL (dataset), OVERLAP, OUT_OF_RANGE.
/// Threads: any number on one data set. Since 0.1.
///
/// # Safety
///
/// - `x` and `length` are NULL or have room for their results, which nobody else touches during the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn elman_dataset_sequence(
    dataset: Option<&Dataset>,
    index: usize,
    x: *mut *const f32,
    length: *mut usize,
) -> Status {
    call(|caller| {
        let data = &require("dataset", dataset)?.data;
        let x = caller.result_optional("x", x)?;
        let length = caller.result_optional("length", length)?;
        if index >= data.len() {
            return Err(Error::IndexOutOfRange {
                name: "index",
                index,
                count: data.len(),
            }
            .into());
        }
        if let Some(x) = x {
            x.write(data.sequence(index).as_ptr());
        }
        if let Some(length) = length {
            length.write(data.length(index));
        }
        Ok(())
    })
}

/// Gives the classes that are the targets, themselves: [sequences], or [total_steps] where there is one per step;
/// ELMAN_NO_LABEL where there is none.
///
///   labels      receives their address; it stays until the data set is destroyed
///   count       receives their number; may be NULL
///
/// Errors: NULL (dataset, labels), OVERLAP, MISMATCH where the targets are no classes.
/// Threads: any number on one data set. Since 0.1.
///
/// # Safety
///
/// - `labels` and `count` are NULL or have room for their results, which nobody else touches during the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn elman_dataset_labels(
    dataset: Option<&Dataset>,
    labels: *mut *const usize,
    count: *mut usize,
) -> Status {
    give_targets(
        "labels",
        "classes",
        dataset,
        labels,
        count,
        |targets| match targets {
            Targets::Classes { labels, .. } | Targets::StepClasses { labels, .. } => Some(labels),
            _ => None,
        },
    )
}

/// Gives the numbers that are the targets, themselves: [sequences][size], or [total_steps][size] where there is one
/// vector per step.
///
///   values      receives their address; it stays until the data set is destroyed
///   count       receives how many numbers that are; may be NULL
///
/// Errors: NULL (dataset, values), OVERLAP, MISMATCH where the targets are no numbers.
/// Threads: any number on one data set. Since 0.1.
///
/// # Safety
///
/// - `values` and `count` are NULL or have room for their results, which nobody else touches during the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn elman_dataset_values(
    dataset: Option<&Dataset>,
    values: *mut *const f32,
    count: *mut usize,
) -> Status {
    give_targets(
        "values",
        "vectors of numbers",
        dataset,
        values,
        count,
        |targets| match targets {
            Targets::Values { values, .. } => Some(values),
            _ => None,
        },
    )
}

/// Makes the network standardise its inputs by the mean and the deviation of every feature of a data set, over all
/// steps of all its sequences, as elman_set_standardization() does. A feature that is constant gets deviation 1.
///
/// Errors: NULL, LENGTH where the data set has another number of features, OUT_OF_MEMORY.
/// Threads: needs the network to itself; any number on one data set. Since 0.1.
#[unsafe(no_mangle)]
pub extern "C" fn elman_standardize(
    network: Option<&mut Network>,
    dataset: Option<&Dataset>,
) -> Status {
    call(|_| {
        let network = require("network", network)?;
        let dataset = require("dataset", dataset)?;
        let standardization = dataset.data.standardization()?;
        Ok(network.0.set_standardization(Some(standardization))?)
    })
}

/// Makes a data set.
///
/// # Safety
///
/// As with [`Caller::read`] and [`Caller::result`].
unsafe fn create(
    input_size: usize,
    x: *const f32,
    lengths: *const usize,
    sequences: usize,
    out: *mut *mut Dataset,
    targets: impl for<'call> FnOnce(&mut Caller<'call>, usize) -> Result<Targets<f32>>,
) -> Status {
    call(|caller| {
        let out = caller.result("out", out)?;
        let lengths = caller.read("lengths", lengths, &[sequences])?;
        let total_steps = shape::sum("the sum of lengths", lengths)?;
        let x = caller.read("x", x, &[total_steps, input_size])?;
        let targets = targets(caller, total_steps)?;
        let data =
            elman_engine::dataset::Dataset::new(input_size, copied("x", x)?, lengths, targets)?;
        out.write(border::handle(Dataset::new(data)?));
        Ok(())
    })
}

/// Gives the address and the number of targets of one kind.
///
/// # Safety
///
/// As with [`Caller::result`].
unsafe fn give_targets<T: Copy + 'static>(
    name: &'static str,
    kind: &'static str,
    dataset: Option<&Dataset>,
    address: *mut *const T,
    count: *mut usize,
    find: impl FnOnce(&Targets<f32>) -> Option<&Vec<T>>,
) -> Status {
    call(|caller| {
        let dataset = require("dataset", dataset)?;
        let address = caller.result(name, address)?;
        let count = caller.result_optional("count", count)?;
        let Some(values) = find(dataset.data.targets()) else {
            return Err(Error::Mismatch {
                name: "the kind of targets",
                actual: "another".to_string(),
                expected: kind.to_string(),
            }
            .into());
        };
        address.write(values.as_ptr());
        if let Some(count) = count {
            count.write(values.len());
        }
        Ok(())
    })
}

impl Dataset {
    fn new(data: elman_engine::dataset::Dataset<f32>) -> Result<Self> {
        let what = "the names of the classes";
        let bytes = data.class_names().iter().map(|name| name.len() + 1).sum();
        let mut names = reserved(what, bytes)?;
        let mut name_starts = reserved(what, data.class_count())?;
        for name in data.class_names() {
            name_starts.push(names.len());
            // A C string ends at its first 0.
            names.extend(name.bytes().map(|byte| if byte == 0 { b'?' } else { byte }));
            names.push(0);
        }
        Ok(Self {
            data,
            names,
            name_starts,
        })
    }
}
