//! Data sets
//!
//! Sequences of feature vectors, each of its own length, and what a network should answer. A data set is filled once
//! and never changes; it owns copies of all that it was given. It belongs to the caller, who gives it back with
//! elman_dataset_destroy().
//!
//! These functions are the part "datasets" of the library.

use std::ffi::c_char;
use std::ptr;

#[cfg(feature = "datasets")]
use elman_engine::dataset::{MissingValues, Targets};
use elman_engine::{Error, shape};

use crate::border::{self, Caller, Versioned, call, copied, flag, get, require, reserved, zero};
use crate::network::Network;
use crate::status::{Result, Status};

/// Sequences and their targets.
#[derive(Debug)]
pub struct Dataset {
    #[cfg(feature = "datasets")]
    pub(crate) data: elman_engine::dataset::Dataset<f32>,
    /// The names of the classes, each with a 0 behind it.
    names: Vec<u8>,
    /// Where each name starts.
    name_starts: Vec<usize>,
    /// The notes on the file, as the names are.
    notes: Vec<u8>,
    note_starts: Vec<usize>,
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
    part!(
        "datasets",
        create(input_size, x, lengths, sequences, out, |_, _| {
            Ok(Targets::None)
        })
    )
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
    part!(
        "datasets",
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
    part!(
        "datasets",
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
    )
}

/// What takes the place of missing values: nothing, they are an error.
pub const ELMAN_MISSING_ERROR: u32 = 0;
/// What takes the place of missing values: the last value before them.
pub const ELMAN_MISSING_CARRY: u32 = 1;
/// What takes the place of missing values: numbers on the line between the values around them, over time where there
/// are time stamps, otherwise over the steps.
pub const ELMAN_MISSING_LINEAR: u32 = 2;

/// How elman_dataset_read_ts_with() reads. elman_ts_options_init() gives every field its default. Later versions may
/// add fields at the end, and go on to accept the size of this one.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct TsOptions {
    /// Size of the struct in bytes, which is its version.
    pub size: usize,
    /// An ELMAN_MISSING_ constant; by default ELMAN_MISSING_ERROR. Each series, which is one dimension of one case, is
    /// filled by itself: where it starts with missing values, these take the first one that is there, and where it
    /// ends with some, the last one.
    pub missing: u32,
    /// 1: steps at the end of a case at which the values of all dimensions are missing are padding, and the sequence
    /// ends before them; 0, the default: they are steps as all others are.
    pub trim_padding: u32,
    /// 1: time stamps become one more feature, the last one: the time since the first step of the sequence, in seconds
    /// where the stamps are dates, otherwise in their own unit; 0, the default: they only order the values.
    pub time_feature: u32,
    /// 0; so that the struct ends where its last field does.
    pub reserved: u32,
}

impl Versioned for TsOptions {
    const FIRST: usize = size_of::<Self>();
}

/// Gives every field of the options its default.
///
///   options     receives the defaults
///   size        sizeof(elman_ts_options)
///
/// Errors: NULL; MISMATCH where `size` is that of no version that the library knows.
/// Threads: any. Since 0.1.
///
/// # Safety
///
/// - `options` is NULL or has room for a result, which nobody else touches during the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn elman_ts_options_init(options: *mut TsOptions, size: usize) -> Status {
    part!(
        "datasets",
        call(|caller| {
            let options = caller.versioned_result("options", options, size)?;
            options.write(TsOptions {
                size,
                ..TsOptions::default()
            });
            Ok(())
        })
    )
}

/// Reads a file in the .ts format of the UCR and UEA time-series archive as elman_dataset_read_ts_with() does, with the
/// default options: missing values are an error, time stamps order the values.
///
///   path        of the file, ends with 0; UTF-8 on Windows
///   out         receives the data set
///
/// Errors: those of elman_dataset_read_ts_with().
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
    part!(
        "datasets",
        call(|caller| read_ts(caller, path, ptr::null(), out))
    )
}

