//! Operators that put axes in another order, and those on sizes.

use std::rc::Rc;

use super::super::value::{Dim, Floats, Result, Target, Value, reshaped};
use super::constants::{constant, list, of_target};
use super::{MOST_AXES, Reader, attribute, integer, place, places};
use crate::Element;
use crate::onnx::Node;

/// Most integers that are all the same and yet kept one by one, as those of a shape are.
const MOST_ALIKE: i64 = 64;

impl<'a, E: Element> Reader<'a, E> {
    pub(super) fn shape(&self, node: &'a Node<'a>) -> Result<Value<E>> {
        let sizes = |dims: &[usize]| -> Vec<Dim> {
            let sizes = dims.iter().map(|&size| i64::try_from(size));
            sizes
                .map(|size| size.map_or(Dim::Open, Dim::Known))
                .collect()
        };
        let values = match self.value(node, 0)? {
            Value::Sequence(sequence) => self.sizes(sequence),
            Value::Floats(floats) => sizes(&floats.dims),
            Value::Integers { dims, .. } => sizes(dims),
            other => return Err(format!("the shape of {} is open", other.name())),
        };
        let rank = values.len() as i64;
        let place = |name, default| {
            let at = integer(node, name).unwrap_or(default);
            let at = if at < 0 { at + rank } else { at };
            at.clamp(0, rank) as usize
        };
        let (start, end) = (place("start", 0), place("end", rank));
        let values = values[start..end.max(start)].to_vec();
        Ok(list(values))
    }

    pub(super) fn constant_of_shape(&self, node: &'a Node<'a>) -> Result<Value<E>> {
        let shape = self.integers(node, 0)?.ok_or("input 0 is missing")?;
        let value = match attribute(node, "value") {
            None => Value::Fill(0.0),
            Some(attribute) => {
                let tensor = attribute.tensor().ok_or("its value is no tensor")??;
                match constant::<E>(&tensor)? {
                    Value::Floats(Floats { values, .. }) if values.len() == 1 => {
                        Value::Fill(values[0].to_f64())
                    }
                    Value::Integers { values, .. } if values.len() == 1 => {
                        Value::FillInteger(values[0])
                    }
                    _ => return Err("its value is not one number".to_owned()),
                }
            }
        };
        Ok(match (&value, &shape[..]) {
            (Value::FillInteger(value), [Dim::Known(count @ 0..=MOST_ALIKE)]) => {
                list(vec![*value; *count as usize])
            }
            _ => value,
        })
    }

    pub(super) fn expand(&self, node: &'a Node<'a>) -> Result<Value<E>> {
        let value = self.value(node, 0)?;
        let by = self.value(node, 1)?;
        let sizes = match by {
            Value::Integers { values, .. } => Some(&values[..]),
            _ => None,
        };
        let is_tile = node.op == "Tile";
        let is_plain = sizes.is_some_and(|sizes| sizes.iter().all(|&size| size == Dim::Known(1)));
        Ok(match value {
            value if is_plain && is_tile => value.clone(),
            Value::Fill(_) | Value::FillInteger(_) | Value::StateInput => value.clone(),
            Value::Floats(floats) if floats.values.len() == 1 => {
                Value::Fill(floats.values[0].to_f64())
            }
            Value::Integers { values, .. } if values.len() == 1 => match sizes {
                Some(&[Dim::Known(count @ 0..=MOST_ALIKE)]) => {
                    list(vec![values[0]; count as usize])
                }
                _ => Value::FillInteger(values[0]),
            },
            // Of one element along an axis it stands for several.
            Value::Floats(floats) => {
                let Some(by) = sizes else {
                    let what = by.name();
                    return Err(format!(
                        "input 1 is {what}, expected constant integers or sizes"
                    ));
                };
                if by.len() < floats.dims.len() {
                    return Ok(value.clone());
                }
                let mut dims = vec![1; by.len() - floats.dims.len()];
                dims.extend(&floats.dims);
                let keeps = |(&size, &by): (&usize, &Dim)| {
                    let same = Dim::Known(i64::try_from(size).unwrap_or(i64::MAX));
                    size == 1 || by == Dim::Known(1) || (!is_tile && by == same)
                };
                if !dims.iter().zip(by).all(keeps) {
                    return Err(
                        "it repeats a constant along an axis of several elements".to_owned()
                    );
                }
                Value::Floats(Floats {
                    dims,
                    values: Rc::clone(&floats.values),
                })
            }
            other => return Err(format!("it repeats {}", other.name())),
        })
    }

