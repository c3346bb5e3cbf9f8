//! Files that are JSON text, which several systems write.

use std::path::Path;

use serde_json::{Map, Value};

use super::description::Description;
use super::{Found, FoundLayer, TAKEN, nam, pytorch, rtneural};
use crate::buffer::try_reserve;
use crate::layer::LayerSpec;
use crate::save::{Numbers, fault};
use crate::{Element, Result};

/// The text of a file that is a JSON object, by its looks.
pub fn object(bytes: &[u8]) -> Option<&[u8]> {
    let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    text.trim_ascii_start().starts_with(b"{").then_some(text)
}

/// Reads such a file, of whichever system it is.
pub fn read<E: Element>(file: &Path, text: &[u8], description: &Description) -> Result<Found<E>> {
    let object: Map<String, Value> =
        serde_json::from_slice(text).map_err(|error| fault(file, &format!("the JSON: {error}")))?;
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
            Some(1) => add_skip(file, &mut found, 0)?,
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

/// Adds the first feature of the `value`-th output (0: the input) to the output of a network that has one.
pub fn add_skip<E: Element>(file: &Path, found: &mut Found<E>, value: usize) -> Result<()> {
    if found.output_size != 1 {
        let message = format!("a skip to {} outputs, expected one", found.output_size);
        return Err(fault(file, &message));
    }
    let layers = &mut found.layers;
    if found.input_size == 1 {
        layers.push(FoundLayer::bare(LayerSpec::Residual { layer: value }));
        return Ok(());
    }
    let (last, size) = (layers.len(), found.input_size);
    layers.push(FoundLayer::bare(LayerSpec::Concat {
        layers: vec![value, last],
    }));
    let is_added = move |row: usize| row == 0 || row == size;
    layers.push(FoundLayer::fixed(1, move |row, _| {
        f64::from(u8::from(is_added(row)))
    }));
    Ok(())
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

/// A tensor of nested arrays.
pub fn numbers<E: Element>(file: &Path, name: &str, value: &Value) -> Result<Numbers<E>> {
    let mut shape = Vec::new();
    let mut inner = value;
    while let Value::Array(elements) = inner {
        shape.push(elements.len());
        let Some(first) = elements.first() else {
            break;
        };
        inner = first;
    }
    let mut values = Vec::new();
    match shape.is_empty() || !append(value, &shape, &mut values)? {
        true => Err(fault(
            file,
            &format!("{name} is no array of numbers, or one whose rows differ in length"),
        )),
        false => Ok(Numbers { shape, values }),
    }
}

/// Appends the numbers of nested arrays; false where they have another shape.
fn append<E: Element>(value: &Value, shape: &[usize], values: &mut Vec<E>) -> Result<bool> {
    let Some((&len, rest)) = shape.split_first() else {
        let number = value.as_f64();
        values.extend(number.map(E::from_f64));
        return Ok(number.is_some());
    };
    let Some(elements) = value.as_array().filter(|elements| elements.len() == len) else {
        return Ok(false);
    };
    if rest.is_empty() {
        let capacity = values.len() + len;
        try_reserve("a tensor", values, capacity)?;
    }
    for element in elements {
        if !append(element, rest, values)? {
            return Ok(false);
        }
    }
    Ok(true)
}
