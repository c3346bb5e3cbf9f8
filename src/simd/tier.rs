//! Which tiers there are and which one the process uses.

use std::fmt;
use std::sync::OnceLock;

use super::{Kernel, Math, Portable, Simd};
use crate::{Element, Error, Result};

/// A set of SIMD instructions that the CPU has.
///
/// A value of this type is proof that the CPU has them: there is no way to make one for a tier that is missing.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Tier(Level);

/// In rising order of preference.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Level {
    Portable,
    #[cfg(target_arch = "aarch64")]
    Neon,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(all(target_arch = "x86_64", feature = "avx512"))]
    Avx512,
}

/// The environment variable that chooses the tier.
const VARIABLE: &str = "ELMAN_TIER";

impl Tier {
    /// The tier that needs nothing beyond what the library was compiled for.
    pub const PORTABLE: Self = Self(Level::Portable);

    /// Names of all tiers, available or not.
    pub const NAMES: [&'static str; 4] = ["portable", "neon", "avx2", "avx512"];

    /// Every tier that this CPU has, the best one last.
    pub fn available() -> Vec<Self> {
        Self::NAMES
            .iter()
            .filter_map(|name| Self::named(name).ok())
            .collect()
    }

    /// The tier of that name.
    ///
    /// # Errors
    /// [`Error::UnknownTier`] where there is no such name, [`Error::UnavailableTier`] where this CPU does not have it,
    /// [`Error::Unsupported`] where the crate was built without it.
    pub fn named(name: &str) -> Result<Self> {
        let unavailable = |wanted| Error::UnavailableTier {
            wanted,
            best: Self::best().name(),
        };
        match name {
            "portable" => Ok(Self::PORTABLE),
            "neon" => Self::neon().ok_or_else(|| unavailable("neon")),
            "avx2" => Self::avx2().ok_or_else(|| unavailable("avx2")),
            "avx512" if cfg!(all(target_arch = "x86_64", not(feature = "avx512"))) => {
                Err(Error::Unsupported { feature: "avx512" })
            }
            "avx512" => Self::avx512().ok_or_else(|| unavailable("avx512")),
            _ => Err(Error::UnknownTier {
                value: name.chars().take(32).collect(),
            }),
        }
    }

    /// The tier that networks use: the one that the environment variable `ELMAN_TIER` (`portable`, `neon`, `avx2` or
    /// `avx512`) names, or the best one where it is not set. Decided at the first call that succeeds and the same from then on.
    ///
    /// # Errors
    /// As [`Tier::named`], for the variable's value: a tier that is missing is an error, never replaced by a lesser one.
    pub fn active() -> Result<Self> {
        static ACTIVE: OnceLock<Tier> = OnceLock::new();
        if let Some(&tier) = ACTIVE.get() {
            return Ok(tier);
        }
        let tier = match std::env::var_os(VARIABLE) {
            None => Self::best(),
            Some(name) => Self::named(&name.to_string_lossy())?,
        };
        Ok(*ACTIVE.get_or_init(|| tier))
    }

    /// `portable`, `neon`, `avx2` or `avx512`.
    pub fn name(self) -> &'static str {
        match self.0 {
            Level::Portable => "portable",
            #[cfg(target_arch = "aarch64")]
            Level::Neon => "neon",
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => "avx2",
            #[cfg(all(target_arch = "x86_64", feature = "avx512"))]
            Level::Avx512 => "avx512",
        }
    }

    /// Whether its vectors are of 64 bytes.
    pub(crate) fn is_wide(self) -> bool {
        self.name() == "avx512"
    }

    /// Whether multiply-add rounds once. All fused tiers give the same bits.
    pub fn is_fused(self) -> bool {
        struct Fused;
        impl Kernel<f32> for Fused {
            type Output = bool;
            #[inline(always)]
            fn run<S: Math<f32>>(self, _: S) -> bool {
                S::FUSED
            }
        }
        self.run(Fused)
    }

    /// Runs `kernel` with the instructions of this tier.
    #[inline]
    pub(crate) fn run<E: Element, K: Kernel<E>>(self, kernel: K) -> K::Output {
        E::on_tier(self, kernel)
    }

