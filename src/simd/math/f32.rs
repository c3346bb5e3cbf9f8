//! The functions for `f32`: vector code, written once for all tiers.
//!
//! Only correctly rounded operations and integer ones are used, so the tiers with fused multiply-add agree bit for bit.
//! All of it rests on `exp(x) = 2^k exp(r)` with `k` an integer near `x / ln 2` and `r = x - k ln 2`, and on the
//! inverse of that for the logarithm: see J.-M. Muller, "Elementary Functions", on minimax polynomials and on range
//! reduction. The polynomials are fitted by `tests/data/fit_math.py`; lowest power first.

use std::f32::consts::{LN_2, LOG2_E, SQRT_2};

use crate::simd::SimdMath;

/// `(exp(r) - 1 - r) / r^2` for `|r| <= ln(2) / 2`
const EXP: [f32; 5] = [
    0.49999994,
    0.16666517,
    0.041668102,
    0.008369166,
    0.0013838022,
];

/// `((exp(2r) - 1) / 2 - r) / r^2` for `r` from -0.144 to 0.24
const HALF_EXP: [f32; 5] = [1.000001, 0.66666466, 0.33322486, 0.13369744, 0.047694337];

/// `(tanh(x) - x) / x^3` of `x^2`, for `|x| <= TANH_NEAR`
const TANH: [f32; 6] = [
    -0.33333266,
    0.13331479,
    -0.053796403,
    0.021120887,
    -0.007142527,
    0.0014400197,
];

/// `(ln(1 + f) - f + f^2 / 2) / f^3` for `f` from `sqrt(1/2) - 1` to `sqrt(2) - 1`
const LN: [f32; 8] = [
    0.3333333,
    -0.25000823,
    0.20001227,
    -0.16623355,
    0.1420175,
    -0.13160187,
    0.12761639,
    -0.076345585,
];

/// Where tanh goes from one formula to the other: the errors of both are least here.
const TANH_NEAR: f32 = 0.85;

/// From here on, tanh rounds to 1.
const TANH_IS_1: f32 = 9.1;

/// 1.5 * 2^23. Added to a number of up to 22 bits it leaves the nearest integer in the low bits.
const ROUND: f32 = 12_582_912.0;

/// The bias of the exponent of an `f32`.
const BIAS: f32 = 127.0;

/// 2^64, which keeps a power of two that would be denormal (or infinite) in range until the last multiplication.
const TWO_64: f32 = 18_446_744_073_709_551_616.0;

/// `ln(2)` in two parts. The first has 9 bits, so its product with an exponent is exact.
const LN_2_HIGH: f32 = 355.0 / 512.0;
const LN_2_LOW: f32 = -2.121_944_4e-4;

/// The value of the polynomial by Horner's rule.
#[inline(always)]
fn polynomial<S: SimdMath, const N: usize>(
    t: S,
    x: S::Vector,
    coefficients: &[f32; N],
) -> S::Vector {
    let mut sum = t.splat(coefficients[N - 1]);
    for &coefficient in coefficients[..N - 1].iter().rev() {
        sum = t.mul_add(sum, x, t.splat(coefficient));
    }
    sum
}

/// `2^(n - BIAS)` where `n` is the integer in the low bits of `z`, the sum of a number and [`ROUND`].
#[inline(always)]
fn power_of_two<S: SimdMath>(t: S, z: S::Vector) -> S::Vector {
    t.as_float(t.shift_left::<23>(t.as_integer(z)))
}

/// `x` without its sign.
#[inline(always)]
fn abs<S: SimdMath>(t: S, x: S::Vector) -> S::Vector {
    t.as_float(t.and(t.as_integer(x), t.splat_integer(i32::MAX)))
}

/// `x`, which has no sign, with the sign of `sign`.
#[inline(always)]
fn with_sign<S: SimdMath>(t: S, x: S::Vector, sign: S::Vector) -> S::Vector {
    let sign = t.and(t.as_integer(sign), t.splat_integer(i32::MIN));
    t.as_float(t.or(t.as_integer(x), sign))
}

/// `tanh(a) = a + cube p` near 0, that is for `a < TANH_NEAR`: `cube = a^3` and `p`, a polynomial of `a^2`.
#[inline(always)]
fn tanh_near<S: SimdMath>(t: S, a: S::Vector) -> (S::Vector, S::Vector) {
    let y = t.mul(a, a);
    (t.mul(a, y), polynomial(t, y, &TANH))
}

