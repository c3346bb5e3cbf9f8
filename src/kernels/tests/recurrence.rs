//! Time loops.

use super::*;
use crate::gemm::{recur, recur_in};
use crate::kernels::recurrence::{
    Band, Fused, Input, MAX_BANDS, MAX_SLOTS, MAX_SUMS, Piece, Recurrence, RowOf, Slot, Stage,
    Stages, Start, StoreSums, TimeSteps, Unit, Units,
};
use crate::parallel::cost::Grid;
use crate::parallel::{CallCost, Crew, Parallel};

/// The rows of a buffer, with elements around them that belong to nobody.
#[derive(Clone, Debug)]
struct OwnBand<E> {
    data: Vec<E>,
    stride: usize,
    lead: usize,
    is_written: bool,
}

#[derive(Clone, Debug)]
enum OwnStart<E> {
    Zero,
    Row(Vec<E>),
    Read(usize),
}

/// A stage, and the matrix that its weights are, packed for a tier.
#[derive(Debug)]
struct OwnStage<E: Element> {
    matrix: Vec<E>,
    shape: PackedShape,
    tier: Tier,
    pieces: Vec<Piece>,
    starts: Vec<OwnStart<E>>,
    reads: Vec<Slot>,
    writes: Vec<Slot>,
    fused: Option<Fused>,
}

impl<E: Element> OwnStage<E> {
    /// The stage that has the `weights`-th weights; its rows go to the parameters.
    fn stage(&self, weights: usize, parameters: &mut Vec<E>) -> Stage {
        let start = |start: &OwnStart<E>| match start {
            OwnStart::Zero => Start::Zero,
            OwnStart::Row(row) => {
                parameters.extend(row);
                Start::Parameters(parameters.len() - row.len())
            }
            OwnStart::Read(index) => Start::Read(*index),
        };
        Stage {
            weights,
            pieces: self.pieces.clone(),
            starts: self.starts.iter().map(start).collect(),
            reads: self.reads.clone(),
            writes: self.writes.clone(),
            fused: self.fused,
        }
    }

    fn weights(&self) -> Packed<E> {
        let mut weights = Packed::new();
        weights.resize("b", self.tier, self.shape).unwrap();
        let source = Source::rows(self.shape.columns());
        weights.pack(0, self.shape.depth, &self.matrix, source);
        weights
    }
}

/// Calls `take` with a recurrence of these operands.
fn with_recurrence<E: Element, U: Units<E>>(
    bands: &mut [OwnBand<E>],
    stages: &[OwnStage<E>],
    units: &U,
    steps: &TimeSteps<'_>,
    take: impl FnOnce(Recurrence<'_, '_, E, U>),
) {
    let mut bands: Vec<Band<'_, E>> = bands
        .iter_mut()
        .map(|band| {
            let inside = MARGIN..band.data.len() - MARGIN;
            match band.is_written {
                true => Band::write(&mut band.data[inside], band.stride, band.lead),
                false => Band::read(&band.data[inside], band.stride, band.lead),
            }
        })
        .collect();
    let weights: Vec<_> = stages.iter().map(OwnStage::weights).collect();
    let shapes: Vec<_> = stages.iter().map(|stage| stage.shape).collect();
    let mut parameters = Vec::new();
    let stages = stages.iter().enumerate();
    let stages = stages.map(|(index, stage)| stage.stage(index, &mut parameters));
    let stages = Stages::new(stages.collect(), &shapes);
    take(Recurrence {
        bands: &mut bands,
        stages: &stages,
        weights: &weights,
        parameters: &parameters,
        units,
        steps,
    });
}

/// Makes of all sums of a unit and of all that it reads, one after the other, what it writes: each another mixture, by an
/// activation function that keeps it small.
#[derive(Clone, Debug)]
struct Mix<E> {
    /// For each stage how many sums, reads and writes.
    stages: Vec<[usize; 3]>,
    /// What meets single units, as long as any stage has units.
    parameters: Vec<E>,
    /// What is made of the sums before, if it is to have a usual form.
    activations: Option<[Activation; MAX_SUMS]>,
}

/// The usual form of a mixture.
#[derive(Debug)]
struct UsualMix<E>(Mix<E>);

impl<E: Element> Units<E> for UsualMix<E> {
    type Usual = Self;
    const SUMS: Option<(usize, usize)> = Some((2, 2));

    #[inline(always)]
    fn activations(&self, stage: usize) -> [Activation; MAX_SUMS] {
        self.0.activations(stage).unwrap()
    }

