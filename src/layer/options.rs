//! What can be chosen of a recurrent layer.

use serde::{Deserialize, Serialize};

use crate::activation::Activation;
use crate::{Error, Result};

/// The options of a recurrent layer. The default is the layer as PyTorch has it.
///
/// An option that the cell has no use for must have its default.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RecurrentOptions {
    /// Which way the layer goes through a sequence.
    #[serde(skip_serializing_if = "is_default")]
    pub direction: Direction,
    /// What becomes of the two outputs of a bidirectional layer.
    #[serde(skip_serializing_if = "is_default")]
    pub merge: Merge,
    /// What [`Output::Last`](crate::Output::Last) is of the reverse direction.
    #[serde(skip_serializing_if = "is_default")]
    pub last: LastOutput,
    /// Whether sums have biases.
    #[serde(skip_serializing_if = "Clone::clone")]
    pub bias: bool,
    /// GRU: where the reset gate acts.
    #[serde(skip_serializing_if = "is_default")]
    pub reset: Reset,
    /// LSTM and GRU: the activations of the forward direction and of the reverse one. A layer of one direction uses the
    /// first.
    #[serde(skip_serializing_if = "is_default")]
    pub activations: [CellActivations; 2],
    /// LSTM: whether the gates also see the cell state, unit by unit (Gers & Schmidhuber 2000).
    #[serde(skip_serializing_if = "is_default")]
    pub peepholes: bool,
    /// LSTM: elements of h where it is a projection R (o∘tanh(c)) (Sak et al. 2014); 0: there is none.
    #[serde(skip_serializing_if = "is_default")]
    pub projection: usize,
    /// LSTM: whether f = 1 - i, without weights of its own.
    #[serde(skip_serializing_if = "is_default")]
    pub coupled: bool,
    /// Largest magnitude of the sums before the activations; 0: no limit.
    #[serde(skip_serializing_if = "is_default")]
    pub clip_sums: f64,
    /// LSTM: largest magnitude of the cell state; 0: no limit.
    #[serde(skip_serializing_if = "is_default")]
    pub clip_state: f64,
    /// LSTM: what the forget gate's bias is when the layer is added or its parameters are drawn, whatever the initializer has
    /// for biases. None: as that has it.
    #[serde(skip_serializing_if = "is_default")]
    pub forget_bias: Option<f64>,
    /// Probability of 0 of the elements of h_{t-1} in the products, the same elements at all steps of a sequence, in
    /// training (Gal & Ghahramani 2016).
    #[serde(skip_serializing_if = "is_default")]
    pub recurrent_dropout: f64,
    /// Probability that an element of h stays as it was, in training; elsewhere, the expectation is taken (Krueger et al.
    /// 2017).
    #[serde(skip_serializing_if = "is_default")]
    pub zoneout: f64,
    /// LSTM: the same of c.
    #[serde(skip_serializing_if = "is_default")]
    pub zoneout_cell: f64,
    /// The state that sequences start from where the caller gives none.
    #[serde(skip_serializing_if = "is_default")]
    pub initial_state: InitialState,
}

impl Default for RecurrentOptions {
    fn default() -> Self {
        Self {
            direction: Direction::default(),
            merge: Merge::default(),
            last: LastOutput::default(),
            bias: true,
            reset: Reset::default(),
            activations: [CellActivations::default(); 2],
            peepholes: false,
            projection: 0,
            coupled: false,
            clip_sums: 0.0,
            clip_state: 0.0,
            forget_bias: None,
            recurrent_dropout: 0.0,
            zoneout: 0.0,
            zoneout_cell: 0.0,
            initial_state: InitialState::default(),
        }
    }
}

/// A kind of recurrent layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Rnn,
    Gru,
    Lstm,
}

impl RecurrentOptions {
    /// Whether the layer goes both ways.
    pub(crate) fn is_bidirectional(&self) -> bool {
        self.direction == Direction::Bidirectional
    }

