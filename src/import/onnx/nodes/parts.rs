//! Operators that take parts of tensors or put such side by side.

use super::super::value::{Atom, Dim, Floats, Moment, Result, Sequence, Value};
use super::constants::list;
use super::{MOST_INTEGERS, MOST_PIECES, Reader, attribute, integer, place};
use crate::Element;
use crate::onnx::Node;

impl<'a, E: Element> Reader<'a, E> {
    pub(super) fn slice(&mut self, node: &'a Node<'a>) -> Result<Value<E>> {
        let mut value = self.value(node, 0)?.clone();
        if value.is_alike() {
            return Ok(value);
        }
        let starts = self
            .list(node, 1, "starts")?
            .ok_or("its starts are missing")?;
        let ends = match self.integers(node, 2)? {
            Some(ends) => ends,
            None => {
                let ends = attribute(node, "ends").ok_or("its ends are missing")?;
                ends.integers()?.into_iter().map(Dim::Known).collect()
            }
        };
        let axes = match self.list(node, 3, "axes")? {
            Some(axes) => axes,
            None => (0..starts.len() as i64).collect(),
        };
        let steps = self.list(node, 4, "steps")?;
        if ends.len() != starts.len() || axes.len() != starts.len() {
            return Err("its starts, ends and axes differ in number".to_owned());
        }
        for (index, &start) in starts.iter().enumerate() {
            let step = steps.as_ref().and_then(|steps| steps.get(index)).copied();
            let range = (start, ends[index], step.unwrap_or(1));
            value = self.slice_axis(node, value, axes[index], range)?;
        }
        Ok(value)
    }

    fn slice_axis(
        &mut self,
        node: &'a Node<'a>,
        value: Value<E>,
        axis: i64,
        (start, end, step): (i64, Dim, i64),
    ) -> Result<Value<E>> {
        // The indices of an axis of so many elements.
        let indices = |size: usize| -> Result<Vec<usize>> {
            let len = i64::try_from(size).unwrap_or(i64::MAX);
            let end = match end {
                Dim::Known(end) => end,
                _ => return Err("its end depends on the input's size".to_owned()),
            };
            let at = |place: i64, low: i64, high: i64| {
                let place = if place < 0 {
                    place.saturating_add(len)
                } else {
                    place
                };
                place.clamp(low, high)
            };
            let mut indices = Vec::new();
            if len == 0 {
                return Ok(indices);
            }
            match step {
                1.. => {
                    let (mut at, end) = (at(start, 0, len), at(end, 0, len));
                    while at < end {
                        indices.push(at as usize);
                        at = at.saturating_add(step);
                    }
                }
                0 => return Err("one of its steps is 0".to_owned()),
                _ => {
                    let (mut at, end) = (at(start, 0, len - 1), at(end, -1, len - 1));
                    while at > end {
                        indices.push(at as usize);
                        at = at.saturating_add(step);
                    }
                }
            }
            Ok(indices)
        };
        Ok(match value {
            Value::Integers { dims, values } if dims.len() == 1 => {
                let picked = indices(values.len())?;
                list(picked.into_iter().map(|index| values[index]).collect())
            }
            Value::Floats(floats) => {
                let axis = place(axis, floats.dims.len())?;
                let picked = indices(floats.dims[axis])?;
                if picked.is_empty() {
                    return Err(NOTHING.to_owned());
                }
                self.make_room(floats.values.len())?;
                Value::Floats(floats.of(axis, &picked))
            }
            Value::Sequence(mut sequence) => {
                let uses = self.uses.get(node.inputs[0]);
                sequence.is_alone &= uses.is_some_and(|&[uses, _]| uses == 1);
                let axis = place(axis, sequence.axes.len())?;
                let size = self.sizes(&sequence)[axis];
                if let Dim::Known(size) = size {
                    let size = usize::try_from(size).unwrap_or(usize::MAX);
                    let pick = match (step, end) {
                        (1, Dim::Known(end)) => Pick::run_of(start, end, size),
                        _ if size > MOST_INTEGERS => return Err(SOME_STEPS.to_owned()),
                        _ => Pick::List(indices(size)?),
                    };
                    return Ok(Value::Sequence(self.picked(sequence, axis, &pick)?));
                }
                // An axis whose size is open: all of it, all of it backwards, or its last or first element.
                const FAR: i64 = i32::MAX as i64;
                const NEAR: i64 = -FAR;
                let is_end = |end| end == size || matches!(end, Dim::Known(FAR..));
                match (start, end, step) {
                    (0, end, 1) if is_end(end) => Value::Sequence(sequence),
                    (-1, Dim::Known(..=NEAR), -1) => {
                        Value::Sequence(self.backwards(sequence, axis)?)
                    }
                    (-1, end, 1) if is_end(end) => {
                        Value::Sequence(self.at_step(sequence, axis, Moment::Last)?)
                    }
                    (0, Dim::Known(1), 1) => {
                        Value::Sequence(self.at_step(sequence, axis, Moment::First)?)
                    }
                    _ => return Err(SOME_STEPS.to_owned()),
                }
            }
            other => return Err(format!("it takes a part of {}", other.name())),
        })
    }

