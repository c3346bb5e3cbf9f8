//! One run of a model over a batch: forward, and backward over what forward has kept.

mod backward;
mod forward;
mod plan;
mod task;
mod transposes;

pub use backward::{BackwardArguments, BackwardBuffers};
pub use plan::Plan;
pub use transposes::Transposes;

use crate::buffer::try_reserve;
use crate::layer::DropoutKey;
use crate::layout::{Layout, Order, Strides};
use crate::model::Model;
use crate::parallel::{Crew, Shares};
use crate::regions::{RegionShape, Shard};
use crate::{Element, Result, shape};

/// A batch of sequences.
#[derive(Clone, Copy, Debug)]
pub struct Batch<'a, E> {
    /// `[batch][steps][input_size]`, row-major, or with [`Network::set_time_major`](crate::Network::set_time_major)
    /// `[steps][batch][input_size]`. What comes after a sequence's length is not read.
    pub x: &'a [E],
    /// Number of sequences.
    pub batch: usize,
    /// Steps of each in `x`.
    pub steps: usize,
    /// Number of real steps of each sequence, 0 to `steps`; None where all are `steps` long. The outputs and the final state
    /// of an empty sequence are 0, and it adds nothing to a gradient.
    pub lengths: Option<&'a [usize]>,
}

/// The arguments of a forward pass.
#[derive(Debug)]
pub struct ForwardArguments<'a, E> {
    /// The inputs.
    pub batch: Batch<'a, E>,
    /// That of the inputs and of the outputs of all steps.
    pub order: Order,
    /// The states that the sequences start from.
    pub state_in: Option<&'a [E]>,
    /// For the outputs.
    pub y: Option<&'a mut [E]>,
    /// For the final states.
    pub state_out: Option<&'a mut [E]>,
}

/// What a pass keeps.
#[derive(Debug, Default)]
pub struct Workspace<E: Element> {
    /// The whole batch.
    layout: Layout,
    /// The layers up to the last one that runs over whole sequences. One shard for each thread, the first `used` of which
    /// are in use.
    sequence: Vec<Shard<E>>,
    /// The layers behind, which see the last step of each sequence as a batch of one step. Shared alike.
    head: Vec<Shard<E>>,
    used: usize,
    /// How the threads of the pass divide it, of so many.
    plan: Plan,
    threads: usize,
    /// Steps of the caller's buffers.
    steps: usize,
    /// Whether the sequences started from the network's own state.
    own_start: bool,
}

/// Rows that a window of a pass has about for each thread, at most: enough for the products to run at full speed, few enough that
/// what one layer writes is still in the second-level cache when the next one reads it.
const WINDOW_ROWS: usize = 512;

impl<E: Element> Workspace<E> {
    /// Checks the sizes of a forward pass's arguments against the model, and the indices among its inputs.
    pub fn check(model: &Model<E>, call: &ForwardArguments<'_, E>) -> Result<()> {
        let batch = &call.batch;
        Layout::check(batch.batch, batch.steps, batch.lengths)?;
        let x = shape::product("x", &[batch.batch, batch.steps, model.input_size])?;
        shape::expect_len("x", batch.x.len(), x)?;
        let state = shape::product("the state", &[batch.batch, model.state_size])?;
        let output = output_len(model, batch.batch, batch.steps)?;
        for (name, buffer, expected) in [
            ("state_in", call.state_in, state),
            ("y", call.y.as_deref(), output),
            ("state_out", call.state_out.as_deref(), state),
        ] {
            if let Some(buffer) = buffer {
                shape::expect_len(name, buffer.len(), expected)?;
            }
        }
        if model.indices.is_empty() {
            return Ok(());
        }
        let strides = Strides::new(call.order, batch.batch, batch.steps, model.input_size);
        for sequence in 0..batch.batch {
            let length = batch.lengths.map_or(batch.steps, |all| all[sequence]);
            for step in 0..length {
                let row = &batch.x[strides.index(sequence, step)..][..model.input_size];
                model.check_indices(row, sequence, step)?;
            }
        }
        Ok(())
    }

    /// Sequences and steps of the batch that ran last, in the caller's buffers.
    pub fn shape(&self) -> (usize, usize) {
        (self.layout.caller_batch(), self.steps)
    }

