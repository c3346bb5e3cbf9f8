//! Streams: one sequence, one step or some steps at a time.

use std::ops::Range;
use std::sync::Arc;

use crate::buffer::try_reserve;
use crate::kernels::recurrence::BandPlace;
use crate::kernels::stream::StepPlan;
use crate::layer::{Forward, Step, StepRegions};
use crate::layout::Layout;
use crate::model::Model;
use crate::network::Network;
use crate::parallel::Crew;
use crate::regions::{Regions, Span};
use crate::{Element, Error, Result, in_engine_mode, shape};

/// A stream through a network, or several in lockstep: it keeps the state from step to step.
///
/// It runs the parameters that the network had when the session was created; the network may change or be dropped
/// meanwhile. Steps, runs, [`reset`](Self::reset), [`state`](Self::state) and [`set_state`](Self::set_state) allocate
/// nothing, take no lock and make no system call, from the first one on. Sessions of one network are independent and may
/// run on different threads. The outputs are those of the sequence as a whole, bit for bit; dropout is off.
///
/// Several streams in one session read the weights once for all of them, and each has the bits that it would have alone.
#[derive(Debug)]
pub struct Session<E: Element = f32> {
    model: Arc<Model<E>>,
    /// One sequence for each stream, of as many steps as a block has.
    layout: Layout,
    /// Region 0 is the input, region l + 1 the output of layer l, whose lead is its state.
    activations: Regions<E>,
    /// What a step does: the layers that it runs, and for those that have one their plan.
    steps: Vec<(usize, Option<StepPlan>)>,
    /// The parts of the states, stream after stream, each in the order of the layers.
    states: Vec<StatePlace>,
    /// The region of the last output.
    last: usize,
}

/// A part of the state of a stream.
#[derive(Clone, Copy, Debug)]
struct StatePlace {
    /// Where a step finds it.
    lead: usize,
    /// Where it leaves it.
    row: usize,
    /// How many elements it has.
    len: usize,
    /// The parameters that it starts at, from this one on. None: at 0.
    own: Option<usize>,
}

/// What memory is asked for.
const WHAT: &str = "a session";

/// Most steps of a block: enough for products over all its steps to run at full speed.
const BLOCK_STEPS: usize = 64;

/// Bytes of the rows of a block, at most, where that is room for one step: so that the rows of all layers stay in the
/// second-level cache, and a session small.
const BLOCK_BYTES: usize = 64 << 10;

impl<E: Element> Session<E> {
    /// A stream from the network's own state on, which is 0 unless it has one.
    ///
    /// # Errors
    /// [`Error::Mismatch`] for a network that looks ahead, as one with a bidirectional layer does; [`Error::OutOfMemory`]
    pub fn new(network: &Network<E>) -> Result<Self> {
        Self::of(Arc::clone(network.model()), 1)
    }

    /// So many streams in lockstep.
    ///
    /// # Errors
    /// As [`Self::new`]; [`Error::ZeroSize`], [`Error::SizeOverflow`]
    pub fn many(network: &Network<E>, streams: usize) -> Result<Self> {
        Self::of(Arc::clone(network.model()), streams)
    }

    /// As many streams that go on from the state that these have now. It shares nothing that changes with them.
    ///
    /// # Errors
    /// [`crate::Error::OutOfMemory`]
    pub fn try_clone(&self) -> Result<Self> {
        let mut clone = Self::of(Arc::clone(&self.model), self.streams())?;
        let memory = clone.activations.memory_mut();
        for &StatePlace { lead, len, .. } in &self.states {
            memory[lead..][..len].copy_from_slice(&self.activations.memory()[lead..][..len]);
        }
        Ok(clone)
    }

