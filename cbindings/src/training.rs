//! Training and measuring on a data set
//!
//! elman_fit() does what one would write with elman_forward(), a loss, elman_backward() and elman_update(): epochs of
//! shuffled mini-batches, with a limit on the gradients, a validation set, early stopping, a mean of the parameters over
//! epochs, and callbacks that watch, change the learning rate or the gradients, or stop.
//!
//! Training may be cut into several calls. The network counts its epochs and its forward passes since elman_set_seed(), the
//! order of the sequences follows from the options' seed and the number of the epoch, and dropout from the network's seed
//! and the number of the pass: ten calls of one epoch give the bits of one call of ten. The counts and the seed are saved
//! with the network, and elman_optimizer_save() saves the rest, so that training goes on in another process with the bits
//! that it would have had without the stop.
//!
//! These functions, but for cancellations, are the part "datasets" of the library.

use std::ffi::c_void;
use std::ops::ControlFlow;
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};

use elman_engine::loss::Loss;
use elman_engine::optimizer::clip_by_value;
#[cfg(feature = "datasets")]
use elman_engine::train::{self, Callbacks, Clip, EarlyStopping, FitOptions, Score, Watch};
use elman_engine::{Error, Output};

use crate::border::{self, Caller, Versioned, call, flag, require, zero};
use crate::dataset::Dataset;
use crate::loss::ELMAN_NO_LABEL;
use crate::network::Network;
use crate::optimizer::Optimizer;
use crate::status::{Result, Status, renamed};

/// Loss: elman_softmax_cross_entropy(), for classes.
pub const ELMAN_LOSS_SOFTMAX_CROSS_ENTROPY: u32 = 0;
/// Loss: elman_mean_squared_error(), for numbers.
pub const ELMAN_LOSS_MEAN_SQUARED_ERROR: u32 = 1;
/// Loss: elman_binary_cross_entropy_with_logits(), for probabilities of independent events.
pub const ELMAN_LOSS_BINARY_CROSS_ENTROPY: u32 = 2;

/// Gradients are used as they come.
pub const ELMAN_CLIP_NONE: u32 = 0;
/// Gradients are limited as by elman_clip_gradients_by_norm().
pub const ELMAN_CLIP_NORM: u32 = 1;
/// Gradients are limited as by elman_clip_gradients_by_value().
pub const ELMAN_CLIP_VALUE: u32 = 2;

/// What a callback returns to go on.
pub const ELMAN_CONTINUE: u32 = 0;
/// What a callback returns to end the training. elman_fit() then returns ELMAN_OK.
pub const ELMAN_STOP: u32 = 1;

/// Early stopping watches the loss, which is to fall.
pub const ELMAN_WATCH_LOSS: u32 = 0;
/// Early stopping watches the accuracy, which is to rise; for ELMAN_LOSS_SOFTMAX_CROSS_ENTROPY.
pub const ELMAN_WATCH_ACCURACY: u32 = 1;

/// What another thread ends the training by; see elman_cancellation_set().
#[derive(Debug)]
pub struct Cancellation(AtomicBool);

/// How far elman_fit() has come. Later versions may add fields at the end.
#[derive(Debug)]
#[repr(C)]
pub struct Progress {
    /// The epoch of this call that has ended, from 1. The network counts those of all calls.
    pub epoch: usize,
    /// The epochs that there will be.
    pub epochs: usize,
    /// The loss over the epoch: of each mini-batch before its update, and with dropout.
    pub loss: f64,
    /// The part of the rows whose largest output was that of their class; NAN where targets are no classes.
    pub accuracy: f64,
    /// The loss on the validation set after the epoch; NAN without one.
    pub validation_loss: f64,
    /// The accuracy on the validation set after the epoch; NAN without one, or where targets are no classes.
    pub validation_accuracy: f64,
    /// The learning rate. The callback may change it for the epochs that follow.
    pub learning_rate: f64,
    /// The best epoch of this call so far; 0 without early stopping.
    pub best_epoch: usize,
    /// The loss of the mean of the parameters on the validation set after the epoch; NAN without one, or without `average`.
    pub average_loss: f64,
    /// The accuracy of that mean; NAN also where targets are no classes.
    pub average_accuracy: f64,
    /// The epoch of this call after which the mean was the best one so far or, without a validation set, this one: the network
    /// gets that mean when the call ends. 0 without `average`.
    pub average_epoch: usize,
}

