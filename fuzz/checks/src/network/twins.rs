//! A network and its twin, and whether both are what their caller knows.

use std::mem::MaybeUninit;

use elman_abi::layer::*;
use elman_abi::network::*;
use elman_abi::parameters::*;
use elman_abi::status::*;

use super::{
    Cell, Layer, Model, address, gradients, layer_numbers, names_of, numbers_of, options_of,
    parameters, write_gradients,
};
use crate::call::{c, must, same};

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
    pub threads: usize,
    /// A seed that the twin gets before its next forward pass: until then it must not matter.
    pub seed: Option<u64>,
    /// Where the gradients are, until a layer is added.
    pub gradients: Option<*mut f32>,
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
            let own = |kind, activation, rate| (kind, activation, rate, 0);
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
                Layer::Dense { activation, .. } => own(ELMAN_LAYER_DENSE, activation, 0.0),
                Layer::Dropout { rate } => own(ELMAN_LAYER_DROPOUT, ELMAN_LINEAR, rate.into()),
                Layer::Activation { activation, .. } => {
                    own(ELMAN_LAYER_ACTIVATION, activation, 0.0)
                }
                Layer::Norm { .. } => own(ELMAN_LAYER_NORM, ELMAN_LINEAR, 0.0),
                Layer::Embedding { .. } => own(ELMAN_LAYER_EMBEDDING, ELMAN_LINEAR, 0.0),
                Layer::Concat { .. } => own(ELMAN_LAYER_CONCAT, ELMAN_LINEAR, 0.0),
                Layer::Residual { .. } => own(ELMAN_LAYER_RESIDUAL, ELMAN_LINEAR, 0.0),
            };
            let found = (info.kind, info.activation, info.rate, info.state_size);
            assert_eq!(found, expected);
            if let Layer::Activation { alpha, beta, .. } = *layer {
                assert!(info.alpha == 0.0 || info.alpha == f64::from(alpha));
                assert!(info.beta == 0.0 || info.beta == f64::from(beta));
            }
            let (epsilon, classes) = match *layer {
                Layer::Norm { epsilon } => (epsilon, 0),
                Layer::Embedding { classes, .. } => (0.0, classes),
                _ => (0.0, 0),
            };
            assert_eq!((info.epsilon, info.classes), (f64::from(epsilon), classes));
            let units = match *layer {
                Layer::Rnn { units, .. } | Layer::Dense { units, .. } => units,
                Layer::Recurrent(layer) => layer.units,
                Layer::Embedding { size, .. } => size,
                _ => 0,
            };
            assert_eq!(info.units, units);
            let numbers = layer_numbers(&self.handle, index, info.number_count);
            assert_eq!(numbers, layer.numbers());
            // What is laid side by side is what goes in.
            let takes = match layer {
                Layer::Concat { .. } => info.output_size,
                _ => inputs,
            };
            assert_eq!((info.size, info.input_size), (size, takes));
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
