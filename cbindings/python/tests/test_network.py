"""Networks as the C calls have them: arrays of all kinds, layers, training, threads, files."""

import copy
import gc
import pickle
import signal
import threading
import time

import numpy as np
import pytest

import elman


def network(output="last", **options):
    return elman.Network(3, output=output, seed=1).add_gru(5, **options).add_dense(2)


def batch(random, batch=4, steps=6):
    return random.standard_normal((batch, steps, 3)).astype(np.float32)


# Arrays


def test_arrays_of_all_kinds_give_the_same_numbers(random):
    net, x = network(), batch(random)
    expected = net.predict(x)
    assert expected.dtype == np.float32 and expected.shape == (4, 2)
    others = {
        "float64": x.astype(np.float64),
        "big endian": x.astype(">f4"),
        "list": x.tolist(),
        "fortran": np.asfortranarray(x),
        "strided": np.repeat(x, 2, axis=1)[:, ::2],
        "reversed": x[::-1].copy()[::-1],
        "unaligned": np.frombuffer(b"0" + x.tobytes(), np.uint8)[1:].view(np.float32).reshape(x.shape),
    }
    for name, other in others.items():
        assert np.array_equal(net.predict(other), expected), name
    readonly = x.copy()
    readonly.flags.writeable = False
    assert np.array_equal(net.predict(readonly), expected)
    whole = np.array([[[1, 0, 2]]])
    assert np.array_equal(net.predict(whole), net.predict(whole.astype(np.float32)))
    half = x.astype(np.float16)
    assert np.array_equal(net.predict(half), net.predict(half.astype(np.float32)))


def test_float32_arrays_are_not_copied(random):
    from elman._arrays import floats

    x = batch(random)
    assert floats(x, "x") is x
    assert np.shares_memory(floats(x[1:3], "x"), x)


@pytest.mark.parametrize(
    ("x", "kind", "message"),
    [
        (np.zeros((2, 3, 3), complex), TypeError, "x has the dtype complex128; expected real numbers"),
        ([[["a"]]], TypeError, "x has the dtype <U1"),
        ([[[None]]], TypeError, "x has the dtype object"),
        (np.zeros((2, 3)), ValueError, r"x has the shape \[2, 3\]; expected \[batch, steps, 3\]"),
        (np.zeros((2, 3, 4)), ValueError, r"x has the shape \[2, 3, 4\]; expected \[batch, steps, 3\]"),
        ([[[1.0, 2, 3]], [[1.0, 2, 3]] * 2], ValueError, r"x is no array .* elman.pad\(\) makes one"),
        (np.zeros((0, 3, 3)), ValueError, "batch"),
        (np.zeros((2, 0, 3)), ValueError, "steps"),
        (np.full((1, 1, 3), 1e300), ValueError, r"x\[0, 0, 0\] is 1e\+300, which is beyond float32"),
    ],
)
def test_wrong_inputs_are_errors(x, kind, message):
    with pytest.raises(kind, match=message):
        network().predict(x)


@pytest.mark.parametrize(
    ("lengths", "kind", "message"),
    [
        ([1, 2, 3], ValueError, r"lengths has the shape \[3\]; expected \[4\]"),
        ([1, 2, 3, 7], ValueError, "lengths"),
        ([1, 2, 3, -1], ValueError, r"lengths\[3\] is -1; expected at least 0"),
        ([1.0, 2, 3, 4], TypeError, "lengths has the dtype float64; expected integers"),
    ],
)
def test_wrong_lengths_are_errors(random, lengths, kind, message):
    with pytest.raises(kind, match=message):
        network().predict(batch(random), lengths)


def test_ragged_nan_and_empty_sequences(random):
    net, x = network("all"), batch(random)
    y = net.predict(x, [6, 2, 0, 4])
    assert np.array_equal(y[1, :2], net.predict(x[1:2, :2])[0])
    assert not y[1, 2:].any() and not y[2].any()
    broken = x.copy()
    broken[1, 0] = np.nan
    assert np.array_equal(net.predict(broken)[2], net.predict(x)[2]), "NaN reaches its own row alone"
    assert np.isnan(net.predict(broken)[1]).all()


