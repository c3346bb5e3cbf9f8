//! Networks: what a caller knows about one, and the calls that make and change it.

use std::collections::BTreeSet;
use std::ffi::CString;
use std::mem::MaybeUninit;

use elman_abi::layer::*;
use elman_abi::network::*;
use elman_abi::parameters::*;
use elman_abi::recurrent::*;
use elman_abi::status::*;

use crate::around;
use crate::call::{Argument, Call, Done, LIMIT, Record, adopt, c, given, must, same, text};
use crate::source::Source;
use crate::world::{World, few};

/// Usual sizes of layers and inputs.
pub const WIDTHS: [usize; 16] = [1, 2, 3, 2, 1, 4, 5, 2, 3, 8, 1, 16, 7, 17, 33, 40];

/// A layer, as it was asked for.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::large_enum_variant)] // there are few, and they are copied
pub enum Layer {
    Rnn {
        units: usize,
        activation: u32,
    },
    Recurrent(Recurrent),
    Dense {
        units: usize,
        activation: u32,
    },
    Dropout {
        rate: f32,
    },
    Activation {
        activation: u32,
        alpha: f32,
        beta: f32,
    },
}

/// What a caller knows about a network.
#[derive(Clone, Debug)]
pub struct Model {
    pub input: usize,
    pub layers: Vec<Layer>,
    /// Numbers of the layers that are frozen.
    pub frozen: BTreeSet<usize>,
    pub output: u32,
    /// Of the handle; a twin always runs batch-major.
    pub time_major: bool,
    pub standardization: Option<[Vec<f32>; 2]>,
    /// Of the classes.
    pub names: Option<Vec<String>>,
}

impl Model {
    fn new(input: usize) -> Self {
        Self {
            input,
            layers: Vec::new(),
            frozen: BTreeSet::new(),
            output: ELMAN_OUTPUT_LAST,
            time_major: false,
            standardization: None,
            names: None,
        }
    }

    pub fn output_size(&self) -> usize {
        let units = self.layers.iter().rev().find_map(|layer| match *layer {
            Layer::Rnn { units, .. } | Layer::Dense { units, .. } => Some(units),
            Layer::Recurrent(layer) => Some(layer.outputs()),
            Layer::Dropout { .. } | Layer::Activation { .. } => None,
        });
        units.unwrap_or(self.input)
    }

    pub fn state_size(&self) -> usize {
        let units = self.layers.iter().map(|layer| match *layer {
            Layer::Rnn { units, .. } => units,
            Layer::Recurrent(layer) => layer.state_size(),
            Layer::Dense { .. } | Layer::Dropout { .. } | Layer::Activation { .. } => 0,
        });
        units.sum()
    }

    /// The recurrent layers with options.
    fn recurrent(&self) -> impl Iterator<Item = &Recurrent> {
        self.layers.iter().filter_map(|layer| match layer {
            Layer::Recurrent(layer) => Some(layer),
            _ => None,
        })
    }

    /// Whether an output depends on later steps.
    pub fn looks_ahead(&self) -> bool {
        let ahead = |layer: &Recurrent| layer.options.direction != ELMAN_FORWARD;
        self.recurrent().any(ahead)
    }

    /// Whether sequences that are given no state start from one of the network's own.
    pub fn has_own_start(&self) -> bool {
        let own = |layer: &Recurrent| layer.options.initial_state != ELMAN_INITIAL_ZEROS;
        self.recurrent().any(own)
    }

    /// The state that sequences start from which are given none.
    pub fn start(&self, parameters: &[f32]) -> Vec<f32> {
        let mut state = Vec::new();
        let (mut inputs, mut first) = (self.input as u128, 0);
        for layer in &self.layers {
            let count = layer.parameter_count(inputs) as usize;
            match layer {
                Layer::Rnn { units, .. } => state.resize(state.len() + units, 0.0),
                Layer::Recurrent(layer) => {
                    let ways = layer.ways();
                    let size = layer.state_size() / ways;
                    for way in 1..=ways {
                        let end = first + count / ways * way;
                        match layer.options.initial_state {
                            ELMAN_INITIAL_ZEROS => state.resize(state.len() + size, 0.0),
                            _ => state.extend(&parameters[end - size..end]),
                        }
                    }
                }
                Layer::Dense { .. } | Layer::Dropout { .. } | Layer::Activation { .. } => {}
            }
            first += count;
            inputs = layer.units().unwrap_or(inputs);
        }
        // What is 0 for the library is so here.
        state
    }

    pub fn parameter_count(&self) -> usize {
        let mut count = 0;
        let mut inputs = self.input as u128;
        for layer in &self.layers {
            count += layer.parameter_count(inputs);
            inputs = layer.units().unwrap_or(inputs);
        }
        count as usize
    }

    /// Whether training drops elements.
    pub fn drops(&self) -> bool {
        let drops = |layer: &Layer| match *layer {
            Layer::Dropout { rate } => rate > 0.0,
            Layer::Recurrent(Recurrent { options, .. }) => {
                let rates = [
                    options.recurrent_dropout,
                    options.zoneout,
                    options.zoneout_cell,
                ];
                rates != [0.0; 3]
            }
            Layer::Rnn { .. } | Layer::Dense { .. } | Layer::Activation { .. } => false,
        };
        self.layers.iter().any(drops)
    }

    /// Elements of the output for a batch, as sizes to multiply.
    pub fn output_sizes(&self, batch: usize, steps: usize) -> Vec<usize> {
        match self.output {
            ELMAN_OUTPUT_LAST => vec![batch, self.output_size()],
            _ => vec![batch, steps, self.output_size()],
        }
    }

    /// A network like that.
    pub fn build(&self, parameters: &[f32]) -> Box<Network> {
        let mut network = create(self.input);
        for layer in &self.layers {
            must("a layer", layer.add(Some(&mut network)));
        }
        for &layer in &self.frozen {
            let status = elman_set_trainable(Some(&mut network), layer, 0);
            must("elman_set_trainable", status);
        }
        must(
            "elman_set_output",
            elman_set_output(Some(&mut network), self.output),
        );
        if let Some([mean, deviation]) = &self.standardization {
            let (mean_values, deviations) = (mean.as_ptr(), deviation.as_ptr());
            let network = Some(&mut *network);
            let status = c!(elman_set_standardization(
                network,
                mean_values,
                deviations,
                mean.len()
            ));
            must("elman_set_standardization", status);
        }
        if let Some(names) = &self.names {
            must("elman_set_class_names", set_names(&mut network, names));
        }
        set_parameters(&mut network, parameters);
        network
    }
}

impl Layer {
    fn units(self) -> Option<u128> {
        match self {
            Self::Rnn { units, .. } | Self::Dense { units, .. } => Some(units as u128),
            Self::Recurrent(layer) => Some(layer.outputs() as u128),
            Self::Dropout { .. } | Self::Activation { .. } => None,
        }
    }