/// Is called after each epoch, on the thread that called elman_fit(), with the `user` pointer of the options, the
/// progress, and the network, which it may save, run or measure through this pointer only. Returns ELMAN_CONTINUE, or
/// anything else to stop. It must return: no longjmp, no C++ exception.
pub type ProgressCallback =
    Option<extern "C" fn(user: *mut c_void, progress: &mut Progress, network: &Network) -> u32>;

/// How far elman_fit() has come within an epoch. Later versions may add fields at the end.
#[derive(Debug)]
#[repr(C)]
pub struct BatchProgress {
    /// The epoch of this call, from 1.
    pub epoch: usize,
    /// The epochs that there will be.
    pub epochs: usize,
    /// The mini-batch, from 1.
    pub batch: usize,
    /// The mini-batches of the epoch.
    pub batches: usize,
    /// The sequences of which the gradients are.
    pub sequences: usize,
    /// The first step of these of which the gradients are: 0 but with truncation, which runs one part after the other.
    pub first_step: usize,
    /// The number of steps of which the gradients are.
    pub steps: usize,
    /// The mean loss before the update; 0 where nothing counts.
    pub loss: f64,
    /// What the loss and the gradients are a mean over: the number of rows or elements that count, weighted where classes
    /// have weights; 0 where nothing counts. There is an update where it is above 0 after the callback.
    pub weight: f64,
    /// The learning rate of this update and of those that follow. The callback may change it.
    pub learning_rate: f64,
    /// The gradients [gradient_count], in the order of the parameters; 0 where nothing counts. The callback may change
    /// them: they are limited after it.
    pub gradients: *mut f32,
    /// Number of gradients.
    pub gradient_count: usize,
}

/// Is called before each update, on the thread that called elman_fit(), with the `user` pointer of the options and the
/// progress: for schedules of the learning rate, noise on gradients, or processes that train together, each on its part of
/// the data. Returns ELMAN_CONTINUE, or anything else to stop without this update. It must return: no longjmp, no C++
/// exception. The network must not be used in it.
///
/// It is called for every mini-batch (with truncation, for every part of one), also where nothing in it counts, so that
/// each process makes as many calls as the others where each has as many mini-batches (and as long ones). To reduce over
/// processes, sum the gradients times their weights and the weights over all of them, divide, and set gradients and weight
/// to that. Processes that start with the same network and optimizer then have the same parameters after each update.
pub type BatchCallback =
    Option<extern "C" fn(user: *mut c_void, progress: &mut BatchProgress) -> u32>;

/// How elman_fit() trains and elman_evaluate() measures. elman_fit_options_init() gives every field its default. Later
/// versions may add fields at the end, and go on to accept the size of this one.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Options {
    /// Size of the struct in bytes, which is its version.
    pub size: usize,
    /// An ELMAN_LOSS_ constant; by default ELMAN_LOSS_SOFTMAX_CROSS_ENTROPY.
    pub loss: u32,
    /// 1, the default: sequences are seen in random order, another one in each epoch; 0: in the order of the data set.
    pub shuffle: u32,
    /// Seed of the random order; by default 0.
    pub seed: u64,
    /// The class whose rows do not count, by the number of its output; by default ELMAN_NO_LABEL: all rows that have a
    /// class count.
    pub ignored_label: usize,
    /// How often every sequence is seen, at least 1; by default 30.
    pub epochs: usize,
    /// Sequences that are run at a time, for one update, at least 1; by default 16.
    pub batch_size: usize,
    /// For truncated backpropagation through time: mini-batches are run this many steps at a time, each time with a
    /// backward pass and an update; states are carried on, gradients are not. Needs ELMAN_OUTPUT_ALL, and a network that does
    /// not look ahead. 0, the default: whole sequences.
    pub truncate: usize,
    /// The limit on the gradients of an update, above 0; not read with ELMAN_CLIP_NONE. By default 1.
    pub clip_limit: f64,
    /// An ELMAN_CLIP_ constant; by default ELMAN_CLIP_NONE.
    pub clip: u32,
    /// What to measure the network on after each epoch; by default NULL: nothing.
    pub validation: *const Dataset,
    /// Is called after each epoch; by default NULL.
    pub callback: ProgressCallback,
    /// Is handed to the callbacks; by default NULL.
    pub user: *mut c_void,
    /// [output size of the network], in the order of the outputs: what the rows of each class count for in the loss, as the
    /// weights of elman_softmax_cross_entropy_weighted; NULL, the default: 1. For ELMAN_LOSS_SOFTMAX_CROSS_ENTROPY alone.
    pub class_weights: *const f32,
    /// Is called before each update; by default NULL.
    pub batch_callback: BatchCallback,
    /// Early stopping: training ends after so many epochs in a row that are no better than the best one before them. The
    /// network then has the parameters from after the best epoch of the call, unless it gets a mean; also where the epochs run
    /// out or a callback stops, but not after an error. The optimizer keeps the state of the last update. 0, the default: no
    /// early stopping.
    pub patience: usize,
    /// An epoch is better where it is by more than this, which is at least 0; by default 0. Not read without patience.
    pub min_delta: f64,
    /// What is to get better, an ELMAN_WATCH_ constant: on the validation set or, without one, over the epoch's training. By
    /// default ELMAN_WATCH_LOSS. Not read without patience.
    pub watch: u32,
    /// Ends the training when another thread sets it; by default NULL.
    pub cancel: *const Cancellation,
    /// 1: the network gets a mean of its parameters over the epochs of the call, in which later ones count for more: epoch t
    /// for t (t + 1) ... (t + 7), so that about the last ninth of them makes it. It is the mean after the epoch at which its
    /// loss on the validation set was least or, without such a set, after the last epoch that has ended. The network has it
    /// also where a callback or early stopping ends the call, but not after an error; early stopping itself looks at the
    /// network as it is trained. A later call trains from there, and begins a new mean. It takes another pass over the
    /// validation set after each epoch, and 12 bytes for each parameter. 0, the default: no mean.
    pub average: u32,
    /// 0; so that the struct ends where its last field does.
    pub reserved: u32,
}