def test_out_is_written_in_place(random):
    net, x = network(), batch(random)
    out = np.empty((4, 2), np.float32)
    assert net.predict(x, out=out) is out
    assert np.array_equal(out, net.predict(x))
    for wrong, kind in [
        (np.empty((4, 2)), TypeError),
        (np.empty((4, 3), np.float32), ValueError),
        (np.empty((2, 4), np.float32).T, ValueError),
        ([[0.0] * 2] * 4, TypeError),
    ]:
        with pytest.raises(kind, match="out"):
            net.predict(x, out=wrong)
    same = np.zeros((1, 1, 3), np.float32)
    one = elman.Network(3, output="all").add_rnn(3)
    with pytest.raises(ValueError, match="overlap"):
        one.predict(same, out=same)


def test_state_goes_on(random):
    net, x = network("all"), batch(random)
    whole, end = net.predict(x, return_state=True)
    first, middle = net.predict(x[:, :2], return_state=True)
    second, last = net.predict(x[:, 2:], state=middle, return_state=True)
    assert np.array_equal(np.concatenate([first, second], axis=1), whole)
    assert np.array_equal(last, end)
    with pytest.raises(ValueError, match="state has the shape"):
        net.predict(x, state=middle[:2])


def test_time_major_gives_the_same_numbers(random):
    net, x = network("all"), batch(random)
    expected = net.predict(x, [6, 2, 3, 4])
    net.time_major = True
    assert np.array_equal(net.predict(x.transpose(1, 0, 2), [6, 2, 3, 4]), expected.transpose(1, 0, 2))
    assert net.copy().time_major and pickle.loads(pickle.dumps(net)).time_major


# Layers


def test_layers_tell_what_they_were_added_with():
    net = elman.Network(3, output="all")
    net.add_embedding([1], 7, 4).add_layer_norm(1e-3)
    net.add_lstm(5, direction="bidirectional", merge="sum", peepholes=True, forget_bias=1.0, gates=("hard_sigmoid", 0.25, 0.5))
    net.add_dropout(0.25).add_concat([0, 4]).add_dense(8, "relu").add_residual(5).add_activation(("leaky_relu", 0.2))
    net.set_trainable(0, False)
    layers = net.layers
    kinds = ["embedding", "norm", "lstm", "dropout", "concat", "dense", "residual", "activation"]
    assert [layer.kind for layer in layers] == kinds
    assert layers[0].numbers == (1,) and layers[0].classes == 7 and not layers[0].trainable
    options = layers[2].options
    assert options["merge"] == "sum" and options["peepholes"] is True and options["forget_bias"] == 1
    assert options["gates"][1] == elman.Activation("hard_sigmoid", 0.25, 0.5)
    assert layers[4].numbers == (0, 4)
    assert layers[7].activation.name == "leaky_relu" and layers[7].activation.alpha == pytest.approx(0.2)
    assert net.parameter_count == sum(layer.parameter_count for layer in layers) == len(net.parameters)
    assert "lstm" in repr(net) and "frozen" in repr(net)
    again = elman.Network(6).add_lstm(5, **options)
    assert again.layers[0].options == options


def test_activations_have_the_defaults_of_the_header():
    for name, alpha, beta in [("hard_sigmoid", 0.2, 0.5), ("leaky_relu", 0.01, 0), ("elu", 1, 0), ("scaled_tanh", 1, 1)]:
        activation = elman.Network(1).add_activation(name).layers[0].activation
        assert activation.alpha == pytest.approx(alpha) and activation.beta == pytest.approx(beta), name


def test_tensors_lie_where_they_say():
    net = elman.Network(2).add_lstm(3)
    tensors = {tensor.name: tensor for tensor in net.layers[0].tensors}
    assert tensors["W_x"].of(net.parameters).shape == (2, 12) and tensors["b"].of(net.parameters).shape == (12,)
    values = np.arange(net.parameter_count, dtype=np.float32)
    net.parameters = values
    assert tensors["W_h"].of(net.parameters)[0, 0] == tensors["W_h"].offset
    with pytest.raises(ValueError, match="parameters"):
        net.parameters = values[1:]


