"""Makes ONNX files in import/*.onnx, and what ONNX Runtime gives for them in import_onnx.json.

    python generate_import_onnx.py            # writes the files
    python generate_import_onnx.py --new      # keeps the files that are there, and makes the others
    python generate_import_onnx.py --check    # compares the outputs of the files that are there

Networks of PyTorch by both exporters, and graphs made by hand, over the options of the operators and the ways in which people put
axes in order. All numbers are random. Needs numpy, torch, onnx, onnxruntime and onnxscript.
"""

import io
import json
import pathlib
import sys
import warnings

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

HERE = pathlib.Path(__file__).parent
STEPS, BATCH = 5, 3
CHECK = "--check" in sys.argv
rng = np.random.default_rng(17)
cases = []
torch.set_num_threads(1)


def is_kept(name):
    return CHECK or ("--new" in sys.argv and (HERE / "import" / name).exists())


def drawn(*shape, scale=1.0):
    return np.round(rng.uniform(-scale, scale, shape), 3).astype(np.float32)


def run(model, feeds):
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = settings.inter_op_num_threads = 1
    settings.log_severity_level = 3
    session = onnxruntime.InferenceSession(model, settings, providers=["CPUExecutionProvider"])
    names = {given.name for given in session.get_inputs()}
    return session.run(None, {name: value for name, value in feeds.items() if name in names})


def add(name, model, feeds, order="btf", y_order=None, output=0, lengths=None, x=None, reference=None):
    """A case. `order` and `y_order` say how the axes of the first input and of the output lie: b, t and f, "1" for one of one
    element, d for directions beside f."""
    path = HERE / "import" / name
    if is_kept(name):
        model = path.read_bytes()
    else:
        model = model.SerializeToString() if isinstance(model, onnx.ModelProto) else model
        path.write_bytes(model)
    first = next(iter(feeds.values()))
    y = run(reference or model, feeds)[output]
    x = first if x is None else x
    x = arranged(x, order, "btf")
    y_order = y_order or order
    is_last = "t" not in y_order
    y = arranged(y, y_order, "bdf" if is_last else "btdf")
    y = y.reshape(*y.shape[: 1 if is_last else 2], -1)
    if lengths is not None and not is_last:
        for sequence, length in enumerate(lengths):
            y[sequence, length:] = 0
    assert np.isfinite(y).all() and np.abs(y).max() > 1e-3, name
    cases.append(
        {
            "name": name,
            "inputs": x.shape[-1],
            "outputs": y.shape[-1],
            "batch": x.shape[0],
            "steps": x.shape[1],
            "lengths": lengths,
            "x": [round(float(value), 6) for value in x.ravel()],
            "y": [float(f"{value:.9g}") for value in y.ravel()],
        }
    )


def stripped(model):
    """A model without what only tells people where its nodes come from."""
    for node in model.graph.node:
        del node.metadata_props[:]
        node.doc_string = ""
    for value in [*model.graph.input, *model.graph.output, *model.graph.value_info, *model.graph.initializer]:
        del value.metadata_props[:]
    del model.graph.value_info[:], model.metadata_props[:], model.graph.metadata_props[:], model.functions[:]
    return model.SerializeToString()


def arranged(values, order, wanted):
    """The axes of `values` in the order that is wanted; those that are missing have one element."""
    values = np.asarray(values)
    while "1" in order:
        at = order.index("1")
        assert values.shape[at] == 1
        values, order = values.squeeze(at), order.replace("1", "", 1)
    for axis in wanted:
        if axis not in order:
            values, order = values[..., np.newaxis], order + axis
    return values.transpose([order.index(axis) for axis in wanted])


