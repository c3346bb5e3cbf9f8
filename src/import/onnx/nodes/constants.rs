//! Constants of the file.

use std::rc::Rc;

use super::super::value::{Dim, Floats, Result, Target, Value};
use super::{MOST_AXES, MOST_INTEGERS};
use crate::Element;
use crate::onnx::{Node, Tensor};

/// A vector of integers.
pub fn list<E>(values: Vec<Dim>) -> Value<E> {
    Value::Integers {
        dims: vec![values.len()],
        values,
    }
}

/// A constant of the file.
pub fn constant<E: Element>(tensor: &Tensor<'_>) -> Result<Value<E>> {
    let name = tensor.name;
    if tensor.is_external {
        return Err(format!(
            "the numbers of {name:?} are in another file: save the model as one file, with its weights"
        ));
    }
    let dims = tensor.shape();
    let dims = dims.filter(|dims| dims.len() <= MOST_AXES);
    let dims = dims.ok_or_else(|| format!("{name:?} has no shape that elman can take"))?;
    let wrong = |error: &str| format!("constant {name:?}: {error}");
    if tensor.is_integer() {
        if tensor.count().is_none_or(|count| count > MOST_INTEGERS) {
            return Err(wrong("more integers than belong to shapes"));
        }
        let values = tensor.integers().map_err(wrong)?;
        let values = values.into_iter().map(Dim::Known).collect();
        return Ok(Value::Integers { dims, values });
    }
    use crate::onnx::data_type::{BFLOAT16, DOUBLE, FLOAT, FLOAT16};
    // Sizes beside a 0 may be any.
    if dims.contains(&0) {
        return Err(wrong("no elements"));
    }
    match tensor.data_type {
        FLOAT | DOUBLE | FLOAT16 | BFLOAT16 => {
            let values = Rc::new(tensor.floats().map_err(wrong)?);
            Ok(Value::Floats(Floats { dims, values }))
        }
        other => Err(wrong(&format!(
            "elements of type {other}, expected numbers of 16 to 64 bits"
        ))),
    }
}

pub fn constant_node<E: Element>(node: &Node<'_>) -> Result<Value<E>> {
    let attribute = node.attributes.first().ok_or("it has no value")?;
    let floats = |dims: Vec<usize>, numbers: Vec<f32>| {
        let numbers = numbers.into_iter().map(|number| E::from_f64(number.into()));
        Value::Floats(Floats {
            dims,
            values: Rc::new(numbers.collect()),
        })
    };
    Ok(match attribute.name {
        "value" => constant(&attribute.tensor().ok_or("its value is no tensor")??)?,
        "value_int" => Value::Integers {
            dims: Vec::new(),
            values: vec![Dim::Known(attribute.integer().unwrap_or(0))],
        },
        "value_ints" => list(attribute.integers()?.into_iter().map(Dim::Known).collect()),
        "value_float" => floats(Vec::new(), vec![attribute.float().unwrap_or(0.0)]),
        "value_floats" => {
            let numbers = attribute.floats()?;
            if numbers.is_empty() {
                return Err("it has no value".to_owned());
            }
            floats(vec![numbers.len()], numbers)
        }
        other => return Err(format!("attribute {other}, expected numbers")),
    })
}

/// Numbers that are constant.
pub fn numbers<E: Element>(value: &Value<E>) -> Result<Floats<E>> {
    let one = |number| Floats {
        dims: Vec::new(),
        values: Rc::new(vec![E::from_f64(number)]),
    };
    match value {
        Value::Floats(floats) => Ok(floats.clone()),
        Value::Fill(number) => Ok(one(*number)),
        other => Err(format!("it takes {}, expected a constant", other.name())),
    }
}

/// The shape that a reshape of a constant asks for.
pub fn of_target(target: &[Target], dims: &[usize], count: usize) -> Result<Vec<usize>> {
    let mut rest = None;
    let mut shape = Vec::new();
    let mut product = 1_usize;
    for (axis, &size) in target.iter().enumerate() {
        let size = match size {
            Target::Size(Dim::Known(size)) => usize::try_from(size).ok(),
            Target::Same => dims.get(axis).copied(),
            Target::Rest if rest.is_none() => {
                rest = Some(axis);
                Some(1)
            }
            _ => None,
        };
        let size = size.ok_or("the shape of a constant is open")?;
        product = product
            .checked_mul(size)
            .ok_or("the shape of a constant is too large")?;
        shape.push(size);
    }
    if let Some(axis) = rest
        && product > 0
    {
        shape[axis] = count / product;
        product *= shape[axis];
    }
    match product == count {
        true => Ok(shape),
        false => Err(format!("{count} numbers in the shape {shape:?}")),
    }
}