    pub(super) fn transpose(&mut self, node: &'a Node<'a>) -> Result<Value<E>> {
        let order = attribute(node, "perm")
            .map(|attribute| attribute.integers())
            .transpose()?;
        let order_of = |rank: usize| -> Result<Vec<usize>> {
            let Some(order) = &order else {
                return Ok((0..rank).rev().collect());
            };
            let order: Vec<usize> = order
                .iter()
                .map(|&axis| usize::try_from(axis).unwrap_or(usize::MAX))
                .collect();
            let mut sorted = order.clone();
            sorted.sort_unstable();
            match sorted == (0..rank).collect::<Vec<_>>() {
                true => Ok(order),
                false => Err(format!(
                    "perm is {order:?}, expected an order of {rank} axes"
                )),
            }
        };
        Ok(match self.value(node, 0)?.clone() {
            Value::Sequence(_) => {
                let mut sequence = self.sequence(node, 0)?;
                let order = order_of(sequence.axes.len())?;
                sequence.axes = order
                    .iter()
                    .map(|&axis| sequence.axes[axis].clone())
                    .collect();
                Value::Sequence(sequence)
            }
            Value::Floats(floats) => {
                self.make_room(floats.values.len())?;
                Value::Floats(floats.transposed(&order_of(floats.dims.len())?))
            }
            Value::Integers { dims, values } if dims.len() < 2 => Value::Integers { dims, values },
            value => self.reordered(value)?,
        })
    }

    /// What elements in another order are of something whose elements are all alike, or only carried through.
    fn reordered(&self, value: Value<E>) -> Result<Value<E>> {
        match value {
            Value::Lengths => Ok(value),
            value if value.is_alike() => Ok(value),
            other => Err(format!("it puts {} in another order", other.name())),
        }
    }

    pub(super) fn squeeze(&mut self, node: &'a Node<'a>) -> Result<Value<E>> {
        let axes = self.list(node, 1, "axes")?;
        let rest = |rank: usize, is_one: &dyn Fn(usize) -> bool| -> Result<Vec<usize>> {
            let gone = match &axes {
                Some(axes) => places(axes, rank)?,
                None => (0..rank).filter(|&axis| is_one(axis)).collect(),
            };
            match gone.iter().find(|&&axis| !is_one(axis)) {
                Some(axis) => Err(format!("axis {axis} may have more than one element")),
                None => Ok((0..rank).filter(|axis| !gone.contains(axis)).collect()),
            }
        };
        Ok(match self.value(node, 0)?.clone() {
            Value::Sequence(_) => {
                let mut sequence = self.sequence(node, 0)?;
                let rest = rest(sequence.axes.len(), &|axis| sequence.axes[axis].is_empty())?;
                sequence.axes = rest
                    .iter()
                    .map(|&axis| sequence.axes[axis].clone())
                    .collect();
                Value::Sequence(sequence)
            }
            Value::Floats(floats) => {
                let rest = rest(floats.dims.len(), &|axis| floats.dims[axis] == 1)?;
                Value::Floats(Floats {
                    dims: rest.iter().map(|&axis| floats.dims[axis]).collect(),
                    ..floats
                })
            }
            Value::Integers { dims, values } => {
                let rest = rest(dims.len(), &|axis| dims[axis] == 1)?;
                let dims = rest.iter().map(|&axis| dims[axis]).collect();
                Value::Integers { dims, values }
            }
            value => self.reordered(value)?,
        })
    }