    fn parameter_count(self, inputs: u128) -> u128 {
        let units = self.units().unwrap_or(0);
        let recurrent = match self {
            Self::Recurrent(layer) => {
                return layer.parameter_count(inputs).unwrap_or(u128::MAX);
            }
            Self::Rnn { .. } => units,
            Self::Dense { .. } | Self::Dropout { .. } | Self::Activation { .. } => 0,
        };
        inputs
            .checked_add(recurrent)
            .and_then(|rows| rows.checked_add(1)?.checked_mul(units))
            .unwrap_or(u128::MAX)
    }

    /// The bound of the numbers that its parameters start with.
    fn largest_start(self, inputs: usize) -> f32 {
        let count = match self {
            Self::Rnn { units, .. } | Self::Recurrent(Recurrent { units, .. }) => units,
            Self::Dense { .. } | Self::Dropout { .. } | Self::Activation { .. } => inputs,
        };
        let bound = (count as f32).sqrt().recip();
        match self {
            // The largest of both, where it has a bias of its own.
            Self::Recurrent(layer) => bound.max(layer.options.forget_bias.abs() as f32),
            _ => bound,
        }
    }

    fn add(self, network: Option<&mut Network>) -> Status {
        match self {
            Self::Rnn { units, activation } => elman_add_rnn(network, units, activation),
            Self::Recurrent(layer) => layer.add(network, &raw const layer.options),
            Self::Dense { units, activation } => elman_add_dense(network, units, activation),
            Self::Dropout { rate } => elman_add_dropout(network, rate),
            Self::Activation {
                activation,
                alpha,
                beta,
            } => elman_add_activation(network, activation, alpha, beta),
        }
    }

    fn function(self) -> &'static str {
        match self {
            Self::Rnn { .. } => "elman_add_rnn",
            Self::Recurrent(layer) => match layer.cell {
                Cell::Rnn { .. } => "elman_add_recurrent",
                Cell::Gru => "elman_add_gru",
                Cell::Lstm => "elman_add_lstm",
            },
            Self::Dense { .. } => "elman_add_dense",
            Self::Dropout { .. } => "elman_add_dropout",
            Self::Activation { .. } => "elman_add_activation",
        }
    }
}

/// A cell, with what only this one has.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Cell {
    Rnn { activation: u32 },
    Gru,
    Lstm,
}

/// A recurrent layer with options.
#[derive(Clone, Copy, Debug)]
pub struct Recurrent {
    pub cell: Cell,
    pub units: usize,
    pub options: RecurrentOptions,
}

impl Recurrent {
    /// One of usual sizes or, to `add`, one that may be wrong. In most of them most options are the defaults.
    fn draw(source: &mut Source<'_>, units: usize, is_right: bool) -> Self {
        let cell = match source.below(7) {
            0..3 => Cell::Lstm,
            3..5 => Cell::Gru,
            _ => Cell::Rnn {
                activation: source.below(13) as u32,
            },
        };
        let mut options = default_options();
        // An option that the cell has no use for is wrong.
        let misfits = !is_right && source.rarely(32);
        let constant = |source: &mut Source<'_>, known: u32| match is_right {
            true => source.below(known as usize) as u32,
            false => source.constant(known),
        };
        let rate = |source: &mut Source<'_>, usual: &[f64]| match is_right {
            true => source.pick(usual),
            false => source.double(usual),
        };
        if source.rarely(2) {
            options.direction = constant(source, 3);
            options.merge = constant(source, 4);
            options.last = constant(source, 2);
        }
        if source.rarely(2) {
            options.bias = constant(source, 2);
            options.initial_state = constant(source, 3);
            options.clip_sums = rate(source, &[0.0, 0.5, 3.0]);
        }
        if source.rarely(3) {
            options.recurrent_dropout = rate(source, &[0.0, 0.25, 0.5]);
            options.zoneout = rate(source, &[0.0, 0.25, 0.5]);
        }
        if cell == Cell::Gru || misfits {
            options.reset = constant(source, 2);
        }
        if !matches!(cell, Cell::Rnn { .. }) && source.rarely(3) || misfits {
            for way in 0..2 {
                options.gates[way] = constant(source, 13);
                options.candidate[way] = constant(source, 13);
                options.output[way] = constant(source, 13);
            }
        }
        if cell == Cell::Lstm && source.rarely(2) || misfits {
            options.peepholes = constant(source, 2);
            options.coupled = constant(source, 2);
            options.projection = source.pick(&[0, 1, 2, 3, 17]);
            options.clip_state = rate(source, &[0.0, 0.5, 3.0]);
            options.zoneout_cell = rate(source, &[0.0, 0.25]);
            if options.coupled == 0 && options.bias == 1 || misfits {
                options.forget_bias = rate(source, &[f64::NAN, 1.0]);
            }
        }
        if misfits {
            options.size = source.pick(&[options.size, 0, 8, options.size + 8]);
            options.projection = source.pick(&[0, 1 << 40, usize::MAX]);
        }
        Self {
            cell,
            units,
            options,
        }
    }

    /// Names what is wrong with it, given the options that the call reads.
    fn judge(&self, call: &mut Call, options: &RecurrentOptions) {
        let default = default_options();
        call.wrong(ELMAN_ERROR_ZERO_SIZE, self.units == 0);
        if let Cell::Rnn { activation } = self.cell {
            call.wrong(
                ELMAN_ERROR_UNKNOWN_CONSTANT,
                activation > ELMAN_THRESHOLDED_RELU,
            );
        }
        let functions = [options.gates, options.candidate, options.output];
        let unknown = options.direction > 2
            || options.merge > 3
            || options.initial_state > 2
            || [options.last, options.bias, options.reset]
                .iter()
                .any(|&value| value > 1)
            || [options.peepholes, options.coupled]
                .iter()
                .any(|&value| value > 1)
            || functions
                .iter()
                .flatten()
                .any(|&function| function > ELMAN_THRESHOLDED_RELU);
        call.wrong(ELMAN_ERROR_UNKNOWN_CONSTANT, unknown);
        let rates = [
            options.recurrent_dropout,
            options.zoneout,
            options.zoneout_cell,
        ];
        let clips = [options.clip_sums, options.clip_state];
        let most = f64::from(f32::MAX);
        let out_of_range = rates.iter().any(|rate| !(0.0..1.0).contains(rate))
            || clips.iter().any(|clip| !(0.0..=most).contains(clip))
            || options.forget_bias.abs() > most;
        call.wrong(ELMAN_ERROR_OUT_OF_RANGE, out_of_range);
        let has_forget_bias = !options.forget_bias.is_nan();
        let lstm_only = options.peepholes != 0
            || options.coupled != 0
            || options.projection != 0
            || options.clip_state != 0.0
            || options.zoneout_cell != 0.0
            || has_forget_bias;
        let gated = functions != [default.gates, default.candidate, default.output];
        let misfits = match self.cell {
            Cell::Rnn { .. } => lstm_only || gated || options.reset != 0,
            Cell::Gru => lstm_only,
            Cell::Lstm => options.reset != 0,
        };
        let gate = options.coupled == 0 && options.bias != 0;
        call.wrong(
            ELMAN_ERROR_MISMATCH,
            options.size != default.size || misfits || has_forget_bias && !gate,
        );
    }

    /// Adds it, with its options at that place.
    fn add(&self, network: Option<&mut Network>, options: *const RecurrentOptions) -> Status {
        let units = self.units;
        match self.cell {
            Cell::Rnn { activation } => {
                c!(elman_add_recurrent(network, units, activation, options))
            }
            Cell::Gru => c!(elman_add_gru(network, units, options)),
            Cell::Lstm => c!(elman_add_lstm(network, units, options)),
        }
    }

    fn ways(&self) -> usize {
        if self.options.direction == ELMAN_BIDIRECTIONAL {
            2
        } else {
            1
        }
    }

    /// Elements of h.
    fn size(&self) -> usize {
        match self.options.projection {
            0 => self.units,
            size => size,
        }
    }

    fn outputs(&self) -> usize {
        match self.options.merge {
            ELMAN_MERGE_CONCAT => self.size().saturating_mul(self.ways()),
            _ => self.size(),
        }
    }

    fn state_size(&self) -> usize {
        let cells = if self.cell == Cell::Lstm {
            self.units
        } else {
            0
        };
        self.size()
            .saturating_add(cells)
            .saturating_mul(self.ways())
    }

    /// None where it is more than any number.
    fn parameter_count(&self, inputs: u128) -> Option<u128> {
        let options = &self.options;
        let gates = match self.cell {
            Cell::Rnn { .. } => 1,
            Cell::Gru => 3,
            Cell::Lstm => 4 - u128::from(options.coupled),
        };
        let (units, size) = (self.units as u128, self.size() as u128);
        let rows = inputs.checked_add(size)?.checked_add(options.bias.into())?;
        let mut count = rows.checked_mul(units.checked_mul(gates)?)?;
        let mut add = |rows: u128, columns: u128| {
            count = count.checked_add(rows.checked_mul(columns)?)?;
            Some(())
        };
        let after = self.cell == Cell::Gru && options.reset == ELMAN_RESET_AFTER;
        add(u128::from(after && options.bias == 1), units)?;
        add(u128::from(options.peepholes) * (gates - 1), units)?;
        if options.projection > 0 {
            add(units, size)?;
        }
        if options.initial_state != ELMAN_INITIAL_ZEROS {
            add(1, size)?;
            add(u128::from(self.cell == Cell::Lstm), units)?;
        }
        count.checked_mul(self.ways() as u128)
    }

    /// Whether its gradients are those of a smooth function.
    pub fn is_smooth(&self) -> bool {
        let options = &self.options;
        let smooth = |function: &u32| [ELMAN_TANH, ELMAN_SIGMOID].contains(function);
        let own = match &self.cell {
            Cell::Rnn { activation } => smooth(activation),
            Cell::Gru | Cell::Lstm => true,
        };
        let functions = [options.gates, options.candidate, options.output];
        let rates = [
            options.recurrent_dropout,
            options.zoneout,
            options.zoneout_cell,
        ];
        own && functions.iter().flatten().all(smooth)
            && [options.clip_sums, options.clip_state] == [0.0; 2]
            && rates.iter().all(|&rate| rate <= 0.5)
    }
}

