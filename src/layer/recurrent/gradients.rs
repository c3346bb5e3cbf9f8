//! The gradients of a direction's parameters.

use std::ops::Range;

use super::super::Tensor;
use super::super::cell::GradientProduct;
use super::super::gradients::Gradients;
use super::way::{START, Way};
use crate::Element;
use crate::init::TensorRole;
use crate::kernels::pack::Packed;

/// Some of a direction's tensors, whose gradients are computed together, and the columns of gradients of sums that the products
/// among them meet.
pub(super) type WayPart = (Range<usize>, Option<Range<usize>>);

/// The parts of a cell's tensors: matrices that lie one above the other and meet the same gradients; the last of them with the bias
/// that stands below. What is no such matrix is a part by itself.
pub(super) fn parts(tensors: &[Tensor], products: &[GradientProduct]) -> Vec<WayPart> {
    let mut parts: Vec<WayPart> = Vec::new();
    let mut group = 0;
    for (index, tensor) in tensors.iter().enumerate() {
        let is_below = |above: &Tensor| {
            above.columns == tensor.columns && is_main(above.role) && is_main(tensor.role)
        };
        if !index
            .checked_sub(1)
            .is_some_and(|above| is_below(&tensors[above]))
        {
            group = parts.len();
        }
        let own = products.iter().filter(|product| product.tensor == index);
        for gradients in own.map(|product| Some(product.gradients())) {
            match parts[group..].iter_mut().find(|part| part.1 == gradients) {
                Some((tensors, _)) => tensors.end = index + 1,
                None => parts.push((index..index + 1, gradients)),
            }
        }
        match parts[group..].last_mut() {
            Some((tensors, _)) => tensors.end = index + 1,
            None => parts.push((index..index + 1, None)),
        }
    }
    parts
}

/// Whether a tensor belongs to the sums of all gates.
fn is_main(role: TensorRole) -> bool {
    matches!(
        role,
        TensorRole::InputWeight | TensorRole::RecurrentWeight | TensorRole::RecurrentBias
    )
}

impl<E: Element> Way<E> {
    /// Adds the gradients of some rows of some of its tensors, which lie one above the other.
    pub(super) fn gradients(
        &self,
        pass: &Gradients<'_, E>,
        (tensors, gradients): &WayPart,
        rows: Range<usize>,
        mut sums: &mut [E],
        strip: &Packed<E>,
    ) {
        let plan = self.cell.plan();
        let delta = self.sums_region();
        let mut above = 0;
        for index in tensors.clone() {
            let tensor = &self.tensors[index];
            let from = rows.start.clamp(above, above + tensor.rows) - above;
            let to = rows.end.clamp(above, above + tensor.rows) - above;
            above += tensor.rows;
            let own;
            (own, sums) = sums.split_at_mut((to - from) * tensor.columns);
            if own.is_empty() {
                continue;
            }
            match tensor.role {
                TensorRole::InitialState | TensorRole::InitialCell => {
                    if self.trains_state && pass.own_start && pass.window.start == 0 {
                        let first = if tensor.role == TensorRole::InitialCell {
                            plan.outputs
                        } else {
                            0
                        };
                        pass.add_leads(self.region + START, first, own);
                    }
                    continue;
                }
                _ => {}
            }
            for product in plan.products.iter().filter(|product| {
                product.tensor == index && Some(product.gradients()) == *gradients
            }) {
                let sums = (&mut own[product.columns.start..], tensor.columns);
                pass.add_products(strip, product.left.of(self.region), from, sums);
            }
            for sum in plan.sums.iter().filter(|sum| sum.tensor == index) {
                for row in from..to {
                    let own = &mut own[(row - from) * tensor.columns..][..tensor.columns];
                    let start = sum.delta + row * tensor.columns;
                    match &sum.times {
                        None => pass.add_rows(delta, start, own),
                        Some(times) => {
                            let (gate, left) = times[row];
                            pass.add_scaled_rows(delta, gate, left.of(self.region), own);
                        }
                    }
                }
            }
        }
    }
}
