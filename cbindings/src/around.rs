//! Layers around the cells
//!
//! Layer normalisation, embeddings, and layers that look back: a network is a list of layers, each of which takes the output of
//! the one before, but for those that take outputs of earlier ones, too. Where a function takes the number of an earlier
//! output, 0 is the network's input (standardised, if it is), and i the output of the i-th layer that was added, dropout and
//! activations counted.
//!
//! With ELMAN_OUTPUT_LAST the layers behind the last recurrent one run over the last step of each sequence alone. What they
//! take of earlier layers is then the last of these, which of a bidirectional layer is what its option says.

use elman_engine::{Error, LayerKind};

use crate::border::{call, require};
use crate::network::{Network, layer_of};
use crate::status::Status;

/// Adds layer normalisation (Ba et al. 2016, as PyTorch's LayerNorm): y = (x - m) / sqrt(v + epsilon) g + b, element by
/// element, where m is the mean of the features of the step and v their variance (the mean of the squared differences).
///
///   epsilon     at least the smallest normal float; PyTorch's is 1e-5f
///
/// The parameters are g [features], which starts at 1, and b [features], which starts at 0.
///
/// Pointers from elman_gradients() end. The gradients of the new layer are 0.
///
/// Errors: NULL, OUT_OF_RANGE, OUT_OF_MEMORY.
/// Threads: needs the network to itself. Since 0.1.
#[unsafe(no_mangle)]
pub extern "C" fn elman_add_layer_norm(network: Option<&mut Network>, epsilon: f32) -> Status {
    call(|_| {
        let network = require("network", network)?;
        Ok(network.0.add_layer_norm(epsilon.into())?)
    })
}

/// Adds an embedding, which replaces indices by rows of a table [classes][size], as PyTorch's Embedding does. Some columns of
/// the network's input are indices; the others pass as they are.
///
///   columns     [count] which columns of its input are indices, each once, in any order
///   count       at least 1
///   classes     rows of the table, 1 to 2^24
///   size        elements of each, at least 1
///
/// A row stands where its index stood: of an input a, i, b with columns {1} the output is a, then the row of i, then b, in all
/// 2 + size features. The columns share the table. Embeddings come before all other layers; a second one, for another table,
/// counts the columns of the first one's output, and may name those that have passed there.
///
/// The parameters are the table, which starts with numbers from the normal distribution (mean 0, deviation 1).
///
/// An index is a float that is an integer, at least 0 and less than `classes`. Every function that gets inputs, those of
/// sessions and elman_fit() too, looks at the indices of all steps that count (not at the padding behind lengths) before it
/// changes anything, and refuses a wrong one with OUT_OF_RANGE and a message that names its sequence, step, column and
/// value. elman_set_standardization() leaves these columns as they are; dx is 0 there. The gradient of a row of the table is
/// the sum over the steps that name it, from the last step to the first, within a step from the shortest sequence to the
/// longest, and within a row from the last column to the first; the gradients of other rows are not touched.
///
/// Pointers from elman_gradients() end. The gradients of the new layer are 0.
///
/// Errors: NULL, ALIGNMENT, ZERO_SIZE, SIZE_OVERFLOW, OUT_OF_MEMORY; OUT_OF_RANGE for `classes` and for a column that is not
/// there; MISMATCH for a column that is named twice or lies in another embedding's row, and where the network has layers that
/// are no embeddings.
/// Threads: needs the network to itself. Since 0.1.
///
/// # Safety
///
/// - `columns` is NULL or has `count` elements, and nobody writes to them during the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn elman_add_embedding(
    network: Option<&mut Network>,
    columns: *const usize,
    count: usize,
    classes: usize,
    size: usize,
) -> Status {
    call(|caller| {
        let network = require("network", network)?;
        let columns = caller.read("columns", columns, &[count])?;
        Ok(network.0.add_embedding(columns, classes, size)?)
    })
}

/// Adds a layer that gives outputs of earlier layers side by side. It has no parameters.
///
///   layers      [count] which, in this order: 0 is the network's input, i the output of the i-th layer that was added; some
///               may be there twice
///   count       at least 1
///
/// What is not named is not passed on: as a rule the layer before, whose number is elman_layer_count(), is one of them.
///
/// Pointers from elman_gradients() end.
///
/// Errors: NULL, ALIGNMENT, ZERO_SIZE, SIZE_OVERFLOW, OUT_OF_MEMORY; OUT_OF_RANGE for a layer that has not been added.
/// Threads: needs the network to itself. Since 0.1.
///
/// # Safety
///
/// - `layers` is NULL or has `count` elements, and nobody writes to them during the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn elman_add_concat(
    network: Option<&mut Network>,
    layers: *const usize,
    count: usize,
) -> Status {
    call(|caller| {
        let network = require("network", network)?;
        let layers = caller.read("layers", layers, &[count])?;
        Ok(network.0.add_concat(layers)?)
    })
}

/// Adds a layer that adds the output of an earlier layer to that of the layer before, element by element (He et al. 2015). It
/// has no parameters.
///
///   layer       which: 0 is the network's input, i the output of the i-th layer that was added; it has as many features as
///               the layer before
///
/// Pointers from elman_gradients() end.
///
/// Errors: NULL, OUT_OF_MEMORY; OUT_OF_RANGE for a layer that has not been added, MISMATCH for one of another size.
/// Threads: needs the network to itself. Since 0.1.
#[unsafe(no_mangle)]
pub extern "C" fn elman_add_residual(network: Option<&mut Network>, layer: usize) -> Status {
    call(|_| {
        let network = require("network", network)?;
        Ok(network.0.add_residual(layer)?)
    })
}

/// The numbers that a layer was added with: the columns of an embedding, the layers of elman_add_concat(), the one layer of
/// elman_add_residual(). Other kinds have none.
///
///   layer       its number, from 0 at the input
///   numbers     [count] receives them
///   count       number_count of its elman_layer_info
///
/// Errors: NULL, ALIGNMENT; OUT_OF_RANGE for `layer`; LENGTH where `count` is another number.
/// Threads: any number on one network. Since 0.1.
///
/// # Safety
///
/// - `numbers` is NULL or has room for `count` elements, which nobody else touches during the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn elman_get_layer_numbers(
    network: Option<&Network>,
    layer: usize,
    numbers: *mut usize,
    count: usize,
) -> Status {
    call(|caller| {
        let network = require("network", network)?;
        let numbers = caller.write("numbers", numbers, &[count])?;
        let layer = layer_of(network, layer)?;
        let own = numbers_of(&layer.kind);
        if own.len() != count {
            return Err(Error::Length {
                name: "numbers",
                actual: count,
                expected: own.len(),
            }
            .into());
        }
        numbers.copy_from_slice(own);
        Ok(())
    })
}

/// The numbers that a layer was added with.
pub(crate) fn numbers_of<'a>(kind: &'a LayerKind<'_>) -> &'a [usize] {
    match kind {
        LayerKind::Embedding { columns, .. } => columns,
        LayerKind::Concat { layers } => layers,
        LayerKind::Residual { layer } => std::slice::from_ref(layer),
        _ => &[],
    }
}