def torch_case(name, module, shape=(BATCH, STEPS, 3), order="btf", y_order=None, extra=(), dynamo=False, x=None, dynamic=True,
               opset=None, **options):
    """A module of PyTorch, by one of its exporters."""
    torch.manual_seed(len(cases))
    module.eval()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(torch.as_tensor(drawn(*parameter.shape, scale=0.8)))
    x = drawn(*shape, scale=1.5) if x is None else x
    args = tuple(torch.as_tensor(value) for value in (x, *extra))
    buffer = io.BytesIO()
    names = ["x", "h", "c"][: len(args)]
    if not is_kept(name):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if dynamo:
                shapes = None
                if dynamic:
                    dims = {"b": torch.export.Dim("batch"), "t": torch.export.Dim("steps")}
                    own = {axis: dims[label] for axis, label in enumerate(order) if label in dims}
                    shapes = (own, tuple({1: dims["b"]} for _ in extra)) if extra else (own,)
                program = torch.onnx.export(module, args, dynamo=True, input_names=names, dynamic_shapes=shapes,
                                            verbose=False, **({"opset_version": opset} if opset else {}))
                buffer.write(stripped(program.model_proto))
            else:
                own = {axis: {"b": "batch", "t": "steps"}[label] for axis, label in enumerate(order) if label in "bt"}
                axes = {"x": own} | {name: {1: "batch"} for name in names[1:]}
                torch.onnx.export(module, args, buffer, dynamo=False, input_names=names, opset_version=opset or 17,
                                  dynamic_axes=axes if dynamic else None)
    add(name, buffer.getvalue(), dict(zip(names, (x, *extra))), order, y_order, **options)


class Net(nn.Module):
    """A recurrent module and what stands behind it."""

    def __init__(self, recurrent, *behind, before=None, take="all"):
        super().__init__()
        self.before, self.recurrent, self.take = before, recurrent, take
        self.behind = nn.Sequential(*behind)

    def forward(self, x, *states):
        if self.before is not None:
            x = self.before(x)
        if len(states) == 2:
            y, final = self.recurrent(x, states)
        else:
            y, final = self.recurrent(x, *states)
        h = final[0] if isinstance(final, tuple) else final
        if self.take == "last":
            y = y[:, -1] if self.recurrent.batch_first else y[-1]
        elif self.take == "h":
            y = h[-1]
        elif self.take == "both":
            y = torch.cat([h[-2], h[-1]], dim=1)
        y = self.behind(y)
        return (y, final) if states else y


def of_pytorch():
    first = dict(batch_first=True)
    for dynamo in (False, True):
        kind = "dynamo" if dynamo else "script"
        own = dict(dynamo=dynamo)
        torch_case(f"torch_{kind}_lstm.onnx", Net(nn.LSTM(3, 4, 2, **first), nn.Linear(4, 2)), **own)
        torch_case(f"torch_{kind}_gru.onnx", Net(nn.GRU(3, 4, 2, bidirectional=True, **first), nn.Linear(8, 2), nn.ReLU()),
                   **own)
        if not dynamo:
            # The other exporter writes a node for each step and product of such a module.
            torch_case(f"torch_{kind}_rnn.onnx", Net(nn.RNN(3, 4, nonlinearity="relu", bias=False), nn.Linear(4, 2), nn.Tanh()),
                       (STEPS, BATCH, 3), "tbf", **own)
        torch_case(f"torch_{kind}_last.onnx", Net(nn.LSTM(3, 4, 2, **first), nn.Linear(4, 2), nn.Sigmoid(), take="last"),
                   y_order="bf", **own)
        torch_case(f"torch_{kind}_h.onnx", Net(nn.GRU(3, 4, 3, **first), nn.Linear(4, 5), nn.LeakyReLU(0.1), nn.Linear(5, 2),
                                               take="h"), y_order="bf", **own)
        torch_case(f"torch_{kind}_both.onnx", Net(nn.LSTM(3, 3, 2, bidirectional=True), nn.Linear(6, 2), take="both"),
                   (STEPS, BATCH, 3), "tbf", "bf", **own)
        h, c = np.zeros((2, BATCH, 4), np.float32), np.zeros((2, BATCH, 4), np.float32)
        torch_case(f"torch_{kind}_states.onnx", Net(nn.LSTM(3, 4, 2, **first), nn.Linear(4, 2)), extra=(h, c), **own)
        torch_case(f"torch_{kind}_fixed.onnx", Net(nn.GRU(3, 4, 2, bidirectional=True, **first), nn.Linear(8, 2)),
                   dynamic=False, **own)
    torch_case("torch_opset14.onnx", Net(nn.LSTM(3, 4, 1, bidirectional=True, **first), nn.Linear(8, 1), nn.ELU()), opset=14)


