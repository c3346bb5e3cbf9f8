//! What the integration tests share.
#![allow(dead_code)] // each test takes what it needs

pub mod cases;
pub mod cells;
pub mod scalar;
pub mod scalar_cells;
pub mod training;

use elman::Tier;

/// Every tier of this machine. A tier named in `ELMAN_REQUIRE_TIERS` (a list with commas) that is missing is a failure.
pub fn tiers() -> Vec<Tier> {
    let tiers = Tier::available();
    let required = std::env::var("ELMAN_REQUIRE_TIERS").unwrap_or_default();
    for name in required.split(',').filter(|name| !name.is_empty()) {
        assert!(
            tiers.iter().any(|tier| tier.name() == name),
            "the required tier {name} is not available"
        );
    }
    tiers
}
