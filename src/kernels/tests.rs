//! Every kernel against the plain scalar loop, bit for bit, on every tier of this CPU.
//!
//! The environment variable `ELMAN_REQUIRE_TIERS` (names with commas between them) makes the tests fail where one of
//! these tiers is missing, which they could otherwise not tell from one that works. Miri, which has the portable tier alone
//! and takes a thousand times as long, sees fewer sizes.

use std::collections::BTreeSet;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::copy::CopyRows;
use super::dropout::{DropElements, Key};
use super::pack::{Packed, Source};
use super::product::{Epilogue, Product, Segment, SumStart};
use super::recurrence::{Recurrence, TimeStep, TimeSteps};
use super::rows::{add_rows_backwards, apply, scale_by_derivative};
use crate::Element;
use crate::activation::Activation;
use crate::init::Rng;
use crate::layout::{Layout, Order, Strides};
use crate::parallel::{Crew, Parallel};
use crate::simd::{Kernel, Math, Tier};

const ROWS: &[usize] = if cfg!(miri) {
    &[0, 1, 7]
} else {
    &[
        0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 23, 24, 25, 26, 40,
    ]
};
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

/// The elementary function of an activation, if it has one, on one element, in all lanes of a vector.
struct One<E>(Activation, E);

impl<E: Element> Kernel<E> for One<E> {
    type Output = E;

    #[inline(always)]
    fn run<S: Math<E>>(self, token: S) -> E {
        let x = token.splat(self.1);
        let value = match self.0 {
            Activation::Tanh => token.tanh(x),
            Activation::Sigmoid => token.sigmoid(x),
            Activation::Softplus => token.softplus(x),
            Activation::Elu { alpha } => token.elu(x, E::from_f64(alpha)),
            Activation::HardSigmoid { alpha, beta } | Activation::Affine { alpha, beta } => {
                token.affine(x, E::from_f64(alpha), E::from_f64(beta))
            }
            Activation::ScaledTanh { alpha, beta } => {
                token.scaled_tanh(x, E::from_f64(alpha), E::from_f64(beta))
            }
            _ => x,
        };
        let mut result = [E::ZERO];
        // SAFETY: one lane goes to an array of one element.
        unsafe { token.store_partial(value, result.as_mut_ptr(), 1) };
        result[0]
    }
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

fn activate<E: Element>(tier: Tier, activation: Activation, x: E) -> E {
    let (zero, one) = (E::ZERO, E::ONE);
    let clamp = |x: E, low, high| match x {
        _ if x < low => low,
        _ if x > high => high,
        _ => x,
    };
    match activation {
        Activation::Linear => x,
        Activation::Relu if x < zero => zero,
        Activation::Relu => x,
        Activation::HardTanh => clamp(x, -one, one),
        Activation::LeakyRelu { alpha } if x < zero => x * E::from_f64(alpha),
        Activation::LeakyRelu { .. } => x,
        Activation::ThresholdedRelu { alpha } if x <= E::from_f64(alpha) && x > zero => zero,
        Activation::ThresholdedRelu { .. } if x < zero => zero,
        Activation::ThresholdedRelu { .. } => x,
        Activation::Softsign if x.abs() > E::from_f64(1e30) => clamp(x, -one, one),
        Activation::Softsign => x / (one + x.abs()),
        Activation::HardSigmoid { .. } => clamp(tier.run(One(activation, x)), zero, one),
        _ => tier.run(One(activation, x)),
    }
}

fn times_derivative<E: Element>(tier: Tier, activation: Activation, gradient: E, value: E) -> E {
    let flat = match activation {
        Activation::Relu | Activation::ThresholdedRelu { .. } => !(value > E::ZERO),
        Activation::HardSigmoid { .. } => !(value > E::ZERO && value < E::ONE),
        Activation::HardTanh => !(value > -E::ONE && value < E::ONE),
        _ => false,
    };
    match activation {
        _ if flat => E::ZERO,
        Activation::Softplus => gradient * -tier.run(One(Activation::ELU, -value)),
        _ => gradient * activation.derivative(value),
    }
}

/// A left operand that owns its data, which end where its elements end.
#[derive(Debug)]
struct Part<E> {
    data: Vec<E>,
    origin: usize,
    row_stride: usize,
    depth_stride: isize,
    depth: usize,
}

impl<E: Element> Part<E> {
    fn new(numbers: &mut Numbers, rows: usize) -> Self {
        let depth = numbers.pick(&DEPTHS);
        let gap = numbers.pick(&[0, 1, 5]);
        let first = numbers.pick(&[0, 3]);
        if rows == 0 || depth == 0 {
            return Self {
                data: Vec::new(),
                origin: first,
                row_stride: gap,
                depth_stride: 1,
                depth,
            };
        }
        let stride = rows + gap;
        let (origin, row_stride, depth_stride, last) = match numbers.below(3) {
            0 => (
                first,
                depth + gap,
                1,
                (rows - 1) * (depth + gap) + depth - 1,
            ),
            1 => (first, 1, stride as isize, (depth - 1) * stride + rows - 1),
            _ => {
                let origin = first + (depth - 1) * stride;
                (origin, 1, -(stride as isize), rows - 1)
            }
        };
        Self {
            data: numbers.vec(origin + last + 1),
            origin,
            row_stride,
            depth_stride,
            depth,
        }
    }

