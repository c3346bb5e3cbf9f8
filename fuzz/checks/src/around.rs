//! Layers around the cells: networks of their own, with layer norms, embeddings and layers that look back.

use std::ptr;

use elman_abi::around::*;
use elman_abi::layer::elman_layer_count;
use elman_abi::network::*;
use elman_abi::pass::{elman_backward, elman_forward};
use elman_abi::run::elman_predict;
use elman_abi::session::{
    elman_session_create, elman_session_destroy, elman_session_reset, elman_session_step,
};
use elman_abi::status::*;

use crate::call::{adopt, c, must, same};
use crate::network::create;
use crate::source::Source;
use crate::world::World;

/// A network, and what its caller knows about it.
struct Around {
    network: Box<Network>,
    /// Features of the input and of the output of each layer.
    sizes: Vec<usize>,
    /// The columns of the input that the columns of the last output are, as long as all layers are embeddings.
    origins: Option<Vec<Option<usize>>>,
    /// The columns that are indices, and their classes.
    indices: Vec<(usize, usize)>,
}

/// Most calls that are recorded: the record must not grow.
const MOST_RECORDED: usize = 900;

/// A call that ends with one of these faults, if there is one, and else well.
fn expect(
    world: &mut World,
    name: &'static str,
    status: Status,
    faults: &[(Status, bool)],
) -> bool {
    if world.record.len() < MOST_RECORDED {
        world.record.push((name, status));
    }
    let mut found = faults.iter().filter(|(_, holds)| *holds).peekable();
    match found.peek() {
        None => assert_eq!(status, ELMAN_OK, "{name}"),
        Some(_) => assert!(found.any(|(fault, _)| *fault == status), "{name}: {status}"),
    }
    status == ELMAN_OK
}

/// Makes a network of such layers and runs it in all ways.
pub fn try_out(world: &mut World, source: &mut Source<'_>) {
    let input = 1 + source.below(4);
    let mut around = Around {
        network: create(input),
        sizes: vec![input],
        origins: Some((0..input).map(Some).collect()),
        indices: Vec::new(),
    };
    for _ in 0..source.below(7) {
        around.add(world, source);
    }
    let network = Some(&mut *around.network);
    must(
        "elman_set_output",
        elman_set_output(network, ELMAN_OUTPUT_ALL),
    );
    let layers = around.sizes.len() - 1;
    assert_eq!(elman_layer_count(Some(&around.network)), layers);
    let layer = source.below(layers + 1);
    let mut numbers = [usize::MAX; 1];
    // As if it were one of one number.
    let status = c!(elman_get_layer_numbers(
        Some(&around.network),
        layer,
        numbers.as_mut_ptr(),
        1
    ));
    let faults = [
        (ELMAN_ERROR_OUT_OF_RANGE, layer >= layers),
        (ELMAN_ERROR_LENGTH, status != ELMAN_OK),
    ];
    expect(world, "elman_get_layer_numbers", status, &faults);
    assert_eq!(status == ELMAN_OK, numbers[0] != usize::MAX);
    around.run(source);
}

impl Around {
    fn add(&mut self, world: &mut World, source: &mut Source<'_>) {
        let last = self.sizes[self.sizes.len() - 1];
        let count = self.sizes.len();
        let network = Some(&mut *self.network);
        let outputs = match source.below(7) {
            0 | 1 => {
                let numbers: Vec<_> = (0..source.below(3))
                    .map(|_| source.below(last + 2))
                    .collect();
                let classes = source.pick(&[3, 1, 5, 0, (1 << 24) + 1]);
                let size = source.below(4);
                let (at, len) = (numbers.as_ptr(), numbers.len());
                let status = c!(elman_add_embedding(network, at, len, classes, size));
                let twice = numbers.len() == 2 && numbers[0] == numbers[1];
                let origin = |&column: &usize| {
                    let origins = self.origins.as_ref()?;
                    origins.get(column).copied().flatten()
                };
                let there = |column: &usize| *column < last;
                let faults = [
                    (ELMAN_ERROR_ZERO_SIZE, len == 0 || classes == 0 || size == 0),
                    (ELMAN_ERROR_OUT_OF_RANGE, classes > 1 << 24),
                    (ELMAN_ERROR_OUT_OF_RANGE, !numbers.iter().all(there)),
                    (ELMAN_ERROR_MISMATCH, twice),
                    (
                        ELMAN_ERROR_MISMATCH,
                        numbers
                            .iter()
                            .any(|column| there(column) && origin(column).is_none()),
                    ),
                ];
                if !expect(world, "elman_add_embedding", status, &faults) {
                    return;
                }
                let found = numbers.iter().filter_map(origin);
                self.indices.extend(found.map(|column| (column, classes)));
                let mut after = Vec::new();
                for (column, origin) in self.origins.take().into_iter().flatten().enumerate() {
                    match numbers.contains(&column) {
                        true => after.resize(after.len() + size, None),
                        false => after.push(origin),
                    }
                }
                let outputs = after.len();
                self.origins = Some(after);
                self.sizes.push(outputs);
                return;
            }
            2 => {
                let epsilon = source.pick(&[1e-5, 1.0, 0.0, f32::NAN, 1e-39]);
                let status = elman_add_layer_norm(network, epsilon);
                let fits = epsilon >= f32::MIN_POSITIVE;
                let faults = [(ELMAN_ERROR_OUT_OF_RANGE, !fits)];
                expect(world, "elman_add_layer_norm", status, &faults).then_some(last)
            }
            3 => {
                let numbers: Vec<_> = (0..source.below(4))
                    .map(|_| source.below(count + 1))
                    .collect();
                let status = c!(elman_add_concat(network, numbers.as_ptr(), numbers.len()));
                let there = numbers.iter().all(|&layer| layer < count);
                let faults = [
                    (ELMAN_ERROR_ZERO_SIZE, numbers.is_empty()),
                    (ELMAN_ERROR_OUT_OF_RANGE, !there),
                ];
                expect(world, "elman_add_concat", status, &faults)
                    .then(|| numbers.iter().map(|&layer| self.sizes[layer]).sum())
            }
            4 => {
                let layer = source.below(count + 1);
                let status = elman_add_residual(network, layer);
                let size = self.sizes.get(layer).copied();
                let faults = [
                    (ELMAN_ERROR_OUT_OF_RANGE, size.is_none()),
                    (ELMAN_ERROR_MISMATCH, size.is_some_and(|size| size != last)),
                ];
                expect(world, "elman_add_residual", status, &faults).then_some(last)
            }
            5 => {
                let units = 1 + source.below(5);
                must("elman_add_rnn", elman_add_rnn(network, units, ELMAN_TANH));
                Some(units)
            }
            _ => {
                let units = 1 + source.below(5);
                must(
                    "elman_add_dense",
                    elman_add_dense(network, units, ELMAN_TANH),
                );
                Some(units)
            }
        };
        if let Some(outputs) = outputs {
            self.sizes.push(outputs);
            self.origins = None;
        }
    }

