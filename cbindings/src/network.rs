//! Networks
//!
//! A network starts with an input size and no layers. Each layer that is added takes the outputs of the one before, and
//! draws its parameters as PyTorch does (ELMAN_INIT_PYTORCH with scale 1) from the seed of elman_set_seed(). So a network is
//! ready to be trained once its layers are there. elman_initialize() draws all parameters anew, in that way or another.
//!
//! Which start to take: ELMAN_INIT_PYTORCH or ELMAN_INIT_GLOROT_UNIFORM for tanh and short sequences;
//! ELMAN_INIT_ORTHOGONAL for tanh over some hundred steps; for long sequences an ELMAN_RELU layer with
//! ELMAN_INIT_IDENTITY and scale 1, which carries its state on unchanged to begin with (Le, Jaitly & Hinton 2015,
//! arXiv 1504.00941). Measured on 12 data sets of long sequences of the UCR and UEA archive, that layer's mean accuracy is
//! 0.567, that of a GRU of the same size 0.493. Its states have no bound, so clip its gradients (by norm 1, say) and take
//! small learning rates; where it explodes all the same, elman_fit() stops with ELMAN_ERROR_NOT_FINITE.

use std::ffi::c_char;

use elman_engine::dataset::Standardization;
use elman_engine::init::Initializer;
use elman_engine::{Activation, Error, Output};

use crate::border::{self, call, copied, flag, get, require};
use crate::status::{Result, Status, renamed};

/// A recurrent neural network.
// C is to see an opaque type: the header's generator looks through a plain `repr(transparent)`.
#[cfg_attr(all(), repr(transparent))]
#[derive(Debug)]
pub struct Network(pub(crate) elman_engine::Network<f32>);

/// Activation: the hyperbolic tangent.
pub const ELMAN_TANH: u32 = 0;
/// Activation: max(x, 0); NaN stays NaN.
pub const ELMAN_RELU: u32 = 1;
/// Activation: 1 / (1 + exp(-x)).
pub const ELMAN_SIGMOID: u32 = 2;
/// Activation: x itself.
pub const ELMAN_LINEAR: u32 = 3;
/// Activation: max(0, min(1, alpha x + beta)); alpha 0.2 and beta 0.5 where a function does not ask for them (as in ONNX and
/// Keras 2; PyTorch and Keras 3 have alpha 1/6). Its derivative where it is 0 or 1 is 0.
pub const ELMAN_HARD_SIGMOID: u32 = 4;
/// Activation: max(-1, min(1, x)). Its derivative where it is -1 or 1 is 0.
pub const ELMAN_HARD_TANH: u32 = 5;
/// Activation: x where it is positive, else alpha x; alpha is at least 0, and 0.01 where a function does not ask for it.
pub const ELMAN_LEAKY_RELU: u32 = 6;
/// Activation: x where it is positive, else alpha (exp(x) - 1); alpha is at least 0, and 1 where a function does not ask for
/// it.
pub const ELMAN_ELU: u32 = 7;
/// Activation: x / (1 + |x|).
pub const ELMAN_SOFTSIGN: u32 = 8;
/// Activation: ln(1 + exp(x)).
pub const ELMAN_SOFTPLUS: u32 = 9;
/// Activation: alpha x + beta; alpha 1 and beta 0 where a function does not ask for them.
pub const ELMAN_AFFINE: u32 = 10;
/// Activation: alpha tanh(beta x); alpha is not 0, and both are 1 where a function does not ask for them.
pub const ELMAN_SCALED_TANH: u32 = 11;
/// Activation: x where it is above alpha, else 0; alpha is at least 0, and 1 where a function does not ask for it.
pub const ELMAN_THRESHOLDED_RELU: u32 = 12;

/// The network gives the output of each sequence's last step: many-to-one. The default.
pub const ELMAN_OUTPUT_LAST: u32 = 0;
/// The network gives the outputs of all steps: many-to-many.
pub const ELMAN_OUTPUT_ALL: u32 = 1;

