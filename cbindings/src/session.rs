//! Streams: one step or a block of steps at a time
//!
//! A session runs one sequence in steps or blocks of steps and keeps the state between the calls. The outputs are those of
//! the sequence as a whole, bit for bit.
//!
//! elman_session_step(), _run(), _reset(), _get_state() and _set_state() are real-time safe: they allocate nothing, take no
//! lock and make no system call, from the first call on and on errors too.

use crate::border::{self, call, get, require};
use crate::network::Network;
use crate::status::Status;

/// A stream through a network.
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

/// Frees a session; of NULL, does nothing.
///
/// Threads: needs the session to itself. Since 0.1.
#[unsafe(no_mangle)]
pub extern "C" fn elman_session_destroy(session: Option<Box<Session>>) {
    border::destroy(session);
}

/// Makes a second stream that goes on from the state that this one has now. It belongs to the caller, who gives it back with
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
///   x           [input_size]
///   y           receives the output of the last layer, [output_size]; must not overlap `x`
///
/// Errors: NULL, OVERLAP; the state is then as it was.
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
        let x = caller.read("x", x, &[session.input_size()])?;
        let y = caller.write("y", y, &[session.output_size()])?;
        Ok(session.step(x, y)?)
    })
}

/// Runs some steps, with the bits of as many calls of elman_session_step() and in less time: layers run over up to 64 steps at
/// a time. Real-time safe.
///
///   x           [steps][input_size]
///   steps       any number; with 0 the call does nothing, and reads neither `x` nor `y`
///   y           receives the output of the last layer at each step, whatever elman_set_output() says,
///               [steps][output_size]; where output_size is input_size it may be `x` itself, else it must not overlap `x`
///
/// Errors: NULL, OVERLAP, SIZE_OVERFLOW; the state is then as it was.
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
        if steps == 0 {
            return Ok(());
        }
        if x == y.cast_const() && !x.is_null() && sizes.0 == sizes.1 {
            let values = caller.write("y", y, &[steps, sizes.0])?;
            return Ok(session.run_in_place(values, steps)?);
        }
        let x = caller.read("x", x, &[steps, sizes.0])?;
        let y = caller.write("y", y, &[steps, sizes.1])?;
        Ok(session.run(x, steps, y)?)
    })
}

/// Starts again from the network's own state, as a new session does. Real-time safe.
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

/// Copies the state. Real-time safe.
///
///   state       receives it, [count], in layer order
///   count       elman_session_get_state_size()
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

/// Goes on from another state: of the same or another session, or what elman_predict() gave as `state_out`.
/// Real-time safe.
///
///   state       [count], in layer order
///   count       elman_session_get_state_size()
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

/// Elements of the state; 0 for NULL.
///
/// Threads: any number on one session. Since 0.1.
#[unsafe(no_mangle)]
pub extern "C" fn elman_session_get_state_size(session: Option<&Session>) -> usize {
    get("session", session, 0, |session| session.0.state_size())
}

/// Bytes of memory that the session takes beside the parameters, which it shares with its network and with other sessions
/// until the network changes; 0 for NULL. For one step they have room in any case, and for up to 64 steps within 64 KiB.
///
/// Threads: any number on one session. Since 0.1.
#[unsafe(no_mangle)]
pub extern "C" fn elman_session_get_bytes(session: Option<&Session>) -> usize {
    get("session", session, 0, |session| session.0.bytes())
}
