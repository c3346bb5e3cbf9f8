//! What becomes of the outputs of two directions, and how their gradients come back.

use super::super::options::{LastOutput, Merge};
use super::super::{Backward, arrive};
use super::Recurrent;
use super::way::Way;
use crate::Element;
use crate::regions::{Rows, RowsMut};

/// The value of a merged output.
pub(super) fn merged<E: Element>(merge: Merge, first: E, second: E) -> E {
    match merge {
        Merge::Sum | Merge::Concat => first + second,
        Merge::Mean => (first + second) * E::from_f64(0.5),
        Merge::Product => first * second,
    }
}

impl<E: Element> Recurrent<E> {
    /// Merges the outputs of the two directions.
    pub(super) fn merge_outputs(
        &self,
        merge: Merge,
        output: usize,
        activations: &mut RowsMut<'_, E>,
    ) {
        let block = activations.block();
        let rows = activations.count(block);
        let units = self.directions[0].cell.plan().outputs;
        let [first, second] = [0, 1].map(|index| output + self.directions[index].region);
        let strides = [output, first, second].map(|region| activations.stride(region));
        let [merged_rows, first, second] =
            activations.parts_mut([(output, block), (first, block), (second, block)]);
        for row in 0..rows {
            let merged_row = &mut merged_rows[row * strides[0]..][..self.outputs];
            let first = &first[row * strides[1]..][..units];
            let second = &second[row * strides[2]..][..units];
            if merge == Merge::Concat {
                merged_row[..units].copy_from_slice(first);
                merged_row[units..].copy_from_slice(second);
                continue;
            }
            for (merged_value, (&first, &second)) in
                merged_row.iter_mut().zip(first.iter().zip(second))
            {
                *merged_value = merged(merge, first, second);
            }
        }
    }

    /// Gives the two directions the gradients of their outputs.
    pub(super) fn split_gradients(
        &self,
        merge: Merge,
        output: usize,
        activations: &Rows<'_, E>,
        deltas: &mut RowsMut<'_, E>,
    ) {
        let block = deltas.block();
        let rows = deltas.count(block);
        let units = self.directions[0].cell.plan().outputs;
        let regions = [0, 1].map(|index| output + self.directions[index].region);
        let [first, second] = regions;
        let strides = [output, first, second].map(|region| deltas.stride(region));
        let values =
            regions.map(|region| (activations.get(region, block), activations.stride(region)));
        let [merged_rows, first, second] =
            deltas.parts_mut([(output, block), (first, block), (second, block)]);
        for row in 0..rows {
            let given = &merged_rows[row * strides[0]..][..self.outputs];
            let first = &mut first[row * strides[1]..][..units];
            let second = &mut second[row * strides[2]..][..units];
            match merge {
                Merge::Concat => {
                    first.copy_from_slice(&given[..units]);
                    second.copy_from_slice(&given[units..]);
                }
                _ => {
                    let values = values.map(|(values, stride)| &values[row * stride..][..units]);
                    split(merge, given, [first, second], values);
                }
            }
        }
    }

    /// Adds the gradients of the last outputs to those of the rows that they are.
    pub(super) fn add_last(
        &self,
        (last, stride): (&[E], usize),
        pass: &Backward<'_, E>,
        activations: &Rows<'_, E>,
        deltas: &mut RowsMut<'_, E>,
    ) {
        let layout = deltas.layout();
        let window = deltas.steps();
        let units = self.directions[0].cell.plan().outputs;
        let from_end = |way: &Way<E>| way.is_reverse && self.last == LastOutput::FinalState;
        // The row of a direction that a sequence's last output comes from, if this window has it.
        let row_of = |way: &Way<E>, sequence: usize| {
            let step = if from_end(way) {
                0
            } else {
                layout.length(sequence).checked_sub(1)?
            };
            window
                .contains(&step)
                .then(|| layout.offset(step) - layout.offset(window.start) + sequence)
        };
        for sequence in 0..layout.batch() {
            if layout.length(sequence) == 0 {
                continue;
            }
            let given = &last[sequence * stride..][..self.outputs];
            for (index, way) in self.directions.iter().enumerate() {
                let Some(row) = row_of(way, sequence) else {
                    continue;
                };
                let other = self
                    .directions
                    .get(1 - index)
                    .filter(|_| self.merge.is_some());
                let given = match self.merge {
                    Some(Merge::Concat) => &given[index * units..][..units],
                    _ => &given[..units],
                };
                let other = other.and_then(|other| {
                    let row = row_of(other, sequence)?;
                    let region = pass.output + other.region;
                    let values = activations.get(region, deltas.block());
                    Some(&values[row * activations.stride(region)..][..units])
                });
                let region = pass.output + way.region;
                let (stride, block) = (deltas.stride(region), deltas.block());
                let gradient = &mut deltas.get_mut(region, block)[row * stride..][..units];
                for (unit, (gradient, &given)) in gradient.iter_mut().zip(given).enumerate() {
                    let given = match (self.merge, other) {
                        (Some(Merge::Mean), _) => given * E::from_f64(0.5),
                        (Some(Merge::Product), Some(other)) => given * other[unit],
                        _ => given,
                    };
                    arrive(gradient, given);
                }
            }
        }
    }
}

/// The gradients of two outputs, given that of the merged one.
fn split<E: Element>(merge: Merge, given: &[E], [first, second]: [&mut [E]; 2], values: [&[E]; 2]) {
    for unit in 0..given.len() {
        (first[unit], second[unit]) = match merge {
            Merge::Sum | Merge::Concat => (given[unit], given[unit]),
            Merge::Mean => {
                let half = given[unit] * E::from_f64(0.5);
                (half, half)
            }
            Merge::Product => (given[unit] * values[1][unit], given[unit] * values[0][unit]),
        };
    }
}