/// Weights and biases uniform in +-scale / sqrt(n), as PyTorch starts its layers: n is the units of a recurrent layer,
/// the inputs of a dense one.
pub const ELMAN_INIT_PYTORCH: u32 = 0;
/// Weights normal with deviation scale sqrt(2 / (inputs + units)), for tanh (Glorot & Bengio 2010). Biases 0.
pub const ELMAN_INIT_GLOROT_NORMAL: u32 = 1;
/// Weights uniform in +-scale sqrt(6 / (inputs + units)), for tanh (Glorot & Bengio 2010). Biases 0.
pub const ELMAN_INIT_GLOROT_UNIFORM: u32 = 2;
/// Weights normal with deviation scale sqrt(2 / inputs), for ReLU (He et al. 2015). Biases 0.
pub const ELMAN_INIT_HE_NORMAL: u32 = 3;
/// Weights uniform in +-scale sqrt(6 / inputs), for ReLU (He et al. 2015). Biases 0.
pub const ELMAN_INIT_HE_UNIFORM: u32 = 4;
/// Recurrent weights scale times a random orthogonal matrix (Saxe et al. 2014). Other weights as with
/// ELMAN_INIT_GLOROT_UNIFORM and scale 1. Biases 0.
pub const ELMAN_INIT_ORTHOGONAL: u32 = 5;
/// Recurrent weights scale on the main diagonal and 0 elsewhere (Le et al. 2015): for ELMAN_RELU and long sequences. Other
/// weights as with ELMAN_INIT_GLOROT_UNIFORM and scale 1. Biases 0.
pub const ELMAN_INIT_IDENTITY: u32 = 6;
/// Weights normal with deviation scale. Biases 0.
pub const ELMAN_INIT_GAUSSIAN: u32 = 7;
/// Every parameter, biases too, is scale.
pub const ELMAN_INIT_CONSTANT: u32 = 8;
/// As Keras starts its layers: weights uniform as with ELMAN_INIT_GLOROT_UNIFORM, recurrent ones orthogonal, each for the
/// matrix of all gates as a whole, times the scale; biases 0, those of forget gates 1.
pub const ELMAN_INIT_KERAS: u32 = 9;

/// Makes a network for sequences of `input_size` features a step, without layers. It belongs to the caller, who gives
/// it back with elman_destroy().
///
///   input_size  at least 1
///   out         receives the network
///
/// Errors: NULL, ZERO_SIZE, SIZE_OVERFLOW; TIER where the environment variable ELMAN_TIER is wrong.
/// Threads: any. Since 0.1.
///
/// # Safety
///
/// - `out` is NULL or has room for a result, which nobody else touches during the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn elman_create(input_size: usize, out: *mut *mut Network) -> Status {
    call(|caller| {
        let out = caller.result("out", out)?;
        let network = elman_engine::Network::new(input_size)?;
        out.write(border::handle(Network(network)));
        Ok(())
    })
}

/// Frees a network; of NULL, does nothing. Its sessions live on. Pointers into it end.
///
/// Threads: needs the network to itself. Since 0.1.
#[unsafe(no_mangle)]
pub extern "C" fn elman_destroy(network: Option<Box<Network>>) {
    border::destroy(network);
}

/// Makes a copy of a network that goes on as the network would, bit for bit: layers, parameters, gradients, standardisation,
/// output mode, seed and what has been drawn from it, order of buffers, and as many threads, of its own. What elman_forward()
/// has kept stays behind, so elman_backward() needs a new forward pass. It belongs to the caller, who gives it back with
/// elman_destroy().
///
///   out         receives the copy
///
/// Errors: NULL, OUT_OF_MEMORY, THREADS.
/// Threads: any number on one network. Since 0.1.
///
/// # Safety
///
/// - `out` is NULL or has room for a result, which nobody else touches during the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn elman_clone(network: Option<&Network>, out: *mut *mut Network) -> Status {
    call(|caller| {
        let network = require("network", network)?;
        let out = caller.result("out", out)?;
        let clone = network.0.try_clone()?;
        out.write(border::handle(Network(clone)));
        Ok(())
    })
}

