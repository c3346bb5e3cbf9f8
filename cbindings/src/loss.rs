//! Losses
//!
//! How far outputs are from what they should be, and the gradient of that, for elman_backward(). Every loss is a mean
//! over the rows or elements that count, and so is its gradient. Sums are taken in double, in an order that depends on
//! the sizes alone. The functions whose names end in _padded are for ELMAN_OUTPUT_ALL: of each sequence only the first
//! `lengths` steps count; the others are not read, and their gradient is 0. Nor does a row count whose label is
//! ELMAN_NO_LABEL, or an element whose target is NAN. That is also the way for outputs that are time-major
//! (elman_set_time_major()), which the _padded functions don't take: labels and targets then lie as the outputs do, and
//! those behind the end of a sequence are none. A network gives 0 for a sequence of length 0: with ELMAN_OUTPUT_LAST that is
//! a row like any other, which counts unless its label or target says that it does not.

use std::ptr;

use elman_engine::loss::{self, Padding};

use crate::border::{Caller, call};
use crate::status::{Result, Status};

/// The label of a row that has none, and does not count.
pub const ELMAN_NO_LABEL: usize = SIZE_MAX;
/// C's name for it, which is what the header is to say.
const SIZE_MAX: usize = loss::NO_LABEL;

/// The probabilities of the classes: exp(z_k) / sum_j exp(z_j) for each row z of the logits, of any size.
///
///   logits          [rows][classes]
///   rows            may be 0
///   classes         at least 1
///   probabilities   receives them, [rows][classes]; must not overlap `logits`
///
/// Errors: NULL, OVERLAP, ZERO_SIZE, SIZE_OVERFLOW.
/// Threads: any. Since 0.1.
///
/// # Safety
///
/// - `logits` is NULL or as large as documented, and nobody writes to it during the call.
/// - `probabilities` is NULL or as large as documented, and nobody else touches it during the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn elman_softmax(
    logits: *const f32,
    rows: usize,
    classes: usize,
    probabilities: *mut f32,
) -> Status {
    call(|caller| {
        let logits = caller.read("logits", logits, &[rows, classes])?;
        let probabilities = caller.write("probabilities", probabilities, &[rows, classes])?;
        Ok(loss::softmax(logits, classes, probabilities)?)
    })
}

/// The mean of -ln p_label, where p is the softmax of the logits.
///
///   logits      [rows][classes], of any size
///   labels      [rows], each less than `classes`, or ELMAN_NO_LABEL where the row does not count
///   rows        may be 0
///   classes     at least 1
///   loss        receives the loss, 0 where nothing counts; may be NULL
///   dlogits     receives its gradient, [rows][classes]; must not overlap another argument; may be NULL
///
/// Errors: NULL (logits, labels), OVERLAP, ZERO_SIZE, SIZE_OVERFLOW, OUT_OF_RANGE for a label.
/// Threads: any. Since 0.1.
///
/// # Safety
///
/// - `logits` and `labels` are NULL or as large as documented, and nobody writes to them during the call.
/// - `dlogits` is NULL or as large as documented, and nobody else touches it during the call.
/// - `loss` is NULL or has room for a result, which nobody else touches during the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn elman_softmax_cross_entropy(
    logits: *const f32,
    labels: *const usize,
    rows: usize,
    classes: usize,
    loss: *mut f64,
    dlogits: *mut f32,
) -> Status {
    let weights = ptr::null();
    elman_softmax_cross_entropy_weighted(logits, labels, rows, classes, weights, loss, dlogits)
}