    /// The threads that run a shard: all of them where there is one.
    fn crew_of_shard<'a>(&self, crew: Crew<'a>) -> Crew<'a> {
        if self.used == 1 { crew } else { Crew::ALONE }
    }

    /// Makes room for a batch and takes its shape, which threads may share.
    pub fn prepare(
        &mut self,
        model: &Model<E>,
        batch: &Batch<'_, E>,
        training: bool,
        shares: Shares,
    ) -> Result<()> {
        let what = "the activations of a batch";
        self.layout.reserve(batch.batch, batch.steps)?;
        self.layout.set(batch.batch, batch.steps, batch.lengths);
        self.plan = Plan::new(model, self.layout.batch(), shares);
        self.threads = shares.threads;
        let shard_count = match self.layout.batch() {
            0 => 0,
            _ => self.plan.shards(),
        };
        for shards in [&mut self.sequence, &mut self.head] {
            try_reserve(what, shards, shard_count)?;
            if shards.len() < shard_count {
                shards.resize_with(shard_count, Shard::default);
            }
        }
        (self.used, self.steps) = (shard_count, batch.steps);
        let both = self.sequence.iter_mut().zip(&mut self.head);
        for (index, (sequence, head)) in both.take(shard_count).enumerate() {
            let start = self.layout.part_start(index, shard_count);
            let rows = start..self.layout.part_start(index + 1, shard_count);
            let count = rows.len();
            sequence.layout.reserve(count, batch.steps)?;
            sequence.layout.set_part(&self.layout, rows);
            let all = sequence.layout.total();
            let room = if training || model.looks_ahead() {
                all
            } else {
                most_rows(&sequence.layout, self.plan.window_rows())
            };
            let regions = &mut sequence.activations;
            regions.configure(what, model.regions(), count, room)?;

            head.layout.reserve(count, 1)?;
            head.layout.set_one_step(&sequence.layout);
            let regions = &mut head.activations;
            regions.configure(what, head_regions(model), count, count)?;
        }
        Ok(())
    }
}

/// Rows that a window of at most `limit` rows, but at least one step, can have.
fn most_rows(layout: &Layout, limit: usize) -> usize {
    layout.total().min(limit.max(layout.batch()))
}

/// Elements of an output buffer.
pub fn output_len<E: Element>(model: &Model<E>, batch: usize, steps: usize) -> Result<usize> {
    let steps = match model.output {
        crate::Output::Last => 1,
        crate::Output::All => steps,
    };
    shape::product("y", &[batch, steps, model.output_size()])
}

/// Where the steps of the sequences lie in a buffer of the caller's.
impl<E: Element> Workspace<E> {
    fn input_strides(&self, model: &Model<E>, order: Order) -> Strides {
        let batch = self.layout.caller_batch();
        Strides::new(order, batch, self.steps, model.input_size)
    }

    fn output_strides(&self, model: &Model<E>, order: Order) -> Strides {
        let (batch, width) = (self.layout.caller_batch(), model.output_size());
        match model.output {
            crate::Output::Last => Strides::one_step(batch, width),
            crate::Output::All => Strides::new(order, batch, self.steps, width),
        }
    }

    fn state_strides(&self, model: &Model<E>) -> Strides {
        Strides::one_step(self.layout.caller_batch(), model.state_size)
    }
}

/// The regions of the layers that only see the last step, behind those of the layers before them, which are empty but for
/// those that last outputs are gathered in. None where there is no such thing.
fn head_regions<E: Element>(
    model: &Model<E>,
) -> impl ExactSizeIterator<Item = RegionShape> + Clone {
    let (before, layers) = model.places.split_at(model.sequence_layers());
    let behind = layers
        .first()
        .map_or(model.region_count(), |first| first.region);
    let values = &model.values[..=before.len()];
    let count = match model.output {
        crate::Output::Last => model.region_count(),
        crate::Output::All => 0,
    };
    (0..count).map(move |region| {
        if region < behind {
            let value = values.binary_search_by_key(&region, |value| value.region);
            let gathered = value.map(|value| values[value]).ok();
            let gathered = gathered.filter(|value| value.is_gathered);
            return RegionShape::window(gathered.map_or(0, |value| value.size));
        }
        let after = layers.partition_point(|place| place.region <= region);
        let place = &layers[after - 1];
        place.regions[region - place.region]
    })
}

/// What makes the random choices of a training pass.
#[derive(Clone, Copy, Debug, Default)]
pub struct Training {
    /// The network's seed.
    pub seed: u64,
    /// Number of the pass.
    pub pass: u64,
}

impl Training {
    fn key(self, layer: usize) -> DropoutKey {
        DropoutKey {
            seed: self.seed,
            pass: self.pass,
            layer: layer as u64,
        }
    }
}