/// The options that a caller has not changed.
fn default_options() -> RecurrentOptions {
    let mut options = MaybeUninit::<RecurrentOptions>::uninit();
    let status = c!(elman_recurrent_options_init(
        options.as_mut_ptr(),
        size_of::<RecurrentOptions>()
    ));
    must("elman_recurrent_options_init", status);
    // SAFETY: the call says that it has written it.
    unsafe { options.assume_init() }
}

/// The numbers of options, to compare.
fn numbers_of(options: &RecurrentOptions) -> ([usize; 2], [u32; 14], [u64; 6]) {
    let [gates, candidate, output] = [options.gates, options.candidate, options.output];
    (
        [options.size, options.projection],
        [
            options.direction,
            options.merge,
            options.last,
            options.bias,
            options.reset,
            options.peepholes,
            options.coupled,
            options.initial_state,
            gates[0],
            gates[1],
            candidate[0],
            candidate[1],
            output[0],
            output[1],
        ],
        [
            options.clip_sums,
            options.clip_state,
            options.forget_bias,
            options.recurrent_dropout,
            options.zoneout,
            options.zoneout_cell,
        ]
        // 0 is 0, with a sign or without.
        .map(|number| {
            if number.is_nan() {
                f64::NAN
            } else {
                number + 0.0
            }
            .to_bits()
        }),
    )
}

/// The options of a layer of a network.
fn options_of(network: &Network, layer: usize) -> RecurrentOptions {
    let mut options = default_options();
    let status = c!(elman_get_recurrent_options(
        Some(network),
        layer,
        &raw mut options,
        size_of::<RecurrentOptions>()
    ));
    must("elman_get_recurrent_options", status);
    options
}

/// The forward pass that a backward pass goes back through.
#[derive(Clone, Debug)]
pub struct Pass {
    pub batch: usize,
    pub steps: usize,
    pub lengths: Vec<usize>,
}

/// A network and its twin: another network that gets only the calls that succeed, with plain arguments, and that runs on
/// one thread. They must never differ.
pub struct Net {
    pub handle: Box<Network>,
    pub twin: Box<Network>,
    pub model: Model,
    pub pass: Option<Pass>,
    threads: usize,
    /// A seed that the twin gets before its next forward pass: until then it must not matter.
    seed: Option<u64>,
    /// Where the gradients are, until a layer is added.
    gradients: Option<*mut f32>,
}

impl Net {
    pub fn new(handle: Box<Network>, model: Model, parameters: &[f32]) -> Self {
        let twin = model.build(parameters);
        Self {
            handle,
            twin,
            model,
            pass: None,
            threads: 1,
            seed: None,
            gradients: None,
        }
    }

    /// The twin, about to run forward in training.
    pub fn twin_to_train(&mut self) -> &mut Network {
        if let Some(seed) = self.seed.take() {
            must("elman_set_seed", elman_set_seed(Some(&mut self.twin), seed));
        }
        &mut self.twin
    }

    /// Does to the twin what has been done to the network. A forward pass from before is void.
    pub fn follow(&mut self, name: &str, change: impl FnOnce(&mut Network) -> Status) {
        must(name, change(&mut self.twin));
        self.pass = None;
    }

    /// The network has gone through calls that the twin can't repeat.
    pub fn renew_twin(&mut self, seed: u64) {
        let parameters = parameters(&self.handle);
        self.twin = self.model.build(&parameters);
        let gradients = gradients(&mut self.handle);
        write_gradients(&mut self.twin, &gradients);
        must(
            "elman_set_seed",
            elman_set_seed(Some(&mut self.handle), seed),
        );
        self.seed = Some(seed);
        // Whether there is still a pass from before is anybody's guess; this makes it void.
        let status = elman_set_output(Some(&mut self.handle), self.model.output);
        must("elman_set_output", status);
        self.pass = None;
    }