/// Adds a recurrent layer h_t = f(x_t W_x + h_{t-1} W_h + b). Its parameters are drawn: layers that are all added after
/// elman_set_seed() with some seed (0 by default) start as elman_initialize() with ELMAN_INIT_PYTORCH, scale 1 and that seed
/// would start them. For zeros, call elman_initialize() with ELMAN_INIT_CONSTANT and scale 0.
///
///   units       at least 1
///   activation  ELMAN_TANH or another one, up to ELMAN_THRESHOLDED_RELU
///
/// Pointers from elman_gradients() end. The gradients of the new layer are 0.
///
/// Errors: NULL, ZERO_SIZE, SIZE_OVERFLOW, UNKNOWN_CONSTANT, OUT_OF_MEMORY.
/// Threads: needs the network to itself. Since 0.1.
#[unsafe(no_mangle)]
pub extern "C" fn elman_add_rnn(
    network: Option<&mut Network>,
    units: usize,
    activation: u32,
) -> Status {
    call(|_| {
        let network = require("network", network)?;
        Ok(network
            .0
            .add_rnn(units, activation_named("activation", activation)?)?)
    })
}

/// Adds a dense layer y = f(x W + b), which sees each step by itself. Its parameters are drawn as with elman_add_rnn().
///
/// Arguments, errors and threads as with elman_add_rnn(). Since 0.1.
#[unsafe(no_mangle)]
pub extern "C" fn elman_add_dense(
    network: Option<&mut Network>,
    units: usize,
    activation: u32,
) -> Status {
    call(|_| {
        let network = require("network", network)?;
        Ok(network
            .0
            .add_dense(units, activation_named("activation", activation)?)?)
    })
}

/// Adds dropout: in elman_forward() and elman_fit(), an element is 0 with probability `rate` and else divided by
/// 1 - rate. Elsewhere it does nothing. Which elements are dropped follows from elman_set_seed() and the number of
/// forward passes since.
///
///   rate        at least 0 and below 1
///
/// Pointers from elman_gradients() end. The gradients of the new layer are 0.
///
/// Errors: NULL, OUT_OF_RANGE, OUT_OF_MEMORY.
/// Threads: needs the network to itself. Since 0.1.
#[unsafe(no_mangle)]
pub extern "C" fn elman_add_dropout(network: Option<&mut Network>, rate: f32) -> Status {
    call(|_| {
        Ok(require("network", network)?
            .0
            .add_dropout(f64::from(rate))?)
    })
}

/// Adds a layer that applies an activation to each element of its input. It has no parameters, and as many outputs as inputs.
/// A layer of elman_add_dense() or elman_add_rnn() that has the activation itself is faster and gives the same bits.
///
///   activation  ELMAN_TANH or another one, up to ELMAN_THRESHOLDED_RELU
///   alpha, beta its parameters, as the constant's text has them; not looked at where it has none of that name. Pass ONNX'
///               defaults, which that text names too, for the functions as elman_add_dense() has them
///
/// Errors: NULL, UNKNOWN_CONSTANT, OUT_OF_MEMORY; OUT_OF_RANGE for a parameter that is not finite, an `alpha` below 0 of
/// ELMAN_LEAKY_RELU, ELMAN_ELU and ELMAN_THRESHOLDED_RELU, and one of 0 (or denormal) of ELMAN_SCALED_TANH: the derivative
/// must follow from the value.
/// Threads: needs the network to itself. Since 0.1.
#[unsafe(no_mangle)]
pub extern "C" fn elman_add_activation(
    network: Option<&mut Network>,
    activation: u32,
    alpha: f32,
    beta: f32,
) -> Status {
    call(|_| {
        let network = require("network", network)?;
        let activation = activation_with("activation", activation, alpha.into(), beta.into())?;
        Ok(network.0.add_activation(activation)?)
    })
}

