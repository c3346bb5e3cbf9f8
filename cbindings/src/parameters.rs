//! Parameters and gradients
//!
//! Both are flat, in layer order: W_x [input][units], W_h [units][units], b [units] of a recurrent layer; W
//! [input][units], b [units] of a dense one; row-major, in the layout of the equations. The section on recurrent layers has
//! those of GRU, LSTM and two directions; elman_get_tensor_info() tells where each tensor lies.

use elman_engine::optimizer::{clip_by_norm, clip_by_value};

use crate::border::{call, get, require};
use crate::network::Network;
use crate::status::Status;

/// Number of parameters, and of gradients; 0 for NULL.
///
/// Threads: any number on one network. Since 0.1.
#[unsafe(no_mangle)]
pub extern "C" fn elman_parameter_count(network: Option<&Network>) -> usize {
    get("network", network, 0, |network| network.0.parameter_count())
}

/// Copies all parameters.
///
///   parameters  receives them, [count]
///   count       elman_parameter_count()
///
/// Errors: NULL, LENGTH, SIZE_OVERFLOW.
/// Threads: any number on one network. Since 0.1.
///
/// # Safety
///
/// - `parameters` is NULL or as large as documented, and nobody else touches it during the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn elman_get_parameters(
    network: Option<&Network>,
    parameters: *mut f32,
    count: usize,
) -> Status {
    call(|caller| {
        let own = require("network", network)?.0.parameters();
        let parameters = caller.write("parameters", parameters, &[count])?;
        elman_engine::shape::expect_len("parameters", count, own.len())?;
        parameters.copy_from_slice(own);
        Ok(())
    })
}

/// Replaces all parameters.
///
///   parameters  [count]
///   count       elman_parameter_count()
///
/// Sessions go on with the parameters that they have.
///
/// Errors: NULL, LENGTH, SIZE_OVERFLOW, OUT_OF_MEMORY.
/// Threads: needs the network to itself. Since 0.1.
///
/// # Safety
///
/// - `parameters` is NULL or as large as documented, and nobody writes to it during the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn elman_set_parameters(
    network: Option<&mut Network>,
    parameters: *const f32,
    count: usize,
) -> Status {
    call(|caller| {
        let network = require("network", network)?;
        let parameters = caller.read("parameters", parameters, &[count])?;
        Ok(network.0.set_parameters(parameters)?)
    })
}

/// Gives the gradients themselves, to look at, scale, or reduce over processes in place (MPI_Allreduce, NCCL, Gloo):
/// they are one block.
///
///   values      receives the address of the block, [count], aligned to 64 bytes
///   count       receives elman_parameter_count(); may be NULL
///
/// The block stays where it is until a layer is added or the network is destroyed. Do not touch it while another call
/// works on the network, and do not pass it as an argument.
///
/// Errors: NULL (network, values), OVERLAP.
/// Threads: needs the network to itself. Since 0.1.
///
/// # Safety
///
/// - `values` and `count` are NULL or have room for their results, which nobody else touches during the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn elman_gradients(
    network: Option<&mut Network>,
    values: *mut *mut f32,
    count: *mut usize,
) -> Status {
    call(|caller| {
        let gradients = require("network", network)?.0.gradients_mut();
        let values = caller.result("values", values)?;
        let count = caller.result_optional("count", count)?;
        if let Some(count) = count {
            count.write(gradients.len());
        }
        values.write(gradients.as_mut_ptr());
        Ok(())
    })
}

/// Sets all gradients to 0.
///
/// Errors: NULL.
/// Threads: needs the network to itself. Since 0.1.
#[unsafe(no_mangle)]
pub extern "C" fn elman_clear_gradients(network: Option<&mut Network>) -> Status {
    call(|_| {
        require("network", network)?.0.clear_gradients();
        Ok(())
    })
}

/// Scales all gradients so that their Euclidean norm is at most `max_norm` (Pascanu et al. 2013).
///
///   max_norm    above 0; with INFINITY the call only measures
///   norm        receives the norm that they had before; may be NULL
///
/// Errors: NULL (network), OUT_OF_RANGE; NOT_FINITE where the norm is infinite or not a number, which is how
/// an exploded backward pass shows.
/// Threads: needs the network to itself. Since 0.1.
///
/// # Safety
///
/// - `norm` is NULL or has room for a result, which nobody else touches during the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn elman_clip_gradients_by_norm(
    network: Option<&mut Network>,
    max_norm: f64,
    norm: *mut f64,
) -> Status {
    call(|caller| {
        let network = require("network", network)?;
        let norm = caller.result_optional("norm", norm)?;
        let before = clip_by_norm(network.0.gradients_mut(), max_norm)?;
        if let Some(norm) = norm {
            norm.write(before);
        }
        Ok(())
    })
}

/// Moves every gradient to the nearest value in [-limit, limit].
///
///   limit       above 0
///
/// Errors: NULL, OUT_OF_RANGE.
/// Threads: needs the network to itself. Since 0.1.
#[unsafe(no_mangle)]
pub extern "C" fn elman_clip_gradients_by_value(
    network: Option<&mut Network>,
    limit: f64,
) -> Status {
    call(|_| {
        let network = require("network", network)?;
        Ok(clip_by_value(network.0.gradients_mut(), limit)?)
    })
}
