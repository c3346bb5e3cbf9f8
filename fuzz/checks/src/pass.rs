//! Running networks: predictions, passes forward and backward, updates, gradient checks.

use std::ptr;

use elman_abi::gradient_check::elman_gradient_check;
use elman_abi::network::*;
use elman_abi::pass::*;
use elman_abi::run::elman_predict;
use elman_abi::status::*;

use crate::call::{Argument, Call, Done, c, must, same, same_double};
use crate::network::{Model, Net, Pass, gradients, parameters};
use crate::optimizer::Seen;
use crate::source::Source;
use crate::world::World;

/// The sequences of a call.
struct Sequences {
    batch: usize,
    steps: usize,
    lengths: Option<Vec<usize>>,
    /// `[batch][steps][input]`, however the call got it. What is behind the end of a sequence is any number.
    x: Vec<f32>,
    state_in: Option<Vec<f32>>,
    /// Features of the input and elements of the state.
    input: usize,
    state: usize,
}

/// Where the call got them.
struct Arguments {
    x: Argument<f32>,
    lengths: Argument<usize>,
    state_in: Argument<f32>,
}

/// Few, some, enough for several threads; few and long.
const BATCHES: [usize; 8] = [1, 2, 3, 8, 9, 12, 1, 16];
const STEPS: [usize; 8] = [1, 2, 3, 5, 1, 4, 7, 67];

impl Sequences {
    /// Draws the sequences of a call, and names what is wrong with them.
    fn draw(call: &mut Call, source: &mut Source<'_>, model: Option<&Model>) -> (Self, Arguments) {
        let (batch, steps) = (source.size(&BATCHES), source.size(&STEPS));
        let input = model.map_or(1, |model| model.input);
        let state = model.map_or(1, Model::state_size);
        call.wrong(ELMAN_ERROR_ZERO_SIZE, batch == 0 || steps == 0);
        let len = call.len(&[batch, steps, input]);
        let mut x = source.floats(len);
        if let Some(model) = model {
            model.put_indices(&mut x, &mut source.ahead());
        }
        let rows = call.len(&[batch]);
        let lengths = source.rarely(2).then(|| {
            let longest = steps.clamp(1, 100);
            let length = |_| match source.below(64) {
                63 => source.pick(&[0, steps.wrapping_add(1), usize::MAX]),
                60..63 => 0,
                choice => 1 + choice % longest,
            };
            (0..rows).map(length).collect::<Vec<_>>()
        });
        let wrong = |length: &usize| *length > steps;
        let lengths_wrong = lengths.iter().flatten().any(wrong);
        let states = call.len(&[batch, state]);
        let state_in = source.rarely(3).then(|| source.floats(states));
        let time_major = model.is_some_and(|model| model.time_major);
        let given = if time_major {
            turned(&x, batch, steps)
        } else {
            x.clone()
        };
        let arguments = Arguments {
            x: call.read(&given),
            lengths: call.read_optional(lengths.as_deref()),
            state_in: call.read_optional(state_in.as_deref()),
        };
        // A null pointer is none that is wrong where it may be null.
        let lengths = lengths.filter(|_| call.gives(arguments.lengths));
        let state_in = state_in.filter(|_| call.gives(arguments.state_in));
        call.wrong(ELMAN_ERROR_OUT_OF_RANGE, lengths.is_some() && lengths_wrong);
        let sequences = Self {
            batch,
            steps,
            lengths,
            x,
            state_in,
            input,
            state,
        };
        let rows = sequences
            .x
            .chunks(steps.saturating_mul(input).max(1))
            .enumerate();
        let mut wanted = rows.map(|(index, x)| &x[..sequences.length(index).min(steps) * input]);
        let takes = model.is_none_or(|model| wanted.all(|rows| model.takes(rows)));
        call.wrong(ELMAN_ERROR_OUT_OF_RANGE, !takes);
        (sequences, arguments)
    }

    fn length(&self, index: usize) -> usize {
        self.lengths
            .as_ref()
            .map_or(self.steps, |lengths| lengths[index])
    }

    fn lengths(&self) -> Vec<usize> {
        (0..self.batch).map(|index| self.length(index)).collect()
    }

    /// What each sequence starts from in this network.
    fn states(&self, network: &Network, model: &Model) -> Vec<f32> {
        let own = || model.start(&parameters(network)).repeat(self.batch);
        self.state_in.clone().unwrap_or_else(own)
    }

