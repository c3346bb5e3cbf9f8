//! Every kernel against the plain scalar loop, bit for bit, on every tier of this CPU.
//!
//! The environment variable `ELMAN_REQUIRE_TIERS` (names with commas between them) makes the tests fail where one of
//! these tiers is missing, which they could otherwise not tell from one that works. Miri, which has the portable tier alone
//! and takes a thousand times as long, sees fewer sizes.

mod pack;
mod product;
mod recurrence;
mod rows;

use std::collections::BTreeSet;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::pack::{Packed, PackedShape, Source};
use crate::Element;
use crate::activation::Activation;
use crate::init::Rng;
use crate::layout::Layout;
use crate::simd::{Kernel, Math, Tier};

const DEPTHS: [usize; 5] = [0, 1, 2, 7, 33];
/// What lies around results, and must lie there afterwards.
const GUARD: f64 = -77.25;
/// Elements before and behind results.
const MARGIN: usize = 37;

trait Scalar: Element {
    fn fused(a: Self, b: Self, c: Self) -> Self;
}

impl Scalar for f32 {
    fn fused(a: Self, b: Self, c: Self) -> Self {
        a.mul_add(b, c)
    }
}

impl Scalar for f64 {
    fn fused(a: Self, b: Self, c: Self) -> Self {
        a.mul_add(b, c)
    }
}

fn tiers() -> Vec<Tier> {
    if let Ok(names) = std::env::var("ELMAN_REQUIRE_TIERS") {
        for name in names.split(',') {
            Tier::named(name.trim()).unwrap();
        }
    }
    Tier::available()
}

/// Elements in a vector.
struct Lanes;

impl<E: Element> Kernel<E> for (Lanes, E) {
    type Output = usize;

    #[inline(always)]
    fn run<S: Math<E>>(self, _: S) -> usize {
        S::LANES
    }
}

/// Vectors in a panel.
struct PanelVectors;

impl<E: Element> Kernel<E> for (PanelVectors, E) {
    type Output = usize;

    #[inline(always)]
    fn run<S: Math<E>>(self, _: S) -> usize {
        S::TILE_VECTORS
    }
}

/// Columns of a panel.
fn panel_width<E: Element>(tier: Tier) -> usize {
    tier.run((Lanes, E::ZERO)) * tier.run((PanelVectors, E::ZERO))
}

/// No, one and some columns, and all around the widths of vectors, panels and rows of panels.
fn columns<E: Element>(tier: Tier) -> BTreeSet<usize> {
    let lanes = tier.run((Lanes, E::ZERO));
    if cfg!(miri) {
        return [0, 1, 2 * lanes + 1].into();
    }
    let around = |vectors| [lanes * vectors - 1, lanes * vectors, lanes * vectors + 1];
    let edges = [1, 2, 3, 4, 8, 10, 16].into_iter().flat_map(around);
    [0, 1, 5].into_iter().chain(edges).collect()
}

struct Numbers {
    rng: Rng,
    /// Whether special values are among them.
    wild: bool,
}

impl Numbers {
    fn new(seed: u64) -> Self {
        let rng = Rng::new(seed);
        Self { rng, wild: false }
    }

    fn below(&mut self, count: usize) -> usize {
        (self.rng.uniform() * count as f64) as usize
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }

    fn next<E: Element>(&mut self) -> E {
        const TAME: [f64; 6] = [0.0, -0.0, 1.0, 1e-40, -5e-324, 1e-320];
        const WILD: [f64; 5] = [f64::NAN, f64::INFINITY, -f64::INFINITY, 1e38, -1e308];
        let value = match self.below(100) {
            0..10 if self.wild => self.pick(&TAME),
            10 if self.wild => self.pick(&WILD),
            _ => 2.0 * self.rng.uniform() - 1.0,
        };
        E::from_f64(value)
    }

    fn vec<E: Element>(&mut self, len: usize) -> Vec<E> {
        (0..len).map(|_| self.next()).collect()
    }
}