def test_standardization_and_class_names():
    net = network()
    net.set_standardization([1, 2, 3], [1, 2, 4])
    assert net.standardization.deviation.tolist() == [1, 2, 4]
    with pytest.raises(ValueError, match="deviation is NULL"):
        net.set_standardization([1, 2, 3], None)
    net.set_standardization(None, None)
    assert not net.standardization.mean.any()
    net.class_names = ["no", "já"]
    assert elman.Network.from_bytes(net.to_bytes()).class_names == ["no", "já"]
    with pytest.raises(ValueError):
        net.class_names = ["one"]
    net.class_names = None
    assert net.class_names == []


# Training


def two_classes(random, count=32):
    labels = random.integers(0, 2, count)
    x = random.standard_normal((count, 5, 3)) + labels[:, None, None]
    return elman.Dataset.with_classes(x, labels, 2)


def test_fit_learns_and_tells_how(random):
    dataset, net = two_classes(random), network()
    net.standardize(dataset)
    history = net.fit(dataset, elman.Adam(0.01), validation=two_classes(random), epochs=40, patience=10, clip="norm")
    assert history["loss"][-1] < history["loss"][0] and len(history["validation_accuracy"]) == len(history["loss"])
    assert 1 <= history.best_epoch <= len(history["loss"]) and net.epochs == len(history["loss"])
    evaluation = net.evaluate(dataset)
    assert evaluation.accuracy > 0.9 and evaluation.confusion.sum() == 32
    assert (net.predict_dataset(dataset).argmax(axis=1) == dataset.labels).mean() == evaluation.accuracy


def test_fit_gives_the_best_mean_of_the_parameters(random):
    dataset, held_out = two_classes(random), two_classes(random)
    for validation in (held_out, None):
        net, averaged = network(), network()
        mean, means = net.parameters.astype(np.float64), []

        def take_in(progress, means=means):
            nonlocal mean
            assert progress.average_epoch == 0
            mean = mean + 9 / (8 + progress.epoch) * (progress.network.parameters - mean)
            means.append(mean.astype(np.float32))

        options = {"validation": validation, "epochs": 30, "patience": 8}
        history = net.fit(dataset, elman.Adam(0.05), on_epoch=take_in, **options)
        assert history.average_epoch == 0 and "average_loss" not in history

        epochs = []
        with_mean = averaged.fit(
            dataset, elman.Adam(0.05), average=True, on_epoch=lambda progress: epochs.append(progress.average_epoch), **options
        )
        assert {name: with_mean[name] for name in history} == history and with_mean.best_epoch == history.best_epoch
        best = epochs[-1]
        assert np.array_equal(averaged.parameters, means[best - 1]) and with_mean.average_epoch == best
        if validation is None:
            assert best == len(means) and "average_loss" not in with_mean
        else:
            assert best == np.argmin(with_mean["average_loss"]) + 1 < len(means)
            found = averaged.evaluate(held_out)
            assert (with_mean["average_loss"][best - 1], with_mean["average_accuracy"][best - 1]) == (
                found.loss,
                found.accuracy,
            )


def test_fit_of_numbers_takes_the_squared_error(random):
    x = random.standard_normal((16, 4, 3))
    dataset = elman.Dataset.with_values(x, x.sum(axis=(1, 2)))
    net = elman.Network(3).add_rnn(4).add_dense(1)
    history = net.fit(dataset, elman.SGD(0.01, 0.9), epochs=3)
    assert "accuracy" not in history and net.evaluate(dataset).confusion is None
    loss, _ = elman.mean_squared_error(net.predict(x)[:, 0], x.sum(axis=(1, 2)))
    assert loss == pytest.approx(net.evaluate(dataset).loss, rel=1e-5)


def test_training_is_the_same_in_pieces_and_on_threads(random):
    dataset = two_classes(random)
    whole = network()
    whole.fit(dataset, elman.Adam(), epochs=4)
    pieces, adam = network(), elman.Adam()
    pieces.threads = 2
    pieces.set_parallel_threshold(0)
    for _ in range(4):
        pieces.fit(dataset, adam, epochs=1)
    assert np.array_equal(whole.parameters, pieces.parameters)


def test_ones_own_loop_is_fit(random):
    dataset = two_classes(random, 16)
    x, lengths = elman.pad(dataset.sequences())
    net, adam = network(), elman.Adam(0.01)
    for _ in range(3):
        y = net.forward(x, lengths)
        loss, dy = elman.softmax_cross_entropy(y, dataset.labels)
        net.backward(dy)
        net.update(adam)
    other = network()
    history = other.fit(dataset, elman.Adam(0.01), epochs=3, shuffle=False)
    assert np.array_equal(net.parameters, other.parameters) and loss == pytest.approx(history["loss"][-1], rel=1e-6)


