//! Calls that bring their message along
//!
//! elman_last_error() answers the thread that made the call. Some hosts do not stay on one: a goroutine, an asynchronous
//! call of Node's, a task of a thread pool may go on on another thread before it asks, and then gets no message, or that
//! of another call. There, elman_call() makes the call and copies its message on the same thread. Where a call and the
//! question for its message are made on one thread (C and C++, Python, a goroutine after runtime.LockOSThread()), or
//! where the status is enough, call the functions themselves.

use std::ffi::c_char;

use crate::around::*;
use crate::border::{Caller, Word, call};
use crate::ctc::*;
use crate::dataset::*;
use crate::file::*;
use crate::gradient_check::*;
use crate::import::*;
use crate::layer::*;
use crate::loss::*;
use crate::network::*;
use crate::optimizer::*;
use crate::parameters::*;
use crate::pass::*;
use crate::recurrent::*;
use crate::run::*;
use crate::session::*;
use crate::status::{self, ELMAN_OK, Failure, Result, Status};
use crate::training::*;

/// Calls the function of that name and, where that fails, gives the message of that very call.
///
///   function      the name of a function of this header that returns an elman_status, or of a _destroy function; ends
///                 with 0
///   arguments     [count], the function's arguments in their order: pointers, size_t, uint32_t and uint64_t by their value,
///                 double by its bits, float by its bits in the low 32 of which the others are 0
///   count         the number of the function's arguments
///   message       receives the message, which ends with 0 and is cut between characters where it does not fit, or an
///                 empty one where the call succeeds, [message_size]; may be NULL
///   message_size  a message is no longer than 1024 bytes, its 0 among them; of 0 bytes nothing is written
///
/// The call is the same as without this function, and asks the same of its arguments; none of them may point into
/// `arguments` or `message`. The status is that of the function, or of a fault of this one, which then calls nothing.
///
///     uint64_t arguments[] = {(uintptr_t)network, 8, ELMAN_TANH};
///     char message[1024];
///     if (elman_call("elman_add_rnn", arguments, 3, message, sizeof message) != ELMAN_OK)
///         puts(message);
///
/// Errors: those of the function; NULL (function, arguments); UNKNOWN_CONSTANT where no such function has the name; LENGTH
/// where it has not `count` arguments; OUT_OF_RANGE where one of them does not fit its type; OVERLAP.
/// Threads: as with the function; any number may call at the same time. Since 0.1.
///
/// # Safety
///
/// - `function` is NULL or ends with 0, and nobody writes to it during the call.
/// - `arguments` is NULL or as large as documented, and nobody writes to it during the call.
/// - `message` is NULL or as large as documented, and nobody else touches it during the call.
/// - The function gets what it asks for: its own safety, and a C caller's handles, which are NULL or alive.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn elman_call(
    function: *const c_char,
    arguments: *const u64,
    count: usize,
    message: *mut c_char,
    message_size: usize,
) -> Status {
    let mut answer = ELMAN_OK;
    let heard = call(|caller| {
        let found = prepared(caller, function, arguments, count);
        let message = caller.write_optional("message", message, &[message_size])?;
        answer = found
            .and_then(|(entry, words)| (entry.run)(words))
            .unwrap_or_else(|failure| status::record(&failure));
        if let Some(message) = message {
            status::copy_message(answer, message);
        }
        Ok(())
    });
    match heard {
        ELMAN_OK => answer,
        fault => fault,
    }
}

/// A function that can be called by its name.
struct Entry {
    name: &'static str,
    arguments: &'static [&'static str],
    /// Calls it with as many words as it has arguments. It asks for what the function itself asks for.
    run: unsafe fn(&[u64]) -> Result<Status>,
}