/// Reads a file in the .ts format of the UCR and UEA time-series archive, as aeon and sktime read and write it: one
/// sequence per case, one feature per dimension.
///
///   path        of the file, ends with 0; UTF-8 on Windows
///   options     NULL for the defaults
///   out         receives the data set
///
/// Lines that start with '#' or '%' are comments. The header's lines are tags and their values, in any case of letters,
/// up to @data; every line after it is a case, its dimensions joined by ':' and each of them values joined by ','. In
/// the header tags of other formats and lines that are no tags are skipped. Tags and cases are UTF-8; comments need not
/// be.
///
/// Targets: with "@classLabel true" the last field of a case is its class, with "@targetLabel true" a number (also if
/// both are true); where they are false there are no targets, and a ':' at the end of a case opens no dimension. Where
/// the header has neither, the last field is a class.
///
/// Classes have the names and the order of @classLabel. A case may write its class in other letters ("up" for "Up") or
/// numbers ("1.0" for "1"). Classes that only the cases name come behind those of the header, sorted by their
/// characters. Where one of these has blanks, which the header cannot show, or the header names no class, the classes
/// are those of the cases alone, sorted.
///
/// A case whose label is empty, '?' or NaN, unless the header names a class so, has none: its label is ELMAN_NO_LABEL, its
/// target NaN. If no case has a class and the header names none, there are no targets.
///
/// With "@timeStamps true" each value is "(stamp,value)", and the steps of a case are in the order of the stamps; equal
/// stamps stay in the order of the file. A stamp is a number or a date such as 2004-12-06 23:59:00 (the time may be
/// missing, its seconds may, too, or have parts; '/' and 'T' as separators; 'Z' or an offset such as +01:00 behind it).
/// All dimensions of a case have the same stamps.
///
/// Missing values are '?' or NaN, and may be filled in or, at the end of a case, trimmed: see the options.
///
/// Where cases and header contradict each other in what @univariate, @dimensions, @equalLength, @seriesLength and
/// @missing say, the cases are right, and elman_dataset_get_note() says so. The first case decides the number of
/// dimensions.
///
/// Errors: NULL (path, out), MISMATCH for a size of the options that the library does not know, UNKNOWN_CONSTANT, IO,
/// OUT_OF_MEMORY; PARSE, with the line, where the file breaks the format or has what a data set cannot hold: missing
/// values without an option that fills them, a series of nothing else, dimensions of different lengths or stamps in one
/// case, infinities, numbers beyond float; and where time stamps are to become a feature and there are none.
/// Threads: any. Since 0.1.
///
/// # Safety
///
/// - `path` is NULL or ends with 0, and nobody writes to it during the call.
/// - `options` is NULL or a struct as large as its size field says, and nobody writes to it during the call.
/// - `out` is NULL or has room for a result, which nobody else touches during the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn elman_dataset_read_ts_with(
    path: *const c_char,
    options: *const TsOptions,
    out: *mut *mut Dataset,
) -> Status {
    part!(
        "datasets",
        call(|caller| read_ts(caller, path, options, out))
    )
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
    part!(
        "datasets",
        get("dataset", dataset, 0, |dataset| dataset.data.len()),
        0
    )
}

/// Features of a step; 0 for NULL.
///
/// Threads: any number on one data set. Since 0.1.
#[unsafe(no_mangle)]
pub extern "C" fn elman_dataset_input_size(dataset: Option<&Dataset>) -> usize {
    part!(
        "datasets",
        get("dataset", dataset, 0, |dataset| dataset.data.input_size()),
        0
    )
}

/// Steps of all sequences together; 0 for NULL.
///
/// Threads: any number on one data set. Since 0.1.
#[unsafe(no_mangle)]
pub extern "C" fn elman_dataset_total_steps(dataset: Option<&Dataset>) -> usize {
    part!(
        "datasets",
        get("dataset", dataset, 0, |dataset| dataset.data.total_steps()),
        0
    )
}

/// Steps of the longest sequence; 0 for NULL.
///
/// Threads: any number on one data set. Since 0.1.
#[unsafe(no_mangle)]
pub extern "C" fn elman_dataset_max_length(dataset: Option<&Dataset>) -> usize {
    part!(
        "datasets",
        get("dataset", dataset, 0, |dataset| dataset.data.max_length()),
        0
    )
}

/// What the targets are, an ELMAN_TARGETS_ constant; ELMAN_TARGETS_NONE for NULL.
///
/// Threads: any number on one data set. Since 0.1.
#[unsafe(no_mangle)]
pub extern "C" fn elman_dataset_targets(dataset: Option<&Dataset>) -> u32 {
    part!(
        "datasets",
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
        ),
        ELMAN_TARGETS_NONE
    )
}

/// Number of classes; 0 where the targets are no classes, and for NULL.
///
/// Threads: any number on one data set. Since 0.1.
#[unsafe(no_mangle)]
pub extern "C" fn elman_dataset_class_count(dataset: Option<&Dataset>) -> usize {
    part!(
        "datasets",
        get("dataset", dataset, 0, |dataset| dataset.data.class_count()),
        0
    )
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
    part!(
        "datasets",
        call(|caller| {
            let dataset = require("dataset", dataset)?;
            let name = caller.result("name", name)?;
            name.write(text_at(&dataset.names, &dataset.name_starts, index)?);
            Ok(())
        })
    )
}

/// Number of notes on the file that the data set was read from; 0 without a file, and for NULL.
///
/// Threads: any number on one data set. Since 0.1.
#[unsafe(no_mangle)]
pub extern "C" fn elman_dataset_get_note_count(dataset: Option<&Dataset>) -> usize {
    part!(
        "datasets",
        get("dataset", dataset, 0, |dataset| dataset.note_starts.len()),
        0
    )
}