def test_gradients_are_right_and_in_place(random):
    net, x = network("all"), batch(random, 2, 3)
    dy = random.standard_normal((2, 3, 2))
    assert net.gradient_check(x, [3, 1], dy=dy) < 1e-6
    net.forward(x, [3, 1])
    dx, dstate = net.backward(dy, inputs=True, state=True)
    assert dx.shape == x.shape and dstate.shape == (2, 5)
    gradients = net.gradients
    assert gradients.any() and np.shares_memory(gradients, net.gradients)
    norm = net.clip_gradients_by_norm(1e-3)
    assert norm > 1e-3 and np.linalg.norm(gradients) == pytest.approx(1e-3, rel=1e-4)
    gradients[:] = 0
    before = net.parameters
    net.update(elman.SGD(1.0))
    assert np.array_equal(net.parameters, before)
    with pytest.raises(ValueError, match="dy has the shape"):
        net.backward(dy[:1])


def test_gradients_hold_the_network_and_its_layers():
    net = network()
    part = net.gradients[2:4]
    with pytest.raises(BufferError, match="gradients"):
        net.add_dense(1)
    held, net = net, None
    assert held is not None
    del held
    gc.collect()
    part[:] = 1
    assert part.tolist() == [1, 1]
    other = network()
    other.gradients[:] = 1
    gc.collect()
    other.add_dense(1)


def test_callbacks_change_stop_and_raise(random):
    dataset = two_classes(random)
    seen = []

    def watch(progress):
        seen.append((progress.epoch, progress.network.evaluate(dataset).accuracy))
        progress.learning_rate = 0.5
        return progress.epoch == 3

    net, sgd = network(), elman.SGD(0.01)
    assert len(net.fit(dataset, sgd, on_epoch=watch, epochs=9)["loss"]) == 3
    assert [epoch for epoch, _ in seen] == [1, 2, 3] and sgd.learning_rate == 0.5

    def fail(_progress):
        raise KeyError("mine")

    for name in ("on_epoch", "on_batch"):
        with pytest.raises(KeyError, match="mine"):
            net.fit(dataset, sgd, **{name: fail})
    kept = []
    net.fit(dataset, sgd, on_epoch=lambda progress: kept.append(progress.network), epochs=1)
    with pytest.raises(RuntimeError, match="the callback has returned"):
        kept[0].predict(np.zeros((1, 1, 3)))
    with pytest.raises(RuntimeError, match="in use by the call that this callback belongs to"):
        net.fit(dataset, sgd, on_epoch=lambda _progress: net.predict(np.zeros((1, 1, 3))))
    with pytest.raises(RuntimeError, match="can't be changed"):
        net.fit(dataset, sgd, on_epoch=lambda progress: progress.network.add_dense(1))


def test_a_batch_callback_has_the_gradients(random):
    dataset, net = two_classes(random), network()
    before, kept = net.parameters, []

    def zero(progress):
        assert progress.gradients.any() and progress.weight == progress.sequences
        progress.gradients[:] = 0
        kept.append(progress.gradients)

    net.fit(dataset, elman.SGD(1.0), on_batch=zero, epochs=2)
    assert np.array_equal(net.parameters, before) and len(kept) == 4
    assert np.shares_memory(kept[0], net.gradients), "the array is over the network's own"

    def replace(progress):
        progress.gradients = np.ones(len(progress.gradients))

    net.fit(dataset, elman.SGD(1.0), on_batch=replace, epochs=1)
    assert np.allclose(net.parameters, before - 2)


def test_another_thread_cancels(random):
    dataset, net, cancellation = two_classes(random), network(), elman.Cancellation()
    timer = threading.Timer(0.2, cancellation.set)
    timer.start()
    with pytest.raises(elman.CancelledError):
        net.fit(dataset, elman.Adam(), epochs=10**7, cancel=cancellation)
    cancellation.set(False)
    net.fit(dataset, elman.Adam(), epochs=1, cancel=cancellation)