    fn segment(&self) -> Segment<'_, E> {
        Segment {
            data: &self.data,
            origin: self.origin,
            row_stride: self.row_stride,
            depth_stride: self.depth_stride,
            depth: self.depth,
        }
    }

    fn get(&self, row: usize, k: usize) -> E {
        let first = (self.origin + row * self.row_stride) as isize;
        self.data[(first + k as isize * self.depth_stride) as usize]
    }
}

fn pack<E: Element>(tier: Tier, depth: usize, columns: usize, matrix: &[E]) -> Packed<E> {
    let mut packed = Packed::new();
    packed.shape("b", tier, depth, columns).unwrap();
    packed.pack(0, depth, matrix, Source::rows(columns));
    packed
}

/// The tier's multiply-add of one element.
fn multiply_add<E: Scalar>(tier: Tier, left: E, right: E, sum: E) -> E {
    if tier.is_fused() {
        E::fused(left, right, sum)
    } else {
        left * right + sum
    }
}

/// What becomes of a sum.
fn finished<E: Scalar>(
    tier: Tier,
    epilogue: Epilogue<'_, E>,
    sum: E,
    row: usize,
    column: usize,
) -> E {
    match epilogue {
        Epilogue::Store => sum,
        Epilogue::Activate(activation) => activate(tier, activation, sum),
        Epilogue::TimesDerivative {
            activation,
            values,
            stride,
        } => times_derivative(tier, activation, sum, values[row * stride + column]),
    }
}

/// One product with operands, strides, start and epilogue of the generator's choice.
fn product<E: Scalar>(tier: Tier, numbers: &mut Numbers, rows: usize, columns: usize) {
    let parts: Vec<Part<E>> = (0..1 + numbers.below(2))
        .map(|_| Part::new(numbers, rows))
        .collect();
    let depth: usize = parts.iter().map(|part| part.depth).sum();
    let b_depth = numbers.pick(&[0, 1, 5]);
    let full_depth = b_depth + depth + numbers.pick(&[0, 3]);
    let matrix: Vec<E> = numbers.vec(full_depth * columns);
    let packed = pack(tier, full_depth, columns, &matrix);

    let c_stride = columns + numbers.pick(&[0, 1, 5]);
    let stride = columns + numbers.pick(&[0, 3]);
    let reach = |stride: usize| rows.saturating_sub(1) * stride + columns;
    let row: Vec<E> = numbers.vec(columns);
    let values: Vec<E> = numbers.vec(reach(stride));
    let start = match numbers.below(3) {
        0 => SumStart::Zero,
        1 => SumStart::Row(&row[..]),
        _ => SumStart::Result,
    };
    let activation = numbers.pick(&Activation::ALL);
    let epilogue = match numbers.below(5) {
        0 => Epilogue::Store,
        1 | 2 => Epilogue::Activate(activation),
        _ => Epilogue::TimesDerivative {
            activation,
            values: &values,
            stride,
        },
    };

    let len = reach(c_stride);
    let mut actual = vec![E::from_f64(GUARD); len + 2 * MARGIN];
    for row in 0..rows {
        for column in 0..columns {
            actual[MARGIN + row * c_stride + column] = numbers.next();
        }
    }
    let mut expected = actual.clone();
    for row_index in 0..rows {
        for column in 0..columns {
            let result = &mut expected[MARGIN + row_index * c_stride + column];
            let mut sum = match start {
                SumStart::Zero => E::ZERO,
                SumStart::Row(row) => row[column],
                SumStart::Result => *result,
            };
            let left = parts
                .iter()
                .flat_map(|part| (0..part.depth).map(|k| part.get(row_index, k)));
            for (k, left) in left.enumerate() {
                let right = matrix[(b_depth + k) * columns + column];
                sum = multiply_add(tier, left, right, sum);
            }
            *result = finished(tier, epilogue, sum, row_index, column);
        }
    }

    let segments: Vec<Segment<'_, E>> = parts.iter().map(Part::segment).collect();
    let c = &mut actual[MARGIN..MARGIN + len];
    Product {
        b_depth,
        start,
        epilogue,
        ..Product::new(rows, &segments, &packed, c, c_stride)
    }
    .run(tier);
    assert_same(&actual, &expected, || {
        let name = E::NAME;
        format!(
            "{tier:?}, {name}, {rows} x {columns}, stride {c_stride}, {start:?}, {epilogue:?}, {parts:?}"
        )
    });
}

