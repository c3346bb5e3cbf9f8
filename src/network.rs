//! Networks: layers on top of each other, their parameters and gradients, and how to train and run them.

mod copy;
mod layers;
mod parameters;

pub use layers::{LayerInfo, LayerKind, TensorInfo};

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

use crate::buffer::Buffer;
use crate::class_names::ClassNames;
use crate::dataset::Standardization;
use crate::init::Rng;
use crate::kernels::product::ROWS_AS_FAST_AS_ONE;
use crate::layout::Order;
use crate::model::{Model, Output};
use crate::optimizer::Optimizer;
use crate::parallel::{CallCost, Parallel};
use crate::pass::{
    BackwardArguments, BackwardBuffers, Batch, ForwardArguments, Plan, Training, Workspace,
    output_len,
};
use crate::simd::Tier;
use crate::update::{self, update};
use crate::{Element, Error, Result, shape};

/// A recurrent neural network.
///
/// It starts with an input size and no layers. Each layer that is added takes the outputs of the one before, and draws its
/// parameters as PyTorch does, from the [seed](Self::set_seed). [`initialize`](Self::initialize) draws them all anew, in
/// that way or another.
///
/// Training is [`forward`](Self::forward), a loss, [`backward`](Self::backward), [`update`](Self::update). Inference is
/// [`predict`](Self::predict), which many threads may call on one network, or a [`Session`](crate::Session) for a
/// stream.
///
/// The same parameters and inputs give the same bits, whatever the number of threads and whatever else is in the batch.
///
/// Besides parameters and gradients a network holds, until it is dropped, room for the largest batches that it has seen.
/// For training that is the inputs and the outputs of all layers at all steps of all sequences, which `backward` needs,
/// and as a rule no more than 0.3 times as much for the gradients on the way (`docs/performance.md` has the formula); for
/// inference it is some hundred rows of them for each thread and for each call that runs at the same time.
///
/// Inputs, parameters, states and gradients may be infinite or NaN: what one of them reaches becomes what floating-point
/// arithmetic makes of it, and nothing else changes. [`fit`](crate::train::fit) and
/// [`clip_by_norm`](crate::optimizer::clip_by_norm) report gradients that are not finite.
#[derive(Debug)]
pub struct Network<E: Element = f32> {
    model: Arc<Model<E>>,
    parallel: Parallel,
    /// That of the buffers of callers' passes.
    order: Order,
    gradients: Buffer<E>,
    workspace: Workspace<E>,
    gradient: BackwardBuffers<E>,
    state: State,
    position: Position,
    /// Where the parameters of the next layer come from.
    start: Rng,
    /// Workspaces of `predict`, as many as calls have run at the same time.
    idle: Mutex<Vec<Workspace<E>>>,
}

/// Where training is: what the random numbers that it draws follow from. It is saved with the network.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Position {
    pub seed: u64,
    /// Epochs that [`fit`](crate::train::fit) has ended since the seed was set.
    pub epochs: u64,
    /// Forward passes for training since then.
    pub passes: u64,
}

/// What a backward pass would find.
#[derive(Clone, Copy, Debug)]
enum State {
    /// A forward pass.
    Forward(Training),
    /// Nothing, and why.
    Void(&'static str),
}

impl<E: Element> Network<E> {
    /// A network for sequences of `input_size` features, without layers.
    ///
    /// # Errors
    /// [`Error::ZeroSize`], [`Error::SizeOverflow`]; [`Error::UnknownTier`] or [`Error::UnavailableTier`] where the
    /// environment variable `ELMAN_TIER` is wrong.
    pub fn new(input_size: usize) -> Result<Self> {
        Self::with_tier(input_size, Tier::active()?)
    }

    /// As [`Self::new`], on a tier of the caller's choice.
    ///
    /// # Errors
    /// [`Error::ZeroSize`], [`Error::SizeOverflow`]
    pub fn with_tier(input_size: usize, tier: Tier) -> Result<Self> {
        Self::with_model(Model::new(tier, input_size)?)
    }

    pub(crate) fn with_model(model: Model<E>) -> Result<Self> {
        Ok(Self {
            gradients: Buffer::zeroed("the gradients", model.parameters.len())?,
            model: Arc::new(model),
            parallel: Parallel::caller(),
            order: Order::default(),
            workspace: Workspace::default(),
            gradient: BackwardBuffers::default(),
            state: State::Void("there has been no forward pass"),
            position: Position::default(),
            start: Rng::new(0),
            idle: Mutex::new(Vec::new()),
        })
    }

