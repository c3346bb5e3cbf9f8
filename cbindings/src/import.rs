//! Networks of other systems
//!
//! What PyTorch has trained, and amp models of several makers, go on in elman: docs/import.md says what is taken, and how to export
//! it there.
//!
//! These functions are the part "import" of the library.

use std::ffi::c_char;
use std::path::Path;
use std::ptr;

#[cfg(feature = "import")]
use elman_engine::ImportOptions as EngineOptions;

use crate::border::{self, Caller, Versioned, call};
use crate::network::Network;
use crate::status::{Result, Status};

/// What the file of another system does not say. elman_import_options_init() gives every field its default. Later versions may
/// add fields at the end, and go on to accept the size of this one.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct ImportOptions {
    /// Size of the struct in bytes, which is its version.
    pub size: usize,
    /// JSON, UTF-8 text that ends with 0. NULL, the default: elman_import() takes what is in a file beside that of the network,
    /// whose name has ".description.json" behind the other's, if there is one: "model.safetensors.description.json". It is about
    /// state dicts: of other formats only "output" is looked at, of elman's own files nothing. An object, all of whose members
    /// may be missing: "output", "all" (the default) or "last": elman_set_output(); "input_size", a number, where an embedding
    /// takes some of the features; "layers", an array, the order of the layers. One with weights in the file is
    /// {"module": "encoder.lstm"}, the name that its tensors have in common; beside it there may be "activation" ("relu",
    /// {"leaky_relu": {"alpha": 0.01}}...) of a plain recurrent layer, by default "tanh", and of a dense one, by default
    /// "linear"; "epsilon" of a layer norm, by default 1e-5; "columns" of an embedding, which tell it from a dense layer without
    /// a bias. Others are {"kind": "dropout", "rate": 0.1}, {"kind": "activation", "activation": "relu"},
    /// {"kind": "concat", "layers": [0, 1]}, {"kind": "residual", "layer": 0}.
    pub description: *const c_char,
}

impl Versioned for ImportOptions {
    const FIRST: usize = size_of::<Self>();
}

/// Gives every field of the options its default.
///
///   options     receives the defaults
///   size        sizeof(elman_import_options)
///
/// Errors: NULL; MISMATCH where `size` is that of no version that the library knows.
/// Threads: any. Since 0.1.
///
/// # Safety
///
/// - `options` is NULL or has room for `size` bytes, which nobody else touches during the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn elman_import_options_init(
    options: *mut ImportOptions,
    size: usize,
) -> Status {
    part!(
        "import",
        call(|caller| {
            let options = caller.versioned_result("options", options, size)?;
            options.write(defaults(size));
            Ok(())
        })
    )
}

/// Reads a network that another system has trained. It belongs to the caller, who gives it back with elman_destroy(), and is one
/// like any other: it can be trained, run as a stream and saved.
///
///   path        of the file, ends with 0; UTF-8 on Windows
///   options     NULL for the defaults
///   out         receives the network
///
/// The format is recognised by the contents. Taken are:
/// - state dicts of PyTorch as safetensors: RNN, LSTM (also with proj_size) and GRU, stacked, bidirectional, with or without
///   biases, their cells, Linear, Embedding and LayerNorm, whatever is in front of their names; numbers of 16, 32 and 64 bits,
///   rounded to float; and as JSON text, alone or in a model of GuitarML's, whose skip is taken, too;
/// - RTNeural's JSON of Keras models with dense layers, LSTM, GRU and activations; that of AIDA-X, with its skip and gains;
/// - Neural Amp Modeler's .nam of the architecture LSTM, with the state that it starts from;
/// - ONNX: graphs of RNN, GRU and LSTM with all of their options, Gemm, MatMul, activations, layer norms, embeddings, sums and
///   parts of features, in any order of their axes; states that go in and out are the business of elman's own;
/// - the files of elman_save().
///
/// A recurrent layer gets one bias, the sum of its two; the candidate of a GRU keeps both. The order of modules is found out
/// where only one fits their sizes. What the file leaves open is in the message, with what has been understood; a description
/// then tells, in the options or in a file beside it.
///
/// Errors: NULL (path, out), IO, OUT_OF_MEMORY; FORMAT where the file is damaged, leaves something open or has what cannot be
/// taken, which the message names, and for a wrong description (that of a file by its name); MISMATCH for options whose size is
/// that of no version that the library knows, and for a description in them that is no UTF-8; TIER as with elman_create().
/// Threads: any. Since 0.1.
///
/// # Safety
///
/// - `path` is NULL or ends with 0, and nobody writes to it during the call.
/// - `options` is NULL or a struct as large as its size field says, whose description is NULL or ends with 0; nobody writes to
///   them during the call.
/// - `out` is NULL or has room for a result, which nobody else touches during the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn elman_import(
    path: *const c_char,
    options: *const ImportOptions,
    out: *mut *mut Network,
) -> Status {
    part!(
        "import",
        call(|caller| {
            let path = caller.path("path", path)?;
            let options = options_of(caller, options)?;
            let out = caller.result("out", out)?;
            let network = elman_engine::Network::import(path, &options)?;
            out.write(border::handle(Network(network)));
            Ok(())
        })
    )
}

/// Reads a network from the contents of a file, as elman_import() does; no description lies beside it.
///
///   bytes       [size], not needed any more when the call returns
///   options     NULL for the defaults
///   out         receives the network
///
/// Errors: as elman_import(), but for IO; OVERLAP. Messages call the file "the bytes".
/// Threads: any. Since 0.1.
///
/// # Safety
///
/// - `bytes` is NULL or as large as documented, and nobody writes to it during the call.
/// - `options` is NULL or a struct as large as its size field says, whose description is NULL or ends with 0; nobody writes to
///   them during the call.
/// - `out` is NULL or has room for a result, which nobody else touches during the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn elman_import_memory(
    bytes: *const u8,
    size: usize,
    options: *const ImportOptions,
    out: *mut *mut Network,
) -> Status {
    part!(
        "import",
        call(|caller| {
            let bytes = caller.read("bytes", bytes, &[size])?;
            let options = options_of(caller, options)?;
            let out = caller.result("out", out)?;
            let network =
                elman_engine::Network::import_bytes(bytes, Path::new("the bytes"), &options)?;
            out.write(border::handle(Network(network)));
            Ok(())
        })
    )
}

fn defaults(size: usize) -> ImportOptions {
    ImportOptions {
        size,
        description: ptr::null(),
    }
}

/// The options that a caller gave, or the defaults.
///
/// # Safety
///
/// - As with [`Caller::versioned`]; the description is NULL or ends with 0, and nobody writes to it before the entry ends.
#[cfg(feature = "import")]
unsafe fn options_of(
    caller: &mut Caller<'_>,
    options: *const ImportOptions,
) -> Result<EngineOptions> {
    let options = caller.versioned("options", options, defaults(size_of::<ImportOptions>()))?;
    let description = match options.description.is_null() {
        true => None,
        false => Some(caller.text("description", options.description)?.to_owned()),
    };
    Ok(EngineOptions { description })
}
