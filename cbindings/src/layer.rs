//! What a network is made of
//!
//! Its layers, counted from 0, with their places in the flat parameters and in a sequence's state: of a network that was
//! loaded as of one that was built.

use std::ffi::{CStr, c_char};
use std::mem::offset_of;

use elman_engine::init::TensorRole;
use elman_engine::{Activation, Error, LayerKind};

use crate::around::numbers_of;
use crate::border::{Versioned, call, flag, get, require};
use crate::network::{Network, activation_number, activation_parameters, layer_of};
use crate::recurrent::{ELMAN_FORWARD, ELMAN_REVERSE};
use crate::status::Status;

/// A plain recurrent layer, of elman_add_rnn() or elman_add_recurrent().
pub const ELMAN_LAYER_RNN: u32 = 0;
/// A dense layer, of elman_add_dense().
pub const ELMAN_LAYER_DENSE: u32 = 1;
/// Dropout, of elman_add_dropout().
pub const ELMAN_LAYER_DROPOUT: u32 = 2;
/// An activation, of elman_add_activation().
pub const ELMAN_LAYER_ACTIVATION: u32 = 3;
/// A gated recurrent unit, of elman_add_gru().
pub const ELMAN_LAYER_GRU: u32 = 4;
/// Long short-term memory, of elman_add_lstm().
pub const ELMAN_LAYER_LSTM: u32 = 5;
/// Layer normalisation, of elman_add_layer_norm().
pub const ELMAN_LAYER_NORM: u32 = 6;
/// An embedding, of elman_add_embedding().
pub const ELMAN_LAYER_EMBEDDING: u32 = 7;
/// Outputs of earlier layers side by side, of elman_add_concat().
pub const ELMAN_LAYER_CONCAT: u32 = 8;
/// The addition of an earlier output, of elman_add_residual().
pub const ELMAN_LAYER_RESIDUAL: u32 = 9;

/// What a layer is. Later versions may add fields at the end, and kinds.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct LayerInfo {
    /// Size of the struct in bytes, which is its version.
    pub size: usize,
    /// An ELMAN_LAYER_ constant.
    pub kind: u32,
    /// Its activation; ELMAN_LINEAR where it has none, or several, which elman_get_recurrent_options() tells.
    pub activation: u32,
    /// Of dropout, the probability of zero; else 0.
    pub rate: f64,
    /// Features of a step that it takes.
    pub input_size: usize,
    /// Features of a step that it gives: its units, if it has any, or their projection; those of both directions where they lie
    /// side by side.
    pub output_size: usize,
    /// Index of its first parameter, and of its first gradient, in the flat buffers of the network.
    pub parameter_offset: usize,
    /// Number of its parameters.
    pub parameter_count: usize,
    /// Number of tensors that they make up.
    pub tensor_count: usize,
    /// Index of its first element in the state of a sequence.
    pub state_offset: usize,
    /// Number of its elements in the state of a sequence.
    pub state_size: usize,
    /// Whether training changes its parameters, 0 or 1: elman_set_trainable().
    pub trainable: u32,
    /// The parameter alpha of its activation; 0 where that has none.
    pub alpha: f64,
    /// The parameter beta of its activation; 0 where that has none.
    pub beta: f64,
    /// Of layer normalisation, what is added to the variance; else 0.
    pub epsilon: f64,
    /// Of an embedding, the rows of its table; else 0.
    pub classes: usize,
    /// How many numbers it was added with: elman_get_layer_numbers().
    pub number_count: usize,
    /// Units of a recurrent or a dense layer, whatever its output is; of an embedding, elements of a row; else 0.
    pub units: usize,
}

impl Versioned for LayerInfo {
    const FIRST: usize = offset_of!(Self, trainable);
}

