//! Streams: one sequence, one step at a time.

use std::sync::Arc;

use crate::arena::{Arena, Block};
use crate::layer::{Forward, Mask};
use crate::layout::Layout;
use crate::model::Model;
use crate::network::Network;
use crate::parallel::Crew;
use crate::{Element, Result, in_engine_mode, shape};

/// A stream through a network: it keeps the state from step to step.
///
/// It runs the parameters that the network had when the session was created; the network may change or be dropped
/// meanwhile. A step allocates nothing, takes no lock and makes no system call. Sessions of one network are independent
/// and may run on different threads. The outputs are those of the sequence as a whole, bit for bit; dropout is off.
#[derive(Debug)]
pub struct Session<E: Element = f32> {
    model: Arc<Model<E>>,
    /// One sequence of one step.
    layout: Layout,
    /// Region 0 is the input, region l + 1 the output of layer l, whose lead is its state.
    activations: Arena<E>,
}

impl<E: Element> Session<E> {
    /// A stream from the state 0 on.
    ///
    /// # Errors
    /// [`crate::Error::OutOfMemory`]
    pub fn new(network: &Network<E>) -> Result<Self> {
        let model = Arc::clone(network.model());
        let mut layout = Layout::default();
        layout.reserve(1, 1)?;
        layout.set(1, 1, None);
        let mut activations = Arena::default();
        activations.configure("a session", model.regions(model.places.len(), 1), 1)?;
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
    /// [`crate::Error::Length`]; the state is then as it was.
    pub fn step(&mut self, x: &[E], y: &mut [E]) -> Result<()> {
        let model = &*self.model;
        shape::expect_len("x", x.len(), model.input_size)?;
        shape::expect_len("y", y.len(), model.output_size())?;
        in_engine_mode(|| self.run_step(x, y));
        Ok(())
    }

    /// [`Self::step`] with slices of the right lengths.
    fn run_step(&mut self, x: &[E], y: &mut [E]) {
        let model = &*self.model;
        let mut window = self.activations.rows_mut(&self.layout, 0..1);
        let step = Block::Step(0);
        let row = window.get_mut(0, step);
        row.copy_from_slice(x);
        if let Some(standardization) = &model.standardization {
            standardization.apply_row(row);
        }
        let mut input = 0;
        for (index, place) in model.places.iter().enumerate() {
            if place.layer.trains_only() {
                continue;
            }
            let output = index + 1;
            let pass = Forward {
                tier: model.tier,
                crew: Crew::ALONE,
                input,
                output,
                parameters: &model.parameters[place.parameters()],
                weights: &model.weights[index],
                mask: Mask::default(),
            };
            place.layer.forward(&pass, &mut window);
            let size = place.layer.state_size();
            if size > 0 {
                let ([row], state) = window.split([(output, step)], (output, Block::Lead));
                state[..size].copy_from_slice(&row[..size]);
            }
            input = output;
        }
        y.copy_from_slice(&window.get(input, step)[..y.len()]);
    }

    /// Starts again from the state 0.
    pub fn reset(&mut self) {
        self.each_state(|state, _| state.fill(E::ZERO));
    }

    /// Copies the state `[state_size]`, in layer order, to `state`.
    ///
    /// # Errors
    /// [`crate::Error::Length`]
    pub fn state(&self, state: &mut [E]) -> Result<()> {
        shape::expect_len("state", state.len(), self.state_size())?;
        for (index, place) in self.model.places.iter().enumerate() {
            let size = place.layer.state_size();
            if size > 0 {
                let own = &self.activations.lead(index + 1)[..size];
                state[place.first_state..][..size].copy_from_slice(own);
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
        self.each_state(|own, place| own.copy_from_slice(&state[place..place + own.len()]));
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

    /// Calls `visit` with the state of each recurrent layer and its place in the whole state.
    fn each_state(&mut self, mut visit: impl FnMut(&mut [E], usize)) {
        let mut window = self.activations.rows_mut(&self.layout, 0..1);
        for (index, place) in self.model.places.iter().enumerate() {
            let size = place.layer.state_size();
            if size > 0 {
                let state = &mut window.get_mut(index + 1, Block::Lead)[..size];
                visit(state, place.first_state);
            }
        }
    }
}
