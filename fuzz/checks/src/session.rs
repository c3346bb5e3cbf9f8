//! Streams: every step must give what a prediction of one step gives, and all of them what one of the whole sequence
//! does.

use elman_abi::network::*;
use elman_abi::session::*;
use elman_abi::status::*;

use crate::call::{Call, Done, LIMIT, adopt, c, must, same};
use crate::network::{Model, counted, made, parameters};
use crate::pass::predict_one;
use crate::source::Source;
use crate::world::{World, few};

/// A session and what it has run so far.
pub struct Stream {
    handle: Box<Session>,
    /// A network like the one that the session was made of, with all outputs.
    frozen: Box<Network>,
    model: Model,
    /// The state now.
    state: Vec<f32>,
    /// The state before the steps whose inputs and outputs follow.
    start: Vec<f32>,
    x: Vec<f32>,
    y: Vec<f32>,
}

impl Stream {
    /// Makes sure that the steps since the start are the sequence as a whole.
    fn check(&self) {
        if self.x.is_empty() {
            return;
        }
        let (y, state) = predict_one(&self.frozen, &self.x, &self.start);
        assert!(
            same(&y, &self.y) && same(&state, &self.state),
            "the steps are not the whole"
        );
    }

    /// Makes sure that a copy of the session which runs the last steps, from the state before them on, gives what they did.
    fn check_run(&self, before: &[f32], steps: usize) {
        let count = |all: usize, size: usize| all - steps * size;
        let x = &self.x[count(self.x.len(), self.model.input)..];
        let expected = &self.y[count(self.y.len(), self.model.output_size())..];
        let mut copy = std::ptr::null_mut();
        must(
            "elman_session_clone",
            c!(elman_session_clone(Some(&self.handle), &raw mut copy)),
        );
        let mut copy = adopt(copy);
        let mut state = before.to_vec();
        let (pointer, len) = (state.as_mut_ptr(), state.len());
        must(
            "elman_session_set_state",
            c!(elman_session_set_state(Some(&mut copy), pointer, len)),
        );
        let mut y = vec![f32::NAN; expected.len()];
        let to = y.as_mut_ptr();
        must(
            "elman_session_run",
            c!(elman_session_run(Some(&mut copy), x.as_ptr(), steps, to)),
        );
        must(
            "elman_session_get_state",
            c!(elman_session_get_state(Some(&copy), pointer, len)),
        );
        assert!(
            same(&y, expected) && same(&state, &self.state),
            "a run is not its steps"
        );
        elman_session_destroy(Some(copy));
        self.check_streams(before, x, expected, steps);
    }

    /// Makes sure that two streams in lockstep, which both run these steps, do it as one does.
    fn check_streams(&self, before: &[f32], x: &[f32], expected: &[f32], steps: usize) {
        let twice = |rows: &[f32], size: usize| -> Vec<f32> {
            let rows = rows.chunks(size);
            rows.flat_map(|row| [row, row].concat()).collect()
        };
        let mut streams = std::ptr::null_mut();
        let out = &raw mut streams;
        must(
            "elman_session_create_many",
            c!(elman_session_create_many(Some(&self.frozen), 2, out)),
        );
        let mut streams = adopt(streams);
        let (x, expected) = (
            twice(x, self.model.input),
            twice(expected, self.model.output_size()),
        );
        let mut state = before.to_vec();
        let (pointer, len) = (state.as_mut_ptr(), state.len());
        for stream in 0..2 {
            must(
                "elman_session_reset_stream",
                elman_session_reset_stream(Some(&mut streams), stream),
            );
            must(
                "elman_session_set_stream_state",
                c!(elman_session_set_stream_state(
                    Some(&mut streams),
                    stream,
                    pointer,
                    len
                )),
            );
        }
        let mut y = vec![f32::NAN; expected.len()];
        let to = y.as_mut_ptr();
        must(
            "elman_session_run",
            c!(elman_session_run(Some(&mut streams), x.as_ptr(), steps, to)),
        );
        must(
            "elman_session_get_stream_state",
            c!(elman_session_get_stream_state(
                Some(&streams),
                1,
                pointer,
                len
            )),
        );
        assert!(
            same(&y, &expected) && same(&state, &self.state),
            "streams in lockstep are not those alone"
        );
        elman_session_destroy(Some(streams));
    }