def test_ctrl_c_ends_training(random, ctrl_c):
    net = network()
    timer = threading.Timer(0.2, lambda: signal.raise_signal(signal.SIGINT))
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        net.fit(two_classes(random), elman.Adam(), epochs=10**7)
    net.predict(np.zeros((1, 1, 3)))


def test_wrong_training_is_an_error(random):
    dataset, net = two_classes(random), network()
    with pytest.raises(TypeError, match="no option 'epoch'"):
        net.fit(dataset, elman.Adam(), epoch=1)
    with pytest.raises(ValueError, match="loss is 'mse'; expected one of"):
        net.fit(dataset, elman.Adam(), loss="mse")
    with pytest.raises(ValueError, match="class_weights has the shape"):
        net.fit(dataset, elman.Adam(), class_weights=[1, 2, 3])
    with pytest.raises(ValueError):
        elman.Network(2).add_rnn(2).fit(dataset, elman.Adam())
    with pytest.raises(ValueError, match="learning_rate"):
        elman.Adam(-1)
    exploding = elman.Network(3).add_rnn(4, "relu").add_dense(2)
    with pytest.raises(ArithmeticError):
        exploding.fit(dataset, elman.SGD(1e30), epochs=5)


# Threads


def test_calls_of_threads_run_at_the_same_time(random):
    """The GIL is released: a thread of Python's goes on while another one is in a call."""
    net = elman.Network(64, output="all").add_lstm(256)
    x = random.standard_normal((16, 2000, 64)).astype(np.float32)
    ticks, done = [], threading.Event()

    def count():
        while not done.is_set():
            ticks.append(time.perf_counter())
            time.sleep(0.001)

    thread = threading.Thread(target=count)
    thread.start()
    begin = time.perf_counter()
    net.predict(x)
    end = time.perf_counter()
    done.set()
    thread.join()
    inside = [tick for tick in ticks if begin + 0.01 < tick < end - 0.01]
    assert end - begin > 0.05 and len(inside) >= 3


def test_threads_share_a_network_and_wait_for_a_change(random):
    dataset, net, x = two_classes(random), network(), batch(random)
    expected = [net.predict(x)]
    failures, stop = [], threading.Event()

    def run():
        while not stop.is_set():
            y = net.predict(x)
            if not any(np.array_equal(y, one) for one in list(expected)):
                failures.append(y)

    def allowed(progress):
        expected.append(progress.network.predict(x))

    threads = [threading.Thread(target=run) for _ in range(3)]
    for thread in threads:
        thread.start()
    for _ in range(10):
        net.fit(dataset, elman.Adam(), epochs=1, on_epoch=allowed)
    stop.set()
    for thread in threads:
        thread.join()
    assert not failures


def test_a_read_waits_for_the_end_of_a_change(random):
    net, x, waited = network(), batch(random), []

    def start(_progress):
        if not waited:
            thread = threading.Thread(target=lambda: net.predict(x))
            thread.start()
            thread.join(0.1)
            waited.append((thread, thread.is_alive()))

    net.fit(two_classes(random), elman.Adam(), epochs=2, on_epoch=start)
    thread, alive = waited[0]
    thread.join(10)
    assert alive and not thread.is_alive()


def test_a_change_waits_for_the_end_of_a_read():
    net = network()
    thread = threading.Thread(target=lambda: net.initialize(seed=2))
    with net._guard.shared:
        thread.start()
        thread.join(0.1)
        assert thread.is_alive()
    thread.join(10)
    assert not thread.is_alive()


def test_ctrl_c_of_a_change_that_waits_lets_reads_go_on(ctrl_c):
    net, holding, release = network(), threading.Event(), threading.Event()

    def hold():
        with net._guard.shared:
            holding.set()
            release.wait(10)

    holder, reader = threading.Thread(target=hold), threading.Thread(target=lambda: net.parameter_count, daemon=True)
    holder.start()
    assert holding.wait(10)
    threading.Timer(0.1, reader.start).start()
    threading.Timer(0.4, signal.pthread_kill, [threading.main_thread().ident, signal.SIGINT]).start()
    with pytest.raises(KeyboardInterrupt):
        net.initialize(seed=2)
    release.set()
    holder.join(10)
    reader.join(5)
    assert not reader.is_alive()


# Files and copies