/// Sets what the network gives for a sequence.
///
///   mode        ELMAN_OUTPUT_LAST (the default) or ELMAN_OUTPUT_ALL
///
/// Errors: NULL, UNKNOWN_CONSTANT, OUT_OF_MEMORY.
/// Threads: needs the network to itself. Since 0.1.
#[unsafe(no_mangle)]
pub extern "C" fn elman_set_output(network: Option<&mut Network>, mode: u32) -> Status {
    call(|_| {
        let network = require("network", network)?;
        Ok(network.0.set_output(output_named(mode)?)?)
    })
}

/// Makes time the first index of what calls on this network get and give for all steps: x and dx are
/// [steps][batch][input_size] and, with ELMAN_OUTPUT_ALL, y and dy [steps][batch][output_size]. States and the outputs of
/// ELMAN_OUTPUT_LAST have no steps and stay [batch][...]. The numbers are the same, bit for bit.
///
///   time_major  0 (the default) or 1
///
/// It holds for elman_forward(), elman_backward(), elman_predict() and elman_gradient_check() from the next call on. What the
/// library lays out itself, for data sets, is batch-major in any case, and so are the arguments of the losses. Copies of the
/// network have the setting, files have not.
///
/// Errors: NULL, UNKNOWN_CONSTANT.
/// Threads: needs the network to itself. Since 0.1.
#[unsafe(no_mangle)]
pub extern "C" fn elman_set_time_major(network: Option<&mut Network>, time_major: u32) -> Status {
    call(|_| {
        let network = require("network", network)?;
        network.0.set_time_major(flag("time_major", time_major)?);
        Ok(())
    })
}

/// Sets the number of threads that a call on this network may use, the calling thread among them.
///
///   threads     1 (the default) is the calling thread alone, 0 means one per core; at most 1024
///
/// Results never depend on it, bit for bit. A call uses as many of them as it is worth, and no more than the process has cores
/// at the time of elman_set_threads(). The others wait for the next call awake for 100 microseconds, then asleep. They end with
/// the network, before elman_destroy() returns. Where several threads call at the same time, one call has the others' help. In
/// a fork of the process calls use the calling thread alone. A call does not wait for a thread that does not run, because other
/// programs have its core, unless it was stopped in the middle of a piece of work.
///
/// Errors: NULL, OUT_OF_RANGE, THREADS.
/// Threads: needs the network to itself. Since 0.1.
#[unsafe(no_mangle)]
pub extern "C" fn elman_set_threads(network: Option<&mut Network>, threads: usize) -> Status {
    call(|_| Ok(require("network", network)?.0.set_threads(threads)?))
}

/// Sets the number of floating-point operations from which a call uses two threads, and half of which each further one must
/// have. The default is two million: below that, waking a thread costs more than it saves; with 0 every call uses all threads,
/// also those that have no core. elman_set_threads() goes back to the default.
/// What can't be shared well is run by one thread whatever it costs: fewer than eight sequences through small layers.
///
/// Errors: NULL.
/// Threads: needs the network to itself. Since 0.1.
#[unsafe(no_mangle)]
pub extern "C" fn elman_set_parallel_threshold(
    network: Option<&mut Network>,
    operations: usize,
) -> Status {
    call(|_| {
        let network = require("network", network)?;
        network.0.set_parallel_threshold(operations);
        Ok(())
    })
}