fn products<E: Scalar>(tier: Tier) {
    let mut numbers = Numbers::new(1);
    for &rows in ROWS {
        for columns in columns::<E>(tier) {
            for round in 0..if cfg!(miri) { 1 } else { 8 } {
                numbers.wild = round % 2 == 1;
                product::<E>(tier, &mut numbers, rows, columns);
            }
        }
    }
}

#[test]
fn products_equal_the_scalar_loop() {
    for tier in tiers() {
        products::<f32>(tier);
        products::<f64>(tier);
    }
}

/// Packs a matrix of `depth` x `columns` from every kind of source, whole and in parts.
fn packing<E: Scalar>(
    tier: Tier,
    numbers: &mut Numbers,
    packed: &mut Packed<E>,
    (depth, columns): (usize, usize),
) {
    let width = 2 * tier.run((Lanes, E::ZERO));
    let gap = numbers.pick(&[0, 3]);
    let origin = numbers.pick(&[0, 5]);
    let matrix: Vec<E> = numbers.vec(depth * columns);
    // As rows, as rows from the last to the first, and as columns; they end where the last element ends.
    let (row, column) = (columns + gap, depth + gap);
    let len = |count: usize, stride, size| origin + count.saturating_sub(1) * stride + size;
    let mut rows: Vec<E> = numbers.vec(len(depth, row, columns));
    let (mut backwards, mut transposed) = (rows.clone(), numbers.vec(len(columns, column, depth)));
    for (index, &value) in matrix.iter().enumerate() {
        let (k, j) = (index / columns, index % columns);
        rows[origin + k * row + j] = value;
        backwards[origin + (depth - 1 - k) * row + j] = value;
        transposed[origin + j * column + k] = value;
    }
    let source = |depth_stride, column_stride| Source {
        origin,
        depth_stride,
        column_stride,
    };
    let last_first = Source {
        origin: origin + depth.saturating_sub(1) * row,
        ..source(-(row as isize), 1)
    };
    let at = |source: Source, k: usize, column: usize| {
        let origin = source.origin + column * source.column_stride;
        Source {
            origin: origin.wrapping_add_signed(k as isize * source.depth_stride),
            ..source
        }
    };
    let expected: Vec<E> = (0..columns.div_ceil(width) * depth * width)
        .map(|index| {
            let (panel, k) = (index / (depth * width), index / width % depth);
            let column = panel * width + index % width;
            match column < columns {
                true => matrix[k * columns + column],
                false => E::ZERO,
            }
        })
        .collect();
    for (from, source) in [
        (&rows, source(row as isize, 1)),
        (&backwards, last_first),
        (&transposed, source(1, column)),
    ] {
        let what = || format!("{tier:?}, {}, {depth} x {columns}, {source:?}", E::NAME);
        packed.shape("b", tier, depth, columns).unwrap();
        let first = depth / 3;
        packed.pack(0, first, from, source);
        packed.pack(first, depth - first, from, at(source, first, 0));
        assert_same(packed.data(), &expected, what);

        packed.shape("b", tier, depth, columns).unwrap();
        packed.data.fill(E::from_f64(GUARD));
        let mut rest = packed.part();
        let upper = rest.take_depth(depth / 2);
        rest.pack(from, at(source, depth / 2, 0));
        upper.pack(from, source);
        assert_same(packed.data(), &expected, what);

        packed.shape("b", tier, depth, columns).unwrap();
        packed.data.fill(E::from_f64(GUARD));
        let mut rest = packed.part();
        let first = (columns / 2).next_multiple_of(rest.width()).min(columns);
        let left = rest.take_columns(first);
        rest.pack(from, at(source, 0, first));
        left.pack(from, source);
        assert_same(packed.data(), &expected, what);
    }
}

fn packings<E: Scalar>(tier: Tier) {
    let mut numbers = Numbers::new(2);
    // Used before for something larger, so that it holds old values.
    let (most, many) = if cfg!(miri) { (3, 40) } else { (70, 600) };
    let mut packed = pack(tier, most, many, &numbers.vec::<E>(most * many));
    numbers.wild = true;
    let depths = [0, 1, 2, 3, 4, 7, 8, 9, 15, 16, 17, 32, 33, 61];
    for depth in depths.into_iter().filter(|&depth| depth <= most) {
        for columns in columns::<E>(tier) {
            packing(tier, &mut numbers, &mut packed, (depth, columns));
        }
    }
}