def test_files_and_copies(tmp_path, random):
    net, x = network(), batch(random)
    net.save(tmp_path / "network.safetensors")
    others = [
        elman.Network.load(tmp_path / "network.safetensors"),
        elman.Network.load(str(tmp_path / "network.safetensors")),
        elman.Network.import_file(tmp_path / "network.safetensors"),
        elman.Network.from_bytes(net.to_bytes()),
        pickle.loads(pickle.dumps(net)),
        copy.deepcopy(net),
        net.copy(),
    ]
    for other in others:
        assert np.array_equal(other.predict(x), net.predict(x))
    net.save_state_dict(tmp_path / "state.safetensors", ["gru", "head"])
    state = elman.Network.import_file(tmp_path / "state.safetensors", '{"output": "last"}')
    assert np.array_equal(state.parameters, net.parameters)
    with pytest.raises(ValueError):
        net.save_state_dict(tmp_path / "state.safetensors", ["gru"])
    net.save_onnx(tmp_path / "network.onnx")
    graph = elman.Network.import_file(tmp_path / "network.onnx")
    np.testing.assert_allclose(graph.predict(x), net.predict(x), rtol=0, atol=1e-6)


def test_training_goes_on_from_files(tmp_path, random):
    dataset = two_classes(random)
    whole, adam = network(), elman.Adam()
    whole.fit(dataset, adam, epochs=2)
    whole.save(tmp_path / "network")
    adam.save(tmp_path / "adam")
    again, other = elman.Network.load(tmp_path / "network"), elman.Optimizer.load(tmp_path / "adam")
    whole.fit(dataset, adam, epochs=2)
    again.fit(dataset, other, epochs=2)
    assert np.array_equal(whole.parameters, again.parameters)


# Streams


def test_a_session_gives_the_bits_of_the_whole(random):
    net, x = network("all"), batch(random)
    whole = net.predict(x)
    session = net.session()
    steps = [session.step(step) for step in x[0, :3]]
    fork = session.copy()
    block = session.run(x[0, 3:])
    assert np.array_equal(np.concatenate([steps, block]), whole[0])
    assert np.array_equal(fork.run(x[0, 3:]), block)
    many = net.session(4)
    assert np.array_equal(many.run(x.transpose(1, 0, 2)), whole.transpose(1, 0, 2))
    state = many.state
    assert state.shape == (4, 5) and np.array_equal(many.get_stream_state(2), state[2])
    many.reset(1)
    assert not many.get_stream_state(1).any()
    many.set_stream_state(1, state[1])
    assert np.array_equal(many.state, state)
    many.reset()
    many.state = state
    assert many.nbytes > 0
    with pytest.raises(ValueError, match="x has the shape"):
        session.step(np.zeros(4))
    with pytest.raises(ValueError):
        many.reset(4)
    with pytest.raises(ValueError, match="ahead"):
        network(direction="bidirectional").session()


def test_a_session_runs_in_place(random):
    net = elman.Network(2).add_rnn(2)
    x = random.standard_normal((9, 2)).astype(np.float32)
    expected = net.session().run(x)
    assert net.session().run(x, out=x) is x
    assert np.array_equal(x, expected)


# Data sets and losses


