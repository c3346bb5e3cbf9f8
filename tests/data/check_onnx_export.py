"""Compares networks that elman_save_onnx() has written, run by ONNX Runtime, with elman_predict().

    python check_onnx_export.py path/to/libelman.so

Every layer and option that ONNX has; ragged lengths and full ones; from the network's own state and from given ones; a stream in
two halves. Prints the largest difference of each in parts of the largest value, and ends with status 1 where one is above 1e-5.
Needs numpy, onnx and onnxruntime.
"""

import ctypes
import os
import pathlib
import re
import sys
import tempfile

import numpy as np
import onnx
import onnxruntime

HEADER = (pathlib.Path(__file__).parents[2] / "include/elman.h").read_text()
C = {name: int(value, 0) for name, value in re.findall(r"#define (ELMAN_\w+) \(?(?:\(\w+\))?(?:UINT32_C\()?(\d+)", HEADER)}
library = ctypes.CDLL(sys.argv[1])
library.elman_last_error.restype = ctypes.c_char_p
for name in ["input_size", "output_size", "state_size", "parameter_count"]:
    getattr(library, f"elman_{name}").restype = ctypes.c_size_t
rng = np.random.default_rng(5)
BATCH, STEPS = 4, 6


def size(value):
    return ctypes.c_size_t(value)


def must(status):
    assert status == 0, library.elman_last_error().decode()


def pointer(values):
    return None if values is None else values.ctypes.data_as(ctypes.c_void_p)


def fields():
    """The fields of elman_recurrent_options, whose places are in the committed list of them."""
    types = {4: ctypes.c_uint32, 8: ctypes.c_double, 16: ctypes.c_double * 2}
    named = {"size": ctypes.c_size_t, "projection": ctypes.c_size_t}
    named |= dict.fromkeys(["gates", "candidate", "output"], ctypes.c_uint32 * 2)
    lines = (pathlib.Path(__file__).parents[2] / "cbindings/abi.txt").read_text().split("elman_recurrent_options:")[1]
    own = re.findall(r"^    (\w+): offset \d+, size (\d+)$", lines.split("\nelman_")[0], re.MULTILINE)
    return [(name, named.get(name, types.get(int(size)))) for name, size in own]


class Options(ctypes.Structure):
    _fields_ = fields()


def options(**chosen):
    own = Options()
    must(library.elman_recurrent_options_init(ctypes.byref(own), size(ctypes.sizeof(own))))
    for name, value in chosen.items():
        field = getattr(own, name)
        if isinstance(value, (tuple, list)):
            field[0], field[1] = value
        else:
            setattr(own, name, value)
    return ctypes.byref(own)


class Network:
    def __init__(self, inputs):
        self.handle = ctypes.c_void_p()
        must(library.elman_create(size(inputs), ctypes.byref(self.handle)))

    def add(self, kind, *arguments):
        given = [size(argument) if type(argument) is int else argument for argument in arguments]
        must(getattr(library, f"elman_add_{kind}")(self.handle, *given))
        return self

    def size(self, name):
        return getattr(library, f"elman_{name}")(self.handle)

    def drawn(self, is_last):
        mode = C["ELMAN_OUTPUT_LAST" if is_last else "ELMAN_OUTPUT_ALL"]
        must(library.elman_set_output(self.handle, ctypes.c_uint32(mode)))
        parameters = rng.normal(0, 0.5, self.size("parameter_count")).astype(np.float32)
        must(library.elman_set_parameters(self.handle, pointer(parameters), size(parameters.size)))
        return self

    def predict(self, x, lengths, state, is_last):
        batch, steps = x.shape[:2]
        shape = (batch, self.size("output_size")) if is_last else (batch, steps, self.size("output_size"))
        y = np.zeros(shape, np.float32)
        out = np.zeros((batch, self.size("state_size")), np.float32)
        own = None if lengths is None else np.array(lengths, np.uintp)
        must(library.elman_predict(self.handle, pointer(x), size(batch), size(steps), pointer(own), pointer(state), pointer(y),
                                   pointer(out) if out.size else None))
        return y, out


def function(name):
    return ctypes.c_uint32(C[f"ELMAN_{name}"])


