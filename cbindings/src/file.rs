//! Files
//!
//! A network is saved in the safetensors format, with the tensor names and layouts of torch.nn.RNN and torch.nn.Linear
//! (weight_ih_l0 and so on), so that other software can read and change the weights. The bytes of such a file may also lie
//! in memory, in an archive of the application's or in its binary.

use std::ffi::c_char;

use crate::border::{self, call, require};
use crate::network::Network;
use crate::status::Status;

/// Writes a network to a file: its layers, parameters, output mode, standardisation and class names, its seed, and how many
/// epochs and passes it has trained. Gradients and the number of threads are not part of it. The same network gives the
/// same bytes.
///
///   path        of the file, ends with 0; UTF-8 on Windows
///
/// A file that is already there is replaced as a whole or, after an error or a crash, not at all. The same holds for a
/// power failure; on Unix one that comes after the call has returned leaves the new file.
///
/// Errors: NULL, IO; FORMAT where the path is something else than a file; OUT_OF_RANGE for tens of thousands of layers.
/// Threads: any number on one network. Since 0.1.
///
/// # Safety
///
/// - `path` is NULL or ends with 0, and nobody writes to it during the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn elman_save(network: Option<&Network>, path: *const c_char) -> Status {
    call(|caller| {
        let network = require("network", network)?;
        let path = caller.path("path", path)?;
        Ok(network.0.save(path)?)
    })
}

/// Writes the parameters to a file that PyTorch takes: safetensors.torch.load_file() and then load_state_dict().
///
///   path        of the file, ends with 0; UTF-8 on Windows
///   modules     the names of PyTorch's modules, text in UTF-8 that ends with 0, one for each layer that has parameters, from
///               the input on, [count]; recurrent layers that follow each other and are layers of one module have its name
///               each: "lstm", "lstm", "head.0"
///
/// What is not a parameter is not in the file: activations, standardisation and names of classes among it. elman_import() reads
/// it again, bit for bit. The file is replaced as by elman_save().
///
/// Errors: NULL, IO, OUT_OF_MEMORY; LENGTH where there is not a name for each layer with parameters; MISMATCH for a layer that
/// PyTorch has not, for a name of two modules and for text that is no UTF-8; FORMAT and OUT_OF_RANGE as with elman_save();
/// SIZE_OVERFLOW.
/// Threads: any number on one network. Since 0.1.
///
/// # Safety
///
/// - `path` is NULL or ends with 0, and nobody writes to it during the call.
/// - `modules` is NULL or as large as documented, each of them NULL or a string that ends with 0; nobody writes to any during
///   the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn elman_save_state_dict(
    network: Option<&Network>,
    path: *const c_char,
    modules: *const *const c_char,
    count: usize,
) -> Status {
    call(|caller| {
        let network = require("network", network)?;
        let path = caller.path("path", path)?;
        let modules = caller.strings("modules", modules, count)?;
        Ok(network.0.save_state_dict(path, &modules)?)
    })
}

/// Writes a network to an ONNX file, which ONNX Runtime and others run to the same numbers, but for rounding errors.
///
///   path        of the file, ends with 0; UTF-8 on Windows
///
/// The graph has the input x, [batch][steps][input], and the output y, [batch][steps][output] or, where the output is that of the
/// last step, [batch][output]. What may be given beside x has a default, as an initializer of the same name: lengths [batch]
/// (int32), by default as many as there are steps, and state [batch][state_size], by default what the network starts from. The
/// output state_out, [batch][state_size], goes on from there. They lie as those of elman_predict(). Outputs of steps beyond a
/// sequence's length mean nothing; lengths are at least 1 where the output is that of the last step.
///
/// Dropout stays in the graph, where it does nothing; recurrent dropout and class names are left out. The operators are those
/// of version 17. elman_import() reads the file again: the parameters are the same, bit for bit, but for initial states of
/// zeros, which the network then has not, and for standardised inputs, which become two dense layers; so a network that has
/// an embedding besides may be refused. The file is replaced as by elman_save(). The function belongs to the part "import".
///
/// Errors: NULL, IO, OUT_OF_MEMORY; MISMATCH for what ONNX has not: projections, clipped cell states, zoneout, and hard tanh
/// within a cell; OUT_OF_RANGE for more than 2 GiB; FORMAT as with elman_save().
/// Threads: any number on one network. Since 0.1.
///
/// # Safety
///
/// - `path` is NULL or ends with 0, and nobody writes to it during the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn elman_save_onnx(network: Option<&Network>, path: *const c_char) -> Status {
    part!(
        "import",
        call(|caller| {
            let network = require("network", network)?;
            let path = caller.path("path", path)?;
            Ok(network.0.save_onnx(path)?)
        })
    )
}

