//! What a cell is to the recurrent layer: its parameters, what it reads and writes at a step, and what it makes of the sums of
//! a unit. All of it is data, but for two functions of a vector of units.

mod elman;
mod gru;
mod lstm;

use std::fmt::Debug;
use std::ops::Range;
use std::sync::Arc;

pub use elman::Elman;
pub use gru::Gru;
pub use lstm::Lstm;

use super::gradients::Left;
use super::options::RecurrentOptions;
use super::{Pack, PackPart, Tensor};
use crate::Element;
use crate::activation::Activation;
use crate::init::TensorRole;
use crate::kernels::activate::{Activate, activate, times_derivative};
use crate::kernels::pack::PackedShape;
use crate::kernels::recurrence::{
    Fused, Input, MAX_SUMS, Piece, RowOf, Slot, Stage, Stages, Start, Unit, Units,
};
use crate::simd::Math;

/// A cell, in one direction of a layer.
pub trait Cell<E: Element>: Debug + Send + Sync + 'static {
    /// What it makes of sums forward.
    type Forward<'a>: Units<E>;
    /// What it makes of gradients backward.
    type Backward<'a>: Units<E>;

    /// All about it that is not a function.
    fn plan(&self) -> &CellPlan;

    /// Forward, with these parameters. In training it keeps what the backward pass reads.
    fn forward<'a>(&'a self, parameters: &'a [E], is_training: bool) -> Self::Forward<'a>;

    /// Backward, with these parameters.
    fn backward<'a>(&'a self, parameters: &'a [E]) -> Self::Backward<'a>;
}

/// The bands of a recurrence of a forward pass.
pub mod forward {
    /// The layer's input.
    pub const INPUT: usize = 0;
    /// The states, h first.
    pub const STATE: usize = 1;
    /// What is kept for the backward pass.
    pub const KEPT: usize = 2;
    /// What a sequence has once.
    pub const SEQUENCE: usize = 3;
}

/// The bands of a recurrence of a backward pass.
pub mod backward {
    /// The gradients of the sums, and what crosses from step to step.
    pub const DELTA: usize = 0;
    /// The gradients of the outputs.
    pub const OUTPUT: usize = 1;
    /// What forward has kept.
    pub const KEPT: usize = 2;
    /// The states.
    pub const STATE: usize = 3;
    /// What a sequence has once.
    pub const SEQUENCE: usize = 4;
}

/// See [`Cell::plan`].
#[derive(Debug)]
pub struct CellPlan {
    /// Features of the input.
    pub inputs: usize,
    /// Elements of h.
    pub outputs: usize,
    /// Elements of the state: h, then what else is carried.
    pub state: usize,
    /// Elements of a row of states: the state, and h where some of it is masked.
    pub state_row: usize,
    /// Elements of a row of what is kept.
    pub kept: usize,
    /// Elements of a row of what a sequence has once.
    pub sequence: usize,
    /// Elements of a row of gradients: those of the sums that the input feeds, then the others', then what crosses from step to
    /// step. As many as outputs: they lie where the gradients of the outputs were.
    pub delta: usize,
    /// Its tensors: W_x, W_h and b first.
    pub tensors: Vec<Tensor>,
    /// The packed copies that it reads.
    pub packs: Vec<Pack>,
    /// The transpose, among those for backward passes, that leads from the gradients of sums to that of the input.
    pub input_pack: usize,
    /// The stages of a step forward: in inference and in training.
    pub forward: [Direct; 2],
    /// The stages of a step backward. The first one's product leads to the gradient of the state before.
    pub backward: Stages,
    /// What crosses from step to step in the rows of gradients.
    pub carries: Vec<Carry>,
    /// Where h is masked in a row of states, and the mask in the row that a sequence has once.
    pub masked_state: Option<(usize, usize)>,
    /// What is drawn in training.
    pub masks: Vec<MaskPlan>,
    /// The gradients of the matrices.
    pub products: Vec<GradientProduct>,
    /// The gradients of what meets single units.
    pub sums: Vec<GradientSum>,
}

impl CellPlan {
    /// Columns of W_x: the sums that the input feeds.
    pub fn columns(&self) -> usize {
        self.tensors[0].columns
    }
}

/// The stages of a step forward, and their two halves: what the inputs bring, which may be computed for all steps ahead, and
/// what is left then.
#[derive(Debug)]
pub struct Direct {
    /// All of it.
    pub direct: Arc<Stages>,
    /// The part of the inputs.
    pub ahead: Stages,
    /// What is left.
    pub behind: Stages,
}