    fn best() -> Self {
        let best = Self::avx512().or_else(Self::avx2).or_else(Self::neon);
        best.unwrap_or(Self::PORTABLE)
    }

    #[cfg(target_arch = "aarch64")]
    fn neon() -> Option<Self> {
        std::arch::is_aarch64_feature_detected!("neon").then_some(Self(Level::Neon))
    }

    #[cfg(target_arch = "x86_64")]
    fn avx2() -> Option<Self> {
        (is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma"))
            .then_some(Self(Level::Avx2))
    }

    #[cfg(all(target_arch = "x86_64", feature = "avx512"))]
    fn avx512() -> Option<Self> {
        (Self::avx2().is_some() && is_x86_feature_detected!("avx512f"))
            .then_some(Self(Level::Avx512))
    }

    #[cfg(not(target_arch = "aarch64"))]
    fn neon() -> Option<Self> {
        None
    }

    #[cfg(not(target_arch = "x86_64"))]
    fn avx2() -> Option<Self> {
        None
    }

    #[cfg(not(all(target_arch = "x86_64", feature = "avx512")))]
    fn avx512() -> Option<Self> {
        None
    }
}

impl fmt::Debug for Tier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// An element type whose vectors every tier has: the part of [`Element`] that only this crate can implement.
pub trait OnTier: Sized {
    /// Runs `kernel` with the instructions of `tier`.
    fn on_tier<K: Kernel<Self>>(tier: Tier, kernel: K) -> K::Output
    where
        Self: Element;
}

macro_rules! on_tier {
    ($element:ident, $wide:ident) => {
        impl OnTier for $element {
            #[inline]
            fn on_tier<K: Kernel<Self>>(tier: Tier, kernel: K) -> K::Output {
                match tier.0 {
                    Level::Portable => Simd::<Self>::vectorize(Portable, kernel),
                    #[cfg(target_arch = "aarch64")]
                    Level::Neon => {
                        // SAFETY: a `Tier` of this level is only made where the CPU has the tier.
                        Simd::<Self>::vectorize(unsafe { super::Neon::new() }, kernel)
                    }
                    #[cfg(target_arch = "x86_64")]
                    Level::Avx2 => {
                        // SAFETY: a `Tier` of this level is only made where the CPU has the tier.
                        Simd::<Self>::vectorize(unsafe { super::Avx2::new() }, kernel)
                    }
                    #[cfg(all(target_arch = "x86_64", feature = "avx512"))]
                    Level::Avx512 => {
                        // SAFETY: as above. The tier has all that the one below has.
                        Simd::<Self>::vectorize(unsafe { super::$wide::new() }, kernel)
                    }
                }
            }
        }
    };
}

on_tier!(f32, Avx512);
// Vectors of 32 bytes give the same bits, and the kernels are there once less.
#[cfg(feature = "f64")]
on_tier!(f64, Avx2);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_to_tiers_and_back() {
        let available = Tier::available();
        assert_eq!(available[0], Tier::PORTABLE);
        for tier in available {
            assert_eq!(Tier::named(tier.name()).unwrap(), tier);
        }
        assert!(matches!(
            Tier::named("sse9"),
            Err(Error::UnknownTier { .. })
        ));
        assert!(matches!(Tier::named(""), Err(Error::UnknownTier { .. })));
    }

    #[test]
    fn a_tier_of_other_processors_is_missing() {
        let (own, missing): (&[&str], &[&str]) = match std::env::consts::ARCH {
            "x86_64" => (&["portable"], &["neon"]),
            "aarch64" => (&["portable", "neon"], &["avx2", "avx512"]),
            _ => (&["portable"], &["neon", "avx2", "avx512"]),
        };
        for name in own {
            assert_eq!(Tier::named(name).unwrap().name(), *name);
        }
        for name in missing {
            let error = Tier::named(name).unwrap_err();
            assert!(matches!(error, Error::UnavailableTier { wanted, .. } if wanted == *name));
        }
    }
}
