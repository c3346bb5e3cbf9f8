//! Checking gradients
//!
//! This is the part "f64" of the library.

#[cfg(feature = "f64")]
use elman_engine::gradient_check::check_gradients;

use crate::border::{call, require, reserved};
use crate::network::Network;
use crate::run::batch_of;
use crate::status::{Result, Status};

/// Compares the gradients of elman_backward() with central difference quotients: those of every parameter that is not frozen, every input
/// and every start state. The function whose gradients they are is sum(dy * y) + sum(dstate_out * state_out).
///
///   x, batch, steps, lengths, state_in      as with elman_predict()
///   dy              gradient of the outputs, in the shape of `y`; NULL for zeros
///   dstate_out      gradient of the final states, [batch][state_size]; NULL for zeros
///   relative_error  receives the largest relative error; below some 1e-6 the backward pass is right
///
/// It runs on a copy in double, so the network stays as it is, and takes two forward passes for each gradient: use a
/// small batch.
///
/// Errors: those of elman_predict(), and NULL (relative_error); ZERO_SIZE also where there is no such parameter, input or
/// state.
/// Threads: any number on one network. Since 0.1.
///
/// # Safety
///
/// - `x`, `lengths`, `state_in`, `dy` and `dstate_out` are NULL or as large as documented, and nobody writes to them
///   during the call.
/// - `relative_error` is NULL or has room for a result, which nobody else touches during the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn elman_gradient_check(
    network: Option<&Network>,
    x: *const f32,
    batch: usize,
    steps: usize,
    lengths: *const usize,
    state_in: *const f32,
    dy: *const f32,
    dstate_out: *const f32,
    relative_error: *mut f64,
) -> Status {
    part!(
        "f64",
        call(|caller| {
            let network = &require("network", network)?.0;
            let narrow = batch_of(caller, network, x, batch, steps, lengths)?;
            let state = [batch, network.state_size()];
            let state_in = caller.read_optional("state_in", state_in, &state)?;
            let dy = caller.read_optional("dy", dy, &[network.output_len(batch, steps)?])?;
            let dstate_out = caller.read_optional("dstate_out", dstate_out, &state)?;
            let relative_error = caller.result("relative_error", relative_error)?;

            let x = widened(narrow.x)?;
            let state_in = state_in.map(widened).transpose()?;
            let wide = elman_engine::Batch {
                x: &x,
                batch,
                steps,
                lengths: narrow.lengths,
            };
            let report = check_gradients(network, wide, state_in.as_deref(), |outputs| {
                Ok(weigh(dy, outputs.y, outputs.dy)
                    + weigh(dstate_out, outputs.state, outputs.dstate))
            })?;
            relative_error.write(report.relative_error);
            Ok(())
        })
    )
}

/// The sum of `values` times `weights`, whose gradient are the weights.
fn weigh(weights: Option<&[f32]>, values: &[f64], gradient: &mut [f64]) -> f64 {
    let mut sum = 0.0;
    for ((&weight, value), gradient) in weights.into_iter().flatten().zip(values).zip(gradient) {
        *gradient = f64::from(weight);
        sum += f64::from(weight) * value;
    }
    sum
}

fn widened(values: &[f32]) -> Result<Vec<f64>> {
    let mut wide = reserved("a gradient check", values.len())?;
    wide.extend(values.iter().copied().map(f64::from));
    Ok(wide)
}