/// Gives every field of the options its default.
///
///   options     receives the defaults
///   size        sizeof(elman_fit_options)
///
/// Errors: NULL; MISMATCH where `size` is that of no version that the library knows.
/// Threads: any. Since 0.1.
///
/// # Safety
///
/// - `options` is NULL or has room for a result, which nobody else touches during the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn elman_fit_options_init(options: *mut Options, size: usize) -> Status {
    part!(
        "datasets",
        call(|caller| {
            let options = caller.versioned_result("options", options, size)?;
            options.write(Options {
                size,
                ..Options::default()
            });
            Ok(())
        })
    )
}

/// Trains a network on a data set. Gradients that the network has gathered before are dropped, and so is what
/// elman_forward() has kept. A mini-batch in which nothing counts updates nothing. After the first epoch nothing is
/// allocated. Besides what training takes, the call holds a second copy of the parameters, with patience a third, and with
/// average 12 bytes for each of them.
///
/// Where the classes of the data set have names, as those of files have, the first call gives them to a network whose
/// classes have none: see elman_set_class_names(). From then on data sets, and at once the validation set, may have the names
/// in any order and need not have all of them. Data sets whose classes are numbers go by the numbers of the outputs.
///
///   optimizer   of this network, or new
///   options     NULL for the defaults
///
/// An epoch that was not ended, because it was cancelled, stopped or failed, does not count: the next call begins it anew.
///
/// Errors, before anything changes: NULL (network, dataset, optimizer), UNKNOWN_CONSTANT, ZERO_SIZE; MISMATCH where
/// data set, validation set, network, loss and options do not fit each other, and for a class of a name that the network
/// does not know; OUT_OF_RANGE for the limit on the gradients, for min_delta, for class weights that are none, and for a
/// target that the loss can't take. While it trains: NOT_FINITE where training explodes; the network then has the last
/// parameters that were all finite. Either gradients have become infinite or not a number: they are left to look at. Or an
/// update would have made a parameter so: the optimizer has taken that step in and should be reset. CANCELLED, with the
/// parameters of the last update; OUT_OF_RANGE for a learning rate from a callback that is none; MISMATCH for an optimizer of
/// another network; OUT_OF_MEMORY.
/// Threads: needs the network and the optimizer to itself; any number on one data set. Since 0.1.
///
/// # Safety
///
/// - `options` is NULL or a struct as large as its size field says, and nobody writes to it during the call.
/// - Its validation set and its cancellation are NULL or objects that are not destroyed during the call.
/// - Its class weights are NULL or as large as documented, and nobody writes to them during the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn elman_fit(
    network: Option<&mut Network>,
    dataset: Option<&Dataset>,
    optimizer: Option<&mut Optimizer>,
    options: *const Options,
) -> Status {
    part!(
        "datasets",
        call(|caller| {
            let network = require("network", network)?;
            let dataset = require("dataset", dataset)?;
            let optimizer = require("optimizer", optimizer)?;
            let options = options_of(caller, options)?;
            zero("reserved", options.reserved)?;
            let fit = FitOptions {
                epochs: options.epochs,
                batch_size: options.batch_size,
                shuffle: flag("shuffle", options.shuffle)?.then_some(options.seed),
                clip: options.clip()?,
                truncate: (options.truncate > 0).then_some(options.truncate),
                validation: caller
                    .object(options.validation)
                    .map(|dataset| &dataset.data),
                class_weights: options.class_weights(caller, &network.0)?,
                early_stopping: options.early_stopping()?,
                cancel: caller.object(options.cancel).map(|cancel| &cancel.0),
                average: flag("average", options.average)?,
                ..FitOptions::new(options.loss()?)
            };
            let (network, optimizer) = (&mut network.0, &mut optimizer.0);
            train::fit_with(network, &dataset.data, optimizer, &fit, &mut &options)?;
            Ok(())
        })
    )
}

