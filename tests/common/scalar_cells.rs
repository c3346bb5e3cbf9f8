//! Gated cells, options and directions by plain scalar loops.
//!
//! Every sum starts at its bias, or at 0, and takes the products of x and then of h in their order, gate by gate. A gradient
//! of h starts at that of the output (and of the final state) and takes the products of the gradients of the sums of the
//! next step, r, z and the product's n of a GRU; one of x takes those of the forward direction, then those of the reverse one.
//! Gradients of parameters take the rows of a batch, or of a half of it, from the last to the first, whichever way the layer
//! goes.

use elman::{Activation, Direction, LastOutput, Merge, RecurrentOptions, Reset};

use super::cells::{Cell, Kind};
use super::scalar::{Arithmetic, MulAdd, Row, States, Takes, by_halves};

/// The parameters of a direction, each empty where there is none.
struct Way<'a, E> {
    is_reverse: bool,
    w_x: &'a [E],
    w_h: &'a [E],
    b: &'a [E],
    q: &'a [E],
    p: &'a [E],
    r: &'a [E],
    /// h, then c.
    own_state: &'a [E],
    first_state: usize,
    gates: Activation,
    candidate: Activation,
    output: Activation,
}

/// A layer with its parameters.
pub struct CellPart<'a, E> {
    cell: Cell,
    options: RecurrentOptions,
    inputs: usize,
    ways: Vec<Way<'a, E>>,
}

/// What a step makes: what the backward pass reads.
#[derive(Clone, Default)]
struct Made<E> {
    /// i, f, g, o or r, z, n.
    gates: Vec<Vec<E>>,
    c: Vec<E>,
    h: Vec<E>,
    /// o∘tanh(c); r∘h, or h W_hn + q.
    inner: Vec<E>,
}

/// A forward pass.
pub struct Trace<E> {
    /// `[rows][outputs]`
    pub output: Vec<E>,
    ways: Vec<Vec<Made<E>>>,
}

/// Gradients of a step.
#[derive(Clone, Default)]
struct Deltas<E> {
    /// Of the sums that x feeds, gate after gate.
    sums: Vec<E>,
    /// Of the product of h with W_hn.
    inner: Vec<E>,
    /// Of h before a projection.
    h: Vec<E>,
    /// What is added to the gradients of h and of c before.
    h_before: Vec<E>,
    c_before: Vec<E>,
}

/// What a backward pass gives.
pub struct Gradients<E> {
    /// `[rows][inputs]`
    pub x: Vec<E>,
    pub parameters: Vec<E>,
}

impl<'a, E: MulAdd> CellPart<'a, E> {
    pub fn new(
        cell: Cell,
        inputs: usize,
        first_state: usize,
        mut take: impl FnMut(usize) -> &'a [E],
    ) -> Self {
        let options = cell.options();
        let (units, h) = (cell.units, cell.h_size());
        let gates = match cell.kind {
            Kind::Rnn(_) => 1,
            Kind::Gru => 3,
            Kind::Lstm if options.coupled => 3,
            Kind::Lstm => 4,
        };
        let reverses: &[bool] = match options.direction {
            Direction::Forward => &[false],
            Direction::Reverse => &[true],
            Direction::Bidirectional => &[false, true],
        };
        let state = cell.state_size() / reverses.len();
        let mut way = |(index, &is_reverse): (usize, &bool)| {
            let mut take_if = |has: bool, count| take(if has { count } else { 0 });
            let after = cell.kind == Kind::Gru && options.reset == Reset::After;
            let functions = options.activations[index];
            Way {
                is_reverse,
                w_x: take_if(true, inputs * gates * units),
                w_h: take_if(true, h * gates * units),
                b: take_if(options.bias, gates * units),
                q: take_if(options.bias && after, units),
                p: take_if(options.peepholes, (gates - 1) * units),
                r: take_if(options.projection > 0, units * h),
                own_state: take_if(options.initial_state != Default::default(), state),
                first_state: first_state + index * state,
                gates: functions.gates,
                candidate: match cell.kind {
                    Kind::Rnn(activation) => activation,
                    _ => functions.candidate,
                },
                output: functions.output,
            }
        };
        let ways = reverses.iter().enumerate().map(&mut way).collect();
        Self {
            cell,
            options,
            inputs,
            ways,
        }
    }

    pub fn outputs(&self) -> usize {
        self.cell.outputs()
    }

