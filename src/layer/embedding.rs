//! The embedding: indices in some columns become rows of a table, in their place; the other columns pass.

use std::ops::Range;

use super::gradients::GradientPart;
use super::{Backward, Forward, Gradients, Layer, Tensor};
use crate::buffer::try_vec;
use crate::init::TensorRole;
use crate::kernels::embed::{AddToTable, Part, index_of};
use crate::kernels::pack::Packed;
use crate::regions::{Rows, RowsMut, from_row};
use crate::{Element, Error, Result, shape};

/// Most rows of a table: an `f32` can name no more.
const MOST_CLASSES: usize = 1 << 24;

/// See the module's documentation.
#[derive(Debug)]
pub struct Embedding {
    parts: Vec<Part>,
    classes: usize,
    size: usize,
    outputs: usize,
}

/// Checks the settings.
///
/// # Errors
/// [`Error::ZeroSize`], [`Error::OutOfRange`], [`Error::Mismatch`]
pub fn check(columns: &[usize], classes: usize, size: usize) -> Result<()> {
    shape::expect_nonzero("count", columns.len())?;
    shape::expect_nonzero("classes", classes)?;
    shape::expect_nonzero("size", size)?;
    if classes > MOST_CLASSES {
        return Err(Error::OutOfRange {
            name: "classes",
            value: classes as f64,
            expected: "1 to 16777216",
        });
    }
    let mut sorted = try_vec("the columns", columns.len())?;
    sorted.extend_from_slice(columns);
    sorted.sort_unstable();
    if let Some(pair) = sorted.windows(2).find(|pair| pair[0] == pair[1]) {
        return Err(Error::Mismatch {
            name: "the columns of an embedding",
            actual: format!("{} twice", pair[0]),
            expected: "different columns".to_owned(),
        });
    }
    Ok(())
}

/// What a row of `inputs` columns is made of.
fn parts(columns: &[usize], size: usize, inputs: usize) -> Vec<Part> {
    let mut parts = Vec::new();
    let (mut from, mut to) = (0, 0_usize);
    let mut columns = columns.to_vec();
    columns.sort_unstable();
    for column in columns {
        if column > from {
            parts.push(Part::Passes(from, to, column - from));
            to = to.saturating_add(column - from);
        }
        parts.push(Part::Index(column, to));
        (from, to) = (column + 1, to.saturating_add(size));
    }
    if inputs > from {
        parts.push(Part::Passes(from, to, inputs - from));
    }
    parts
}

/// The input column that output column `column` is; None within a row of the table.
pub fn passed(columns: &[usize], size: usize, column: usize) -> Option<usize> {
    let parts = parts(columns, size, usize::MAX);
    parts.into_iter().find_map(|part| match part {
        Part::Passes(from, to, count) if column >= to && column - to < count => {
            Some(from + (column - to))
        }
        _ => None,
    })
}

/// Whether an element is the index of one of so many classes: an integer of this range, -0 included.
pub fn is_index<E: Element>(element: E, classes: usize) -> bool {
    let index = index_of(element);
    // By their bits: denormal numbers are no integers, whatever the floating-point mode.
    let bits = element.to_bits_u64();
    let [own, minus_zero] = [index as f64, -0.0].map(|number| E::from_f64(number).to_bits_u64());
    index < classes && (bits == own || bits == minus_zero)
}

impl Embedding {
    pub fn new(inputs: usize, columns: &[usize], classes: usize, size: usize) -> Self {
        let vectors = columns.len().saturating_mul(size);
        Self {
            parts: parts(columns, size, inputs),
            classes,
            size,
            outputs: inputs.saturating_sub(columns.len()).saturating_add(vectors),
        }
    }
}

impl<E: Element> Layer<E> for Embedding {
    fn outputs(&self) -> usize {
        self.outputs
    }

    fn tensors(&self) -> Vec<Tensor> {
        vec![Tensor::new(TensorRole::Embedding, self.classes, self.size)]
    }

