//! Streams: one step or a block of steps at a time
//!
//! A session runs one sequence in steps or blocks of steps and keeps the state between the calls. The outputs are those of
//! the sequence as a whole, bit for bit. One made with elman_session_create_many() runs several sequences side by side.
//!
//! elman_session_step(), _run(), _reset(), _get_state(), _set_state() and those of single streams are real-time safe: they
//! allocate nothing, take no lock and make no system call, from the first call on and on errors too.

use crate::border::{self, call, get, require};
use crate::network::Network;
use crate::status::Status;

/// A stream through a network, or several in lockstep.
#[derive(Debug)]
pub struct Session(elman_engine::Session<f32>);

/// Starts a stream from the network's own state: 0, or the parameters that layers have for it. It runs the parameters that the
/// network has now; the network may change or be destroyed meanwhile. The session belongs to the caller, who gives it back with
/// elman_session_destroy().
///
///   out         receives the session
///
/// Errors: NULL, OUT_OF_MEMORY; MISMATCH for a network that looks ahead, of which a layer goes from the last step to the first:
/// its outputs need steps that have yet to come (elman_predict() runs it).
/// Threads: any number on one network; sessions of one network may run on different threads. Since 0.1.
///
/// # Safety
///
/// - `out` is NULL or has room for a result, which nobody else touches during the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn elman_session_create(
    network: Option<&Network>,
    out: *mut *mut Session,
) -> Status {
    call(|caller| {
        let network = require("network", network)?;
        let out = caller.result("out", out)?;
        let session = elman_engine::Session::new(&network.0)?;
        out.write(border::handle(Session(session)));
        Ok(())
    })
}

/// Starts several streams in lockstep: each call steps all of them, and reads the weights once for all. Each stream has the
/// bits that it would have alone, and can be reset or go on from another state by itself. All else is as with
/// elman_session_create().
///
///   streams     their number, at least 1
///   out         receives the session
///
/// Errors: those of elman_session_create(); ZERO_SIZE, SIZE_OVERFLOW.
/// Threads: any number on one network; sessions of one network may run on different threads. Since 0.1.
///
/// # Safety
///
/// - `out` is NULL or has room for a result, which nobody else touches during the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn elman_session_create_many(
    network: Option<&Network>,
    streams: usize,
    out: *mut *mut Session,
) -> Status {
    call(|caller| {
        let network = require("network", network)?;
        let out = caller.result("out", out)?;
        let session = elman_engine::Session::many(&network.0, streams)?;
        out.write(border::handle(Session(session)));
        Ok(())
    })
}

/// Frees a session; of NULL, does nothing.
///
/// Threads: needs the session to itself. Since 0.1.
#[unsafe(no_mangle)]
pub extern "C" fn elman_session_destroy(session: Option<Box<Session>>) {
    border::destroy(session);
}

/// Makes a second session whose streams go on from the states that these have now. It belongs to the caller, who gives it back with
/// elman_session_destroy().
///
///   out         receives the session
///
/// Errors: NULL, OUT_OF_MEMORY.
/// Threads: any number on one session. Since 0.1.
///
/// # Safety
///
/// - `out` is NULL or has room for a result, which nobody else touches during the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn elman_session_clone(
    session: Option<&Session>,
    out: *mut *mut Session,
) -> Status {
    call(|caller| {
        let session = require("session", session)?;
        let out = caller.result("out", out)?;
        let clone = session.0.try_clone()?;
        out.write(border::handle(Session(clone)));
        Ok(())
    })
}

/// Runs one step. Real-time safe.
///
///   x           [streams][input_size]
///   y           receives the output of the last layer, [streams][output_size]; must not overlap `x`
///
/// Errors: NULL, OVERLAP; OUT_OF_RANGE for an index that an embedding has no class for; the state is then as it was.
/// Threads: needs the session to itself. Since 0.1.
///
/// # Safety
///
/// - `x` is NULL or as large as documented, and nobody writes to it during the call.
/// - `y` is NULL or as large as documented, and nobody else touches it during the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn elman_session_step(
    session: Option<&mut Session>,
    x: *const f32,
    y: *mut f32,
) -> Status {
    call(|caller| {
        let session = &mut require("session", session)?.0;
        let x = caller.read("x", x, &[session.streams(), session.input_size()])?;
        let y = caller.write("y", y, &[session.streams(), session.output_size()])?;
        Ok(session.step(x, y)?)
    })
}

/// Runs some steps, with the bits of as many calls of elman_session_step() and in less time: layers run over up to 64 steps at
/// a time. Real-time safe.
///
///   x           [steps][streams][input_size]
///   steps       any number; with 0 the call does nothing, and reads neither `x` nor `y`
///   y           receives the output of the last layer at each step, whatever elman_set_output() says,
///               [steps][streams][output_size]; where output_size is input_size it may be `x` itself, else it must not overlap `x`
///
/// Errors: NULL, OVERLAP, SIZE_OVERFLOW; OUT_OF_RANGE as with elman_session_step(); the state is then as it was.
/// Threads: needs the session to itself. Since 0.1.
///
/// # Safety
///
/// - `x` is NULL or as large as documented, and nobody else writes to it during the call.
/// - `y` is NULL or as large as documented, and nobody else touches it during the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn elman_session_run(
    session: Option<&mut Session>,
    x: *const f32,
    steps: usize,
    y: *mut f32,
) -> Status {
    call(|caller| {
        let session = &mut require("session", session)?.0;
        let sizes = (session.input_size(), session.output_size());
        let streams = session.streams();
        if steps == 0 {
            return Ok(());
        }
        if x == y.cast_const() && !x.is_null() && sizes.0 == sizes.1 {
            let values = caller.write("y", y, &[steps, streams, sizes.0])?;
            return Ok(session.run_in_place(values, steps)?);
        }
        let x = caller.read("x", x, &[steps, streams, sizes.0])?;
        let y = caller.write("y", y, &[steps, streams, sizes.1])?;
        Ok(session.run(x, steps, y)?)
    })
}