    /// Makes sure that the network is as it should be.
    pub fn check(&mut self) {
        let (network, model) = (&self.handle, &self.model);
        assert_eq!(elman_input_size(Some(network)), model.input);
        assert_eq!(elman_output_size(Some(network)), model.output_size());
        assert_eq!(elman_state_size(Some(network)), model.state_size());
        assert_eq!(elman_output(Some(network)), model.output);
        assert_eq!(elman_threads(Some(network)), self.threads);
        let time_major = elman_get_time_major(Some(network));
        assert_eq!(time_major, u32::from(model.time_major));
        let count = model.parameter_count();
        assert_eq!(elman_parameter_count(Some(network)), count);
        assert!(same(&parameters(network), &parameters(&self.twin)));
        assert!(same(
            &gradients(&mut self.handle),
            &gradients(&mut self.twin)
        ));
        let address = address(&mut self.handle);
        assert!(address.addr().is_multiple_of(64));
        assert!(self.gradients.is_none_or(|known| known == address));
        self.gradients = Some(address);
        self.check_standardization();
        self.check_layers();
        assert_eq!(names_of(&self.handle), self.model.names);
        assert_eq!(names_of(&self.twin), self.model.names);
    }

    fn check_layers(&self) {
        let (network, model) = (Some(&*self.handle), &self.model);
        assert_eq!(elman_layer_count(network), model.layers.len());
        let (mut inputs, mut offset, mut state) = (model.input, 0, 0);
        for (index, layer) in model.layers.iter().enumerate() {
            let mut info = MaybeUninit::<LayerInfo>::uninit();
            let size = size_of::<LayerInfo>();
            let status = c!(elman_get_layer_info(
                network,
                index,
                info.as_mut_ptr(),
                size
            ));
            must("elman_get_layer_info", status);
            // SAFETY: the call says that it has written it.
            let info = unsafe { info.assume_init() };
            let expected = match *layer {
                Layer::Rnn { units, activation } => (ELMAN_LAYER_RNN, activation, 0.0, units),
                Layer::Recurrent(layer) => {
                    let options = options_of(&self.handle, index);
                    assert_eq!(numbers_of(&options), numbers_of(&layer.options));
                    let (kind, activation) = match layer.cell {
                        Cell::Rnn { activation } => (ELMAN_LAYER_RNN, activation),
                        Cell::Gru => (ELMAN_LAYER_GRU, ELMAN_LINEAR),
                        Cell::Lstm => (ELMAN_LAYER_LSTM, ELMAN_LINEAR),
                    };
                    (kind, activation, 0.0, layer.state_size())
                }
                Layer::Dense { activation, .. } => (ELMAN_LAYER_DENSE, activation, 0.0, 0),
                Layer::Dropout { rate } => (ELMAN_LAYER_DROPOUT, ELMAN_LINEAR, rate.into(), 0),
                Layer::Activation { activation, .. } => {
                    (ELMAN_LAYER_ACTIVATION, activation, 0.0, 0)
                }
            };
            let found = (info.kind, info.activation, info.rate, info.state_size);
            assert_eq!(found, expected);
            if let Layer::Activation { alpha, beta, .. } = *layer {
                assert!(info.alpha == 0.0 || info.alpha == f64::from(alpha));
                assert!(info.beta == 0.0 || info.beta == f64::from(beta));
            }
            assert_eq!((info.size, info.input_size), (size, inputs));
            let trainable = !model.frozen.contains(&index);
            assert_eq!(info.trainable, u32::from(trainable));
            assert_eq!((info.parameter_offset, info.state_offset), (offset, state));
            inputs = info.output_size;
            offset += info.parameter_count;
            state += info.state_size;
        }
        assert_eq!(inputs, model.output_size());
        assert_eq!(
            (offset, state),
            (model.parameter_count(), model.state_size())
        );
    }

    fn check_standardization(&self) {
        let input = self.model.input;
        if input > 1000 {
            return;
        }
        let (mut mean, mut deviation) = (vec![f32::NAN; input], vec![f32::NAN; input]);
        let (to_mean, to_deviation) = (mean.as_mut_ptr(), deviation.as_mut_ptr());
        let network = Some(&*self.handle);
        let status = c!(elman_get_standardization(
            network,
            to_mean,
            to_deviation,
            input
        ));
        must("elman_get_standardization", status);
        match &self.model.standardization {
            None => assert!(same(&mean, &vec![0.0; input]) && same(&deviation, &vec![1.0; input])),
            Some(known) => assert!(same(&mean, &known[0]) && same(&deviation, &known[1])),
        }
    }
}

pub fn create(input: usize) -> Box<Network> {
    let mut network = std::ptr::null_mut();
    must("elman_create", c!(elman_create(input, &raw mut network)));
    adopt(network)
}

/// The names of the classes of a network.
pub fn names_of(network: &Network) -> Option<Vec<String>> {
    let name = |index| {
        let mut name = std::ptr::null();
        let status = c!(elman_get_class_name(Some(network), index, &raw mut name));
        must("elman_get_class_name", status);
        text(name).to_string()
    };
    let names: Vec<_> = { 0..elman_get_class_name_count(Some(network)) }
        .map(name)
        .collect();
    (!names.is_empty()).then_some(names)
}

fn set_names(network: &mut Network, names: &[String]) -> Status {
    let names: Vec<_> = { names.iter() }
        .map(|name| CString::new(name.as_str()).expect("a name holds no 0"))
        .collect();
    let pointers: Vec<_> = names.iter().map(|name| name.as_ptr()).collect();
    let (pointer, count) = (pointers.as_ptr(), pointers.len());
    c!(elman_set_class_names(Some(network), pointer, count))
}

pub fn get_class_name(world: &mut World, source: &mut Source<'_>) {
    let slot = world.network_slot(source);
    let index = source.below(8).wrapping_sub(source.below(2));
    let mut call = Call::new("elman_get_class_name", source);
    let net = world.networks[slot].as_ref();
    let network = call.handle(net.map(|net| &*net.handle));
    let names = net.and_then(|net| net.model.names.as_deref());
    let right = names.unwrap_or_default().get(index);
    call.wrong(ELMAN_ERROR_OUT_OF_RANGE, right.is_none());
    let name = call.write(1);
    let done = call.run(&mut world.record, |p| {
        c!(elman_get_class_name(network, index, p.get(name)))
    });
    if let Some(name) = done.filter(Done::is_ok).and_then(|done| done.result(name)) {
        assert_eq!(Some(text(name)), right.map(String::as_str));
    }
}

