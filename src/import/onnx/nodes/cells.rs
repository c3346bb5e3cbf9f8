//! The operators RNN, GRU and LSTM as nodes: what they take, and what they give.

use super::super::chain::Kind;
use super::super::recurrent::{Cell, Constants, Recurrent, Settings, vector};
use super::super::value::{Atom, Dim, Floats, Moment, Piece, Result, Sequence, Value};
use super::{Reader, TOO_LARGE, single};
use crate::Element;
use crate::layer::options::Direction;
use crate::onnx::Node;

impl<'a, E: Element> Reader<'a, E> {
    pub(super) fn recurrent(&mut self, cell: Cell, node: &'a Node<'a>) -> Result<()> {
        let mut settings = Settings::new(cell, node)?;
        let (Some(input), Some(recurrent)) = (self.floats(node, 1)?, self.floats(node, 2)?) else {
            return Err("its weights W or R are missing".to_owned());
        };
        let directions = settings.directions();
        let &[_, _, units] = &recurrent.dims[..] else {
            return Err(format!(
                "R of shape {:?}, expected three axes",
                recurrent.dims
            ));
        };
        if settings.units != 0 && settings.units != units {
            return Err(format!(
                "hidden_size {} beside R of shape {:?}",
                settings.units, recurrent.dims
            ));
        }
        settings.units = units;
        let rows = cell.gates().saturating_mul(units);
        let inputs = input.dims.get(2).copied().unwrap_or(0);
        let expect = |name: &str, floats: &Floats<E>, dims: &[usize]| match floats.dims == dims {
            true => Ok(()),
            false => Err(format!(
                "{name} of shape {:?}, expected {dims:?}",
                floats.dims
            )),
        };
        expect("W", &input, &[directions, rows, inputs])?;
        expect("R", &recurrent, &[directions, rows, units])?;
        if units == 0 || inputs == 0 {
            return Err(format!(
                "{units} units and {inputs} inputs, expected at least 1 of each"
            ));
        }
        let bias = match self.optional(node, 3) {
            Some(Value::Fill(0.0)) => None,
            _ => self.floats(node, 3)?,
        };
        if let Some(bias) = &bias {
            expect("B", bias, &[directions, rows.saturating_mul(2)])?;
        }
        let peepholes = match cell {
            Cell::Lstm => self.floats(node, 7)?,
            _ => None,
        };
        if let Some(peepholes) = &peepholes {
            expect("P", peepholes, &[directions, units.saturating_mul(3)])?;
        }
        let mut start = [None, None];
        let count = 1 + usize::from(cell == Cell::Lstm);
        for (index, start) in start.iter_mut().enumerate().take(count) {
            *start = self.start(node, 5 + index, &settings)?;
        }

        // X: steps, sequences and features.
        let sequence = self.sequence(node, 0)?;
        let sequence = self.bound_to(sequence, Some(inputs))?.merged();
        let Some(([first, second], pieces)) = sequence.features() else {
            return Err("X has other axes than steps, sequences and features".to_owned());
        };
        let (steps, batch) = match settings.is_batch_first {
            true => (second, first),
            false => (first, second),
        };
        let actual: usize = pieces.iter().map(|piece| piece.len).sum();
        if actual != inputs {
            return Err(format!("W of shape {:?} for {actual} features", input.dims));
        }
        if single(steps).is_none() {
            return Err("its steps are no axis of their own".to_owned());
        }
        self.bind_time(steps)?;
        self.bind_batch(batch)?;
        if let Some(lengths) = self.optional(node, 4) {
            let size = match self.time {
                Some(Some(axis)) => self.dims[axis],
                _ => Dim::Known(1),
            };
            if !self.are_whole(lengths, size) {
                return Err(
                    "sequence_lens are neither an input of the graph nor the number of steps"
                        .to_owned(),
                );
            }
        }
        if self.chain.gather(pieces)? {
            return Err("it runs over a single step that layers before it give".to_owned());
        }
        if sequence.is_reversed {
            settings.direction = match settings.direction {
                Direction::Forward => Direction::Reverse,
                Direction::Reverse => Direction::Forward,
                Direction::Bidirectional => {
                    return Err("its steps come from the last to the first".to_owned());
                }
            };
        }
        let constants = Constants {
            input,
            recurrent,
            bias,
            peepholes,
            start,
        };
        let layer = Recurrent::new(cell, &settings, constants)?;
        let before = self.chain.last();
        let size = directions * units;
        let value = self.chain.push(Kind::Recurrent(layer), vec![before], size);

        let parts = |moment| -> Vec<Vec<Piece>> {
            let pieces = (0..directions)
                .map(|direction| Piece::new(value, direction * units, units, moment));
            pieces.map(|piece| vec![piece]).collect()
        };
        let part = if directions == 1 {
            Vec::new()
        } else {
            vec![Atom::Part]
        };
        let unit = if units == 1 {
            Vec::new()
        } else {
            vec![Atom::Unit]
        };
        let (steps, batch) = (steps.clone(), batch.clone());
        let axes = |has_steps: bool| match (settings.is_batch_first, has_steps) {
            (false, true) => vec![steps.clone(), part.clone(), batch.clone(), unit.clone()],
            (true, true) => vec![batch.clone(), steps.clone(), part.clone(), unit.clone()],
            (false, false) => vec![part.clone(), batch.clone(), unit.clone()],
            (true, false) => vec![batch.clone(), part.clone(), unit.clone()],
        };
        let is_alone = node
            .outputs
            .iter()
            .filter(|name| self.is_used(name))
            .count()
            == 1;
        for (index, &name) in node.outputs.iter().enumerate().take(1 + count) {
            let moment = [Moment::All, Moment::Final, Moment::Cell][index];
            let output = Sequence {
                axes: axes(index == 0),
                parts: parts(moment),
                is_reversed: index == 0 && sequence.is_reversed,
                is_alone,
            };
            if !name.is_empty() {
                self.values.insert(name, Value::Sequence(output));
            }
        }
        Ok(())
    }