def constant(name, values):
    return numpy_helper.from_array(np.asarray(values), name)


def model(nodes, inputs, outputs, initializers, opset=17):
    graph = helper.make_graph(
        nodes,
        "network",
        [helper.make_tensor_value_info(name, kind, shape) for name, kind, shape in inputs],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
        initializers,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


GATES = {"RNN": 1, "GRU": 3, "LSTM": 4}
FLOAT, INT32, INT64 = TensorProto.FLOAT, TensorProto.INT32, TensorProto.INT64


def weights(operator, inputs, units, directions=1, scale=0.9, prefix="", bias=True, peepholes=False):
    """The constants of a recurrent operator, by their names."""
    gates = GATES[operator]
    found = {
        "W": drawn(directions, gates * units, inputs, scale=scale),
        "R": drawn(directions, gates * units, units, scale=scale / units**0.5),
    }
    if bias:
        found["B"] = drawn(directions, 2 * gates * units, scale=0.5)
    if peepholes:
        found["P"] = drawn(directions, 3 * units)
    return {prefix + name: value for name, value in found.items()}


def operator_case(name, operator, units, inputs=2, lengths=None, start=(), final=None, reference=None, **options):
    """One operator, whose Y or final state is the output."""
    bias, peepholes, scale = options.pop("bias", True), options.pop("peepholes", False), options.pop("scale", 0.9)
    directions = 2 if options.get("direction") == "bidirectional" else 1
    constants = weights(operator, inputs, units, directions, scale, bias=bias, peepholes=peepholes)
    for state in start:
        constants[state] = np.repeat(drawn(directions, 1, units), BATCH, axis=1)
    if options.get("layout"):
        constants = {key: value.transpose(1, 0, 2) if key in start else value for key, value in constants.items()}
    order = ["X", "W", "R", "B", "lengths", "initial_h", "initial_c", "P"][: 8 if operator == "LSTM" else 6]
    there = {"X", *constants, *(["lengths"] if lengths else [])}
    outputs = ["Y", "Y_h", "Y_c"][: 3 if operator == "LSTM" else 2]
    given = [("X", FLOAT, [None, None, inputs])] + ([("lengths", INT32, [None])] if lengths else [])

    def made(constants, options):
        node = helper.make_node(operator, [key if key in there else "" for key in order], outputs, operator.lower(),
                                hidden_size=units, **options)
        return model([node], given, [final] if final else outputs, [constant(*pair) for pair in constants.items()])

    x = drawn(STEPS, BATCH, inputs, scale=2.0)
    feeds = {"X": x, "lengths": np.array(lengths or [], np.int32)}
    axes = "dbf" if final else "tdbf"
    if not options.pop("layout", 0):
        add(name, made(constants, options), feeds, "tbf", axes, lengths=lengths)
        return
    # ONNX Runtime has no layout 1: what it gives for layout 0 is transposed.
    plain = {key: value.transpose(1, 0, 2) if key in start else value for key, value in constants.items()}
    path = HERE / "import" / name
    if is_kept(name):
        stored = onnx.load(path)
        plain = {tensor.name: numpy_helper.to_array(tensor) for tensor in stored.graph.initializer}
        plain = {key: value.transpose(1, 0, 2) if key in start else value for key, value in plain.items()}
    reference = made(plain, options)
    add(name, made(constants, options | {"layout": 1}), feeds, "tbf", axes, lengths=lengths,
        reference=reference.SerializeToString())


def of_operators():
    both = ["initial_h", "initial_c"]
    operator_case("rnn.onnx", "RNN", 3, direction="bidirectional", activations=["Relu", "Relu"], clip=0.8, scale=0.6)
    operator_case("rnn_reverse.onnx", "RNN", 4, direction="reverse", activations=["Affine"], activation_alpha=[0.4],
                  activation_beta=[0.3], scale=0.5, lengths=[5, 2, 3], bias=False)
    operator_case("rnn_one.onnx", "RNN", 1, inputs=1, direction="bidirectional", start=["initial_h"])
    operator_case("gru_before.onnx", "GRU", 4, activations=["HardSigmoid", "Softsign"], activation_alpha=[0.25],
                  activation_beta=[0.45], start=["initial_h"])
    operator_case("gru_after.onnx", "GRU", 3, direction="bidirectional", linear_before_reset=1,
                  activations=["HardSigmoid", "ScaledTanh", "Sigmoid", "LeakyRelu"], activation_alpha=[0.3, 1.1, 0.05],
                  activation_beta=[0.6, 0.7], lengths=[5, 1, 4])
    operator_case("gru_clip.onnx", "GRU", 5, clip=0.5, direction="reverse", final="Y_h", lengths=[2, 5, 4])
    operator_case("gru_layout.onnx", "GRU", 3, direction="bidirectional", layout=1, start=["initial_h"])
    operator_case("lstm.onnx", "LSTM", 3, direction="bidirectional", peepholes=True, start=both, lengths=[3, 5, 2])
    operator_case("lstm_coupled.onnx", "LSTM", 4, input_forget=1, peepholes=True, clip=0.9, start=["initial_c"])
    operator_case("lstm_functions.onnx", "LSTM", 3, direction="bidirectional", bias=False,
                  activations=["HardSigmoid", "ScaledTanh", "Tanh", "Sigmoid", "Elu", "Affine"],
                  activation_alpha=[0.3, 1.1, 0.4, 0.9], activation_beta=[0.6, 0.7, 0.05], scale=0.6)
    operator_case("lstm_layout.onnx", "LSTM", 3, layout=1, start=both)
    operator_case("lstm_final.onnx", "LSTM", 2, direction="bidirectional", final="Y_h", lengths=[1, 5, 4])


def node(operator, inputs, outputs, **attributes):
    return helper.make_node(operator, inputs.split(), outputs.split(), f"{operator}_{outputs.split()[0]}", **attributes)


def recurrent_node(operator, x, y, prefix="", units=3, **attributes):
    """A recurrent node with constants of a prefix; `y` are its outputs."""
    names = [x] + [prefix + name for name in "WRB"] + attributes.pop("more", [])
    return helper.make_node(operator, names, y.split(), operator.lower() + prefix, hidden_size=units, **attributes)


def graph_case(name, nodes, constants, x_shape, order, y_order, output="y", x=None, kind=FLOAT, more=(), feeds=None, opset=17,
               names=None, lengths=None, **options):
    shape = [None if label in "bt" else size for size, label in zip(x_shape, order)]
    x = drawn(*x_shape, scale=1.5) if x is None else x
    initializers = [value if isinstance(value, TensorProto) else constant(key, value) for key, value in constants.items()]
    made = model(nodes, [("x", kind, shape), *more], names or [output], initializers, opset)
    add(name, made, {"x": x} | (feeds or {}), order, y_order, lengths=lengths, **options)


def of_graphs():
    i64 = lambda *values: np.array(values, np.int64)
    # Two layers of Keras: one of them backwards, their outputs side by side, then a head on each step by its own matrix product.
    lstm = weights("LSTM", 3, 4, prefix="f.") | weights("LSTM", 3, 4, prefix="r.")
    graph_case("backwards.onnx", [
        node("Transpose", "x", "x_t", perm=[1, 0, 2]),
        recurrent_node("LSTM", "x_t", "f_y", "f.", 4),
        node("Transpose", "f_y", "f_t", perm=[2, 1, 0, 3]),
        node("Squeeze", "f_t one", "f_s"),
        node("Shape", "x", "shape"), node("Gather", "shape one", "steps"), node("Gather", "shape zero", "batch"),
        node("Expand", "steps batch", "lengths"),
        node("ReverseSequence", "x_t lengths", "x_r", time_axis=0, batch_axis=1),
        recurrent_node("LSTM", "x_r", "r_y", "r.", 4),
        node("Squeeze", "r_y one", "r_s"),
        node("ReverseSequence", "r_s lengths", "r_b", time_axis=0, batch_axis=1),
        node("Transpose", "r_b", "r_t", perm=[1, 0, 2]),
        node("Concat", "f_s r_t", "both", axis=-1),
        node("Reshape", "both flat", "rows"), node("MatMul", "rows kernel", "product"), node("Add", "bias product", "sum"),
        node("Concat", "batch steps units", "full", axis=0), node("Reshape", "sum full", "z"), node("Softsign", "z", "y"),
    ], lstm | {"one": i64(1), "zero": i64(0), "flat": i64(-1, 8), "kernel": drawn(8, 2), "bias": drawn(2), "units": i64(2)},
        (BATCH, STEPS, 3), "btf", "btf")
    # Zeros of the batch's size to start from, a last step by Slice, Gemm with its factors and every way to a shape.
    graph_case("shapes.onnx", [
        node("Shape", "x", "shape"), node("Slice", "shape one two", "batch"), node("Unsqueeze", "units zero", "units_1"),
        node("Mul", "batch one", "batch_1"), node("Concat", "one batch_1 units_1", "sizes", axis=0),
        node("ConstantOfShape", "sizes", "zeros"),
        recurrent_node("GRU", "x", "Y Y_h", "g.", 4, more=["", "zeros"], linear_before_reset=1),
        node("Squeeze", "Y one", "z"),
        node("Slice", "z minus_one far zero", "last"), node("Reshape", "last flat", "last_2"),
        node("Gemm", "last_2 B C", "gemm", alpha=0.5, beta=2.0, transB=1), node("ThresholdedRelu", "gemm", "y", alpha=0.1),
    ], weights("GRU", 3, 4, prefix="g.") | {"one": i64(1), "two": i64(2), "zero": i64(0), "units": np.int64(4),
        "minus_one": i64(-1), "far": i64(2**63 - 1), "flat": i64(-1, 4), "B": drawn(5, 4), "C": drawn(5)},
        (STEPS, BATCH, 3), "tbf", "bf")
    # A state that has been learned; the activations; numbers in other forms.
    half = numpy_helper.from_array(drawn(4, 3).astype(np.float16), "half")
    listed = helper.make_tensor("bias", FLOAT, [3], [0.25, -0.5, 0.75])
    graph_case("forms.onnx", [
        node("Shape", "x", "shape"), node("Gather", "shape two", "batch"), node("Concat", "one batch four", "sizes", axis=0),
        node("Expand", "learned sizes", "start"),
        node("Transpose", "x", "x_t", perm=[1, 2, 0]),
        recurrent_node("RNN", "x_t", "Y", "n.", 4, more=["", "start"]),
        node("Squeeze", "Y one", "z"), node("Cast", "half", "kernel", to=FLOAT), node("MatMul", "z kernel", "product"),
        node("Add", "product bias", "sum"), node("HardSigmoid", "sum", "a", alpha=0.3), node("Mul", "a scale", "b"),
        node("Elu", "b", "c"), node("Sub", "c mean", "d"), node("Div", "d deviation", "e"), node("Softplus", "e", "f"),
        node("Clip", "f low high", "g"), node("Neg", "g", "y"),
    ], weights("RNN", 2, 4, prefix="n.") | {"one": i64(1), "two": i64(2), "four": i64(4), "learned": drawn(1, 1, 4),
        "half": half, "bias": listed, "scale": np.float32(3.0), "mean": drawn(3), "deviation": drawn(3) + 2,
        "low": np.float32(0.0), "high": np.float32(1.0)}, (2, STEPS, BATCH), "ftb", "tbf")
    # Layer norms, a residual layer, features side by side, parts of them.
    graph_case("skips.onnx", [
        node("LayerNormalization", "x gain shift", "n", axis=-1, epsilon=0.01),
        recurrent_node("GRU", "n", "Y", "g.", 4, direction="forward"),
        node("Squeeze", "Y one", "z"), node("Add", "z x", "r"), node("Split", "r parts", "left right", axis=2),
        node("Concat", "right x", "c", axis=2), node("MatMul", "c kernel", "m"), node("Tanh", "m", "t"), node("Add", "left t", "s"),
        node("Concat", "s m", "y", axis=-1),
    ], weights("GRU", 4, 4, prefix="g.") | {"one": i64(1), "gain": drawn(4), "shift": drawn(4), "parts": i64(1, 3),
        "kernel": drawn(7, 1)}, (STEPS, BATCH, 4), "tbf", "tbf")
    # Directions that become one.
    for merge, nodes in [
        ("sum", [node("Add", "f r", "y")]),
        ("mean", [node("Add", "f r", "s"), node("Mul", "s half", "y")]),
        ("product", [node("Mul", "r f", "y")]),
    ]:
        graph_case(f"merge_{merge}.onnx", [
            recurrent_node("LSTM", "x", "Y", "l.", 3, direction="bidirectional"),
            node("Split", "Y", "f_1 r_1", axis=1), node("Squeeze", "f_1 one", "f"), node("Squeeze", "r_1 one", "r"), *nodes,
        ], weights("LSTM", 2, 3, 2, prefix="l.") | {"one": i64(1), "half": np.float32(0.5)}, (STEPS, BATCH, 2), "tbf", "tbf", opset=13)
    # An embedding of an input of indices, and one of a column.
    table = {"table": drawn(6, 3), "one": i64(1)}
    graph_case("indices.onnx", [
        node("Gather", "table x", "e", axis=0), node("Transpose", "e", "e_t", perm=[1, 0, 2]),
        recurrent_node("LSTM", "e_t", "Y Y_h", "l.", 4), node("Squeeze", "Y_h zero", "y"),
    ], weights("LSTM", 3, 4, prefix="l.") | table | {"zero": i64(0)}, (BATCH, STEPS), "bt", "bf", kind=INT64,
        x=rng.integers(0, 6, (BATCH, STEPS)))
    mixed = drawn(STEPS, BATCH, 3)
    mixed[..., 1] = rng.integers(0, 6, (STEPS, BATCH))
    graph_case("column.onnx", [
        node("Gather", "x column", "i", axis=2), node("Cast", "i", "index", to=INT64), node("Gather", "table index", "e", axis=0),
        node("Slice", "x zero one two", "before"), node("Slice", "x two far two", "behind"),
        node("Concat", "before e behind", "c", axis=2), recurrent_node("GRU", "c", "Y", "g.", 4), node("Squeeze", "Y one", "y"),
    ], weights("GRU", 5, 4, prefix="g.") | table | {"column": np.int64(1), "zero": i64(0), "two": i64(2), "far": i64(2**31 - 1)},
        (STEPS, BATCH, 3), "tbf", "tbf", x=mixed)
    # The final states of each sequence's own length, and a head.
    lengths = [4, 5, 1]
    graph_case("lengths.onnx", [
        recurrent_node("LSTM", "x", "Y Y_h Y_c", "l.", 3, direction="bidirectional", more=["lengths"]),
        node("Transpose", "Y_h", "h", perm=[1, 0, 2]), node("Reshape", "h flat", "f"), node("MatMul", "f kernel", "m"),
        node("Add", "m bias", "s"), node("LeakyRelu", "s", "y"),
    ], weights("LSTM", 2, 3, 2, prefix="l.") | {"flat": i64(0, -1), "kernel": drawn(6, 4), "bias": drawn(1, 4)},
        (STEPS, BATCH, 2), "tbf", "bf", more=[("lengths", INT32, [None])], feeds={"lengths": np.array(lengths, np.int32)},
        lengths=lengths)


class Denoiser(nn.Module):
    """A mask for magnitudes, in the shape of DTLN's first network: a state goes in and comes out."""

    def __init__(self, bins=33, units=16):
        super().__init__()
        self.lstm = nn.LSTM(bins, units, 2, batch_first=True)
        self.mask = nn.Linear(units, bins)

    def forward(self, x, h, c):
        y, (h, c) = self.lstm(x, (h, c))
        return torch.sigmoid(self.mask(y)), h, c


def denoiser():
    """Trained for a moment on what examples/denoiser.c makes."""
    name, bins, frames, many = "denoiser.onnx", 33, 40, 8
    torch.manual_seed(1)
    network = Denoiser()
    optimizer = torch.optim.Adam(network.parameters(), 0.01)
    zeros = torch.zeros(2, many, 16)

    def drawn_frames():
        pitch = rng.integers(3, 7, (many, 1, 1))
        k = np.arange(bins)
        spoken = ((np.arange(frames)[:, None] // 10 + rng.integers(0, 2, (many, 1, 1))) % 2).astype(float)
        clean = spoken * (k % pitch == 0) / (1 + 0.05 * k)
        noise = rng.uniform(0, 0.5, (many, frames, bins))
        return [torch.as_tensor(values, dtype=torch.float32) for values in (clean + noise, clean)]

    if not is_kept(name):
        for _ in range(150):
            noisy, clean = drawn_frames()
            loss = ((network(noisy, zeros, zeros)[0] * noisy - clean) ** 2).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        buffer = io.BytesIO()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.onnx.export(network, (noisy, zeros, zeros), buffer, dynamo=False, input_names=["x", "h", "c"],
                              output_names=["mask", "h_out", "c_out"], opset_version=17,
                              dynamic_axes={"x": {0: "batch", 1: "frames"}, "h": {1: "batch"}, "c": {1: "batch"}})
        content = buffer.getvalue()
    else:
        content = None
    x = drawn_frames()[0][:2, :6].numpy()
    zeros = np.zeros((2, 2, 16), np.float32)
    add(name, content, {"x": x, "h": zeros, "c": zeros})


def save():
    text = "[\n" + ",\n".join(json.dumps(case, separators=(",", ":")) for case in cases) + "\n]"
    about = "Outputs of ONNX Runtime for the files of import/. x [batch][steps][inputs]; y [batch][steps][outputs], or " \
        "[batch][outputs] of the last step; lengths null: all have steps."
    path = HERE / "import_onnx.json"
    if CHECK:
        old = json.loads(path.read_text())["cases"]
        assert [case["name"] for case in old] == [case["name"] for case in cases]
        for before, now in zip(old, cases):
            difference = np.abs(np.array(before["y"]) - np.array(now["y"])).max() / np.abs(np.array(now["y"])).max()
            assert difference < 1e-6, (now["name"], difference)
        print(f"{len(cases)} cases agree")
        return
    path.write_text(f'{{"about":{json.dumps(about)},\n"cases":{text}}}\n')
    print(f"{len(cases)} cases, {path.stat().st_size} bytes")


def main():
    of_operators()
    of_graphs()
    denoiser()
    of_pytorch()
    save()


main()