/// Sets where random numbers start: those of dropout, and those that layers draw their parameters from when they are added.
/// The default is 0. Epochs and passes are counted from 0 again. Parameters that are there stay as they are; layers that are
/// added from now on draw from the start of the seed's numbers.
///
/// Errors: NULL.
/// Threads: needs the network to itself. Since 0.1.
#[unsafe(no_mangle)]
pub extern "C" fn elman_set_seed(network: Option<&mut Network>, seed: u64) -> Status {
    call(|_| {
        require("network", network)?.0.set_seed(seed);
        Ok(())
    })
}

/// Draws all parameters anew. The same seed gives the same parameters on every machine. Layers start by themselves when they
/// are added: this is for another scheme, scale or seed. It does not change what later layers draw.
///
///   scheme      an ELMAN_INIT_ constant
///   scale       the scheme's number: 1 gives the scheme of its source; finite, and at least 0 except with
///               ELMAN_INIT_CONSTANT and ELMAN_INIT_IDENTITY
///
/// Errors: NULL, UNKNOWN_CONSTANT, OUT_OF_RANGE, OUT_OF_MEMORY.
/// Threads: needs the network to itself. Since 0.1.
#[unsafe(no_mangle)]
pub extern "C" fn elman_initialize(
    network: Option<&mut Network>,
    scheme: u32,
    scale: f32,
    seed: u64,
) -> Status {
    call(|_| {
        let network = require("network", network)?;
        let initializer = initializer_named(scheme, f64::from(scale))?;
        // The engine has a name of its own for the number of each scheme.
        renamed("scale", network.0.initialize(initializer, seed))
    })
}

/// Makes the network standardise its inputs, x -> (x - mean) / deviation feature by feature, in every call and every
/// session created from then on. It is saved with the network.
///
///   mean        [count], finite
///   deviation   [count], above 0, finite and not so small that 1 / deviation is not
///   count       the network's input size
///
/// With NULL for both buffers the inputs are taken as they come, whatever `count` is.
///
/// Errors: NULL for one buffer alone, LENGTH, NOT_FINITE, OUT_OF_RANGE, OUT_OF_MEMORY.
/// Threads: needs the network to itself. Since 0.1.
///
/// # Safety
///
/// - `mean` and `deviation` are NULL or as large as documented, and nobody writes to them during the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn elman_set_standardization(
    network: Option<&mut Network>,
    mean: *const f32,
    deviation: *const f32,
    count: usize,
) -> Status {
    call(|caller| {
        let network = require("network", network)?;
        if mean.is_null() && deviation.is_null() {
            return Ok(network.0.set_standardization(None)?);
        }
        elman_engine::shape::expect_len("mean and deviation", count, network.0.input_size())?;
        let mean = caller.read("mean", mean, &[count])?;
        let deviation = caller.read("deviation", deviation, &[count])?;
        let standardization =
            Standardization::new(copied("mean", mean)?, copied("deviation", deviation)?)?;
        Ok(network.0.set_standardization(Some(standardization))?)
    })
}

/// Gives how the network standardises its inputs: zeros and ones where it takes them as they come.
///
///   mean        [count], may be NULL
///   deviation   [count], may be NULL
///   count       the network's input size
///
/// Errors: NULL (network), LENGTH, OVERLAP.
/// Threads: any number on one network. Since 0.1.
///
/// # Safety
///
/// - `mean` and `deviation` are NULL or as large as documented, and nobody else touches them during the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn elman_get_standardization(
    network: Option<&Network>,
    mean: *mut f32,
    deviation: *mut f32,
    count: usize,
) -> Status {
    call(|caller| {
        let network = require("network", network)?;
        elman_engine::shape::expect_len("mean and deviation", count, network.0.input_size())?;
        let mean = caller.write_optional("mean", mean, &[count])?;
        let deviation = caller.write_optional("deviation", deviation, &[count])?;
        let standardization = network.0.standardization();
        if let Some(mean) = mean {
            match standardization {
                Some(values) => mean.copy_from_slice(values.mean()),
                None => mean.fill(0.0),
            }
        }
        if let Some(deviation) = deviation {
            match standardization {
                Some(values) => deviation.copy_from_slice(values.deviation()),
                None => deviation.fill(1.0),
            }
        }
        Ok(())
    })
}