/// The function that is meant, and its arguments.
///
/// # Safety
///
/// As with [`Caller::read`] and [`Caller::string`].
unsafe fn prepared<'call>(
    caller: &mut Caller<'call>,
    function: *const c_char,
    arguments: *const u64,
    count: usize,
) -> Result<(&'static Entry, &'call [u64])> {
    let name = caller.string("function", function)?.to_bytes();
    let place = ENTRIES.binary_search_by(|entry| entry.name.as_bytes().cmp(name));
    let Ok(place) = place else {
        return Err(Failure::unknown_function(name));
    };
    let entry = &ENTRIES[place];
    if count != entry.arguments.len() {
        return Err(Failure::ArgumentCount {
            count,
            function: entry.name,
            arguments: entry.arguments,
        });
    }
    Ok((entry, caller.read("arguments", arguments, &[count])?))
}

/// Makes the table: a line for each function with its arguments.
macro_rules! entries {
    ($($function:ident($($argument:ident),*);)*) => {
        &[$(Entry {
            name: stringify!($function),
            arguments: &[$(stringify!($argument)),*],
            run: {
                unsafe fn run(words: &[u64]) -> Result<Status> {
                    let &[$($argument),*] = words else {
                        unreachable!("the number of arguments has been compared");
                    };
                    $(let $argument = Word::from_word(stringify!($argument), $argument)?;)*
                    Ok($function($($argument),*).status())
                }
                run
            },
        }),*]
    };
}

