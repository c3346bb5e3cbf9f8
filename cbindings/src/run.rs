//! Running a network
//!
//! Buffers are row-major. x is [batch][steps][input_size]. Sequences may differ in length: `lengths` says how many
//! steps of each are real, and what comes after them is not read. Time and memory follow the sum of the lengths. A sequence
//! may be empty: its outputs and its final state are 0, whatever layers there are and whatever it started from, and it has
//! no part in any gradient.
//!
//! Where time comes first in your buffers, as in a recording of several channels, elman_set_time_major() makes x
//! [steps][batch][input_size], and y likewise with ELMAN_OUTPUT_ALL; dx and dy follow them.

use elman_engine::Batch;

use crate::border::{Caller, call, require};
use crate::network::Network;
use crate::status::{Result, Status};

/// Runs a batch of sequences.
///
///   x           [batch][steps][input_size], or [steps][batch][input_size] after elman_set_time_major()
///   batch       number of sequences, at least 1
///   steps       steps of each in `x`, at least 1
///   lengths     [batch], each 0 to `steps`; NULL where all are `steps` long
///   state_in    [batch][state_size], the state that each sequence starts from; NULL for the network's own: zeros, or the
///               parameters that layers have for it
///   y           receives the outputs, [batch][output_size] or, with ELMAN_OUTPUT_ALL, [batch][steps][output_size] with
///               0 behind the end of a sequence, steps before the batch after elman_set_time_major(); may be NULL
///   state_out   receives the state of each sequence after its own last step, [batch][state_size]; may be NULL
///
/// A row of the output has the same bits whatever the number of threads and whatever else is in the batch. `y` and
/// `state_out` must not overlap each other or an input. After the first call of a size nothing is allocated.
///
/// Inputs, parameters and states may be infinite or NaN: a row of the output that one of them reaches becomes what
/// floating-point arithmetic makes of it, and every other row keeps its bits.
///
/// Errors: NULL (network, x), OVERLAP, ZERO_SIZE, SIZE_OVERFLOW, OUT_OF_RANGE for a length, OUT_OF_MEMORY.
/// Threads: any number on one network. Since 0.1.
///
/// # Safety
///
/// - `x`, `lengths` and `state_in` are NULL or as large as documented, and nobody writes to them during the call.
/// - `y` and `state_out` are NULL or as large as documented, and nobody else touches them during the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn elman_predict(
    network: Option<&Network>,
    x: *const f32,
    batch: usize,
    steps: usize,
    lengths: *const usize,
    state_in: *const f32,
    y: *mut f32,
    state_out: *mut f32,
) -> Status {
    call(|caller| {
        let network = &require("network", network)?.0;
        let batch = batch_of(caller, network, x, batch, steps, lengths)?;
        let ends = ends_of(caller, network, &batch, state_in, y, state_out)?;
        Ok(network.predict(batch, ends.state_in, ends.y, ends.state_out)?)
    })
}

/// A batch from the arguments of elman_predict() and its like.
///
/// # Safety
///
/// As with [`Caller::read`].
pub(crate) unsafe fn batch_of<'call>(
    caller: &mut Caller<'call>,
    network: &elman_engine::Network<f32>,
    x: *const f32,
    batch: usize,
    steps: usize,
    lengths: *const usize,
) -> Result<Batch<'call, f32>> {
    Ok(Batch {
        x: caller.read("x", x, &[batch, steps, network.input_size()])?,
        batch,
        steps,
        lengths: caller.read_optional("lengths", lengths, &[batch])?,
    })
}

/// What a run starts from and where its results go.
pub(crate) struct Ends<'call> {
    pub state_in: Option<&'call [f32]>,
    pub y: Option<&'call mut [f32]>,
    pub state_out: Option<&'call mut [f32]>,
}

/// The ends of a run over `batch`, from the arguments of elman_predict() and its like.
///
/// # Safety
///
/// As with [`Caller::read`] and [`Caller::write`].
pub(crate) unsafe fn ends_of<'call>(
    caller: &mut Caller<'call>,
    network: &elman_engine::Network<f32>,
    batch: &Batch<'_, f32>,
    state_in: *const f32,
    y: *mut f32,
    state_out: *mut f32,
) -> Result<Ends<'call>> {
    let state = [batch.batch, network.state_size()];
    let output = network.output_len(batch.batch, batch.steps)?;
    Ok(Ends {
        state_in: caller.read_optional("state_in", state_in, &state)?,
        y: caller.write_optional("y", y, &[output])?,
        state_out: caller.write_optional("state_out", state_out, &state)?,
    })
}
