//! Analytic gradients against difference quotients: whether a backward pass is the derivative of the forward pass.
//!
//! ```
//! use elman::gradient_check::check_gradients;
//! use elman::init::Initializer;
//! use elman::loss::mean_squared_error;
//! use elman::{Activation, Batch, Network};
//!
//! let mut network = Network::<f32>::new(2)?;
//! network.add_rnn(3, Activation::Tanh)?;
//! network.initialize(Initializer::GlorotUniform { gain: 1.0 }, 1)?;
//!
//! let batch = Batch { x: &[0.5, -0.3, 0.1, 0.9], batch: 1, steps: 2, lengths: None };
//! let report = check_gradients(&network, batch, None, |outputs| {
//!     mean_squared_error(outputs.y, &[0.1, 0.2, 0.3], None, Some(outputs.dy))
//! })?;
//! assert!(report.relative_error < 1e-6, "{report}");
//! # Ok::<(), elman::Error>(())
//! ```

use std::fmt;

use crate::buffer::Buffer;
use crate::init::TensorRole;
use crate::simd::mode::with_mode;
use crate::{Batch, Element, Error, Network, Result, shape};

/// What a network gives for a batch, and where a loss puts its gradients. They are 0 to begin with.
#[derive(Debug)]
pub struct Outputs<'a> {
    /// The outputs, `[batch][output_size]` or, with [`Output::All`](crate::Output::All), `[batch][steps][output_size]`.
    pub y: &'a [f64],
    /// The final states, `[batch][state_size]`.
    pub state: &'a [f64],
    /// The gradient of `y`.
    pub dy: &'a mut [f64],
    /// The gradient of `state`.
    pub dstate: &'a mut [f64],
}

/// One number that a loss depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Variable {
    /// A parameter.
    Parameter {
        /// Its index among all parameters.
        index: usize,
        /// Its layer, counted from the input.
        layer: usize,
        /// Its tensor.
        tensor: TensorRole,
        /// Its row in the tensor.
        row: usize,
        /// Its column in the tensor.
        column: usize,
    },
    /// An element of `x`.
    Input {
        /// Its sequence.
        sequence: usize,
        /// Its step.
        step: usize,
        /// Its place in the step.
        feature: usize,
    },
    /// An element of the states that the sequences start from.
    State {
        /// Its sequence.
        sequence: usize,
        /// Its place in the state.
        element: usize,
    },
}

/// What a gradient check has found.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Report {
    /// The largest relative error of all: |a - n| / max(|a|, |n|, floor), infinite where it is not a number.
    pub relative_error: f64,
    /// Where it is.
    pub variable: Variable,
    /// The gradient a that the backward pass gives there.
    pub analytic: f64,
    /// The gradient n that the difference quotient gives there.
    pub numeric: f64,
    /// Numbers whose gradients were compared.
    pub checked: usize,
    /// How many of them sit on a kink: there, the derivative from below and the one from above differ, and the backward
    /// pass was found to give one of them or a number in between.
    pub kinks: usize,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "largest relative error {:.1e} of {} gradients ({} at kinks), at {:?}: analytic {}, numeric {}",
            self.relative_error,
            self.checked,
            self.kinks,
            self.variable,
            self.analytic,
            self.numeric
        )
    }
}

/// Steps of the difference quotients, for numbers of size 1. The first balances what the quotient leaves out (the
/// square of the step) and what rounding adds (2^-53 over the step). The others leave a kink nearby behind.
const STEPS: [f64; 3] = [1e-5, 1e-6, 1e-7];

/// A quotient that is this close needs no smaller step.
const CLOSE: f64 = 1e-7;