    fn of(model: Arc<Model<E>>, streams: usize) -> Result<Self> {
        shape::expect_nonzero("streams", streams)?;
        if model.looks_ahead() {
            return Err(Error::Mismatch {
                name: "the network",
                actual: "one that looks ahead: a layer goes from the last step to the first"
                    .to_owned(),
                expected: "one whose outputs follow from the steps so far (predict runs others)"
                    .to_owned(),
            });
        }
        let regions = model.all_regions();
        let row = regions
            .clone()
            .fold(0_usize, |sum, region| sum.saturating_add(region.width));
        let row = row.saturating_mul(size_of::<E>()).saturating_mul(streams);
        let block = (BLOCK_BYTES / row).clamp(1, BLOCK_STEPS);
        let mut layout = Layout::default();
        layout.reserve(streams, block)?;
        layout.set(streams, block, None);
        let mut activations = Regions::default();
        let rows = shape::product("streams", &[streams, block])?;
        activations.configure(WHAT, regions, streams, rows)?;

        let (mut places, mut steps, mut states) = (Vec::new(), Vec::new(), Vec::new());
        try_reserve(WHAT, &mut places, activations.places().len())?;
        places.extend(activations.places());
        let run = || {
            let layers = model.places.iter().enumerate();
            layers.filter(|(_, place)| !place.layer.trains_only())
        };
        try_reserve(WHAT, &mut steps, run().count())?;
        steps.extend(run().map(|(index, place)| {
            let regions = StepRegions {
                places: &places,
                input: place.input_regions.session[0],
                output: place.region,
            };
            (index, place.layer.step_plan(regions, streams))
        }));
        let parts = || {
            let layers = model.places.iter();
            layers.flat_map(|place| place.states().map(move |part| (place, part)))
        };
        let count = shape::product("streams", &[parts().count(), streams])?;
        try_reserve(WHAT, &mut states, count)?;
        for stream in 0..streams {
            states.extend(parts().map(|(place, (region, part, own))| {
                let BandPlace {
                    start,
                    stride,
                    lead,
                } = places[region];
                StatePlace {
                    lead: start + stream * stride,
                    row: start + (lead + stream) * stride,
                    len: part.len(),
                    own: own.map(|first| place.first_parameter + first),
                }
            }));
        }
        let last = model.values[model.resolved(model.places.len(), 0)].region;
        let mut session = Self {
            model,
            layout,
            activations,
            steps,
            states,
            last,
        };
        session.reset();
        Ok(session)
    }

    /// Number of streams.
    pub fn streams(&self) -> usize {
        self.layout.batch()
    }

    /// Runs one step. `x` `[streams][input_size]` is its input, `y` `[streams][output_size]` receives the output of the last
    /// layer.
    ///
    /// # Errors
    /// [`crate::Error::Length`], [`crate::Error::Index`]; the state is then as it was.
    pub fn step(&mut self, x: &[E], y: &mut [E]) -> Result<()> {
        shape::expect_len("x", x.len(), self.row_of_inputs())?;
        shape::expect_len("y", y.len(), self.row_of_outputs())?;
        self.check_indices(x)?;
        in_engine_mode(|| {
            self.advance_by_one(x);
            self.give(1, y);
        });
        Ok(())
    }

    /// Runs `steps` steps, none of them if it is 0. `x` `[steps][streams][input_size]` are their inputs,
    /// `y` `[steps][streams][output_size]` receives the outputs of the last layer at each of them, whatever the network gives
    /// for a sequence. The bits are those of as many calls of [`Self::step`], which take longer: layers run over up to 64
    /// steps at a time.
    ///
    /// # Errors
    /// [`crate::Error::Length`], [`crate::Error::SizeOverflow`], [`crate::Error::Index`]; the state is then as it was.
    pub fn run(&mut self, x: &[E], steps: usize, y: &mut [E]) -> Result<()> {
        let (input, output) = (self.row_of_inputs(), self.row_of_outputs());
        shape::expect_len("x", x.len(), shape::product("x", &[steps, input])?)?;
        shape::expect_len("y", y.len(), shape::product("y", &[steps, output])?)?;
        self.check_indices(x)?;
        in_engine_mode(|| {
            for block in self.blocks(steps) {
                self.advance(&x[block.start * input..block.end * input], block.len());
                let y = &mut y[block.start * output..block.end * output];
                self.give(block.len(), y);
            }
        });
        Ok(())
    }

    /// As [`Self::run`], where an output has the size of an input: `values` `[steps][streams][input_size]` are the inputs and receive
    /// the outputs.
    ///
    /// # Errors
    /// As [`Self::run`]; [`crate::Error::Length`] also where an output has another size.
    pub fn run_in_place(&mut self, values: &mut [E], steps: usize) -> Result<()> {
        let size = self.row_of_inputs();
        for size in [size, self.row_of_outputs()] {
            let expected = shape::product("values", &[steps, size])?;
            shape::expect_len("values", values.len(), expected)?;
        }
        self.check_indices(values)?;
        in_engine_mode(|| {
            for block in self.blocks(steps) {
                let values = &mut values[block.start * size..block.end * size];
                self.advance(values, block.len());
                self.give(block.len(), values);
            }
        });
        Ok(())
    }

