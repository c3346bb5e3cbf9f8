//! The cache of a core for which blocks of matrices are made. No result depends on it.

use std::sync::OnceLock;

/// Bytes of a first-level cache of a CPU that does not say.
const USUAL: usize = 32 << 10;

/// Bytes of the first-level cache of data. The first call takes a lock.
pub fn first_level() -> usize {
    static SIZE: OnceLock<usize> = OnceLock::new();
    *SIZE.get_or_init(|| ask().unwrap_or(USUAL))
}

#[cfg(all(target_arch = "x86_64", not(miri)))]
fn ask() -> Option<usize> {
    use raw_cpuid::{CacheType, CpuId};

    let mut caches = CpuId::new().get_cache_parameters()?;
    let cache = caches.find(|cache| (cache.cache_type(), cache.level()) == (CacheType::Data, 1))?;
    let lines = cache.associativity() * cache.physical_line_partitions() * cache.sets();
    let size = lines * cache.coherency_line_size();
    // Another size is a virtual machine's mistake.
    (16 << 10..=256 << 10).contains(&size).then_some(size)
}

#[cfg(not(all(target_arch = "x86_64", not(miri))))]
fn ask() -> Option<usize> {
    None
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// Where Linux tells it, too.
    #[test]
    fn the_cache_is_that_which_the_system_sees() {
        let read = |index: usize, name: &str| {
            let path = format!("/sys/devices/system/cpu/cpu0/cache/index{index}/{name}");
            let text = fs::read_to_string(path).unwrap_or_default();
            text.trim().to_owned()
        };
        for index in (0..4).filter(|_| cfg!(all(target_arch = "x86_64", not(miri)))) {
            if read(index, "level") == "1" && read(index, "type") == "Data" {
                assert_eq!(format!("{}K", first_level() >> 10), read(index, "size"));
            }
        }
        assert!(first_level() >= 16 << 10);
    }
}