pub fn set_class_names(world: &mut World, source: &mut Source<'_>) {
    let slot = world.network_slot(source);
    let outputs = world.networks[slot]
        .as_ref()
        .map_or(1, |net| net.model.output_size());
    let count = match source.below(16) {
        15 => source.size(&WIDTHS),
        _ => outputs,
    };
    let (shift, twice, given) = (source.below(4), source.rarely(8), !source.rarely(8));
    let mut call = Call::new("elman_set_class_names", source);
    call.starve(source);
    // Its length is wrong before its size is.
    let len = if count == outputs {
        call.len(&[count])
    } else {
        0
    };
    let mut names: Vec<_> = (0..len)
        .map(|class| ((class + shift) % len).to_string())
        .collect();
    if twice && len > 1 {
        names[len - 1] = names[0].clone();
    }
    let strings: Vec<_> = { names.iter() }
        .map(|name| CString::new(name.as_str()).expect("a number"))
        .collect();
    let pointers: Vec<_> = strings.iter().map(|name| name.as_ptr()).collect();
    let to_names = call.read_optional(given.then_some(&pointers[..]));
    let given = call.gives(to_names);
    call.wrong(ELMAN_ERROR_LENGTH, given && count != outputs);
    call.wrong(ELMAN_ERROR_MISMATCH, given && twice && len > 1);
    world.change(
        slot,
        call,
        |network, p| c!(elman_set_class_names(network, p.get(to_names), count)),
        |net| {
            net.model.names = given.then_some(names);
            let twin = &mut net.twin;
            must(
                "elman_set_class_names",
                match &net.model.names {
                    Some(names) => set_names(twin, names),
                    None => c!(elman_set_class_names(Some(twin), std::ptr::null(), 0)),
                },
            );
        },
    );
}

pub fn parameters(network: &Network) -> Vec<f32> {
    let mut values = vec![f32::NAN; elman_parameter_count(Some(network))];
    let (pointer, count) = (values.as_mut_ptr(), values.len());
    must(
        "elman_get_parameters",
        c!(elman_get_parameters(Some(network), pointer, count)),
    );
    values
}

fn set_parameters(network: &mut Network, values: &[f32]) {
    let status = c!(elman_set_parameters(
        Some(network),
        values.as_ptr(),
        values.len()
    ));
    must("elman_set_parameters", status);
}

fn address(network: &mut Network) -> *mut f32 {
    let mut address = std::ptr::null_mut();
    let status = c!(elman_gradients(
        Some(network),
        &raw mut address,
        std::ptr::null_mut()
    ));
    must("elman_gradients", status);
    address
}

pub fn gradients(network: &mut Network) -> Vec<f32> {
    let count = elman_parameter_count(Some(network));
    given(address(network).cast_const(), count)
}

fn write_gradients(network: &mut Network, values: &[f32]) {
    let address = address(network);
    assert_eq!(elman_parameter_count(Some(network)), values.len());
    // SAFETY: the block has one place for each parameter, and nothing else uses the network.
    unsafe { address.copy_from_nonoverlapping(values.as_ptr(), values.len()) }
}

/// Makes a network of some layers at once, so that there is one to do something with.
pub fn build(world: &mut World, source: &mut Source<'_>) {
    let slot = few(source);
    build_in(world, source, slot);
}

pub fn build_in(world: &mut World, source: &mut Source<'_>, slot: usize) {
    let input = source.pick(&WIDTHS);
    let mut model = Model::new(input);
    model.output = source.constant(2).min(1);
    for _ in 0..source.below(5) {
        let units = source.pick(&WIDTHS);
        let activation = source.below(4) as u32;
        model.layers.push(match source.below(6) {
            // There were no others once.
            0..3 => match source.ahead().below(2) {
                0 => Layer::Rnn { units, activation },
                _ => Layer::Recurrent(Recurrent::draw(&mut source.ahead(), units, true)),
            },
            3..5 => Layer::Dense { units, activation },
            _ => Layer::Dropout {
                rate: source.pick(&[0.5, 0.1, 0.9]),
            },
        });
    }
    let parameters = source.floats(model.parameter_count());
    let handle = model.build(&parameters);
    world.put_network(slot, Net::new(handle, model, &parameters));
}

pub fn make(world: &mut World, source: &mut Source<'_>) {
    let slot = few(source);
    let input = source.size_to_make(&WIDTHS);
    let mut call = Call::new("elman_create", source);
    call.wrong(ELMAN_ERROR_ZERO_SIZE, input == 0);
    call.wrong(ELMAN_ERROR_SIZE_OVERFLOW, input as u128 > LIMIT);
    let out = call.write(1);
    let done = call.run(&mut world.record, |p| c!(elman_create(input, p.get(out))));
    if let Some(network) = done.and_then(|done| made(&done, out)) {
        world.put_network(slot, Net::new(network, Model::new(input), &[]));
    }
}

/// The object that a call has made.
pub fn made<T: 'static>(done: &Done, out: Argument<*mut T>) -> Option<Box<T>> {
    done.is_ok().then(|| done.result(out).map(adopt)).flatten()
}