    /// Elements of the inputs of a step.
    fn row_of_inputs(&self) -> usize {
        self.streams() * self.input_size()
    }

    /// Elements of the outputs of a step.
    fn row_of_outputs(&self) -> usize {
        self.streams() * self.output_size()
    }

    fn check_indices(&self, x: &[E]) -> Result<()> {
        if !self.model.indices.is_empty() {
            let streams = self.streams();
            for (index, row) in x.chunks(self.input_size()).enumerate() {
                let (stream, step) = (index % streams, index / streams);
                self.model.check_indices(row, stream, step)?;
            }
        }
        Ok(())
    }

    /// Some steps, cut into blocks that there is room for.
    fn blocks(&self, steps: usize) -> impl Iterator<Item = Range<usize>> + use<E> {
        let room = self.layout.steps();
        (0..steps)
            .step_by(room)
            .map(move |start| start..steps.min(start.saturating_add(room)))
    }

    /// Stores the inputs of some steps.
    fn take(&mut self, x: &[E], steps: usize) {
        let (size, place) = (self.model.input_size, self.activations.place(0));
        let rows = steps * self.streams();
        let memory = self.activations.memory_mut();
        for row in 0..rows {
            let to = &mut memory[place.start + row * place.stride..][..size];
            copy_row(to, &x[row * size..][..size]);
            if let Some(standardization) = self.model.input_map() {
                standardization.apply_row(to);
            }
        }
    }

    /// Runs a layer over some steps.
    fn run_layer(&mut self, index: usize, steps: usize) {
        let model = &*self.model;
        let place = &model.places[index];
        let inputs = &place.input_regions.session[..];
        let pass = Forward {
            tier: model.tier,
            crew: Crew::ALONE,
            input: inputs[0],
            inputs,
            output: place.region,
            parameters: &model.parameters[place.parameters()],
            weights: &model.weights[index],
            training: None,
        };
        let mut window = self.activations.rows_mut(&self.layout, 0..steps);
        place.layer.forward(&pass, &mut window);
    }

    /// Runs one step.
    fn advance_by_one(&mut self, x: &[E]) {
        self.take(x, 1);
        for number in 0..self.steps.len() {
            let model = &*self.model;
            match self.steps[number] {
                (index, Some(ref plan)) => {
                    let place = &model.places[index];
                    let pass = Step {
                        tier: model.tier,
                        parameters: &model.parameters[place.parameters()],
                        weights: &model.weights[index],
                    };
                    place.layer.step(plan, &pass, self.activations.memory_mut());
                }
                (index, None) => self.run_layer(index, 1),
            }
        }
        let memory = self.activations.memory_mut();
        for &StatePlace { lead, row, len, .. } in &self.states {
            memory.copy_within(row..row + len, lead);
        }
    }

    /// Runs a block of steps.
    fn advance(&mut self, x: &[E], steps: usize) {
        if steps == 1 {
            return self.advance_by_one(x);
        }
        self.take(x, steps);
        for number in 0..self.steps.len() {
            self.run_layer(self.steps[number].0, steps);
        }
        let mut window = self.activations.rows_mut(&self.layout, 0..steps);
        for place in &self.model.places {
            for (region, ..) in place.states() {
                let last = Span::Step(steps - 1);
                let ([rows], lead) = window.split([(region, last)], (region, Span::Lead));
                lead.copy_from_slice(rows);
            }
        }
    }

    /// Copies the outputs of the block that has just run.
    fn give(&self, steps: usize, y: &mut [E]) {
        let (size, place) = (self.model.output_size(), self.activations.place(self.last));
        let memory = self.activations.memory();
        for row in 0..steps * self.streams() {
            let from = place.start + (place.lead + row) * place.stride;
            copy_row(&mut y[row * size..][..size], &memory[from..][..size]);
        }
    }

    /// Bytes of memory that the session takes beside the network's parameters, which it shares with the network and other
    /// sessions for as long as these have not changed them.
    pub fn bytes(&self) -> usize {
        size_of::<Self>()
            + self.layout.bytes()
            + self.activations.bytes()
            + size_of_val(&self.steps[..])
            + size_of_val(&self.states[..])
    }

    /// Starts again from the network's own state: 0 unless it has one.
    pub fn reset(&mut self) {
        for stream in 0..self.streams() {
            self.start_again(stream);
        }
    }

