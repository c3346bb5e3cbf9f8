//! Sequences with targets, held in memory: what a network is trained and measured on.
//!
//! A [`Dataset`] is filled from arrays ([`Dataset::new`]) or from a `.ts` file ([`Dataset::read_ts`]) and never changes
//! afterwards. Training takes padded mini-batches from it ([`Dataset::gather`]) and, where the features differ in
//! scale, the [`Standardization`] that it measures ([`Dataset::standardization`]).

#[cfg(feature = "datasets")]
mod sequences;
mod standardization;
#[cfg(feature = "datasets")]
mod ts;

#[cfg(feature = "datasets")]
use sequences::append;
#[cfg(feature = "datasets")]
pub use sequences::{Dataset, MiniBatch, Targets};
pub use standardization::Standardization;
#[cfg(feature = "datasets")]
pub use ts::{MissingValues, TsOptions};

use crate::{Element, Error, Result};

fn expect_finite<E: Element>(name: &'static str, values: &[E]) -> Result<()> {
    expect_no(name, values, |value| !value.is_finite())
}

/// Checks that no value is infinite or NaN in a way that is `wrong`.
fn expect_no<E: Element>(
    name: &'static str,
    values: &[E],
    wrong: impl Fn(&E) -> bool,
) -> Result<()> {
    match values.iter().position(wrong) {
        None => Ok(()),
        Some(index) => Err(Error::NotFiniteAt {
            name,
            index,
            value: values[index].to_f64(),
        }),
    }
}