    /// A state that a recurrent layer starts from, if it is not 0, [directions][units].
    fn start(
        &self,
        node: &'a Node<'a>,
        index: usize,
        settings: &Settings,
    ) -> Result<Option<Floats<E>>> {
        let name = if index == 5 { "initial_h" } else { "initial_c" };
        let (directions, units) = (settings.directions(), settings.units);
        let dims = [directions, units];
        match self.optional(node, index) {
            None | Some(Value::StateInput) | Some(Value::Fill(0.0)) => Ok(None),
            Some(Value::Fill(number)) => {
                let count = directions * units;
                if count > self.chain.room {
                    return Err(TOO_LARGE.to_owned());
                }
                let values = vec![E::from_f64(*number); count];
                Ok(Some(vector(dims, values)))
            }
            Some(Value::Floats(floats)) => {
                let &[first, second, third] = &floats.dims[..] else {
                    return Err(format!(
                        "{name} of shape {:?}, expected three axes",
                        floats.dims
                    ));
                };
                let (own, batch) = match settings.is_batch_first {
                    true => (second, first),
                    false => (first, second),
                };
                if ![1, directions].contains(&own) || ![1, units].contains(&third) || batch == 0 {
                    return Err(format!(
                        "{name} of shape {:?} for {directions} directions of {units} units",
                        floats.dims
                    ));
                }
                let at = |direction: usize, sequence: usize, unit: usize| match settings
                    .is_batch_first
                {
                    true => floats.at(&[sequence, direction, unit]),
                    false => floats.at(&[direction, sequence, unit]),
                };
                let all = || {
                    (0..directions)
                        .flat_map(move |direction| (0..units).map(move |unit| (direction, unit)))
                };
                if all().all(|(direction, unit)| {
                    (0..batch).all(|row| at(direction, row, unit) == E::ZERO)
                }) {
                    return Ok(None);
                }
                if !all().all(|(direction, unit)| {
                    (1..batch).all(|row| at(direction, row, unit) == at(direction, 0, unit))
                }) {
                    return Err(format!("{name} is a constant of its own for each sequence"));
                }
                let values = all()
                    .map(|(direction, unit)| at(direction, 0, unit))
                    .collect();
                Ok(Some(vector(dims, values)))
            }
            Some(other) => Err(format!(
                "{name} is {}, expected a constant or an input of the graph",
                other.name()
            )),
        }
    }
}