/// Every function that returns a status or destroys an object, in the order of the alphabet.
const ENTRIES: &[Entry] = entries! {
    elman_adagrad_create(learning_rate, epsilon, out);
    elman_adam_create(learning_rate, beta1, beta2, epsilon, weight_decay, out);
    elman_adamw_create(learning_rate, beta1, beta2, epsilon, weight_decay, out);
    elman_add_activation(network, activation, alpha, beta);
    elman_add_concat(network, layers, count);
    elman_add_dense(network, units, activation);
    elman_add_dropout(network, rate);
    elman_add_embedding(network, columns, count, classes, size);
    elman_add_gru(network, units, options);
    elman_add_layer_norm(network, epsilon);
    elman_add_lstm(network, units, options);
    elman_add_recurrent(network, units, activation, options);
    elman_add_residual(network, layer);
    elman_add_rnn(network, units, activation);
    elman_backward(network, dy, dstate_out, dx, dstate_in);
    elman_binary_cross_entropy_with_logits(logits, targets, count, loss, dlogits);
    elman_binary_cross_entropy_with_logits_padded(logits, targets, batch, steps, lengths, size, loss, dlogits);
    elman_cancellation_create(out);
    elman_cancellation_destroy(cancellation);
    elman_cancellation_set(cancellation, cancelled);
    elman_clear_gradients(network);
    elman_clip_gradients_by_norm(network, max_norm, norm);
    elman_clip_gradients_by_value(network, limit);
    elman_clone(network, out);
    elman_create(input_size, out);
    elman_ctc(logits, labels, label_lengths, batch, steps, lengths, classes, options, workspace, loss, dlogits);
    elman_ctc_greedy_decode(logits, batch, steps, lengths, classes, blank, labels, label_lengths);
    elman_ctc_options_init(options, size);
    elman_ctc_workspace_create(out);
    elman_ctc_workspace_destroy(workspace);
    elman_dataset_class_name(dataset, index, name);
    elman_dataset_create(input_size, x, lengths, sequences, out);
    elman_dataset_create_classes(input_size, x, lengths, sequences, labels, classes, per_step, out);
    elman_dataset_create_values(input_size, x, lengths, sequences, values, size, per_step, out);
    elman_dataset_destroy(dataset);
    elman_dataset_get_note(dataset, index, note);
    elman_dataset_labels(dataset, labels, count);
    elman_dataset_read_ts(path, out);
    elman_dataset_read_ts_with(path, options, out);
    elman_dataset_sequence(dataset, index, x, length);
    elman_dataset_values(dataset, values, count);
    elman_destroy(network);
    elman_evaluate(network, dataset, options, loss, accuracy, confusion);
    elman_fit(network, dataset, optimizer, options);
    elman_fit_options_init(options, size);
    elman_forward(network, x, batch, steps, lengths, state_in, y, state_out);
    elman_get_class_name(network, index, name);
    elman_get_layer_info(network, layer, info, size);
    elman_get_layer_numbers(network, layer, numbers, count);
    elman_get_parameters(network, parameters, count);
    elman_get_recurrent_options(network, layer, options, size);
    elman_get_standardization(network, mean, deviation, count);
    elman_get_tensor_info(network, layer, tensor, info, size);
    elman_gradient_check(network, x, batch, steps, lengths, state_in, dy, dstate_out, relative_error);
    elman_gradients(network, values, count);
    elman_import(path, options, out);
    elman_import_memory(bytes, size, options, out);
    elman_import_options_init(options, size);
    elman_initialize(network, scheme, scale, seed);
    elman_load(path, out);
    elman_load_memory(bytes, size, out);
    elman_mean_squared_error(y, targets, count, loss, dy);
    elman_mean_squared_error_padded(y, targets, batch, steps, lengths, size, loss, dy);
    elman_optimizer_destroy(optimizer);
    elman_optimizer_load(path, out);
    elman_optimizer_reset(optimizer);
    elman_optimizer_save(optimizer, path);
    elman_optimizer_set_learning_rate(optimizer, learning_rate);
    elman_predict(network, x, batch, steps, lengths, state_in, y, state_out);
    elman_predict_dataset(network, dataset, batch_size, y);
    elman_recurrent_options_init(options, size);
    elman_rmsprop_create(learning_rate, alpha, epsilon, momentum, out);
    elman_rprop_create(learning_rate, eta_minus, eta_plus, min_step, max_step, out);
    elman_rprop_unbounded_create(learning_rate, eta_minus, eta_plus, out);
    elman_save(network, path);
    elman_save_memory(network, bytes, capacity, size);
    elman_save_onnx(network, path);
    elman_save_state_dict(network, path, modules, count);
    elman_session_clone(session, out);
    elman_session_create(network, out);
    elman_session_create_many(network, streams, out);
    elman_session_destroy(session);
    elman_session_get_state(session, state, count);
    elman_session_get_stream_state(session, stream, state, count);
    elman_session_reset(session);
    elman_session_reset_stream(session, stream);
    elman_session_run(session, x, steps, y);
    elman_session_set_state(session, state, count);
    elman_session_set_stream_state(session, stream, state, count);
    elman_session_step(session, x, y);
    elman_set_class_names(network, names, count);
    elman_set_output(network, mode);
    elman_set_parallel_threshold(network, operations);
    elman_set_parameters(network, parameters, count);
    elman_set_seed(network, seed);
    elman_set_standardization(network, mean, deviation, count);
    elman_set_threads(network, threads);
    elman_set_time_major(network, time_major);
    elman_set_trainable(network, layer, trainable);
    elman_sgd_create(learning_rate, momentum, nesterov, weight_decay, out);
    elman_softmax(logits, rows, classes, probabilities);
    elman_softmax_cross_entropy(logits, labels, rows, classes, loss, dlogits);
    elman_softmax_cross_entropy_padded(logits, labels, batch, steps, lengths, classes, loss, dlogits);
    elman_softmax_cross_entropy_weighted(logits, labels, rows, classes, weights, loss, dlogits);
    elman_softmax_cross_entropy_weighted_padded(logits, labels, batch, steps, lengths, classes, weights, loss, dlogits);
    elman_standardize(network, dataset);
    elman_ts_options_init(options, size);
    elman_update(network, optimizer);
};

/// What a function returns.
trait Answer {
    fn status(self) -> Status;
}

impl Answer for Status {
    fn status(self) -> Status {
        self
    }
}

impl Answer for () {
    fn status(self) -> Status {
        ELMAN_OK
    }
}
