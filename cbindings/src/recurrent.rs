//! Recurrent layers with options: plain ones, GRU and LSTM
//!
//! x_t is a layer's input at step t, h_t its output, s(a) the logistic function 1 / (1 + exp(-a)), and * multiplies element
//! by element. Each cell computes sums a = x_t W_x + h_{t-1} W_h + b, gate by gate: W_x [input][gates * units], W_h and b have
//! the gates side by side in the order that is given here. With an elman_recurrent_options of NULL:
//!
//!     elman_add_recurrent()  h_t = f(a)                                      (Elman 1990)
//!     elman_add_gru()        gates r, z, n                                   (Cho et al. 2014, arXiv 1406.1078)
//!                            r = s(a_r), z = s(a_z)
//!                            n = tanh(x_t W_xn + b_n + r * (h_{t-1} W_hn + q))
//!                            h_t = (1 - z) * n + z * h_{t-1}
//!     elman_add_lstm()       gates i, f, g, o               (Hochreiter & Schmidhuber 1997, with the forget gate of Gers et
//!                            i = s(a_i), f = s(a_f)                                                          al. 2000)
//!                            g = tanh(a_g), o = s(a_o)
//!                            c_t = f * c_{t-1} + i * g
//!                            h_t = o * tanh(c_t)
//!
//! These are PyTorch's cells, in PyTorch's order of gates. PyTorch keeps two biases, b_ih and b_hh: b is their sum, and where
//! the reset acts after the product, q is b_hh of n alone.
//!
//! Directions. ELMAN_REVERSE goes from each sequence's own last step to its first: in the equations, t-1 is then t+1.
//! ELMAN_BIDIRECTIONAL does both, each with parameters and a state of its own, and merges the two outputs of a step. A network
//! with such a layer looks ahead: elman_predict(), elman_forward() and elman_fit() run it, but there is no session of it and
//! no truncation, which would need steps that have yet to come.
//!
//! Parameters of a direction, in the order in which they lie in the flat buffers; `units` is the size of c and of the gates,
//! `outputs` that of h: the projection where there is one, else the units.
//!
//!     W_x  [input][gates * units]    gates: 1; GRU 3 (r, z, n); LSTM 4 (i, f, g, o), coupled 3 (i, g, o)
//!     W_h  [outputs][gates * units]
//!     b    [gates * units]           where `bias` is 1
//!     q    [units]                   GRU with ELMAN_RESET_AFTER, where `bias` is 1
//!     p    [3][units]                LSTM with peepholes: those of i, f, o; coupled [2][units]: i, o
//!     R    [units][projection]       LSTM with a projection
//!     h_0  [outputs]                 with an initial state of its own
//!     c_0  [units]                   LSTM with such
//!
//! Of a bidirectional layer, all of the forward direction's come first, then all of the reverse one's.
//! elman_get_tensor_info() tells each one's name, gates, direction and place.
//!
//! The state of a sequence is h, of an LSTM h and then c; of two directions, the forward one's and then the reverse one's.
//! Its final value is the one after the last step of a direction: of the reverse one, after the sequence's first step. Where
//! a call gets NULL for the state that sequences start from, and where a session is created or reset, they start from the
//! network's own: 0, or the parameters h_0 and c_0 of layers that have them. elman_backward() then adds to the gradients
//! of those, if they are trained; with truncation in the first part only.
//!
//! Memory. For elman_backward(), elman_forward() keeps of each unit and step: RNN 1 number (h); GRU 5 (r, z, n,
//! h_{t-1} W_hn + q, h), with ELMAN_RESET_BEFORE 4; LSTM 6 (i, f, g, o, c, h), coupled 5; with a projection 5 (coupled 4) and
//! h. Zoneout keeps one more for each rate above 0, recurrent dropout one for each element of h. Bidirectional layers keep
//! that twice, and their merged output. elman_predict() and sessions keep none of it.

use elman_engine::{
    Activation, CellActivations, Direction, Error, InitialState, LastOutput, LayerKind, Merge,
    RecurrentOptions as EngineOptions, Reset,
};

