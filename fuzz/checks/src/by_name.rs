//! Calls by name: the caller's message is that of the call, and nothing is called where the call does not fit.

use std::ffi::{CStr, c_char};
use std::ptr;

use elman_abi::by_name::elman_call;
use elman_abi::optimizer::Optimizer;
use elman_abi::status::*;

use crate::call::{Call, adopt, c, last_error, must};
use crate::source::Source;
use crate::world::World;

/// Makes an optimizer, and takes it back.
pub fn make(world: &mut World, source: &mut Source<'_>) {
    let name = match source.below(8) {
        5 => Some(c"elman_sgd"),
        6 => Some(c"elman_call"),
        7 => None,
        _ => Some(c"elman_sgd_create"),
    };
    let nesterov = match source.below(8) {
        6 => 2,
        7 => 1 << 32,
        choice => choice as u64 % 2,
    };
    let mut out: *mut Optimizer = ptr::null_mut();
    let place = (&raw mut out).expose_provenance();
    let [rate, momentum, decay] = [0.5, 0.9, 0.0].map(f64::to_bits);
    let mut words = vec![rate, momentum, nesterov, decay, place as u64];
    match source.below(16) {
        14 => words.push(0),
        15 => words.truncate(4),
        _ => {}
    }
    let mut message = [b'x' as c_char; 200];
    let room = source.below(message.len());

    let mut call = Call::new("elman_call", source);
    call.wrong(ELMAN_ERROR_NULL, name.is_none());
    let known = name == Some(c"elman_sgd_create");
    call.wrong(ELMAN_ERROR_UNKNOWN_CONSTANT, name.is_some() && !known);
    call.wrong(ELMAN_ERROR_UNKNOWN_CONSTANT, nesterov == 2);
    call.wrong(ELMAN_ERROR_OUT_OF_RANGE, nesterov > 2);
    call.wrong(ELMAN_ERROR_LENGTH, words.len() != 5);
    let arguments = call.read(&words);
    let function = name.map_or(ptr::null(), CStr::as_ptr);
    let to = message.as_mut_ptr();
    let done = call.run(&mut world.record, |p| {
        c!(elman_call(
            function,
            p.get(arguments),
            words.len(),
            to,
            room
        ))
    });
    let done = done.expect("few bytes");

    // What an earlier call has left is not this one's.
    let text = if done.is_ok() {
        String::new()
    } else {
        last_error()
    };
    let len = text.len().min(room.saturating_sub(1));
    let written = &text.as_bytes()[..len];
    let end = if room > 0 { &b"\0"[..] } else { &[] };
    let rest = vec![b'x'; message.len() - len - end.len()];
    let expected = [written, end, &rest].concat();
    assert_eq!(message.map(|byte| byte as u8), expected[..]);

    assert_eq!(done.is_ok(), !out.is_null());
    if done.is_ok() {
        let optimizer = Box::into_raw(adopt(out)).expose_provenance() as u64;
        let status = c!(elman_call(
            c"elman_optimizer_destroy".as_ptr(),
            &raw const optimizer,
            1,
            ptr::null_mut(),
            0
        ));
        must("elman_optimizer_destroy", status);
    }
}
