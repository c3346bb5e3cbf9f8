//! Packed matrices.

use super::*;

/// A matrix of so many k and groups of units.
#[derive(Clone, Copy, Debug)]
struct Shape {
    depth: usize,
    groups: usize,
    units: usize,
}

impl Shape {
    /// What packing a matrix gives, where the `index`-th of its groups lies first.
    fn expected<E: Scalar>(self, tier: Tier, matrix: &[E], first_group: usize) -> Vec<E> {
        let Self {
            depth,
            groups,
            units,
        } = self;
        let lanes = tier.run((Lanes, E::ZERO));
        let most = tier.run((PanelVectors, E::ZERO));
        let (width, columns) = (most * lanes, groups * units);
        let vectors = |block: usize| (units - block * width).div_ceil(lanes).min(most);
        let panels = match units.div_ceil(width) {
            0 => 0,
            blocks => (blocks - 1) * groups + (groups * vectors(blocks - 1)).div_ceil(most),
        };
        let mut expected = vec![E::ZERO; panels * depth * width];
        for (group, unit) in (0..groups).flat_map(|group| (0..units).map(move |unit| (group, unit)))
        {
            let block = unit / width;
            let vector = group * vectors(block) + unit % width / lanes;
            let panel = block * groups + vector / most;
            let column = (group + first_group) % groups * units + unit;
            for k in 0..depth {
                let place = (panel * depth + k) * width + vector % most * lanes + unit % lanes;
                expected[place] = matrix[k * columns + column];
            }
        }
        expected
    }
}

/// Packs a matrix from every kind of source, whole and in parts.
fn packing<E: Scalar>(tier: Tier, numbers: &mut Numbers, packed: &mut Packed<E>, shape: Shape) {
    let Shape {
        depth,
        groups,
        units,
    } = shape;
    let columns = groups * units;
    let first_group = numbers.below(groups);
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
        first_group,
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
    let expected = shape.expected(tier, &matrix, first_group);
    // A matrix that fills the same panels, so that nothing is right before.
    let dirty = vec![E::from_f64(GUARD); expected.len()];
    let prepare = |packed: &mut Packed<E>| {
        let filled = expected.len().checked_div(depth).unwrap_or(0);
        packed.shape("b", tier, depth, filled).unwrap();
        packed.pack(0, depth, &dirty, Source::rows(filled));
        assert_same(packed.data(), &dirty, || "dirty".to_owned());
        packed
            .resize("b", tier, grouped(depth, columns / groups, groups))
            .unwrap();
    };
    for (from, source) in [
        (&rows, source(row as isize, 1)),
        (&backwards, last_first),
        (&transposed, source(1, column)),
    ] {
        let what = || format!("{tier:?}, {}, {shape:?}, {source:?}", E::NAME);
        if source.column_stride != 1 && groups > 1 {
            continue;
        }
        prepare(packed);
        let first = depth / 3;
        packed.pack(0, first, from, source);
        packed.pack(first, depth - first, from, at(source, first, 0));
        assert_same(packed.data(), &expected, what);

        prepare(packed);
        let mut rest = packed.part();
        let upper = rest.take_depth(depth / 2);
        rest.pack(from, at(source, depth / 2, 0));
        upper.pack(from, source);
        assert_same(packed.data(), &expected, what);

        if groups > 1 {
            continue;
        }
        prepare(packed);
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
    let mut packed = Packed::<E>::new();
    numbers.wild = true;
    let depths = [0, 1, 2, 3, 4, 7, 8, 9, 15, 16, 17, 32, 33, 61];
    let most = if cfg!(miri) { 3 } else { 70 };
    for depth in depths.into_iter().filter(|&depth| depth <= most) {
        for units in columns::<E>(tier) {
            for groups in [1, numbers.pick(&[2, 3, 4])] {
                let shape = Shape {
                    depth,
                    groups,
                    units,
                };
                packing(tier, &mut numbers, &mut packed, shape);
            }
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

/// The k of two matrices, one above the other, of which each has a first group of its own.
#[test]
fn matrices_above_each_other_may_begin_with_different_groups() {
    for tier in tiers() {
        let mut numbers = Numbers::new(3);
        for units in columns::<f32>(tier) {
            let [above, below] = [3, 2].map(|depth| numbers.vec::<f32>(depth * 3 * units));
            let mut packed = Packed::new();
            packed.resize("b", tier, grouped(5, units, 3)).unwrap();
            let source = |first_group| Source {
                first_group,
                ..Source::rows(3 * units)
            };
            packed.pack(0, 3, &above, source(2));
            packed.pack(3, 2, &below, source(0));
            // The groups of the upper matrix in the order in which they lie.
            let mut matrix = Vec::new();
            for row in above.chunks(3 * units.max(1)) {
                matrix.extend_from_slice(&row[2 * units..]);
                matrix.extend_from_slice(&row[..2 * units]);
            }
            matrix.extend_from_slice(&below);
            let shape = Shape {
                depth: 5,
                groups: 3,
                units,
            };
            let expected = shape.expected(tier, &matrix, 0);
            assert_same(packed.data(), &expected, || format!("{tier:?}, {units}"));
        }
    }
}

/// 4 k and 5 columns, everything exactly as long as it must be.
#[test]
fn matrices_that_are_too_short_are_not_packed() {
    for tier in tiers() {
        let mut packed = pack(tier, 4, 5, &[1.0; 20]);
        assert_panics(|| packed.pack(1, 4, &[1.0; 20], Source::rows(5)));
        assert_panics(|| packed.pack(0, 4, &[1.0; 19], Source::rows(5)));
        assert_panics(|| packed.pack(0, 4, &[1.0; 19], Source::columns(4)));
        assert_panics(|| packed.pack(0, 4, &[1.0; 20], Source::rows_backwards(5, 3)));
        assert_panics(|| packed.pack(0, usize::MAX, &[1.0; 20], Source::rows(5)));
        let no_unit = Source {
            depth_stride: 2,
            column_stride: 2,
            ..Source::rows(5)
        };
        assert_panics(|| packed.pack(0, 4, &[1.0; 40], no_unit));
        assert_panics(|| _ = packed.part().take_depth(5));
        let beyond = packed.columns() + 1;
        assert_panics(|| _ = packed.part().take_columns(beyond));
        assert_panics(|| _ = packed.part().take_columns(1));

        packed.resize("b", tier, grouped(4, 3, 2)).unwrap();
        packed.pack(0, 4, &[1.0; 24], Source::rows(6));
        assert_panics(|| packed.pack(0, 4, &[1.0; 23], Source::rows(6)));
        assert_panics(|| packed.pack(0, 4, &[1.0; 24], Source::columns(4)));
        assert_panics(|| _ = packed.part().take_columns(6));
    }
}