    /// The same, to hand to the twin: nothing where that is not the same, because there is a state to be trained.
    fn given_states(&self, network: &Network, model: &Model) -> Option<Vec<f32>> {
        let own = self.state_in.is_none() && model.has_own_start();
        (!own).then(|| self.states(network, model))
    }

    /// The inputs, with zeros behind the end of each sequence.
    fn clean(&self) -> Vec<f32> {
        blanked(&self.x, self.steps, self.input, &self.lengths())
    }
}

/// `values` `[batch][steps][width]` with zeros behind the end of each sequence.
fn blanked(values: &[f32], steps: usize, width: usize, lengths: &[usize]) -> Vec<f32> {
    let mut values = values.to_vec();
    for (index, length) in lengths.iter().enumerate() {
        values[(index * steps + length) * width..(index + 1) * steps * width].fill(0.0);
    }
    values
}

/// `values` `[rows][columns][any]` as `[columns][rows][any]`.
fn turned(values: &[f32], rows: usize, columns: usize) -> Vec<f32> {
    if values.is_empty() {
        return Vec::new();
    }
    let width = values.len() / rows / columns;
    let places = (0..columns).flat_map(|column| (0..rows).map(move |row| row * columns + column));
    let parts = places.map(|place| &values[place * width..(place + 1) * width]);
    parts.collect::<Vec<_>>().concat()
}

/// Outputs `[batch][steps][any]`, or their gradients, as a caller of the network has them.
fn outputs_of(model: &Model, values: &[f32], batch: usize, steps: usize) -> Vec<f32> {
    match model.output {
        ELMAN_OUTPUT_ALL if model.time_major => turned(values, batch, steps),
        _ => values.to_vec(),
    }
}

/// The outputs and the final state of one sequence by itself.
pub fn predict_one(network: &Network, x: &[f32], state: &[f32]) -> (Vec<f32>, Vec<f32>) {
    let steps = x.len() / elman_input_size(Some(network));
    let rows = match elman_output(Some(network)) {
        ELMAN_OUTPUT_LAST => 1,
        _ => steps,
    };
    let mut y = vec![f32::NAN; rows * elman_output_size(Some(network))];
    let mut end = vec![f32::NAN; state.len()];
    let (x, from, to, lengths) = (x.as_ptr(), state.as_ptr(), end.as_mut_ptr(), ptr::null());
    let status = c!(elman_predict(
        Some(network),
        x,
        1,
        steps,
        lengths,
        from,
        y.as_mut_ptr(),
        to,
    ));
    must("elman_predict", status);
    (y, end)
}

/// What a network without dropout gives for a batch: the results of each sequence by itself, one after the other.
fn predict_apart(network: &Network, model: &Model, sequences: &Sequences) -> (Vec<f32>, Vec<f32>) {
    let (mut outputs, mut ends) = (Vec::new(), Vec::new());
    let width = model.output_size();
    let (input, state) = (sequences.input, sequences.state);
    let states = sequences.states(network, model);
    for index in 0..sequences.batch {
        let x = &sequences.x[index * sequences.steps * input..];
        let length = sequences.length(index);
        let x = &x[..length * input];
        let (mut y, end) = match length {
            0 => (vec![0.0; width], vec![0.0; state]),
            _ => predict_one(network, x, &states[index * state..][..state]),
        };
        if model.output == ELMAN_OUTPUT_ALL {
            y.resize(sequences.steps * width, 0.0);
        }
        outputs.extend(y);
        ends.extend(end);
    }
    (outputs, ends)
}

/// Compares the results of a call with what they should be.
fn expect_results(done: &Done, results: [Argument<f32>; 2], expected: (&[f32], &[f32])) {
    let is =
        |values: Option<Vec<f32>>, expected| values.is_none_or(|values| same(&values, expected));
    assert!(is(done.values(results[0]), expected.0), "other outputs");
    assert!(
        is(done.values(results[1]), expected.1),
        "other final states"
    );
}

/// The places for outputs and final states.
fn results(
    call: &mut Call,
    source: &mut Source<'_>,
    model: Option<&Model>,
    sequences: &Sequences,
) -> [Argument<f32>; 2] {
    let sizes = model.map_or(vec![sequences.batch], |model| {
        model.output_sizes(sequences.batch, sequences.steps)
    });
    let outputs = call.len(&sizes);
    let states = call.len(&[sequences.batch, sequences.state]);
    let y = call.write_optional(outputs, !source.rarely(8));
    let state_out = call.write_optional(states, source.rarely(2));
    [y, state_out]
}