fn assert_same<E: Element>(actual: &[E], expected: &[E], what: impl Fn() -> String) {
    assert_eq!(actual.len(), expected.len());
    for (index, (&actual, &expected)) in actual.iter().zip(expected).enumerate() {
        let (a, b) = (actual.to_f64(), expected.to_f64());
        assert!(
            a.to_bits() == b.to_bits() || a.is_nan() && b.is_nan(),
            "{}: [{index}] is {a:e}, expected {b:e}",
            what()
        );
    }
}

fn times_derivative<E: Scalar>(tier: Tier, activation: Activation, gradient: E, value: E) -> E {
    let derivative = match activation {
        // The tier's own exp(-y) - 1.
        Activation::Softplus => -activated(tier, Activation::ELU, -value),
        _ => activation.derivative(value),
    };
    let is_flat = matches!(
        activation,
        Activation::Relu
            | Activation::HardSigmoid { .. }
            | Activation::HardTanh
            | Activation::ThresholdedRelu { .. }
    );
    // Where a function is constant, what comes from above does not count.
    if is_flat && derivative == E::ZERO {
        return E::ZERO;
    }
    gradient * derivative
}

/// The shape of a matrix whose columns are groups.
fn grouped(depth: usize, units: usize, groups: usize) -> PackedShape {
    PackedShape {
        depth,
        units,
        groups,
    }
}

fn pack<E: Element>(tier: Tier, depth: usize, columns: usize, matrix: &[E]) -> Packed<E> {
    let mut packed = Packed::new();
    packed.shape("b", tier, depth, columns).unwrap();
    packed.pack(0, depth, matrix, Source::rows(columns));
    packed
}

/// The activation function of one element.
fn activated<E: Scalar>(tier: Tier, activation: Activation, x: E) -> E {
    let mut values = [x];
    activation.apply(tier, &mut values);
    values[0]
}

/// The tier's multiply-add of one element.
fn multiply_add<E: Scalar>(tier: Tier, left: E, right: E, sum: E) -> E {
    if tier.is_fused() {
        E::fused(left, right, sum)
    } else {
        left * right + sum
    }
}

/// The layout of sequences of these lengths.
fn layout(lengths: &[usize]) -> Layout {
    let steps = lengths.iter().copied().max().unwrap();
    let mut layout = Layout::default();
    layout.reserve(lengths.len(), steps).unwrap();
    layout.set(lengths.len(), steps, Some(lengths));
    layout
}

/// Some steps out of as many, none of them now and then.
fn window(numbers: &mut Numbers, steps: usize) -> Range<usize> {
    let start = numbers.below(steps + 1);
    start..start + numbers.below(steps - start + 1)
}

#[track_caller]
fn assert_panics(run: impl FnOnce()) {
    assert!(catch_unwind(AssertUnwindSafe(run)).is_err());
}

/// Reads and writes vectors in part.
struct Partial;

impl<E: Element> Kernel<E> for (Partial, E) {
    type Output = ();

    #[inline(always)]
    fn run<S: Math<E>>(self, token: S) {
        let (one, guard) = ([E::ONE; 16], [E::from_f64(GUARD); 16]);
        for count in 0..=S::LANES {
            let (mut read, mut written) = (guard, guard);
            // SAFETY: no vector has more lanes than the arrays have elements, and `count` is at most a vector's lanes.
            unsafe {
                token.store(token.load_partial(one.as_ptr(), count), read.as_mut_ptr());
                token.store_partial(token.load(one.as_ptr()), written.as_mut_ptr(), count);
            }
            let (first, rest) = read[..S::LANES].split_at(count);
            assert!(first == &one[..count] && rest.iter().all(|&lane| lane == E::ZERO));
            assert!(written[..count] == one[..count] && written[count..] == guard[count..]);
        }
    }
}

#[test]
fn a_part_of_a_vector_is_all_that_is_read_or_written() {
    for tier in tiers() {
        tier.run((Partial, 0.0_f32));
        tier.run((Partial, 0.0_f64));
    }
}