    pub fn forward(
        &self,
        by: &Arithmetic,
        rows: &[Row],
        x: &[E],
        states: States<'_, E>,
    ) -> Trace<E> {
        let ways: Vec<Vec<Made<E>>> = self
            .ways
            .iter()
            .map(|way| {
                let mut made = vec![Made::default(); rows.len()];
                for index in way.in_order(rows.len()) {
                    let x = &x[index * self.inputs..][..self.inputs];
                    let before = self.before(way, &rows[index], &made, states);
                    made[index] = self.step(way, by, x, &before);
                }
                made
            })
            .collect();
        let merged = |row: usize| match &ways[..] {
            [only] => only[row].h.clone(),
            [first, second, ..] => self.merged(&first[row].h, &second[row].h),
            [] => unreachable!("a layer has a direction"),
        };
        let output = (0..rows.len()).flat_map(merged).collect();
        Trace { output, ways }
    }

    fn merged(&self, first: &[E], second: &[E]) -> Vec<E> {
        let pairs = first.iter().zip(second);
        match self.options.merge {
            Merge::Concat => [first, second].concat(),
            Merge::Sum => pairs.map(|(&a, &b)| a + b).collect(),
            Merge::Mean => pairs.map(|(&a, &b)| (a + b) * E::from_f64(0.5)).collect(),
            Merge::Product => pairs.map(|(&a, &b)| a * b).collect(),
        }
    }

    /// What is left of the gradient of a merged output for each direction, whose values these are.
    fn split(&self, given: &[E], values: [&[E]; 2]) -> [Vec<E>; 2] {
        let times = |values: &[E]| given.iter().zip(values).map(|(&g, &v)| g * v).collect();
        match self.options.merge {
            Merge::Concat => {
                let (first, second) = given.split_at(given.len() / 2);
                [first.to_vec(), second.to_vec()]
            }
            Merge::Sum => [given.to_vec(), given.to_vec()],
            Merge::Mean => {
                let half = vec![E::from_f64(0.5); given.len()];
                [times(&half), times(&half)]
            }
            Merge::Product => [times(values[1]), times(values[0])],
        }
    }

    /// The row of each direction that is a sequence's last output.
    fn last_row(&self, way: &Way<'_, E>, rows: &[Row], end: usize) -> usize {
        if !way.is_reverse || self.options.last == LastOutput::LastStep {
            return end;
        }
        let mut row = end;
        while let Some(before) = rows[row].before {
            row = before;
        }
        row
    }

    /// The last outputs of sequences that end in these rows.
    pub fn last(&self, rows: &[Row], trace: &Trace<E>, ends: &[usize]) -> Vec<E> {
        let h = |way: usize, end| {
            let row = self.last_row(&self.ways[way], rows, end);
            &trace.ways[way][row].h[..]
        };
        ends.iter()
            .flat_map(|&end| match self.ways.len() {
                1 => h(0, end).to_vec(),
                _ => self.merged(h(0, end), h(1, end)),
            })
            .collect()
    }

    /// h and c before a step.
    fn before(
        &self,
        way: &Way<'_, E>,
        row: &Row,
        made: &[Made<E>],
        states: States<'_, E>,
    ) -> [Vec<E>; 2] {
        match way.before(row) {
            Some(before) => [made[before].h.clone(), made[before].c.clone()],
            None => {
                let size = self.cell.state_size() / self.ways.len();
                let given = states.part(row.sequence, way.first_state, size);
                let zeros = vec![E::ZERO; size];
                let state = match (given, way.own_state) {
                    (Some(given), _) => given,
                    (None, []) => &zeros,
                    (None, own) => own,
                };
                let (h, c) = state.split_at(self.cell.h_size());
                [h.to_vec(), c.to_vec()]
            }
        }
    }

    /// The chain of a column of a matrix of `width` columns.
    fn chain(
        by: &Arithmetic,
        start: E,
        left: &[E],
        matrix: &[E],
        width: usize,
        column: usize,
    ) -> E {
        let rows = left.iter().zip(matrix.chunks(width));
        rows.fold(start, |sum, (&left, row)| {
            by.mul_add(left, row[column], sum)
        })
    }

    fn clip(limit: f64, x: E) -> E {
        let limit = E::from_f64(limit);
        match limit > E::ZERO {
            true if x > limit => limit,
            true if x < -limit => -limit,
            _ => x,
        }
    }

    /// The values of sums.
    fn values(&self, by: &Arithmetic, activation: Activation, mut sums: Vec<E>) -> Vec<E> {
        for sum in &mut sums {
            *sum = Self::clip(self.options.clip_sums, *sum);
        }
        by.activate(activation, &mut sums);
        sums
    }