#[test]
fn packing_puts_every_element_in_its_place() {
    for tier in tiers() {
        packings::<f32>(tier);
        packings::<f64>(tier);
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

/// A recurrence over a window of sequences of these lengths, the longest first, with operands, strides, start and epilogue of
/// the generator's choice.
fn recurrence<E: Scalar>(
    tier: Tier,
    crew: Crew<'_>,
    numbers: &mut Numbers,
    lengths: &[usize],
    (depth, columns): (usize, usize),
) {
    let rows_of = |step| lengths.iter().filter(|&&length| length > step).count();
    let steps = match numbers.below(4) {
        0 => window(numbers, lengths[0]),
        _ => 0..lengths[0],
    };
    let beside = |step| (steps.start..step).map(rows_of).sum::<usize>();
    let (batch, rows) = (lengths.len(), beside(steps.end));
    let x_depth = numbers.pick(&DEPTHS);
    let (x_stride, stride) = (
        x_depth + numbers.pick(&[0, 3]),
        columns + numbers.pick(&[0, 3]),
    );
    let x: Vec<E> = numbers.vec(rows * x_stride);
    let x = (numbers.below(2) == 0).then(|| Segment::rows(&x, x_stride, x_depth));
    let depths = depth + x.map_or(0, |x| x.depth);
    let b_depth = numbers.pick(&[0, 1, 5]);
    let matrix: Vec<E> = numbers.vec((b_depth + depths) * columns);
    let packed = pack(tier, b_depth + depths, columns, &matrix);
    let (row, values): (Vec<E>, Vec<E>) = (numbers.vec(columns), numbers.vec(rows * stride));
    let start = match numbers.below(3) {
        0 => SumStart::Zero,
        1 => SumStart::Row(&row[..]),
        _ => SumStart::Result,
    };
    let activation = numbers.pick(&[Activation::Tanh, Activation::Sigmoid]);
    let epilogue = match numbers.below(2) {
        0 => Epilogue::Activate(activation),
        _ => Epilogue::TimesDerivative {
            activation,
            values: &values,
            stride,
        },
    };
    let backwards = numbers.below(2) == 0;

    let c_stride = depth.max(columns) + numbers.pick(&[0, 1, 5]);
    let mut actual: Vec<E> = numbers.vec((batch + rows) * c_stride + 2 * MARGIN);
    let mut expected = actual.clone();
    let order: Vec<usize> = match backwards {
        false => steps.clone().collect(),
        true => steps.clone().rev().collect(),
    };
    let mut previous = 0;
    for step in order {
        let rows = rows_of(if backwards { step + 1 } else { step });
        let next = batch + beside(step);
        for index in 0..rows {
            let row_of = |first| MARGIN + (first + index) * c_stride;
            for column in 0..columns {
                let place = row_of(next) + column;
                let mut sum = match start {
                    SumStart::Zero => E::ZERO,
                    SumStart::Row(row) => row[column],
                    SumStart::Result => expected[place],
                };
                let x = x.iter().flat_map(|x| {
                    let first = (beside(step) + index) * x_stride;
                    x.data[first..first + x_depth].to_vec()
                });
                let left: Vec<E> = x
                    .chain(expected[row_of(previous)..][..depth].to_vec())
                    .collect();
                for (k, left) in left.into_iter().enumerate() {
                    sum = multiply_add(tier, left, matrix[(b_depth + k) * columns + column], sum);
                }
                expected[place] = finished(tier, epilogue, sum, beside(step) + index, column);
            }
        }
        previous = next;
    }

    let layout = layout(lengths);
    let steps = match backwards {
        false => TimeSteps::forwards(&layout, steps),
        true => TimeSteps::backwards(&layout, steps),
    };
    let end = actual.len() - MARGIN;
    Recurrence {
        x,
        b: &packed,
        b_depth,
        start,
        epilogue,
        c: &mut actual[MARGIN..end],
        c_stride,
        depth,
    }
    .run(tier, crew, &steps);
    assert_same(&actual, &expected, || {
        format!(
            "{tier:?}, {}, {steps:?}, {depth} x {columns}, {start:?}, {epilogue:?}",
            E::NAME
        )
    });
}

fn recurrences<E: Scalar>(tier: Tier, parallel: &Parallel) {
    let mut numbers = Numbers::new(4);
    for columns in columns::<E>(tier) {
        for lengths in [
            &[1][..],
            &[7],
            &[4, 2],
            &[5, 5, 3, 3, 2, 1],
            &[2; 13],
            &[3; 26],
        ]
        .into_iter()
        .filter(|lengths| !cfg!(miri) || lengths.len() < 13)
        {
            let depth = match numbers.below(3) {
                0 => numbers.pick(&DEPTHS),
                _ => columns,
            };
            recurrence::<E>(tier, Crew::ALONE, &mut numbers, lengths, (depth, columns));
        }
    }
    // Steps that are worth several threads.
    let size = if cfg!(miri) { (9, 17) } else { (129, 131) };
    for lengths in [&[2; 9][..], &[6, 5, 5, 4, 1]] {
        for _ in 0..if cfg!(miri) { 1 } else { 4 } {
            parallel.enter(1, |crew| {
                assert_eq!(crew.threads(), parallel.threads());
                recurrence::<E>(tier, crew, &mut numbers, lengths, size);
            });
        }
    }
}

#[test]
fn recurrences_equal_the_scalar_loop() {
    let mut parallel = Parallel::new(3).unwrap();
    parallel.set_threshold(0);
    for tier in tiers() {
        recurrences::<f32>(tier, &parallel);
        recurrences::<f64>(tier, &parallel);
    }
}

/// Rows of some steps of some of a batch's sequences, in either direction, everything exactly as long as it must be.
fn copies<E: Scalar>(tier: Tier) {
    let mut numbers = Numbers::new(5);
    for width in columns::<E>(tier) {
        for lengths in [&[1][..], &[3, 7, 1, 7, 2], &[4; 9]] {
            let mut part = Layout::default();
            let rows = window(&mut numbers, lengths.len() - 1);
            part.set_part(&layout(lengths), rows.start..rows.end + 1);
            let steps = window(&mut numbers, part.steps());
            let order = numbers.pick(&[Order::BatchMajor, Order::TimeMajor]);
            let stride = width + numbers.pick(&[0, 3]);
            let strides = Strides::new(order, lengths.len(), steps.end + numbers.below(3), width);
            let mut caller: Vec<E> = numbers.vec(lengths.len() * strides.steps() * width);
            let count = part.count(&steps);
            let engine: Vec<E> = numbers.vec(count.saturating_sub(1) * stride + width);

            let (mut there, mut back) = (engine.clone(), caller.clone());
            let mut index = 0;
            for step in steps.clone() {
                for row in (0..part.batch()).filter(|&row| part.length(row) > step) {
                    let place = strides.index(part.sequences()[row], step);
                    let (theirs, ours) =
                        (place..place + width, index * stride..index * stride + width);
                    there[ours.clone()].copy_from_slice(&caller[theirs.clone()]);
                    back[theirs].copy_from_slice(&engine[ours]);
                    index += 1;
                }
            }
            let what = || format!("{tier:?}, {}, {part:?}, {steps:?}, {strides:?}", E::NAME);
            let (from, mut to) = (caller.clone(), engine.clone());
            CopyRows::to_engine((&part, steps.clone()), (&from, strides), (&mut to, stride))
                .run(tier);
            assert_same(&to, &there, what);
            // SAFETY: `caller` has been made as long as the strides say.
            unsafe {
                let to = (caller.as_mut_ptr(), strides);
                CopyRows::to_caller((&part, steps.clone()), to, (&engine, stride)).run(tier);
            }
            assert_same(&caller, &back, what);
        }
    }
}

#[test]
fn copied_rows_equal_the_scalar_loop() {
    for tier in tiers() {
        copies::<f32>(tier);
        copies::<f64>(tier);
    }
}

fn dropped<E: Scalar>(tier: Tier) {
    let mut numbers = Numbers::new(6);
    for width in columns::<E>(tier).into_iter().filter(|&width| width > 0) {
        for sequences in [&[0][..], &[9, 0, 4], &[2, 1, 8, 7, 1 << 40]] {
            let (rate, step) = (numbers.pick(&[0.0, 0.1, 0.5, 0.999]), numbers.below(70));
            numbers.wild = true;
            let [from_stride, to_stride] = [0, 3].map(|gap| width + numbers.pick(&[0, gap]));
            let rows = sequences.len();
            let from: Vec<E> = numbers.vec((rows - 1) * from_stride + width);
            let len = (rows - 1) * to_stride + width;
            let mut actual = vec![E::from_f64(GUARD); len + 2 * MARGIN];
            let mut expected = actual.clone();
            let (key, kept) = (Key::new(&[3, 1, 4]), E::from_f64(1.0 / (1.0 - rate)));
            for (row, &sequence) in sequences.iter().enumerate() {
                let key = key.with(sequence as u64).with(step as u64);
                for index in 0..width {
                    let is_dropped =
                        f64::from(key.number(index as u32)) < (rate * 2.0_f64.powi(32)).floor();
                    expected[MARGIN + row * to_stride + index] = match is_dropped {
                        true => E::ZERO,
                        false => from[row * from_stride + index] * kept,
                    };
                }
            }
            DropElements {
                key,
                rate,
                step,
                sequences,
                width,
                from: (&from, from_stride),
                to: (&mut actual[MARGIN..MARGIN + len], to_stride),
            }
            .run(tier);
            assert_same(&actual, &expected, || {
                format!("{tier:?}, {}, {rows} x {width}, {rate}", E::NAME)
            });
        }
    }
}

#[test]
fn dropped_elements_equal_the_scalar_loop() {
    for tier in tiers() {
        dropped::<f32>(tier);
        dropped::<f64>(tier);
    }
}

fn row_kernels<E: Scalar>(tier: Tier) {
    let mut numbers = Numbers::new(3);
    for columns in columns::<E>(tier) {
        for rows in [0, 1, 2, 9] {
            numbers.wild = rows == 9;
            let stride = columns + numbers.pick(&[0, 3]);
            let values: Vec<E> = numbers.vec((rows.max(1) - 1) * stride + columns);
            let mut actual = vec![E::from_f64(GUARD); columns + 2 * MARGIN];
            actual[MARGIN..MARGIN + columns].fill_with(|| numbers.next());
            let mut expected = actual.clone();
            for row in (0..rows).rev() {
                for column in 0..columns {
                    expected[MARGIN + column] += values[row * stride + column];
                }
            }
            let sums = &mut actual[MARGIN..MARGIN + columns];
            add_rows_backwards(tier, &values, stride, rows, sums);
            assert_same(&actual, &expected, || {
                format!("{tier:?}, {}, {rows} x {columns}", E::NAME)
            });
        }
        for activation in Activation::ALL {
            numbers.wild = true;
            let values: Vec<E> = numbers.vec(columns);
            let mut actual = vec![E::from_f64(GUARD); columns + 2 * MARGIN];
            actual[MARGIN..MARGIN + columns].fill_with(|| numbers.next());
            let mut expected = actual.clone();
            for (gradient, &value) in expected[MARGIN..].iter_mut().zip(&values) {
                *gradient = times_derivative(tier, activation, *gradient, value);
            }
            let gradients = &mut actual[MARGIN..MARGIN + columns];
            scale_by_derivative(tier, activation, gradients, &values);
            assert_same(&actual, &expected, || {
                format!("{tier:?}, {}, {columns}, {activation:?}", E::NAME)
            });
            let mut expected = actual.clone();
            for value in &mut expected[MARGIN..MARGIN + columns] {
                *value = activate(tier, activation, *value);
            }
            apply(tier, activation, &mut actual[MARGIN..MARGIN + columns]);
            assert_same(&actual, &expected, || {
                format!("{tier:?}, {}, {columns}, {activation:?}", E::NAME)
            });
        }
    }
}

#[test]
fn row_kernels_equal_the_scalar_loop() {
    for tier in tiers() {
        row_kernels::<f32>(tier);
        row_kernels::<f64>(tier);
    }
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

#[track_caller]
fn assert_panics(run: impl FnOnce()) {
    assert!(catch_unwind(AssertUnwindSafe(run)).is_err());
}

/// 3 rows, 4 k and 5 columns, everything exactly as long as it must be.
#[test]
fn operands_that_are_too_short_are_not_read() {
    static ROW: [f32; 5] = [0.0; 5];
    static VALUES: [f32; 15] = [0.0; 15];
    for tier in tiers() {
        let a = [1.0_f32; 12];
        let packed = pack(tier, 4, 5, &[1.0; 20]);
        let run = |segments: &[Segment<'_, f32>], change: &dyn Fn(&mut Product<'_, f32>)| {
            let mut c = [0.0; 15];
            let mut product = Product::new(3, segments, &packed, &mut c, 5);
            change(&mut product);
            product.run(tier);
        };
        let whole = [Segment::rows(&a, 4, 4)];
        let derivative = |values, stride| Epilogue::TimesDerivative {
            activation: Activation::Tanh,
            values,
            stride,
        };
        run(&whole, &|product| {
            product.start = SumStart::Row(&ROW);
            product.epilogue = derivative(&VALUES, 5);
        });
        let panics = |change: &dyn Fn(&mut Product<'_, f32>)| assert_panics(|| run(&whole, change));
        panics(&|product| product.start = SumStart::Row(&ROW[1..]));
        panics(&|product| product.epilogue = derivative(&VALUES[1..], 5));
        panics(&|product| product.epilogue = derivative(&VALUES, 6));
        panics(&|product| product.rows = 4);
        panics(&|product| product.b_depth = 1);
        panics(&|product| product.b_depth = usize::MAX);
        panics(&|product| product.c_stride = 4);
        panics(&|product| product.c_stride = 6);
        panics(&|product| product.c_stride = usize::MAX);
        panics(&|product| product.c = &mut []);

        let backwards = Segment {
            origin: 9,
            row_stride: 1,
            depth_stride: -3,
            ..whole[0]
        };
        run(&[backwards], &|_| {});
        for segment in [
            Segment {
                origin: 1,
                ..whole[0]
            },
            Segment {
                depth: 5,
                ..whole[0]
            },
            Segment {
                data: &a[1..],
                ..whole[0]
            },
            Segment {
                row_stride: 5,
                ..whole[0]
            },
            Segment {
                row_stride: usize::MAX,
                ..whole[0]
            },
            Segment {
                depth_stride: 2,
                ..whole[0]
            },
            Segment {
                depth_stride: isize::MAX,
                ..whole[0]
            },
            Segment {
                origin: 8,
                ..backwards
            },
            Segment {
                origin: 10,
                ..backwards
            },
            Segment {
                depth_stride: isize::MIN,
                ..backwards
            },
        ] {
            assert_panics(|| run(&[segment], &|_| {}));
        }
        let half = Segment {
            depth: usize::MAX / 2 + 1,
            depth_stride: 0,
            ..whole[0]
        };
        assert_panics(|| run(&[half, half], &|_| {}));

        let mut packed = pack(tier, 4, 5, &[1.0; 20]);
        assert_panics(|| packed.pack(1, 4, &[1.0; 20], Source::rows(5)));
        assert_panics(|| packed.pack(0, 4, &[1.0; 19], Source::rows(5)));
        assert_panics(|| packed.pack(0, 4, &[1.0; 19], Source::columns(4)));
        assert_panics(|| packed.pack(0, 4, &[1.0; 20], Source::rows_backwards(5, 3)));
        assert_panics(|| packed.pack(0, usize::MAX, &[1.0; 20], Source::rows(5)));
        let no_unit = Source {
            origin: 0,
            depth_stride: 2,
            column_stride: 2,
        };
        assert_panics(|| packed.pack(0, 4, &[1.0; 40], no_unit));
        assert_panics(|| _ = packed.part().take_depth(5));
        let beyond = packed.columns() + 1;
        assert_panics(|| _ = packed.part().take_columns(beyond));
        assert_panics(|| _ = packed.part().take_columns(1));

        add_rows_backwards(tier, &VALUES, 5, 3, &mut [0.0; 5]);
        assert_panics(|| add_rows_backwards(tier, &VALUES, 5, 4, &mut [0.0; 5]));
        assert_panics(|| add_rows_backwards(tier, &VALUES, 6, 3, &mut [0.0; 5]));
        assert_panics(|| add_rows_backwards(tier, &VALUES, usize::MAX, 3, &mut [0.0; 5]));
        assert_panics(|| scale_by_derivative(tier, Activation::Tanh, &mut [0.0; 14], &VALUES));
        assert_panics(|| scale_by_derivative(tier, Activation::Tanh, &mut [0.0; 16], &VALUES));
    }
}

/// Two sequences of two steps, 3 k of C, 4 of X and 5 columns, everything exactly as long as it must be.
#[test]
fn recurrences_with_operands_that_are_too_short_are_not_run() {
    static ROW: [f32; 5] = [0.0; 5];
    static VALUES: [f32; 20] = [0.0; 20];
    static X: [f32; 16] = [0.0; 16];
    let layout = layout(&[2, 2]);
    for tier in tiers() {
        let packed = pack(tier, 7, 5, &[1.0; 35]);
        let deep = pack(tier, 20, 5, &[1.0; 100]);
        let operands = |b: &Packed<f32>, work: &dyn Fn(Recurrence<'_, f32>)| {
            let mut c = [0.0; 30];
            work(Recurrence {
                x: Some(Segment::rows(&X, 4, 4)),
                b,
                b_depth: 0,
                start: SumStart::Row(&ROW),
                epilogue: Epilogue::TimesDerivative {
                    activation: Activation::Tanh,
                    values: &VALUES,
                    stride: 5,
                },
                c: &mut c,
                c_stride: 5,
                depth: 3,
            });
        };
        let all = [
            TimeSteps::forwards(&layout, 0..2),
            TimeSteps::backwards(&layout, 0..2),
        ];
        for steps in &all {
            operands(&packed, &|recurrence| {
                recurrence.run(tier, Crew::ALONE, steps)
            });
        }
        let derivative = |values, stride| Epilogue::TimesDerivative {
            activation: Activation::Tanh,
            values,
            stride,
        };
        let panics = |change: &dyn Fn(&mut Recurrence<'_, f32>)| {
            for steps in &all {
                assert_panics(|| {
                    operands(&packed, &|mut recurrence| {
                        change(&mut recurrence);
                        recurrence.run(tier, Crew::ALONE, steps);
                    });
                });
            }
        };
        panics(&|it| it.c_stride = 4);
        panics(&|it| it.c_stride = 6);
        panics(&|it| it.c_stride = usize::MAX);
        panics(&|it| it.c = &mut []);
        for steps in &all {
            assert_panics(|| {
                operands(&deep, &|recurrence| {
                    let too_deep = Recurrence {
                        depth: 6,
                        ..recurrence
                    };
                    too_deep.run(tier, Crew::ALONE, steps);
                });
            });
        }
        panics(&|it| it.depth = usize::MAX);
        panics(&|it| it.b_depth = 1);
        panics(&|it| it.b_depth = usize::MAX);
        panics(&|it| it.start = SumStart::Row(&ROW[1..]));
        panics(&|it| it.epilogue = derivative(&VALUES[11..], 5));
        panics(&|it| it.epilogue = derivative(&VALUES, usize::MAX));
        for x in [
            Segment::rows(&X[9..], 4, 4),
            Segment::rows(&X, usize::MAX, 4),
            Segment::rows(&X, 4, 5),
            Segment {
                origin: 1,
                ..Segment::rows(&X, 4, 3)
            },
            Segment {
                depth_stride: 2,
                ..Segment::rows(&X, 4, 3)
            },
        ] {
            panics(&|it| it.x = Some(x));
        }
        // Forwards, what is left of the last row is not read.
        for change in [
            &(|it: &mut Recurrence<'_, f32>| it.epilogue = derivative(&VALUES[1..], 5))
                as &dyn Fn(&mut Recurrence<'_, f32>),
            &|it| it.epilogue = derivative(&VALUES, 6),
            &|it| it.x = Some(Segment::rows(&X[1..], 4, 4)),
            &|it| it.x = Some(Segment::rows(&X, 5, 4)),
            &|it| it.c = &mut std::mem::take(&mut it.c)[1..],
        ] {
            assert_panics(|| {
                operands(&packed, &|mut recurrence| {
                    change(&mut recurrence);
                    recurrence.run(tier, Crew::ALONE, &all[0]);
                });
            });
        }
        // Steps that no layout has.
        let step = TimeStep {
            rows: 2,
            previous: 0,
            next: 2,
            beside: 0,
        };
        operands(&packed, &|recurrence| recurrence.check(&step));
        for wrong in [
            TimeStep { next: 0, ..step },
            TimeStep { next: 1, ..step },
            TimeStep {
                previous: 3,
                ..step
            },
            TimeStep { next: 5, ..step },
            TimeStep {
                next: usize::MAX,
                ..step
            },
            TimeStep {
                previous: 5,
                ..step
            },
            TimeStep {
                previous: usize::MAX,
                ..step
            },
            TimeStep { beside: 3, ..step },
            TimeStep {
                beside: usize::MAX,
                ..step
            },
            TimeStep {
                rows: usize::MAX,
                ..step
            },
        ] {
            assert_panics(|| operands(&packed, &|recurrence| recurrence.check(&wrong)));
        }
        assert_panics(|| _ = TimeSteps::forwards(&layout, 1..3));
        #[expect(clippy::reversed_empty_ranges, reason = "it is wrong on purpose")]
        let reversed = 2..1;
        assert_panics(|| _ = TimeSteps::backwards(&layout, reversed.clone()));
    }
}

/// Three sequences, of which the second has two steps and the others one, of 4 elements.
#[test]
fn rows_that_are_too_short_are_not_copied() {
    let layout = layout(&[1, 2, 1]);
    let (caller, mut engine) = ([0.0_f32; 24], [0.0_f32; 16]);
    for tier in tiers() {
        for order in [Order::BatchMajor, Order::TimeMajor] {
            let of = |batch, steps, width| Strides::new(order, batch, steps, width);
            let mut run = |steps, from: (&[f32], Strides), (len, stride): (usize, usize)| {
                let layout = (&layout, steps);
                CopyRows::to_engine(layout, from, (&mut engine[..len], stride)).run(tier);
            };
            run(0..2, (&caller, of(3, 2, 4)), (16, 4));
            assert_panics(|| run(0..2, (&caller[1..], of(3, 2, 4)), (16, 4)));
            assert_panics(|| run(0..2, (&caller, of(2, 3, 4)), (16, 4)));
            assert_panics(|| run(0..2, (&caller, of(3, 1, 8)), (16, 4)));
            assert_panics(|| run(0..2, (&caller, of(3, 2, 5)), (16, 4)));
            assert_panics(|| run(0..2, (&caller, of(3, usize::MAX / 2, 4)), (16, 4)));
            assert_panics(|| run(0..2, (&caller, of(3, 2, 4)), (15, 4)));
            assert_panics(|| run(0..2, (&caller, of(3, 2, 4)), (16, 5)));
            assert_panics(|| run(0..2, (&caller, of(3, 2, 4)), (16, usize::MAX)));
            assert_panics(|| run(0..3, (&caller, of(3, 2, 4)), (16, 4)));
            // SAFETY: nothing is run, and nothing could be: the engine's buffer is too short.
            let back = |len, stride| unsafe {
                let to = (caller.as_ptr().cast_mut(), of(3, 2, 4));
                _ = CopyRows::to_caller((&layout, 0..2), to, (&caller[..len], stride));
            };
            assert_panics(|| back(15, 4));
            assert_panics(|| back(16, 5));
        }
    }
}

/// Panels are as wide as the tier that they were packed for makes them.
#[test]
fn a_matrix_packed_for_tiles_of_another_width_is_not_read() {
    for packer in tiers() {
        for tier in tiers() {
            let lanes = |tier: Tier| tier.run((Lanes, 0.0_f32));
            let packed = pack(packer, 1, 1, &[3.0]);
            let mut c = [0.0];
            let mut run = || {
                let a = [Segment::rows(&[2.0_f32], 1, 1)];
                Product::new(1, &a, &packed, &mut c, 1).run(tier);
            };
            if lanes(packer) == lanes(tier) {
                run();
                assert_eq!(c, [6.0]);
            } else {
                assert_panics(run);
            }
        }
    }
}