    #[inline(always)]
    fn apply<S: Math<E>>(
        &self,
        token: S,
        stage: usize,
        sums: [S::Vector; MAX_SUMS],
        unit: &Unit<'_, E, S>,
    ) {
        self.0.apply(token, stage, sums, unit);
    }
}

impl<E> Mix<E> {
    /// Those of a stage.
    #[inline(always)]
    fn activations(&self, stage: usize) -> Option<[Activation; MAX_SUMS]> {
        let mut activations = self.activations?;
        activations.rotate_left(stage);
        Some(activations)
    }
}

/// What the `index`-th ingredient of the `write`-th mixture is multiplied by.
fn weight<E: Element>(stage: usize, write: usize, index: usize) -> E {
    E::from_f64(((stage * 5 + write * 3 + index * 7) % 11) as f64 / 8.0 - 0.625)
}

impl<E: Element> Units<E> for Mix<E> {
    type Usual = UsualMix<E>;

    fn usual(&self) -> Option<UsualMix<E>> {
        self.activations.map(|_| UsualMix(self.clone()))
    }

    #[inline(always)]
    fn apply<S: Math<E>>(
        &self,
        token: S,
        stage: usize,
        sums: [S::Vector; MAX_SUMS],
        unit: &Unit<'_, E, S>,
    ) {
        let [sum_count, reads, writes] = self.stages[stage];
        for write in 0..writes {
            let mut value = unit.parameter(&self.parameters);
            let reads = (0..reads).map(|read| unit.read(read));
            let ingredients = sums.into_iter().take(sum_count).chain(reads);
            for (index, ingredient) in ingredients.enumerate() {
                value = token.mul_add(token.splat(weight(stage, write, index)), ingredient, value);
            }
            unit.write(write, token.tanh(value));
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Forward,
    ForwardReverse,
    Backward,
    BackwardReverse,
    Whole,
}

impl Way {
    const ALL: [Self; 5] = [
        Self::Forward,
        Self::ForwardReverse,
        Self::Backward,
        Self::BackwardReverse,
        Self::Whole,
    ];

    fn steps(self, layout: &Layout, window: Range<usize>) -> TimeSteps<'_> {
        match self {
            Self::Forward => TimeSteps::forward(layout, window),
            Self::ForwardReverse => TimeSteps::forward_reverse(layout, window),
            Self::Backward => TimeSteps::backward(layout, window),
            Self::BackwardReverse => TimeSteps::backward_reverse(layout),
            Self::Whole => TimeSteps::whole(layout, window),
        }
    }

    /// The row that a step starts from; none where steps do not depend on each other.
    fn before(self) -> Option<RowOf> {
        match self {
            Self::Forward | Self::BackwardReverse => Some(RowOf::Earlier),
            Self::ForwardReverse | Self::Backward => Some(RowOf::Later),
            Self::Whole => None,
        }
    }

    /// All rows beside a step's own that it may read.
    fn others(self) -> &'static [RowOf] {
        match self {
            Self::Forward => &[RowOf::Earlier, RowOf::Sequence],
            Self::Whole => &[RowOf::Sequence],
            _ => &[RowOf::Earlier, RowOf::Later, RowOf::Sequence],
        }
    }
}

/// The rows of a window of sequences of some lengths, the longest first.
#[derive(Clone, Debug)]
struct Rows<'a> {
    lengths: &'a [usize],
    window: Range<usize>,
    way: Way,
}

impl Rows<'_> {
    /// Rows of a step.
    fn of(&self, step: usize) -> usize {
        let lengths = self.lengths.iter();
        lengths.filter(|&&length| length > step).count()
    }

    /// Rows of the window before a step.
    fn until(&self, step: usize) -> usize {
        (self.window.start..step).map(|step| self.of(step)).sum()
    }

    fn total(&self) -> usize {
        self.until(self.window.end)
    }

    /// The most rows of a step.
    fn most(&self) -> usize {
        match self.way {
            Way::Whole => self.total(),
            _ => self.of(self.window.start),
        }
    }

    /// Step and row, in the order in which they are computed.
    fn all(&self) -> Vec<(usize, usize)> {
        let mut steps: Vec<usize> = self.window.clone().collect();
        if self.way.before() == Some(RowOf::Later) {
            steps.reverse();
        }
        let rows = steps
            .iter()
            .map(|&step| (0..self.of(step)).map(move |row| (step, row)));
        rows.flatten().collect()
    }

    /// Index in a band of a slot's row.
    fn index(&self, slot: RowOf, lead: usize, (step, row): (usize, usize)) -> usize {
        match slot {
            RowOf::This => lead + self.until(step) + row,
            RowOf::Earlier if step == self.window.start => row,
            RowOf::Earlier => lead + self.until(step - 1) + row,
            RowOf::Later if step + 1 < self.window.end && row < self.of(step + 1) => {
                lead + self.until(step + 1) + row
            }
            RowOf::Later => row,
            RowOf::Sequence if self.way == Way::Whole => self.until(step) + row,
            RowOf::Sequence => row,
        }
    }

    /// Whether a row has products that lead from a step to the next.
    fn has_products(&self, (step, row): (usize, usize)) -> bool {
        match self.way {
            Way::Backward => row < self.of(step + 1),
            Way::BackwardReverse => step > 0,
            _ => true,
        }
    }
}

