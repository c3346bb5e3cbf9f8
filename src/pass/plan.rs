//! How the threads of a call divide its work: decided once, from what it costs ([`crate::parallel::cost`]).

use super::WINDOW_ROWS;
use crate::Element;
use crate::kernels::product::ROWS_AS_FAST_AS_ONE;
use crate::layer::LayerSpec;
use crate::model::{LayerSlot, Model};
use crate::parallel::Shares;
use crate::parallel::cost::{ELEMENT_ALONE, StepCost, worth};

/// See the module's documentation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Plan {
    /// One thread runs all sequences.
    #[default]
    Alone,
    /// Each of so many shards of the sequences is run by one thread.
    Sequences(usize),
    /// Threads share every step, in each layer as many as its steps are worth: so many at most.
    Steps(usize),
}

impl Plan {
    /// For a batch and the threads that may share it.
    pub fn new<E: Element>(model: &Model<E>, batch: usize, shares: Shares) -> Self {
        if shares.threads < 2 {
            return Self::Alone;
        }
        let costs = Costs::new(model, batch, shares);
        // Threads that share steps wait for each other at every one: for that it must be worth something.
        let is_worth = |cost: usize| costs.steps < worth(cost);
        match costs.shards {
            0 | 1 if is_worth(costs.alone) => Self::Steps(costs.threads),
            0 | 1 => Self::Alone,
            _ if is_worth(costs.sequences) => Self::Steps(costs.threads),
            shards => Self::Sequences(shards),
        }
    }

    /// The number of shards of a batch that has sequences.
    pub fn shards(self) -> usize {
        match self {
            Self::Sequences(shards) => shards,
            _ => 1,
        }
    }

    /// Rows that a window of inference has about in each shard, at most.
    pub fn window_rows(self) -> usize {
        match self {
            Self::Alone | Self::Sequences(_) => WINDOW_ROWS,
            Self::Steps(threads) => WINDOW_ROWS * threads,
        }
    }

    /// How many threads share its work.
    pub fn threads(self) -> usize {
        match self {
            Self::Alone => 1,
            Self::Sequences(threads) | Self::Steps(threads) => threads,
        }
    }
}

/// What a step of all layers costs the thread that has most of it.
#[derive(Debug, Default)]
struct Costs {
    /// Where one thread runs all sequences.
    alone: usize,
    /// Where each runs some, and in how many shards.
    sequences: usize,
    shards: usize,
    /// Where they share the steps, and how many do at most.
    steps: usize,
    threads: usize,
}

impl Costs {
    fn new<E: Element>(model: &Model<E>, batch: usize, shares: Shares) -> Self {
        let Shares { threads, units } = shares;
        // Of sequences of one length; else a shard of long ones has fewer rows. Each step waits for the one before it, so a
        // shard of fewer would take as long.
        let shards = threads.min(batch / ROWS_AS_FAST_AS_ONE);
        let (rows, rows_each) = (batch, batch.div_ceil(shards.max(1)));
        let mut costs = Self {
            shards,
            ..Self::default()
        };
        let mut has_loop = false;
        for index in 0..model.sequence_layers() {
            let place = &model.places[index];
            match step(model, index, place) {
                Some(step) => {
                    has_loop = true;
                    let (grid, shared) = step.sharing(rows, true, units);
                    costs.add(step.alone(rows), step.alone(rows_each), shared);
                    costs.threads = costs.threads.max(grid.threads());
                }
                None => {
                    let width = match place.spec {
                        LayerSpec::Dense { .. } => 0,
                        _ => model.values[index + 1].size,
                    };
                    let products = |rows: usize| multiplied(place).saturating_mul(2 * rows);
                    let others = |rows: usize| width.saturating_mul(ELEMENT_ALONE * rows);
                    let each = |rows| products(rows).saturating_add(others(rows));
                    // Threads that share steps share the columns of its products, and nothing else of it.
                    let shared = (products(rows) / threads).saturating_add(others(rows));
                    costs.add(each(rows), each(rows_each), shared);
                }
            }
        }
        if !has_loop {
            costs.steps = usize::MAX;
        }
        costs
    }
}