use crate::border::{Caller, Versioned, call, flag, require};
use crate::network::{
    Network, activation_named, activation_number, activation_parameters, activation_with, layer_of,
};
use crate::status::{Result, Status};

/// Direction: from the first step to the last. The default.
pub const ELMAN_FORWARD: u32 = 0;
/// Direction: from each sequence's own last step to the first.
pub const ELMAN_REVERSE: u32 = 1;
/// Direction: both, each with parameters and a state of its own.
pub const ELMAN_BIDIRECTIONAL: u32 = 2;

/// The output of a step of a bidirectional layer is that of both directions side by side, the forward one's first: twice the
/// size. The default.
pub const ELMAN_MERGE_CONCAT: u32 = 0;
/// It is their sum.
pub const ELMAN_MERGE_SUM: u32 = 1;
/// It is their mean.
pub const ELMAN_MERGE_MEAN: u32 = 2;
/// It is their product, element by element.
pub const ELMAN_MERGE_PRODUCT: u32 = 3;

/// With ELMAN_OUTPUT_LAST, a reverse direction gives its final state, which has seen the whole sequence (as Keras). The
/// default.
pub const ELMAN_LAST_STATE: u32 = 0;
/// It gives its output at the sequence's last step, which is its first: what y[:, -1] is in PyTorch.
pub const ELMAN_LAST_STEP: u32 = 1;

/// n = tanh(x_t W_xn + b_n + r * (h_{t-1} W_hn + q)): PyTorch, cuDNN, Keras. The default.
pub const ELMAN_RESET_AFTER: u32 = 0;
/// n = tanh(x_t W_xn + (r * h_{t-1}) W_hn + b_n): Cho et al. 2014, the default of ONNX. Two products a step, one after the
/// other.
pub const ELMAN_RESET_BEFORE: u32 = 1;

/// Sequences that are given no state start from 0. The default.
pub const ELMAN_INITIAL_ZEROS: u32 = 0;
/// They start from parameters of the layer, h_0 and c_0, which are 0 at first and which training leaves as they are.
pub const ELMAN_INITIAL_FIXED: u32 = 1;
/// They start from parameters of the layer, h_0 and c_0, which are 0 at first and trained like the others.
pub const ELMAN_INITIAL_TRAINABLE: u32 = 2;