pub fn add(world: &mut World, source: &mut Source<'_>) {
    let slot = world.network_slot(source);
    // There were four activations once.
    let activation = |source: &mut Source<'_>| {
        let activation = source.constant(4);
        let rest = (ELMAN_THRESHOLDED_RELU - ELMAN_LINEAR) as usize;
        match source.ahead().below(3 * rest) {
            further if further >= 2 * rest && activation <= ELMAN_LINEAR => {
                ELMAN_LINEAR + 1 + (further - 2 * rest) as u32
            }
            _ => activation,
        }
    };
    let layer = match source.below(8) {
        0..3 => {
            let (units, activation) = (source.size_to_make(&WIDTHS), activation(source));
            // There were no others once.
            match source.ahead().below(3) {
                0 => Layer::Rnn { units, activation },
                _ => Layer::Recurrent(Recurrent::draw(&mut source.ahead(), units, false)),
            }
        }
        3..6 => Layer::Dense {
            units: source.size_to_make(&WIDTHS),
            activation: activation(source),
        },
        _ => Layer::Dropout {
            rate: source.float().abs() * source.pick(&[1.0, 1.0, -1.0]),
        },
    };
    let mut ahead = source.ahead();
    let layer = match ahead.rarely(5) {
        true => Layer::Activation {
            activation: ahead.constant(ELMAN_THRESHOLDED_RELU + 1),
            alpha: ahead.float(),
            beta: ahead.float(),
        },
        false => layer,
    };
    let mut call = Call::new(layer.function(), source);
    call.starve(source);
    let mut net = world.networks[slot].as_mut();
    if net.as_ref().is_some_and(|net| net.model.layers.len() >= 6) {
        return;
    }
    call.handle(net.as_ref());
    let mut given = None;
    let mut layer = layer;
    let mut own = match layer {
        Layer::Recurrent(layer) => layer.options,
        _ => default_options(),
    };
    match &mut layer {
        Layer::Recurrent(layer) => {
            let options = call.structure(Some(&mut own));
            if !call.gives(options) {
                layer.options = default_options();
            }
            layer.judge(&mut call, &layer.options);
            given = Some(options);
        }
        &mut Layer::Rnn { units, activation } | &mut Layer::Dense { units, activation } => {
            call.wrong(ELMAN_ERROR_ZERO_SIZE, units == 0);
            call.wrong(
                ELMAN_ERROR_UNKNOWN_CONSTANT,
                activation > ELMAN_THRESHOLDED_RELU,
            );
        }
        &mut Layer::Dropout { rate } => {
            call.wrong(ELMAN_ERROR_OUT_OF_RANGE, !(0.0..1.0).contains(&rate));
        }
        &mut Layer::Activation {
            activation,
            alpha,
            beta,
        } => {
            let unknown = activation > ELMAN_THRESHOLDED_RELU;
            call.wrong(ELMAN_ERROR_UNKNOWN_CONSTANT, unknown);
            let wrong = match activation {
                ELMAN_HARD_SIGMOID | ELMAN_AFFINE => !alpha.is_finite() || !beta.is_finite(),
                ELMAN_LEAKY_RELU | ELMAN_ELU | ELMAN_THRESHOLDED_RELU => {
                    !(alpha >= 0.0 && alpha.is_finite())
                }
                ELMAN_SCALED_TANH => !alpha.is_normal() || !beta.is_finite(),
                _ => false,
            };
            call.wrong(ELMAN_ERROR_OUT_OF_RANGE, wrong);
        }
    }
    let inputs = net.as_ref().map_or(1, |net| net.model.output_size());
    let count = layer.parameter_count(inputs as u128);
    call.wrong(ELMAN_ERROR_SIZE_OVERFLOW, count > LIMIT);
    let handle = net.as_mut().map(|net| &mut *net.handle);
    let done = call.run(&mut world.record, |p| match (layer, given) {
        (Layer::Recurrent(layer), Some(options)) => layer.add(handle, p.get(options)),
        _ => layer.add(handle),
    });
    if let (Some(net), Some(true)) = (net, done.map(|done| done.is_ok())) {
        let (parameters, gradients) = (parameters(&net.twin), gradients(&mut net.twin));
        net.model.layers.push(layer);
        let outputs = net.model.output_size();
        net.model.names.take_if(|names| names.len() != outputs);
        net.follow(layer.function(), |twin| layer.add(Some(twin)));
        net.gradients = None;
        // What was there before stays. What is new is drawn, from wherever the network's numbers have come to; its gradients
        // are 0.
        let drawn = self::parameters(&net.handle);
        let (old, new) = drawn.split_at(parameters.len());
        assert!(same(old, &parameters));
        let most = layer.largest_start(inputs) * 1.001;
        assert!(new.iter().all(|value| value.abs() <= most));
        set_parameters(&mut net.twin, &drawn);
        let mut gradients = gradients;
        gradients.resize(net.model.parameter_count(), 0.0);
        assert!(same(&self::gradients(&mut net.twin), &gradients));
    }
}

pub fn set_output(world: &mut World, source: &mut Source<'_>) {
    let slot = world.network_slot(source);
    let mode = source.constant(2);
    let mut call = Call::new("elman_set_output", source);
    call.starve(source);
    call.wrong(ELMAN_ERROR_UNKNOWN_CONSTANT, mode > 1);
    world.change(
        slot,
        call,
        |network, _| elman_set_output(network, mode),
        |net| {
            net.model.output = mode;
            net.follow("elman_set_output", |twin| {
                elman_set_output(Some(twin), mode)
            });
        },
    );
    set_time_major(world, &mut source.ahead());
    set_trainable(world, &mut source.ahead());
    around::try_out(world, &mut source.ahead());
}

fn set_trainable(world: &mut World, source: &mut Source<'_>) {
    let slot = few(source);
    let (layer, trainable) = (source.below(6), source.constant(2));
    let mut call = Call::new("elman_set_trainable", source);
    call.starve(source);
    call.wrong(ELMAN_ERROR_UNKNOWN_CONSTANT, trainable > 1);
    let layers = world.networks[slot]
        .as_ref()
        .map_or(0, |net| net.model.layers.len());
    call.wrong(ELMAN_ERROR_OUT_OF_RANGE, layer >= layers);
    let set = |network: Option<&mut Network>| elman_set_trainable(network, layer, trainable);
    world.change(
        slot,
        call,
        |network, _| set(network),
        |net| {
            must("elman_set_trainable", set(Some(&mut net.twin)));
            match trainable {
                0 => net.model.frozen.insert(layer),
                _ => net.model.frozen.remove(&layer),
            };
        },
    );
}

fn set_time_major(world: &mut World, source: &mut Source<'_>) {
    let slot = few(source);
    let time_major = source.constant(2);
    let mut call = Call::new("elman_set_time_major", source);
    call.wrong(ELMAN_ERROR_UNKNOWN_CONSTANT, time_major > 1);
    world.change(
        slot,
        call,
        |network, _| elman_set_time_major(network, time_major),
        |net| net.model.time_major = time_major == 1,
    );
}

pub fn set_threads(world: &mut World, source: &mut Source<'_>) {
    let slot = world.network_slot(source);
    let threads = source.pick(&[1, 2, 3, 4, 0, 2, 1025, usize::MAX]);
    let mut call = Call::new("elman_set_threads", source);
    call.wrong(ELMAN_ERROR_OUT_OF_RANGE, threads > 1024);
    // A pool keeps a little memory for good, and its threads end when they like.
    world.threads |= threads != 1;
    world.change(
        slot,
        call,
        |network, _| elman_set_threads(network, threads),
        |net| {
            net.threads = match threads {
                0 => std::thread::available_parallelism().map_or(1, usize::from),
                threads => threads,
            };
            // Otherwise nothing that is small enough for this program would use them.
            let status = elman_set_parallel_threshold(Some(&mut net.handle), 0);
            must("elman_set_parallel_threshold", status);
        },
    );
}

pub fn set_threshold(world: &mut World, source: &mut Source<'_>) {
    let slot = world.network_slot(source);
    let operations = source.pick(&[0, 1, 1000, usize::MAX]);
    let call = Call::new("elman_set_parallel_threshold", source);
    let set = |network: Option<&mut Network>| elman_set_parallel_threshold(network, operations);
    world.change(slot, call, |network, _| set(network), |_| ());
}

pub fn set_seed(world: &mut World, source: &mut Source<'_>) {
    let slot = world.network_slot(source);
    let seed = source.seed();
    let call = Call::new("elman_set_seed", source);
    world.change(
        slot,
        call,
        |network, _| elman_set_seed(network, seed),
        |net| {
            net.seed = Some(seed);
        },
    );
}