/// Names the classes that the outputs stand for. Data sets whose classes have names, those of files, are then measured and
/// trained on by these names, whatever order they have them in. They are saved with the network.
///
///   names       [count], each a string of UTF-8 that ends with 0, none twice; NULL: the classes have no names, and labels are
///               the numbers of the outputs
///   count       the network's output size; not read where `names` is NULL
///
/// The first elman_fit() on a data set whose classes have names does the same for a network that has none. The names go when
/// a layer is added that changes the output size. Pointers from elman_get_class_name() end.
///
/// Errors: NULL (network, a name), LENGTH; MISMATCH for a name twice or one that is not UTF-8; OUT_OF_MEMORY.
/// Threads: needs the network to itself. Since 0.1.
///
/// # Safety
///
/// - `names` is NULL or as large as documented; each name is NULL or a string that ends with 0, and nobody writes to any of
///   them during the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn elman_set_class_names(
    network: Option<&mut Network>,
    names: *const *const c_char,
    count: usize,
) -> Status {
    call(|caller| {
        let network = require("network", network)?;
        if names.is_null() {
            return Ok(network.0.set_class_names::<&str>(&[])?);
        }
        elman_engine::shape::expect_len("names", count, network.0.output_size())?;
        let names = caller.strings("names", names, count)?;
        Ok(network.0.set_class_names(&names)?)
    })
}

/// Number of classes that have names: the output size, or 0 where they have none; 0 for NULL.
///
/// Threads: any number on one network. Since 0.1.
#[unsafe(no_mangle)]
pub extern "C" fn elman_get_class_name_count(network: Option<&Network>) -> usize {
    get("network", network, 0, |network| {
        network.0.class_names().len()
    })
}

/// Gives the name of the class that an output stands for.
///
///   index       of the output, less than elman_get_class_name_count()
///   name        receives the name, a string of UTF-8 that ends with 0. It stays until elman_set_class_names(), the first
///               elman_fit(), a layer that changes the output size, or elman_destroy()
///
/// Errors: NULL, OUT_OF_RANGE.
/// Threads: any number on one network. Since 0.1.
///
/// # Safety
///
/// - `name` is NULL or has room for a result, which nobody else touches during the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn elman_get_class_name(
    network: Option<&Network>,
    index: usize,
    name: *mut *const c_char,
) -> Status {
    call(|caller| {
        let network = require("network", network)?;
        let name = caller.result("name", name)?;
        let names = network.0.class_names();
        let Some(found) = names.c_str(index) else {
            return Err(Error::IndexOutOfRange {
                name: "index",
                index,
                count: names.len(),
            }
            .into());
        };
        name.write(found.as_ptr());
        Ok(())
    })
}

/// Features of a step of the input; 0 for NULL.
///
/// Threads: any number on one network. Since 0.1.
#[unsafe(no_mangle)]
pub extern "C" fn elman_input_size(network: Option<&Network>) -> usize {
    get("network", network, 0, |network| network.0.input_size())
}

/// Features of a step of the output: those of the last layer, else the input size; 0 for NULL.
///
/// Threads: any number on one network. Since 0.1.
#[unsafe(no_mangle)]
pub extern "C" fn elman_output_size(network: Option<&Network>) -> usize {
    get("network", network, 0, |network| network.0.output_size())
}

/// Elements of a sequence's state: h of all recurrent layers, in layer order, of an LSTM h and then c, of two directions the
/// forward one's and then the reverse one's; 0 for NULL.
///
/// Threads: any number on one network. Since 0.1.
#[unsafe(no_mangle)]
pub extern "C" fn elman_state_size(network: Option<&Network>) -> usize {
    get("network", network, 0, |network| network.0.state_size())
}

