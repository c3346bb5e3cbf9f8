//! The functions of [`elman::math`] and all activations against `f64`, at one in 61 of all `f32` in blocks of 4096, some of every binade; with
//! `ELMAN_EXHAUSTIVE=1` at every `f32` there is, which `tests/deep ulp` and CI run.
//!
//! `cargo test --test ulp -- --nocapture` prints what is measured.
//!
//! A denormal number counts as 0, as an argument and as a value: the engine's floating-point mode flushes it.

mod common;

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use elman::{Activation, Tier, math};

/// What is known about a function.
struct Case {
    name: &'static str,
    function: fn(Tier, &mut [f32]),
    /// The value at anything but NaN, with an error far below that of an `f32`. Cheap where most arguments are: at tiny
    /// and huge ones.
    reference: fn(f64) -> f64,
    /// What the value at `-x` is the value at `x` times, bit for bit.
    mirrored: Option<f32>,
    /// The greatest error allowed, in ulp, with fused multiply-add.
    fused: f64,
    /// And without.
    plain: f64,
}

/// The activations that have no function in [`math`], with the default parameters and with others, that are rounded to
/// `f32`. The other case of a hard sigmoid is that of an affine function.
fn activations() -> Vec<Case> {
    /// Of `x < 0`.
    fn exp_m1(x: f64) -> f64 {
        match x {
            ..-40.0 => -1.0,
            -40.0..-1e-5 => x.exp_m1(),
            _ => x + x * x / 2.0,
        }
    }
    fn tanh(x: f64) -> f64 {
        match x.abs() {
            ..1e-5 => x - x * x * x / 3.0,
            1e-5..20.0 => x.tanh(),
            _ => x.signum(),
        }
    }
    const ALPHA: f32 = 1.7159;
    const BETA: f32 = 2.0 / 3.0;
    fn elu(tier: Tier, values: &mut [f32]) {
        let alpha = ALPHA.into();
        Activation::Elu { alpha }.apply(tier, values);
    }
    fn affine(tier: Tier, values: &mut [f32]) {
        let (alpha, beta) = (ALPHA.into(), BETA.into());
        Activation::Affine { alpha, beta }.apply(tier, values);
    }
    fn scaled_tanh(tier: Tier, values: &mut [f32]) {
        let (alpha, beta) = (ALPHA.into(), BETA.into());
        Activation::ScaledTanh { alpha, beta }.apply(tier, values);
    }
    let case = |name, function, reference, mirrored, (fused, plain)| Case {
        name,
        function,
        reference,
        mirrored,
        fused,
        plain,
    };
    vec![
        case(
            "hard sigmoid",
            |tier, values| Activation::HARD_SIGMOID.apply(tier, values),
            |x| (f64::from(0.2_f32) * x + 0.5).clamp(0.0, 1.0),
            None,
            (0.5, 0.51),
        ),
        case(
            "hard tanh",
            |tier, values| Activation::HardTanh.apply(tier, values),
            |x| x.clamp(-1.0, 1.0),
            Some(-1.0),
            (0.0, 0.0),
        ),
        case(
            "leaky relu",
            |tier, values| Activation::LEAKY_RELU.apply(tier, values),
            |x| if x < 0.0 { f64::from(0.01_f32) * x } else { x },
            None,
            (0.5, 0.5),
        ),
        case(
            "elu",
            |tier, values| Activation::ELU.apply(tier, values),
            |x| if x < 0.0 { exp_m1(x) } else { x },
            None,
            (0.95, 0.95),
        ),
        case(
            "elu of 1.7159",
            elu,
            |x| match x < 0.0 {
                true => f64::from(ALPHA) * exp_m1(x),
                false => x,
            },
            None,
            (1.0, 1.05),
        ),
        case(
            "affine",
            |tier, values| Activation::AFFINE.apply(tier, values),
            |x| x,
            None,
            (0.0, 0.0),
        ),
        case(
            "affine of 1.7159, 2/3",
            affine,
            |x| f64::from(ALPHA) * x + f64::from(BETA),
            None,
            (0.5, 0.51),
        ),
        case(
            "scaled tanh",
            |tier, values| Activation::SCALED_TANH.apply(tier, values),
            tanh,
            Some(-1.0),
            (1.05, 1.1),
        ),
        case(
            "scaled tanh of 1.7159, 2/3",
            scaled_tanh,
            |x| f64::from(ALPHA) * tanh(f64::from(BETA) * x),
            Some(-1.0),
            (1.5, 1.5),
        ),
        case(
            "thresholded relu",
            |tier, values| Activation::THRESHOLDED_RELU.apply(tier, values),
            |x| if x > 1.0 { x } else { 0.0 },
            None,
            (0.0, 0.0),
        ),
    ]
}