pub fn initialize(world: &mut World, source: &mut Source<'_>) {
    let slot = world.network_slot(source);
    let scheme = source.constant(9);
    let scale = source.float();
    let seed = source.seed();
    let mut call = Call::new("elman_initialize", source);
    call.starve(source);
    let signed = scheme == ELMAN_INIT_CONSTANT || scheme == ELMAN_INIT_IDENTITY;
    call.wrong(ELMAN_ERROR_UNKNOWN_CONSTANT, scheme > ELMAN_INIT_KERAS);
    let in_range = scale.is_finite() && (signed || scale >= 0.0);
    call.wrong(ELMAN_ERROR_OUT_OF_RANGE, !in_range);
    let initialize = |network: Option<&mut Network>| elman_initialize(network, scheme, scale, seed);
    world.change(
        slot,
        call,
        |network, _| initialize(network),
        |net| {
            net.follow("elman_initialize", |twin| initialize(Some(twin)));
            let values = parameters(&net.handle);
            if scheme == ELMAN_INIT_CONSTANT {
                // A denormal number counts as 0.
                let flushed = if scale.is_subnormal() { 0.0 } else { scale };
                assert!(values.iter().all(|value| {
                    [scale, flushed.copysign(scale)]
                        .map(f32::to_bits)
                        .contains(&value.to_bits())
                }));
            }
        },
    );
}

pub fn set_standardization(world: &mut World, source: &mut Source<'_>) {
    let slot = world.network_slot(source);
    let input = world.networks[slot]
        .as_ref()
        .map_or(1, |net| net.model.input);
    let count = match source.below(16) {
        15 => source.size(&WIDTHS),
        _ => input,
    };
    let (with_mean, with_deviation) =
        source.pick(&[(true, true), (true, true), (true, false), (false, false)]);
    let mut call = Call::new("elman_set_standardization", source);
    call.starve(source);
    // Its length is wrong before its size is.
    let len = if count as u128 > LIMIT {
        0
    } else {
        call.len(&[count])
    };
    let (mean, mut deviation) = (source.floats(len), source.floats(len));
    if !source.rarely(4) {
        deviation
            .iter_mut()
            .for_each(|value| *value = value.abs() + 1e-3);
    }
    let to_mean = call.read_optional(with_mean.then_some(&mean[..]));
    let to_deviation = call.read_optional(with_deviation.then_some(&deviation[..]));
    let given = (call.gives(to_mean), call.gives(to_deviation));
    if given != (false, false) {
        let finite = |values: &[f32]| values.iter().all(|value| value.is_finite());
        let inverts = |value: &f32| *value > 0.0 && (1.0 / value).is_finite();
        call.wrong(ELMAN_ERROR_NULL, given.0 != given.1);
        call.wrong(ELMAN_ERROR_LENGTH, count != input);
        call.wrong(
            ELMAN_ERROR_NOT_FINITE,
            !finite(&mean) || !finite(&deviation),
        );
        call.wrong(ELMAN_ERROR_OUT_OF_RANGE, !deviation.iter().all(inverts));
    }
    let standardization = (given == (true, true)).then_some([mean, deviation]);
    world.change(
        slot,
        call,
        |network, p| {
            c!(elman_set_standardization(
                network,
                p.get(to_mean),
                p.get(to_deviation),
                count
            ))
        },
        |net| {
            net.model.standardization = standardization;
            let [mean, deviation] = match &net.model.standardization {
                Some(values) => values.each_ref().map(|values| values.as_ptr()),
                None => [std::ptr::null(); 2],
            };
            net.follow("elman_set_standardization", |twin| {
                c!(elman_set_standardization(
                    Some(twin),
                    mean,
                    deviation,
                    count
                ))
            });
        },
    );
}

pub fn get_standardization(world: &mut World, source: &mut Source<'_>) {
    let slot = world.network_slot(source);
    let input = world.networks[slot]
        .as_ref()
        .map_or(1, |net| net.model.input);
    let count = match source.below(8) {
        7 => source.size(&WIDTHS),
        _ => input,
    };
    let mut call = Call::new("elman_get_standardization", source);
    call.wrong(ELMAN_ERROR_LENGTH, count != input);
    let len = if count as u128 > LIMIT {
        0
    } else {
        call.len(&[count])
    };
    let mean = call.write_optional(len, !source.rarely(4));
    let deviation = call.write_optional(len, !source.rarely(4));
    let net = world.networks[slot].as_ref();
    let network = call.handle(net.map(|net| &*net.handle));
    let done = call.run(&mut world.record, |p| {
        c!(elman_get_standardization(
            network,
            p.get(mean),
            p.get(deviation),
            count
        ))
    });
    if let (Some(net), Some(done)) = (net, done.filter(Done::is_ok)) {
        let default = [vec![0.0; count], vec![1.0; count]];
        let [means, deviations] = net.model.standardization.as_ref().unwrap_or(&default);
        assert!(
            done.values::<f32>(mean)
                .is_none_or(|values| same(&values, means))
        );
        assert!(
            done.values::<f32>(deviation)
                .is_none_or(|values| same(&values, deviations))
        );
    }
}

/// A number of elements that is mostly right.
fn count_near(source: &mut Source<'_>, right: usize) -> usize {
    match source.below(16) {
        13 => right + 1,
        14 => right.saturating_sub(1),
        15 => source.size(&WIDTHS),
        _ => right,
    }
}

/// As [`Call::len`], where the number is expected to be `right`.
pub fn counted(call: &mut Call, source: &mut Source<'_>, right: usize) -> (usize, usize) {
    let count = count_near(source, right);
    call.wrong(ELMAN_ERROR_LENGTH, count != right);
    (count, call.len(&[count]))
}

pub fn get_parameters(world: &mut World, source: &mut Source<'_>) {
    let slot = world.network_slot(source);
    let net = world.networks[slot].as_ref();
    let mut call = Call::new("elman_get_parameters", source);
    let network = call.handle(net.map(|net| &*net.handle));
    let right = net.map_or(0, |net| net.model.parameter_count());
    let (count, len) = counted(&mut call, source, right);
    let values = call.write(len);
    let done = call.run(&mut world.record, |p| {
        c!(elman_get_parameters(network, p.get(values), count))
    });
    if let (Some(net), Some(done)) = (net, done.filter(Done::is_ok)) {
        assert!(same(
            &done.values(values).unwrap_or_default(),
            &parameters(&net.twin)
        ));
        check_copy(&net.handle, &mut world.record);
    }
}

