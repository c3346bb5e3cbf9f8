//! Matrix products.

use super::*;
use crate::in_engine_mode;
use crate::kernels::product::{Product, SumStart};
use crate::kernels::tile::{MAX_SEGMENTS, Segment};

const ROWS: &[usize] = if cfg!(miri) {
    &[0, 1, 7]
} else {
    &[
        0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 23, 24, 25, 26, 40,
    ]
};

/// A left operand that owns its data, which end where its elements end.
#[derive(Debug)]
struct Part<E> {
    data: Vec<E>,
    origin: usize,
    row_stride: usize,
    depth_stride: isize,
    depth: usize,
    run: usize,
    jump: isize,
}

impl<E: Element> Part<E> {
    fn new(numbers: &mut Numbers, rows: usize) -> Self {
        let (depth, gap) = (numbers.pick(&DEPTHS), numbers.pick(&[0, 1, 5]));
        let kind = numbers.below(3);
        Self::of_kind(numbers, rows, depth, gap, kind)
    }

    /// One of which the elements of a k lie side by side, and the next k is far.
    fn transposed(numbers: &mut Numbers, rows: usize) -> Self {
        let depth = numbers.pick(&[1, 64, 128, 131, 300, 600]);
        let (gap, kind) = (numbers.pick(&[5, 2100]), 1 + numbers.below(2));
        Self::of_kind(numbers, rows, depth, gap, kind)
    }

    fn of_kind(numbers: &mut Numbers, rows: usize, depth: usize, gap: usize, kind: usize) -> Self {
        let first = numbers.pick(&[0, 3]);
        if rows == 0 || depth == 0 {
            return Self {
                data: Vec::new(),
                origin: first,
                row_stride: gap,
                depth_stride: 1,
                depth,
                run: usize::MAX,
                jump: 0,
            };
        }
        let stride = rows + gap;
        let (run, jump) = match (kind, stride) {
            (0, _) | (1, 1) => (usize::MAX, 0),
            _ => (
                numbers.pick(&[1, 2, 5, 64, usize::MAX]),
                numbers.pick(&[0, 1, 70]),
            ),
        };
        let jumps = (depth - 1) / run * jump;
        let jump = jump as isize;
        let (origin, row_stride, depth_stride, last) = match kind {
            0 => (
                first,
                depth + gap,
                1,
                (rows - 1) * (depth + gap) + depth - 1,
            ),
            1 => (
                first,
                1,
                stride as isize,
                (depth - 1) * stride + jumps + rows - 1,
            ),
            _ => {
                let origin = first + (depth - 1) * stride + jumps;
                (origin, 1, -(stride as isize), rows - 1)
            }
        };
        Self {
            data: numbers.vec(origin + last + 1),
            origin,
            row_stride,
            depth_stride,
            depth,
            run,
            jump: jump * depth_stride.signum(),
        }
    }

    fn segment(&self) -> Segment<'_, E> {
        Segment {
            data: &self.data,
            origin: self.origin,
            row_stride: self.row_stride,
            depth_stride: self.depth_stride,
            depth: self.depth,
            run: self.run,
            jump: self.jump,
            is_far: self.row_stride == 1,
        }
    }

    fn get(&self, row: usize, k: usize) -> E {
        let first = (self.origin + row * self.row_stride) as isize;
        let jumps = (k / self.run) as isize * self.jump;
        self.data[(first + k as isize * self.depth_stride + jumps) as usize]
    }
}

/// One product with operands, strides, start and epilogue of the generator's choice.
fn product<E: Scalar>(tier: Tier, numbers: &mut Numbers, rows: usize, columns: usize) {
    let parts: Vec<Part<E>> = (0..1 + numbers.below(3))
        .map(|_| Part::new(numbers, rows))
        .collect();
    product_of(tier, numbers, parts, rows, columns);
}