impl Direct {
    /// Of stages, and for each where the sums that the input feeds are stored if they are computed ahead: none where it feeds
    /// none. The input is what the first piece of such a stage begins with. `shapes` are those of the copies for forward passes.
    pub fn new(direct: Vec<Stage>, stored: &[Vec<Slot>], shapes: &[PackedShape]) -> Self {
        let (mut ahead, mut behind) = (Vec::new(), Vec::new());
        for (stage, stored) in direct.iter().zip(stored) {
            let mut rest = stage.clone();
            if !stored.is_empty() {
                let first = &stage.pieces[0];
                let input = first.inputs[0];
                ahead.push(Stage {
                    weights: stage.weights,
                    pieces: vec![Piece {
                        inputs: vec![input],
                        ..*first
                    }],
                    starts: stage.starts[..stored.len()].to_vec(),
                    reads: Vec::new(),
                    writes: stored.clone(),
                    fused: stage.fused.map(|_| Fused::Activate(Activation::Linear)),
                });
                for (start, &slot) in rest.starts.iter_mut().zip(stored) {
                    *start = Start::Read(rest.reads.len());
                    rest.reads.push(slot);
                }
                let piece = &mut rest.pieces[0];
                piece.inputs.remove(0);
                piece.depth += input.depth;
                if piece.inputs.is_empty() {
                    rest.pieces.remove(0);
                }
            }
            behind.push(rest);
        }
        Self {
            direct: Arc::new(Stages::new(direct, shapes)),
            ahead: Stages::new(ahead, shapes),
            behind: Stages::new(behind, shapes),
        }
    }
}

/// Elements of a row of gradients that a step leaves for the step before it.
#[derive(Clone, Copy, Debug)]
pub struct Carry {
    /// The first of them.
    pub delta: usize,
    /// How many there are.
    pub width: usize,
    /// The first element of the state whose gradient it is; None: an addition to that of h.
    pub state: Option<usize>,
}

/// Numbers that are drawn in training, one of two.
#[derive(Clone, Copy, Debug)]
pub struct MaskPlan {
    /// Probability of the first one.
    pub rate: f64,
    /// The first one.
    pub dropped: f64,
    /// The other.
    pub kept: f64,
    /// How many elements.
    pub width: usize,
    /// The first of them in a row of what is kept, or of what a sequence has once.
    pub start: usize,
    /// Whether they are drawn anew at each step.
    pub each_step: bool,
}

/// The gradient of some columns of a matrix.
#[derive(Clone, Debug)]
pub struct GradientProduct {
    /// Which tensor.
    pub tensor: usize,
    /// Which of its columns.
    pub columns: Range<usize>,
    /// The gradients of their sums: the first one in a row of gradients.
    pub delta: usize,
    /// What the matrix has been multiplied with; regions are counted from that of the states.
    pub left: Left,
}

impl GradientProduct {
    /// The columns of a row of gradients that it meets.
    pub fn gradients(&self) -> Range<usize> {
        self.delta..self.delta + self.columns.len()
    }
}

/// The gradient of a tensor that meets single units: the sum of the gradients of the sums from `delta` on.
#[derive(Clone, Debug)]
pub struct GradientSum {
    /// Which tensor.
    pub tensor: usize,
    /// The first one in a row of gradients.
    pub delta: usize,
    /// For each row of the tensor the first gradient, and what it is multiplied by. None: they are not.
    pub times: Option<Vec<(usize, Left)>>,
}

/// The directions of time of a cell: what is before it, and what is behind.
#[derive(Clone, Copy, Debug)]
struct Time {
    is_reverse: bool,
}

impl Time {
    /// The row that a step starts from.
    fn before(self) -> RowOf {
        if self.is_reverse {
            RowOf::Later
        } else {
            RowOf::Earlier
        }
    }

    /// The row that starts from it.
    fn behind(self) -> RowOf {
        if self.is_reverse {
            RowOf::Earlier
        } else {
            RowOf::Later
        }
    }

    /// The row that a step starts from, of a region, from an element on.
    fn left(self, region: usize, start: usize) -> Left {
        if self.is_reverse {
            Left::Later(region, start)
        } else {
            Left::Earlier(region, start)
        }
    }
}

/// A slot.
fn slot(band: usize, row: RowOf, start: usize) -> Slot {
    Slot { band, row, start }
}

/// A part of a product's left operand.
fn input(band: usize, row: RowOf, start: usize, depth: usize) -> Input {
    Input {
        slot: slot(band, row, start),
        depth,
    }
}