    /// Some of the elements along an axis of a known size.
    fn picked(&mut self, mut sequence: Sequence, axis: usize, pick: &Pick) -> Result<Sequence> {
        let atoms = sequence.axes[axis].clone();
        // An axis of the input that nobody has taken as features is that if it is the last one.
        if let [Atom::Axis(own)] = atoms[..] {
            let Dim::Known(size) = self.dims[own] else {
                return Err(SOME_STEPS.to_owned());
            };
            let size = usize::try_from(size).unwrap_or(0);
            if pick.is_whole(size) {
                return Ok(sequence);
            }
            let is_feature = self.features.is_none_or(|axis| axis == Some(own));
            if sequence.is_raw() && is_feature && own + 1 == self.dims.len() {
                let bound = self.bound(sequence)?;
                return self.picked(bound, axis, pick);
            }
            return match pick.run() {
                None if pick.is_backwards(size) => self.backwards(sequence, axis),
                Some((start, 1)) if start + 1 == size => self.at_step(sequence, axis, Moment::Last),
                Some((0, 1)) => self.at_step(sequence, axis, Moment::First),
                _ => Err(SOME_STEPS.to_owned()),
            };
        }
        let len = pick.len();
        if len == 0 {
            return Err(NOTHING.to_owned());
        }
        match atoms[..] {
            [] if pick.is_whole(1) => {}
            [Atom::Unit] => {
                sequence.is_alone &= pick.is_whole(sequence.units());
                sequence.parts = match pick.run() {
                    Some((start, len)) => sequence.of_units(start, len),
                    None => {
                        let picked = pick.indices().map(|index| sequence.of_units(index, 1));
                        let mut picked = picked.collect::<Vec<_>>().into_iter();
                        let first = picked.next().unwrap_or_default();
                        picked.fold(first, |mut parts, more| {
                            let own = parts.iter_mut().zip(more);
                            own.for_each(|(part, more)| part.extend(more));
                            parts
                        })
                    }
                };
                if len == 1 {
                    sequence.axes[axis] = Vec::new();
                }
            }
            [Atom::Part] => {
                sequence.is_alone &= pick.is_whole(sequence.parts.len());
                let parts = pick.indices().map(|index| sequence.parts[index].clone());
                sequence.parts = parts.collect();
                if len == 1 {
                    sequence.axes[axis] = Vec::new();
                }
            }
            _ => return Err("it takes a part of axes that have been put together".to_owned()),
        }
        match sequence.pieces() <= MOST_PIECES {
            true => Ok(sequence),
            false => Err(MANY_PIECES.to_owned()),
        }
    }

    /// The same, its steps from the last to the first.
    fn backwards(&mut self, mut sequence: Sequence, axis: usize) -> Result<Sequence> {
        if self.chain.has_lengths {
            return Err("it turns sequences around whatever their lengths are".to_owned());
        }
        self.bind_time(&sequence.axes[axis])?;
        sequence.is_reversed = !sequence.is_reversed;
        Ok(sequence)
    }

