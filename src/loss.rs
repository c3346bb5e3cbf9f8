//! Losses: how far the outputs of a network are from what they should be, and the gradient of that.
//!
//! Every loss is a mean over the rows or elements that count, and so is its gradient: what
//! [`Network::backward`](crate::Network::backward) then sums up is the gradient of the mean. ([`ctc()`], where labels have no
//! places in time, is one over sequences.) Sums are taken in `f64`, in an order that depends on the sizes alone.
//!
//! Where sequences of different lengths are padded to one length, [`Padding`] says which steps count. The others are
//! not read, and their gradient is 0. Nor does a row count whose label is [`NO_LABEL`], or an element whose target is NaN.
//! That is also the way for outputs that are [time-major](crate::Network::set_time_major), `[steps][batch][...]`: labels and
//! targets then lie as the outputs do, and those behind the end of a sequence are none. A network gives 0 for a sequence of
//! length 0: with [`Output::Last`](crate::Output::Last) that is a row like any other, which counts unless its label or target
//! says that it does not.
//!
//! The functions run on the tier that the process uses ([`Tier::active`](crate::Tier::active)). The training loop computes
//! its losses on the tier of the network that it trains.
//!
//! ```
//! use elman::loss::{mean_squared_error, softmax_cross_entropy};
//!
//! let logits = [2.0_f32, -1.0, 0.5, 0.5];
//! let mut dlogits = [0.0; 4];
//! let loss = softmax_cross_entropy(&logits, 2, &[0, 1], None, None, Some(&mut dlogits))?;
//! assert!((loss - 0.370867).abs() < 1e-6); // (ln(1 + e^-3) + ln 2) / 2
//! assert_eq!(dlogits[2..], [0.25, -0.25]);
//!
//! assert_eq!(mean_squared_error(&[1.0_f32, 2.0], &[1.0, 4.0], None, None)?, 2.0);
//! # Ok::<(), elman::Error>(())
//! ```

mod ctc;
mod elementwise;
mod softmax;

use std::ops::Range;

use crate::layout::Layout;
use crate::{Element, Result, shape};

pub use ctc::{CtcLabels, CtcOptions, CtcReduction, CtcWorkspace, ctc, ctc_greedy_decode};
#[cfg(feature = "datasets")]
pub(crate) use elementwise::{
    binary_cross_entropy_total, expect_probabilities, squared_error_total,
};
pub use elementwise::{binary_cross_entropy_with_logits, mean_squared_error};
#[cfg(feature = "datasets")]
pub(crate) use softmax::{Classes, expect_weights};
#[cfg(feature = "datasets")]
pub(crate) use softmax::{cross_entropy_total, largest};
pub use softmax::{softmax, softmax_cross_entropy, softmax_cross_entropy_weighted};

/// The label of a row that has none, and does not count.
pub const NO_LABEL: usize = usize::MAX;

/// What a network is trained to make small.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Loss {
    /// [`softmax_cross_entropy`], for classes.
    SoftmaxCrossEntropy {
        /// The class whose rows do not count, besides those with [`NO_LABEL`]; in a training, of the network's classes.
        ignored: Option<usize>,
    },
    /// [`mean_squared_error`], for numbers.
    MeanSquaredError,
    /// [`binary_cross_entropy_with_logits`], for probabilities of independent events.
    BinaryCrossEntropy,
}

impl Loss {
    /// Its name in messages.
    #[cfg(feature = "datasets")]
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::SoftmaxCrossEntropy { .. } => "softmax cross-entropy",
            Self::MeanSquaredError => "the mean squared error",
            Self::BinaryCrossEntropy => "binary cross-entropy",
        }
    }
}

/// Rows that lie `[batch][steps]`, and count only up to the end of their sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Padding<'a> {
    /// Rows of each sequence, padding included.
    pub steps: usize,
    /// `[batch]`: rows that count of each sequence, 0 to `steps`.
    pub lengths: &'a [usize],
}

impl Padding<'_> {
    /// Number of rows, once the lengths are found to be right.
    fn rows(self) -> Result<usize> {
        let batch = self.lengths.len();
        Layout::check(batch, self.steps, Some(self.lengths))?;
        shape::product("the rows", &[batch, self.steps])
    }
}

/// The rows that count and those that do not, in turns, as ranges of `rows` rows.
pub(crate) fn runs(
    rows: usize,
    padding: Option<Padding<'_>>,
) -> impl Iterator<Item = (Range<usize>, Range<usize>)> {
    let sequences = padding.map_or(1, |padding| padding.lengths.len());
    (0..sequences).map(move |sequence| match padding {
        None => (0..rows, rows..rows),
        Some(Padding { steps, lengths }) => {
            let (start, end) = (sequence * steps, (sequence + 1) * steps);
            let middle = start + lengths[sequence];
            (start..middle, middle..end)
        }
    })
}

/// A loss before it is divided by what counted.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Total {
    /// The sum over the rows or elements that count, each times its weight.
    pub sum: f64,
    /// The sum of their weights, which are 1 unless there are others: then it is their number.
    pub weight: f64,
}

impl Total {
    /// The mean; 0 where nothing counts.
    pub fn mean(self) -> f64 {
        if self.is_empty() {
            0.0
        } else {
            self.sum / self.weight
        }
    }

    /// Whether nothing counts.
    pub fn is_empty(self) -> bool {
        self.weight == 0.0
    }

    /// What an element of the gradient of the sum is multiplied by to be one of the mean's.
    fn share(self) -> f64 {
        if self.is_empty() {
            0.0
        } else {
            1.0 / self.weight
        }
    }
}

/// Elements that are worked on at a time, on the stack.
const CHUNK: usize = 128;

fn scale<E: Element>(values: &mut [E], factor: f64) {
    for value in values {
        *value = E::from_f64(value.to_f64() * factor);
    }
}