impl<E: Scalar> OwnBand<E> {
    fn place(&self, rows: &Rows<'_>, slot: &Slot, at: (usize, usize)) -> usize {
        MARGIN + rows.index(slot.row, self.lead, at) * self.stride + slot.start
    }
}

/// The scalar loop of a recurrence; [`StoreSums`] where there is no mixture.
fn scalar<E: Scalar>(
    tier: Tier,
    rows: &Rows<'_>,
    bands: &mut [OwnBand<E>],
    stages: &[OwnStage<E>],
    mix: Option<&Mix<E>>,
) {
    let order = rows.all();
    // All rows of a step have come through a stage before any begins the next one.
    let mut steps: Vec<&[(usize, usize)]> = order.chunk_by(|one, other| one.0 == other.0).collect();
    if rows.way == Way::Whole {
        steps = vec![&order];
    }
    for step in steps {
        for (number, stage) in stages.iter().enumerate() {
            for &at in step {
                for unit in 0..stage.shape.units {
                    scalar_unit(tier, rows, bands, (number, stage), mix, (at, unit));
                }
            }
        }
    }
}

fn scalar_unit<E: Scalar>(
    tier: Tier,
    rows: &Rows<'_>,
    bands: &mut [OwnBand<E>],
    (number, stage): (usize, &OwnStage<E>),
    mix: Option<&Mix<E>>,
    (at, unit): ((usize, usize), usize),
) {
    let get = |bands: &[OwnBand<E>], slot: &Slot, index: usize| {
        let band = &bands[slot.band];
        band.data[band.place(rows, slot, at) + index]
    };
    let (units, groups) = (stage.shape.units, stage.shape.groups);
    let mut sums: Vec<E> = stage
        .starts
        .iter()
        .map(|start| match start {
            OwnStart::Zero => E::ZERO,
            OwnStart::Row(row) => row[unit],
            OwnStart::Read(index) => get(bands, &stage.reads[*index], unit),
        })
        .collect();
    for piece in &stage.pieces {
        if piece.is_recurrent && !rows.has_products(at) {
            continue;
        }
        let inputs = piece.inputs.iter();
        let left = inputs.flat_map(|input| (0..input.depth).map(move |k| (input.slot, k)));
        for (k, (slot, index)) in left.enumerate() {
            let left = get(bands, &slot, index);
            let right = &stage.matrix[(piece.depth + k) * groups * units..];
            for group in 0..groups {
                let sum = &mut sums[piece.first_sum + group];
                *sum = multiply_add(tier, left, right[group * units + unit], *sum);
            }
        }
    }
    for (write, slot) in stage.writes.iter().enumerate() {
        let value = match (stage.fused, mix) {
            (Some(_), _) if write > 0 => continue,
            (Some(Fused::Activate(activation)), _) => activated(tier, activation, sums[0]),
            (Some(Fused::TimesDerivative(activation)), _) => {
                times_derivative(tier, activation, sums[0], get(bands, &stage.reads[0], unit))
            }
            (None, None) => sums[write],
            (None, Some(mix)) => {
                let mut sums = sums.clone();
                for (sum, activation) in sums
                    .iter_mut()
                    .zip(mix.activations(number).into_iter().flatten())
                {
                    *sum = activated(tier, activation, *sum);
                }
                let reads = stage.reads.iter().map(|slot| get(bands, slot, unit));
                let ingredients = sums.iter().copied().chain(reads);
                let mixed = ingredients.enumerate().fold(
                    mix.parameters[unit],
                    |value, (index, ingredient)| {
                        let weight = weight(number, write, index);
                        multiply_add(tier, weight, ingredient, value)
                    },
                );
                activated(tier, Activation::Tanh, mixed)
            }
        };
        let band = &mut bands[slot.band];
        let place = band.place(rows, slot, at);
        band.data[place + unit] = value;
    }
}

/// The bands of the recurrences below.
const X: usize = 0;
const STATE: usize = 1;
const KEPT: usize = 2;
const SEQUENCE: usize = 3;
const OTHER: usize = 4;