/// What can be chosen of a recurrent layer. elman_recurrent_options_init() gives every field its default, with which the layer
/// is PyTorch's. A field that a layer has no use for must have its default. Later versions may add fields at the end, and go
/// on to accept the size of this one.
///
/// Of fields with an index, [0] is for the forward direction and for the only one of a layer that has one; [1] is for the
/// reverse direction of a bidirectional layer.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct RecurrentOptions {
    /// Size of the struct in bytes, which is its version.
    pub size: usize,
    /// ELMAN_FORWARD (the default), ELMAN_REVERSE or ELMAN_BIDIRECTIONAL.
    pub direction: u32,
    /// What becomes of the two outputs of a bidirectional layer, an ELMAN_MERGE_ constant; by default ELMAN_MERGE_CONCAT.
    pub merge: u32,
    /// What ELMAN_OUTPUT_LAST is of a reverse direction, ELMAN_LAST_STATE (the default) or ELMAN_LAST_STEP.
    pub last: u32,
    /// 1, the default: sums have biases; 0: they have none, and training gives them none.
    pub bias: u32,
    /// GRU: where the reset gate acts, ELMAN_RESET_AFTER (the default) or ELMAN_RESET_BEFORE.
    pub reset: u32,
    /// LSTM: 1 where the gates see the cell state, unit by unit: a_i and a_f take p_i * c_{t-1} and p_f * c_{t-1}, a_o takes
    /// p_o * c_t (Gers & Schmidhuber 2000). By default 0.
    pub peepholes: u32,
    /// LSTM: 1 where f = 1 - i, without weights of its own (Greff et al. 2017, arXiv 1503.04069). By default 0.
    pub coupled: u32,
    /// The state of sequences that are given none, an ELMAN_INITIAL_ constant; by default ELMAN_INITIAL_ZEROS.
    pub initial_state: u32,
    /// LSTM: elements of h, where it is (o * tanh(c_t)) R (Sak et al. 2014, arXiv 1402.1128). 0, the default: no projection.
    pub projection: usize,
    /// The largest magnitude of the sums, before their activations; 0, the default: no limit. Beyond it there is no gradient.
    pub clip_sums: f64,
    /// LSTM: the largest magnitude of c; 0, the default: no limit.
    pub clip_state: f64,
    /// LSTM: what b of f is when the layer is added, and after elman_initialize(), whatever the scheme has for biases; NAN, the
    /// default: as the scheme has it. Keras and many others take 1 (Jozefowicz et al. 2015).
    pub forget_bias: f64,
    /// In elman_forward() and elman_fit(), each element of h_{t-1} is 0 with this probability where it meets W_h, and else
    /// divided by 1 - recurrent_dropout: the same elements for all gates and all steps of a sequence (Gal & Ghahramani 2016,
    /// arXiv 1512.05287). Elsewhere it does nothing. At least 0, the default, and below 1.
    pub recurrent_dropout: f64,
    /// In elman_forward() and elman_fit(), with this probability each element of h stays what it was at the step before.
    /// Elsewhere the expectation is taken, zoneout * h_{t-1} + (1 - zoneout) * h_t (Krueger et al. 2017, arXiv 1606.01305). At
    /// least 0, the default, and below 1.
    pub zoneout: f64,
    /// LSTM: the same for c.
    pub zoneout_cell: f64,
    /// GRU and LSTM: the activation of the gates; by default ELMAN_SIGMOID.
    pub gates: [u32; 2],
    /// GRU and LSTM: that of the candidate, g of an LSTM and n of a GRU; by default ELMAN_TANH.
    pub candidate: [u32; 2],
    /// LSTM: that of c_t where the gate o meets it; by default ELMAN_TANH.
    pub output: [u32; 2],
    /// The parameter alpha of the activation of the gates; NAN, the default: the one that the constant's text names. Not looked
    /// at where the activation has none; so in all of the following.
    pub gates_alpha: [f64; 2],
    /// Its parameter beta.
    pub gates_beta: [f64; 2],
    /// The parameter alpha of the activation of the candidate; by default NAN.
    pub candidate_alpha: [f64; 2],
    /// Its parameter beta.
    pub candidate_beta: [f64; 2],
    /// The parameter alpha of the activation of c_t; by default NAN.
    pub output_alpha: [f64; 2],
    /// Its parameter beta.
    pub output_beta: [f64; 2],
    /// The parameter alpha of the activation of elman_add_recurrent(); by default NAN.
    pub activation_alpha: f64,
    /// Its parameter beta.
    pub activation_beta: f64,
}

impl Versioned for RecurrentOptions {
    const FIRST: usize = size_of::<Self>();
}

/// Gives every field of the options its default.
///
///   options     receives the defaults
///   size        sizeof(elman_recurrent_options)
///
/// Errors: NULL; MISMATCH where `size` is that of no version that the library knows.
/// Threads: any. Since 0.1.
///
/// # Safety
///
/// - `options` is NULL or has room for `size` bytes, which nobody else touches during the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn elman_recurrent_options_init(
    options: *mut RecurrentOptions,
    size: usize,
) -> Status {
    call(|caller| {
        let options = caller.versioned_result("options", options, size)?;
        options.write(RecurrentOptions::of(&EngineOptions::default(), None, size));
        Ok(())
    })
}

