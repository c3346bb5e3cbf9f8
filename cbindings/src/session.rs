//! Streams: one step at a time
//!
//! A session runs one sequence step by step and keeps the state between the calls. The outputs are those of the
//! sequence as a whole, bit for bit.

use crate::border::{self, call, require};
use crate::network::Network;
use crate::status::Status;

/// A stream through a network.
#[derive(Debug)]
pub struct Session(elman_engine::Session<f32>);

/// Starts a stream from the state 0. It runs the parameters that the network has now; the network may change or be
/// destroyed meanwhile. The session belongs to the caller, who gives it back with elman_session_destroy().
///
///   out         receives the session
///
/// Errors: NULL, OUT_OF_MEMORY.
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

/// Runs one step. It allocates nothing, takes no lock and makes no system call.
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

/// Starts again from the state 0.
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

/// Copies the state.
///
///   state       receives it, [count], in layer order
///   count       elman_state_size() of the network
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
///
///   state       [count], in layer order
///   count       elman_state_size() of the network
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