/// `1 - tanh(a)` far from 0: `1 / d` with `d = (exp(2a) + 1) / 2`. The error of `d` counts less the greater `a` is, so one
/// constant for `ln(2) / 2` is enough. The polynomial errs least, in relation to `d`, if `r` is rather positive than negative
/// where the error of `d` still counts: hence a factor somewhat below `2 / ln(2)`.
#[inline(always)]
fn tanh_far<S: SimdMath>(t: S, a: S::Vector) -> S::Vector {
    let bounded = t.min(t.splat(TANH_IS_1), a); // NaN stays
    let offset = t.splat(ROUND + BIAS);
    let z = t.mul_add(bounded, t.splat(2.79), offset);
    let k = t.sub(z, offset);
    let r = t.mul_add(k, t.splat(-LN_2 / 2.0), bounded);
    let w = t.mul_add(t.mul(r, r), polynomial(t, r, &HALF_EXP), r); // (exp(2r) - 1) / 2
    let power = power_of_two(t, z);
    let half = t.splat(0.5);
    let d = t.mul_add(power, w, t.mul_add(power, half, half));
    t.div(t.splat(1.0), d)
}

/// `a b` in two parts: the rounded product and, unless that is infinite or NaN, what it lost.
#[inline(always)]
fn product<S: SimdMath>(t: S, a: S::Vector, b: S::Vector) -> (S::Vector, S::Vector) {
    let rounded = t.mul(a, b);
    let negated = t.sub(t.splat(-0.0), rounded);
    if S::FUSED {
        return (rounded, t.mul_add(a, b, negated));
    }
    // Both in halves of 12 bits, whose products are exact (Dekker 1971).
    let halves = |x| {
        let high = t.as_float(t.and(t.as_integer(x), t.splat_integer(!0xfff)));
        (high, t.sub(x, high))
    };
    let ((a_high, a_low), (b_high, b_low)) = (halves(a), halves(b));
    let lost = t.add(negated, t.mul(a_high, b_high));
    let lost = t.add(lost, t.mul(a_high, b_low));
    let lost = t.add(lost, t.mul(a_low, b_high));
    let lost = t.add(lost, t.mul(a_low, b_low));
    // Where one of these products may be denormal, they say nothing.
    let is_tiny = t.less(abs(t, rounded), t.splat(1.0 / TWO_64));
    (rounded, t.select(is_tiny, t.splat(0.0), lost))
}

/// `a b + c`, rounded once; without fused multiply-add about once, which in contrast to the tier's own operation holds where
/// the sum cancels.
#[inline(always)]
fn mul_add<S: SimdMath>(t: S, a: S::Vector, b: S::Vector, c: S::Vector) -> S::Vector {
    if S::FUSED {
        return t.mul_add(a, b, c);
    }
    let (product, lost) = product(t, a, b);
    let sum = t.add(product, c);
    // What the sum lost (Knuth).
    let second = t.sub(sum, product);
    let first = t.sub(sum, second);
    let rest = t.add(t.sub(product, first), t.sub(c, second));
    let is_finite = t.less(abs(t, sum), t.splat(f32::INFINITY));
    t.select(is_finite, t.add(sum, t.add(rest, lost)), sum)
}

#[inline(always)]
pub fn tanh<S: SimdMath>(t: S, x: S::Vector) -> S::Vector {
    let a = abs(t, x);
    let far = t.sub(t.splat(1.0), tanh_far(t, a));
    let (cube, p) = tanh_near(t, a);
    let near = t.mul_add(cube, p, a); // |x| itself where x is tiny
    with_sign(t, t.select(t.less(a, t.splat(TANH_NEAR)), near, far), x)
}