    /// One step of each sequence.
    fn at_step(&mut self, sequence: Sequence, axis: usize, moment: Moment) -> Result<Sequence> {
        let mut sequence = self.bound(sequence)?;
        self.bind_time(&sequence.axes[axis])?;
        let moment = match (moment, sequence.is_reversed) {
            (Moment::Last, true) => Moment::First,
            (Moment::First, true) => Moment::Last,
            (moment, _) => moment,
        };
        sequence.is_reversed = false;
        sequence.axes[axis] = Vec::new();
        for piece in sequence.parts.iter_mut().flatten() {
            piece.moment = moment;
        }
        Ok(sequence)
    }

    pub(super) fn gather(&mut self, node: &'a Node<'a>) -> Result<Value<E>> {
        let axis = integer(node, "axis").unwrap_or(0);
        let value = self.value(node, 0)?.clone();
        if value.is_alike() {
            return Ok(value);
        }
        if let (Value::Floats(table), Value::Sequence(_)) = (&value, self.value(node, 1)?) {
            let table = table.clone();
            return self.embed(node, &table);
        }
        let Value::Integers {
            dims: index_dims,
            values: indices,
        } = self.value(node, 1)?.clone()
        else {
            return Err("its indices are not constant".to_owned());
        };
        let of = |size: usize| -> Result<Vec<usize>> {
            let indices = indices.iter().map(|index| match index {
                Dim::Known(index) => place(*index, size),
                _ => Err("its indices depend on the input's size".to_owned()),
            });
            indices.collect()
        };
        let is_scalar = index_dims.is_empty();
        if index_dims.len() > 1 {
            return Err("its indices have several axes".to_owned());
        }
        Ok(match value {
            Value::Integers { dims, values } if dims.len() == 1 => {
                let picked: Vec<Dim> = of(values.len())?
                    .into_iter()
                    .map(|index| values[index])
                    .collect();
                Value::Integers {
                    dims: index_dims,
                    values: picked,
                }
            }
            Value::Floats(floats) => {
                let axis = place(axis, floats.dims.len())?;
                let picked = of(floats.dims[axis])?;
                if picked.is_empty() {
                    return Err(NOTHING.to_owned());
                }
                let inner = floats.values.len() / floats.dims[axis];
                self.make_room(inner.saturating_mul(picked.len()))?;
                let mut floats = floats.of(axis, &picked);
                if is_scalar {
                    floats.dims.remove(axis);
                }
                Value::Floats(floats)
            }
            Value::Sequence(_) => {
                let sequence = self.sequence(node, 0)?;
                let axis = place(axis, sequence.axes.len())?;
                let mut sequence = match (self.sizes(&sequence)[axis], &indices[..]) {
                    (Dim::Known(size), _) => {
                        let picked = of(usize::try_from(size).unwrap_or(0))?;
                        self.picked(sequence, axis, &Pick::List(picked))?
                    }
                    (_, [Dim::Known(-1)]) => self.at_step(sequence, axis, Moment::Last)?,
                    (_, [Dim::Known(0)]) => self.at_step(sequence, axis, Moment::First)?,
                    _ => return Err(SOME_STEPS.to_owned()),
                };
                if is_scalar {
                    sequence.axes.remove(axis);
                }
                Value::Sequence(sequence)
            }
            other => return Err(format!("it takes a part of {}", other.name())),
        })
    }

    pub(super) fn split(&mut self, node: &'a Node<'a>) -> Result<()> {
        let value = self.value(node, 0)?.clone();
        let outputs = &node.outputs;
        if value.is_alike() {
            for &output in outputs {
                self.values.insert(output, value.clone());
            }
            return Ok(());
        }
        let axis = integer(node, "axis").unwrap_or(0);
        let size = match &value {
            Value::Sequence(sequence) => {
                let axis = place(axis, sequence.axes.len())?;
                let Dim::Known(size) = self.sizes(sequence)[axis] else {
                    return Err(SOME_STEPS.to_owned());
                };
                size
            }
            Value::Floats(floats) => floats.dims[place(axis, floats.dims.len())?] as i64,
            Value::Integers { values, .. } => values.len() as i64,
            other => return Err(format!("it takes a part of {}", other.name())),
        };
        let count = outputs.len() as i64;
        let parts = match self.list(node, 1, "split")? {
            Some(parts) if parts.len() == outputs.len() => parts,
            None if count > 0 => {
                // Equal ones, but for the last.
                let each = size / count + i64::from(size % count != 0);
                (0..count)
                    .map(|part| each.min(size - part * each))
                    .collect()
            }
            _ => return Err("its parts are not as many as its outputs".to_owned()),
        };
        let mut start = 0;
        for (&output, &part) in outputs.iter().zip(&parts) {
            let end = i64::checked_add(start, part).filter(|&end| end <= size && part > 0);
            let end = end.ok_or("its parts are no parts of the axis")?;
            if !output.is_empty() {
                let range = (start, Dim::Known(end), 1);
                let mut part = self.slice_axis(node, value.clone(), axis, range)?;
                if let Value::Sequence(sequence) = &mut part {
                    sequence.is_alone = false;
                }
                self.put(output, part)?;
            }
            start = end;
        }
        Ok(())
    }