/// Gives out places in the rows of bands.
struct Places {
    ends: [usize; 5],
}

impl Places {
    fn take(&mut self, numbers: &mut Numbers, band: usize, row: RowOf, width: usize) -> Slot {
        let start = self.ends[band] + numbers.pick(&[0, 0, 1, 3]);
        self.ends[band] = start + width;
        Slot { band, row, start }
    }
}

/// A recurrence of one stage or two, with operands, leads, strides, groups, pieces, slots and starts of the generator's
/// choice.
fn recurrence<E: Scalar>(
    tier: Tier,
    crew: Crew<'_>,
    numbers: &mut Numbers,
    lengths: &[usize],
    units: usize,
) {
    let way = numbers.pick(&Way::ALL);
    let window = match numbers.below(4) {
        0 if way != Way::BackwardReverse => window(numbers, lengths[0]),
        _ => 0..lengths[0],
    };
    let rows = Rows {
        lengths,
        window: window.clone(),
        way,
    };
    let mut places = Places { ends: [0; 5] };
    let is_fused = numbers.below(4) == 0;
    let stores = !is_fused && numbers.below(5) == 0;
    let two_stages = !is_fused && !stores && numbers.below(2) == 0;
    let second_units = match numbers.below(2) {
        0 => units,
        _ => numbers.pick(&[1, 5, 17]),
    };
    let state_units = if two_stages { second_units } else { units };
    let state = places.take(numbers, STATE, RowOf::This, state_units);
    let scratch = places.take(numbers, SEQUENCE, RowOf::Sequence, units);
    let carry = places.take(numbers, STATE, RowOf::This, units);
    let before = |slot: Slot| match way.before() {
        Some(row) => Slot { row, ..slot },
        None => Slot {
            band: OTHER,
            row: RowOf::This,
            start: 0,
        },
    };
    places.ends[OTHER] = state_units.max(units);
    // Read-only places of any kind.
    let read = |places: &mut Places, numbers: &mut Numbers, width: usize| {
        let row = numbers.pick(way.others());
        match numbers.below(4) {
            0 => places.take(numbers, X, RowOf::This, width),
            1 => places.take(numbers, KEPT, RowOf::This, width),
            2 if row == RowOf::Sequence => places.take(numbers, SEQUENCE, row, width),
            _ if row == RowOf::Sequence => places.take(numbers, OTHER, RowOf::This, width),
            _ => places.take(numbers, OTHER, row, width),
        }
    };
    let mut stages: Vec<OwnStage<E>> = Vec::new();
    for number in 0..1 + usize::from(two_stages) {
        let units = if number == 0 { units } else { second_units };
        let mut reads = Vec::new();
        for _ in 0..numbers.below(4) {
            reads.push(read(&mut places, numbers, units));
        }
        let mut writes = Vec::new();
        if number + 1 == 1 + usize::from(two_stages) {
            writes.push(state);
        }
        if number == 0 && !is_fused {
            writes.push(carry);
            if way != Way::Whole {
                reads.push(before(carry));
            }
            if two_stages {
                writes.push(scratch);
            }
            if numbers.below(2) == 0 {
                // What is read may also be written.
                let kept = places.take(numbers, KEPT, RowOf::This, units);
                reads.push(kept);
                writes.push(kept);
            }
        }
        if is_fused && numbers.below(2) == 0 {
            reads.push(state);
        }

        let groups = if is_fused {
            1
        } else {
            1 + numbers.below(MAX_SUMS)
        };
        let mut sums = groups;
        let mut inputs = vec![Input {
            slot: before(state),
            depth: state_units,
        }];
        let x_depth = numbers.pick(&DEPTHS);
        let x = Input {
            slot: places.take(numbers, X, RowOf::This, x_depth),
            depth: x_depth,
        };
        if number == 1 {
            inputs[0] = Input {
                slot: scratch,
                depth: scratch_depth(numbers, &stages),
            };
        }
        let is_recurrent = numbers.below(3) > 0;
        let b_depth = numbers.pick(&[0, 1, 5]);
        let mut pieces = vec![Piece {
            inputs,
            depth: b_depth,
            first_sum: 0,
            is_recurrent,
        }];
        match numbers.below(5) {
            // All in one.
            0 | 1 => pieces[0].inputs.insert(0, x),
            // Each its own, and not of the same sums.
            2 if !is_fused => {
                sums = groups + numbers.below(MAX_SUMS + 1 - groups);
                pieces[0].first_sum = sums - groups;
                pieces[0].depth += x_depth;
                pieces.insert(
                    0,
                    Piece {
                        inputs: vec![x],
                        depth: b_depth,
                        first_sum: 0,
                        is_recurrent: false,
                    },
                );
            }
            3 => {
                pieces[0].inputs.insert(0, x);
                pieces[0].inputs.push(Input {
                    slot: places.take(numbers, X, RowOf::This, 3),
                    depth: 3,
                });
            }
            4 if number == 0 && numbers.below(3) == 0 => pieces.clear(),
            _ => {}
        }
        let end = |piece: &Piece| {
            let depths = piece.inputs.iter().map(|input| input.depth);
            piece.depth + depths.sum::<usize>()
        };
        let depth = pieces.iter().map(end).max().unwrap_or(0) + numbers.pick(&[0, 3]);
        let matrix: Vec<E> = numbers.vec(depth * groups * units);
        let fused = is_fused.then(|| {
            let activation = numbers.pick(&Activation::ALL);
            if reads.is_empty() || numbers.below(2) == 0 {
                Fused::Activate(activation)
            } else {
                Fused::TimesDerivative(activation)
            }
        });
        if stores {
            writes.truncate(sums);
        }
        let starts = (0..sums).map(|_| match numbers.below(3) {
            0 => OwnStart::Zero,
            1 if !reads.is_empty() => OwnStart::Read(numbers.below(reads.len())),
            _ => OwnStart::Row(numbers.vec(units)),
        });
        stages.push(OwnStage {
            starts: starts.collect(),
            matrix,
            shape: grouped(depth, units, groups),
            tier,
            pieces,
            reads,
            writes,
            fused,
        });
    }

    let lead = rows.of(window.start);
    let mut bands: Vec<OwnBand<E>> = (0..5)
        .map(|band| {
            let width = places.ends[band];
            let stride = width + numbers.pick(&[0, 1, 5]);
            let (lead, count) = match band {
                X | KEPT => (numbers.pick(&[0, 0, 2]), rows.total()),
                SEQUENCE => (numbers.pick(&[0, 7]), rows.most()),
                _ => (lead + numbers.pick(&[0, 0, 2]), rows.total()),
            };
            let all = if band == SEQUENCE {
                count
            } else {
                lead + count
            };
            let len = if all == 0 {
                0
            } else {
                (all - 1) * stride + width
            };
            OwnBand {
                data: numbers.vec(len + 2 * MARGIN),
                stride,
                lead,
                is_written: [STATE, KEPT, SEQUENCE].contains(&band),
            }
        })
        .collect();

    let mut expected = bands.clone();
    let longest = units.max(second_units);
    let mix = Mix {
        stages: stages
            .iter()
            .map(|stage| [stage.starts.len(), stage.reads.len(), stage.writes.len()])
            .collect(),
        parameters: numbers.vec(longest),
        activations: numbers.pick(&[
            None,
            Some([
                Activation::Sigmoid,
                Activation::Tanh,
                Activation::Linear,
                Activation::Softsign,
            ]),
        ]),
    };
    let mixes = (!stores).then_some(&mix);
    scalar(tier, &rows, &mut expected, &stages, mixes);
    let layout = layout(lengths);
    let steps = way.steps(&layout, window);
    let grid = if crew.threads() > 1 {
        let units = 1 + numbers.below(crew.threads());
        let rows = 1 + numbers.below(2 * crew.threads() / units);
        Grid { rows, units }
    } else {
        Grid::ONE
    };
    match mixes {
        Some(mix) => with_recurrence(&mut bands, &stages, mix, &steps, |it| {
            recur_in(it, tier, crew, grid);
        }),
        None => with_recurrence(&mut bands, &stages, &StoreSums, &steps, |it| {
            recur_in(it, tier, crew, grid);
        }),
    }
    for (band, (actual, expected)) in bands.iter().zip(&expected).enumerate() {
        assert_same(&actual.data, &expected.data, || {
            let stages = stages.iter().map(|stage| {
                let starts = &stage.starts;
                let size = (stage.shape.units, stage.shape.groups);
                let slots = (&stage.reads, &stage.writes, stage.fused);
                format!("{size:?}, {slots:?}, {:?}, {starts:?}", stage.pieces)
            });
            let stages: Vec<String> = stages.collect();
            let name = E::NAME;
            format!("{tier:?}, {name}, {grid:?}, {way:?}, band {band}, {rows:?}: {stages:#?}")
        });
    }
}

