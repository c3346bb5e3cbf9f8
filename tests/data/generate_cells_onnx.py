"""Computes cells_onnx.json: the operators RNN, GRU and LSTM of ONNX in ONNX Runtime, over their options, in float32; and the
test cases of these operators that come with the package onnx (Apache-2.0), whose outputs are those of its NumPy code.

    python generate_cells_onnx.py            # writes the file
    python generate_cells_onnx.py --check    # compares it

Left out is what ONNX Runtime does not do: layout 1 (the package's own cases have it), and sequences of no steps in RNN, whose
final states it reads from before its buffer. Needs numpy, onnx and onnxruntime.
"""

import importlib

import numpy as np
import onnxruntime
from cells import decimals, shortened, states_by_sequence, write
from onnx import TensorProto, helper

ABOUT = (
    "RNN, GRU and LSTM of ONNX in ONNX Runtime, and the test cases of the package onnx: values in float32. Where y is null,"
    " only the final states are known."
)
GATES = {"RNN": 1, "GRU": 3, "LSTM": 4}
# Gates of ONNX in elman's order.
ORDER = {"RNN": [0], "GRU": [1, 0, 2], "LSTM": [0, 2, 3, 1]}
DEFAULT = {"RNN": ["Tanh"], "GRU": ["Sigmoid", "Tanh"], "LSTM": ["Sigmoid", "Tanh", "Tanh"]}
# Names of elman's, and the parameters that they take from the lists, with what they are where a list has ended.
ACTIVATIONS = {
    "Affine": ("affine", {"alpha": 0.0, "beta": 0.0}),
    "Elu": ("elu", {"alpha": 1.0}),
    "HardSigmoid": ("hard_sigmoid", {"alpha": 0.2, "beta": 0.5}),
    "LeakyRelu": ("leaky_relu", {"alpha": 0.01}),
    "Relu": ("relu", {}),
    "ScaledTanh": ("scaled_tanh", {"alpha": 0.0, "beta": 0.0}),
    "Sigmoid": ("sigmoid", {}),
    "Softplus": ("softplus", {}),
    "Softsign": ("softsign", {}),
    "Tanh": ("tanh", {}),
    "ThresholdedRelu": ("thresholded_relu", {"alpha": 0.0}),
}


def activations(attributes, operator, directions):
    """A list of elman's activations for each direction; alpha and beta are used up by those that have one, in order."""
    names = attributes.get("activations", DEFAULT[operator] * directions)
    given = {"alpha": list(attributes.get("activation_alpha", [])), "beta": list(attributes.get("activation_beta", []))}
    result = []
    for name in names:
        name, parameters = ACTIVATIONS[name]
        values = {key: given[key].pop(0) if given[key] else default for key, default in parameters.items()}
        result.append({name: values} if values else name)
    count = len(DEFAULT[operator])
    return [result[d * count : (d + 1) * count] for d in range(directions)]


def tensors(operator, attributes, inputs, direction):
    """The parameters of a direction in elman's form."""
    h = attributes["hidden_size"]
    coupled = attributes.get("input_forget", 0) != 0
    order = [0, 3, 1] if coupled else ORDER[operator]

    def rows(values):
        return np.concatenate([values[gate * h : (gate + 1) * h] for gate in order])

    result = [rows(inputs["W"][direction]).T, rows(inputs["R"][direction]).T]
    if "B" in inputs:
        w, r = np.split(inputs["B"][direction].astype(np.float64), 2)
        b = w + r
        after = attributes.get("linear_before_reset", 0) != 0
        if after:
            b = np.concatenate([b[: 2 * h], w[2 * h :]])
        result.append(rows(b))
        if after:
            result.append(r[2 * h :])
    if "P" in inputs:
        i, o, f = np.split(inputs["P"][direction], 3)
        result.append(np.concatenate([i, o] if coupled else [i, f, o]))
    return result