    /// Checks the options of a layer of this kind.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] for a number that is none of an option's, [`Error::Mismatch`] for an option that the kind has
    /// no use for.
    pub(crate) fn check(&self, kind: Kind) -> Result<()> {
        for (name, rate) in [
            ("recurrent_dropout", self.recurrent_dropout),
            ("zoneout", self.zoneout),
            ("zoneout_cell", self.zoneout_cell),
        ] {
            check_rate(name, rate)?;
        }
        for (name, limit) in [
            ("clip_sums", self.clip_sums),
            ("clip_state", self.clip_state),
        ] {
            if !(limit >= 0.0 && limit <= f64::from(f32::MAX)) {
                return Err(Error::OutOfRange {
                    name,
                    value: limit,
                    expected: "at least 0, which is none, and finite as f32",
                });
            }
        }
        if let Some(bias) = self.forget_bias
            && (bias.is_nan() || bias.abs() > f64::from(f32::MAX))
        {
            return Err(Error::OutOfRange {
                name: "forget_bias",
                value: bias,
                expected: "finite as f32",
            });
        }
        for functions in &self.activations {
            functions.gates.check()?;
            functions.candidate.check()?;
            functions.output.check()?;
        }
        let default = Self::default();
        let lstm_only = [
            ("peepholes", self.peepholes),
            ("projection", self.projection != 0),
            ("coupled", self.coupled),
            ("clip_state", self.clip_state != 0.0),
            ("forget_bias", self.forget_bias.is_some()),
            ("zoneout_cell", self.zoneout_cell != 0.0),
        ];
        let gated = [(
            "activations (gates, candidate, output)",
            self.activations != default.activations,
        )];
        let gru_only = [("reset", self.reset != default.reset)];
        let refused: &[&[(&'static str, bool)]] = match kind {
            Kind::Rnn => &[&lstm_only, &gated, &gru_only],
            Kind::Gru => &[&lstm_only],
            Kind::Lstm => &[&gru_only],
        };
        let layer = match kind {
            Kind::Rnn => "what a plain recurrent layer has no use for",
            Kind::Gru => "what a GRU has no use for",
            Kind::Lstm => "what an LSTM has no use for",
        };
        let mut refused = refused.iter().copied().flatten();
        if let Some(&(name, _)) = refused.find(|&&(_, is_set)| is_set) {
            return Err(Error::Mismatch {
                name,
                actual: format!("set, {layer}"),
                expected: "its default".to_owned(),
            });
        }
        if self.forget_bias.is_some() && (self.coupled || !self.bias) {
            return Err(Error::Mismatch {
                name: "forget_bias",
                actual: "set, of a forget gate without a bias".to_owned(),
                expected: "its default".to_owned(),
            });
        }
        Ok(())
    }
}

/// Checks a probability.
///
/// # Errors
/// [`Error::OutOfRange`]
pub(crate) fn check_rate(name: &'static str, rate: f64) -> Result<()> {
    if (0.0..1.0).contains(&rate) {
        return Ok(());
    }
    Err(Error::OutOfRange {
        name,
        value: rate,
        expected: "at least 0 and below 1",
    })
}

/// Options that have their defaults are not written to files.
fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// Which way a recurrent layer goes through a sequence.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// From the first step to the last.
    #[default]
    Forward,
    /// From each sequence's own last step to the first.
    Reverse,
    /// Both, each with parameters and a state of its own.
    Bidirectional,
}

/// What becomes of the two outputs of a bidirectional layer at a step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Merge {
    /// Side by side, the forward direction's first.
    #[default]
    Concat,
    /// Their sum.
    Sum,
    /// Their mean.
    Mean,
    /// Their product.
    Product,
}

/// What the last output is of a direction that goes from the last step to the first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LastOutput {
    /// Its final state: it has seen the whole sequence.
    #[default]
    FinalState,
    /// Its output at the sequence's last step, which is its first.
    LastStep,
}

/// Where the reset gate of a GRU acts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reset {
    /// n = tanh(x W_xn + b_n + r∘(h W_hn + q)): PyTorch, cuDNN, Keras.
    #[default]
    After,
    /// n = tanh(x W_xn + (r∘h) W_hn + b_n): Cho et al. 2014, ONNX' default.
    Before,
}

/// The activations of a gated cell.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CellActivations {
    /// Of the gates.
    pub gates: Activation,
    /// Of the candidate: g of an LSTM, n of a GRU.
    pub candidate: Activation,
    /// LSTM: of the cell state where the output gate meets it.
    pub output: Activation,
}

impl Default for CellActivations {
    fn default() -> Self {
        Self {
            gates: Activation::Sigmoid,
            candidate: Activation::Tanh,
            output: Activation::Tanh,
        }
    }
}

/// The state that sequences start from where the caller gives none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InitialState {
    /// 0.
    #[default]
    Zeros,
    /// One that is part of the parameters, 0 at first, and stays as it is in training.
    Fixed,
    /// One that is part of the parameters, 0 at first, and is trained.
    Trainable,
}