/// Reads a network from a file that elman_save() has written, or whose tensors other software has changed since. It
/// belongs to the caller, who gives it back with elman_destroy().
///
///   path        of the file, ends with 0; UTF-8 on Windows
///   out         receives the network
///
/// Everything in the file is checked before anything of the network's size is allocated; a damaged or hostile file is
/// an error and nothing else.
///
/// Errors: NULL, IO, OUT_OF_MEMORY; FORMAT where the file is damaged or no network of this library (the message names what
/// PyTorch, Keras, ONNX, NumPy and some others write); TIER as with elman_create().
/// Threads: any. Since 0.1.
///
/// # Safety
///
/// - `path` is NULL or ends with 0, and nobody writes to it during the call.
/// - `out` is NULL or has room for a result, which nobody else touches during the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn elman_load(path: *const c_char, out: *mut *mut Network) -> Status {
    call(|caller| {
        let path = caller.path("path", path)?;
        let out = caller.result("out", out)?;
        let network = elman_engine::Network::load(path)?;
        out.write(border::handle(Network(network)));
        Ok(())
    })
}

/// Writes the contents of the file that elman_save() writes to memory.
///
///   bytes       receives them, up to [capacity]; NULL to ask for their number alone
///   capacity    at least the number that the call gives; not read without `bytes`
///   size        receives their number; may be NULL
///
/// The number stays the same until the network is changed.
///
/// Errors: NULL (network), OVERLAP, OUT_OF_MEMORY; LENGTH where `capacity` is too small; OUT_OF_RANGE as with elman_save().
/// Threads: any number on one network. Since 0.1.
///
/// # Safety
///
/// - `bytes` is NULL or has room for `capacity` bytes, which nobody else touches during the call.
/// - `size` is NULL or has room for a result, which nobody else touches during the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn elman_save_memory(
    network: Option<&Network>,
    bytes: *mut u8,
    capacity: usize,
    size: *mut usize,
) -> Status {
    call(|caller| {
        let network = require("network", network)?;
        let bytes = caller.write_optional("bytes", bytes, &[capacity])?;
        let size = caller.result_optional("size", size)?;
        let written = match bytes {
            Some(bytes) => network.0.write_bytes(bytes)?,
            None => network.0.saved_len()?,
        };
        if let Some(size) = size {
            size.write(written);
        }
        Ok(())
    })
}

/// Reads a network from the contents of a file, as elman_load() does.
///
///   bytes       [size], not needed any more when the call returns
///   out         receives the network
///
/// Errors: NULL, OVERLAP, OUT_OF_MEMORY, FORMAT, TIER as with elman_load(). Messages call the file "the bytes".
/// Threads: any. Since 0.1.
///
/// # Safety
///
/// - `bytes` is NULL or as large as documented, and nobody writes to it during the call.
/// - `out` is NULL or has room for a result, which nobody else touches during the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn elman_load_memory(
    bytes: *const u8,
    size: usize,
    out: *mut *mut Network,
) -> Status {
    call(|caller| {
        let bytes = caller.read("bytes", bytes, &[size])?;
        let out = caller.result("out", out)?;
        let network = elman_engine::Network::from_bytes(bytes, "the bytes")?;
        out.write(border::handle(Network(network)));
        Ok(())
    })
}