    pub(super) fn concat(&mut self, node: &'a Node<'a>) -> Result<Value<E>> {
        let axis = integer(node, "axis").ok_or("its axis is missing")?;
        let all: Vec<Value<E>> = (0..node.inputs.len())
            .map(|index| self.value(node, index).cloned())
            .collect::<Result<_>>()?;
        let Some(first) = all.first() else {
            return Err("it has no inputs".to_owned());
        };
        let is_through = |value: &Value<E>| match value {
            Value::States => true,
            Value::Sequence(sequence) => sequence.is_state(),
            _ => false,
        };
        match first {
            Value::Integers { .. } => {
                let mut values = Vec::new();
                for value in &all {
                    match value {
                        Value::Integers { values: own, .. } => values.extend(own),
                        other => return Err(format!("it puts {} beside integers", other.name())),
                    }
                }
                match values.len() > MOST_INTEGERS {
                    true => Err("it makes many integers".to_owned()),
                    false => Ok(list(values)),
                }
            }
            _ if all.iter().all(|value| matches!(value, Value::StateInput)) => {
                Ok(Value::StateInput)
            }
            &Value::Fill(first)
                if all
                    .iter()
                    .all(|value| matches!(value, Value::Fill(other) if *other == first)) =>
            {
                Ok(Value::Fill(first))
            }
            Value::Floats(floats) => {
                let parts = all.iter().map(|value| match value {
                    Value::Floats(floats) => Ok(floats),
                    other => Err(format!("it puts {} beside constants", other.name())),
                });
                let parts: Vec<&Floats<E>> = parts.collect::<Result<_>>()?;
                let axis = place(axis, floats.dims.len())?;
                self.make_room(parts.iter().map(|part| part.values.len()).sum())?;
                let together = Floats::side_by_side(&parts, axis);
                Ok(Value::Floats(
                    together.ok_or("its constants differ in their other sizes")?,
                ))
            }
            _ if all.iter().any(|value| matches!(value, Value::States))
                && all.iter().all(is_through) =>
            {
                Ok(Value::States)
            }
            Value::Sequence(_) => {
                let parts = (0..all.len()).map(|index| self.sequence(node, index));
                let parts: Vec<Sequence> = parts.collect::<Result<_>>()?;
                let parts = parts.into_iter().map(|part| self.bound(part));
                let parts: Vec<Sequence> = parts.collect::<Result<_>>()?;
                let axis = place(axis, parts[0].axes.len())?;
                match beside(&parts, axis) {
                    Some(sequence) => Ok(Value::Sequence(sequence)),
                    None if all.iter().all(is_through) => Ok(Value::States),
                    None => Err(
                        "it puts side by side what are no features of the same steps and sequences"
                            .to_owned(),
                    ),
                }
            }
            other => Err(format!("it puts {} side by side", other.name())),
        }
    }

    pub(super) fn reverse(&mut self, node: &'a Node<'a>) -> Result<Value<E>> {
        let mut sequence = self.sequence(node, 0)?;
        let axis = place(integer(node, "time_axis").unwrap_or(0), sequence.axes.len())?;
        self.bind_time(&sequence.axes[axis])?;
        let steps = self.sizes(&sequence)[axis];
        if !self.are_whole(self.value(node, 1)?, steps) {
            return Err("its lengths are not those of the sequences".to_owned());
        }
        sequence.is_reversed = !sequence.is_reversed;
        Ok(Value::Sequence(sequence))
    }

