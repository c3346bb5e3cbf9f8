//! The calls that set what a network has besides layers and parameters, and those that ask for it.

use std::ffi::CString;

use elman_abi::layer::*;
use elman_abi::network::*;
use elman_abi::status::*;

use super::{WIDTHS, parameters};
use crate::call::{Call, Done, LIMIT, c, flushed, must, same, text};
use crate::source::Source;
use crate::world::{World, few};

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

pub fn set_names(network: &mut Network, names: &[String]) -> Status {
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
                let mut allowed = vec![scale, flushed(scale).copysign(scale)];
                // What a layer has of its own stays.
                let own = net.model.recurrent().map(|layer| layer.options.forget_bias);
                allowed.extend(own.map(|bias| bias as f32));
                let is_allowed =
                    |value: &f32| allowed.iter().any(|one| one.to_bits() == value.to_bits());
                assert!(values.iter().all(is_allowed));
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