def described(name, operator, attributes, inputs, y, finals):
    """A case of the file; y [steps][directions][batch][units] or None."""
    x = inputs["X"]
    steps, batch, features = x.shape
    directions = inputs["W"].shape[0]
    options = {}
    if attributes.get("direction", "forward") != "forward":
        options["direction"] = attributes["direction"]
    if "B" not in inputs:
        options["bias"] = False
    if operator == "GRU" and not attributes.get("linear_before_reset", 0):
        options["reset"] = "before"
    if "P" in inputs:
        options["peepholes"] = True
    if attributes.get("input_forget", 0):
        options["coupled"] = True
    if "clip" in attributes:
        options["clip_sums"] = attributes["clip"]
    chosen = activations(attributes, operator, directions)
    network = {"name": name, "cell": operator.lower()}
    if operator == "RNN":
        # elman has one function for both directions.
        assert all(choice == chosen[0] for choice in chosen)
        network["activation"] = chosen[0][0]
    elif "activations" in attributes:
        named = [
            {"gates": choice[0], "candidate": choice[1], "output": choice[2] if operator == "LSTM" else "tanh"}
            for choice in chosen
        ]
        # A layer of one direction has no use for the second.
        default = {"gates": "sigmoid", "candidate": "tanh", "output": "tanh"}
        options["activations"] = named if directions == 2 else named + [default]

    starts = [name for name in ["initial_h", "initial_c"] if name in inputs]
    names = ["initial_h", "initial_c"][: 2 if operator == "LSTM" else 1]
    zeros = np.zeros((directions, batch, attributes["hidden_size"]))
    state_in = [inputs.get(name, zeros)[direction] for direction in range(directions) for name in names]
    all_tensors = [
        tensor for direction in range(directions) for tensor in tensors(operator, attributes, inputs, direction)
    ]
    parameters = np.concatenate([tensor.ravel() for tensor in all_tensors])
    return network | {
        "options": options,
        "inputs": features,
        "units": attributes["hidden_size"],
        "layers": 1,
        "steps": steps,
        "batch": batch,
        "lengths": [int(length) for length in inputs["sequence_lens"]] if "sequence_lens" in inputs else None,
        "tensors": [tensor.size for tensor in all_tensors],
        "parameters": shortened(parameters, 8),
        "x": shortened(x.transpose(1, 0, 2), 8),
        "state_in": shortened(states_by_sequence(state_in), 8) if starts else None,
        "y": None if y is None else shortened(y.transpose(2, 0, 1, 3), 9),
        "state_out": None
        if finals is None
        else shortened(
            states_by_sequence([final[direction] for direction in range(directions) for final in finals]), 9
        ),
    }


def run(operator, attributes, inputs):
    """All outputs of a model of one node."""
    order = ["X", "W", "R", "B", "sequence_lens", "initial_h", "initial_c", "P"]
    order = order if operator == "LSTM" else order[:6]
    outputs = ["Y", "Y_h", "Y_c"] if operator == "LSTM" else ["Y", "Y_h"]
    node = helper.make_node(operator, [name if name in inputs else "" for name in order], outputs, **attributes)
    described_inputs = [
        helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(value.dtype), value.shape)
        for name, value in inputs.items()
    ]
    described_outputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs]
    graph = helper.make_graph([node], "one", described_inputs, described_outputs)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 14)], ir_version=8)
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = settings.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), settings, providers=["CPUExecutionProvider"])
    return session.run(outputs, inputs)


class Cases:
    def __init__(self):
        self.rng = np.random.default_rng(11)
        self.cases = []

    def add(self, operator, what, bias=True, lengths=None, start=(), peepholes=False, scale=1.0, **attributes):
        """A case of random sizes; lengths: none, "ragged" or "empty", with a sequence of no steps."""
        rng = self.rng
        direction = attributes.get("direction", "forward")
        directions = 2 if direction == "bidirectional" else 1
        units = int(rng.choice([1, 2, 3, 4, 5] if directions == 2 or operator == "LSTM" else [3, 4, 5, 9]))
        steps, features = int(rng.integers(2, 7)), int(rng.integers(1, 4))
        batch = int(rng.integers(3 if lengths else 1, 5))
        gates = GATES[operator]

        def drawn(*shape, scale):
            return decimals(rng, shape, scale).astype(np.float32)

        inputs = {
            "X": drawn(steps, batch, features, scale=2.0),
            "W": drawn(directions, gates * units, features, scale=scale),
            "R": drawn(directions, gates * units, units, scale=scale * 1.5 / units**0.5),
        }
        if bias:
            inputs["B"] = drawn(directions, 2 * gates * units, scale=0.5)
        if lengths:
            lens = rng.integers(1, steps + 1, batch)
            if lengths == "empty":
                lens[rng.integers(batch)] = 0
            inputs["sequence_lens"] = lens.astype(np.int32)
        for name in start:
            inputs[name] = drawn(directions, batch, units, scale=1.0)
        if peepholes:
            inputs["P"] = drawn(directions, 3 * units, scale=1.0)
        attributes["hidden_size"] = units
        y, *finals = run(operator, attributes, inputs)
        assert np.isfinite(y).all() and np.abs(y).max() > 1e-3, what
        name = f"{operator}, {what}" if direction == "forward" else f"{operator}, {direction}, {what}"
        self.cases.append(described(name, operator, attributes, inputs, y, finals))