/// As elman_softmax_cross_entropy(), for sequences of different lengths.
///
///   logits      [batch][steps][classes]
///   labels      [batch][steps], each less than `classes`, or ELMAN_NO_LABEL
///   batch       at least 1
///   steps       at least 1
///   lengths     [batch], each 0 to `steps`
///   classes     at least 1
///   loss        receives the loss; may be NULL
///   dlogits     receives its gradient, [batch][steps][classes]; must not overlap another argument; may be NULL
///
/// Errors: as there, and NULL (lengths), OUT_OF_RANGE for a length.
/// Threads: any. Since 0.1.
///
/// # Safety
///
/// - `logits`, `labels` and `lengths` are NULL or as large as documented, and nobody writes to them during the call.
/// - `dlogits` is NULL or as large as documented, and nobody else touches it during the call.
/// - `loss` is NULL or has room for a result, which nobody else touches during the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn elman_softmax_cross_entropy_padded(
    logits: *const f32,
    labels: *const usize,
    batch: usize,
    steps: usize,
    lengths: *const usize,
    classes: usize,
    loss: *mut f64,
    dlogits: *mut f32,
) -> Status {
    let weights = ptr::null();
    elman_softmax_cross_entropy_weighted_padded(
        logits, labels, batch, steps, lengths, classes, weights, loss, dlogits,
    )
}

/// As elman_softmax_cross_entropy(), with a weight for each class, as PyTorch's CrossEntropyLoss(weight) has them: the sum of
/// w_label * -ln p_label, divided by the sum of w_label, over the rows that count; and the gradient of that.
///
///   logits      [rows][classes], of any size
///   labels      [rows], each less than `classes`, or ELMAN_NO_LABEL where the row does not count
///   rows        may be 0
///   classes     at least 1
///   weights     [classes], each finite and at least 0: rows of a class of weight 0 do not count; NULL: all are 1
///   loss        receives the loss, 0 where nothing counts; may be NULL
///   dlogits     receives its gradient, [rows][classes]; must not overlap another argument; may be NULL
///
/// Errors: NULL (logits, labels), OVERLAP, ZERO_SIZE, SIZE_OVERFLOW, OUT_OF_RANGE for a label and for a weight.
/// Threads: any. Since 0.1.
///
/// # Safety
///
/// - `logits`, `labels` and `weights` are NULL or as large as documented, and nobody writes to them during the call.
/// - `dlogits` is NULL or as large as documented, and nobody else touches it during the call.
/// - `loss` is NULL or has room for a result, which nobody else touches during the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn elman_softmax_cross_entropy_weighted(
    logits: *const f32,
    labels: *const usize,
    rows: usize,
    classes: usize,
    weights: *const f32,
    loss: *mut f64,
    dlogits: *mut f32,
) -> Status {
    call(|caller| {
        cross_entropy(
            caller,
            logits,
            labels,
            &[rows],
            classes,
            weights,
            None,
            loss,
            dlogits,
        )
    })
}

/// As elman_softmax_cross_entropy_weighted(), for sequences of different lengths.
///
///   logits      [batch][steps][classes]
///   labels      [batch][steps], each less than `classes`, or ELMAN_NO_LABEL
///   batch       at least 1
///   steps       at least 1
///   lengths     [batch], each 0 to `steps`
///   classes     at least 1
///   weights     [classes], each finite and at least 0; NULL: all are 1
///   loss        receives the loss; may be NULL
///   dlogits     receives its gradient, [batch][steps][classes]; must not overlap another argument; may be NULL
///
/// Errors: as there, and NULL (lengths), OUT_OF_RANGE for a length.
/// Threads: any. Since 0.1.
///
/// # Safety
///
/// - `logits`, `labels`, `lengths` and `weights` are NULL or as large as documented, and nobody writes to them during the
///   call.
/// - `dlogits` is NULL or as large as documented, and nobody else touches it during the call.
/// - `loss` is NULL or has room for a result, which nobody else touches during the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn elman_softmax_cross_entropy_weighted_padded(
    logits: *const f32,
    labels: *const usize,
    batch: usize,
    steps: usize,
    lengths: *const usize,
    classes: usize,
    weights: *const f32,
    loss: *mut f64,
    dlogits: *mut f32,
) -> Status {
    call(|caller| {
        let padding = padding(caller, batch, steps, lengths)?;
        let rows = [batch, steps];
        cross_entropy(
            caller,
            logits,
            labels,
            &rows,
            classes,
            weights,
            Some(padding),
            loss,
            dlogits,
        )
    })
}