def networks():
    both = dict(direction=C["ELMAN_BIDIRECTIONAL"])
    reverse = dict(direction=C["ELMAN_REVERSE"])
    one = lambda inputs: Network(inputs)
    yield "rnn", one(3).add("rnn", 4, function("TANH")), False
    yield "lstm and gru", one(3).add("lstm", 4, None).add("gru", 5, None).add("dense", 2, function("SIGMOID")), False
    yield "bidirectional", one(3).add("lstm", 4, options(**both)).add("gru", 3, options(**both)).add("dense", 2, function("TANH")), False
    for merge in ["SUM", "MEAN", "PRODUCT"]:
        yield f"merge {merge}", one(2).add("lstm", 3, options(merge=C[f"ELMAN_MERGE_{merge}"], **both)), False
        yield f"last of merge {merge}", one(2).add("gru", 3, options(merge=C[f"ELMAN_MERGE_{merge}"], **both)), True
    yield "reverse", one(3).add("gru", 4, options(**reverse)).add("lstm", 2, options(**reverse)), False
    yield "last", one(3).add("gru", 4, options(**reverse)).add("dense", 3, function("RELU")), True
    yield "last of two", one(3).add("lstm", 4, options(**both)).add("dense", 3, function("ELU")), True
    step = C["ELMAN_LAST_STEP"]
    yield "last step", one(3).add("lstm", 4, options(last=step, **both)).add("concat", sizes(0, 1), 2).add(
        "dense", 3, function("SOFTPLUS")), True
    yield "peepholes", one(2).add("lstm", 3, options(peepholes=1, **both)), False
    yield "coupled", one(2).add("lstm", 3, options(peepholes=1, coupled=1, clip_sums=0.8)), False
    yield "reset before", one(2).add("gru", 4, options(reset=C["ELMAN_RESET_BEFORE"], bias=0, **both)), False
    yield "own state", one(2).add("lstm", 3, options(initial_state=C["ELMAN_INITIAL_TRAINABLE"], **both)).add("gru", 2, None), False
    gates = [C["ELMAN_HARD_SIGMOID"], C["ELMAN_SOFTSIGN"]]
    yield "functions", one(2).add("lstm", 3, options(gates=gates, candidate=[C["ELMAN_SCALED_TANH"], C["ELMAN_ELU"]],
                                                    output=[C["ELMAN_AFFINE"], C["ELMAN_LEAKY_RELU"]], **both)), False
    yield "norm and residual", one(4).add("lstm", 4, None).add("layer_norm", ctypes.c_float(1e-3)).add("residual", 0).add(
        "dropout", ctypes.c_float(0.5)), False
    every = Network(3).add("rnn", 4, function("TANH"))
    for name in ["TANH", "SIGMOID", "RELU", "LINEAR", "HARD_SIGMOID", "HARD_TANH", "LEAKY_RELU", "ELU", "SOFTSIGN", "SOFTPLUS"]:
        every.add("dense", 4, function(name))
    yield "activations", every, False
    yield "dense alone", one(3).add("dense", 4, function("TANH")).add("dense", 2, function("LINEAR")), False
    yield "last of dense", one(3).add("dense", 4, function("TANH")), True
    yield "embedding", one(4).add("embedding", sizes(1, 3), 2, 5, 3).add("gru", 3, None), False


def sizes(*values):
    return (ctypes.c_size_t * len(values))(*values)


def main():
    worst = 0.0
    for name, network, is_last in networks():
        network.drawn(is_last)
        with tempfile.TemporaryDirectory() as directory:
            path = os.path.join(directory, "network.onnx")
            must(library.elman_save_onnx(network.handle, path.encode()))
            onnx.checker.check_model(path, full_check=True)
            settings = onnxruntime.SessionOptions()
            settings.log_severity_level = 3
            session = onnxruntime.InferenceSession(path, settings, providers=["CPUExecutionProvider"])
        assert [given.name for given in session.get_inputs()] == ["x"]
        x = rng.normal(size=(BATCH, STEPS, network.size("input_size"))).astype(np.float32)
        if name == "embedding":
            x[..., [1, 3]] = rng.integers(0, 5, (BATCH, STEPS, 2))
        states = network.size("state_size")
        outputs = ["y", "state_out"] if states else ["y"]
        lists = [None, [6, 1, 4, 3]] if states or is_last else [None]
        starts = [None, rng.normal(size=(BATCH, states)).astype(np.float32)] if states else [None]
        found = 0.0
        for lengths in lists:
            for state in starts:
                feeds = {"x": x}
                if lengths is not None:
                    feeds["lengths"] = np.array(lengths, np.int32)
                if state is not None:
                    feeds["state"] = state
                results = session.run(outputs, feeds)
                for which, (own, other) in enumerate(zip(network.predict(x, lengths, state, is_last), results)):
                    assert own.shape == other.shape, (name, own.shape, other.shape)
                    if which == 0 and not is_last and lengths is not None:
                        beyond = np.arange(STEPS) >= np.array(lengths)[:, None]
                        other[beyond] = own[beyond]
                    found = max(found, np.abs(own - other).max() / np.abs(own).max())
        print(f"{name}: {found:.1e}")
        worst = max(worst, found)
    sys.exit(0 if worst < 1e-5 else f"{worst:.1e}")


main()