/// Gives a note on the file: what it says of itself that is not so, and how it has been read, with the line, as "line 5:
/// @seriesLength is 127, the cases have 128 steps". The words may change from version to version.
///
///   index       less than elman_dataset_get_note_count()
///   note        receives the note; it stays until the data set is destroyed
///
/// Errors: NULL, OUT_OF_RANGE.
/// Threads: any number on one data set. Since 0.1.
///
/// # Safety
///
/// - `note` is NULL or has room for a result, which nobody else touches during the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn elman_dataset_get_note(
    dataset: Option<&Dataset>,
    index: usize,
    note: *mut *const c_char,
) -> Status {
    part!(
        "datasets",
        call(|caller| {
            let dataset = require("dataset", dataset)?;
            let note = caller.result("note", note)?;
            note.write(text_at(&dataset.notes, &dataset.note_starts, index)?);
            Ok(())
        })
    )
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
    part!(
        "datasets",
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
    )
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
    part!(
        "datasets",
        give_targets(
            "labels",
            "classes",
            dataset,
            labels,
            count,
            |targets| match targets {
                Targets::Classes { labels, .. } | Targets::StepClasses { labels, .. } =>
                    Some(labels),
                _ => None,
            },
        )
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
    part!(
        "datasets",
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
    part!(
        "datasets",
        call(|_| {
            let network = require("network", network)?;
            let dataset = require("dataset", dataset)?;
            let standardization = dataset.data.standardization()?;
            Ok(network.0.set_standardization(Some(standardization))?)
        })
    )
}

/// Makes a data set.
///
/// # Safety
///
/// As with [`Caller::read`] and [`Caller::result`].
#[cfg(feature = "datasets")]
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
#[cfg(feature = "datasets")]
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

/// Reads a file for an entry.
///
/// # Safety
///
/// As with [`Caller::path`], [`Caller::versioned`] and [`Caller::result`].
#[cfg(feature = "datasets")]
unsafe fn read_ts(
    caller: &mut Caller<'_>,
    path: *const c_char,
    options: *const TsOptions,
    out: *mut *mut Dataset,
) -> Result<()> {
    let path = caller.path("path", path)?;
    let options = caller.versioned("options", options, TsOptions::default())?;
    let out = caller.result("out", out)?;
    let options = options.engine()?;
    let data = elman_engine::dataset::Dataset::read_ts_with(path, &options)?;
    out.write(border::handle(Dataset::new(data)?));
    Ok(())
}

impl Default for TsOptions {
    fn default() -> Self {
        Self {
            size: size_of::<Self>(),
            missing: ELMAN_MISSING_ERROR,
            trim_padding: 0,
            time_feature: 0,
            reserved: 0,
        }
    }
}

#[cfg(feature = "datasets")]
impl TsOptions {
    fn engine(&self) -> Result<elman_engine::dataset::TsOptions> {
        let mut options = elman_engine::dataset::TsOptions::default();
        options.missing = match self.missing {
            ELMAN_MISSING_ERROR => MissingValues::Error,
            ELMAN_MISSING_CARRY => MissingValues::Carry,
            ELMAN_MISSING_LINEAR => MissingValues::Linear,
            value => {
                return Err(Error::UnknownConstant {
                    name: "missing",
                    value,
                    known: "the ELMAN_MISSING_ constants (0 to 2)",
                }
                .into());
            }
        };
        options.trim_padding = flag("trim_padding", self.trim_padding)?;
        options.time_feature = flag("time_feature", self.time_feature)?;
        zero("reserved", self.reserved)?;
        Ok(options)
    }
}

/// The text that starts at the `index`th of `starts`.
fn text_at(texts: &[u8], starts: &[usize], index: usize) -> Result<*const c_char> {
    let count = starts.len();
    let name = "index";
    let start = starts
        .get(index)
        .ok_or(Error::IndexOutOfRange { name, index, count })?;
    Ok(texts[*start..].as_ptr().cast())
}

/// Texts as C has them, each with a 0 behind it, and where each one starts.
fn c_texts(what: &'static str, texts: &[String]) -> Result<(Vec<u8>, Vec<usize>)> {
    let bytes = texts.iter().map(|text| text.len() + 1).sum();
    let mut all = reserved(what, bytes)?;
    let mut starts = reserved(what, texts.len())?;
    for text in texts {
        starts.push(all.len());
        // A C string ends at its first 0.
        all.extend(text.bytes().map(|byte| if byte == 0 { b'?' } else { byte }));
        all.push(0);
    }
    Ok((all, starts))
}

#[cfg(feature = "datasets")]
impl Dataset {
    fn new(data: elman_engine::dataset::Dataset<f32>) -> Result<Self> {
        let (names, name_starts) = c_texts("the names of the classes", data.class_names())?;
        let (notes, note_starts) = c_texts("the notes on a data set", data.notes())?;
        Ok(Self {
            data,
            names,
            name_starts,
            notes,
            note_starts,
        })
    }
}