    /// Sets what the network gives for a sequence.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`]
    pub fn set_output(&mut self, output: Output) -> Result<()> {
        self.change(|model| {
            model.set_output(output);
            Ok(())
        })
    }

    /// Makes time the first index of what calls on this network get and give for all steps: x and dx are
    /// `[steps][batch][input_size]` and, with [`Output::All`], y and dy `[steps][batch][output_size]`. States and the outputs
    /// of [`Output::Last`] have no steps and stay `[batch][...]`. The numbers are the same, bit for bit.
    ///
    /// It holds for [`forward`](Self::forward), [`backward`](Self::backward), [`predict`](Self::predict) and
    /// [`check_gradients`](crate::gradient_check::check_gradients) from the next call on. What the library lays out itself,
    /// for data sets, is batch-major in any case, and so are the arguments of [`crate::loss`]. Copies of the network have the
    /// setting, files have not.
    pub fn set_time_major(&mut self, time_major: bool) {
        self.order = match time_major {
            true => Order::TimeMajor,
            false => Order::BatchMajor,
        };
    }

    /// Whether time is the first index of what calls get and give for all steps.
    pub fn is_time_major(&self) -> bool {
        self.order == Order::TimeMajor
    }

    /// Makes the network standardise its inputs, in every call and every session. It is saved with the network.
    ///
    /// # Errors
    /// [`Error::Length`] where it is not for as many features as the network has inputs.
    pub fn set_standardization(
        &mut self,
        standardization: Option<Standardization<E>>,
    ) -> Result<()> {
        if let Some(standardization) = &standardization {
            let size = standardization.size();
            shape::expect_len("standardization", size, self.model.input_size)?;
        }
        self.change(|model| model.set_standardization(standardization))
    }

    /// The standardisation of the inputs.
    pub fn standardization(&self) -> Option<&Standardization<E>> {
        self.model.standardization.as_ref()
    }

    /// Names the classes that the outputs stand for: one name for each output, or none at all. Data sets whose classes
    /// have names are then measured and trained on by these, whatever order they have them in.
    ///
    /// The first [`fit`](crate::train::fit) on such a data set names the classes of a network that has no names yet. They
    /// are saved with the network, and go when a layer is added that changes the number of outputs. Passes, parameters and
    /// gradients are as they were.
    ///
    /// # Errors
    /// [`Error::Length`] where there are names, but not [`output_size`](Self::output_size); [`Error::Mismatch`] for a name
    /// twice or with a byte 0 in it; [`Error::SizeOverflow`], [`Error::OutOfMemory`].
    pub fn set_class_names<S: AsRef<str>>(&mut self, names: &[S]) -> Result<()> {
        if !names.is_empty() {
            shape::expect_len("the class names", names.len(), self.output_size())?;
        }
        self.adopt_class_names(ClassNames::new(names)?)
    }

    /// Makes these the names of the classes: none, or as many as there are outputs.
    pub(crate) fn adopt_class_names(&mut self, names: ClassNames) -> Result<()> {
        Self::unshared(&mut self.model)?.class_names = Arc::new(names);
        Ok(())
    }

    /// The names of the classes, in the order of the outputs.
    pub fn class_names(&self) -> &ClassNames {
        &self.model.class_names
    }

    /// Sets the number of threads that calls on this network may use, the calling thread among them: 1 is that alone, 0
    /// means one per core. Results never depend on it. A call uses as many of them as it is worth, and no more than the
    /// process has cores at this time: threads that are in each other's way help nobody. The others wait for the next call
    /// awake for 100 microseconds, then asleep; they end before the network is gone. Where several threads call at the same
    /// time, one call has the others' help; in a fork of the process, none has. A call does not wait for a thread that does
    /// not run, because other programs have its core, unless it was stopped in the middle of a piece of work.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] beyond 1024, [`Error::Threads`] where the system has no more; the old ones stay.
    pub fn set_threads(&mut self, threads: usize) -> Result<()> {
        self.parallel = Parallel::new(threads)?;
        Ok(())
    }

    /// Lets calls use the threads of a pool of the host's instead of threads of the network's own, as many as the pool has with the
    /// calling one among them. Results don't depend on it. They share the sequences of a batch, the gradients of parameters and
    /// updates; few sequences through large layers, whose units own threads would share, are run by one. A call takes the
    /// pool's time as `rayon::ThreadPool::in_place_scope` does: it allocates, waits while the pool has other work to do, and may be
    /// made on one of its threads. Copies of the network use the same pool. [`set_threads`](Self::set_threads) goes back.
    pub fn set_pool(&mut self, pool: Arc<rayon::ThreadPool>) {
        self.parallel = Parallel::of_pool(pool);
    }

