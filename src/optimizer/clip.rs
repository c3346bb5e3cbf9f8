//! Limits on gradients, applied between the backward pass and the update.

use crate::reduce::dot;
use crate::{Element, Error, Result, in_engine_mode};

/// Scales `gradients` so that their Euclidean norm is at most `max_norm` (Pascanu et al. 2013), and returns the norm
/// that they had before.
///
/// The norm is that of all the elements together, accumulated in `f64` in an order that depends on their number alone.
/// Where it is at most `max_norm` the gradients stay as they are; with an infinite `max_norm` the call only measures.
///
/// # Errors
/// [`Error::OutOfRange`] where `max_norm` is not above 0. [`Error::NotFinite`] where the norm is infinite or NaN, which
/// is how an exploded backward pass shows; the gradients are then left for inspection.
pub fn clip_by_norm<E: Element>(gradients: &mut [E], max_norm: f64) -> Result<f64> {
    in_engine_mode(|| scale_to_norm(gradients, max_norm))
}

fn scale_to_norm<E: Element>(gradients: &mut [E], max_norm: f64) -> Result<f64> {
    expect_limit("max_norm", max_norm)?;
    let norm = dot(gradients, gradients).sqrt();
    if !norm.is_finite() {
        return Err(Error::NotFinite {
            what: "the norm of the gradients",
        });
    }
    if norm > max_norm {
        // In f64, because the factor itself may be too small for the element type.
        let factor = max_norm / norm;
        for gradient in gradients {
            *gradient = E::from_f64(gradient.to_f64() * factor);
        }
    }
    Ok(norm)
}

/// Moves every element of `gradients` to the nearest value in [-`limit`, `limit`]. NaN stays NaN.
///
/// # Errors
/// [`Error::OutOfRange`] where `limit` is not above 0.
pub fn clip_by_value<E: Element>(gradients: &mut [E], limit: f64) -> Result<()> {
    expect_limit("limit", limit)?;
    in_engine_mode(|| {
        let limit = E::from_f64(limit);
        for gradient in gradients {
            let g = *gradient;
            *gradient = if g > limit {
                limit
            } else if g < -limit {
                -limit
            } else {
                g
            };
        }
    });
    Ok(())
}

fn expect_limit(name: &'static str, value: f64) -> Result<()> {
    if value > 0.0 {
        Ok(())
    } else {
        Err(Error::OutOfRange {
            name,
            value,
            expected: "a number above 0",
        })
    }
}