DIRECTIONS = ["forward", "reverse", "bidirectional"]


def simple(cases):
    for direction in DIRECTIONS:
        for activation in ["Tanh", "Relu"] if direction == "bidirectional" else ["Tanh"]:
            both = [activation] * (2 if direction == "bidirectional" else 1)
            shared = dict(direction=direction, activations=both, scale=0.7)
            cases.add("RNN", activation, lengths="ragged", start=["initial_h"], **shared)
            cases.add("RNN", f"{activation}, no bias", bias=False, **shared)
            cases.add("RNN", f"{activation}, clip", clip=0.6, lengths="ragged", **shared)
    for name, alpha, beta in [
        ("Affine", 0.4, 0.3),
        ("Elu", 0.7, 0.0),
        ("HardSigmoid", 0.3, 0.4),
        ("LeakyRelu", 0.1, 0.0),
        ("ScaledTanh", 1.3, 0.6),
        ("Sigmoid", 0.0, 0.0),
        ("Softplus", 0.0, 0.0),
        ("Softsign", 0.0, 0.0),
        ("ThresholdedRelu", 0.2, 0.0),
    ]:
        cases.add(
            "RNN", name, activations=[name], activation_alpha=[alpha], activation_beta=[beta], scale=0.5, start=["initial_h"]
        )


def gru(cases):
    for after in (0, 1):
        where = ["before", "after"][after]
        for direction in DIRECTIONS:
            shared = dict(direction=direction, linear_before_reset=after)
            cases.add("GRU", where, **shared)
            cases.add("GRU", f"{where}, ragged", lengths="ragged", start=["initial_h"], **shared)
            cases.add("GRU", f"{where}, no steps", lengths="empty", start=["initial_h"], **shared)
        shared = dict(linear_before_reset=after)
        cases.add("GRU", f"{where}, no bias", bias=False, start=["initial_h"], **shared)
        cases.add("GRU", f"{where}, clip", clip=0.4, start=["initial_h"], **shared)
        cases.add("GRU", f"{where}, clip, no bias", clip=0.5, bias=False, direction="reverse", **shared)
        for what, names, alpha, beta in [
            ("hard sigmoid as it is by default", ["HardSigmoid", "Softsign"], [], []),
            ("hard sigmoid and elu by default", ["HardSigmoid", "Elu"], [0.25], [0.45]),
            ("sigmoid and affine", ["Sigmoid", "Affine"], [0.6], [-0.1]),
            ("tanh and leaky relu by default", ["Tanh", "LeakyRelu"], [], []),
            ("softsign and scaled tanh", ["Softsign", "ScaledTanh"], [1.2], [0.8]),
            ("relu gates and sigmoid", ["Relu", "Sigmoid"], [], []),
            ("affine gates and thresholded relu", ["Affine", "ThresholdedRelu"], [0.3, 0.1], [0.5]),
            ("sigmoid and softplus", ["Sigmoid", "Softplus"], [], []),
            ("scaled tanh and relu", ["ScaledTanh", "Relu"], [0.8], [0.5]),
        ]:
            lists = dict(activations=names, activation_alpha=alpha, activation_beta=beta)
            lists = {key: value for key, value in lists.items() if value}
            cases.add("GRU", f"{where}, {what}", start=["initial_h"], scale=0.5, **lists, **shared)
        cases.add(
            "GRU",
            f"{where}, functions for each direction",
            direction="bidirectional",
            activations=["HardSigmoid", "ScaledTanh", "Sigmoid", "LeakyRelu"],
            activation_alpha=[0.3, 1.1, 0.05],
            activation_beta=[0.6, 0.7],
            lengths="ragged",
            scale=0.6,
            **shared,
        )