/// What the network gives for a sequence, ELMAN_OUTPUT_LAST or ELMAN_OUTPUT_ALL; ELMAN_OUTPUT_LAST for NULL.
///
/// Threads: any number on one network. Since 0.1.
#[unsafe(no_mangle)]
pub extern "C" fn elman_output(network: Option<&Network>) -> u32 {
    get(
        "network",
        network,
        ELMAN_OUTPUT_LAST,
        |network| match network.0.output() {
            Output::Last => ELMAN_OUTPUT_LAST,
            Output::All => ELMAN_OUTPUT_ALL,
        },
    )
}

/// Whether time is the first index of what calls get and give for all steps, 0 or 1; 0 for NULL.
///
/// Threads: any number on one network. Since 0.1.
#[unsafe(no_mangle)]
pub extern "C" fn elman_get_time_major(network: Option<&Network>) -> u32 {
    get("network", network, 0, |network| {
        network.0.is_time_major().into()
    })
}

/// Number of threads that a call on this network may use, at least 1; 0 for NULL.
///
/// Threads: any number on one network. Since 0.1.
#[unsafe(no_mangle)]
pub extern "C" fn elman_threads(network: Option<&Network>) -> usize {
    get("network", network, 0, |network| network.0.threads())
}

/// The seed that elman_set_seed() has set; 0 for NULL. Saved with the network.
///
/// Threads: any number on one network. Since 0.1.
#[unsafe(no_mangle)]
pub extern "C" fn elman_get_seed(network: Option<&Network>) -> u64 {
    get("network", network, 0, |network| network.0.seed())
}

/// Epochs that elman_fit() has ended since elman_set_seed(), in all its calls; 0 for NULL. The order of the sequences in
/// the next epoch follows from this and from the seed of the options. Saved with the network.
///
/// Threads: any number on one network. Since 0.1.
#[unsafe(no_mangle)]
pub extern "C" fn elman_get_epochs(network: Option<&Network>) -> u64 {
    get("network", network, 0, |network| network.0.epochs())
}

/// Forward passes for training since elman_set_seed(), those of elman_fit() among them; 0 for NULL. What dropout drops in
/// the next one follows from this and from the seed. Saved with the network.
///
/// Threads: any number on one network. Since 0.1.
#[unsafe(no_mangle)]
pub extern "C" fn elman_get_passes(network: Option<&Network>) -> u64 {
    get("network", network, 0, |network| network.0.passes())
}

/// An activation with its default parameters.
pub(crate) fn activation_named(name: &'static str, value: u32) -> Result<Activation> {
    let mut all = Activation::ALL.into_iter();
    let named = all.find(|&activation| activation_number(activation) == value);
    Ok(named.ok_or(Error::UnknownConstant {
        name,
        value,
        known: "ELMAN_TANH to ELMAN_THRESHOLDED_RELU (0 to 12)",
    })?)
}

/// An activation with the parameters that it takes of these, not checked.
pub(crate) fn activation_with(
    name: &'static str,
    value: u32,
    alpha: f64,
    beta: f64,
) -> Result<Activation> {
    Ok(match activation_named(name, value)? {
        Activation::HardSigmoid { .. } => Activation::HardSigmoid { alpha, beta },
        Activation::LeakyRelu { .. } => Activation::LeakyRelu { alpha },
        Activation::Elu { .. } => Activation::Elu { alpha },
        Activation::Affine { .. } => Activation::Affine { alpha, beta },
        Activation::ScaledTanh { .. } => Activation::ScaledTanh { alpha, beta },
        Activation::ThresholdedRelu { .. } => Activation::ThresholdedRelu { alpha },
        plain @ (Activation::Tanh
        | Activation::Relu
        | Activation::Sigmoid
        | Activation::Linear
        | Activation::HardTanh
        | Activation::Softsign
        | Activation::Softplus) => plain,
    })
}