/// What a tensor of a layer is: a row-major matrix [rows][columns]. Later versions may add fields at the end.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct TensorInfo {
    /// Size of the struct in bytes, which is its version.
    pub size: usize,
    /// Its name in the layer's equation: "W_x", "W_h" and "b" of a recurrent layer, "W" and "b" of a dense one, "g" and "b"
    /// of layer normalisation, "E" of an embedding; "q", "p", "R",
    /// "h_0" and "c_0" of what only some recurrent layers have. It is never freed.
    pub name: *const c_char,
    /// Rows; 1 of a bias.
    pub rows: usize,
    /// Columns: the layer's units, those of all gates side by side.
    pub columns: usize,
    /// Index of its first element in the flat parameters of the network.
    pub parameter_offset: usize,
    /// The number of gates that its columns are divided among; 1 where there are none.
    pub gates: u32,
    /// ELMAN_REVERSE where it belongs to a direction from the last step to the first, else ELMAN_FORWARD.
    pub direction: u32,
}

impl Versioned for TensorInfo {
    const FIRST: usize = offset_of!(Self, gates);
}

/// Number of layers; 0 for NULL.
///
/// Threads: any number on one network. Since 0.1.
#[unsafe(no_mangle)]
pub extern "C" fn elman_layer_count(network: Option<&Network>) -> usize {
    get("network", network, 0, |network| network.0.layer_count())
}

/// Tells what a layer is.
///
///   layer       its number, from 0 at the input
///   info        receives it
///   size        sizeof(elman_layer_info)
///
/// Errors: NULL; MISMATCH where `size` is that of no version that the library knows; OUT_OF_RANGE for `layer`.
/// Threads: any number on one network. Since 0.1.
///
/// # Safety
///
/// - `info` is NULL or has room for `size` bytes, which nobody else touches during the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn elman_get_layer_info(
    network: Option<&Network>,
    layer: usize,
    info: *mut LayerInfo,
    size: usize,
) -> Status {
    call(|caller| {
        let network = require("network", network)?;
        let info = caller.versioned_result("info", info, size)?;
        let layer = layer_of(network, layer)?;
        let (kind, activation, rate) = match layer.kind {
            LayerKind::Rnn { activation } => (ELMAN_LAYER_RNN, activation, 0.0),
            LayerKind::Dense { activation } => (ELMAN_LAYER_DENSE, activation, 0.0),
            LayerKind::Dropout { rate } => (ELMAN_LAYER_DROPOUT, Activation::Linear, rate),
            LayerKind::Activation { activation } => (ELMAN_LAYER_ACTIVATION, activation, 0.0),
            LayerKind::Gru => (ELMAN_LAYER_GRU, Activation::Linear, 0.0),
            LayerKind::Lstm => (ELMAN_LAYER_LSTM, Activation::Linear, 0.0),
            LayerKind::LayerNorm { .. } => (ELMAN_LAYER_NORM, Activation::Linear, 0.0),
            LayerKind::Embedding { .. } => (ELMAN_LAYER_EMBEDDING, Activation::Linear, 0.0),
            LayerKind::Concat { .. } => (ELMAN_LAYER_CONCAT, Activation::Linear, 0.0),
            LayerKind::Residual { .. } => (ELMAN_LAYER_RESIDUAL, Activation::Linear, 0.0),
        };
        let [alpha, beta] = activation_parameters(activation).map(|value| value.unwrap_or(0.0));
        info.write(LayerInfo {
            size,
            kind,
            activation: activation_number(activation),
            rate,
            input_size: layer.inputs,
            output_size: layer.outputs,
            parameter_offset: layer.parameters.start,
            parameter_count: layer.parameters.len(),
            tensor_count: layer.tensors().len(),
            state_offset: layer.state.start,
            state_size: layer.state.len(),
            trainable: layer.trainable.into(),
            alpha,
            beta,
            epsilon: match layer.kind {
                LayerKind::LayerNorm { epsilon } => epsilon,
                _ => 0.0,
            },
            classes: match layer.kind {
                LayerKind::Embedding { classes, .. } => classes,
                _ => 0,
            },
            number_count: numbers_of(&layer.kind).len(),
            units: match layer.kind {
                LayerKind::Embedding { size, .. } => size,
                _ => layer.units,
            },
        });
        Ok(())
    })
}