/// The second stage reads some or all of what the first one has left for the sequence.
fn scratch_depth<E: Element>(numbers: &mut Numbers, stages: &[OwnStage<E>]) -> usize {
    let units = stages[0].shape.units;
    units - numbers.below(2).min(units)
}

fn recurrences<E: Scalar>(tier: Tier, all: &[Parallel]) {
    let mut numbers = Numbers::new(4);
    let lengths = [
        &[1][..],
        &[7],
        &[4, 2],
        &[5, 5, 3, 3, 2, 1],
        &[2; 13],
        &[3; 26],
        &[2; 60],
    ];
    for columns in columns::<E>(tier) {
        for lengths in lengths {
            if cfg!(miri) && lengths.len() >= 13 || columns * lengths.len() > 3000 {
                continue;
            }
            let parallel = &all[numbers.below(all.len())];
            parallel.enter(CallCost::default(), |crew| {
                assert_eq!(crew.threads(), parallel.threads());
                recurrence::<E>(tier, crew, &mut numbers, lengths, columns);
            });
        }
    }
    // Many choices, and each number of threads, with units that all of them have.
    let lanes = tier.run((Lanes, E::ZERO));
    let most = if cfg!(miri) { 3 } else { 150 };
    for (round, parallel) in (0..most).zip(all.iter().cycle()) {
        let units = match round % 3 {
            0 => 6 * lanes + 1 + numbers.below(3 * lanes),
            _ => 1 + numbers.below(3 * lanes),
        };
        let lengths = numbers.pick(&[&[2; 9][..], &[6, 5, 5, 4, 1], &[3, 1], &[4; 3]]);
        parallel.enter(CallCost::default(), |crew| {
            recurrence::<E>(tier, crew, &mut numbers, lengths, units);
        });
    }
}