    /// The gradients of sums, given those of their values: none where one is clipped.
    fn gradients(
        &self,
        by: &Arithmetic,
        activation: Activation,
        gradients: Vec<E>,
        values: &[E],
    ) -> Vec<E> {
        let limit = E::from_f64(self.options.clip_sums);
        let mut ends = [limit, -limit];
        by.activate(activation, &mut ends);
        let [a, b] = ends;
        let (low, high) = if a < b { (a, b) } else { (b, a) };
        let pairs = gradients.into_iter().zip(values);
        pairs
            .map(|(gradient, &value)| {
                let result = by.times_derivative(activation, gradient, value);
                match limit == E::ZERO || low < value && value < high {
                    true => result,
                    false => E::ZERO,
                }
            })
            .collect()
    }

    fn step(&self, way: &Way<'_, E>, by: &Arithmetic, x: &[E], [h, c]: &[Vec<E>; 2]) -> Made<E> {
        let units = self.cell.units;
        let gates = way.w_x.len() / (self.inputs * units);
        let width = gates * units;
        let bias = |b: &[E], index: usize| b.get(index).copied().unwrap_or(E::ZERO);
        let of_x = |column| Self::chain(by, bias(way.b, column), x, way.w_x, width, column);
        let of_h = |start, h: &[E], column| Self::chain(by, start, h, way.w_h, width, column);
        let sum = |gate: usize, unit: usize| {
            let column = gate * units + unit;
            of_h(of_x(column), h, column)
        };
        let map = |f: &dyn Fn(usize) -> E| (0..units).map(f).collect::<Vec<E>>();
        let gate_of = |activation, gate| self.values(by, activation, map(&|unit| sum(gate, unit)));
        match self.cell.kind {
            Kind::Rnn(_) => Made {
                h: gate_of(way.candidate, 0),
                ..Made::default()
            },
            Kind::Gru => {
                let (r, z) = (gate_of(way.gates, 0), gate_of(way.gates, 1));
                let before = self.options.reset == Reset::Before;
                let inner = map(&|unit| match before {
                    true => r[unit] * h[unit],
                    false => of_h(bias(way.q, unit), h, 2 * units + unit),
                });
                let n = map(&|unit| {
                    let column = 2 * units + unit;
                    match before {
                        true => of_h(of_x(column), &inner, column),
                        false => by.mul_add(r[unit], inner[unit], of_x(column)),
                    }
                });
                let n = self.values(by, way.candidate, n);
                Made {
                    h: map(&|unit| by.mul_add(z[unit], h[unit] - n[unit], n[unit])),
                    gates: vec![r, z, n],
                    inner,
                    ..Made::default()
                }
            }
            Kind::Lstm => {
                let coupled = self.options.coupled;
                let gate_with = |row: usize, gate, c: &[E]| {
                    let sums = map(&|unit| match way.p {
                        [] => sum(gate, unit),
                        p => by.mul_add(p[row * units + unit], c[unit], sum(gate, unit)),
                    });
                    self.values(by, way.gates, sums)
                };
                let i = gate_with(0, 0, c);
                let f = match coupled {
                    true => map(&|unit| E::ONE - i[unit]),
                    false => gate_with(1, 1, c),
                };
                let g = gate_of(way.candidate, gates - 2);
                let new = map(&|unit| {
                    let new = by.mul_add(f[unit], c[unit], i[unit] * g[unit]);
                    Self::clip(self.options.clip_state, new)
                });
                let o = gate_with(gates - 2, gates - 1, &new);
                let mut squashed = new.clone();
                by.activate(way.output, &mut squashed);
                let inner = map(&|unit| o[unit] * squashed[unit]);
                let h = match way.r {
                    [] => inner.clone(),
                    r => {
                        let width = self.cell.h_size();
                        let column = |column| Self::chain(by, E::ZERO, &inner, r, width, column);
                        (0..width).map(column).collect()
                    }
                };
                Made {
                    gates: vec![i, f, g, o],
                    c: new,
                    h,
                    inner,
                }
            }
        }
    }