/// A copy to run forward of the same columns of W_x and W_h, one above the other.
fn both_weights(columns: Range<usize>, groups: usize) -> Pack {
    let part = |tensor| PackPart {
        tensor,
        columns: columns.clone(),
        first_group: 0,
    };
    Pack {
        parts: vec![part(0), part(1)],
        groups,
        is_transposed: false,
        meets_input: false,
    }
}

/// The shapes of the copies to run forward, and of those to run backward.
fn shapes(packs: &[Pack], tensors: &[Tensor]) -> [Vec<PackedShape>; 2] {
    [false, true].map(|is_transposed| {
        let packs = packs.iter();
        let packs = packs.filter(|pack| pack.is_transposed == is_transposed);
        packs.map(|pack| pack.shape(tensors)).collect()
    })
}

/// W_x, W_h and, if there is one, b of so many gates.
fn main_tensors(
    inputs: usize,
    outputs: usize,
    units: usize,
    gates: usize,
    bias: bool,
) -> Vec<Tensor> {
    let tensor = |role, rows| Tensor {
        gates,
        ..Tensor::new(role, rows, units.saturating_mul(gates))
    };
    let mut tensors = vec![
        tensor(TensorRole::InputWeight, inputs),
        tensor(TensorRole::RecurrentWeight, outputs),
    ];
    if bias {
        tensors.push(tensor(TensorRole::RecurrentBias, 1));
    }
    tensors
}

/// Number of elements of tensors.
fn len(tensors: &[Tensor]) -> usize {
    tensors.iter().fold(0, |sum: usize, tensor| {
        sum.saturating_add(tensor.rows.saturating_mul(tensor.columns))
    })
}

/// What the options add to every cell: masks on h_{t-1} in the products, and units that stay as they were.
#[derive(Clone, Copy, Debug)]
struct Noise {
    /// Whether h_{t-1} is masked in training.
    masks_state: bool,
    /// Rate at which h stays as it was.
    zoneout: f64,
    /// That of the rest of the state.
    zoneout_cell: f64,
}

impl Noise {
    fn new(options: &RecurrentOptions) -> Self {
        Self {
            masks_state: options.recurrent_dropout > 0.0,
            zoneout: options.zoneout,
            zoneout_cell: options.zoneout_cell,
        }
    }
}

/// The mask of recurrent dropout, from an element of what a sequence has once on.
fn state_mask(options: &RecurrentOptions, width: usize, start: usize) -> MaskPlan {
    MaskPlan {
        rate: options.recurrent_dropout,
        dropped: 0.0,
        kept: 1.0 / (1.0 - options.recurrent_dropout),
        width,
        start,
        each_step: false,
    }
}

/// Which units stay as they were: 1 where they do.
fn stay_mask(rate: f64, width: usize, start: usize) -> MaskPlan {
    MaskPlan {
        rate,
        dropped: 1.0,
        kept: 0.0,
        width,
        start,
        each_step: true,
    }
}

/// The sum, no further from 0 than `limit` if there is one.
#[inline(always)]
fn clip<E: Element, S: Math<E>>(token: S, limit: Option<E>, x: S::Vector) -> S::Vector {
    match limit {
        None => x,
        // In this order NaN stays NaN.
        Some(limit) => token.max(token.splat(-limit), token.min(token.splat(limit), x)),
    }
}

/// An activation and the limit of its sums.
#[derive(Clone, Copy, Debug)]
struct Clipped<E> {
    activation: Activation,
    limit: Option<E>,
}

impl<E: Element> Clipped<E> {
    /// The sum as it is.
    const NONE: Self = Self::unlimited(Activation::Linear);

    /// Sums without a limit.
    const fn unlimited(activation: Activation) -> Self {
        Self {
            activation,
            limit: None,
        }
    }

    fn new(activation: Activation, limit: f64) -> Self {
        Self {
            activation,
            limit: (limit > 0.0).then(|| E::from_f64(limit)),
        }
    }

    /// The value for a sum.
    #[inline(always)]
    fn value<S: Math<E>>(&self, token: S, sum: S::Vector) -> S::Vector {
        activate(token, self.activation, clip(token, self.limit, sum))
    }

    /// The gradient of a sum, given that of the value: none where the value is that of the limit.
    #[inline(always)]
    fn gradient<S: Math<E>>(&self, token: S, gradient: S::Vector, value: S::Vector) -> S::Vector {
        let result = times_derivative(token, self.activation, gradient, value);
        let Some(limit) = self.limit else {
            return result;
        };
        // All activations rise or fall from one limit to the other.
        let mut ends = [limit, -limit];
        token.vectorize(Activate {
            activation: self.activation,
            values: &mut ends,
        });
        let ends = ends.map(|end| token.splat(end));
        let (low, high) = (token.min(ends[0], ends[1]), token.max(ends[0], ends[1]));
        let zero = token.splat(E::ZERO);
        let above = token.select(token.less(value, high), result, zero);
        token.select(token.less(low, value), above, zero)
    }
}