def test_datasets_of_all_forms(random):
    x = random.standard_normal((3, 4, 2)).astype(np.float32)
    dataset = elman.Dataset.with_classes(x, [[0, 1, 2, -1]] * 3, per_step=True, lengths=[4, 2, 1])
    assert dataset.lengths == [4, 2, 1] and dataset.total_steps == 7 and dataset.targets == "step_classes"
    assert dataset.labels.tolist() == [0, 1, 2, -1, 0, 1, 0] and dataset.class_names == ["0", "1", "2"]
    assert np.array_equal(dataset[1], x[1, :2]) and np.array_equal(dataset[-1], x[2, :1])
    with pytest.raises(ValueError, match="read-only"):
        dataset[0][0] = 1
    values = elman.Dataset.with_values([x[0], x[1, :2]], [np.ones((4, 2)), np.zeros((2, 2))], per_step=True)
    assert values.values.shape == (6, 2) and values.values[3].tolist() == [1, 1]
    sequences = elman.as_sequences(x)
    assert elman.Dataset(sequences, lengths=[4, 2, 1]).lengths == [4, 2, 1], "lengths count for Sequences too"
    assert np.array_equal(sequences[-1], x[2]) and len(list(sequences)) == 3
    with pytest.raises(IndexError):
        sequences[-4]
    view = elman.Dataset(x)[0]
    gc.collect()
    assert np.array_equal(view, x[0])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: elman.Dataset.with_classes(np.zeros((2, 3, 1)), [0]), r"labels has the shape \[1\]; expected \[2\]"),
        (lambda: elman.Dataset.with_classes(np.zeros((2, 3, 1)), [0, 5], 2), "labels"),
        (lambda: elman.Dataset.with_classes(np.zeros((2, 3, 1)), [0, -2]), r"labels\[1\] is -2"),
        (lambda: elman.Dataset.with_classes([[1.0, 2], [1]], [[0, 1], [0, 1]], per_step=True), r"labels\[1\] has 2 steps"),
        (lambda: elman.Dataset.with_values(np.zeros((2, 3, 1)), np.zeros((3, 1))), "values has the shape"),
        (lambda: elman.Dataset([]), "0 sequences"),
        (lambda: elman.Dataset([[[1.0]], []]), "length"),
        (lambda: elman.Dataset([np.zeros((2, 2)), np.zeros((2, 3))]), "sequence 1 has 3 features a step, sequence 0 has 2"),
        (lambda: elman.Dataset([[1.0, np.nan]]), "x"),
        (lambda: elman.Dataset([1.0, 2.0]), "one sequence of numbers"),
        (lambda: elman.Dataset(np.zeros((2, 3, 1)), lengths=[4, 1]), "lengths"),
    ],
)
def test_wrong_datasets_are_errors(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_losses_are_those_of_numpy(random):
    z, labels = random.standard_normal((5, 3)), np.array([0, 2, -1, 1, 1])
    p = elman.softmax(z)
    assert np.allclose(p, np.exp(z) / np.exp(z).sum(1, keepdims=True), atol=1e-6)
    loss, gradient = elman.softmax_cross_entropy(z, labels)
    rows = labels >= 0
    assert loss == pytest.approx(-np.log(p[rows, labels[rows]]).mean(), rel=1e-5)
    assert not gradient[2].any() and gradient.shape == z.shape
    weighted, _ = elman.softmax_cross_entropy(z, labels, [1, 2, 0])
    weights = np.array([1, 2, 0])[labels[rows]]
    assert weighted == pytest.approx(-(weights * np.log(p[rows, labels[rows]])).sum() / weights.sum(), rel=1e-5)
    padded, _ = elman.softmax_cross_entropy(z[None, :, :], labels[None], lengths=[2])
    assert padded == pytest.approx(elman.softmax_cross_entropy(z[:2], labels[:2])[0])
    t = random.integers(0, 2, (5, 3))
    loss, _ = elman.binary_cross_entropy(z, t)
    assert loss == pytest.approx(np.mean(np.log1p(np.exp(z)) - t * z), rel=1e-5)
    loss, gradient = elman.mean_squared_error(z[None], t[None], [4])
    assert loss == pytest.approx(np.mean((z[:4] - t[:4]) ** 2), rel=1e-5) and not gradient[0, 4].any()
    with pytest.raises(TypeError, match="labels"):
        elman.softmax_cross_entropy(z, labels.astype(float))
    with pytest.raises(ValueError, match="labels"):
        elman.softmax_cross_entropy(z, labels[:4])
    with pytest.raises(ValueError, match="targets"):
        elman.mean_squared_error(z, t[:4])


def test_ctc(random):
    z = random.standard_normal((2, 6, 4))
    workspace = elman.CtcWorkspace()
    loss, gradient = elman.ctc(z, [[1, 1], [3, 2, 1]], [6, 5], workspace=workspace)
    step = np.zeros_like(z)
    step[0, 1, 2] = 1e-2
    numeric = (elman.ctc(z + step, [[1, 1], [3, 2, 1]], [6, 5])[0] - elman.ctc(z - step, [[1, 1], [3, 2, 1]], [6, 5])[0]) / 2e-2
    assert loss > 0 and gradient[0, 1, 2] == pytest.approx(numeric, abs=1e-3)
    path = np.full((1, 5, 3), -5.0)
    path[0, np.arange(5), [1, 1, 0, 1, 2]] = 5
    assert [part.tolist() for part in elman.ctc_greedy_decode(path)] == [[1, 1, 2]]
