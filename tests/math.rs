//! The functions of [`elman::math`]: special values, slices of every length, and `f64`. `ulp.rs` has the accuracy of
//! `f32`.

mod common;

use elman::{Element, Tier, math};

type Function<E> = fn(Tier, &mut [E]);

/// Arguments and the values there.
type Expected<'a> = &'a [(f64, f64)];

fn functions<E: Element>() -> [(&'static str, Function<E>); 7] {
    [
        ("tanh", math::tanh),
        ("sigmoid", math::sigmoid),
        ("exp", math::exp),
        ("ln", math::ln),
        ("softplus_tail", math::softplus_tail),
        ("softplus", math::softplus),
        ("softsign", math::softsign),
    ]
}

/// The value at `x`, computed alone.
fn one<E: Element>(function: Function<E>, tier: Tier, x: E) -> E {
    let mut value = [x];
    function(tier, &mut value);
    value[0]
}

/// All bits of the value, the sign of 0 too; one text for all NaN.
fn bits<E: Element>(value: E) -> String {
    let value = value.to_f64();
    if value.is_nan() {
        "NaN".into()
    } else {
        format!("{value:?}")
    }
}

fn special_values<E: Element>(huge: f64, tiny: f64) {
    let (inf, nan) = (f64::INFINITY, f64::NAN);
    let functions = functions::<E>().map(|(_, function)| function);
    let [tanh, sigmoid, exp, ln, softplus_tail, softplus, softsign] = functions;
    let table: [(&str, Function<E>, Expected<'_>); 7] = [
        (
            "tanh",
            tanh,
            &[
                (0.0, 0.0),
                (-0.0, -0.0),
                (tiny, tiny),
                (-tiny, -tiny),
                (25.0, 1.0),
                (-25.0, -1.0),
                (huge, 1.0),
                (inf, 1.0),
                (-inf, -1.0),
            ],
        ),
        (
            "sigmoid",
            sigmoid,
            &[
                (0.0, 0.5),
                (-0.0, 0.5),
                (tiny, 0.5),
                (-tiny, 0.5),
                (40.0, 1.0),
                (-800.0, 0.0),
                (huge, 1.0),
                (-huge, 0.0),
                (inf, 1.0),
                (-inf, 0.0),
            ],
        ),
        (
            "exp",
            exp,
            &[
                (0.0, 1.0),
                (-0.0, 1.0),
                (tiny, 1.0),
                (-tiny, 1.0),
                (800.0, inf),
                (-800.0, 0.0),
                (huge, inf),
                (-huge, 0.0),
                (inf, inf),
                (-inf, 0.0),
            ],
        ),
        (
            "ln",
            ln,
            &[
                (1.0, 0.0),
                (0.0, -inf),
                (-0.0, -inf),
                (-tiny, nan),
                (-1.0, nan),
                (-huge, nan),
                (inf, inf),
                (-inf, nan),
            ],
        ),
        (
            "softplus_tail",
            softplus_tail,
            &[
                (0.0, std::f64::consts::LN_2),
                (-0.0, std::f64::consts::LN_2),
                (800.0, 0.0),
                (-800.0, 0.0),
                (inf, 0.0),
                (-inf, 0.0),
            ],
        ),
        (
            "softplus",
            softplus,
            &[
                (0.0, std::f64::consts::LN_2),
                (-0.0, std::f64::consts::LN_2),
                (800.0, 800.0),
                (-800.0, 0.0),
                (huge, huge),
                (-huge, 0.0),
                (inf, inf),
                (-inf, 0.0),
            ],
        ),
        (
            "softsign",
            softsign,
            &[
                (0.0, 0.0),
                (-0.0, -0.0),
                (tiny, tiny),
                (-tiny, -tiny),
                (3.0, 0.75),
                (-3.0, -0.75),
                (huge, 1.0),
                (-huge, -1.0),
                (inf, 1.0),
                (-inf, -1.0),
            ],
        ),
    ];
    for tier in common::tiers() {
        for (name, function, values) in table {
            for &(x, expected) in values.iter().chain(&[(nan, nan), (-nan, nan)]) {
                let value = one(function, tier, E::from_f64(x));
                assert_eq!(
                    bits(value),
                    bits(E::from_f64(expected)),
                    "{name}({x:e}) of {} on {tier:?}",
                    E::NAME
                );
            }
        }
    }
}

#[test]
fn special_values_of_f32() {
    special_values::<f32>(f32::MAX.into(), f32::MIN_POSITIVE.into());
}

#[test]
fn special_values_of_f64() {
    special_values::<f64>(f64::MAX, f64::MIN_POSITIVE);
}

/// Where the engine's floating-point mode takes denormal numbers for 0.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
#[test]
fn denormal_arguments_count_as_zero_and_no_value_is_denormal() {
    fn check<E: Element>(denormal: E, below_normal: [(&str, f64); 2]) {
        for tier in common::tiers() {
            for (name, function) in functions::<E>() {
                for (x, zero) in [(denormal, E::ZERO), (-denormal, -E::ZERO)] {
                    let (value, expected) = (one(function, tier, x), one(function, tier, zero));
                    assert_eq!(bits(value), bits(expected), "{name} on {tier:?}");
                }
                for (_, x) in below_normal.iter().filter(|(other, _)| *other == name) {
                    let value = one(function, tier, E::from_f64(*x));
                    assert_eq!(bits(value), bits(E::ZERO), "{name}({x}) on {tier:?}");
                }
            }
        }
    }
    check(f32::from_bits(1), [("exp", -90.0), ("sigmoid", -90.0)]);
    check(
        f32::from_bits(1),
        [("softplus_tail", 90.0), ("softplus", -103.0)],
    );
    check(
        f32::from_bits(0x007f_ffff),
        [("exp", -103.0), ("softplus", -90.0)],
    );
    check(f64::from_bits(1), [("exp", -720.0), ("sigmoid", -720.0)]);
    check(
        f64::from_bits(u64::MAX >> 12),
        [("softplus", -740.0), ("softplus_tail", 720.0)],
    );
}

/// Numbers from -16 to 16 that look random, with a few special ones between.
fn arguments<E: Element>(count: usize) -> Vec<E> {
    let mut state = 1_u64;
    let mut next = |i| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        match i % 11 {
            5 => f64::NAN,
            7 => f64::NEG_INFINITY,
            9 => -0.0,
            _ => (state >> 33) as f64 / f64::from(1 << 26) - 16.0,
        }
    };
    (0..count).map(|i| E::from_f64(next(i))).collect()
}

fn slices_equal_single_elements<E: Element>() {
    const LONGEST: usize = 100;
    let guard = E::from_f64(-12345.0);
    let all = arguments::<E>(LONGEST);
    for tier in common::tiers() {
        for (name, function) in functions::<E>() {
            let expected: Vec<_> = all.iter().map(|&x| bits(one(function, tier, x))).collect();
            for length in (0..=40).chain([LONGEST]) {
                for offset in [1, 2, 3, 5] {
                    let mut memory = vec![guard; offset + length + 20];
                    let inside = offset..offset + length;
                    memory[inside.clone()].copy_from_slice(&all[..length]);
                    function(tier, &mut memory[inside.clone()]);
                    for (i, &value) in memory.iter().enumerate() {
                        if inside.contains(&i) {
                            let place = format!("{i} of {offset} + {length}");
                            assert_eq!(
                                bits(value),
                                expected[i - offset],
                                "{name}, {tier:?}, {place}"
                            );
                        } else {
                            assert_eq!(value, guard, "{name} on {tier:?} wrote outside its slice");
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn slices_of_f32_equal_single_elements() {
    slices_equal_single_elements::<f32>();
}

#[test]
fn slices_of_f64_equal_single_elements() {
    slices_equal_single_elements::<f64>();
}

/// Distance in units in the last place, the values having one sign.
fn ulps(a: f64, b: f64) -> u64 {
    a.to_bits().abs_diff(b.to_bits())
}

/// Values computed by mpmath with 200 bits.
#[test]
fn values_of_f64_are_within_three_ulp() {
    let expected: [Expected<'_>; 7] = [
        &[
            (-30.0, -1.0),
            (-1.25, -0.8482836399575129),
            (-0.001, -0.0009999996666668),
            (0.3, 0.2913126124515909),
            (2.5, 0.9866142981514303),
            (20.0, 1.0),
        ],
        &[
            (-700.0, 9.85967654375977e-305),
            (-30.0, 9.357622968839299e-14),
            (-1.25, 0.22270013882530884),
            (-0.001, 0.4997500000208333),
            (0.3, 0.574442516811659),
            (2.5, 0.9241418199787564),
            (20.0, 0.9999999979388464),
        ],
        &[
            (-700.0, 9.85967654375977e-305),
            (-30.0, 9.357622968840175e-14),
            (-1.25, 0.2865047968601901),
            (-0.001, 0.999000499833375),
            (0.3, 1.3498588075760032),
            (2.5, 12.182493960703473),
            (20.0, 485165195.4097903),
        ],
        &[
            (1e-300, -690.7755278982137),
            (0.001, -6.907755278982137),
            (0.3, -1.2039728043259361),
            (2.5, 0.9162907318741551),
            (20.0, 2.995732273553991),
            (1e300, 690.7755278982137),
        ],
        &[
            (-30.0, 9.357622968839737e-14),
            (-1.25, 0.2519290813453729),
            (-0.001, 0.6926473055599401),
            (0.3, 0.5543552444685271),
            (2.5, 0.07888973429254963),
            (20.0, 2.061153620314381e-09),
        ],
        &[
            (-700.0, 9.85967654375977e-305),
            (-30.0, 9.357622968839737e-14),
            (-1.25, 0.2519290813453729),
            (-0.001, 0.6926473055599401),
            (0.3, 0.8543552444685271),
            (2.5, 2.5788897342925496),
            (20.0, 20.000000002061153),
        ],
        &[
            (-700.0, -0.9985734664764622),
            (-30.0, -0.967741935483871),
            (-1.25, -0.5555555555555556),
            (-0.001, -0.000999000999000999),
            (0.3, 0.23076923076923075),
            (2.5, 0.7142857142857143),
            (20.0, 0.9523809523809523),
        ],
    ];
    for tier in common::tiers() {
        for ((name, function), expected) in functions::<f64>().into_iter().zip(expected) {
            for &(x, expected) in expected {
                let value = one(function, tier, x);
                assert!(
                    ulps(value, expected) <= 3,
                    "{name}({x}) is {value:e}, expected {expected:e}"
                );
            }
        }
    }
}

#[test]
fn values_of_f64_have_the_same_bits_on_every_tier() {
    let arguments = arguments::<f64>(4096);
    for (name, function) in functions() {
        let mut expected = arguments.clone();
        function(Tier::PORTABLE, &mut expected);
        let expected: Vec<_> = expected.into_iter().map(bits).collect();
        for tier in common::tiers() {
            let mut values = arguments.clone();
            function(tier, &mut values);
            let values: Vec<_> = values.into_iter().map(bits).collect();
            assert_eq!(values, expected, "{name} on {tier:?}");
        }
    }
}