    /// Sets the number of floating-point operations from which a call uses two threads, and half of which each further one must
    /// have (by default two million: below that, waking a thread costs more than it saves); with 0 every call uses all
    /// threads, also those that have no core. [`set_threads`](Self::set_threads) goes back to the default. What can't be shared
    /// well is run by one thread whatever it costs: fewer than eight sequences through small layers.
    pub fn set_parallel_threshold(&mut self, operations: usize) {
        self.parallel.set_threshold(operations);
    }

    /// Number of threads that calls on this network may use.
    pub fn threads(&self) -> usize {
        self.parallel.threads()
    }

    /// Sets where random numbers start: those of dropout, and those that layers draw their parameters from when they are
    /// added. The default is 0. [Epochs](Self::epochs) and [passes](Self::passes) are counted from 0 again.
    ///
    /// It draws nothing anew. Layers that are all added after it start as [`initialize`](Self::initialize) with
    /// `Initializer::PyTorch { gain: 1.0 }` and this seed would start them; one that is set between two layers starts the
    /// numbers again for those that follow.
    pub fn set_seed(&mut self, seed: u64) {
        self.set_position(Position {
            seed,
            ..Position::default()
        });
    }

    /// Where random numbers start.
    pub fn seed(&self) -> u64 {
        self.position.seed
    }

    /// Epochs that [`fit`](crate::train::fit) has ended, in all its calls, since the seed was set. The order of the
    /// sequences in the next one follows from this and from the options' seed. Saved with the network.
    pub fn epochs(&self) -> u64 {
        self.position.epochs
    }

    /// Calls of [`forward`](Self::forward), by [`fit`](crate::train::fit) too, since the seed was set. What dropout drops in
    /// the next one follows from this and from the seed. Saved with the network.
    pub fn passes(&self) -> u64 {
        self.position.passes
    }

    pub(crate) fn position(&self) -> Position {
        self.position
    }

    pub(crate) fn set_position(&mut self, position: Position) {
        self.position = position;
        self.start = Rng::new(position.seed);
    }

    /// Takes note that an epoch has ended.
    #[cfg(feature = "datasets")]
    pub(crate) fn end_epoch(&mut self) {
        self.position.epochs += 1;
    }

    /// Features of a step of the input.
    pub fn input_size(&self) -> usize {
        self.model.input_size
    }

    /// Features of a step of the output.
    pub fn output_size(&self) -> usize {
        self.model.output_size()
    }

    /// Elements of the output for a batch: `batch * output_size` or, with [`Output::All`], `batch * steps * output_size`.
    ///
    /// # Errors
    /// [`Error::SizeOverflow`]
    pub fn output_len(&self, batch: usize, steps: usize) -> Result<usize> {
        output_len(&self.model, batch, steps)
    }

    /// Sequences and steps of the forward pass that [`backward`](Self::backward) would go back through; None where it
    /// would fail because there is none.
    pub fn forward_shape(&self) -> Option<(usize, usize)> {
        matches!(self.state, State::Forward(_)).then(|| self.workspace.shape())
    }

    /// Elements of a sequence's state: the units of all recurrent layers.
    pub fn state_size(&self) -> usize {
        self.model.state_size
    }

    /// What the network gives for a sequence.
    pub fn output(&self) -> Output {
        self.model.output
    }

    /// The tier whose instructions the network uses.
    pub fn tier(&self) -> Tier {
        self.model.tier
    }

    /// Makes room for training on batches that are no larger than this one, whose `x` is not read: of no more sequences
    /// and, sorted by length, none longer. Their passes then allocate nothing.
    #[cfg(feature = "datasets")]
    pub(crate) fn reserve(&mut self, batch: &Batch<'_, E>) -> Result<()> {
        self.forget_pass();
        let model = &*self.model;
        let threads = self.parallel.threads_for(batch.cost(model, &self.parallel));
        let shares = self.parallel.shares(threads);
        self.workspace.prepare(model, batch, true, shares)?;
        self.gradient
            .prepare(model, &mut self.workspace, true, false)
    }