/// Adds a recurrent layer as elman_add_rnn() does, with options.
///
///   units       at least 1
///   activation  as with elman_add_rnn()
///   options     NULL for the defaults, with which the layer is that of elman_add_rnn()
///
/// Its parameters are drawn as with elman_add_rnn(). Pointers from elman_gradients() end. The gradients of the new layer are 0.
///
/// Errors: NULL (network), ZERO_SIZE, SIZE_OVERFLOW, UNKNOWN_CONSTANT for `activation` or a field, OUT_OF_RANGE for a number
/// that is none of its field's; MISMATCH for a struct whose size is that of no version that the library knows, and for a field
/// that such a layer has no use for; OUT_OF_MEMORY.
/// Threads: needs the network to itself. Since 0.1.
///
/// # Safety
///
/// - `options` is NULL or a struct as large as its size field says, and nobody writes to it during the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn elman_add_recurrent(
    network: Option<&mut Network>,
    units: usize,
    activation: u32,
    options: *const RecurrentOptions,
) -> Status {
    call(|caller| {
        let network = require("network", network)?;
        let options = options_of(caller, options)?;
        let names = ["activation", "activation_alpha", "activation_beta"];
        let parameters = [options.activation_alpha, options.activation_beta];
        let activation = self::activation(names, activation, parameters)?;
        let options = options.engine_options()?;
        Ok(network.0.add_recurrent(units, activation, &options)?)
    })
}

/// Adds a gated recurrent unit.
///
///   units       at least 1
///   options     NULL for the defaults, with which the layer is PyTorch's nn.GRU
///
/// Arguments, errors and threads as with elman_add_recurrent(). Since 0.1.
///
/// # Safety
///
/// - `options` is NULL or a struct as large as its size field says, and nobody writes to it during the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn elman_add_gru(
    network: Option<&mut Network>,
    units: usize,
    options: *const RecurrentOptions,
) -> Status {
    call(|caller| {
        let network = require("network", network)?;
        let options = options_of(caller, options)?;
        Ok(network.0.add_gru(units, &options.engine_options()?)?)
    })
}

/// Adds long short-term memory.
///
///   units       at least 1: elements of c, and of h unless there is a projection
///   options     NULL for the defaults, with which the layer is PyTorch's nn.LSTM
///
/// Arguments, errors and threads as with elman_add_recurrent(); MISMATCH also for a forget bias where `coupled` is 1 or `bias`
/// is 0. Since 0.1.
///
/// # Safety
///
/// - `options` is NULL or a struct as large as its size field says, and nobody writes to it during the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn elman_add_lstm(
    network: Option<&mut Network>,
    units: usize,
    options: *const RecurrentOptions,
) -> Status {
    call(|caller| {
        let network = require("network", network)?;
        let options = options_of(caller, options)?;
        Ok(network.0.add_lstm(units, &options.engine_options()?)?)
    })
}

/// Tells the options of a recurrent layer, of one that was loaded as of one that was added. With them, and the units and the
/// activation, such a layer can be added again.
///
///   layer       its number, from 0 at the input
///   options     receives them
///   size        sizeof(elman_recurrent_options)
///
/// Errors: NULL, OUT_OF_RANGE for `layer`; MISMATCH where `size` is that of no version that the library knows, and for a layer
/// that is not recurrent.
/// Threads: any number on one network. Since 0.1.
///
/// # Safety
///
/// - `options` is NULL or has room for `size` bytes, which nobody else touches during the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn elman_get_recurrent_options(
    network: Option<&Network>,
    layer: usize,
    options: *mut RecurrentOptions,
    size: usize,
) -> Status {
    call(|caller| {
        let network = require("network", network)?;
        let options = caller.versioned_result("options", options, size)?;
        let info = layer_of(network, layer)?;
        let Some(found) = info.options else {
            return Err(Error::Mismatch {
                name: "layer",
                actual: format!("{layer}, which is not recurrent"),
                expected: "the number of a recurrent layer".to_owned(),
            }
            .into());
        };
        let activation = match info.kind {
            LayerKind::Rnn { activation } => Some(activation),
            _ => None,
        };
        options.write(RecurrentOptions::of(found, activation, size));
        Ok(())
    })
}

/// The options that a caller gave, or the defaults.
///
/// # Safety
///
/// As with [`Caller::versioned`].
unsafe fn options_of(
    caller: &mut Caller<'_>,
    options: *const RecurrentOptions,
) -> Result<RecurrentOptions> {
    let size = size_of::<RecurrentOptions>();
    let defaults = RecurrentOptions::of(&EngineOptions::default(), None, size);
    caller.versioned("options", options, defaults)
}