pub fn predict(world: &mut World, source: &mut Source<'_>) {
    let slot = world.network_slot(source);
    let net = world.networks[slot].as_ref();
    let model = net.map(|net| &net.model);
    let mut call = Call::new("elman_predict", source);
    call.starve(source);
    let network = call.handle(net.map(|net| &*net.handle));
    let (sequences, arguments) = Sequences::draw(&mut call, source, model);
    let to = results(&mut call, source, model, &sequences);
    let Sequences { batch, steps, .. } = sequences;
    let done = call.run(&mut world.record, |p| {
        let (x, lengths) = (p.get(arguments.x), p.get(arguments.lengths));
        let [y, state_out] = to.map(|argument| p.get(argument));
        let state_in = p.get(arguments.state_in);
        c!(elman_predict(
            network, x, batch, steps, lengths, state_in, y, state_out
        ))
    });
    if let (Some(net), Some(done)) = (net, done.filter(Done::is_ok)) {
        let (y, ends) = predict_apart(&net.twin, &net.model, &sequences);
        let y = outputs_of(&net.model, &y, batch, steps);
        expect_results(&done, to, (&y, &ends));
    }
}

pub fn forward(world: &mut World, source: &mut Source<'_>) {
    let slot = world.network_slot(source);
    forward_in(world, source, slot);
}

fn forward_in(world: &mut World, source: &mut Source<'_>, slot: usize) {
    let net = world.networks[slot].as_mut();
    let model = net.as_ref().map(|net| net.model.clone());
    let mut call = Call::new("elman_forward", source);
    call.starve(source);
    call.handle(net.as_ref());
    let (sequences, arguments) = Sequences::draw(&mut call, source, model.as_ref());
    let to = results(&mut call, source, model.as_ref(), &sequences);
    let Sequences { batch, steps, .. } = sequences;
    let mut net = net;
    let network = net.as_mut().map(|net| &mut *net.handle);
    let done = call.run(&mut world.record, |p| {
        let (x, lengths) = (p.get(arguments.x), p.get(arguments.lengths));
        let [y, state_out] = to.map(|argument| p.get(argument));
        let state_in = p.get(arguments.state_in);
        c!(elman_forward(
            network, x, batch, steps, lengths, state_in, y, state_out
        ))
    });
    let (Some(net), Some(done)) = (net, done) else {
        return;
    };
    if done.memory().refused > 0 {
        net.pass = None;
    }
    if !done.is_ok() {
        return;
    }
    let lengths = sequences.lengths();
    let sizes = net.model.output_sizes(batch, steps);
    let mut y = vec![f32::NAN; sizes.iter().product()];
    let mut ends = vec![f32::NAN; batch * sequences.state];
    let x = sequences.clean();
    let states = sequences.given_states(&net.twin, &net.model);
    let (to_y, to_ends) = (y.as_mut_ptr(), ends.as_mut_ptr());
    let twin = Some(net.twin_to_train());
    let state_in = states
        .as_ref()
        .map_or(ptr::null(), |states| states.as_ptr());
    let (x, from) = (x.as_ptr(), lengths.as_ptr());
    let status = c!(elman_forward(
        twin, x, batch, steps, from, state_in, to_y, to_ends
    ));
    must("elman_forward", status);
    let theirs = outputs_of(&net.model, &y, batch, steps);
    expect_results(&done, to, (&theirs, &ends));
    if !net.model.drops() {
        let (alone, alone_ends) = predict_apart(&net.twin, &net.model, &sequences);
        assert!(
            same(&y, &alone) && same(&ends, &alone_ends),
            "forward differs from predict"
        );
    }
    net.pass = Some(Pass {
        batch,
        steps,
        lengths,
    });
}

