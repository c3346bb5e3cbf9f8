//! CTC: labels without places in time
//!
//! The loss of connectionist temporal classification (Graves et al. 2006), for networks with ELMAN_OUTPUT_ALL and sequences
//! whose labels are known, in their order, but not at which steps they are. Each step is one class, or the blank, which
//! stands for none. The steps of a sequence spell what is left once equal classes that follow each other have become one, and
//! then the blanks are left out: with the blank -, both -aa-a and a--aa spell aa. The loss is -ln of the probability that the
//! steps spell the labels, over all ways in which they can. So a sequence needs a step for each label, and one more between
//! two that are equal.
//!
//! A training step, with a workspace that keeps room from call to call, and what the network then reads:
//!
//!     elman_forward(network, x, batch, steps, lengths, NULL, y, NULL);
//!     elman_ctc(y, labels, label_lengths, batch, steps, lengths, classes, NULL, workspace, &loss, dy);
//!     elman_backward(network, dy, NULL, NULL, NULL);
//!     elman_update(network, optimizer);
//!
//!     elman_predict(network, x, batch, steps, lengths, NULL, y, NULL);
//!     elman_ctc_greedy_decode(y, batch, steps, lengths, classes, 0, read, read_lengths);

use elman_engine::loss::{self, CtcLabels, CtcReduction, Padding};
use elman_engine::{Error, shape};

use crate::border::{self, Caller, Versioned, call, flag};
use crate::status::{Result, Status};

/// The loss of each sequence is divided by the number of its labels, or 1 if it has none; the mean of that over the batch.
pub const ELMAN_CTC_MEAN: u32 = 0;
/// The sum of the losses of the sequences.
pub const ELMAN_CTC_SUM: u32 = 1;

/// How elman_ctc() works. elman_ctc_options_init() gives every field its default, which are PyTorch's. Later versions may add
/// fields at the end, and go on to accept the size of this one.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct CtcOptions {
    /// Size of the struct in bytes, which is its version.
    pub size: usize,
    /// The class that is the blank, less than the number of classes; by default 0.
    pub blank: usize,
    /// ELMAN_CTC_MEAN, the default, or ELMAN_CTC_SUM.
    pub reduction: u32,
    /// 1: a sequence whose loss is infinite counts as one of loss 0, with a gradient of 0; 0, the default: a sequence that
    /// is too short for its labels is an error.
    pub zero_infinity: u32,
}

impl Versioned for CtcOptions {
    const FIRST: usize = size_of::<Self>();
}

/// Room in which elman_ctc() works.
#[derive(Debug, Default)]
pub struct CtcWorkspace(loss::CtcWorkspace<f32>);

/// Gives every field of the options its default.
///
///   options     receives the defaults
///   size        sizeof(elman_ctc_options)
///
/// Errors: NULL; MISMATCH where `size` is that of no version that the library knows.
/// Threads: any. Since 0.1.
///
/// # Safety
///
/// - `options` is NULL or has room for a result, which nobody else touches during the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn elman_ctc_options_init(options: *mut CtcOptions, size: usize) -> Status {
    call(|caller| {
        let options = caller.versioned_result("options", options, size)?;
        options.write(CtcOptions {
            size,
            ..CtcOptions::default()
        });
        Ok(())
    })
}

/// A workspace without any room yet. It belongs to the caller, who gives it back with elman_ctc_workspace_destroy().
///
///   out         receives the workspace
///
/// Errors: NULL.
/// Threads: any. Since 0.1.
///
/// # Safety
///
/// - `out` is NULL or has room for a result, which nobody else touches during the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn elman_ctc_workspace_create(out: *mut *mut CtcWorkspace) -> Status {
    call(|caller| {
        let out = caller.result("out", out)?;
        out.write(border::handle(CtcWorkspace::default()));
        Ok(())
    })
}

/// Frees a workspace; of NULL, does nothing.
///
/// Threads: needs the workspace to itself. Since 0.1.
#[unsafe(no_mangle)]
pub extern "C" fn elman_ctc_workspace_destroy(workspace: Option<Box<CtcWorkspace>>) {
    border::destroy(workspace);
}