/// Makes sure that a copy has the network's parameters, in tensors that lie end to end; asks nothing the same.
fn check_copy(network: &Network, record: &mut Record) {
    let mut copy = std::ptr::null_mut();
    let mut note = |name, status| record.push((name, status));
    let cloned = c!(elman_clone(Some(network), &raw mut copy));
    must("elman_clone", cloned);
    note("elman_clone", cloned);
    let copy = adopt(copy);
    assert!(same(&parameters(&copy), &parameters(network)));
    let mut end = 0;
    for layer in 0..elman_layer_count(Some(&copy)) {
        let mut info = MaybeUninit::<TensorInfo>::uninit();
        let (to, size) = (info.as_mut_ptr(), size_of::<TensorInfo>());
        for tensor in 0.. {
            let status = c!(elman_get_tensor_info(Some(&copy), layer, tensor, to, size));
            note("elman_get_tensor_info", status);
            if status != ELMAN_OK {
                assert_eq!(status, ELMAN_ERROR_OUT_OF_RANGE);
                break;
            }
            // SAFETY: the call says that it has written it.
            let info = unsafe { info.assume_init() };
            assert_eq!(info.parameter_offset, end);
            end += info.rows * info.columns;
        }
        note("elman_get_layer_info", ELMAN_OK);
    }
    assert_eq!(end, elman_parameter_count(Some(&copy)));
    elman_destroy(Some(copy));
    for (layer, size) in [(0, size_of::<RecurrentOptions>()), (usize::MAX, 0)] {
        let mut options = default_options();
        let to = &raw mut options;
        let found = c!(elman_get_recurrent_options(Some(network), layer, to, size));
        note("elman_get_recurrent_options", found);
        let status = c!(elman_recurrent_options_init(to, size));
        note("elman_recurrent_options_init", status);
    }
    let nowhere = std::ptr::null_mut();
    note("elman_clone", c!(elman_clone(None, nowhere)));
    let nowhere = std::ptr::null_mut();
    note(
        "elman_get_layer_info",
        c!(elman_get_layer_info(None, 0, nowhere, 0)),
    );
}

pub fn change_parameters(world: &mut World, source: &mut Source<'_>) {
    let slot = world.network_slot(source);
    let mut call = Call::new("elman_set_parameters", source);
    call.starve(source);
    let net = world.networks[slot].as_ref();
    let right = net.map_or(0, |net| net.model.parameter_count());
    let (count, len) = counted(&mut call, source, right);
    let values = source.floats(len);
    let from = call.read(&values);
    world.change(
        slot,
        call,
        |network, p| c!(elman_set_parameters(network, p.get(from), count)),
        |net| {
            assert!(same(&parameters(&net.handle), &values));
            net.follow("elman_set_parameters", |twin| {
                c!(elman_set_parameters(Some(twin), values.as_ptr(), count))
            });
        },
    );
}

/// Takes the gradients' address, and writes there as a reduction over processes would.
pub fn reduce_gradients(world: &mut World, source: &mut Source<'_>) {
    let slot = world.network_slot(source);
    let mut call = Call::new("elman_gradients", source);
    let values = call.write(1);
    let count = call.write_optional(1, !source.rarely(4));
    let scribble = source.rarely(4).then(|| source.below(256));
    let known = world.networks[slot]
        .as_mut()
        .map(|net| address(&mut net.handle));
    let done = world.change(
        slot,
        call,
        |network, p| c!(elman_gradients(network, p.get(values), p.get(count))),
        |_| (),
    );
    let net = world.networks[slot].as_mut();
    if let (Some(net), Some(done)) = (net, done.filter(Done::is_ok)) {
        let right = net.model.parameter_count();
        assert_eq!(done.result(values), known);
        assert!(done.result(count).is_none_or(|count: usize| count == right));
        if scribble.is_some() {
            let gradients = source.floats(right);
            write_gradients(&mut net.handle, &gradients);
            write_gradients(&mut net.twin, &gradients);
        }
    }
}

pub fn clear_gradients(world: &mut World, source: &mut Source<'_>) {
    let slot = world.network_slot(source);
    let call = Call::new("elman_clear_gradients", source);
    world.change(
        slot,
        call,
        |network, _| elman_clear_gradients(network),
        |net| {
            must(
                "elman_clear_gradients",
                elman_clear_gradients(Some(&mut net.twin)),
            );
            let zeros = vec![0.0; net.model.parameter_count()];
            assert!(same(&gradients(&mut net.handle), &zeros));
        },
    );
}

pub fn clip_by_norm(world: &mut World, source: &mut Source<'_>) {
    let slot = world.network_slot(source);
    let max = source.double(&[1.0, 0.1, 1e-3, f64::INFINITY]);
    let mut call = Call::new("elman_clip_gradients_by_norm", source);
    call.wrong(ELMAN_ERROR_OUT_OF_RANGE, max.is_nan() || max <= 0.0);
    let norm = call.write_optional(1, !source.rarely(4));
    let before = world.gradients(slot);
    call.wrong(
        ELMAN_ERROR_NOT_FINITE,
        !before.iter().all(|value| value.is_finite()),
    );
    let square = |values: &[f32]| {
        values
            .iter()
            .map(|&value| f64::from(value).powi(2))
            .sum::<f64>()
    };
    let expected = square(&before).sqrt();
    let done = world.change(
        slot,
        call,
        |network, p| c!(elman_clip_gradients_by_norm(network, max, p.get(norm))),
        |net| {
            let twin = Some(&mut *net.twin);
            let status = c!(elman_clip_gradients_by_norm(
                twin,
                max,
                std::ptr::null_mut()
            ));
            must("elman_clip_gradients_by_norm", status);
            let after = gradients(&mut net.handle);
            if expected <= max {
                assert!(same(&after, &before));
            } else {
                let slack = 1e-6 * max + 1e-44 * (after.len() as f64);
                assert!(square(&after).sqrt() <= max + slack);
            }
        },
    );
    if let Some(found) = done.and_then(|done| done.is_ok().then(|| done.result(norm)).flatten()) {
        let found: f64 = found;
        assert!((found - expected).abs() <= 1e-12 * expected);
    }
}

pub fn clip_by_value(world: &mut World, source: &mut Source<'_>) {
    let slot = world.network_slot(source);
    let limit = source.double(&[1.0, 0.1, 1e-3]);
    let mut call = Call::new("elman_clip_gradients_by_value", source);
    call.wrong(ELMAN_ERROR_OUT_OF_RANGE, limit.is_nan() || limit <= 0.0);
    let before = world.gradients(slot);
    world.change(
        slot,
        call,
        |network, _| elman_clip_gradients_by_value(network, limit),
        |net| {
            let twin = Some(&mut *net.twin);
            must(
                "elman_clip_gradients_by_value",
                elman_clip_gradients_by_value(twin, limit),
            );
            let bound = limit as f32;
            let nearest = |value: &f32| value.clamp(-bound, bound);
            let nearest: Vec<_> = before.iter().map(nearest).collect();
            assert!(same(&gradients(&mut net.handle), &nearest));
        },
    );
}

/// What there is to know of no network.
pub fn ask_nothing() {
    assert_eq!(elman_input_size(None), 0);
    assert_eq!(elman_output_size(None), 0);
    assert_eq!(elman_state_size(None), 0);
    assert_eq!(elman_output(None), ELMAN_OUTPUT_LAST);
    assert_eq!(elman_threads(None), 0);
    assert_eq!(elman_get_time_major(None), 0);
    assert_eq!(elman_parameter_count(None), 0);
    elman_destroy(None);
}