pub fn backward(world: &mut World, source: &mut Source<'_>) {
    let slot = world.network_slot(source);
    let has_pass = |net: &Net| net.pass.is_some();
    if !world.networks[slot].as_ref().is_some_and(has_pass) && !source.rarely(8) {
        forward_in(world, source, slot);
    }
    let net = world.networks[slot].as_mut();
    let mut call = Call::new("elman_backward", source);
    call.starve(source);
    call.handle(net.as_ref());
    let pass = net.as_ref().and_then(|net| net.pass.clone());
    call.wrong(ELMAN_ERROR_CALL_ORDER, pass.is_none());
    let kept = pass.clone().unwrap_or(Pass {
        batch: 0,
        steps: 0,
        lengths: Vec::new(),
    });
    let Pass {
        batch,
        steps,
        lengths,
    } = kept;
    let model = net.as_ref().map(|net| net.model.clone());
    let width = model.as_ref().map_or(1, Model::output_size);
    let states = batch * model.as_ref().map_or(1, Model::state_size);
    let outputs = model
        .as_ref()
        .map_or(0, |model| model.output_sizes(batch, steps).iter().product());
    let inputs = batch * steps * model.as_ref().map_or(1, |model| model.input.min(1 << 16));
    let dy = (!source.rarely(8)).then(|| source.floats(outputs));
    let dstate_out = source.rarely(2).then(|| source.floats(states));
    let theirs = match (&model, &dy) {
        (Some(model), Some(dy)) => Some(outputs_of(model, dy, batch, steps)),
        _ => dy.clone(),
    };
    let from = [&theirs, &dstate_out].map(|values| call.read_optional(values.as_deref()));
    let dx = call.write_optional(inputs, source.rarely(2));
    let dstate_in = call.write_optional(states, source.rarely(2));
    let given = from.map(|argument| call.gives(argument));
    let mut net = net;
    let network = net.as_mut().map(|net| &mut *net.handle);
    let done = call.run(&mut world.record, |p| {
        let [dy, dstate_out] = from.map(|argument| p.get(argument));
        c!(elman_backward(
            network,
            dy,
            dstate_out,
            p.get(dx),
            p.get(dstate_in)
        ))
    });
    let (Some(net), Some(done)) = (net, done.filter(Done::is_ok)) else {
        return;
    };
    let zeros = |values: Option<Vec<f32>>, given, count| {
        values.filter(|_| given).unwrap_or_else(|| vec![0.0; count])
    };
    let mut dy = zeros(dy, given[0], outputs);
    if net.model.output == ELMAN_OUTPUT_ALL {
        dy = blanked(&dy, steps, width, &lengths);
    }
    let dstate_out = zeros(dstate_out, given[1], states);
    let (mut to_x, mut to_state) = (vec![f32::NAN; inputs], vec![f32::NAN; states]);
    let (dy, dstate_out) = (dy.as_ptr(), dstate_out.as_ptr());
    let (pointer_x, pointer_state) = (to_x.as_mut_ptr(), to_state.as_mut_ptr());
    let twin = Some(&mut *net.twin);
    let status = c!(elman_backward(
        twin,
        dy,
        dstate_out,
        pointer_x,
        pointer_state
    ));
    must("elman_backward", status);
    let theirs = match net.model.time_major {
        true => turned(&to_x, batch, steps),
        false => to_x.clone(),
    };
    expect_results(&done, [dx, dstate_in], (&theirs, &to_state));
    if to_x.iter().all(|value| value.is_finite()) {
        let blank = blanked(&to_x, steps, net.model.input, &lengths);
        assert!(
            same(&to_x, &blank),
            "a gradient behind the end of a sequence"
        );
    }
}

pub fn update(world: &mut World, source: &mut Source<'_>) {
    let (slot, with) = (world.network_slot(source), world.optimizer_slot(source));
    let mut call = Call::new("elman_update", source);
    call.starve(source);
    let (net, optimizer) = (
        world.networks[slot].as_mut(),
        world.optimizers[with].as_mut(),
    );
    call.handle(net.as_ref());
    call.handle(optimizer.as_ref());
    let count = net.as_ref().map_or(0, |net| net.model.parameter_count());
    let seen = optimizer
        .as_ref()
        .map_or(Seen::Nothing, |optimizer| optimizer.seen);
    match seen {
        Seen::Parameters(known) => call.wrong(ELMAN_ERROR_MISMATCH, known != count),
        Seen::Unknown => call.possible(ELMAN_ERROR_MISMATCH, true),
        Seen::Nothing => (),
    }
    let (mut net, mut optimizer) = (net, optimizer);
    let network = net.as_mut().map(|net| &mut *net.handle);
    let handle = optimizer.as_mut().map(|optimizer| &mut *optimizer.handle);
    let done = call.run(&mut world.record, |_| elman_update(network, handle));
    let (Some(net), Some(optimizer), Some(done)) = (net, optimizer, done) else {
        return;
    };
    if done.is_ok() {
        optimizer.seen = Seen::Parameters(count);
        let twin = &mut optimizer.twin;
        net.follow("elman_update", |network| {
            elman_update(Some(network), Some(twin))
        });
        assert!(same(&gradients(&mut net.handle), &vec![0.0; count]));
    }
}