    fn restart(&mut self, state: Vec<f32>) {
        self.check();
        self.start = state.clone();
        self.state = state;
        self.x.clear();
        self.y.clear();
    }

    pub fn destroy(self) {
        self.check();
        elman_session_destroy(Some(self.handle));
        elman_destroy(Some(self.frozen));
    }
}

pub fn make(world: &mut World, source: &mut Source<'_>) {
    let slot = few(source).min(1);
    make_in(world, source, slot);
}

pub fn make_in(world: &mut World, source: &mut Source<'_>, slot: usize) {
    let with = world.network_slot(source);
    let net = world.networks[with].as_ref();
    let mut call = Call::new("elman_session_create", source);
    call.starve(source);
    let network = call.handle(net.map(|net| &*net.handle));
    // What it keeps of a step must have a size, too.
    let input = net.map_or(1, |net| net.model.input);
    call.wrong(ELMAN_ERROR_SIZE_OVERFLOW, input >= (1 << 60) - 15);
    let sizes = net.map_or(Vec::new(), |net| net.model.sizes());
    let all: u128 = sizes.iter().map(|&size| size as u128).sum();
    call.possible(ELMAN_ERROR_SIZE_OVERFLOW, all > LIMIT - 1000);
    call.wrong(
        ELMAN_ERROR_MISMATCH,
        net.is_some_and(|net| net.model.looks_ahead()),
    );
    let out = call.write(1);
    let done = call.run(&mut world.record, |p| {
        c!(elman_session_create(network, p.get(out)))
    });
    let (Some(net), Some(done)) = (net, done) else {
        return;
    };
    if let Some(handle) = made(&done, out) {
        let model = Model {
            output: ELMAN_OUTPUT_ALL,
            ..net.model.clone()
        };
        let state = model.start(&parameters(&net.twin));
        let stream = Stream {
            handle,
            frozen: model.build(&parameters(&net.twin)),
            model,
            start: state.clone(),
            state,
            x: Vec::new(),
            y: Vec::new(),
        };
        world.put_session(slot, Some(stream));
    }
}

pub fn step(world: &mut World, source: &mut Source<'_>) {
    let slot = world.session_slot(source);
    let state = |world: &World| Some(world.sessions[slot].as_ref()?.state.clone());
    let (before, mut steps) = (state(world), 0);
    for _ in 0..=source.below(4) {
        let stream = world.sessions[slot].as_mut();
        let sizes = stream.as_ref().map_or((1, 1), |stream| {
            (stream.model.input, stream.model.output_size())
        });
        let mut call = Call::new("elman_session_step", source);
        call.handle(stream.as_ref());
        let mut x = source.floats(sizes.0);
        if let Some(stream) = &stream {
            stream.model.put_indices(&mut x, &mut source.ahead());
            call.wrong(ELMAN_ERROR_OUT_OF_RANGE, !stream.model.takes(&x));
        }
        let from = call.read(&x);
        let y = call.write(sizes.1);
        let mut stream = stream;
        let session = stream.as_mut().map(|stream| &mut *stream.handle);
        let done = call.run(&mut world.record, |p| {
            c!(elman_session_step(session, p.get(from), p.get(y)))
        });
        if let (Some(stream), Some(done)) = (stream, done.filter(Done::is_ok)) {
            let (expected, state) = predict_one(&stream.frozen, &x, &stream.state);
            let found = done.values(y).unwrap_or_default();
            assert!(same(&found, &expected), "a step is not a prediction");
            assert_eq!(done.memory().allocated, 0, "a step has allocated");
            stream.state = state;
            stream.x.extend(x);
            stream.y.extend(found);
            steps += 1;
        }
    }
    if let (Some(stream), Some(before)) = (&world.sessions[slot], before) {
        stream.check_run(&before, steps);
        let nothing = std::ptr::null_mut();
        world.record.extend([
            ("elman_session_clone", ELMAN_OK),
            ("elman_session_run", ELMAN_OK),
            ("elman_session_create_many", ELMAN_OK),
            ("elman_session_reset_stream", ELMAN_OK),
            ("elman_session_set_stream_state", ELMAN_OK),
            ("elman_session_get_stream_state", ELMAN_OK),
            (
                "elman_session_create_many",
                c!(elman_session_create_many(None, 2, std::ptr::null_mut())),
            ),
            (
                "elman_session_reset_stream",
                elman_session_reset_stream(None, 0),
            ),
            (
                "elman_session_set_stream_state",
                c!(elman_session_set_stream_state(None, 0, nothing, 1)),
            ),
            (
                "elman_session_get_stream_state",
                c!(elman_session_get_stream_state(None, 0, nothing, 1)),
            ),
            (
                "elman_session_clone",
                c!(elman_session_clone(None, std::ptr::null_mut())),
            ),
            (
                "elman_session_run",
                c!(elman_session_run(None, nothing, 1, nothing)),
            ),
        ]);
    }
}

