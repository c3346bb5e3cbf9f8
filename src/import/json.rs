//! Files that are JSON text, which several systems write.

use std::path::Path;

use serde_json::{Map, Value};

use super::arrays::numbers;
use super::description::Description;
use super::{Found, TAKEN, nam, pytorch, rtneural};
use crate::save::{Numbers, Unambiguous, fault};
use crate::{Element, Result};

/// The text of a file that is a JSON object, by its looks.
pub fn object(bytes: &[u8]) -> Option<&[u8]> {
    let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    text.trim_ascii_start().starts_with(b"{").then_some(text)
}

/// Reads such a file, of whichever system it is.
pub fn read<E: Element>(file: &Path, text: &[u8], description: &Description) -> Result<Found<E>> {
    let Unambiguous(value) =
        serde_json::from_slice(text).map_err(|error| fault(file, &format!("the JSON: {error}")))?;
    let Value::Object(object) = value else {
        unreachable!("it begins as an object");
    };
    if object.contains_key("architecture") && object.contains_key("weights") {
        return nam::read(file, &object, description);
    }
    if object.contains_key("layers") && object.contains_key("in_shape") {
        return rtneural::read(file, &object, description);
    }
    if let Some(tensors) = object.get("state_dict").and_then(Value::as_object) {
        let mut found = pytorch::read(file, state_dict(file, tensors)?, description)?;
        let skip = object.get("model_data").and_then(|data| data.get("skip"));
        match skip.and_then(Value::as_u64) {
            None | Some(0) => {}
            Some(1) => found.add_skip(file, 0)?,
            Some(skip) => {
                let message = format!("model_data.skip is {skip}, expected 0 or 1");
                return Err(fault(file, &message));
            }
        }
        return Ok(found);
    }
    if object.values().all(Value::is_array) {
        return pytorch::read(file, state_dict(file, &object)?, description);
    }
    let keys: Vec<&str> = object.keys().take(5).map(String::as_str).collect();
    Err(fault(
        file,
        &format!("JSON with {keys:?}, expected {TAKEN}"),
    ))
}

fn state_dict<E: Element>(
    file: &Path,
    tensors: &Map<String, Value>,
) -> Result<Vec<(String, Numbers<E>)>> {
    let tensors = tensors.iter().map(|(name, value)| {
        let numbers = numbers(file, name, value)?;
        Ok((name.clone(), numbers))
    });
    tensors.collect()
}