/// Lets all streams start again from the network's own state, as those of a new session do. Real-time safe.
///
/// Errors: NULL.
/// Threads: needs the session to itself. Since 0.1.
#[unsafe(no_mangle)]
pub extern "C" fn elman_session_reset(session: Option<&mut Session>) -> Status {
    call(|_| {
        require("session", session)?.0.reset();
        Ok(())
    })
}

/// Lets one stream start again from the network's own state. Real-time safe.
///
///   stream      less than elman_session_get_streams()
///
/// Errors: NULL, OUT_OF_RANGE.
/// Threads: needs the session to itself. Since 0.1.
#[unsafe(no_mangle)]
pub extern "C" fn elman_session_reset_stream(
    session: Option<&mut Session>,
    stream: usize,
) -> Status {
    call(|_| Ok(require("session", session)?.0.reset_stream(stream)?))
}

/// Copies the states. Real-time safe.
///
///   state       receives them, [count]: stream after stream, each in layer order
///   count       elman_session_get_streams() times elman_session_get_state_size()
///
/// Errors: NULL, LENGTH, SIZE_OVERFLOW.
/// Threads: any number on one session. Since 0.1.
///
/// # Safety
///
/// - `state` is NULL or as large as documented, and nobody else touches it during the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn elman_session_get_state(
    session: Option<&Session>,
    state: *mut f32,
    count: usize,
) -> Status {
    call(|caller| {
        let session = require("session", session)?;
        let state = caller.write("state", state, &[count])?;
        Ok(session.0.state(state)?)
    })
}

/// Copies the state of one stream. Real-time safe.
///
///   stream      less than elman_session_get_streams()
///   state       receives it, [count], in layer order
///   count       elman_session_get_state_size()
///
/// Errors: NULL, LENGTH, OUT_OF_RANGE, SIZE_OVERFLOW.
/// Threads: any number on one session. Since 0.1.
///
/// # Safety
///
/// - `state` is NULL or as large as documented, and nobody else touches it during the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn elman_session_get_stream_state(
    session: Option<&Session>,
    stream: usize,
    state: *mut f32,
    count: usize,
) -> Status {
    call(|caller| {
        let session = require("session", session)?;
        let state = caller.write("state", state, &[count])?;
        Ok(session.0.stream_state(stream, state)?)
    })
}

/// Goes on from other states: of the same or another session, or what elman_predict() gave as `state_out`.
/// Real-time safe.
///
///   state       [count]: stream after stream, each in layer order
///   count       elman_session_get_streams() times elman_session_get_state_size()
///
/// Errors: NULL, LENGTH, SIZE_OVERFLOW; the state is then as it was.
/// Threads: needs the session to itself. Since 0.1.
///
/// # Safety
///
/// - `state` is NULL or as large as documented, and nobody writes to it during the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn elman_session_set_state(
    session: Option<&mut Session>,
    state: *const f32,
    count: usize,
) -> Status {
    call(|caller| {
        let session = require("session", session)?;
        let state = caller.read("state", state, &[count])?;
        Ok(session.0.set_state(state)?)
    })
}

/// Lets one stream go on from another state. Real-time safe.
///
///   stream      less than elman_session_get_streams()
///   state       [count], in layer order
///   count       elman_session_get_state_size()
///
/// Errors: NULL, LENGTH, OUT_OF_RANGE, SIZE_OVERFLOW; the state is then as it was.
/// Threads: needs the session to itself. Since 0.1.
///
/// # Safety
///
/// - `state` is NULL or as large as documented, and nobody writes to it during the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn elman_session_set_stream_state(
    session: Option<&mut Session>,
    stream: usize,
    state: *const f32,
    count: usize,
) -> Status {
    call(|caller| {
        let session = require("session", session)?;
        let state = caller.read("state", state, &[count])?;
        Ok(session.0.set_stream_state(stream, state)?)
    })
}

/// Streams of a session; 0 for NULL.
///
/// Threads: any number on one session. Since 0.1.
#[unsafe(no_mangle)]
pub extern "C" fn elman_session_get_streams(session: Option<&Session>) -> usize {
    get("session", session, 0, |session| session.0.streams())
}

/// Features of a step of the input; 0 for NULL.
///
/// Threads: any number on one session. Since 0.1.
#[unsafe(no_mangle)]
pub extern "C" fn elman_session_get_input_size(session: Option<&Session>) -> usize {
    get("session", session, 0, |session| session.0.input_size())
}

/// Features of a step of the output; 0 for NULL.
///
/// Threads: any number on one session. Since 0.1.
#[unsafe(no_mangle)]
pub extern "C" fn elman_session_get_output_size(session: Option<&Session>) -> usize {
    get("session", session, 0, |session| session.0.output_size())
}

/// Elements of the state of a stream; 0 for NULL.
///
/// Threads: any number on one session. Since 0.1.
#[unsafe(no_mangle)]
pub extern "C" fn elman_session_get_state_size(session: Option<&Session>) -> usize {
    get("session", session, 0, |session| session.0.state_size())
}

/// Bytes of memory that the session takes beside the parameters, which it shares with its network and with other sessions
/// until the network changes; 0 for NULL. For one step there is room in any case, and for up to 64 steps within 64 KiB.
///
/// Threads: any number on one session. Since 0.1.
#[unsafe(no_mangle)]
pub extern "C" fn elman_session_get_bytes(session: Option<&Session>) -> usize {
    get("session", session, 0, |session| session.0.bytes())
}