    pub(super) fn unsqueeze(&mut self, node: &'a Node<'a>) -> Result<Value<E>> {
        let axes = self.list(node, 1, "axes")?.ok_or("its axes are missing")?;
        let more = |rank: usize| match rank + axes.len() <= MOST_AXES {
            true => places(&axes, rank + axes.len()),
            false => Err("it makes a tensor of many axes".to_owned()),
        };
        fn widened<T: Clone>(old: &[T], more: &[usize], one: &T) -> Vec<T> {
            let mut old = old.iter();
            let rank = old.len() + more.len();
            let at = |axis| match more.contains(&axis) {
                true => one.clone(),
                false => old.next().cloned().unwrap_or_else(|| one.clone()),
            };
            (0..rank).map(at).collect()
        }
        Ok(match self.value(node, 0)?.clone() {
            Value::Sequence(_) => {
                let mut sequence = self.sequence(node, 0)?;
                let more = more(sequence.axes.len())?;
                sequence.axes = widened(&sequence.axes, &more, &Vec::new());
                Value::Sequence(sequence)
            }
            Value::Floats(floats) => Value::Floats(Floats {
                dims: widened(&floats.dims, &more(floats.dims.len())?, &1),
                ..floats
            }),
            Value::Integers { dims, values } => Value::Integers {
                dims: widened(&dims, &more(dims.len())?, &1),
                values,
            },
            value => self.reordered(value)?,
        })
    }

    pub(super) fn reshape(&mut self, node: &'a Node<'a>) -> Result<Value<E>> {
        let allows_zero = integer(node, "allowzero").unwrap_or(0) != 0;
        let value = self.value(node, 0)?.clone();
        if value.is_alike() {
            return Ok(value);
        }
        let shape = self.integers(node, 1)?.ok_or("its shape is missing")?;
        if shape.len() > MOST_AXES {
            return Err("it makes a tensor of many axes".to_owned());
        }
        let target = shape.iter().map(|&size| match size {
            Dim::Known(0) if !allows_zero => Target::Same,
            Dim::Known(-1) => Target::Rest,
            size => Target::Size(size),
        });
        let target: Vec<Target> = target.collect();
        self.with_shape(node, value, &target)
    }

    pub(super) fn flatten(&mut self, node: &'a Node<'a>) -> Result<Value<E>> {
        let value = self.value(node, 0)?.clone();
        let Value::Sequence(sequence) = &value else {
            return Err(format!("it flattens {}", value.name()));
        };
        let rank = sequence.axes.len();
        let axis = integer(node, "axis").unwrap_or(1);
        let axis = place(axis, rank + 1)?;
        let mut sequence = self.sequence(node, 0)?;
        sequence.axes = vec![
            sequence.axes[..axis].concat(),
            sequence.axes[axis..].concat(),
        ];
        Ok(Value::Sequence(sequence.merged()))
    }

    fn with_shape(
        &mut self,
        node: &'a Node<'a>,
        value: Value<E>,
        target: &[Target],
    ) -> Result<Value<E>> {
        Ok(match value {
            Value::Sequence(_) => {
                let mut sequence = self.sequence(node, 0)?;
                let size = |atom| self.size(&sequence, atom);
                let axes = reshaped(&sequence.axes, target, &size);
                sequence.axes =
                    axes.ok_or("it does more than put neighbouring axes together or apart")?;
                Value::Sequence(sequence.merged())
            }
            Value::Floats(floats) => Value::Floats(Floats {
                dims: of_target(target, &floats.dims, floats.values.len())?,
                ..floats
            }),
            Value::Integers { dims, values } => Value::Integers {
                dims: of_target(target, &dims, values.len())?,
                values,
            },
            value => self.reordered(value)?,
        })
    }

    pub(super) fn choose(&mut self, node: &'a Node<'a>) -> Result<Value<E>> {
        let condition = self.integers(node, 0)?.ok_or("input 0 is missing")?;
        let (left, right) = (self.integers(node, 1)?, self.integers(node, 2)?);
        let (left, right) = (
            left.ok_or("input 1 is missing")?,
            right.ok_or("input 2 is missing")?,
        );
        let count = condition.len().max(left.len()).max(right.len());
        let at = |values: &[Dim], index: usize| match values {
            [one] => Some(*one),
            several => several.get(index).copied(),
        };
        let values = (0..count).map(|index| {
            Some(match at(&condition, index)? {
                Dim::Known(0) => at(&right, index)?,
                Dim::Known(_) => at(&left, index)?,
                _ => Dim::Open,
            })
        });
        let values: Option<Vec<Dim>> = values.collect();
        Ok(list(values.ok_or("its inputs differ in length")?))
    }
}
