//! The calls that make networks and add layers.

use elman_abi::network::*;
use elman_abi::status::*;

use super::{
    Layer, Model, Net, Recurrent, WIDTHS, default_options, gradients, parameters, set_parameters,
};
use crate::call::{Argument, Call, Done, LIMIT, adopt, c, must, same};
use crate::source::Source;
use crate::world::{World, few};

pub fn create(input: usize) -> Box<Network> {
    let mut network = std::ptr::null_mut();
    must("elman_create", c!(elman_create(input, &raw mut network)));
    adopt(network)
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
