//! The caches of a core, for which blocks of matrices are made. No result depends on them.

use std::sync::OnceLock;

/// Sizes in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caches {
    /// The first-level cache of data.
    pub first: usize,
    /// The second-level cache.
    pub second: usize,
}

impl Caches {
    /// Those of a CPU that does not say.
    const USUAL: Self = Self {
        first: 32 << 10,
        second: 1 << 20,
    };

    /// Those of the CPU that runs this.
    pub fn get() -> Self {
        static CACHES: OnceLock<Caches> = OnceLock::new();
        *CACHES.get_or_init(Self::ask)
    }

    #[cfg(all(target_arch = "x86_64", not(miri)))]
    fn ask() -> Self {
        use raw_cpuid::{CacheType, CpuId};

        let mut found = Self::USUAL;
        for cache in CpuId::new().get_cache_parameters().into_iter().flatten() {
            let lines = cache.associativity() * cache.physical_line_partitions() * cache.sets();
            let size = lines * cache.coherency_line_size();
            // Other sizes are a virtual machine's mistake.
            let (place, possible) = match (cache.cache_type(), cache.level()) {
                (CacheType::Data, 1) => (&mut found.first, 16 << 10..=256 << 10),
                (CacheType::Unified, 2) => (&mut found.second, 256 << 10..=16 << 20),
                _ => continue,
            };
            if possible.contains(&size) {
                *place = size;
            }
        }
        found
    }

    #[cfg(not(all(target_arch = "x86_64", not(miri))))]
    fn ask() -> Self {
        Self::USUAL
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// Where Linux tells them, too.
    #[test]
    fn caches_are_those_that_the_system_sees() {
        let caches = Caches::get();
        let read = |index: usize, name: &str| {
            let path = format!("/sys/devices/system/cpu/cpu0/cache/index{index}/{name}");
            fs::read_to_string(path).map(|text| text.trim().to_owned())
        };
        for index in 0..4 {
            let (Ok(level), Ok(kind), Ok(size)) = (
                read(index, "level"),
                read(index, "type"),
                read(index, "size"),
            ) else {
                continue;
            };
            let size: usize = size.trim_end_matches('K').parse().unwrap();
            match (level.as_str(), kind.as_str()) {
                ("1", "Data") if cfg!(target_arch = "x86_64") => {
                    assert_eq!(caches.first, size << 10)
                }
                ("2", "Unified") if cfg!(target_arch = "x86_64") => {
                    assert_eq!(caches.second, size << 10)
                }
                _ => {}
            }
        }
        assert!(caches.first < caches.second);
    }
}