/// Compares the gradients of the network's backward pass with central difference quotients, for every parameter that is not
/// [frozen](Network::set_trainable), every element of `x` that is read and no index of an embedding, and every element of the
/// states that the sequences start from (`state_in` `[batch][state_size]`, None for zeros).
///
/// `loss` gets outputs and final states, stores its gradients of either (or leaves them 0) and returns its value: one of
/// [`crate::loss`], or any function that is smooth almost everywhere.
///
/// A correct backward pass has a relative error below some 1e-6. The floor under the divisor keeps rounding errors of
/// tiny gradients from counting as large: it is a thousandth of the loss or of the largest gradient, whichever is more.
///
/// The check runs on a copy in `f64` ([`Network::to_f64`]), so the network stays as it is. All its passes drop the same
/// elements where the network has dropout. It takes two forward passes for each number.
///
/// # Errors
/// Those of [`Network::forward`], and those of `loss`; [`Error::ZeroSize`] where there is nothing to check: no parameter that
/// is not frozen, no state, and no sequence that is not empty.
pub fn check_gradients<E: Element>(
    network: &Network<E>,
    batch: Batch<'_, f64>,
    state_in: Option<&[f64]>,
    mut loss: impl FnMut(Outputs<'_>) -> Result<f64>,
) -> Result<Report> {
    with_mode(|mode| {
        check(network, batch, state_in, |outputs| {
            mode.callers(|| loss(outputs))
        })
    })
}

fn check<E: Element>(
    network: &Network<E>,
    batch: Batch<'_, f64>,
    state_in: Option<&[f64]>,
    loss: impl FnMut(Outputs<'_>) -> Result<f64>,
) -> Result<Report> {
    const WHAT: &str = "a gradient check";
    let zeroed = |sizes: &[usize]| Buffer::zeroed(WHAT, shape::product(WHAT, sizes)?);
    let copied = |values: &[f64]| {
        let mut copy = Buffer::zeroed(WHAT, values.len())?;
        copy.copy_from_slice(values);
        Ok::<_, crate::Error>(copy)
    };
    let state_size = [batch.batch, network.state_size()];
    let y_size = [network.output_len(batch.batch, batch.steps)?];
    let network = network.to_f64()?;
    let mut check = Check {
        parameters: copied(network.parameters())?,
        x: copied(batch.x)?,
        state_in: state_in.map_or_else(|| zeroed(&state_size), copied)?,
        y: zeroed(&y_size)?,
        state: zeroed(&state_size)?,
        dy: zeroed(&y_size)?,
        dstate: zeroed(&state_size)?,
        network,
        batch,
        loss,
    };

    let value = check.value()?;
    let mut dx = zeroed(&[check.x.len()])?;
    let mut dstate_in = zeroed(&state_size)?;
    check.network.backward(
        Some(&check.dy),
        Some(&check.dstate),
        Some(&mut dx),
        Some(&mut dstate_in),
    )?;
    let gradients = copied(check.network.gradients())?;
    let analytic = [&gradients, &dx, &dstate_in].map(|gradients| &gradients[..]);
    let largest = analytic
        .into_iter()
        .flatten()
        .fold(value.abs(), |largest, gradient| largest.max(gradient.abs()));
    let floor = (1e-3 * largest).max(f64::MIN_POSITIVE);

    let mut report: Option<Report> = None;
    let (mut checked, mut kinks) = (0, 0);
    for (set, gradients) in analytic.into_iter().enumerate() {
        for (index, &analytic) in gradients.iter().enumerate() {
            let Some(variable) = check.variable(set, index) else {
                continue;
            };
            let found = check.compare(value, set, index, analytic, floor)?;
            checked += 1;
            kinks += usize::from(found.kink);
            if report
                .as_ref()
                .is_none_or(|report| found.error > report.relative_error)
            {
                report = Some(Report {
                    relative_error: found.error,
                    variable,
                    analytic,
                    numeric: found.numeric,
                    checked,
                    kinks,
                });
            }
        }
    }
    let report = report.ok_or(Error::ZeroSize {
        name: "the number of variables",
    })?;
    Ok(Report {
        checked,
        kinks,
        ..report
    })
}

/// A network, its variables and its loss.
struct Check<'a, F> {
    network: Network<f64>,
    batch: Batch<'a, f64>,
    parameters: Buffer<f64>,
    x: Buffer<f64>,
    state_in: Buffer<f64>,
    y: Buffer<f64>,
    state: Buffer<f64>,
    dy: Buffer<f64>,
    dstate: Buffer<f64>,
    loss: F,
}

/// The comparison at one variable.
struct Found {
    error: f64,
    numeric: f64,
    kink: bool,
}

impl<F: FnMut(Outputs<'_>) -> Result<f64>> Check<'_, F> {
    /// The loss, and its gradients in `dy` and `dstate`.
    fn value(&mut self) -> Result<f64> {
        // Every pass is the first after the seed is set, so that all of them drop the same elements.
        self.network.set_seed(self.network.seed());
        let batch = Batch {
            x: &self.x,
            ..self.batch
        };
        self.network.forward(
            batch,
            Some(&self.state_in),
            Some(&mut self.y),
            Some(&mut self.state),
        )?;
        self.dy.fill(0.0);
        self.dstate.fill(0.0);
        (self.loss)(Outputs {
            y: &self.y,
            state: &self.state,
            dy: &mut self.dy,
            dstate: &mut self.dstate,
        })
    }

    /// The loss where one variable is another number.
    fn value_at(&mut self, set: usize, index: usize, number: f64) -> Result<f64> {
        let variable = &mut [&mut self.parameters, &mut self.x, &mut self.state_in][set][index];
        let old = std::mem::replace(variable, number);
        if set == 0 {
            self.network.set_parameters(&self.parameters)?;
        }
        let value = self.value();
        [&mut self.parameters, &mut self.x, &mut self.state_in][set][index] = old;
        if set == 0 {
            self.network.set_parameters(&self.parameters)?;
        }
        value
    }

    /// Compares the analytic gradient with the difference quotient that comes closest to it.
    fn compare(
        &mut self,
        value: f64,
        set: usize,
        index: usize,
        analytic: f64,
        floor: f64,
    ) -> Result<Found> {
        let error = |numeric: f64| {
            let error = (analytic - numeric).abs() / analytic.abs().max(numeric.abs()).max(floor);
            if error.is_nan() { f64::INFINITY } else { error }
        };
        let number = [&self.parameters, &self.x, &self.state_in][set][index];
        let mut best = Found {
            error: f64::INFINITY,
            numeric: f64::NAN,
            kink: false,
        };
        let mut slopes = [0.0; 2];
        for step in STEPS {
            let step = step * number.abs().max(1.0);
            let (above, below) = (number + step, number - step);
            let after = self.value_at(set, index, above)?;
            let before = self.value_at(set, index, below)?;
            // What the numbers really are apart, after rounding.
            let numeric = (after - before) / (above - below);
            slopes = [
                (value - before) / (number - below),
                (after - value) / (above - number),
            ];
            if error(numeric) < best.error || best.numeric.is_nan() {
                best.error = error(numeric);
                best.numeric = numeric;
            }
            if best.error <= CLOSE {
                return Ok(best);
            }
        }
        // Where the function is smooth, the slopes on both sides of so small a step agree to some digits.
        let [low, high] = [slopes[0].min(slopes[1]), slopes[0].max(slopes[1])];
        let slack = CLOSE.sqrt() * low.abs().max(high.abs()).max(floor);
        if high - low > slack && (low - slack..=high + slack).contains(&analytic) {
            best.error = 0.0;
            best.kink = true;
        }
        Ok(best)
    }

    /// What stands at `index` of the parameters, of `x` or of the states; None for padding, for indices of embeddings, and for
    /// frozen parameters, which have no gradients.
    fn variable(&self, set: usize, index: usize) -> Option<Variable> {
        match set {
            0 => {
                let (layer, tensor, index_in_tensor) = self.network.parameter_place(index)?;
                self.network
                    .is_trainable(layer)
                    .then_some(Variable::Parameter {
                        index,
                        layer,
                        tensor: tensor.role,
                        row: index_in_tensor / tensor.columns,
                        column: index_in_tensor % tensor.columns,
                    })
            }
            1 => {
                let features = self.network.input_size();
                let (row, feature) = (index / features, index % features);
                let Batch { batch, steps, .. } = self.batch;
                let (sequence, step) = match self.network.is_time_major() {
                    true => (row % batch, row / batch),
                    false => (row / steps, row % steps),
                };
                let length = self.batch.lengths.map_or(self.batch.steps, |l| l[sequence]);
                let indices = &self.network.model().indices;
                let is_index = indices.iter().any(|index| index.column == feature);
                (step < length && !is_index).then_some(Variable::Input {
                    sequence,
                    step,
                    feature,
                })
            }
            _ => Some(Variable::State {
                sequence: index / self.network.state_size(),
                element: index % self.network.state_size(),
            }),
        }
    }
}