    /// Given the gradient of the output, and with `last` of the last outputs of the sequences that end in some rows.
    #[allow(clippy::too_many_arguments)] // all that a layer knows of a pass
    pub fn backward(
        &self,
        by: &Arithmetic,
        rows: &[Row],
        x: &[E],
        trace: &Trace<E>,
        given: &[E],
        last: Option<(&[usize], &[E])>,
        states: States<'_, E>,
        dstates: States<'_, E>,
        [final_states, first_gradients]: [&mut [E]; 2],
    ) -> Gradients<E> {
        let outputs = self.outputs();
        let mut of_ways: Vec<Vec<Vec<E>>> = vec![Vec::new(); self.ways.len()];
        for (row, given) in given.chunks(outputs).enumerate() {
            match &mut of_ways[..] {
                [only] => only.push(given.to_vec()),
                [first, second, ..] => {
                    let values = [0, 1].map(|way| &trace.ways[way][row].h[..]);
                    let [a, b] = self.split(given, values);
                    first.push(a);
                    second.push(b);
                }
                [] => unreachable!("a layer has a direction"),
            }
        }
        if let Some((ends, given)) = last {
            for (&end, given) in ends.iter().zip(given.chunks(outputs)) {
                let at = |way: usize| self.last_row(&self.ways[way], rows, end);
                let parts = match self.ways.len() {
                    1 => vec![given.to_vec()],
                    _ => {
                        let values = [0, 1].map(|way| &trace.ways[way][at(way)].h[..]);
                        self.split(given, values).to_vec()
                    }
                };
                // It starts at them: what is added to 0 would lose the sign of -0.
                for (way, part) in parts.into_iter().enumerate() {
                    of_ways[way][at(way)] = part;
                }
            }
        }

        let mut gradients = Gradients {
            x: vec![E::ZERO; rows.len() * self.inputs],
            parameters: Vec::new(),
        };
        let (h_size, size) = (self.cell.h_size(), self.cell.state_size() / self.ways.len());
        for (way, (made, mut given)) in self.ways.iter().zip(trace.ways.iter().zip(of_ways)) {
            let mut deltas = vec![Deltas::default(); rows.len()];
            for index in way.in_order(rows.len()).rev() {
                let row = &rows[index];
                let place = row.sequence * states.size + way.first_state;
                let mut c_behind = vec![E::ZERO; size - h_size];
                if way.behind(row).is_none() {
                    final_states[place..place + h_size].copy_from_slice(&made[index].h);
                    final_states[place + h_size..place + size].copy_from_slice(&made[index].c);
                    if let Some(dstate) = dstates.part(row.sequence, way.first_state, size) {
                        for (sum, &dstate) in given[index].iter_mut().zip(dstate) {
                            *sum += dstate;
                        }
                        c_behind.copy_from_slice(&dstate[h_size..]);
                    }
                }
                let behind = way.behind(row).map(|behind| &deltas[behind]);
                let mut dh = std::mem::take(&mut given[index]);
                if let Some(behind) = behind {
                    self.products_of(way, by, behind, &mut dh);
                    c_behind.clone_from(&behind.c_before);
                }
                if self.cell.kind == Kind::Gru {
                    for (unit, dh) in dh.iter_mut().enumerate() {
                        *dh += behind.map_or(E::ZERO, |behind| behind.h_before[unit]);
                    }
                }
                let before = self.before(way, row, made, states);
                deltas[index] = self.step_back(way, by, &made[index], &before, dh, c_behind);
            }
            for (row, delta) in rows.iter().zip(&deltas) {
                if way.before(row).is_some() {
                    continue;
                }
                let mut first = vec![E::ZERO; size];
                self.products_of(way, by, delta, &mut first[..h_size]);
                let carried = delta.h_before.iter().zip(&mut first[..h_size]);
                carried.for_each(|(&carried, sum)| *sum += carried);
                let carried = delta.c_before.iter().zip(&mut first[h_size..]);
                carried.for_each(|(&carried, sum)| *sum += carried);
                let place = row.sequence * states.size + way.first_state;
                first_gradients[place..place + size].copy_from_slice(&first);
            }
            // Sequences from the shortest to the longest.
            let own = by_halves(rows, |takes| {
                let mut own = vec![E::ZERO; way.own_state.len()];
                let firsts = rows.iter().filter(|row| row.before.is_none() && takes(row));
                if states.values.is_none() {
                    for row in firsts.rev() {
                        let place = row.sequence * states.size + way.first_state;
                        for (sum, &first) in own.iter_mut().zip(&first_gradients[place..]) {
                            *sum += first;
                        }
                    }
                }
                own
            });
            let width = way.w_x.len() / self.inputs;
            for (row, dx) in gradients.x.chunks_mut(self.inputs).enumerate() {
                for (input, dx) in dx.iter_mut().enumerate() {
                    let weights = &way.w_x[input * width..][..width];
                    let pairs = deltas[row].sums.iter().zip(weights);
                    *dx = pairs.fold(*dx, |sum, (&delta, &w)| by.mul_add(delta, w, sum));
                }
            }
            let of_way = by_halves(rows, |takes| {
                self.parameter_gradients(way, by, (rows, takes), x, made, &deltas, states)
            });
            gradients.parameters.extend(of_way);
            gradients.parameters.extend(own);
        }
        gradients
    }