fn functions() -> Vec<Case> {
    vec![
        Case {
            name: "tanh",
            function: math::tanh,
            reference: |x| match x {
                ..1e-4 => x - x * x * x / 3.0,
                1e-4..20.0 => x.tanh(),
                _ => 1.0,
            },
            mirrored: Some(-1.0),
            fused: 0.99,
            plain: 1.1,
        },
        Case {
            name: "sigmoid",
            function: math::sigmoid,
            reference: |x| match x {
                ..-110.0 => 0.0,
                -110.0..-1e-5 => x.exp() / (1.0 + x.exp()),
                -1e-5..1e-5 => 0.5 + x / 4.0,
                1e-5..40.0 => 1.0 / (1.0 + (-x).exp()),
                _ => 1.0,
            },
            mirrored: None,
            fused: 0.97,
            plain: 1.44,
        },
        Case {
            name: "exp",
            function: math::exp,
            reference: |x| match x {
                ..-110.0 => 0.0,
                -1e-5..1e-5 => 1.0 + x + x * x / 2.0,
                90.0.. => f64::INFINITY,
                _ => x.exp(),
            },
            mirrored: None,
            fused: 0.88,
            plain: 0.9,
        },
        Case {
            name: "ln",
            function: math::ln,
            reference: |x| if x < 0.0 { f64::NAN } else { x.ln() },
            mirrored: None,
            fused: 0.9,
            plain: 0.96,
        },
        Case {
            name: "softplus_tail",
            function: math::softplus_tail,
            reference: |x| match x {
                ..1e-4 => std::f64::consts::LN_2 - x / 2.0 + x * x / 8.0,
                1e-4..110.0 => (-x).exp().ln_1p(),
                _ => 0.0,
            },
            mirrored: Some(1.0),
            fused: 1.75,
            plain: 1.8,
        },
        Case {
            name: "softplus",
            function: math::softplus,
            reference: |x| match x {
                ..-110.0 => 0.0,
                -110.0..-1e-4 => x.exp().ln_1p(),
                -1e-4..1e-4 => std::f64::consts::LN_2 + x / 2.0 + x * x / 8.0,
                1e-4..110.0 => x + (-x).exp().ln_1p(),
                _ => x,
            },
            mirrored: None,
            fused: 1.75,
            plain: 1.8,
        },
        Case {
            name: "softsign",
            function: math::softsign,
            reference: |x| match x.abs() {
                ..1e300 => x / (1.0 + x.abs()),
                _ => x.signum(),
            },
            mirrored: Some(-1.0),
            fused: 1.5,
            plain: 1.5,
        },
    ]
}

/// The greatest error found, in ulp, and the argument where it is.
type Worst = (f64, f32);

fn worse(a: Worst, b: Worst) -> Worst {
    if b.0 > a.0 { b } else { a }
}

/// Arguments that are looked at together.
const BLOCK: usize = 1 << 12;

/// The function's values at the arguments with the bits of `flip` flipped.
fn values(case: &Case, tier: Tier, arguments: &[f32; BLOCK], flip: u32) -> [f32; BLOCK] {
    let mut values = arguments.map(|x| f32::from_bits(x.to_bits() ^ flip));
    (case.function)(tier, &mut values);
    values
}

/// The distance of `value` from `exact` in units in the last place of an `f32` near `exact`. Infinite where one of them
/// is NaN, or infinite, and should not be. A `value` below the smallest normal number stands for all of
/// these: a denormal one may be copied.
fn ulps(value: f32, exact: f64) -> f64 {
    /// The greatest `f32` plus half a unit in its last place: from here on, numbers round to infinity.
    const OVERFLOW: f64 = 3.402_823_567_797_336_6e38;
    let value = f64::from(value);
    if value.is_finite() && exact.abs() < OVERFLOW {
        let smallest = f64::from(f32::MIN_POSITIVE);
        let binade = f64::from_bits(exact.abs().max(smallest).to_bits() & !0 << 52);
        let distance = match value.abs() < smallest {
            true => (exact.abs() - smallest).max(0.0),
            false => (value - exact).abs(),
        };
        distance / binade * f64::from(1 << 23)
    } else if value.is_nan() && exact.is_nan()
        || value.is_infinite() && exact.abs() >= OVERFLOW && value.signum() == exact.signum()
    {
        0.0
    } else {
        f64::INFINITY
    }
}