/// What the callbacks of the options do.
#[cfg(feature = "datasets")]
impl Callbacks<f32> for &Options {
    fn batch(&mut self, from: &mut train::BatchProgress<'_, f32>) -> ControlFlow<()> {
        let Some(callback) = self.batch_callback else {
            return ControlFlow::Continue(());
        };
        let mut progress = BatchProgress {
            epoch: from.epoch,
            epochs: from.epochs,
            batch: from.batch,
            batches: from.batches,
            sequences: from.sequences,
            first_step: from.steps.start,
            steps: from.steps.len(),
            loss: from.loss,
            weight: from.weight,
            learning_rate: from.learning_rate,
            gradients: from.gradients.as_mut_ptr(),
            gradient_count: from.gradients.len(),
        };
        let answer = callback(self.user, &mut progress);
        from.weight = progress.weight;
        from.learning_rate = progress.learning_rate;
        flow(answer)
    }

    fn epoch(
        &mut self,
        from: &mut train::Progress,
        network: &elman_engine::Network<f32>,
    ) -> ControlFlow<()> {
        let Some(callback) = self.callback else {
            return ControlFlow::Continue(());
        };
        let mut progress = Progress::from(&*from);
        let answer = callback(self.user, &mut progress, Network::wrap(network));
        from.learning_rate = progress.learning_rate;
        flow(answer)
    }
}

/// What a callback wants.
fn flow(answer: u32) -> ControlFlow<()> {
    match answer {
        ELMAN_CONTINUE => ControlFlow::Continue(()),
        _ => ControlFlow::Break(()),
    }
}

/// Creates what one thread ends the training of another by: its address goes into the `cancel` field of the options of any
/// number of calls. It belongs to the caller, who gives it back with elman_cancellation_destroy().
///
///   out         receives the cancellation, which is not set
///
/// Errors: NULL.
/// Threads: any. Since 0.1.
///
/// # Safety
///
/// - `out` is NULL or has room for a result, which nobody else touches during the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn elman_cancellation_create(out: *mut *mut Cancellation) -> Status {
    call(|caller| {
        let out = caller.result("out", out)?;
        out.write(border::handle(Cancellation(AtomicBool::new(false))));
        Ok(())
    })
}

/// Ends the training, or no longer. elman_fit() looks before each mini-batch, before each part of one with truncation, and
/// while it measures the validation set; it then returns CANCELLED, and the network has the parameters of the last update.
/// One that is set before the call ends it at once. This allocates nothing and takes no lock.
///
///   cancelled   1 to end, 0 to let further calls train
///
/// Errors: NULL, UNKNOWN_CONSTANT.
/// Threads: any number on one cancellation, also while elman_fit() has it. Since 0.1.
#[unsafe(no_mangle)]
pub extern "C" fn elman_cancellation_set(
    cancellation: Option<&Cancellation>,
    cancelled: u32,
) -> Status {
    call(|_| {
        let cancellation = require("cancellation", cancellation)?;
        let cancelled = flag("cancelled", cancelled)?;
        cancellation.0.store(cancelled, Ordering::Relaxed);
        Ok(())
    })
}

/// Frees a cancellation; of NULL, does nothing. No call may have it.
///
/// Threads: needs the cancellation to itself. Since 0.1.
#[unsafe(no_mangle)]
pub extern "C" fn elman_cancellation_destroy(cancellation: Option<Box<Cancellation>>) {
    border::destroy(cancellation);
}