    /// Drops what the last forward pass has kept: it was one of `fit`'s.
    #[cfg(feature = "datasets")]
    pub(crate) fn forget_pass(&mut self) {
        self.state = State::Void("fit keeps no forward pass to go back through");
    }

    /// Runs a batch and keeps what [`backward`](Self::backward) needs.
    ///
    /// `state_in` `[batch][state_size]` is the state that the sequences start from (None: the network's own, zeros unless
    /// layers have one). `y` receives the outputs, `[batch][output_size]` or, with [`Output::All`],
    /// `[batch][steps][output_size]` with 0 behind the end of each sequence. `state_out` `[batch][state_size]` receives the
    /// state after each sequence's own last step. Both are 0 for a sequence of length 0, whatever its state was and whatever
    /// layers there are: nothing has been computed for it.
    /// With [`set_time_major`](Self::set_time_major), steps come before the batch.
    ///
    /// # Errors
    /// [`Error::ZeroSize`], [`Error::SizeOverflow`], [`Error::Length`], [`Error::SequenceLength`],
    /// [`Error::OutOfMemory`]
    pub fn forward(
        &mut self,
        batch: Batch<'_, E>,
        state_in: Option<&[E]>,
        y: Option<&mut [E]>,
        state_out: Option<&mut [E]>,
    ) -> Result<()> {
        self.forward_in(self.order, batch, state_in, y, state_out)
    }

    /// [`Self::forward`], with buffers in this order.
    pub(crate) fn forward_in(
        &mut self,
        order: Order,
        batch: Batch<'_, E>,
        state_in: Option<&[E]>,
        y: Option<&mut [E]>,
        state_out: Option<&mut [E]>,
    ) -> Result<()> {
        let model = &*self.model;
        let cost = batch.cost(model, &self.parallel);
        let call = ForwardArguments {
            batch,
            order,
            state_in,
            y,
            state_out,
        };
        Workspace::check(model, &call)?;
        self.state = State::Void("the last forward pass has failed");
        let training = Training {
            seed: self.position.seed,
            pass: self.position.passes,
        };
        let workspace = &mut self.workspace;
        self.parallel.enter(cost, |crew| {
            E::forward(workspace, model, crew, call, Some(training))
        })?;
        self.state = State::Forward(training);
        self.position.passes += 1;
        Ok(())
    }

    /// Goes back through the last [`forward`](Self::forward) and adds the gradients of the parameters to
    /// [`gradients`](Self::gradients), except those of [frozen](Self::set_trainable) layers. They are sums over the batch, not
    /// means.
    ///
    /// `dy` is the gradient of the outputs, in the shape of `y` (None: 0); what lies behind the end of a sequence is
    /// not read. `dstate_out` `[batch][state_size]` is the gradient of the final states (None: 0). `dx` (in the shape of
    /// `x`; 0 behind the end of a sequence) and `dstate_in` `[batch][state_size]` receive the gradients of the inputs
    /// and of the states that the sequences started from. A sequence of length 0 has no part in any of it: its gradients
    /// are 0.
    ///
    /// # Errors
    /// [`Error::CallOrder`] where there is no forward pass to go back through: there was none,
    /// it was one of [`fit`](crate::train::fit), it has failed, or the network has changed since;
    /// [`Error::Length`], [`Error::OutOfMemory`]
    pub fn backward(
        &mut self,
        dy: Option<&[E]>,
        dstate_out: Option<&[E]>,
        dx: Option<&mut [E]>,
        dstate_in: Option<&mut [E]>,
    ) -> Result<()> {
        self.backward_in(self.order, dy, dstate_out, dx, dstate_in)
    }

    /// [`Self::backward`], with buffers in this order.
    pub(crate) fn backward_in(
        &mut self,
        order: Order,
        dy: Option<&[E]>,
        dstate_out: Option<&[E]>,
        dx: Option<&mut [E]>,
        dstate_in: Option<&mut [E]>,
    ) -> Result<()> {
        let training = match self.state {
            State::Forward(training) => training,
            State::Void(reason) => {
                let call = "backward";
                return Err(Error::CallOrder { call, reason });
            }
        };
        let model = &*self.model;
        let flow = BackwardArguments {
            order,
            dy,
            dstate_out,
            dx,
            dstate_in,
        };
        self.workspace.check_backward(model, &flow)?;
        let input_gradient = flow.dx.is_some();
        self.gradient
            .prepare(model, &mut self.workspace, false, input_gradient)?;
        let (workspace, gradient) = (&mut self.workspace, &mut self.gradient);
        let gradients = &mut self.gradients[..];
        let cost = workspace.backward_cost(model, gradient);
        self.parallel.enter(cost, |crew| {
            E::backward(workspace, model, crew, training, gradient, flow, gradients);
        });
        Ok(())
    }

