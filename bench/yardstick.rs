//! The limits of the machine, measured in the process that measures the engine.

use std::hint::black_box;
use std::time::Instant;

/// Seconds that `run` takes at best: the minimum over several repetitions, each long enough for the clock.
pub fn seconds(mut run: impl FnMut()) -> f64 {
    run();
    let start = Instant::now();
    run();
    let once = start.elapsed().as_secs_f64().max(1e-9);
    let repetitions = (0.02 / once).ceil().max(1.0) as usize;
    (0..7)
        .map(|_| {
            let start = Instant::now();
            for _ in 0..repetitions {
                run();
            }
            start.elapsed().as_secs_f64() / repetitions as f64
        })
        .fold(f64::MAX, f64::min)
}

/// Floating-point operations per second of one core: twelve chains of f32 multiply-add in registers, with the widest
/// vectors that `tier` has.
pub fn fma_peak(tier: &str) -> f64 {
    const ROUNDS: usize = 10_000;
    let (lanes, run): (usize, fn(usize)) = match tier {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: the tier is only named where the CPU has it.
        "avx512" => (16, |rounds| unsafe { x86::chains_512(rounds) }),
        #[cfg(target_arch = "x86_64")]
        // SAFETY: as above.
        "avx2" => (8, |rounds| unsafe { x86::chains_256(rounds) }),
        _ => (4, portable_chains),
    };
    let flops = (2 * 12 * lanes * ROUNDS) as f64;
    flops / seconds(|| run(black_box(ROUNDS)))
}

/// Multiply and add of four lanes each, as the portable tier has them.
fn portable_chains(rounds: usize) {
    use wide::f32x4;
    let (a, b) = (
        f32x4::splat(black_box(0.999)),
        f32x4::splat(black_box(1e-3)),
    );
    let mut sums = [f32x4::splat(1.0); 12];
    for _ in 0..rounds {
        for sum in &mut sums {
            *sum = sum.mul_add(a, b);
        }
    }
    black_box(sums);
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;
    use std::hint::black_box;

    macro_rules! chains {
        ($name:ident, $features:literal, $set1:ident, $fmadd:ident) => {
            /// # Safety
            /// - The CPU must have the features.
            #[target_feature(enable = $features)]
            pub unsafe fn $name(rounds: usize) {
                let (a, b) = ($set1(black_box(0.999)), $set1(black_box(1e-3)));
                let mut sums = [$set1(1.0); 12];
                for _ in 0..rounds {
                    for sum in &mut sums {
                        *sum = $fmadd(*sum, a, b);
                    }
                }
                black_box(sums);
            }
        };
    }

    chains!(chains_512, "avx512f", _mm512_set1_ps, _mm512_fmadd_ps);
    chains!(chains_256, "avx2,fma", _mm256_set1_ps, _mm256_fmadd_ps);
}