/// The same with this left operand.
fn product_of<E: Scalar>(
    tier: Tier,
    numbers: &mut Numbers,
    parts: Vec<Part<E>>,
    rows: usize,
    columns: usize,
) {
    let depth: usize = parts.iter().map(|part| part.depth).sum();
    let b_depth = numbers.pick(&[0, 1, 5]);
    let full_depth = b_depth + depth + numbers.pick(&[0, 3]);
    let matrix: Vec<E> = numbers.vec(full_depth * columns);
    let packed = pack(tier, full_depth, columns, &matrix);

    let c_stride = columns + numbers.pick(&[0, 1, 5]);
    let row: Vec<E> = numbers.vec(columns);
    let start = match numbers.below(3) {
        0 => SumStart::Zero,
        1 => SumStart::Row(&row[..]),
        _ => SumStart::Result,
    };
    let epilogue = numbers.pick(&Activation::ALL);

    let len = rows.saturating_sub(1) * c_stride + columns;
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
            *result = activated(tier, epilogue, sum);
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
                // As the engine runs it: denormal numbers are 0, for the activations of the loop too.
                in_engine_mode(|| product::<E>(tier, &mut numbers, rows, columns));
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

/// Transposed operands of many k, which meet many panels: the rows of tiles are copied, in several parts.
#[test]
fn products_with_long_columns_equal_the_scalar_loop() {
    fn products<E: Scalar>(tier: Tier) {
        let mut numbers = Numbers::new(5);
        let width = panel_width::<E>(tier);
        for round in 0..if cfg!(miri) { 1 } else { 24 } {
            let rows = numbers.pick(&[4, 5, 6, 11, 12, 13, 40, 61, 75]);
            let columns = 3 * width + 1 + numbers.below(2 * width);
            numbers.wild = round % 2 == 1;
            let parts = 1 + numbers.below(3);
            let parts = (0..parts).map(|_| Part::transposed(&mut numbers, rows));
            let parts: Vec<_> = parts.collect();
            in_engine_mode(|| product_of::<E>(tier, &mut numbers, parts, rows, columns));
        }
    }
    for tier in tiers() {
        products::<f32>(tier);
        products::<f64>(tier);
    }
}

/// 3 rows, 4 k and 5 columns, everything exactly as long as it must be.
#[test]
fn operands_that_are_too_short_are_not_read() {
    static ROW: [f32; 5] = [0.0; 5];
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
        run(&whole, &|product| product.start = SumStart::Row(&ROW));
        let panics = |change: &dyn Fn(&mut Product<'_, f32>)| assert_panics(|| run(&whole, change));
        panics(&|product| product.start = SumStart::Row(&ROW[1..]));
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
            Segment {
                run: 2,
                jump: -1,
                ..backwards
            },
            Segment {
                run: 1,
                jump: isize::MIN,
                ..backwards
            },
            Segment {
                run: 0,
                ..backwards
            },
            Segment {
                run: 2,
                jump: 1,
                ..whole[0]
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
        let none = Segment::rows(&[], 0, 0);
        run(&[none; MAX_SEGMENTS], &|_| {});
        assert_panics(|| run(&[none; MAX_SEGMENTS + 1], &|_| {}));

        let mut groups = Packed::new();
        groups.resize("b", tier, grouped(4, 3, 2)).unwrap();
        let mut c = [0.0; 18];
        assert_panics(|| Product::new(3, &whole, &groups, &mut c, 6).run(tier));
    }
}

/// Panels are as wide as the tier that they were packed for makes them.
#[test]
fn a_matrix_packed_for_tiles_of_another_width_is_not_read() {
    for packer in tiers() {
        for tier in tiers() {
            let packed = pack(packer, 1, 1, &[3.0]);
            let mut c = [0.0];
            let mut run = || {
                let a = [Segment::rows(&[2.0_f32], 1, 1)];
                Product::new(1, &a, &packed, &mut c, 1).run(tier);
            };
            if panel_width::<f32>(packer) == panel_width::<f32>(tier) {
                run();
                assert_eq!(c, [6.0]);
            } else {
                assert_panics(run);
            }
        }
    }
}

/// Rows that come run by run, each of them before the one that came last.
#[test]
fn a_segment_takes_what_goes_on_as_it_does() {
    let a = [0.0_f32; 100];
    let segment = |origin, count| Segment {
        origin,
        row_stride: 1,
        depth_stride: -3,
        run: count,
        ..Segment::rows(&a, 3, count)
    };
    let taken = |runs: &[(usize, usize)]| {
        let mut segment = segment(runs[0].0, runs[0].1);
        let taken = runs[1..]
            .iter()
            .map(|&(origin, count)| segment.takes(origin, count));
        let count = taken.filter(|&taken| taken).count();
        (count, segment.depth, segment.run, segment.jump)
    };
    // Without a gap, and then with one.
    assert_eq!(taken(&[(90, 2), (84, 3)]), (1, 5, 5, 0));
    assert_eq!(taken(&[(90, 1), (87, 1), (75, 2), (60, 2)]), (3, 6, 2, -9));
    // With another gap, of another length, forward.
    assert_eq!(taken(&[(90, 2), (80, 2), (71, 2)]), (1, 4, 2, -4));
    assert_eq!(taken(&[(90, 2), (80, 1), (70, 2)]), (1, 4, 2, -14));
    assert_eq!(taken(&[(90, 2), (80, 2), (70, 1)]), (1, 4, 2, -4));
    assert_eq!(taken(&[(50, 2), (80, 2)]), (0, 2, 2, 0));
}