pub fn check_gradients(world: &mut World, source: &mut Source<'_>) {
    let slot = world.network_slot(source);
    let net = world.networks[slot].as_mut();
    let model = net.as_ref().map(|net| net.model.clone());
    if model
        .as_ref()
        .is_some_and(|model| model.parameter_count() > 60)
    {
        return;
    }
    let mut call = Call::new("elman_gradient_check", source);
    call.handle(net.as_ref());
    let (sequences, arguments) = Sequences::draw(&mut call, source, model.as_ref());
    if sequences.x.len() > 40 {
        return;
    }
    // Without a step and without parameters there is nothing to change.
    let empty = sequences
        .lengths
        .iter()
        .flatten()
        .all(|&length| length == 0);
    call.possible(ELMAN_ERROR_ZERO_SIZE, sequences.lengths.is_some() && empty);
    let Sequences { batch, steps, .. } = sequences;
    let sizes = model
        .as_ref()
        .map_or(vec![batch], |model| model.output_sizes(batch, steps));
    let empty = sequences
        .lengths
        .iter()
        .flatten()
        .all(|&length| length == 0);
    let nothing = |model: &Model| {
        let counts = model.counted_layers().enumerate();
        let trained =
            |(layer, (_, count)): (usize, (_, u128))| count > 0 && !model.frozen.contains(&layer);
        model.state_size() == 0 && !counts.into_iter().any(trained)
    };
    call.wrong(
        ELMAN_ERROR_ZERO_SIZE,
        sequences.lengths.is_some() && empty && model.as_ref().is_some_and(nothing),
    );
    let (outputs, states) = (call.len(&sizes), call.len(&[batch, sequences.state]));
    let dy = (!source.rarely(8)).then(|| source.floats(outputs));
    let dstate_out = source.rarely(2).then(|| source.floats(states));
    let theirs = match (&model, &dy) {
        (Some(model), Some(dy)) => Some(outputs_of(model, dy, batch, steps)),
        _ => dy.clone(),
    };
    let from = [&theirs, &dstate_out].map(|values| call.read_optional(values.as_deref()));
    let error = call.write(1);
    let given = from.map(|argument| call.gives(argument));
    let network = net.as_ref().map(|net| &*net.handle);
    let done = call.run(&mut world.record, |p| {
        let (x, lengths) = (p.get(arguments.x), p.get(arguments.lengths));
        let [dy, dstate_out] = from.map(|argument| p.get(argument));
        let state_in = p.get(arguments.state_in);
        c!(elman_gradient_check(
            network,
            x,
            batch,
            steps,
            lengths,
            state_in,
            dy,
            dstate_out,
            p.get(error),
        ))
    });
    let (Some(net), Some(done)) = (net, done.filter(Done::is_ok)) else {
        return;
    };
    let found: f64 = done
        .result(error)
        .expect("a result of a call that has succeeded");
    assert!(found >= 0.0);
    let weights = [dy.filter(|_| given[0]), dstate_out.filter(|_| given[1])];
    let (lengths, clean) = (sequences.lengths(), sequences.clean());
    let states = sequences.states(&net.twin, &net.model);
    let given = sequences.given_states(&net.twin, &net.model);
    let [dy, dstate_out] = weights.each_ref().map(|values| match values {
        Some(values) => values.as_ptr(),
        None => ptr::null(),
    });
    let mut again = f64::NAN;
    let state_in = given.as_ref().map_or(ptr::null(), |states| states.as_ptr());
    let (x, lengths) = (clean.as_ptr(), lengths.as_ptr());
    let twin = Some(&*net.twin_to_train());
    let to = &raw mut again;
    let status = c!(elman_gradient_check(
        twin, x, batch, steps, lengths, state_in, dy, dstate_out, to
    ));
    must("elman_gradient_check", status);
    // It sums the outputs up in the order in which the caller has them.
    assert!(net.model.time_major || same_double(found, again));
    let tame = |values: &[f32]| values.iter().all(|value| value.abs() <= 1.0);
    let weights = weights.iter().flatten().all(|values| tame(values));
    let parameters = tame(&parameters(&net.handle));
    let mut numbers = clean;
    for (column, _) in net.model.indices() {
        numbers
            .chunks_mut(sequences.input)
            .for_each(|row| row[column] = 0.0);
    }
    let smooth = net.model.standardization.is_none();
    let smooth = smooth && net.model.layers.iter().all(|layer| layer.is_smooth());
    if smooth && tame(&numbers) && tame(&states) && weights && parameters {
        assert!(found < 1e-5, "the gradients are wrong: {found}");
    }
}