pub fn reset(world: &mut World, source: &mut Source<'_>) {
    let slot = world.session_slot(source);
    let mut stream = world.sessions[slot].as_mut();
    let mut call = Call::new("elman_session_reset", source);
    call.handle(stream.as_ref());
    let session = stream.as_mut().map(|stream| &mut *stream.handle);
    let done = call.run(&mut world.record, |_| elman_session_reset(session));
    if let (Some(stream), Some(_)) = (stream, done.filter(Done::is_ok)) {
        stream.restart(stream.model.start(&parameters(&stream.frozen)));
    }
}

pub fn get_state(world: &mut World, source: &mut Source<'_>) {
    let slot = world.session_slot(source);
    let stream = world.sessions[slot].as_ref();
    let mut call = Call::new("elman_session_get_state", source);
    let session = call.handle(stream.map(|stream| &*stream.handle));
    let right = stream.map_or(1, |stream| stream.state.len());
    let (count, len) = counted(&mut call, source, right);
    let state = call.write(len);
    let done = call.run(&mut world.record, |p| {
        c!(elman_session_get_state(session, p.get(state), count))
    });
    if let (Some(stream), Some(done)) = (stream, done.filter(Done::is_ok)) {
        assert!(same(&done.values(state).unwrap_or_default(), &stream.state));
    }
}

pub fn set_state(world: &mut World, source: &mut Source<'_>) {
    let slot = world.session_slot(source);
    let mut stream = world.sessions[slot].as_mut();
    let mut call = Call::new("elman_session_set_state", source);
    call.handle(stream.as_ref());
    let right = stream.as_ref().map_or(1, |stream| stream.state.len());
    let (count, len) = counted(&mut call, source, right);
    let state = source.floats(len);
    let from = call.read(&state);
    let session = stream.as_mut().map(|stream| &mut *stream.handle);
    let done = call.run(&mut world.record, |p| {
        c!(elman_session_set_state(session, p.get(from), count))
    });
    if let (Some(stream), Some(_)) = (stream, done.filter(Done::is_ok)) {
        stream.restart(state);
    }
}

/// Compares the state of a session with what it should be.
pub fn expect_state(stream: &Stream) {
    let mut state = vec![f32::NAN; stream.state.len()];
    let session = Some(&*stream.handle);
    must(
        "elman_session_get_state",
        c!(elman_session_get_state(
            session,
            state.as_mut_ptr(),
            state.len()
        )),
    );
    assert!(same(&state, &stream.state));
}

/// What there is to know of no session.
pub fn ask_nothing() {
    elman_session_destroy(None);
}
