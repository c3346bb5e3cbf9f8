//! Streams: one sequence, one step or some steps at a time.

use std::ops::Range;
use std::sync::Arc;

use crate::layer::Forward;
use crate::layout::Layout;
use crate::model::Model;
use crate::network::Network;
use crate::parallel::Crew;
use crate::regions::{Regions, Span};
use crate::{Element, Error, Result, in_engine_mode, shape};

/// A stream through a network: it keeps the state from step to step.
///
/// It runs the parameters that the network had when the session was created; the network may change or be dropped
/// meanwhile. Steps, runs, [`reset`](Self::reset), [`state`](Self::state) and [`set_state`](Self::set_state) allocate
/// nothing, take no lock and make no system call, from the first one on. Sessions of one network are independent and may
/// run on different threads. The outputs are those of the sequence as a whole, bit for bit; dropout is off.
#[derive(Debug)]
pub struct Session<E: Element = f32> {
    model: Arc<Model<E>>,
    /// One sequence of as many steps as a block has.
    layout: Layout,
    /// Region 0 is the input, region l + 1 the output of layer l, whose lead is its state.
    activations: Regions<E>,
}

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
        Self::of(Arc::clone(network.model()))
    }

    /// A stream that goes on from the state that this one has now. It shares nothing that changes with it.
    ///
    /// # Errors
    /// [`crate::Error::OutOfMemory`]
    pub fn try_clone(&self) -> Result<Self> {
        let mut clone = Self::of(Arc::clone(&self.model))?;
        let mut window = clone.activations.rows_mut(&clone.layout, 0..1);
        for place in &self.model.places {
            for (region, part, _) in place.states() {
                let state = &mut window.get_mut(region, Span::Lead)[..part.len()];
                state.copy_from_slice(&self.activations.lead(region)[..part.len()]);
            }
        }
        Ok(clone)
    }

    fn of(model: Arc<Model<E>>) -> Result<Self> {
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
        let row = row.saturating_mul(size_of::<E>());
        let steps = (BLOCK_BYTES / row).clamp(1, BLOCK_STEPS);
        let mut layout = Layout::default();
        layout.reserve(1, steps)?;
        layout.set(1, steps, None);
        let mut activations = Regions::default();
        activations.configure("a session", regions, 1, steps)?;
        let mut session = Self {
            model,
            layout,
            activations,
        };
        session.reset();
        Ok(session)
    }

    /// Runs one step. `x` `[input_size]` is its input, `y` `[output_size]` receives the output of the last layer.
    ///
    /// # Errors
    /// [`crate::Error::Length`], [`crate::Error::Index`]; the state is then as it was.
    pub fn step(&mut self, x: &[E], y: &mut [E]) -> Result<()> {
        shape::expect_len("x", x.len(), self.input_size())?;
        shape::expect_len("y", y.len(), self.output_size())?;
        self.model.check_indices(x, 0, 0)?;
        in_engine_mode(|| {
            let output = self.advance(x, 1);
            self.give(output, 1, y);
        });
        Ok(())
    }

    /// Runs `steps` steps, none of them if it is 0. `x` `[steps][input_size]` are their inputs, `y` `[steps][output_size]`
    /// receives the outputs of the last layer at each of them, whatever the network gives for a sequence. The bits are
    /// those of as many calls of [`Self::step`], which take longer: layers run over up to 64 steps at a time.
    ///
    /// # Errors
    /// [`crate::Error::Length`], [`crate::Error::SizeOverflow`], [`crate::Error::Index`]; the state is then as it was.
    pub fn run(&mut self, x: &[E], steps: usize, y: &mut [E]) -> Result<()> {
        let (input, output) = (self.input_size(), self.output_size());
        shape::expect_len("x", x.len(), shape::product("x", &[steps, input])?)?;
        shape::expect_len("y", y.len(), shape::product("y", &[steps, output])?)?;
        self.check_indices(x)?;
        in_engine_mode(|| {
            for block in self.blocks(steps) {
                let region = self.advance(&x[block.start * input..block.end * input], block.len());
                let y = &mut y[block.start * output..block.end * output];
                self.give(region, block.len(), y);
            }
        });
        Ok(())
    }

    /// As [`Self::run`], where an output has the size of an input: `values` `[steps][input_size]` are the inputs and receive
    /// the outputs.
    ///
    /// # Errors
    /// As [`Self::run`]; [`crate::Error::Length`] also where an output has another size.
    pub fn run_in_place(&mut self, values: &mut [E], steps: usize) -> Result<()> {
        let size = self.input_size();
        for size in [size, self.output_size()] {
            let expected = shape::product("values", &[steps, size])?;
            shape::expect_len("values", values.len(), expected)?;
        }
        self.check_indices(values)?;
        in_engine_mode(|| {
            for block in self.blocks(steps) {
                let values = &mut values[block.start * size..block.end * size];
                let region = self.advance(values, block.len());
                self.give(region, block.len(), values);
            }
        });
        Ok(())
    }

    fn check_indices(&self, x: &[E]) -> Result<()> {
        let mut rows = x.chunks(self.input_size()).enumerate();
        rows.try_for_each(|(step, row)| self.model.check_indices(row, 0, step))
    }

    /// Some steps, cut into blocks that there is room for.
    fn blocks(&self, steps: usize) -> impl Iterator<Item = Range<usize>> + use<E> {
        let room = self.layout.steps();
        (0..steps)
            .step_by(room)
            .map(move |start| start..steps.min(start.saturating_add(room)))
    }

    /// Runs a block of steps. Returns the region of the last output.
    fn advance(&mut self, x: &[E], steps: usize) -> usize {
        let model = &*self.model;
        let mut window = self.activations.rows_mut(&self.layout, 0..steps);
        let (size, stride) = (model.input_size, window.stride(0));
        let rows = window.get_mut(0, Span::Steps(0, steps));
        for step in 0..steps {
            let row = &mut rows[step * stride..][..size];
            row.copy_from_slice(&x[step * size..][..size]);
            if let Some(standardization) = model.input_map() {
                standardization.apply_row(row);
            }
        }
        for (index, place) in model.places.iter().enumerate() {
            if place.layer.trains_only() {
                continue;
            }
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
            place.layer.forward(&pass, &mut window);
            for (region, part, _) in place.states() {
                let last = Span::Step(steps - 1);
                let ([row], state) = window.split([(region, last)], (region, Span::Lead));
                state[..part.len()].copy_from_slice(&row[..part.len()]);
            }
        }
        model.values[model.resolved(model.places.len(), 0)].region
    }

    /// Copies the outputs of the block that has just run.
    fn give(&self, region: usize, steps: usize, y: &mut [E]) {
        let size = self.model.output_size();
        let window = self.activations.rows(&self.layout, 0..steps);
        let (rows, stride) = (window.get(region, window.block()), window.stride(region));
        for step in 0..steps {
            y[step * size..][..size].copy_from_slice(&rows[step * stride..][..size]);
        }
    }

    /// Bytes of memory that the session takes beside the network's parameters, which it shares with the network and other
    /// sessions for as long as these have not changed them.
    pub fn bytes(&self) -> usize {
        size_of::<Self>() + self.layout.bytes() + self.activations.bytes()
    }

    /// Starts again from the network's own state: 0 unless it has one.
    pub fn reset(&mut self) {
        self.each_state(|state, _, own| match own {
            None => state.fill(E::ZERO),
            Some(own) => state.copy_from_slice(own),
        });
    }

    /// Copies the state `[state_size]`, in layer order, to `state`.
    ///
    /// # Errors
    /// [`crate::Error::Length`]
    pub fn state(&self, state: &mut [E]) -> Result<()> {
        shape::expect_len("state", state.len(), self.state_size())?;
        for place in &self.model.places {
            for (region, part, _) in place.states() {
                let own = &self.activations.lead(region)[..part.len()];
                state[part].copy_from_slice(own);
            }
        }
        Ok(())
    }

    /// Goes on from `state` `[state_size]`.
    ///
    /// # Errors
    /// [`crate::Error::Length`]; the state is then as it was.
    pub fn set_state(&mut self, state: &[E]) -> Result<()> {
        shape::expect_len("state", state.len(), self.state_size())?;
        self.each_state(|own, part, _| own.copy_from_slice(&state[part]));
        Ok(())
    }

    /// Features of a step's input.
    pub fn input_size(&self) -> usize {
        self.model.input_size
    }

    /// Features of a step's output.
    pub fn output_size(&self) -> usize {
        self.model.output_size()
    }

    /// Elements of the state.
    pub fn state_size(&self) -> usize {
        self.model.state_size
    }

    /// Calls `visit` with the parts of the state, their places in the whole state and their own starts.
    fn each_state(&mut self, mut visit: impl FnMut(&mut [E], Range<usize>, Option<&[E]>)) {
        let mut window = self.activations.rows_mut(&self.layout, 0..1);
        for (index, place) in self.model.places.iter().enumerate() {
            let parameters = self.model.layer_parameters(index);
            for (region, part, own) in place.states() {
                let state = &mut window.get_mut(region, Span::Lead)[..part.len()];
                let own = own.map(|first| &parameters[first..first + part.len()]);
                visit(state, part, own);
            }
        }
    }
}