/// The products are exact until the last rounding, as far as it matters.
#[inline(always)]
pub fn scaled_tanh<S: SimdMath>(t: S, x: S::Vector, alpha: f32, beta: f32) -> S::Vector {
    let (zero, one) = (t.splat(0.0), t.splat(1.0));
    let (size, scale) = (abs(t, x), t.splat(beta.abs()));
    // What a lost counts by the slope: tanh(a + lost) = tanh(a) + lost (1 - tanh(a)^2).
    let (a, lost) = product(t, size, scale);
    let lost = t.select(t.less(a, t.splat(TANH_IS_1)), lost, zero);
    let (cube, p) = tanh_near(t, a);
    let is_near = t.less(a, t.splat(TANH_NEAR));
    let high = t.select(is_near, a, one);
    let low = t.select(is_near, t.mul(cube, p), t.sub(zero, tanh_far(t, a)));
    let value = t.add(high, low);
    let slope = t.sub(one, t.mul(value, value));
    let low = t.mul_add(lost, slope, low);

    let sign = with_sign(t, one, x);
    let alpha = if beta < 0.0 { -alpha } else { alpha };
    let signed = t.mul(sign, t.splat(alpha));
    let value = mul_add(t, signed, high, t.mul(signed, low));
    // Where beta x may be denormal though the value is not. Nothing overflows there: beta is 0 or normal, and |x| < 2^62.
    let tiny = t.mul(t.min(t.splat(TWO_64 / 2.0), size), t.splat(TWO_64));
    let tiny = t.mul(t.mul(tiny, scale), t.splat(alpha / TWO_64));
    let is_tiny = t.less(a, t.splat(1.0 / TWO_64));
    t.select(is_tiny, t.mul(sign, tiny), value)
}

/// `alpha x + beta`
#[inline(always)]
pub fn affine<S: SimdMath>(t: S, x: S::Vector, alpha: f32, beta: f32) -> S::Vector {
    mul_add(t, t.splat(alpha), x, t.splat(beta))
}

/// The value is `p / d` with `d = p + exp(r)`, `p = 2^k`, `r = k ln 2 - x`. Rounding `d` and the quotient would cost up
/// to 1.5 ulp together, so what `d` loses is kept and the quotient is refined.
#[inline(always)]
pub fn sigmoid<S: SimdMath>(t: S, x: S::Vector) -> S::Vector {
    let one = t.splat(1.0);
    // Beyond these bounds the value rounds to 0 or 1; NaN stays.
    let x = t.max(t.splat(-104.0), t.min(t.splat(17.5), x));
    let offset = t.splat(ROUND + BIAS + 64.0);
    let z = t.mul_add(x, t.splat(LOG2_E), offset);
    let k = t.sub(z, offset);
    let negated = t.sub(t.splat(-0.0), x);
    let r = t.mul_add(k, t.splat(LN_2_HIGH), negated);
    let r = t.mul_add(k, t.splat(LN_2_LOW), r);
    let w = t.mul_add(t.mul(r, r), polynomial(t, r, &EXP), r); // exp(r) - 1
    let power = power_of_two(t, z); // p 2^64, which is never denormal
    let d = t.add(t.mul_add(power, t.splat(1.0 / TWO_64), one), w);

    // What d lost: low = w - ((d - 1) - p), exactly but at k = 25, where the value is within 2^-25 of 1 anyway.
    let low = t.mul_add(power, t.splat(-1.0 / TWO_64), t.sub(d, one));
    let low = t.sub(w, low);
    // q = -1 / d, and then one Newton step towards -1 / (d + low).
    let q = t.div(t.splat(-1.0), d);
    let q = if S::FUSED {
        let error = t.mul_add(d, q, one);
        let error = t.mul_add(low, q, error);
        t.mul_add(q, error, q)
    } else {
        // The error of q itself cannot be had without fused operations.
        t.mul_add(t.mul(low, q), q, q)
    };
    t.mul(t.mul(q, power), t.splat(-1.0 / TWO_64))
}

#[inline(always)]
pub fn exp<S: SimdMath>(t: S, x: S::Vector) -> S::Vector {
    // Beyond these bounds the value rounds to 0 or infinity; NaN stays.
    let x = t.max(t.splat(-104.0), t.min(t.splat(89.0), x));
    // 2^k in two factors, as it may be denormal or 2^128.
    let negative = t.less(x, t.splat(0.0));
    let offset = t.select(
        negative,
        t.splat(ROUND + BIAS + 64.0),
        t.splat(ROUND + BIAS - 64.0),
    );
    let factor = t.select(negative, t.splat(1.0 / TWO_64), t.splat(TWO_64));
    let z = t.mul_add(x, t.splat(LOG2_E), offset);
    let k = t.sub(z, offset);
    // r = high + low, rounded only where it is an argument of the polynomial.
    let high = t.mul_add(k, t.splat(-LN_2_HIGH), x);
    let low = t.mul(k, t.splat(-LN_2_LOW));
    let r = t.add(high, low);
    let w = t.mul_add(t.mul(r, r), polynomial(t, r, &EXP), low);
    let w = t.add(high, w); // exp(r) - 1
    let power = power_of_two(t, z);
    t.mul(t.mul_add(power, w, power), factor)
}