/// The CTC loss of a batch.
///
///   logits         [batch][steps][classes], of any size
///   labels         the labels of all sequences, one sequence after the other; each less than `classes`, and not the blank
///   label_lengths  [batch], the number of labels of each sequence, which may be 0; their sum is the number of labels
///   batch          at least 1
///   steps          at least 1
///   lengths        [batch], each 0 to `steps`: of each sequence only so many steps count, the others are not read; NULL: all
///   classes        at least 1, the blank among them
///   options        NULL for the defaults: the blank is class 0, the loss a mean
///   workspace      any, which is used for this call alone; the first call makes the room that it needs, and one of the same
///                  or a smaller shape allocates nothing; NULL: every call allocates
///   loss           receives the loss; may be NULL
///   dlogits        receives its gradient, [batch][steps][classes], 0 at steps that do not count; must not overlap another
///                  argument; may be NULL
///
/// The sums over all alignments are taken in double, of each sequence by itself. A NAN at a step that counts makes the loss and
/// the gradient of that sequence NAN. Where logits of minus infinity make the labels impossible, the loss is infinite and the
/// gradient of that sequence NAN, unless `zero_infinity` is set.
///
/// Errors: NULL (logits, labels, label_lengths), OVERLAP, ZERO_SIZE, SIZE_OVERFLOW, OUT_OF_MEMORY; OUT_OF_RANGE for a length, a
/// label, the blank, and for a sequence that is too short for its labels, unless `zero_infinity` is set; UNKNOWN_CONSTANT for
/// `reduction` and `zero_infinity`; MISMATCH for the size of the options.
/// Threads: needs the workspace to itself. Since 0.1.
///
/// # Safety
///
/// - `logits`, `labels`, `label_lengths` and `lengths` are NULL or as large as documented, and nobody writes to them during the
///   call.
/// - `options` is NULL or as large as its size says, and nobody writes to it during the call.
/// - `dlogits` is NULL or as large as documented, and nobody else touches it during the call.
/// - `loss` is NULL or has room for a result, which nobody else touches during the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn elman_ctc(
    logits: *const f32,
    labels: *const usize,
    label_lengths: *const usize,
    batch: usize,
    steps: usize,
    lengths: *const usize,
    classes: usize,
    options: *const CtcOptions,
    workspace: Option<&mut CtcWorkspace>,
    loss: *mut f64,
    dlogits: *mut f32,
) -> Status {
    call(|caller| {
        let options = caller.versioned("options", options, CtcOptions::default())?;
        let padding = padding(caller, batch, steps, lengths)?;
        let lengths = caller.read("label_lengths", label_lengths, &[batch])?;
        let count = shape::sum("labels", lengths)?;
        let labels = caller.read("labels", labels, &[count])?;
        let sizes = [batch, steps, classes];
        let logits = caller.read("logits", logits, &sizes)?;
        let loss = caller.result_optional("loss", loss)?;
        let dlogits = caller.write_optional("dlogits", dlogits, &sizes)?;
        let mut own = CtcWorkspace::default();
        let value = loss::ctc(
            logits,
            classes,
            CtcLabels { labels, lengths },
            padding,
            options.engine()?,
            &mut workspace.unwrap_or(&mut own).0,
            dlogits,
        )?;
        if let Some(loss) = loss {
            loss.write(value);
        }
        Ok(())
    })
}

/// What the likeliest class of each step spells, for each sequence: the best path (Graves et al. 2006), which is not always the
/// likeliest labelling. Of classes that are equally likely it takes the first.
///
///   logits         [batch][steps][classes], or their softmax
///   batch          at least 1
///   steps          at least 1
///   lengths        [batch], each 0 to `steps`: of each sequence only so many steps count; NULL: all
///   classes        at least 1, the blank among them
///   blank          the class that is the blank, less than `classes`
///   labels         receives the labels of all sequences, one sequence after the other, as elman_ctc() takes them,
///                  [batch * steps]; what lies behind them stays as it was; must not overlap another argument
///   label_lengths  receives the number of labels of each sequence, [batch]; must not overlap another argument
///
/// Errors: NULL (logits, labels, label_lengths), OVERLAP, ZERO_SIZE, SIZE_OVERFLOW; OUT_OF_RANGE for a length and the blank.
/// Threads: any. Since 0.1.
///
/// # Safety
///
/// - `logits` and `lengths` are NULL or as large as documented, and nobody writes to them during the call.
/// - `labels` and `label_lengths` are NULL or as large as documented, and nobody else touches them during the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn elman_ctc_greedy_decode(
    logits: *const f32,
    batch: usize,
    steps: usize,
    lengths: *const usize,
    classes: usize,
    blank: usize,
    labels: *mut usize,
    label_lengths: *mut usize,
) -> Status {
    call(|caller| {
        let padding = padding(caller, batch, steps, lengths)?;
        let logits = caller.read("logits", logits, &[batch, steps, classes])?;
        let labels = caller.write("labels", labels, &[batch, steps])?;
        let label_lengths = caller.write("label_lengths", label_lengths, &[batch])?;
        loss::ctc_greedy_decode(logits, classes, padding, blank, labels, label_lengths)?;
        Ok(())
    })
}

/// The steps that count, where these are not all.
///
/// # Safety
///
/// As with [`Caller::read`].
unsafe fn padding<'call>(
    caller: &mut Caller<'call>,
    batch: usize,
    steps: usize,
    lengths: *const usize,
) -> Result<Option<Padding<'call>>> {
    let lengths = caller.read_optional("lengths", lengths, &[batch])?;
    Ok(lengths.map(|lengths| Padding { steps, lengths }))
}

impl Default for CtcOptions {
    fn default() -> Self {
        Self {
            size: size_of::<Self>(),
            blank: 0,
            reduction: ELMAN_CTC_MEAN,
            zero_infinity: 0,
        }
    }
}

impl CtcOptions {
    fn engine(&self) -> Result<loss::CtcOptions> {
        let mut options = loss::CtcOptions::default();
        options.blank = self.blank;
        options.reduction = match self.reduction {
            ELMAN_CTC_MEAN => CtcReduction::Mean,
            ELMAN_CTC_SUM => CtcReduction::Sum,
            value => {
                return Err(Error::UnknownConstant {
                    name: "reduction",
                    value,
                    known: "the ELMAN_CTC_ constants (0 and 1)",
                }
                .into());
            }
        };
        options.zero_infinity = flag("zero_infinity", self.zero_infinity)?;
        Ok(options)
    }
}