    /// Adds the products with W_h^T.
    fn products_of(&self, way: &Way<'_, E>, by: &Arithmetic, delta: &Deltas<E>, sums: &mut [E]) {
        let units = self.cell.units;
        let width = way.w_x.len() / self.inputs;
        let from = match self.cell.kind {
            // Of n's part, the gradient of the product; before it, r∘h has had it.
            Kind::Gru => [&delta.sums[..2 * units], &delta.inner].concat(),
            _ => delta.sums.clone(),
        };
        for (sum, weights) in sums.iter_mut().zip(way.w_h.chunks(width)) {
            let pairs = from.iter().zip(weights);
            *sum = pairs.fold(*sum, |sum, (&delta, &w)| by.mul_add(delta, w, sum));
        }
    }

    fn step_back(
        &self,
        way: &Way<'_, E>,
        by: &Arithmetic,
        made: &Made<E>,
        [h, c]: &[Vec<E>; 2],
        dh: Vec<E>,
        c_behind: Vec<E>,
    ) -> Deltas<E> {
        let units = self.cell.units;
        let width = way.w_x.len() / self.inputs;
        let map = |f: &dyn Fn(usize) -> E| (0..units).map(f).collect::<Vec<E>>();
        let back = |activation, values: &[E], f: &dyn Fn(usize) -> E| {
            self.gradients(by, activation, map(f), values)
        };
        let dot = |left: &[E], right: &[E]| {
            let pairs = left.iter().zip(right);
            pairs.fold(E::ZERO, |sum, (&a, &b)| by.mul_add(a, b, sum))
        };
        match self.cell.kind {
            Kind::Rnn(_) => Deltas {
                sums: back(way.candidate, &made.h, &|unit| dh[unit]),
                ..Deltas::default()
            },
            Kind::Gru => {
                let [r, z, n] = [0, 1, 2].map(|gate| &made.gates[gate]);
                let dz = back(way.gates, z, &|unit| dh[unit] * (h[unit] - n[unit]));
                let dn = back(way.candidate, n, &|unit| dh[unit] * (E::ONE - z[unit]));
                let mut h_before = map(&|unit| by.mul_add(dh[unit], z[unit], E::ZERO));
                let (dr, inner);
                if self.options.reset == Reset::After {
                    dr = back(way.gates, r, &|unit| dn[unit] * made.inner[unit]);
                    inner = map(&|unit| dn[unit] * r[unit]);
                } else {
                    let of_product =
                        map(&|unit| dot(&dn, &way.w_h[unit * width + 2 * units..][..units]));
                    dr = back(way.gates, r, &|unit| of_product[unit] * h[unit]);
                    for (unit, sum) in h_before.iter_mut().enumerate() {
                        *sum += of_product[unit] * r[unit];
                    }
                    inner = Vec::new();
                }
                Deltas {
                    sums: [dr, dz, dn].concat(),
                    inner,
                    h_before,
                    ..Deltas::default()
                }
            }
            Kind::Lstm => {
                let dm: Vec<E> = match way.r {
                    [] => dh.clone(),
                    r => r.chunks(dh.len()).map(|row| dot(&dh, row)).collect(),
                };
                let [i, f, g, o] = [0, 1, 2, 3].map(|gate| &made.gates[gate]);
                let coupled = self.options.coupled;
                let peephole = |row: usize, unit: usize, delta: E, sum: E| match way.p {
                    [] => sum,
                    p => by.mul_add(delta, p[row * units + unit], sum),
                };
                let mut squashed = made.c.clone();
                by.activate(way.output, &mut squashed);
                let d_o = back(way.gates, o, &|unit| dm[unit] * squashed[unit]);
                let limit = E::from_f64(self.options.clip_state);
                let dc = map(&|unit| {
                    let last = if coupled { 1 } else { 2 };
                    let sum = peephole(last, unit, d_o[unit], c_behind[unit]);
                    let through = dm[unit] * o[unit];
                    let sum = sum + by.times_derivative(way.output, through, squashed[unit]);
                    let c = made.c[unit];
                    match limit == E::ZERO || c < limit && -limit < c {
                        true => sum,
                        false => E::ZERO,
                    }
                });
                let d_g = back(way.candidate, g, &|unit| dc[unit] * i[unit]);
                let d_i = back(way.gates, i, &|unit| match coupled {
                    true => dc[unit] * (g[unit] - c[unit]),
                    false => dc[unit] * g[unit],
                });
                let mut c_before = map(&|unit| peephole(0, unit, d_i[unit], dc[unit] * f[unit]));
                let mut sums = vec![d_i];
                if !coupled {
                    let d_f = back(way.gates, f, &|unit| dc[unit] * c[unit]);
                    c_before = map(&|unit| peephole(1, unit, d_f[unit], c_before[unit]));
                    sums.push(d_f);
                }
                sums.extend([d_g, d_o]);
                Deltas {
                    sums: sums.concat(),
                    h: dh,
                    c_before,
                    ..Deltas::default()
                }
            }
        }
    }