    /// As [`Self::reset`], for one stream.
    ///
    /// # Errors
    /// [`Error::IndexOutOfRange`]
    pub fn reset_stream(&mut self, stream: usize) -> Result<()> {
        self.expect_stream(stream)?;
        self.start_again(stream);
        Ok(())
    }

    fn start_again(&mut self, stream: usize) {
        let memory = self.activations.memory_mut();
        for &StatePlace { lead, len, own, .. } in of_stream(&self.states, stream, &self.layout) {
            let state = &mut memory[lead..][..len];
            match own {
                None => state.fill(E::ZERO),
                Some(first) => state.copy_from_slice(&self.model.parameters[first..][..len]),
            }
        }
    }

    /// Copies the states `[streams][state_size]`, each in layer order, to `state`.
    ///
    /// # Errors
    /// [`crate::Error::Length`]
    pub fn state(&self, state: &mut [E]) -> Result<()> {
        let size = self.state_size();
        shape::expect_len("state", state.len(), self.streams() * size)?;
        for stream in 0..self.streams() {
            self.copy_state(stream, &mut state[stream * size..][..size]);
        }
        Ok(())
    }

    /// Copies the state `[state_size]` of one stream.
    ///
    /// # Errors
    /// [`Error::IndexOutOfRange`], [`crate::Error::Length`]
    pub fn stream_state(&self, stream: usize, state: &mut [E]) -> Result<()> {
        self.expect_stream(stream)?;
        shape::expect_len("state", state.len(), self.state_size())?;
        self.copy_state(stream, state);
        Ok(())
    }

    fn copy_state(&self, stream: usize, mut state: &mut [E]) {
        let memory = self.activations.memory();
        for &StatePlace { lead, len, .. } in of_stream(&self.states, stream, &self.layout) {
            let (part, rest) = state.split_at_mut(len);
            part.copy_from_slice(&memory[lead..][..len]);
            state = rest;
        }
    }

    /// Goes on from the states `[streams][state_size]`.
    ///
    /// # Errors
    /// [`crate::Error::Length`]; the state is then as it was.
    pub fn set_state(&mut self, state: &[E]) -> Result<()> {
        let size = self.state_size();
        shape::expect_len("state", state.len(), self.streams() * size)?;
        for stream in 0..self.streams() {
            self.put_state(stream, &state[stream * size..][..size]);
        }
        Ok(())
    }

    /// Lets one stream go on from `state` `[state_size]`.
    ///
    /// # Errors
    /// [`Error::IndexOutOfRange`], [`crate::Error::Length`]; the state is then as it was.
    pub fn set_stream_state(&mut self, stream: usize, state: &[E]) -> Result<()> {
        self.expect_stream(stream)?;
        shape::expect_len("state", state.len(), self.state_size())?;
        self.put_state(stream, state);
        Ok(())
    }

    fn put_state(&mut self, stream: usize, mut state: &[E]) {
        let memory = self.activations.memory_mut();
        for &StatePlace { lead, len, .. } in of_stream(&self.states, stream, &self.layout) {
            let (part, rest) = state.split_at(len);
            memory[lead..][..len].copy_from_slice(part);
            state = rest;
        }
    }

    fn expect_stream(&self, stream: usize) -> Result<()> {
        if stream < self.streams() {
            return Ok(());
        }
        Err(Error::IndexOutOfRange {
            name: "stream",
            index: stream,
            count: self.streams(),
        })
    }

    /// Features of a step's input.
    pub fn input_size(&self) -> usize {
        self.model.input_size
    }

    /// Features of a step's output.
    pub fn output_size(&self) -> usize {
        self.model.output_size()
    }

    /// Elements of the state of a stream.
    pub fn state_size(&self) -> usize {
        self.model.state_size
    }
}

/// Copies a row of a step. A row of one element, as audio has, is not worth the call that a copy of any length is.
fn copy_row<E: Element>(to: &mut [E], from: &[E]) {
    match (to, from) {
        ([to], [from]) => *to = *from,
        (to, from) => to.copy_from_slice(from),
    }
}

/// The parts of the state of one of a layout's streams.
fn of_stream<'a>(states: &'a [StatePlace], stream: usize, layout: &Layout) -> &'a [StatePlace] {
    let parts = states.len() / layout.batch();
    &states[stream * parts..][..parts]
}
