//! What a tensor of an ONNX graph is to the network that the graph describes: outputs of layers, in some order of their axes; a
//! constant; a number of steps or sequences; a state.

use std::rc::Rc;

/// A size, or an integer that has to do with one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dim {
    Known(i64),
    /// That of an axis of the network's input.
    Axis(usize),
    /// One that depends on sizes in some other way.
    Open,
}

/// What an axis counts, from the outer to the inner if that is several things. None of them is of size 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Atom {
    /// An axis of the network's input: steps or sequences, or features as long as nothing has taken them as such.
    Axis(usize),
    /// The parts of [`Sequence::parts`]: directions, or layers whose states lie side by side.
    Part,
    /// Features of a part.
    Unit,
}

/// At which step of a sequence features are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// At each.
    All,
    First,
    Last,
    /// Where its direction ends: what `Y_h` is.
    Final,
    /// Likewise, of the cell state: `Y_c`. No layer can take it.
    Cell,
    /// Computed from such features, by layers that run over one step alone.
    Behind,
}

/// Neighbouring features of a value: 0 is the network's input, i the output of the i-th layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    pub value: usize,
    pub start: usize,
    pub len: usize,
    pub moment: Moment,
    /// Whether they are the two directions of a layer, which it has made one.
    pub is_merged: bool,
}

impl Piece {
    pub fn new(value: usize, start: usize, len: usize, moment: Moment) -> Self {
        Self {
            value,
            start,
            len,
            moment,
            is_merged: false,
        }
    }
}

/// Outputs of layers.
#[derive(Clone, Debug, PartialEq)]
pub struct Sequence {
    pub axes: Vec<Vec<Atom>>,
    /// Each of as many features. None: the network's input, before it is known which of its axes are its features.
    pub parts: Vec<Vec<Piece>>,
    /// Whether steps come from the last to the first.
    pub is_reversed: bool,
    /// Whether nothing else in the graph has what the last layer gives.
    pub is_alone: bool,
}

/// A constant of numbers with a fraction, one at least. Where it has one element along an axis, it may stand for several.
#[derive(Clone, Debug)]
pub struct Floats<E> {
    pub dims: Vec<usize>,
    pub values: Rc<Vec<E>>,
}

/// A tensor of the graph.
#[derive(Clone, Debug)]
pub enum Value<E> {
    Sequence(Sequence),
    Floats(Floats<E>),
    /// A constant of any shape, whose elements are all the same.
    Fill(f64),
    /// Integers that are constant or sizes.
    Integers {
        dims: Vec<usize>,
        values: Vec<Dim>,
    },
    /// The same integer everywhere.
    FillInteger(Dim),
    /// What a state input of the graph has been made of, in whatever shape.
    StateInput,
    /// The lengths of the sequences, an input of the graph.
    Lengths,
    /// Final states, in a shape in which they can only leave the graph.
    States,
}

/// Why something cannot be taken.
pub type Result<T> = std::result::Result<T, String>;

impl Sequence {
    /// Features of a part.
    pub fn units(&self) -> usize {
        let part = self.parts.first();
        part.map_or(1, |part| part.iter().map(|piece| piece.len).sum())
    }

    /// The number of pieces that its features come from.
    pub fn pieces(&self) -> usize {
        self.parts.iter().map(Vec::len).sum()
    }

    /// Whether it is the network's input, as it came.
    pub fn is_raw(&self) -> bool {
        self.parts.is_empty()
    }

    /// Whether nothing but final states is in it.
    pub fn is_state(&self) -> bool {
        let mut pieces = self.parts.iter().flatten();
        !self.is_raw() && pieces.all(|piece| matches!(piece.moment, Moment::Final | Moment::Cell))
    }

    pub fn has(&self, atom: Atom) -> bool {
        self.axes.iter().flatten().any(|&it| it == atom)
    }

    /// Takes what some axis has of parts and features as features of one part.
    pub fn merged(mut self) -> Self {
        let units = self.units();
        for axis in &mut self.axes {
            if axis[..] == [Atom::Part, Atom::Unit] || (axis[..] == [Atom::Part] && units == 1) {
                *axis = vec![Atom::Unit];
                self.parts = vec![std::mem::take(&mut self.parts).concat()];
                break;
            }
        }
        self
    }