    /// Whether lengths say that each sequence has its own, or all of so many steps.
    pub(super) fn are_whole(&self, lengths: &Value<E>, steps: Dim) -> bool {
        match lengths {
            Value::Lengths => true,
            _ if self.chain.has_lengths => false,
            Value::FillInteger(length) => *length == steps,
            Value::Integers { values, .. } => values.iter().all(|&length| length == steps),
            _ => false,
        }
    }
}

const SOME_STEPS: &str = "it takes some of the steps or sequences";
const NOTHING: &str = "it takes nothing of an axis";
const MANY_PIECES: &str = "its features come from more places than elman can put together";

/// Elements along an axis.
enum Pick {
    /// As many from one on.
    Run(usize, usize),
    List(Vec<usize>),
}

impl Pick {
    /// From `start` to before `end`, either of which may be counted from the end.
    fn run_of(start: i64, end: i64, size: usize) -> Self {
        let len = i64::try_from(size).unwrap_or(i64::MAX);
        let at = |place: i64| {
            let place = if place < 0 {
                place.saturating_add(len)
            } else {
                place
            };
            place.clamp(0, len) as usize
        };
        let (start, end) = (at(start), at(end));
        Self::Run(start, end.saturating_sub(start))
    }

    fn len(&self) -> usize {
        match self {
            Self::Run(_, len) => *len,
            Self::List(indices) => indices.len(),
        }
    }

    fn indices(&self) -> impl Iterator<Item = usize> {
        let (run, list) = match self {
            Self::Run(start, len) => (*start..start + len, &[][..]),
            Self::List(indices) => (0..0, &indices[..]),
        };
        run.chain(list.iter().copied())
    }

    /// The first and their number, where they are neighbours in order.
    fn run(&self) -> Option<(usize, usize)> {
        match self {
            Self::Run(start, len) => Some((*start, *len)),
            Self::List(indices) => {
                let mut pairs = indices.windows(2);
                let is_run = pairs.all(|pair| pair[0].checked_add(1) == Some(pair[1]));
                is_run.then(|| Some((*indices.first()?, indices.len())))?
            }
        }
    }

    fn is_whole(&self, size: usize) -> bool {
        self.run() == Some((0, size))
    }

    fn is_backwards(&self, size: usize) -> bool {
        self.len() == size && self.indices().eq((0..size).rev())
    }
}

/// Features side by side, or parts that then are axes of their own.
fn beside(all: &[Sequence], axis: usize) -> Option<Sequence> {
    let first = &all[0];
    let others = |sequence: &Sequence| {
        let mut axes = sequence.axes.clone();
        axes.remove(axis);
        axes
    };
    let is_like = |it: &Sequence| {
        it.axes.len() == first.axes.len()
            && others(it) == others(first)
            && it.is_reversed == first.is_reversed
    };
    let pieces: usize = all.iter().map(Sequence::pieces).sum();
    if !all.iter().all(is_like) || pieces > MOST_PIECES {
        return None;
    }
    let rest = others(first).concat();
    let units = first.units();
    let is = |what: &[Atom]| {
        all.iter()
            .all(|it| it.axes[axis] == what || it.axes[axis].is_empty())
    };
    let mut result = first.clone();
    result.is_alone = false;
    // Parts of as many features, none of which stand elsewhere.
    if is(&[Atom::Part]) && !rest.contains(&Atom::Part) && all.iter().all(|it| it.units() == units)
    {
        result.parts = all.iter().flat_map(|it| it.parts.iter().cloned()).collect();
        result.axes[axis] = vec![Atom::Part];
        return Some(result);
    }
    let has_part = all.iter().any(|it| it.parts.len() > 1);
    if is(&[Atom::Unit]) && !rest.contains(&Atom::Unit) && !has_part {
        result.parts = vec![all.iter().flat_map(|it| it.parts.concat()).collect()];
        result.axes[axis] = vec![Atom::Unit];
        return Some(result);
    }
    None
}
