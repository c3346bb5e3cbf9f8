//! Tensors that are nested arrays in JSON.

use std::path::Path;

use serde_json::Value;

use crate::buffer::try_reserve;
use crate::save::{Numbers, fault};
use crate::{Element, Result};

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
