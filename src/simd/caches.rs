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

    /// Where Linux tells it, too. The cores of a CPU may differ.
    #[test]
    fn the_cache_is_that_which_the_system_sees_of_a_core() {
        let own = first_level();
        assert!((16 << 10..=256 << 10).contains(&own));
        let Ok(entries) = fs::read_dir("/sys/devices/system/cpu") else {
            return;
        };
        let caches = entries.flat_map(|entry| {
            let cache = entry.unwrap().path().join("cache");
            (0..4).map(move |index| cache.join(format!("index{index}")))
        });
        let sizes: Vec<String> = caches
            .filter_map(|cache| {
                let read = |name: &str| fs::read_to_string(cache.join(name)).unwrap_or_default();
                let is_first = read("level").trim() == "1" && read("type").trim() == "Data";
                is_first.then(|| read("size").trim().to_owned())
            })
            .collect();
        let is_asked = cfg!(all(target_arch = "x86_64", not(miri)));
        if is_asked && !sizes.is_empty() {
            assert!(
                sizes.contains(&format!("{}K", own >> 10)),
                "{own}: {sizes:?}"
            );
        }
    }
}