    fn forward(&self, pass: &Forward<'_, E>, activations: &mut RowsMut<'_, E>) {
        let block = activations.block();
        let strides = [pass.input, pass.output].map(|region| activations.stride(region));
        let ([x], y) = activations.split([(pass.input, block)], (pass.output, block));
        for (x, y) in x.chunks(strides[0]).zip(y.chunks_mut(strides[1])) {
            for part in &self.parts {
                match *part {
                    Part::Passes(from, to, count) => {
                        y[to..][..count].copy_from_slice(&x[from..][..count]);
                    }
                    Part::Index(column, to) => {
                        let row = index_of(x[column]) * self.size;
                        y[to..][..self.size].copy_from_slice(&pass.parameters[row..][..self.size]);
                    }
                }
            }
        }
    }

    /// The gradient of an index is 0.
    fn backward(&self, pass: &Backward<'_, E>, _: &Rows<'_, E>, deltas: &mut RowsMut<'_, E>) {
        pass.add_last(self.outputs, deltas);
        if !pass.input_gradient {
            return;
        }
        let block = deltas.block();
        let strides = [pass.output, pass.input].map(|region| deltas.stride(region));
        let ([dy], dx) = deltas.split([(pass.output, block)], (pass.input, block));
        for (dy, dx) in dy.chunks(strides[0]).zip(dx.chunks_mut(strides[1])) {
            for part in &self.parts {
                match *part {
                    Part::Passes(from, to, count) => {
                        let (dx, dy) = (&mut dx[from..][..count], &dy[to..][..count]);
                        for (dx, &dy) in dx.iter_mut().zip(dy) {
                            *dx = if pass.accumulate { *dx + dy } else { dy };
                        }
                    }
                    Part::Index(column, _) if !pass.accumulate => dx[column] = E::ZERO,
                    Part::Index(..) => {}
                }
            }
        }
    }

    fn gradient_parts(&self) -> Vec<GradientPart> {
        vec![GradientPart {
            first: 0,
            rows: self.classes,
            columns: self.size,
            packed: None,
        }]
    }

    fn gradients(
        &self,
        pass: &Gradients<'_, E>,
        _: usize,
        rows: Range<usize>,
        sums: &mut [E],
        _: &Packed<E>,
    ) {
        for piece in pass.pieces() {
            let (x, dy) = (piece.values(pass.input), piece.gradients(pass.output));
            for run in piece.runs() {
                AddToTable {
                    parts: &self.parts,
                    x: from_row(x, run.start),
                    dy: from_row(dy, run.start),
                    rows: run.len(),
                    wanted: rows.clone(),
                    size: self.size,
                    sums,
                }
                .run(pass.tier);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vectors_stand_where_their_indices_stood() {
        let expected = [
            Part::Passes(0, 0, 1),
            Part::Index(1, 1),
            Part::Index(2, 4),
            Part::Passes(3, 7, 2),
        ];
        assert_eq!(parts(&[2, 1], 3, 5), expected);
        let passed: Vec<_> = (0..9).map(|column| passed(&[2, 1], 3, column)).collect();
        let vectors = [None; 6];
        assert_eq!(passed[..1], [Some(0)]);
        assert_eq!(passed[1..7], vectors);
        assert_eq!(passed[7..], [Some(3), Some(4)]);
    }

    #[test]
    fn indices_are_integers_below_the_number_of_classes() {
        for (value, fits) in [
            (0.0, true),
            (-0.0, true),
            (2.0, true),
            (3.0, false),
            (-1.0, false),
            (0.5, false),
            (f64::NAN, false),
            (f64::INFINITY, false),
            (f64::MIN_POSITIVE / 2.0, false),
        ] {
            assert_eq!(is_index(value, 3), fits, "{value}");
            assert_eq!(is_index(value as f32, 3), fits || value as f32 == 0.0);
        }
        assert!(!is_index(f32::MIN_POSITIVE / 2.0, 3));
    }
}