const DIRECTIONS: &[(u32, Direction)] = &[
    (ELMAN_FORWARD, Direction::Forward),
    (ELMAN_REVERSE, Direction::Reverse),
    (ELMAN_BIDIRECTIONAL, Direction::Bidirectional),
];
const MERGES: &[(u32, Merge)] = &[
    (ELMAN_MERGE_CONCAT, Merge::Concat),
    (ELMAN_MERGE_SUM, Merge::Sum),
    (ELMAN_MERGE_MEAN, Merge::Mean),
    (ELMAN_MERGE_PRODUCT, Merge::Product),
];
const LASTS: &[(u32, LastOutput)] = &[
    (ELMAN_LAST_STATE, LastOutput::FinalState),
    (ELMAN_LAST_STEP, LastOutput::LastStep),
];
const RESETS: &[(u32, Reset)] = &[
    (ELMAN_RESET_AFTER, Reset::After),
    (ELMAN_RESET_BEFORE, Reset::Before),
];
const INITIAL_STATES: &[(u32, InitialState)] = &[
    (ELMAN_INITIAL_ZEROS, InitialState::Zeros),
    (ELMAN_INITIAL_FIXED, InitialState::Fixed),
    (ELMAN_INITIAL_TRAINABLE, InitialState::Trainable),
];

/// The value that a constant stands for.
fn named<T: Copy>(
    name: &'static str,
    table: &[(u32, T)],
    value: u32,
    known: &'static str,
) -> Result<T> {
    let found = table.iter().find(|&&(number, _)| number == value);
    let &(_, found) = found.ok_or(Error::UnknownConstant { name, value, known })?;
    Ok(found)
}

/// The constant of a value.
fn number<T: PartialEq>(table: &[(u32, T)], value: &T) -> u32 {
    let found = table.iter().find(|(_, known)| known == value);
    found.map_or_else(
        || unreachable!("a test has seen all values"),
        |&(number, _)| number,
    )
}