/// Equal bits, or both NaN.
fn same(a: f32, b: f32) -> bool {
    a.to_bits() == b.to_bits() || a.is_nan() && b.is_nan()
}

/// Looks at one block of arguments: see [`measure`].
fn check(case: &Case, judged: &[Tier], others: &[Tier], start: u32) -> Vec<Worst> {
    let arguments = std::array::from_fn(|i| f32::from_bits(start + i as u32));
    let exact = arguments.map(|x| match x.is_nan() {
        true => f64::NAN,
        false if x.is_subnormal() => (case.reference)(f64::from(0.0_f32.copysign(x))),
        false => (case.reference)(f64::from(x)),
    });
    let mut worst = vec![(0.0, 0.0); judged.len()];
    for (worst, &tier) in worst.iter_mut().zip(judged) {
        let values = values(case, tier, &arguments, 0);
        for i in 0..BLOCK {
            // Most values are the nearest there are, and need no closer look.
            if values[i] != exact[i] as f32 {
                *worst = worse(*worst, (ulps(values[i], exact[i]), arguments[i]));
            }
        }
        let others = others.iter().filter(|_| tier.is_fused());
        for &other in others.chain([&tier]) {
            let mirrored = case.mirrored.map(|sign| (1 << 31, sign));
            let same_sign = (other != tier).then_some((0, 1.0));
            for (flip, sign) in mirrored.into_iter().chain(same_sign) {
                let found = self::values(case, other, &arguments, flip);
                for i in 0..BLOCK {
                    assert!(
                        same(found[i], sign * values[i]),
                        "{} of {:e} on {tier:?}, against {other:?} (sign {sign})",
                        case.name,
                        arguments[i],
                    );
                }
            }
        }
    }
    worst
}

/// One block in so many is looked at; prime, so that they have no period in common with binades.
fn stride() -> u64 {
    match std::env::var_os("ELMAN_EXHAUSTIVE") {
        Some(_) => 1,
        None => 61,
    }
}

/// Measures the tiers of `judged`, and checks that those of `others` equal the fused one of them, at every argument of
/// the blocks, with all cores.
fn measure(case: &Case, judged: &[Tier], others: &[Tier]) -> Vec<Worst> {
    let blocks = match case.mirrored {
        Some(_) => 1_u64 << 31,
        None => 1 << 32,
    } / BLOCK as u64;
    let (next, stride) = (AtomicU64::new(0), stride());
    let work = || {
        let mut worst = vec![(0.0, 0.0); judged.len()];
        loop {
            let block = next.fetch_add(stride, Ordering::Relaxed);
            if block >= blocks {
                return worst;
            }
            let start = u32::try_from(block * BLOCK as u64).unwrap();
            for (worst, found) in worst.iter_mut().zip(check(case, judged, others, start)) {
                *worst = worse(*worst, found);
            }
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        let results = workers.into_iter().map(|worker| worker.join().unwrap());
        let pairs = |a: Vec<Worst>, b| a.into_iter().zip(b).map(|(a, b)| worse(a, b)).collect();
        results.reduce(pairs).unwrap()
    })
}

#[test]
fn arguments_are_within_the_bounds_and_equal_on_all_fused_tiers() {
    let (mut fused, plain): (Vec<_>, Vec<_>) = common::tiers()
        .into_iter()
        .partition(|tier| tier.is_fused());
    let judged: Vec<Tier> = fused.pop().into_iter().chain(plain).collect();
    for case in functions().iter().chain(&activations()) {
        let clock = Instant::now();
        let worst = measure(case, &judged, &fused);
        println!("{} ({:.0?})", case.name, clock.elapsed());
        for (&tier, (error, x)) in judged.iter().zip(worst) {
            println!("    {tier:?}: {error:.4} ulp at {x:e}");
            let bound = if tier.is_fused() {
                case.fused
            } else {
                case.plain
            };
            assert!(error <= bound, "{} on {tier:?}: {error} ulp", case.name);
        }
    }
}