def lstm(cases):
    both = ["initial_h", "initial_c"]
    for direction in DIRECTIONS:
        shared = dict(direction=direction)
        cases.add("LSTM", "plain", **shared)
        cases.add("LSTM", "ragged", lengths="ragged", start=both, **shared)
        cases.add("LSTM", "no steps", lengths="empty", start=both, **shared)
        cases.add("LSTM", "peepholes", peepholes=True, lengths="ragged", start=both, **shared)
    for direction in ["forward", "bidirectional"]:
        shared = dict(direction=direction, start=both)
        cases.add("LSTM", "coupled", input_forget=1, **shared)
        cases.add("LSTM", "coupled, peepholes", input_forget=1, peepholes=True, lengths="ragged", **shared)
        cases.add("LSTM", "clip", clip=0.5, **shared)
    cases.add("LSTM", "clip, peepholes", clip=0.6, peepholes=True, start=both)
    cases.add("LSTM", "clip, peepholes, coupled", clip=0.6, peepholes=True, input_forget=1, start=both)
    cases.add("LSTM", "clip, no bias", clip=0.3, bias=False, direction="reverse", lengths="ragged")
    cases.add("LSTM", "no bias", bias=False, start=both)
    cases.add("LSTM", "no bias, peepholes, coupled", bias=False, peepholes=True, input_forget=1)
    cases.add("LSTM", "from h alone", start=["initial_h"])
    cases.add("LSTM", "from c alone", start=["initial_c"], peepholes=True)
    for what, names, alpha, beta in [
        ("hard sigmoid as it is by default", ["HardSigmoid", "Tanh", "Tanh"], [], []),
        ("hard sigmoid twice, the second by default", ["HardSigmoid", "HardSigmoid", "Tanh"], [0.3], [0.4]),
        ("scaled tanh and elu", ["Sigmoid", "ScaledTanh", "Elu"], [1.2, 0.5], [0.7]),
        ("softsign", ["Sigmoid", "Softsign", "Softsign"], [], []),
        ("relu", ["Sigmoid", "Relu", "Relu"], [], []),
        ("leaky relu by default and affine", ["Sigmoid", "LeakyRelu", "Affine"], [0.02, 0.6], [0.1]),
        ("softplus and thresholded relu", ["HardSigmoid", "Softplus", "ThresholdedRelu"], [0.2, 0.15], [0.5]),
        ("affine gates", ["Affine", "Tanh", "Sigmoid"], [0.2], [0.5]),
        ("softplus output", ["Softsign", "Sigmoid", "Softplus"], [], []),
        ("tanh gates", ["Tanh", "Sigmoid", "HardSigmoid"], [0.3], [0.2]),
        ("elu gates", ["Elu", "Softsign", "LeakyRelu"], [0.5, 0.1], []),
    ]:
        lists = dict(activations=names, activation_alpha=alpha, activation_beta=beta)
        lists = {key: value for key, value in lists.items() if value}
        cases.add("LSTM", what, start=both, scale=0.5, **lists)
    cases.add(
        "LSTM",
        "functions for each direction",
        direction="bidirectional",
        activations=["HardSigmoid", "ScaledTanh", "Tanh", "Sigmoid", "Elu", "Affine"],
        activation_alpha=[0.3, 1.1, 0.4, 0.9],
        activation_beta=[0.6, 0.7, 0.05],
        lengths="ragged",
        start=both,
        peepholes=True,
        scale=0.6,
    )
    cases.add(
        "LSTM",
        "functions, coupled, peepholes, clip",
        activations=["HardSigmoid", "Softsign", "ScaledTanh"],
        activation_alpha=[0.25, 0.9],
        activation_beta=[0.45, 1.1],
        input_forget=1,
        peepholes=True,
        clip=1.1,
        lengths="empty",
        start=both,
    )


def of_the_package(cases):
    """The package's own test cases, as its modules hand them over."""
    for operator in GATES:
        module = importlib.import_module(f"onnx.backend.test.case.node.{operator.lower()}")
        found = []
        module.expect = lambda node, inputs, outputs, name, **_: found.append((node, inputs, outputs, name))
        exporter = getattr(module, operator)
        for function in sorted(vars(exporter)):
            if function.startswith("export"):
                getattr(exporter, function)()
        for node, inputs, outputs, name in found:
            attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
            if "direction" in attributes:
                attributes["direction"] = attributes["direction"].decode()
            named = dict(zip([name for name in node.input if name], inputs))
            results = dict(zip([name for name in node.output if name], outputs))
            y, finals = results.get("Y"), [results[key] for key in ["Y_h", "Y_c"] if key in results]
            if attributes.pop("layout", 0):
                named["X"] = named["X"].transpose(1, 0, 2)
                named |= {key: named[key].transpose(1, 0, 2) for key in ["initial_h", "initial_c"] if key in named}
                y = None if y is None else y.transpose(1, 2, 0, 3)
                finals = [final.transpose(1, 0, 2) for final in finals]
            # Some hand over h alone of an LSTM: of its state, only y is then known.
            complete = len(finals) == (2 if operator == "LSTM" else 1)
            if y is None and not complete:
                y = last_only(named, finals[0])
            cases.append(described(name, operator, attributes, named, y, finals if complete else None))


def last_only(inputs, h):
    """y of a batch of one step, which is the final h."""
    assert inputs["X"].shape[0] == 1
    return h[np.newaxis]


def main():
    cases = Cases()
    simple(cases)
    gru(cases)
    lstm(cases)
    of_the_package(cases.cases)
    write("cells_onnx.json", ABOUT, cases.cases)


main()