/// Tells what a tensor of a layer is.
///
///   layer       the layer's number, from 0 at the input
///   tensor      its number, from 0, in the order of the flat parameters
///   info        receives it
///   size        sizeof(elman_tensor_info)
///
/// Errors: NULL; MISMATCH where `size` is that of no version that the library knows; OUT_OF_RANGE for `layer` and `tensor`.
/// Threads: any number on one network. Since 0.1.
///
/// # Safety
///
/// - `info` is NULL or has room for `size` bytes, which nobody else touches during the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn elman_get_tensor_info(
    network: Option<&Network>,
    layer: usize,
    tensor: usize,
    info: *mut TensorInfo,
    size: usize,
) -> Status {
    call(|caller| {
        let network = require("network", network)?;
        let info = caller.versioned_result("info", info, size)?;
        let mut tensors = layer_of(network, layer)?.tensors();
        let count = tensors.len();
        let tensor = tensors.nth(tensor).ok_or(Error::IndexOutOfRange {
            name: "tensor",
            index: tensor,
            count,
        })?;
        info.write(TensorInfo {
            size,
            name: name_of(tensor.role).as_ptr(),
            rows: tensor.rows,
            columns: tensor.columns,
            parameter_offset: tensor.parameters.start,
            // Few: each has units of its own.
            gates: tensor.gates as u32,
            direction: if tensor.is_reverse {
                ELMAN_REVERSE
            } else {
                ELMAN_FORWARD
            },
        });
        Ok(())
    })
}

/// Freezes a layer, or lets it be trained again, as every layer is when it is added. elman_get_layer_info() tells which it is;
/// it is saved with the network.
///
///   layer       its number, from 0 at the input
///   trainable   0 or 1
///
/// Training leaves the parameters of a frozen layer as they are, bit for bit: elman_backward() adds nothing to its gradients,
/// which become 0 here, and elman_update() passes over its parameters and what the optimizer remembers of them, weight decay
/// and momentum or not. Gradients still go through it to what is below. Where nothing below is trained and neither `dx` nor
/// `dstate_in` is wanted, elman_backward() ends above it. elman_initialize() and elman_set_parameters() reach its parameters
/// all the same.
///
/// A layer that has been frozen from the first update on starts late: Adam's bias corrections count the steps of the
/// optimizer, not of a layer. elman_optimizer_reset() starts all of them anew.
///
/// Errors: NULL, OUT_OF_RANGE for `layer`, UNKNOWN_CONSTANT, OUT_OF_MEMORY.
/// Threads: needs the network to itself. Since 0.1.
#[unsafe(no_mangle)]
pub extern "C" fn elman_set_trainable(
    network: Option<&mut Network>,
    layer: usize,
    trainable: u32,
) -> Status {
    call(|_| {
        let network = require("network", network)?;
        let trainable = flag("trainable", trainable)?;
        Ok(network.0.set_trainable(layer, trainable)?)
    })
}

/// [`TensorRole::name`] with a 0 behind it.
fn name_of(role: TensorRole) -> &'static CStr {
    match role {
        TensorRole::InputWeight => c"W_x",
        TensorRole::RecurrentWeight => c"W_h",
        TensorRole::DenseWeight => c"W",
        TensorRole::CandidateBias => c"q",
        TensorRole::Peephole => c"p",
        TensorRole::Projection => c"R",
        TensorRole::InitialState => c"h_0",
        TensorRole::InitialCell => c"c_0",
        TensorRole::RecurrentBias | TensorRole::DenseBias | TensorRole::NormBias => c"b",
        TensorRole::NormGain => c"g",
        TensorRole::Embedding => c"E",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_engine() {
        for role in [
            TensorRole::InputWeight,
            TensorRole::RecurrentWeight,
            TensorRole::RecurrentBias,
            TensorRole::CandidateBias,
            TensorRole::Peephole,
            TensorRole::Projection,
            TensorRole::InitialState,
            TensorRole::InitialCell,
            TensorRole::DenseWeight,
            TensorRole::DenseBias,
            TensorRole::Embedding,
            TensorRole::NormGain,
            TensorRole::NormBias,
        ] {
            assert_eq!(name_of(role).to_str(), Ok(role.name()));
        }
    }
}
