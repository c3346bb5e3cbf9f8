//! What the engine compiles once for each element type.
//!
//! Generic code is compiled in the crate that first names a type for it. Without this trait that would be every program
//! and every test that uses a network, and each of them would spend half a minute on all kernels for all tiers. The
//! functions below are the doors between what is generic and the kernels: they are implemented for `f32` and `f64`, so
//! what lies behind them is compiled with this crate and only linked elsewhere.

use crate::activation::Activation;
use crate::kernels::pack::{Part, Source};
use crate::kernels::rows;
use crate::layer::{Layer, LayerSpec};
use crate::math::{self, Function};
use crate::model::Model;
use crate::optimizer::UpdateStep;
use crate::parallel::Crew;
use crate::pass::{BackwardArguments, BackwardBuffers, ForwardArguments, Training, Workspace};
use crate::simd::Tier;
use crate::{Element, Result};

/// See the module's documentation. The part of [`Element`] that is implemented type by type.
pub trait Compiled: Sized {
    /// Whether speed counts so much that the cells and sizes that most networks have are worth code of their own.
    const IS_FOR_SPEED: bool;

    /// [`LayerSpec::build_here`]: the layer and all that it computes.
    fn layer(spec: &LayerSpec, inputs: &[usize]) -> Box<dyn Layer<Self>>
    where
        Self: Element;

    /// [`Workspace::forward`]
    fn forward(
        workspace: &mut Workspace<Self>,
        model: &Model<Self>,
        crew: Crew<'_>,
        call: ForwardArguments<'_, Self>,
        training: Option<Training>,
    ) -> Result<()>
    where
        Self: Element;

    /// [`Workspace::backward`]
    fn backward(
        workspace: &mut Workspace<Self>,
        model: &Model<Self>,
        crew: Crew<'_>,
        training: Training,
        gradient: &mut BackwardBuffers<Self>,
        flow: BackwardArguments<'_, Self>,
        sums: &mut [Self],
    ) where
        Self: Element;

    /// [`Part::pack_here`]
    fn pack(part: Part<'_, Self>, from: &[Self], source: Source)
    where
        Self: Element;

    /// [`UpdateStep::run_here`]
    fn update(step: UpdateStep<'_, Self>, tier: Tier, parameters: &mut [Self], gradients: &[Self])
    where
        Self: Element;

    /// [`rows::apply`]
    fn activate(activation: Activation, tier: Tier, values: &mut [Self])
    where
        Self: Element;

    /// [`math::map_here`]
    fn map(function: Function, tier: Tier, values: &mut [Self])
    where
        Self: Element;
}

macro_rules! compiled {
    ($element:ident, $is_for_speed:literal) => {
        impl Compiled for $element {
            const IS_FOR_SPEED: bool = $is_for_speed;

            fn layer(spec: &LayerSpec, inputs: &[usize]) -> Box<dyn Layer<Self>> {
                spec.build_here(inputs)
            }
            fn forward(
                workspace: &mut Workspace<Self>,
                model: &Model<Self>,
                crew: Crew<'_>,
                call: ForwardArguments<'_, Self>,
                training: Option<Training>,
            ) -> Result<()> {
                workspace.forward(model, crew, call, training)
            }
            fn backward(
                workspace: &mut Workspace<Self>,
                model: &Model<Self>,
                crew: Crew<'_>,
                training: Training,
                gradient: &mut BackwardBuffers<Self>,
                flow: BackwardArguments<'_, Self>,
                sums: &mut [Self],
            ) {
                workspace.backward(model, crew, training, gradient, flow, sums)
            }
            fn pack(part: Part<'_, Self>, from: &[Self], source: Source) {
                part.pack_here(from, source);
            }
            fn update(
                step: UpdateStep<'_, Self>,
                tier: Tier,
                parameters: &mut [Self],
                gradients: &[Self],
            ) {
                step.run_here(tier, parameters, gradients);
            }
            fn activate(activation: Activation, tier: Tier, values: &mut [Self]) {
                rows::apply(tier, activation, values);
            }
            fn map(function: Function, tier: Tier, values: &mut [Self]) {
                math::map_here(function, tier, values);
            }
        }
    };
}

compiled!(f32, true);
#[cfg(feature = "f64")]
compiled!(f64, false);