/// The names of the fields of an activation and its parameters, for each direction.
type ActivationNames = [[&'static str; 3]; 2];
const GATES: ActivationNames = [
    ["gates[0]", "gates_alpha[0]", "gates_beta[0]"],
    ["gates[1]", "gates_alpha[1]", "gates_beta[1]"],
];
const CANDIDATE: ActivationNames = [
    ["candidate[0]", "candidate_alpha[0]", "candidate_beta[0]"],
    ["candidate[1]", "candidate_alpha[1]", "candidate_beta[1]"],
];
const OUTPUT: ActivationNames = [
    ["output[0]", "output_alpha[0]", "output_beta[0]"],
    ["output[1]", "output_alpha[1]", "output_beta[1]"],
];

/// The activation of that number; its parameters are its own where they are NaN.
fn activation(
    names: [&'static str; 3],
    function: u32,
    [alpha, beta]: [f64; 2],
) -> Result<Activation> {
    let [own_alpha, own_beta] = activation_parameters(activation_named(names[0], function)?);
    let or_own = |value: f64, own: Option<f64>| match own {
        Some(own) if value.is_nan() => own,
        _ => value,
    };
    let (alpha, beta) = (or_own(alpha, own_alpha), or_own(beta, own_beta));
    let activation = activation_with(names[0], function, alpha, beta)?;
    activation.check().map_err(|error| match error {
        Error::OutOfRange {
            name,
            value,
            expected,
        } => Error::OutOfRange {
            name: if name == "alpha" { names[1] } else { names[2] },
            value,
            expected,
        },
        other => other,
    })?;
    Ok(activation)
}

impl RecurrentOptions {
    /// The engine's options of a layer, and the activation of one of elman_add_recurrent().
    fn of(options: &EngineOptions, activation: Option<Activation>, size: usize) -> Self {
        let parameters = |of| activation_parameters(of).map(|value| value.unwrap_or(f64::NAN));
        let functions = |function: fn(&CellActivations) -> Activation| {
            let both = options.activations.each_ref().map(function);
            let [forward, reverse] = both.map(parameters);
            (
                both.map(activation_number),
                [forward[0], reverse[0]],
                [forward[1], reverse[1]],
            )
        };
        let (gates, gates_alpha, gates_beta) = functions(|of| of.gates);
        let (candidate, candidate_alpha, candidate_beta) = functions(|of| of.candidate);
        let (output, output_alpha, output_beta) = functions(|of| of.output);
        let [activation_alpha, activation_beta] = activation.map_or([f64::NAN; 2], parameters);
        Self {
            size,
            direction: number(DIRECTIONS, &options.direction),
            merge: number(MERGES, &options.merge),
            last: number(LASTS, &options.last),
            bias: options.bias.into(),
            reset: number(RESETS, &options.reset),
            peepholes: options.peepholes.into(),
            coupled: options.coupled.into(),
            initial_state: number(INITIAL_STATES, &options.initial_state),
            projection: options.projection,
            clip_sums: options.clip_sums,
            clip_state: options.clip_state,
            forget_bias: options.forget_bias.unwrap_or(f64::NAN),
            recurrent_dropout: options.recurrent_dropout,
            zoneout: options.zoneout,
            zoneout_cell: options.zoneout_cell,
            gates,
            candidate,
            output,
            gates_alpha,
            gates_beta,
            candidate_alpha,
            candidate_beta,
            output_alpha,
            output_beta,
            activation_alpha,
            activation_beta,
        }
    }

    /// The engine's options.
    fn engine_options(&self) -> Result<EngineOptions> {
        let mut activations = [CellActivations::default(); 2];
        for (way, of) in activations.iter_mut().enumerate() {
            let gates = [self.gates_alpha[way], self.gates_beta[way]];
            let candidate = [self.candidate_alpha[way], self.candidate_beta[way]];
            let output = [self.output_alpha[way], self.output_beta[way]];
            of.gates = activation(GATES[way], self.gates[way], gates)?;
            of.candidate = activation(CANDIDATE[way], self.candidate[way], candidate)?;
            of.output = activation(OUTPUT[way], self.output[way], output)?;
        }
        Ok(EngineOptions {
            direction: named(
                "direction",
                DIRECTIONS,
                self.direction,
                "ELMAN_FORWARD, ELMAN_REVERSE and ELMAN_BIDIRECTIONAL (0 to 2)",
            )?,
            merge: named(
                "merge",
                MERGES,
                self.merge,
                "the ELMAN_MERGE_ constants (0 to 3)",
            )?,
            last: named(
                "last",
                LASTS,
                self.last,
                "ELMAN_LAST_STATE and ELMAN_LAST_STEP (0 and 1)",
            )?,
            bias: flag("bias", self.bias)?,
            reset: named(
                "reset",
                RESETS,
                self.reset,
                "ELMAN_RESET_AFTER and ELMAN_RESET_BEFORE (0 and 1)",
            )?,
            activations,
            peepholes: flag("peepholes", self.peepholes)?,
            projection: self.projection,
            coupled: flag("coupled", self.coupled)?,
            clip_sums: self.clip_sums,
            clip_state: self.clip_state,
            forget_bias: (!self.forget_bias.is_nan()).then_some(self.forget_bias),
            recurrent_dropout: self.recurrent_dropout,
            zoneout: self.zoneout,
            zoneout_cell: self.zoneout_cell,
            initial_state: named(
                "initial_state",
                INITIAL_STATES,
                self.initial_state,
                "the ELMAN_INITIAL_ constants (0 to 2)",
            )?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn expect_numbers<T>(table: &[(u32, T)], values: usize) {
        let numbers: Vec<_> = table.iter().map(|&(number, _)| number as usize).collect();
        assert_eq!(numbers, Vec::from_iter(0..values));
    }

    #[test]
    fn every_value_has_a_constant() {
        expect_numbers(DIRECTIONS, 3);
        expect_numbers(MERGES, 4);
        expect_numbers(LASTS, 2);
        expect_numbers(RESETS, 2);
        expect_numbers(INITIAL_STATES, 3);
    }
}
