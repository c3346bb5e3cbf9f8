//! The update of a network: some rows of parameters are changed, their gradients cleared and what is packed of them packed
//! again while all of it is in the cache.

use crate::Element;
use crate::kernels::pack::{Part, Source};
use crate::model::Model;
use crate::optimizer::UpdateStep;
use crate::parallel::{CallCost, Crew, Cut, cost};
use crate::pass::Transposes;
use crate::simd::Tier;

/// Elements of a block of rows, about: a second-level cache holds them four times.
const BLOCK: usize = 16 * 1024;

/// Floating-point operations in whose time a parameter is updated and packed, about.
const OPERATIONS: usize = 32;

/// What an update of the model costs.
pub fn cost<E: Element>(model: &Model<E>) -> CallCost {
    CallCost {
        operations: model.parameters.len().saturating_mul(OPERATIONS),
        meetings: 1,
    }
}

/// Rows of a tensor and what is made of them.
struct ParameterRows<'a, E> {
    columns: usize,
    parameters: &'a mut [E],
    gradients: &'a mut [E],
    step: UpdateStep<'a, E>,
    /// Their k of what the layer reads to run forward.
    forward: [Option<Copied<'a, E>>; COPIES],
    /// Their columns of what it reads to run backward.
    transposed: [Option<Copied<'a, E>>; COPIES],
    /// How many threads share them.
    parts: usize,
}

/// Most packed copies of a tensor of one kind.
const COPIES: usize = 2;

/// Most packed copies of a layer of one kind.
const LAYER_COPIES: usize = 8;

/// A packed copy of some rows, and where its elements are in these.
struct Copied<'a, E> {
    part: Part<'a, E>,
    source: Source,
}

/// Updates the parameters by their gradients, which are 0 then, and all that is packed of them. Frozen layers stay as they
/// are, and so does what the optimizer remembers of them.
pub fn update<E: Element>(
    crew: Crew<'_>,
    model: &mut Model<E>,
    transposes: &mut Transposes<E>,
    mut step: UpdateStep<'_, E>,
    mut gradients: &mut [E],
) {
    let tier = model.tier;
    let mut parameters = &mut model.parameters[..];
    for (index, (place, weights)) in model.places.iter().zip(&mut model.weights).enumerate() {
        if !place.trainable {
            let count = place.parameter_count;
            let own_gradients;
            (_, parameters) = parameters.split_at_mut(count);
            (own_gradients, gradients) = gradients.split_at_mut(count);
            own_gradients.fill(E::ZERO);
            _ = step.take(count);
            continue;
        }
        let mut forward = [const { None }; LAYER_COPIES];
        let mut transposed = [const { None }; LAYER_COPIES];
        for (slot, packed) in forward.iter_mut().zip(weights) {
            *slot = Some(packed.part());
        }
        for (slot, part) in transposed
            .iter_mut()
            .zip(transposes.renew(index, place.packs(true)))
        {
            *slot = part;
        }
        for (number, tensor) in place.tensors.iter().enumerate() {
            let (own, own_gradients);
            (own, parameters) = parameters.split_at_mut(tensor.len());
            (own_gradients, gradients) = gradients.split_at_mut(tensor.len());
            let mut rows = ParameterRows {
                columns: tensor.columns,
                parameters: own,
                gradients: own_gradients,
                step: step.take(tensor.len()),
                forward: [const { None }; COPIES],
                transposed: [const { None }; COPIES],
                parts: 1,
            };
            let mut free = rows.forward.iter_mut();
            for (pack, copy) in place.packs(false).zip(&mut forward) {
                let mut parts = pack.parts.iter();
                if let (Some(part), Some(copy)) = (parts.find(|part| part.tensor == number), copy) {
                    let source = pack.source(tensor, part);
                    let part = copy.take_depth(tensor.rows);
                    *free.next().expect("few copies") = Some(Copied { part, source });
                }
            }
            let mut free = rows.transposed.iter_mut();
            for (pack, copy) in place.packs(true).zip(&mut transposed) {
                if pack.parts[0].tensor == number
                    && let Some(part) = copy.take()
                {
                    let source = pack.source(tensor, &pack.parts[0]);
                    *free.next().expect("few copies") = Some(Copied { part, source });
                }
            }
            let crew = crew.at_most(tensor.len() / cost::UPDATE_PIECE);
            rows.parts = crew.threads().min(tensor.rows.div_ceil(rows.panel()));
            crew.fork(rows, &|rows| rows.update(tier));
        }
    }
}

impl<E: Element> ParameterRows<'_, E> {
    /// The number of rows that are packed together.
    fn panel(&self) -> usize {
        let copies = self.transposed.iter().flatten();
        copies.map(|copy| copy.part.width()).max().unwrap_or(1)
    }

    fn len(&self) -> usize {
        self.parameters.len() / self.columns
    }

    /// Cuts off the first `count`, which are whole panels unless they are all.
    fn take(&mut self, count: usize) -> Self {
        let len = count * self.columns;
        let (parameters, gradients) = (&mut self.parameters, &mut self.gradients);
        Self {
            columns: self.columns,
            parameters: parameters.split_off_mut(..len).expect("no such rows"),
            gradients: gradients.split_off_mut(..len).expect("no such rows"),
            step: self.step.take(len),
            forward: self.forward.each_mut().map(|copy| {
                let Copied { part, source } = copy.as_mut()?;
                let (part, source) = (part.take_depth(count), *source);
                Some(Copied { part, source })
            }),
            transposed: self.transposed.each_mut().map(|copy| {
                let Copied { part, source } = copy.as_mut()?;
                let (part, source) = (part.take_columns(count), *source);
                Some(Copied { part, source })
            }),
            parts: 1,
        }
    }

    fn update(mut self, tier: Tier) {
        let block = (BLOCK / self.columns)
            .next_multiple_of(self.panel())
            .max(self.panel());
        while self.len() > 0 {
            let rows = self.take(block.min(self.len()));
            rows.step.run(tier, rows.parameters, rows.gradients);
            rows.gradients.fill(E::ZERO);
            let copies = rows.forward.into_iter().chain(rows.transposed);
            for Copied { part, source } in copies.flatten() {
                part.pack(rows.parameters, source);
            }
        }
    }
}

impl<E: Element> Cut for ParameterRows<'_, E> {
    fn size(&self) -> usize {
        self.parts
    }

    fn cut(mut self, left: usize) -> (Self, Self) {
        let (parts, panels) = (self.parts, self.len().div_ceil(self.panel()));
        let count = panels * left / parts * self.panel();
        let first = Self {
            parts: left,
            ..self.take(count)
        };
        (
            first,
            Self {
                parts: parts - left,
                ..self
            },
        )
    }
}
