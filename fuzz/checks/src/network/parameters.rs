//! Parameters and gradients: where they are, and the calls on them.

use std::mem::MaybeUninit;

use elman_abi::around::elman_get_layer_numbers;
use elman_abi::layer::*;
use elman_abi::network::*;
use elman_abi::parameters::*;
use elman_abi::recurrent::*;
use elman_abi::status::*;

use super::{WIDTHS, default_options};
use crate::call::{Call, Done, Record, adopt, c, given, must, same};
use crate::source::Source;
use crate::world::World;

pub fn parameters(network: &Network) -> Vec<f32> {
    let mut values = vec![f32::NAN; elman_parameter_count(Some(network))];
    let (pointer, count) = (values.as_mut_ptr(), values.len());
    must(
        "elman_get_parameters",
        c!(elman_get_parameters(Some(network), pointer, count)),
    );
    values
}

pub fn set_parameters(network: &mut Network, values: &[f32]) {
    let status = c!(elman_set_parameters(
        Some(network),
        values.as_ptr(),
        values.len()
    ));
    must("elman_set_parameters", status);
}

pub fn address(network: &mut Network) -> *mut f32 {
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

pub fn write_gradients(network: &mut Network, values: &[f32]) {
    let address = address(network);
    assert_eq!(elman_parameter_count(Some(network)), values.len());
    // SAFETY: the block has one place for each parameter, and nothing else uses the network.
    unsafe { address.copy_from_nonoverlapping(values.as_ptr(), values.len()) }
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
        let mut own = MaybeUninit::<LayerInfo>::uninit();
        let (to, size) = (own.as_mut_ptr(), size_of::<LayerInfo>());
        let status = c!(elman_get_layer_info(Some(&copy), layer, to, size));
        must("elman_get_layer_info", status);
        // SAFETY: the call says that it has written it.
        let count = unsafe { own.assume_init() }.number_count;
        let numbers = layer_numbers(&copy, layer, count);
        assert_eq!(numbers, layer_numbers(network, layer, count));
        note("elman_get_layer_numbers", ELMAN_OK);
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
        note("elman_get_layer_info", status);
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
    let status = c!(elman_get_layer_numbers(
        Some(network),
        usize::MAX,
        nowhere,
        0
    ));
    note("elman_get_layer_numbers", status);
    let nowhere = std::ptr::null_mut();
    note("elman_clone", c!(elman_clone(None, nowhere)));
    let nowhere = std::ptr::null_mut();
    note(
        "elman_get_layer_info",
        c!(elman_get_layer_info(None, 0, nowhere, 0)),
    );
}

/// The columns or layers that a layer was added with.
pub fn layer_numbers(network: &Network, layer: usize, count: usize) -> Vec<usize> {
    let mut numbers = vec![usize::MAX; count];
    let to = numbers.as_mut_ptr();
    let status = c!(elman_get_layer_numbers(Some(network), layer, to, count));
    must("elman_get_layer_numbers", status);
    numbers
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
