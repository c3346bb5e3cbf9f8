//! Files of other software, told by how they begin: people give them to a loader, and are to hear what they have given it.

use crate::onnx::is_onnx;

/// What a file that is no safetensors file is, as far as its bytes tell.
pub(super) fn kind(bytes: &[u8]) -> Option<&'static str> {
    let begins = |with: &[u8]| bytes.starts_with(with);
    Some(match bytes {
        _ if begins(b"PK\x03\x04") || begins(b"PK\x05\x06") => zip(bytes),
        // The magic number of torch.save before PyTorch 1.6, pickled.
        [0x80, 2..=5, 0x8a, 0x0a, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, ..] => {
            "a PyTorch checkpoint in the format from before PyTorch 1.6"
        }
        [0x80, 2..=5, ..] => "a Python pickle, as old PyTorch checkpoints are",
        _ if begins(b"\x89HDF\r\n\x1a\n") => "an HDF5 file, as Keras writes .h5 files",
        _ if begins(b"\x93NUMPY") => "a NumPy array (.npy)",
        _ if begins(b"\x1f\x8b") => "a gzip file, which has to be unpacked first",
        _ if begins(b"GGUF") => "a GGUF model",
        [_, _, _, _, b'T', b'F', b'L', b'3', ..] => "a TensorFlow Lite model",
        _ if is_onnx(bytes) => "an ONNX model, by its looks",
        _ if begins(b"version https://git-lfs") => {
            "a Git LFS pointer, not the file itself, which git lfs pull fetches"
        }
        _ => return text(bytes),
    })
}

/// How far into a file, and from its end, names are looked for.
const NEAR: usize = 64 << 10;

/// What is in a zip file, told by the names in it: they stand before each file and, all together, at the end.
fn zip(bytes: &[u8]) -> &'static str {
    let head = &bytes[..bytes.len().min(NEAR)];
    let tail = &bytes[bytes.len().saturating_sub(NEAR)..];
    let names = |name: &str| {
        let name = name.as_bytes();
        let is_in = |part: &[u8]| part.windows(name.len()).any(|window| window == name);
        is_in(head) || is_in(tail)
    };
    if names("data.pkl") {
        "a PyTorch checkpoint (a zip file of torch.save)"
    } else if names("model.weights.h5") {
        "a Keras model (.keras, a zip file)"
    } else if names(".npy") {
        "NumPy arrays (.npz, a zip file)"
    } else {
        "a zip file"
    }
}

/// What kind of text it is.
fn text(bytes: &[u8]) -> Option<&'static str> {
    let head = &bytes[..bytes.len().min(NEAR)];
    let head = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head);
    if head
        .iter()
        .any(|&byte| byte < b' ' && !b"\t\r\n".contains(&byte))
    {
        return None;
    }
    let mut lines = head.split(|&byte| byte == b'\n').map(<[u8]>::trim_ascii);
    let is_comment = |line: &[u8]| line.is_empty() || b"#%".contains(&line[0]);
    let line = lines.find(|line| !is_comment(line))?;
    Some(match line[0] {
        b'@' => "a data set in the .ts format, not a network",
        b'{' | b'[' => "a JSON text",
        b'<' => "an HTML or XML text",
        _ => "a text",
    })
}
