//! What the machine can do.

use std::time::Instant;

use elman::Tier;

/// Seconds that `run` takes at best, of several repetitions that are each long enough for the clock.
pub fn seconds(mut run: impl FnMut()) -> f64 {
    run();
    let start = Instant::now();
    run();
    let once = start.elapsed().as_secs_f64().max(1e-9);
    let repetitions = (0.03 / once).ceil().max(1.0) as usize;
    let measured = (0..5).map(|_| {
        let start = Instant::now();
        (0..repetitions).for_each(|_| run());
        start.elapsed().as_secs_f64() / repetitions as f64
    });
    measured.fold(f64::MAX, f64::min)
}

/// Floating-point operations per second of one core at best: multiply-adds in registers, with the tier's instructions. None
/// where this is not known how to measure.
pub fn fma_peak(tier: Tier) -> Option<f64> {
    const ROUNDS: usize = 10_000;
    let loops: Option<(usize, fn(usize))> = match tier.name() {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: a tier only exists where the CPU has its instructions.
        "avx512" => unsafe { Some((16, |rounds| x86::chains_512(rounds))) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: as above.
        "avx2" => unsafe { Some((8, |rounds| x86::chains_256(rounds))) },
        _ => None,
    };
    let (lanes, chains) = loops?;
    let operations = (2 * CHAINS * lanes * ROUNDS) as f64;
    Some(operations / seconds(|| chains(ROUNDS)))
}

/// Chains of multiply-adds that do not wait for each other.
const CHAINS: usize = 12;

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;
    use std::hint::black_box;

    use super::CHAINS;

    #[target_feature(enable = "avx512f")]
    pub fn chains_512(rounds: usize) {
        let (a, b) = (
            _mm512_set1_ps(black_box(0.999)),
            _mm512_set1_ps(black_box(1e-3)),
        );
        let mut sums = [_mm512_set1_ps(1.0); CHAINS];
        for _ in 0..rounds {
            for sum in &mut sums {
                *sum = _mm512_fmadd_ps(*sum, a, b);
            }
        }
        black_box(sums);
    }

    #[target_feature(enable = "avx2,fma")]
    pub fn chains_256(rounds: usize) {
        let (a, b) = (
            _mm256_set1_ps(black_box(0.999)),
            _mm256_set1_ps(black_box(1e-3)),
        );
        let mut sums = [_mm256_set1_ps(1.0); CHAINS];
        for _ in 0..rounds {
            for sum in &mut sums {
                *sum = _mm256_fmadd_ps(*sum, a, b);
            }
        }
        black_box(sums);
    }
}