    #[allow(clippy::too_many_arguments)] // all that a layer knows of a pass
    fn parameter_gradients(
        &self,
        way: &Way<'_, E>,
        by: &Arithmetic,
        (rows, takes): (&[Row], Takes<'_>),
        x: &[E],
        made: &[Made<E>],
        deltas: &[Deltas<E>],
        states: States<'_, E>,
    ) -> Vec<E> {
        let units = self.cell.units;
        let mut sums = [way.w_x, way.w_h, way.b, way.q, way.p, way.r]
            .map(|tensor| vec![E::ZERO; tensor.len()]);
        let [w_x, w_h, b, q, p, r] = &mut sums;
        let product = |sums: &mut [E], left: &[E], delta: &[E]| {
            let width = delta.len();
            for (sums, &left) in sums.chunks_mut(width).zip(left) {
                for (sum, &delta) in sums.iter_mut().zip(delta) {
                    *sum = by.mul_add(left, delta, *sum);
                }
            }
        };
        let times = |sums: &mut [E], left: &[E], delta: &[E]| {
            for ((sum, &left), &delta) in sums.iter_mut().zip(left).zip(delta) {
                *sum = by.mul_add(delta, left, *sum);
            }
        };
        let add = |sums: &mut [E], delta: &[E]| {
            for (sum, &delta) in sums.iter_mut().zip(delta) {
                *sum += delta;
            }
        };
        let rows = rows.iter().enumerate().rev();
        for (index, row) in rows.filter(|(_, row)| takes(row)) {
            let (made_here, delta) = (&made[index], &deltas[index]);
            let [h, c] = self.before(way, row, made, states);
            product(w_x, &x[index * self.inputs..][..self.inputs], &delta.sums);
            if self.cell.kind == Kind::Gru {
                // n's columns of W_h have met another vector or have another gradient.
                let before = self.options.reset == Reset::Before;
                for (unit, sums) in w_h.chunks_mut(3 * units).enumerate() {
                    let (gates, candidate) = sums.split_at_mut(2 * units);
                    product(gates, &h[unit..=unit], &delta.sums[..2 * units]);
                    match before {
                        true => product(
                            candidate,
                            &made_here.inner[unit..=unit],
                            &delta.sums[2 * units..],
                        ),
                        false => product(candidate, &h[unit..=unit], &delta.inner),
                    }
                }
            } else {
                product(w_h, &h, &delta.sums);
            }
            add(b, &delta.sums);
            add(q, &delta.inner);
            if !p.is_empty() {
                let last = p.len() / units - 1;
                for gate in 0..last {
                    let range = gate * units..(gate + 1) * units;
                    times(&mut p[range.clone()], &c, &delta.sums[range]);
                }
                let d_o = &delta.sums[delta.sums.len() - units..];
                times(&mut p[last * units..], &made_here.c, d_o);
            }
            if !r.is_empty() {
                product(r, &made_here.inner, &delta.h);
            }
        }
        sums.concat()
    }
}

impl<E> Way<'_, E> {
    /// The rows in the order of the direction.
    fn in_order(&self, count: usize) -> impl DoubleEndedIterator<Item = usize> + use<E> {
        let is_reverse = self.is_reverse;
        (0..count).map(move |index| if is_reverse { count - 1 - index } else { index })
    }

    fn before(&self, row: &Row) -> Option<usize> {
        if self.is_reverse {
            row.after
        } else {
            row.before
        }
    }

    fn behind(&self, row: &Row) -> Option<usize> {
        if self.is_reverse {
            row.before
        } else {
            row.after
        }
    }
}