/// Zoneout: with a rate, elements stay as they were; outside training all of them do so in part.
#[derive(Clone, Copy, Debug)]
enum Zoneout<E> {
    /// None does.
    Off,
    /// Those that the mask says.
    Mask,
    /// Each, by so much.
    Part(E),
}

impl<E: Element> Zoneout<E> {
    fn new(rate: f64, is_training: bool) -> Self {
        match rate > 0.0 {
            false => Self::Off,
            true if is_training => Self::Mask,
            true => Self::Part(E::from_f64(rate)),
        }
    }

    /// `stays * old + (1 - stays) * new`
    #[inline(always)]
    fn apply<S: Math<E>>(
        &self,
        token: S,
        mask: impl Fn() -> S::Vector,
        old: impl Fn() -> S::Vector,
        new: S::Vector,
    ) -> S::Vector {
        let stays = match *self {
            Self::Off => return new,
            Self::Mask => mask(),
            Self::Part(rate) => token.splat(rate),
        };
        let moves = token.sub(token.splat(E::ONE), stays);
        token.mul_add(stays, old(), token.mul(moves, new))
    }
}

/// What a gated cell makes of sums, in one direction of time.
pub trait Gated<E: Element>: Copy + Debug + Sync {
    /// As [`Units::SUMS`], of PyTorch's cell.
    const SUMS: Option<(usize, usize)> = None;

    /// As [`Units::IS_FORWARD`].
    const IS_FORWARD: bool;

    /// Whether it is PyTorch's cell.
    fn is_usual(&self) -> bool;

    /// PyTorch's cell: the same with constants where options are, so that it can be compiled by itself.
    #[must_use]
    fn usual(self) -> Self;

    /// What [`Units::activations`] are of PyTorch's cell, whose sums then arrive as their values.
    fn activations(&self, stage: usize) -> [Activation; MAX_SUMS];

    /// As [`Units::apply`].
    fn step<S: Math<E>>(
        &self,
        token: S,
        stage: usize,
        sums: [S::Vector; MAX_SUMS],
        unit: &Unit<'_, E, S>,
    );
}

/// A gated cell with any options.
#[derive(Clone, Copy, Debug)]
pub struct AnyOptions<C>(C);

/// A gated cell that is PyTorch's.
#[derive(Clone, Copy, Debug)]
pub struct Usual<C>(C);

impl<E: Element, C: Gated<E>> Units<E> for Usual<C> {
    type Usual = Self;
    const HAS_USUAL: bool = false;
    const IS_CALL: bool = false;
    const IS_FORWARD: bool = C::IS_FORWARD;
    const SUMS: Option<(usize, usize)> = C::SUMS;

    #[inline(always)]
    fn activations(&self, stage: usize) -> [Activation; MAX_SUMS] {
        self.0.activations(stage)
    }

    #[inline(always)]
    fn apply<S: Math<E>>(
        &self,
        token: S,
        stage: usize,
        sums: [S::Vector; MAX_SUMS],
        unit: &Unit<'_, E, S>,
    ) {
        self.0.usual().step(token, stage, sums, unit);
    }
}

impl<E: Element, C: Gated<E>> Units<E> for AnyOptions<C> {
    type Usual = Usual<C>;
    const HAS_USUAL: bool = E::IS_FOR_SPEED;
    const IS_FORWARD: bool = C::IS_FORWARD;

    #[inline(always)]
    fn usual(&self) -> Option<Usual<C>> {
        self.0.is_usual().then_some(Usual(self.0))
    }

    /// Those of PyTorch's cell where that has no code of its own: its sums arrive as their values all the same.
    #[inline(always)]
    fn activations(&self, stage: usize) -> [Activation; MAX_SUMS] {
        match <Self as Units<E>>::HAS_USUAL || !self.0.is_usual() {
            true => [Activation::Linear; MAX_SUMS],
            false => self.0.activations(stage),
        }
    }

    #[inline(always)]
    fn apply<S: Math<E>>(
        &self,
        token: S,
        stage: usize,
        sums: [S::Vector; MAX_SUMS],
        unit: &Unit<'_, E, S>,
    ) {
        self.0.step(token, stage, sums, unit);
    }
}
