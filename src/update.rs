//! The update of a network: some rows of parameters are changed, their gradients cleared and what is packed of them packed
//! again while all of it is in the cache.

use crate::Element;
use crate::kernels::pack::{Part, Source};
use crate::model::Model;
use crate::optimizer::UpdateStep;
use crate::parallel::{Crew, Cut};
use crate::pass::Transposes;
use crate::simd::Tier;

/// Elements of a block of rows, about: a second-level cache holds them four times.
const BLOCK: usize = 16 * 1024;

/// Parameters of a tensor from which a second thread pays.
const TENSOR_WORTH_THREADS: usize = 16 * 1024;

/// Floating-point operations in whose time a parameter is updated and packed, about.
const OPERATIONS: usize = 32;

/// What an update of the model costs, in floating-point operations.
pub fn operations<E: Element>(model: &Model<E>) -> usize {
    model.parameters.len().saturating_mul(OPERATIONS)
}

/// Rows of a tensor and what is made of them.
struct ParameterRows<'a, E> {
    columns: usize,
    parameters: &'a mut [E],
    gradients: &'a mut [E],
    step: UpdateStep<'a, E>,
    /// Their k of what the layer reads to run forward.
    forward: Option<Part<'a, E>>,
    /// Their columns of what it reads to run backward.
    transposed: Option<Part<'a, E>>,
    /// How many threads share them.
    parts: usize,
}

/// Updates the parameters by their gradients, which are 0 then, and all that is packed of them.
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
        let mut forward = weights.first_mut().map(|packed| packed.part());
        let mut transposed = transposes.renew(index, &place.tensors);
        for tensor in &place.tensors {
            let (own, own_gradients);
            (own, parameters) = parameters.split_at_mut(tensor.len());
            (own_gradients, gradients) = gradients.split_at_mut(tensor.len());
            let mut rows = ParameterRows {
                columns: tensor.columns,
                parameters: own,
                gradients: own_gradients,
                step: step.take(tensor.len()),
                forward: None,
                transposed: None,
                parts: 1,
            };
            if tensor.is_matrix() {
                let forward = forward.as_mut();
                rows.forward = forward.map(|part| part.take_depth(tensor.rows));
                rows.transposed = transposed.next().flatten();
            }
            let crew = crew.if_worth(tensor.len(), TENSOR_WORTH_THREADS);
            rows.parts = crew.threads().min(tensor.rows.div_ceil(rows.panel()));
            crew.fork(rows, &|rows| rows.update(tier));
        }
    }
}

impl<E: Element> ParameterRows<'_, E> {
    /// The number of rows that are packed together.
    fn panel(&self) -> usize {
        self.transposed.as_ref().map_or(1, Part::width)
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
            forward: self.forward.as_mut().map(|part| part.take_depth(count)),
            transposed: self
                .transposed
                .as_mut()
                .map(|part| part.take_columns(count)),
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
            if let Some(forward) = rows.forward {
                forward.pack(rows.parameters, Source::rows(rows.columns));
            }
            if let Some(transposed) = rows.transposed {
                transposed.pack(rows.parameters, Source::columns(rows.columns));
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
