//! The calls that make networks and add layers.

use elman_abi::network::*;
use elman_abi::status::*;

use super::{
    Layer, Model, Net, Numbers, Recurrent, WIDTHS, default_options, gradients, parameters,
    set_parameters,
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
        let mut ahead = source.ahead();
        let units = source.pick(&WIDTHS);
        let activation = source.below(4) as u32;
        let layer = match source.below(6) {
            // There were no others once.
            0..3 => match source.ahead().below(2) {
                0 => Layer::Rnn { units, activation },
                _ => Layer::Recurrent(Recurrent::draw(&mut source.ahead(), units, true)),
            },
            3..5 => Layer::Dense { units, activation },
            _ => Layer::Dropout {
                rate: source.pick(&[0.5, 0.1, 0.9]),
            },
        };
        model.layers.push(match ahead.rarely(4) {
            true => draw_around(&mut ahead, &model),
            false => layer,
        });
    }
    let parameters = source.floats(model.parameter_count());
    let handle = model.build(&parameters);
    world.put_network(slot, Net::new(handle, model, &parameters));
}

/// A layer around the cells that fits.
fn draw_around(source: &mut Source<'_>, model: &Model) -> Layer {
    let sizes = model.sizes();
    let present = sizes[sizes.len() - 1];
    let fits = |&column: &usize| model.origin(column).is_some();
    let columns: Vec<_> = (0..present.min(40)).filter(fits).collect();
    // Embeddings have few places where they fit.
    match source.below(if columns.is_empty() { 5 } else { 8 }) {
        0 => Layer::Activation {
            activation: source.below(13) as u32,
            alpha: 0.5,
            beta: 0.25,
        },
        1 => Layer::Norm {
            epsilon: source.pick(&[1e-5, 1.0]),
        },
        2 => {
            let like = (0..sizes.len()).filter(|&layer| sizes[layer] == present);
            Layer::Residual {
                layer: source.pick(&like.collect::<Vec<_>>()),
            }
        }
        3..5 => {
            let (mut layers, mut total) = (Numbers::default(), 0_usize);
            for _ in 0..=source.below(3) {
                let layer = source.below(sizes.len());
                total = total.saturating_add(sizes[layer]);
                // Or they grow from layer to layer.
                if layers.is_empty() || total <= 100 {
                    layers.push(layer);
                }
            }
            Layer::Concat { layers }
        }
        _ => {
            let mut own = Numbers::default();
            for _ in 0..=source.below(2) {
                let column = source.pick(&columns);
                if !own.contains(&column) {
                    own.push(column);
                }
            }
            Layer::Embedding {
                columns: own,
                classes: source.pick(&[3, 1, 5, 17]),
                size: source.pick(&[1, 2, 3, 9]),
            }
        }
    }
}

/// The layer as it is, mostly, or with something wrong.
fn maybe_spoilt(layer: Layer, source: &mut Source<'_>) -> Layer {
    if !source.rarely(4) {
        return layer;
    }
    let numbers = |source: &mut Source<'_>| {
        let mut numbers = Numbers::default();
        for _ in 0..source.below(4) {
            numbers.push(source.size(&[0, 1, 2, 0, 3, 1, 5, 40]));
        }
        numbers
    };
    match layer {
        Layer::Embedding { .. } => Layer::Embedding {
            columns: numbers(source),
            classes: source.pick(&[3, 1, 0, 1 << 24, (1 << 24) + 1, usize::MAX]),
            size: source.size_to_make(&WIDTHS),
        },
        Layer::Norm { .. } => Layer::Norm {
            epsilon: source.pick(&[0.0, f32::NAN, 1e-39, f32::INFINITY, -1.0, f32::MAX]),
        },
        Layer::Concat { .. } => Layer::Concat {
            layers: numbers(source),
        },
        Layer::Residual { .. } => Layer::Residual {
            layer: source.size(&[0, 1, 2, 0, 3, 1, 5, 40]),
        },
        other => other,
    }
}

/// Names what is wrong with a layer that is one of [`maybe_spoilt`]'s, added to a network like that.
fn judge_around(call: &mut Call, layer: Layer, model: &Model) {
    let sizes = model.sizes();
    let present = sizes[sizes.len() - 1];
    let there = |layer: &usize| *layer < sizes.len();
    match layer {
        Layer::Norm { epsilon } => {
            let fits = epsilon >= f32::MIN_POSITIVE && epsilon.is_finite();
            call.wrong(ELMAN_ERROR_OUT_OF_RANGE, !fits);
        }
        Layer::Embedding {
            columns,
            classes,
            size,
        } => {
            let nothing = columns.is_empty() || classes == 0 || size == 0;
            call.wrong(ELMAN_ERROR_ZERO_SIZE, nothing);
            let there = |column: &usize| *column < present;
            let out_of_range = classes > 1 << 24 || !columns.iter().all(there);
            call.wrong(ELMAN_ERROR_OUT_OF_RANGE, out_of_range);
            let twice = |at: usize| columns[..at].contains(&columns[at]);
            let taken = |column: &usize| there(column) && model.origin(*column).is_none();
            let embeds = |layer: &Layer| matches!(layer, Layer::Embedding { .. });
            call.wrong(
                ELMAN_ERROR_MISMATCH,
                (0..columns.len()).any(twice)
                    || columns.iter().any(taken)
                    || !model.layers.iter().all(embeds),
            );
        }
        Layer::Concat { layers } => {
            call.wrong(ELMAN_ERROR_ZERO_SIZE, layers.is_empty());
            call.wrong(ELMAN_ERROR_OUT_OF_RANGE, !layers.iter().all(there));
        }
        Layer::Residual { layer } => {
            call.wrong(ELMAN_ERROR_OUT_OF_RANGE, !there(&layer));
            let other = there(&layer) && sizes[layer] != present;
            call.wrong(ELMAN_ERROR_MISMATCH, other);
        }
        _ => {}
    }
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
    let layer = if ahead.rarely(5) {
        Layer::Activation {
            activation: ahead.constant(ELMAN_THRESHOLDED_RELU + 1),
            alpha: ahead.float(),
            beta: ahead.float(),
        }
    } else if ahead.rarely(3) {
        let model = world.networks[slot].as_ref().map(|net| &net.model);
        let none = Model::new(1);
        let layer = draw_around(&mut ahead, model.unwrap_or(&none));
        maybe_spoilt(layer, &mut ahead)
    } else {
        layer
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
        around => {
            if let Some(net) = &net {
                judge_around(&mut call, *around, &net.model);
            }
        }
    }
    let reads = matches!(layer, Layer::Embedding { .. } | Layer::Concat { .. });
    let numbers = reads.then(|| call.read(layer.numbers()));
    let sizes = net
        .as_ref()
        .map_or_else(|| vec![1], |net| net.model.sizes());
    let inputs = sizes[sizes.len() - 1];
    call.wrong(
        ELMAN_ERROR_SIZE_OVERFLOW,
        layer.parameter_count(inputs) > LIMIT || layer.outputs(&sizes) as u128 > LIMIT,
    );
    let handle = net.as_mut().map(|net| &mut *net.handle);
    let done = call.run(&mut world.record, |p| match (layer, given, numbers) {
        (Layer::Recurrent(layer), Some(options), _) => layer.add(handle, p.get(options)),
        (layer, _, Some(numbers)) => layer.add_from(handle, p.get(numbers)),
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