/// `ln(1 + f) + k ln 2` for `f` from `sqrt(1/2) - 1` to `sqrt(2) - 1`.
#[inline(always)]
fn ln_of_parts<S: SimdMath>(t: S, f: S::Vector, k: S::Vector) -> S::Vector {
    let p = t.mul_add(polynomial(t, f, &LN), f, t.splat(-0.5));
    let small = t.mul_add(t.mul(f, f), p, t.mul(k, t.splat(LN_2_LOW)));
    t.mul_add(k, t.splat(LN_2_HIGH), t.add(f, small))
}

#[inline(always)]
pub fn ln<S: SimdMath>(t: S, x: S::Vector) -> S::Vector {
    // x = 2^k (1 + f); a denormal x is multiplied by 2^23 first.
    let denormal = t.less(x, t.splat(f32::MIN_POSITIVE));
    let normal = t.select(denormal, t.mul(x, t.splat(8_388_608.0)), x);
    let offset = t.select(denormal, t.splat(ROUND + 23.0), t.splat(ROUND));
    // With the bits of sqrt(1/2) taken away, the exponent's bits are k and the others those of 1 + f, less as much.
    let root = (SQRT_2 / 2.0).to_bits().cast_signed();
    let bits = t.add_integer(t.as_integer(normal), t.splat_integer(-root));
    let k = t.add_integer(
        t.shift_right::<23>(bits),
        t.splat_integer(ROUND.to_bits().cast_signed()),
    );
    let k = t.sub(t.as_float(k), offset);
    let fraction = t.and(bits, t.splat_integer(0x007f_ffff));
    let f = t.as_float(t.add_integer(fraction, t.splat_integer(root)));
    let value = ln_of_parts(t, t.sub(f, t.splat(1.0)), k);

    let zero = t.splat(0.0);
    let (nan, infinity) = (t.splat(f32::NAN), t.splat(f32::INFINITY));
    let not_positive = t.select(t.less(x, zero), nan, t.splat(f32::NEG_INFINITY));
    let value = t.select(t.less(zero, x), value, not_positive);
    t.select(t.less(x, infinity), value, x) // infinity and NaN are their own logarithms
}

#[inline(always)]
pub fn softplus_tail<S: SimdMath>(t: S, x: S::Vector) -> S::Vector {
    let negative = t.or(t.as_integer(x), t.splat_integer(i32::MIN)); // -|x|
    let e = exp(t, t.as_float(negative));
    // 1 + e = 2^k (1 + f), where f = e keeps all digits of a small e.
    let (zero, one, half) = (t.splat(0.0), t.splat(1.0), t.splat(0.5));
    let small = t.less(e, t.splat(SQRT_2 - 1.0));
    let f = t.select(small, e, t.mul(t.sub(e, one), half));
    ln_of_parts(t, f, t.select(small, zero, one))
}

#[inline(always)]
pub fn softplus<S: SimdMath>(t: S, x: S::Vector) -> S::Vector {
    t.add(t.max(t.splat(0.0), x), softplus_tail(t, x))
}

/// `exp(x) - 1 = (p - 1) + p (exp(r) - 1)` with `p = 2^k`, `r = x - k ln 2`. The sum is kept in two parts, which are only
/// rounded to one number once they have been multiplied by alpha.
#[inline(always)]
pub fn elu<S: SimdMath>(t: S, x: S::Vector, alpha: f32) -> S::Vector {
    let bounded = t.max(t.splat(-18.0), x); // where exp(x) - 1 rounds to -1
    let offset = t.splat(ROUND + BIAS);
    let z = t.mul_add(bounded, t.splat(LOG2_E), offset);
    let k = t.sub(z, offset);
    // r = first + second, rounded only where it is an argument of the polynomial.
    let first = t.mul_add(k, t.splat(-LN_2_HIGH), bounded);
    let second = t.mul(k, t.splat(-LN_2_LOW));
    let r = t.add(first, second);
    let rest = t.mul_add(t.mul(r, r), polynomial(t, r, &EXP), second); // exp(r) - 1 - first
    let power = power_of_two(t, z);
    let whole = t.sub(power, t.splat(1.0));
    let part = t.mul(power, first); // exactly, and smaller than `whole` unless that is 0
    let high = t.add(whole, part);
    let low = t.mul_add(power, rest, t.sub(part, t.sub(high, whole)));
    let alpha = t.splat(alpha);
    let negative = mul_add(t, alpha, high, t.mul(alpha, low));
    t.select(t.less(x, t.splat(0.0)), negative, x)
}