impl Costs {
    /// Adds those of a layer.
    fn add(&mut self, alone: usize, sequences: usize, steps: usize) {
        self.alone = self.alone.saturating_add(alone);
        self.sequences = self.sequences.saturating_add(sequences);
        self.steps = self.steps.saturating_add(steps);
    }
}

/// Parameters that each row of a step meets.
fn multiplied<E: Element>(place: &LayerSlot<E>) -> usize {
    match place.spec {
        LayerSpec::Embedding { .. } => 0,
        _ => place.parameter_count,
    }
}

/// The step of a layer's time loop, where threads can share its units.
fn step<E: Element>(model: &Model<E>, index: usize, place: &LayerSlot<E>) -> Option<StepCost> {
    let units = place.layer.shared_units()?;
    let blocks = model.weights[index].iter().map(|weights| weights.blocks());
    Some(StepCost {
        tier: model.tier,
        operations: multiplied(place).saturating_mul(2),
        units,
        blocks: blocks.max()?.max(1),
        bytes: multiplied(place).saturating_mul(size_of::<E>()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Activation, Network, Output, RecurrentOptions};

    /// Threads that may share everything.
    fn all(threads: usize) -> Shares {
        Shares {
            threads,
            units: threads,
        }
    }

    /// A network of a layer of I inputs and H units that gives all outputs.
    fn network(inputs: usize, units: usize) -> Network<f32> {
        let mut network = Network::new(inputs).unwrap();
        network.add_rnn(units, Activation::Tanh).unwrap();
        network.set_output(Output::All).unwrap();
        network
    }

    /// Rows and units of each thread's part of a step.
    fn parts(network: &Network<f32>, batch: usize, threads: usize) -> Vec<(usize, usize)> {
        let model = network.model();
        let step = step(model, 0, &model.places[0]).unwrap();
        match Plan::new(&**model, batch, all(threads)) {
            Plan::Alone => vec![(batch, step.units)],
            Plan::Sequences(shards) => {
                let start = |shard: usize| batch * shard / shards;
                let rows = (0..shards).map(|shard| start(shard + 1) - start(shard));
                rows.map(|rows| (rows, step.units)).collect()
            }
            Plan::Steps(_) => {
                let (grid, _) = step.sharing(batch, true, threads);
                let width = model.weights[0][0].width();
                let row = |part: usize| batch * part / grid.rows;
                let unit = |part: usize| (step.blocks * part / grid.units * width).min(step.units);
                (0..grid.threads())
                    .map(|part| {
                        let (rows, units) = (part / grid.units, part % grid.units);
                        (row(rows + 1) - row(rows), unit(units + 1) - unit(units))
                    })
                    .collect()
            }
        }
    }

    /// B, I, H; threads; how many of them get rows or units, and how many rows the busiest has.
    #[test]
    fn each_thread_gets_as_much_as_the_others() {
        let cases = [
            // Many rows: sequences.
            ([512, 64, 256], 16, 16, 32..=32),
            ([128, 28, 128], 16, 16, 8..=8),
            ([128, 28, 128], 2, 2, 64..=64),
            ([64, 256, 512], 2, 2, 32..=32),
            ([128, 1024, 1024], 2, 2, 64..=64),
            // Few for each thread, or weights larger than its cache: some rows and some units. How many depends on the tier.
            ([64, 256, 512], 16, 16, 8..=16),
            ([128, 1024, 1024], 16, 16, 32..=32),
            ([32, 64, 256], 16, 16, 4..=8),
            // A shard has four rows at least.
            ([16, 32, 64], 2, 2, 8..=8),
            ([16, 32, 64], 4, 4, 4..=4),
            ([16, 32, 64], 16, 4, 4..=4),
            ([10, 40, 100], 2, 2, 5..=5),
            // Few rows and large steps: units.
            ([1, 512, 512], 2, 2, 1..=1),
            ([1, 1024, 1024], 16, 16, 1..=1),
            ([4, 1024, 1024], 2, 2, 4..=4),
            // Few rows and small steps.
            ([1, 3, 48], 16, 1, 1..=1),
            ([7, 32, 64], 2, 1, 7..=7),
        ];
        for ([batch, inputs, units], threads, used, rows) in cases {
            let network = network(inputs, units);
            let parts = parts(&network, batch, threads);
            let name = format!("B {batch}, I {inputs}, H {units}, {threads} threads: {parts:?}");
            assert_eq!(parts.len(), used, "{name}");
            let most = parts.iter().map(|part| part.0).max();
            assert!(most.is_some_and(|most| rows.contains(&most)), "{name}");
            let work = parts.iter().map(|(rows, units)| rows * units);
            assert_eq!(work.clone().sum::<usize>(), batch * units, "{name}");
            let most = work.max().unwrap();
            assert!(most * used * 4 <= batch * units * 5, "unbalanced: {name}");
        }
    }

    #[test]
    fn more_threads_are_never_slower_than_fewer() {
        let sizes = [1, 2, 4, 7, 8, 11, 13, 16, 31, 32, 64, 100, 128, 512];
        for (inputs, units) in [
            (3, 8),
            (40, 50),
            (32, 64),
            (40, 100),
            (64, 256),
            (256, 512),
            (1024, 1024),
        ] {
            let network = network(inputs, units);
            for batch in sizes {
                let mut least = usize::MAX;
                for threads in 1..=64 {
                    let costs = Costs::new(&**network.model(), batch, all(threads));
                    let cost = match Plan::new(&**network.model(), batch, all(threads)) {
                        Plan::Alone => costs.alone,
                        Plan::Sequences(_) => costs.sequences,
                        Plan::Steps(_) => costs.steps,
                    };
                    assert!(
                        cost <= least.saturating_add(least / 20),
                        "B {batch}, I {inputs}, H {units}, {threads} threads: {cost} after {least}"
                    );
                    least = least.min(cost);
                }
            }
        }
    }

    #[test]
    fn all_cells_are_planned_and_what_has_no_time_loop_is_shared_by_sequences() {
        let mut network = Network::<f32>::new(64).unwrap();
        let options = RecurrentOptions::default();
        network.add_lstm(512, &options).unwrap();
        network.add_gru(512, &options).unwrap();
        assert_eq!(Plan::new(&**network.model(), 1, all(2)), Plan::Steps(2));
        assert_eq!(
            Plan::new(&**network.model(), 64, all(2)),
            Plan::Sequences(2)
        );
        // A host's threads don't share units.
        let of_host = Shares {
            threads: 2,
            units: 1,
        };
        assert_eq!(Plan::new(&**network.model(), 1, of_host), Plan::Alone);
        assert_eq!(
            Plan::new(&**network.model(), 64, of_host),
            Plan::Sequences(2)
        );
        assert_eq!(Plan::new(&**network.model(), 64, all(1)), Plan::Alone);
        // A layer that the caller's thread would run alone.
        let mut network = self::network(256, 512);
        assert_eq!(Plan::new(&**network.model(), 64, all(16)), Plan::Steps(16));
        network.add_dropout(0.5).unwrap();
        assert_eq!(
            Plan::new(&**network.model(), 64, all(16)),
            Plan::Sequences(16)
        );
        let mut network = Network::<f32>::new(64).unwrap();
        network.add_dense(512, Activation::Tanh).unwrap();
        network.set_output(Output::All).unwrap();
        assert_eq!(
            Plan::new(&**network.model(), 8, all(16)),
            Plan::Sequences(2)
        );
    }
}
