//! A direction of a recurrent layer: its cell, and where what belongs to it lies.

use std::ops::Range;

use super::super::Tensor;
use super::any_cell::AnyCell;
use super::gradients::WayPart;
use crate::Element;

/// A direction of a layer.
pub(super) struct Way<E: Element> {
    pub(super) cell: Box<dyn AnyCell<E>>,
    pub(super) is_reverse: bool,
    /// Its states' region, counted from the layer's output region.
    pub(super) region: usize,
    /// Index of its first parameter among those of the layer, and of the one behind its last.
    pub(super) parameters: Range<usize>,
    /// Its packed copies among those that the layer reads to run forward, and backward.
    pub(super) packs: [Range<usize>; 2],
    /// The layer's tensors that are its own.
    pub(super) tensors: Vec<Tensor>,
    /// Index of its own initial state among the layer's parameters.
    pub(super) own_state: Option<usize>,
    /// Whether that is trained.
    pub(super) trains_state: bool,
    /// Index of its first element in the layer's state.
    pub(super) first_state: usize,
    /// What its gradients are computed in.
    pub(super) parts: Vec<WayPart>,
}

/// The regions of a direction, behind its states' one.
pub(super) const KEPT: usize = 1;
pub(super) const SEQUENCE: usize = 2;
/// Those of gradients.
const SUMS: usize = 1;
pub(super) const START: usize = 2;

impl<E: Element> Way<E> {
    /// The regions of its gradients of outputs and of sums, counted from the first one's.
    pub(super) fn is_in_place(&self) -> bool {
        let plan = self.cell.plan();
        plan.delta == plan.outputs
    }

    pub(super) fn sums_region(&self) -> usize {
        self.region + if self.is_in_place() { 0 } else { SUMS }
    }
}
