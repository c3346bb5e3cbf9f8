//! ONNX files: a model is a message of Protocol Buffers, whose graph has nodes, constant tensors, inputs and outputs.
//! (<https://github.com/onnx/onnx/blob/main/onnx/onnx.proto> has the numbers of all fields.)

#[cfg(feature = "import")]
mod model;
#[cfg_attr(
    not(feature = "import"),
    expect(dead_code, reason = "only looks are read then")
)]
pub mod wire;

#[cfg(feature = "import")]
pub use model::*;

use wire::{Fields, Wire};

/// Whether a file is a model by its looks, damaged or not: field 1, the version of the format, then the name of the producer, the
/// graph or the like, which have a length. Or it has the fields of one in another order, to its end.
pub fn is_onnx(bytes: &[u8]) -> bool {
    match *bytes {
        // The producer's name.
        [0x08, 1..=32, 0x12, length, ref rest @ ..] => {
            let name = rest.get(..usize::from(length));
            name.is_some_and(|name| name.iter().all(|byte| (b' '..=b'~').contains(byte)))
        }
        [0x08, 1..=32, 0x3a | 0x42, ..] => true,
        _ => {
            let mut has_graph = false;
            let is_known = |field| match field {
                Ok(
                    (1 | 5, Wire::Integer(_)) | (2..=4 | 6 | 8 | 14 | 20 | 25 | 26, Wire::Bytes(_)),
                ) => true,
                Ok((7, Wire::Bytes(_))) => {
                    has_graph = true;
                    true
                }
                _ => false,
            };
            Fields(bytes).all(is_known) && has_graph
        }
    }
}