#[test]
fn recurrences_equal_the_scalar_loop() {
    let parallel = [1, 2, 3, 4].map(|threads| {
        let mut parallel = Parallel::new(threads).unwrap();
        parallel.set_threshold(0);
        parallel
    });
    for tier in tiers() {
        recurrences::<f32>(tier, &parallel);
        recurrences::<f64>(tier, &parallel);
    }
}

/// Three sequences of 2, 2 and 1 steps, 4 inputs and 5 units, everything exactly as long as it must be: an input, a state
/// with a carry, and a place that a sequence has once.
struct Sample {
    bands: Vec<OwnBand<f32>>,
    stages: Vec<OwnStage<f32>>,
    lengths: Vec<usize>,
    window: Range<usize>,
    way: Way,
}

const LENGTHS: [usize; 3] = [2, 2, 1];
const UNITS: usize = 5;
const INPUTS: usize = 4;

impl Sample {
    fn new(tier: Tier) -> Self {
        let band = |rows: usize, width, lead, is_written| OwnBand {
            data: vec![0.5; rows * width + 2 * MARGIN],
            stride: width,
            lead,
            is_written,
        };
        let slot = |band, row, start| Slot { band, row, start };
        let (groups, depth) = (2, INPUTS + UNITS);
        let matrix = vec![0.1; depth * groups * UNITS];
        Self {
            bands: vec![
                band(5, INPUTS, 0, false),
                band(3 + 5, 2 * UNITS, 3, true),
                band(3, UNITS, 0, true),
            ],
            stages: vec![OwnStage {
                matrix,
                shape: grouped(depth, UNITS, groups),
                tier,
                pieces: vec![Piece {
                    inputs: vec![
                        Input {
                            slot: slot(0, RowOf::This, 0),
                            depth: INPUTS,
                        },
                        Input {
                            slot: slot(1, RowOf::Earlier, 0),
                            depth: UNITS,
                        },
                    ],
                    depth: 0,
                    first_sum: 0,
                    is_recurrent: true,
                }],
                starts: vec![OwnStart::Row(vec![0.0; UNITS]), OwnStart::Read(0)],
                reads: vec![slot(1, RowOf::Earlier, UNITS), slot(2, RowOf::Sequence, 0)],
                writes: vec![
                    slot(1, RowOf::This, 0),
                    slot(1, RowOf::This, UNITS),
                    slot(2, RowOf::Sequence, 0),
                ],
                fused: None,
            }],
            lengths: LENGTHS.to_vec(),
            window: 0..2,
            way: Way::Forward,
        }
    }

    /// The same with a fused function of one sum.
    fn fused(tier: Tier) -> Self {
        let mut sample = Self::new(tier);
        let stage = &mut sample.stages[0];
        stage.shape.groups = 1;
        stage.matrix.truncate((INPUTS + UNITS) * UNITS);
        stage.starts.truncate(1);
        stage.fused = Some(Fused::TimesDerivative(Activation::Tanh));
        sample
    }