/// Measures a network on a data set, without dropout.
///
/// Where both have names for their classes, these are compared by name: the data set may have them in another order and need
/// not have all of them. Otherwise the labels are the numbers of the outputs.
///
///   options     its loss, ignored_label, class_weights and batch_size; NULL for the defaults
///   loss        receives the loss: the mean over all rows or elements that count; may be NULL
///   accuracy    receives the part of the rows that count whose largest output is that of their class, whatever its weight;
///               NAN where no row has a class; may be NULL
///   confusion   receives how often a row of the class that the first index names was taken for the class that the
///               second one names, [n][n] where n is elman_output_size(), in the order of the outputs; not written where
///               the targets are no classes; may be NULL
///
/// Errors: NULL (network, dataset), OVERLAP, SIZE_OVERFLOW, UNKNOWN_CONSTANT, ZERO_SIZE, OUT_OF_MEMORY;
/// MISMATCH where data set, network and loss do not fit each other, and for a class of a name that the network does not know;
/// OUT_OF_RANGE for class weights that are none, and for a target that the loss can't take.
/// Threads: any number on one network and one data set. Since 0.1.
///
/// # Safety
///
/// - `options` is NULL or a struct as large as its size field says, and nobody writes to it during the call.
/// - Its class weights are NULL or as large as documented, and nobody writes to them during the call.
/// - `confusion` is NULL or as large as documented, and nobody else touches it during the call.
/// - `loss` and `accuracy` are NULL or have room for their results, which nobody else touches during the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn elman_evaluate(
    network: Option<&Network>,
    dataset: Option<&Dataset>,
    options: *const Options,
    loss: *mut f64,
    accuracy: *mut f64,
    confusion: *mut usize,
) -> Status {
    part!(
        "datasets",
        call(|caller| {
            let network = &require("network", network)?.0;
            let data = &require("dataset", dataset)?.data;
            let options = options_of(caller, options)?;
            let loss = caller.result_optional("loss", loss)?;
            let accuracy = caller.result_optional("accuracy", accuracy)?;
            let classes = match data.class_count() {
                0 => 0,
                _ => network.output_size(),
            };
            let confusion = caller.write_optional("confusion", confusion, &[classes; 2])?;
            let weights = options.class_weights(caller, network)?;
            let (of, batch_size) = (options.loss()?, options.batch_size);
            let found = train::evaluate_weighted(network, data, of, weights, batch_size)?;
            if let Some(loss) = loss {
                loss.write(found.score.loss);
            }
            if let Some(accuracy) = accuracy {
                accuracy.write(found.score.accuracy.unwrap_or(f64::NAN));
            }
            if let Some(confusion) = confusion {
                confusion.copy_from_slice(&found.confusion);
            }
            Ok(())
        })
    )
}

/// Runs a network over a data set, without dropout.
///
///   batch_size  sequences that are run at a time, at least 1
///   y           receives the outputs, [sequences][output_size] or, with ELMAN_OUTPUT_ALL, [total_steps][output_size]:
///               the steps of one sequence after those of the other, without padding; in the order of the network's outputs,
///               whatever the order of the data set's classes
///
/// Errors: NULL, ZERO_SIZE, SIZE_OVERFLOW, OUT_OF_MEMORY; MISMATCH where the data set has another number of
/// features than the network.
/// Threads: any number on one network and one data set. Since 0.1.
///
/// # Safety
///
/// - `y` is NULL or as large as documented, and nobody else touches it during the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn elman_predict_dataset(
    network: Option<&Network>,
    dataset: Option<&Dataset>,
    batch_size: usize,
    y: *mut f32,
) -> Status {
    part!(
        "datasets",
        call(|caller| {
            let network = &require("network", network)?.0;
            let data = &require("dataset", dataset)?.data;
            let rows = match network.output() {
                Output::Last => data.len(),
                Output::All => data.total_steps(),
            };
            let y = caller.write("y", y, &[rows, network.output_size()])?;
            y.copy_from_slice(&train::predict(network, data, batch_size)?);
            Ok(())
        })
    )
}

/// The options that a caller gave, or the defaults.
///
/// # Safety
///
/// As with [`Caller::versioned`].
#[cfg(feature = "datasets")]
unsafe fn options_of(caller: &mut Caller<'_>, options: *const Options) -> Result<Options> {
    caller.versioned("options", options, Options::default())
}

impl Versioned for Options {
    const FIRST: usize = std::mem::offset_of!(Self, class_weights);
}

