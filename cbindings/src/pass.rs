//! Your own training loop: forward, backward, update
//!
//! One step of training is elman_forward(), a loss, elman_backward(), elman_update(). elman_backward() adds to the
//! gradients, so a large batch can be cut into several. It takes the gradient of the final states and gives that of the
//! first ones, so a long sequence can be cut into pieces; or hand the states from piece to piece and drop their
//! gradients: that is truncated backpropagation through time.

use crate::border::{call, require};
use crate::network::Network;
use crate::optimizer::Optimizer;
use crate::run::{batch_of, ends_of};
use crate::status::Status;

/// Runs a batch as elman_predict() does, but with dropout, recurrent dropout and zoneout, and keeps what elman_backward()
/// needs.
///
/// It keeps input_size numbers and the units of all layers for every step of every sequence; of gated layers what the section
/// on recurrent layers says. elman_backward() needs room for gradients besides, as a rule no more than 0.3 times as much. The
/// room of the largest batch is the network's until elman_destroy().
///
/// Arguments and errors as with elman_predict(). What an earlier call has kept is dropped.
/// Threads: needs the network to itself. Since 0.1.
///
/// # Safety
///
/// - `x`, `lengths` and `state_in` are NULL or as large as documented, and nobody writes to them during the call.
/// - `y` and `state_out` are NULL or as large as documented, and nobody else touches them during the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn elman_forward(
    network: Option<&mut Network>,
    x: *const f32,
    batch: usize,
    steps: usize,
    lengths: *const usize,
    state_in: *const f32,
    y: *mut f32,
    state_out: *mut f32,
) -> Status {
    call(|caller| {
        let network = &mut require("network", network)?.0;
        let batch = batch_of(caller, network, x, batch, steps, lengths)?;
        let ends = ends_of(caller, network, &batch, state_in, y, state_out)?;
        Ok(network.forward(batch, ends.state_in, ends.y, ends.state_out)?)
    })
}

/// Goes back through the last elman_forward() and adds the gradients of the parameters to those that are there: sums
/// over the batch, not means (a mean is the business of the loss). Layers that elman_set_trainable() has frozen get none.
///
///   dy          gradient of the outputs, in the shape of `y`; what lies behind the end of a sequence is not read; NULL
///               for zeros
///   dstate_out  gradient of the final states, [batch][state_size]; NULL for zeros
///   dx          receives the gradient of the inputs, in the shape of `x`, 0 behind the end of a sequence; may be NULL,
///               which saves its computation
///   dstate_in   receives the gradient of the states that the sequences started from, [batch][state_size]; may be NULL
///
/// `dx` and `dstate_in` must not overlap each other or an input. Gradients have the same bits whatever the number of
/// threads. A second call goes through the same forward pass again.
///
/// Errors: NULL (network), OVERLAP, OUT_OF_MEMORY; CALL_ORDER where there was no forward pass or the network
/// has changed since.
/// Threads: needs the network to itself. Since 0.1.
///
/// # Safety
///
/// - `dy` and `dstate_out` are NULL or as large as documented, and nobody writes to them during the call.
/// - `dx` and `dstate_in` are NULL or as large as documented, and nobody else touches them during the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn elman_backward(
    network: Option<&mut Network>,
    dy: *const f32,
    dstate_out: *const f32,
    dx: *mut f32,
    dstate_in: *mut f32,
) -> Status {
    call(|caller| {
        let network = &mut require("network", network)?.0;
        // Without a forward pass the buffers have no size, and the engine says so before it looks at them.
        let (batch, steps) = network.forward_shape().unwrap_or_default();
        let output = network.output_len(batch, steps)?;
        let state = [batch, network.state_size()];
        let dy = caller.read_optional("dy", dy, &[output])?;
        let dstate_out = caller.read_optional("dstate_out", dstate_out, &state)?;
        let dx = caller.write_optional("dx", dx, &[batch, steps, network.input_size()])?;
        let dstate_in = caller.write_optional("dstate_in", dstate_in, &state)?;
        Ok(network.backward(dy, dstate_out, dx, dstate_in)?)
    })
}

/// Lets the optimizer apply the gradients to the parameters, except those of frozen layers, then sets them to 0.
///
/// Errors: NULL, OUT_OF_MEMORY; MISMATCH where the optimizer has served a network with another number of parameters.
/// Threads: needs the network and the optimizer to itself. Since 0.1.
#[unsafe(no_mangle)]
pub extern "C" fn elman_update(
    network: Option<&mut Network>,
    optimizer: Option<&mut Optimizer>,
) -> Status {
    call(|_| {
        let network = require("network", network)?;
        let optimizer = require("optimizer", optimizer)?;
        Ok(network.0.update(&mut optimizer.0)?)
    })
}