/// The parameters of an activation, alpha and beta, where it has such.
pub(crate) fn activation_parameters(activation: Activation) -> [Option<f64>; 2] {
    match activation {
        Activation::HardSigmoid { alpha, beta }
        | Activation::Affine { alpha, beta }
        | Activation::ScaledTanh { alpha, beta } => [Some(alpha), Some(beta)],
        Activation::LeakyRelu { alpha }
        | Activation::Elu { alpha }
        | Activation::ThresholdedRelu { alpha } => [Some(alpha), None],
        Activation::Tanh
        | Activation::Relu
        | Activation::Sigmoid
        | Activation::Linear
        | Activation::HardTanh
        | Activation::Softsign
        | Activation::Softplus => [None; 2],
    }
}

/// The constant of an activation.
pub(crate) fn activation_number(activation: Activation) -> u32 {
    match activation {
        Activation::Tanh => ELMAN_TANH,
        Activation::Relu => ELMAN_RELU,
        Activation::Sigmoid => ELMAN_SIGMOID,
        Activation::Linear => ELMAN_LINEAR,
        Activation::HardSigmoid { .. } => ELMAN_HARD_SIGMOID,
        Activation::HardTanh => ELMAN_HARD_TANH,
        Activation::LeakyRelu { .. } => ELMAN_LEAKY_RELU,
        Activation::Elu { .. } => ELMAN_ELU,
        Activation::Softsign => ELMAN_SOFTSIGN,
        Activation::Softplus => ELMAN_SOFTPLUS,
        Activation::Affine { .. } => ELMAN_AFFINE,
        Activation::ScaledTanh { .. } => ELMAN_SCALED_TANH,
        Activation::ThresholdedRelu { .. } => ELMAN_THRESHOLDED_RELU,
    }
}

fn output_named(value: u32) -> Result<Output> {
    match value {
        ELMAN_OUTPUT_LAST => Ok(Output::Last),
        ELMAN_OUTPUT_ALL => Ok(Output::All),
        _ => Err(Error::UnknownConstant {
            name: "mode",
            value,
            known: "ELMAN_OUTPUT_LAST and ELMAN_OUTPUT_ALL (0 and 1)",
        }
        .into()),
    }
}

fn initializer_named(value: u32, scale: f64) -> Result<Initializer> {
    match value {
        ELMAN_INIT_PYTORCH => Ok(Initializer::PyTorch { gain: scale }),
        ELMAN_INIT_GLOROT_NORMAL => Ok(Initializer::GlorotNormal { gain: scale }),
        ELMAN_INIT_GLOROT_UNIFORM => Ok(Initializer::GlorotUniform { gain: scale }),
        ELMAN_INIT_HE_NORMAL => Ok(Initializer::HeNormal { gain: scale }),
        ELMAN_INIT_HE_UNIFORM => Ok(Initializer::HeUniform { gain: scale }),
        ELMAN_INIT_ORTHOGONAL => Ok(Initializer::Orthogonal { gain: scale }),
        ELMAN_INIT_IDENTITY => Ok(Initializer::Identity { scale }),
        ELMAN_INIT_GAUSSIAN => Ok(Initializer::Gaussian { sigma: scale }),
        ELMAN_INIT_CONSTANT => Ok(Initializer::Constant { value: scale }),
        ELMAN_INIT_KERAS => Ok(Initializer::Keras { gain: scale }),
        _ => Err(Error::UnknownConstant {
            name: "scheme",
            value,
            known: "the ELMAN_INIT_ constants (0 to 9)",
        }
        .into()),
    }
}

/// The layer of that number.
pub(crate) fn layer_of(network: &Network, index: usize) -> Result<elman_engine::LayerInfo<'_>> {
    let mut layers = network.0.layers();
    let count = layers.len();
    let layer = layers.nth(index).ok_or(Error::IndexOutOfRange {
        name: "layer",
        index,
        count,
    })?;
    Ok(layer)
}