    fn run(&mut self, source: &mut Source<'_>) {
        let (batch, steps) = (1 + source.below(3), 1 + source.below(4));
        let (input, output) = (self.sizes[0], self.sizes[self.sizes.len() - 1]);
        let number = |source: &mut Source<'_>| source.below(64) as f32 / 32.0 - 1.0;
        let mut x: Vec<_> = (0..batch * steps * input).map(|_| number(source)).collect();
        let mut is_wrong = false;
        for row in x.chunks_mut(input) {
            for &(column, classes) in &self.indices {
                let wrong = [classes as f32, -1.0, 0.5, f32::NAN, 1e-40];
                row[column] = source.below(classes) as f32;
                if source.rarely(32) {
                    row[column] = source.pick(&wrong);
                    is_wrong = true;
                }
            }
        }
        let mut y = vec![f32::NAN; batch * steps * output];
        let (from, to, none) = (x.as_ptr(), y.as_mut_ptr(), ptr::null_mut());
        let (lengths, state) = (ptr::null(), ptr::null());
        let network = Some(&*self.network);
        let status = c!(elman_predict(
            network, from, batch, steps, lengths, state, to, none
        ));
        let expected = if is_wrong {
            ELMAN_ERROR_OUT_OF_RANGE
        } else {
            ELMAN_OK
        };
        assert_eq!(status, expected, "elman_predict");

        let mut session = ptr::null_mut();
        must(
            "elman_session_create",
            c!(elman_session_create(network, &raw mut session)),
        );
        let mut session = adopt(session);
        let rows = x.chunks(input).zip(y.chunks(output));
        for (row, (x, y)) in rows.enumerate() {
            if row % steps == 0 {
                must(
                    "elman_session_reset",
                    elman_session_reset(Some(&mut session)),
                );
            }
            let mut found = vec![f32::NAN; output];
            let (from, to) = (x.as_ptr(), found.as_mut_ptr());
            let status = c!(elman_session_step(Some(&mut session), from, to));
            assert!(status == ELMAN_OK || is_wrong);
            assert!(is_wrong || same(&found, y), "a step is not a prediction");
        }
        elman_session_destroy(Some(session));

        let mut again = vec![f32::NAN; y.len()];
        let to = again.as_mut_ptr();
        let network = Some(&mut *self.network);
        let status = c!(elman_forward(
            network, from, batch, steps, lengths, state, to, none
        ));
        assert_eq!(status, expected, "elman_forward");
        if is_wrong {
            return;
        }
        assert!(same(&again, &y), "forward differs from predict");
        let (dy, mut dx) = (vec![1.0; y.len()], vec![f32::NAN; x.len()]);
        let network = Some(&mut *self.network);
        let (given, to) = (dy.as_ptr(), dx.as_mut_ptr());
        must(
            "elman_backward",
            c!(elman_backward(network, given, ptr::null(), to, none)),
        );
        for row in dx.chunks(input) {
            let index = |column: usize| self.indices.iter().any(|&(index, _)| index == column);
            for (column, value) in row.iter().enumerate() {
                assert!(value.is_finite() && (*value == 0.0 || !index(column)));
            }
        }
    }
}