#[cfg(feature = "datasets")]
impl Default for Options {
    fn default() -> Self {
        let fit = FitOptions::<f32>::new(Loss::MeanSquaredError);
        Self {
            size: size_of::<Self>(),
            loss: ELMAN_LOSS_SOFTMAX_CROSS_ENTROPY,
            shuffle: fit.shuffle.is_some().into(),
            seed: fit.shuffle.unwrap_or(0),
            ignored_label: ELMAN_NO_LABEL,
            epochs: fit.epochs,
            batch_size: fit.batch_size,
            truncate: fit.truncate.unwrap_or(0),
            clip_limit: 1.0,
            clip: ELMAN_CLIP_NONE,
            validation: ptr::null(),
            callback: None,
            user: ptr::null_mut(),
            class_weights: ptr::null(),
            batch_callback: None,
            patience: 0,
            min_delta: 0.0,
            watch: ELMAN_WATCH_LOSS,
            cancel: ptr::null(),
            average: 0,
            reserved: 0,
        }
    }
}

#[cfg(feature = "datasets")]
impl Options {
    /// The weights of the network's classes.
    ///
    /// # Safety
    ///
    /// As with [`Caller::read`].
    unsafe fn class_weights<'call>(
        &self,
        caller: &mut Caller<'call>,
        network: &elman_engine::Network<f32>,
    ) -> Result<Option<&'call [f32]>> {
        let sizes = [network.output_size()];
        caller.read_optional("class_weights", self.class_weights, &sizes)
    }

    fn loss(&self) -> Result<Loss> {
        match self.loss {
            ELMAN_LOSS_SOFTMAX_CROSS_ENTROPY => Ok(Loss::SoftmaxCrossEntropy {
                ignored: (self.ignored_label != ELMAN_NO_LABEL).then_some(self.ignored_label),
            }),
            ELMAN_LOSS_MEAN_SQUARED_ERROR => Ok(Loss::MeanSquaredError),
            ELMAN_LOSS_BINARY_CROSS_ENTROPY => Ok(Loss::BinaryCrossEntropy),
            value => Err(Error::UnknownConstant {
                name: "loss",
                value,
                known: "the ELMAN_LOSS_ constants (0 to 2)",
            }
            .into()),
        }
    }

    fn early_stopping(&self) -> Result<Option<EarlyStopping>> {
        if self.patience == 0 {
            return Ok(None);
        }
        let watch = match self.watch {
            ELMAN_WATCH_LOSS => Watch::Loss,
            ELMAN_WATCH_ACCURACY => Watch::Accuracy,
            value => {
                return Err(Error::UnknownConstant {
                    name: "watch",
                    value,
                    known: "ELMAN_WATCH_LOSS and ELMAN_WATCH_ACCURACY (0 and 1)",
                }
                .into());
            }
        };
        Ok(Some(EarlyStopping {
            patience: self.patience,
            min_delta: self.min_delta,
            watch,
        }))
    }

    fn clip(&self) -> Result<Clip> {
        let clip = match self.clip {
            ELMAN_CLIP_NONE => return Ok(Clip::None),
            ELMAN_CLIP_NORM => Clip::Norm(self.clip_limit),
            ELMAN_CLIP_VALUE => Clip::Value(self.clip_limit),
            value => {
                return Err(Error::UnknownConstant {
                    name: "clip",
                    value,
                    known: "the ELMAN_CLIP_ constants (0 to 2)",
                }
                .into());
            }
        };
        renamed("clip_limit", clip_by_value::<f32>(&mut [], self.clip_limit))?;
        Ok(clip)
    }
}

#[cfg(feature = "datasets")]
impl From<&train::Progress> for Progress {
    fn from(from: &train::Progress) -> Self {
        let loss = |score: Option<Score>| score.map_or(f64::NAN, |score| score.loss);
        let accuracy =
            |score: Option<Score>| score.and_then(|score| score.accuracy).unwrap_or(f64::NAN);
        Self {
            epoch: from.epoch,
            epochs: from.epochs,
            loss: from.training.loss,
            accuracy: accuracy(Some(from.training)),
            validation_loss: loss(from.validation),
            validation_accuracy: accuracy(from.validation),
            learning_rate: from.learning_rate,
            best_epoch: from.best_epoch.unwrap_or(0),
            average_loss: loss(from.average),
            average_accuracy: accuracy(from.average),
            average_epoch: from.average_epoch.unwrap_or(0),
        }
    }
}