/// The mean of (y - target)^2.
///
///   y           [count]
///   targets     [count], NAN where there is none: that element does not count
///   count       number of elements, of any number of rows; may be 0
///   loss        receives the loss, 0 where there are no elements; may be NULL
///   dy          receives its gradient, [count]; must not overlap another argument; may be NULL
///
/// Errors: NULL (y, targets), OVERLAP, SIZE_OVERFLOW.
/// Threads: any. Since 0.1.
///
/// # Safety
///
/// - `y` and `targets` are NULL or as large as documented, and nobody writes to them during the call.
/// - `dy` is NULL or as large as documented, and nobody else touches it during the call.
/// - `loss` is NULL or has room for a result, which nobody else touches during the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn elman_mean_squared_error(
    y: *const f32,
    targets: *const f32,
    count: usize,
    loss: *mut f64,
    dy: *mut f32,
) -> Status {
    call(|caller| SQUARED_ERROR.run(caller, y, targets, &[count], None, loss, dy))
}

/// As elman_mean_squared_error(), for sequences of different lengths.
///
///   y           [batch][steps][size]
///   targets     [batch][steps][size], NAN where there is none
///   batch       at least 1
///   steps       at least 1
///   lengths     [batch], each 0 to `steps`
///   size        elements of a step
///   loss        receives the loss; may be NULL
///   dy          receives its gradient, [batch][steps][size]; must not overlap another argument; may be NULL
///
/// Errors: as there, and NULL (lengths), ZERO_SIZE, OUT_OF_RANGE for a length.
/// Threads: any. Since 0.1.
///
/// # Safety
///
/// - `y`, `targets` and `lengths` are NULL or as large as documented, and nobody writes to them during the call.
/// - `dy` is NULL or as large as documented, and nobody else touches it during the call.
/// - `loss` is NULL or has room for a result, which nobody else touches during the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn elman_mean_squared_error_padded(
    y: *const f32,
    targets: *const f32,
    batch: usize,
    steps: usize,
    lengths: *const usize,
    size: usize,
    loss: *mut f64,
    dy: *mut f32,
) -> Status {
    call(|caller| {
        let padding = padding(caller, batch, steps, lengths)?;
        let sizes = [batch, steps, size];
        SQUARED_ERROR.run(caller, y, targets, &sizes, Some(padding), loss, dy)
    })
}

/// The mean of -t ln s(z) - (1 - t) ln(1 - s(z)), where z are the logits, t the targets and s is the logistic function:
/// for probabilities of independent events.
///
///   logits      [count], of any size
///   targets     [count], each from 0 to 1, or NAN where there is none: that element does not count
///   count       number of elements, of any number of rows; may be 0
///   loss        receives the loss, 0 where there are no elements; may be NULL
///   dlogits     receives its gradient, [count]; must not overlap another argument; may be NULL
///
/// Errors: NULL (logits, targets), OVERLAP, SIZE_OVERFLOW, OUT_OF_RANGE for a target.
/// Threads: any. Since 0.1.
///
/// # Safety
///
/// - `logits` and `targets` are NULL or as large as documented, and nobody writes to them during the call.
/// - `dlogits` is NULL or as large as documented, and nobody else touches it during the call.
/// - `loss` is NULL or has room for a result, which nobody else touches during the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn elman_binary_cross_entropy_with_logits(
    logits: *const f32,
    targets: *const f32,
    count: usize,
    loss: *mut f64,
    dlogits: *mut f32,
) -> Status {
    call(|caller| BINARY.run(caller, logits, targets, &[count], None, loss, dlogits))
}