    /// The features, which must be the last axis.
    pub fn features(&self) -> Option<(&[Vec<Atom>], &[Piece])> {
        let [part] = &self.parts[..] else {
            return None;
        };
        let (last, others) = self.axes.split_last()?;
        let fits = match self.units() {
            1 => last.is_empty(),
            _ => last[..] == [Atom::Unit],
        };
        fits.then_some((others, part))
    }

    /// As many features of each part from `start` on.
    pub fn of_units(&self, start: usize, len: usize) -> Vec<Vec<Piece>> {
        let parts = self.parts.iter().map(|part| {
            let mut first = 0;
            let pieces = part.iter().filter_map(|&piece| {
                let from = start.max(first);
                let to = (start + len).min(first + piece.len);
                let own = piece.start + from.saturating_sub(first);
                first += piece.len;
                (from < to).then(|| Piece {
                    start: own,
                    len: to - from,
                    ..piece
                })
            });
            pieces.collect()
        });
        parts.collect()
    }

    /// The same axes around other pieces, of the features of a layer that runs on each feature by itself.
    pub fn over(&self, value: usize, moment: Moment) -> Self {
        let units = self.units();
        let parts =
            (0..self.parts.len()).map(|part| vec![Piece::new(value, part * units, units, moment)]);
        Self {
            parts: parts.collect(),
            is_alone: true,
            ..self.clone()
        }
    }
}

/// A size that a reshape asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    Size(Dim),
    /// That of the same axis before.
    Same,
    /// Whatever is left.
    Rest,
}

/// The axes that a reshape of these makes, where its sizes let them stay or put neighbours together; `size` tells those of atoms.
pub fn reshaped(
    axes: &[Vec<Atom>],
    target: &[Target],
    size: &impl Fn(Atom) -> Dim,
) -> Option<Vec<Vec<Atom>>> {
    let atoms: Vec<Atom> = axes.concat();
    let mut groups = Vec::new();
    // The number of ways grows with neither: each size but an open one leaves one way.
    let mut budget = 10_000;
    fits(axes, &atoms, target, size, &mut groups, &mut budget).then_some(groups)
}

fn fits(
    axes: &[Vec<Atom>],
    atoms: &[Atom],
    target: &[Target],
    size: &impl Fn(Atom) -> Dim,
    groups: &mut Vec<Vec<Atom>>,
    budget: &mut usize,
) -> bool {
    if *budget == 0 {
        return false;
    }
    *budget -= 1;
    let Some((&first, rest)) = target.split_first() else {
        return atoms.is_empty();
    };
    // One at a time, then none, then several.
    let counts = [1, 0].into_iter().chain(2..=atoms.len());
    for count in counts.filter(|&count| count <= atoms.len()) {
        let group = &atoms[..count];
        let is_it = match first {
            Target::Rest | Target::Size(Dim::Open) => true,
            Target::Same => axes.get(groups.len()).is_some_and(|axis| axis == group),
            Target::Size(expected) => product(group, size) == Some(expected),
        };
        if is_it {
            groups.push(group.to_vec());
            if fits(axes, &atoms[count..], rest, size, groups, budget) {
                return true;
            }
            groups.pop();
        }
    }
    false
}

/// The product of sizes, where it is a number or a size.
fn product(group: &[Atom], size: &impl Fn(Atom) -> Dim) -> Option<Dim> {
    group.iter().try_fold(Dim::Known(1), |product, &atom| {
        times(product, size(atom)).filter(|&product| product != Dim::Open)
    })
}

fn times(left: Dim, right: Dim) -> Option<Dim> {
    match (left, right) {
        (Dim::Known(left), Dim::Known(right)) => left.checked_mul(right).map(Dim::Known),
        (Dim::Known(1), other) | (other, Dim::Known(1)) => Some(other),
        _ => Some(Dim::Open),
    }
}

/// At least as much as any size.
const MANY: i64 = i32::MAX as i64;

