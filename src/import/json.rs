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
        if is_set(file, "model_data.skip", skip)? {
            found.add_skip(file, 0)?;
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

/// A number that may be missing or null.
pub(super) fn number(file: &Path, name: &str, value: Option<&Value>) -> Result<Option<f64>> {
    let Some(value) = value.filter(|value| !value.is_null()) else {
        return Ok(None);
    };
    let number = value.as_f64();
    number.map_or_else(
        || Err(fault(file, &format!("{name} is no number"))),
        |number| Ok(Some(number)),
    )
}

/// Whether a number that may be missing is 1 and not 0.
pub(super) fn is_set(file: &Path, name: &str, value: Option<&Value>) -> Result<bool> {
    match number(file, name, value)? {
        None | Some(0.0) => Ok(false),
        Some(1.0) => Ok(true),
        Some(number) => {
            let message = format!("{name} is {number}, expected 0 or 1");
            Err(fault(file, &message))
        }
    }
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