    /// Lets the optimizer apply the gradients to the parameters, except those of [frozen](Self::set_trainable) layers, then
    /// clears them.
    ///
    /// # Errors
    /// [`Error::Mismatch`] where the optimizer belongs to a network of another size, [`Error::OutOfMemory`]. Parameters,
    /// gradients and optimizer are then as they were.
    pub fn update(&mut self, optimizer: &mut Optimizer<E>) -> Result<()> {
        let model = Self::unshared(&mut self.model)?;
        let (gradients, transposes) = (&mut self.gradients[..], &mut self.gradient.weights);
        self.parallel.enter(update::cost(model), |crew| {
            let step = optimizer.begin(model.parameters.len())?;
            update(crew, model, transposes, step, gradients);
            Ok(())
        })?;
        self.outdate_pass();
        Ok(())
    }

    /// Runs a batch without keeping anything, as [`forward`](Self::forward) does, but without dropout. Any number of
    /// threads may do so at the same time.
    ///
    /// # Errors
    /// As [`forward`](Self::forward).
    pub fn predict(
        &self,
        batch: Batch<'_, E>,
        state_in: Option<&[E]>,
        y: Option<&mut [E]>,
        state_out: Option<&mut [E]>,
    ) -> Result<()> {
        self.predict_in(self.order, batch, state_in, y, state_out)
    }

    /// [`Self::predict`], with buffers in this order.
    pub(crate) fn predict_in(
        &self,
        order: Order,
        batch: Batch<'_, E>,
        state_in: Option<&[E]>,
        y: Option<&mut [E]>,
        state_out: Option<&mut [E]>,
    ) -> Result<()> {
        let model = &*self.model;
        let cost = batch.cost(model, &self.parallel);
        let call = ForwardArguments {
            batch,
            order,
            state_in,
            y,
            state_out,
        };
        Workspace::check(model, &call)?;
        let mut workspace = self.idle().pop().unwrap_or_default();
        let result = self.parallel.enter(cost, |crew| {
            E::forward(&mut workspace, model, crew, call, None)
        });
        self.idle().push(workspace);
        result
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Workspace<E>>> {
        // A panic elsewhere can't have left the list half changed.
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The model, to shard.
    pub(crate) fn model(&self) -> &Arc<Model<E>> {
        &self.model
    }

    /// The model, to change: a copy of it where sessions hold the old one.
    fn unshared(model: &mut Arc<Model<E>>) -> Result<&mut Model<E>> {
        if Arc::get_mut(model).is_none() {
            *model = Arc::new(model.try_clone()?);
        }
        match Arc::get_mut(model) {
            Some(model) => Ok(model),
            None => unreachable!("the copy was made just now"),
        }
    }

    /// Changes the model. An error of `change` must have left it as it was.
    fn change(&mut self, change: impl FnOnce(&mut Model<E>) -> Result<()>) -> Result<()> {
        change(Self::unshared(&mut self.model)?)?;
        self.changed();
        Ok(())
    }

    /// What passes have kept no longer fits the model.
    fn changed(&mut self) {
        self.gradient.weights.outdate();
        self.outdate_pass();
    }

    /// What a forward pass has kept no longer fits the parameters.
    fn outdate_pass(&mut self) {
        if matches!(self.state, State::Forward(_)) {
            self.state = State::Void("the network has changed since the forward pass");
        }
    }
}

impl<E: Element> Batch<'_, E> {
    /// What a forward pass costs: nothing that threads could share where there are too few sequences. Few rows count as
    /// [`ROWS_AS_FAST_AS_ONE`], which take no longer.
    fn cost(&self, model: &Model<E>, parallel: &Parallel) -> CallCost {
        let shares = parallel.shares(parallel.threads());
        let rows = match self.lengths {
            _ if Plan::new(model, self.batch, shares) == Plan::Alone => 0,
            None => self
                .steps
                .saturating_mul(self.batch.max(ROWS_AS_FAST_AS_ONE)),
            Some(lengths) => lengths
                .iter()
                .fold(0_usize, |sum, &next| sum.saturating_add(next)),
        };
        CallCost {
            operations: rows.saturating_mul(model.operations()),
            meetings: 1,
        }
    }
}

#[cfg(test)]
mod tests;