    fn run(mut self, tier: Tier) {
        let layout = layout(&self.lengths);
        let steps = self.way.steps(&layout, self.window);
        let mix = Mix {
            stages: vec![[2, 2, 3]],
            parameters: vec![0.1; UNITS],
            activations: None,
        };
        with_recurrence(&mut self.bands, &self.stages, &mix, &steps, |it| {
            recur(it, tier, Crew::ALONE);
        });
    }

    /// What reads the step before reads `row` instead.
    fn look(&mut self, row: RowOf) {
        self.stages[0].reads[0].row = row;
        self.stages[0].pieces[0].inputs[1].slot.row = row;
    }
}

/// A change of a sample.
type Change = fn(&mut Sample);

#[test]
fn recurrences_with_operands_that_are_too_short_are_not_run() {
    let shorter = |band: usize| move |it: &mut Sample| _ = it.bands[band].data.pop();
    for tier in tiers() {
        Sample::new(tier).run(tier);
        Sample::fused(tier).run(tier);
        for band in 0..3 {
            let mut sample = Sample::new(tier);
            shorter(band)(&mut sample);
            assert_panics(|| sample.run(tier));
        }
        let wrong: &[Change] = &[
            // Rows that reach into the next one, or beyond the last.
            |it| it.bands[0].stride = INPUTS - 1,
            |it| it.bands[0].stride = INPUTS + 1,
            |it| it.bands[0].stride = usize::MAX,
            |it| it.bands[1].stride = 2 * UNITS - 1,
            |it| it.bands[1].stride = 2 * UNITS + 1,
            |it| it.bands[2].stride = UNITS - 1,
            |it| it.bands[2].stride = UNITS + 1,
            // A lead too short for the sequences, or too long for the rows behind it.
            |it| it.bands[1].lead = 2,
            |it| it.bands[1].lead = 4,
            |it| it.bands[1].lead = usize::MAX,
            |it| it.bands[0].lead = 1,
            |it| it.stages[0].reads[1].row = RowOf::This,
            |it| it.stages[0].reads[1].row = RowOf::Earlier,
            // Slots that end behind their rows.
            |it| it.stages[0].reads[0].start = UNITS + 1,
            |it| it.stages[0].reads[0].start = usize::MAX,
            |it| it.stages[0].writes[1].start = UNITS + 1,
            |it| it.stages[0].writes[1].start = usize::MAX,
            |it| it.stages[0].writes[2].start = 1,
            |it| it.stages[0].pieces[0].inputs[0].slot.start = 1,
            |it| it.stages[0].pieces[0].inputs[0].slot.start = usize::MAX,
            |it| it.stages[0].pieces[0].inputs[1].slot.start = UNITS + 1,
            // More k than the rows, or the weights, have.
            |it| it.stages[0].pieces[0].inputs[0].depth = INPUTS + 1,
            |it| it.stages[0].pieces[0].inputs[1].depth = UNITS + 1,
            |it| it.stages[0].pieces[0].inputs[1].depth = usize::MAX,
            |it| it.stages[0].pieces[0].depth = 1,
            |it| it.stages[0].pieces[0].depth = usize::MAX,
            // Bands that are not there, and more of all than there is room for.
            |it| it.stages[0].reads[0].band = 3,
            |it| it.stages[0].writes[0].band = usize::MAX,
            |it| {
                let spare = it.bands[0].clone();
                it.bands.resize(MAX_BANDS + 1, spare);
            },
            |it| {
                let spare = it.stages[0].reads[0];
                it.stages[0].reads.resize(MAX_SLOTS + 1, spare);
            },
            |it| {
                let input = it.stages[0].pieces[0].inputs[0];
                it.stages[0].pieces[0].inputs = vec![Input { depth: 1, ..input }; 4];
            },
            |it| it.stages[0].starts.resize(MAX_SUMS + 1, OwnStart::Zero),
            // Sums that are not there.
            |it| it.stages[0].pieces[0].first_sum = 1,
            |it| it.stages[0].pieces[0].first_sum = usize::MAX,
            |it| _ = it.stages[0].starts.pop(),
            |it| it.stages[0].starts[0] = OwnStart::Row(vec![0.0; UNITS - 1]),
            |it| it.stages[0].starts[0] = OwnStart::Read(2),
            // The tile has one sum, of one product, and needs a place to store it, and a value to take the derivative at.
            |it| it.stages[0].fused = Some(Fused::Activate(Activation::Tanh)),
        ];
        for (index, change) in wrong.iter().enumerate() {
            let mut sample = Sample::new(tier);
            change(&mut sample);
            let result = catch_unwind(AssertUnwindSafe(|| sample.run(tier)));
            assert!(result.is_err(), "{tier:?}: change {index}");
        }
        let wrong: &[Change] = &[
            |it| it.stages[0].reads.clear(),
            |it| it.stages[0].writes.clear(),
            |it| {
                it.stages[0].writes.clear();
                it.stages[0].fused = Some(Fused::Activate(Activation::Tanh));
            },
            |it| {
                let piece = it.stages[0].pieces[0].clone();
                it.stages[0].pieces.push(piece);
            },
        ];
        for (index, change) in wrong.iter().enumerate() {
            let mut sample = Sample::fused(tier);
            change(&mut sample);
            let result = catch_unwind(AssertUnwindSafe(|| sample.run(tier)));
            assert!(result.is_err(), "{tier:?}: change {index} of a fused stage");
        }
    }
}