/// Arithmetic on sizes.
pub fn arithmetic(op: &str, left: Dim, right: Dim) -> Dim {
    let known = |value: Option<i64>| value.map_or(Dim::Open, Dim::Known);
    match (op, left, right) {
        ("Mul", left, right) => times(left, right).unwrap_or(Dim::Open),
        ("Add", Dim::Known(left), Dim::Known(right)) => known(left.checked_add(right)),
        ("Sub", Dim::Known(left), Dim::Known(right)) => known(left.checked_sub(right)),
        ("Div", Dim::Known(left), Dim::Known(right)) => known(left.checked_div(right)),
        ("Add", other, Dim::Known(0)) | ("Add", Dim::Known(0), other) => other,
        ("Sub", other, Dim::Known(0)) | ("Div", other, Dim::Known(1)) => other,
        ("Min", Dim::Known(left), Dim::Known(right)) => Dim::Known(left.min(right)),
        // What stands for all steps there are.
        ("Min", Dim::Known(MANY..), size) | ("Min", size, Dim::Known(MANY..)) => size,
        // A size is at least 0.
        ("Equal", Dim::Known(left), Dim::Known(right)) => Dim::Known((left == right).into()),
        ("Equal", Dim::Axis(_), Dim::Known(other)) | ("Equal", Dim::Known(other), Dim::Axis(_))
            if other < 0 =>
        {
            Dim::Known(0)
        }
        _ => Dim::Open,
    }
}

impl<E: Copy> Floats<E> {
    /// The element at a place; along an axis of one element it is the same everywhere.
    pub fn at(&self, place: &[usize]) -> E {
        let index = self
            .dims
            .iter()
            .zip(place)
            .fold(0, |index, (&size, &place)| {
                index * size + if size == 1 { 0 } else { place }
            });
        self.values[index]
    }

    /// With the axes in another order.
    pub fn transposed(&self, order: &[usize]) -> Self {
        let dims: Vec<usize> = order.iter().map(|&axis| self.dims[axis]).collect();
        let strides: Vec<usize> = (0..order.len())
            .map(|axis| self.dims[axis + 1..].iter().product())
            .collect();
        let mut place = vec![0; dims.len()];
        let values = (0..self.values.len()).map(|_| {
            let index = place
                .iter()
                .zip(order)
                .map(|(&at, &axis)| at * strides[axis])
                .sum::<usize>();
            for axis in (0..place.len()).rev() {
                place[axis] += 1;
                if place[axis] < dims[axis] {
                    break;
                }
                place[axis] = 0;
            }
            self.values[index]
        });
        Self {
            values: Rc::new(values.collect()),
            dims,
        }
    }

    /// Some of the elements along an axis.
    pub fn of(&self, axis: usize, indices: &[usize]) -> Self {
        let inner: usize = self.dims[axis + 1..].iter().product();
        let size = self.dims[axis];
        let mut values = Vec::new();
        for outer in self.values.chunks(inner * size) {
            for &index in indices {
                values.extend_from_slice(&outer[index * inner..][..inner]);
            }
        }
        let mut dims = self.dims.clone();
        dims[axis] = indices.len();
        Self {
            dims,
            values: Rc::new(values),
        }
    }

    /// Several side by side along an axis; None where their other sizes differ.
    pub fn side_by_side(all: &[&Self], axis: usize) -> Option<Self> {
        let first = all.first()?;
        let mut dims = first.dims.clone();
        if axis >= dims.len() {
            return None;
        }
        dims[axis] = 0;
        for one in all {
            let is_same = |other: usize| other == axis || one.dims[other] == first.dims[other];
            if one.dims.len() != dims.len() || !(0..dims.len()).all(is_same) {
                return None;
            }
            dims[axis] += one.dims[axis];
        }
        let outer: usize = dims[..axis].iter().product();
        let mut values = Vec::new();
        for row in 0..outer {
            for one in all {
                let len = one.values.len() / outer;
                values.extend_from_slice(&one.values[row * len..][..len]);
            }
        }
        Some(Self {
            dims,
            values: Rc::new(values),
        })
    }
}