/// As elman_binary_cross_entropy_with_logits(), for sequences of different lengths.
///
///   logits      [batch][steps][size]
///   targets     [batch][steps][size], each from 0 to 1, or NAN where there is none
///   batch       at least 1
///   steps       at least 1
///   lengths     [batch], each 0 to `steps`
///   size        elements of a step
///   loss        receives the loss; may be NULL
///   dlogits     receives its gradient, [batch][steps][size]; must not overlap another argument; may be NULL
///
/// Errors: as there, and NULL (lengths), ZERO_SIZE, OUT_OF_RANGE for a length.
/// Threads: any. Since 0.1.
///
/// # Safety
///
/// - `logits`, `targets` and `lengths` are NULL or as large as documented, and nobody writes to them during the call.
/// - `dlogits` is NULL or as large as documented, and nobody else touches it during the call.
/// - `loss` is NULL or has room for a result, which nobody else touches during the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn elman_binary_cross_entropy_with_logits_padded(
    logits: *const f32,
    targets: *const f32,
    batch: usize,
    steps: usize,
    lengths: *const usize,
    size: usize,
    loss: *mut f64,
    dlogits: *mut f32,
) -> Status {
    call(|caller| {
        let padding = padding(caller, batch, steps, lengths)?;
        let sizes = [batch, steps, size];
        BINARY.run(
            caller,
            logits,
            targets,
            &sizes,
            Some(padding),
            loss,
            dlogits,
        )
    })
}

/// The real steps of a padded batch.
///
/// # Safety
///
/// As with [`Caller::read`].
unsafe fn padding<'call>(
    caller: &mut Caller<'call>,
    batch: usize,
    steps: usize,
    lengths: *const usize,
) -> Result<Padding<'call>> {
    let lengths = caller.read("lengths", lengths, &[batch])?;
    Ok(Padding { steps, lengths })
}

/// The loss of labels.
///
/// # Safety
///
/// As with [`Caller::read`], [`Caller::write`] and [`Caller::result`].
unsafe fn cross_entropy(
    caller: &mut Caller<'_>,
    logits: *const f32,
    labels: *const usize,
    rows: &[usize],
    classes: usize,
    weights: *const f32,
    padding: Option<Padding<'_>>,
    loss: *mut f64,
    dlogits: *mut f32,
) -> Result<()> {
    let labels = caller.read("labels", labels, rows)?;
    let sizes = [labels.len(), classes];
    let logits = caller.read("logits", logits, &sizes)?;
    let loss = caller.result_optional("loss", loss)?;
    let dlogits = caller.write_optional("dlogits", dlogits, &sizes)?;
    let weights = caller.read_optional("weights", weights, &[classes])?;
    let value = loss::softmax_cross_entropy_weighted(
        logits, classes, labels, weights, None, padding, dlogits,
    )?;
    if let Some(loss) = loss {
        loss.write(value);
    }
    Ok(())
}

type Evaluate =
    fn(&[f32], &[f32], Option<Padding<'_>>, Option<&mut [f32]>) -> elman_engine::Result<f64>;

/// A loss that compares element by element.
struct Elementwise {
    output: &'static str,
    gradient: &'static str,
    evaluate: Evaluate,
}

const SQUARED_ERROR: Elementwise = Elementwise {
    output: "y",
    gradient: "dy",
    evaluate: loss::mean_squared_error,
};
const BINARY: Elementwise = Elementwise {
    output: "logits",
    gradient: "dlogits",
    evaluate: loss::binary_cross_entropy_with_logits,
};

impl Elementwise {
    /// The loss of numbers.
    ///
    /// # Safety
    ///
    /// As with [`Caller::read`], [`Caller::write`] and [`Caller::result`].
    unsafe fn run(
        &self,
        caller: &mut Caller<'_>,
        output: *const f32,
        targets: *const f32,
        sizes: &[usize],
        padding: Option<Padding<'_>>,
        loss: *mut f64,
        gradient: *mut f32,
    ) -> Result<()> {
        let output = caller.read(self.output, output, sizes)?;
        let targets = caller.read("targets", targets, sizes)?;
        let loss = caller.result_optional("loss", loss)?;
        let gradient = caller.write_optional(self.gradient, gradient, sizes)?;
        let value = (self.evaluate)(output, targets, padding, gradient)?;
        if let Some(loss) = loss {
            loss.write(value);
        }
        Ok(())
    }
}