/// Threads meet only between stages: within one, each has units of its own, and nothing that another one writes is read.
#[test]
fn recurrences_whose_threads_could_meet_are_not_run() {
    let tier = Tier::PORTABLE;
    let wrong: &[Change] = &[
        // What is only read is not written, nor are the rows of other steps.
        |it| it.bands[1].is_written = false,
        |it| it.bands[2].is_written = false,
        |it| it.stages[0].writes[0].row = RowOf::Earlier,
        // Slots that overlap, in part and as a whole.
        |it| it.stages[0].writes[1].start = UNITS - 1,
        |it| it.stages[0].writes[1].start = 0,
        |it| it.stages[0].writes[2] = it.stages[0].writes[0],
        // Rows of a sequence may be any step's.
        |it| {
            it.stages[0].writes[2] = Slot {
                row: RowOf::Sequence,
                ..it.stages[0].writes[0]
            };
        },
        // Units of one thread that another one reads as its own.
        |it| {
            it.stages[0].reads[1] = Slot {
                start: 1,
                ..it.stages[0].writes[0]
            };
        },
        |it| {
            it.stages[0].reads[1] = Slot {
                row: RowOf::Sequence,
                ..it.stages[0].writes[0]
            };
        },
        // What a product reads is written in the same stage.
        |it| it.stages[0].pieces[0].inputs[1].slot = it.stages[0].writes[0],
        |it| it.stages[0].pieces[0].inputs[1].slot.row = RowOf::This,
        |it| it.stages[0].pieces[0].inputs[1].slot = it.stages[0].writes[2],
        |it| {
            it.stages[0].pieces[0].inputs[0] = Input {
                slot: Slot {
                    start: UNITS - 1,
                    ..it.stages[0].writes[1]
                },
                depth: 2,
            };
        },
        // Rows that are not cut where sequences end: the step behind has fewer.
        |it| it.look(RowOf::Later),
        |it| it.stages[0].reads[0].row = RowOf::Later,
        // All rows at once: the steps beside them are among themselves.
        |it| it.way = Way::Whole,
        |it| {
            it.way = Way::Whole;
            it.look(RowOf::Later);
        },
    ];
    for (index, change) in wrong.iter().enumerate() {
        let mut sample = Sample::new(tier);
        change(&mut sample);
        let result = catch_unwind(AssertUnwindSafe(|| sample.run(tier)));
        assert!(result.is_err(), "change {index}");
    }
    // What is right, so that the reason for each of these is the only one.
    let right: &[Change] = &[
        |it| it.stages[0].reads[1] = it.stages[0].writes[0],
        |it| {
            it.way = Way::ForwardReverse;
            it.look(RowOf::Later);
        },
        |it| {
            it.way = Way::Backward;
            it.look(RowOf::Later);
        },
        |it| it.way = Way::BackwardReverse,
        |it| it.window = 1..1,
    ];
    for change in right {
        let mut sample = Sample::new(tier);
        change(&mut sample);
        sample.run(tier);
    }
    let layout = layout(&LENGTHS);
    assert_panics(|| _ = TimeSteps::forward(&layout, 1..3));
    #[expect(clippy::reversed_empty_ranges, reason = "it is wrong on purpose")]
    let reversed = 2..1;
    assert_panics(|| _ = TimeSteps::backward(&layout, reversed.clone()));
}

/// Panels are as wide as the tier that they were packed for makes them.
#[test]
fn a_recurrence_packed_for_tiles_of_another_width_is_not_run() {
    for packer in tiers() {
        for tier in tiers() {
            let run = || Sample::new(packer).run(tier);
            if panel_width::<f32>(packer) == panel_width::<f32>(tier) {
                run();
            } else {
                assert_panics(run);
            }
        }
    }
}
