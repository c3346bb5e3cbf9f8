"""Writes models as RTNeural, AIDA-X, GuitarML and Neural Amp Modeler have them, import/*.json and *.nam, and one in elman's own form,
and what they give, in import_json.json.

    python generate_import_json.py            # writes the files
    python generate_import_json.py --check    # compares the outputs

The outputs are those of the formulas in NumPy, in float64, step by step; those of the state dicts are PyTorch's. Needs numpy,
torch and safetensors.
"""

import json
import pathlib
import sys

import numpy as np
import torch
from safetensors.numpy import save
from torch import nn

HERE = pathlib.Path(__file__).parent
STEPS, BATCH = 6, 2
RNG = np.random.default_rng(5)


def random(*shape):
    return RNG.normal(0.0, 0.5, shape).astype(np.float32).astype(float)


def sigmoid(x):
    return 1.0 / (1.0 + np.exp(-x))


FUNCTIONS = {
    "": lambda x: x,
    "tanh": np.tanh,
    "sigmoid": sigmoid,
    "relu": lambda x: np.maximum(x, 0.0),
    "elu": lambda x: np.where(x > 0.0, x, np.expm1(x)),
}


def dense(inputs, units, activation="", kind="dense"):
    return dict(type=kind, activation=activation, shape=[None, None, units], weights=[random(inputs, units), random(units)])


def lstm(inputs, units):
    weights = [random(inputs, 4 * units), random(units, 4 * units), random(4 * units)]
    return dict(type="lstm", activation="tanh", shape=[None, None, units], weights=weights)


def gru(inputs, units):
    weights = [random(inputs, 3 * units), random(units, 3 * units), random(2, 3 * units)]
    return dict(type="gru", activation="tanh", shape=[None, None, units], weights=weights)


def run_layer(layer, x):
    """A layer over [batch][steps][features], weights as Keras has them."""
    kind, weights = layer["type"], layer.get("weights")
    if kind == "activation":
        return FUNCTIONS[layer["activation"]](x)
    if "dense" in kind:
        return FUNCTIONS[layer["activation"]](x @ weights[0] + weights[1])
    units = weights[1].shape[0]
    h = c = np.zeros((x.shape[0], units))
    rows = []
    for step in range(x.shape[1]):
        if kind == "lstm":
            i, f, g, o = np.split(x[:, step] @ weights[0] + h @ weights[1] + weights[2], 4, axis=1)
            c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
            h = sigmoid(o) * np.tanh(c)
        else:
            xz, xr, xh = np.split(x[:, step] @ weights[0] + weights[2][0], 3, axis=1)
            hz, hr, hh = np.split(h @ weights[1] + weights[2][1], 3, axis=1)
            z, r = sigmoid(xz + hz), sigmoid(xr + hr)
            h = (1.0 - z) * np.tanh(xh + r * hh) + z * h
        rows.append(h)
    return np.stack(rows, axis=1)


def keras(inputs, layers, **more):
    """RTNeural's form; with in_skip, in_gain and out_gain that of AIDA-X."""
    model = dict(in_shape=[None, None, inputs], layers=layers, **more)

    def run(x):
        x = x.copy()
        x[..., 0] *= 10.0 ** (more.get("in_gain", 0.0) / 20.0)
        y = x
        for layer in layers:
            y = run_layer(layer, y)
        if more.get("in_skip"):
            y = y + x[..., :1]
        return y * 10.0 ** (more.get("out_gain", 0.0) / 20.0)

    return model, inputs, run


def nam(inputs, units, count, outputs):
    weights, cells = [], []
    for layer in range(count):
        width = inputs if layer == 0 else units
        cell = [random(4 * units, width + units), random(4 * units), random(units), random(units)]
        weights += [values.flatten() for values in cell]
        cells.append(cell)
    head = [random(outputs, units), random(outputs)]
    weights += [values.flatten() for values in head]
    config = dict(input_size=inputs, hidden_size=units, num_layers=count)
    model = dict(version="0.5.4", architecture="LSTM", config=config, weights=np.concatenate(weights), sample_rate=48000)

    def run(x):
        for w, b, h, c in cells:
            h, c = (np.tile(values, (x.shape[0], 1)) for values in (h, c))
            rows = []
            for step in range(x.shape[1]):
                i, f, g, o = np.split(np.concatenate([x[:, step], h], axis=1) @ w.T + b, 4, axis=1)
                c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
                h = sigmoid(o) * np.tanh(c)
                rows.append(h)
            x = np.stack(rows, axis=1)
        return x @ head[0].T + head[1]

    return model, inputs, run


class Amp(nn.Module):
    def __init__(self, recurrent, units, skip):
        super().__init__()
        self.rec, self.lin, self.skip = recurrent, nn.Linear(units, 1), skip

    def forward(self, x):
        y = self.lin(self.rec(x)[0])
        return y + x[..., :1] if self.skip else y


def guitarml(inputs, recurrent, units, skip, bare=False):
    module = Amp(recurrent, units, skip).double()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(torch.from_numpy(random(*parameter.shape)))
    state = {key: value.numpy() for key, value in module.state_dict().items()}
    if bare:
        model = state
    else:
        data = dict(model="SimpleRNN", input_size=inputs, skip=skip, output_size=1, hidden_size=units, num_layers=1)
        model = dict(model_data=data, state_dict=state)

    def run(x):
        with torch.no_grad():
            return module(torch.from_numpy(x)).numpy()

    return model, inputs, run


def described(inputs, units, outputs):
    """A GRU with its reset before the product and hard sigmoids, in elman's own form (docs/format.md)."""
    kernel, recurrent, bias = random(inputs, 3 * units), random(units, 3 * units), random(3 * units)
    head, head_bias = random(units, outputs), random(outputs)

    def gates(matrix):
        z, r, h = np.split(matrix, 3, axis=-1)
        return np.ascontiguousarray(np.concatenate([r, z, h], axis=-1).T)

    hard = {"gates": {"hard_sigmoid": {"alpha": 0.2, "beta": 0.5}}, "candidate": "tanh", "output": "tanh"}
    options = {"reset": "before", "activations": [hard, hard]}
    description = {
        "version": 1,
        "library": "a converter",
        "input_size": inputs,
        "output": "all",
        "standardized": False,
        "layers": [
            {"kind": "gru", "units": units, "options": options},
            {"kind": "dense", "units": outputs, "activation": "linear"},
        ],
    }
    tensors = {
        "weight_ih_l0": gates(kernel),
        "weight_hh_l0": gates(recurrent),
        "bias_ih_l0": gates(bias),
        "bias_hh_l0": np.zeros_like(bias),
        "linear0.weight": np.ascontiguousarray(head.T),
        "linear0.bias": head_bias,
    }
    tensors = {name: tensor.astype(np.float32) for name, tensor in tensors.items()}

    def run(x):
        h = np.zeros((x.shape[0], units))
        rows = []
        for step in range(x.shape[1]):
            xz, xr, xh = np.split(x[:, step] @ kernel + bias, 3, axis=1)
            uz, ur, uh = np.split(recurrent, 3, axis=1)
            z, r = (np.clip(0.2 * a + 0.5, 0.0, 1.0) for a in (xz + h @ uz, xr + h @ ur))
            h = (1.0 - z) * np.tanh(xh + (r * h) @ uh) + z * h
            rows.append(h @ head + head_bias)
        return np.stack(rows, axis=1)

    return save(tensors, metadata={"elman": json.dumps(description)}), inputs, run


def cases():
    first = dense(1, 4, "tanh", "time-distributed-dense")
    yield "keras_gru.json", keras(1, [first, gru(4, 5), dense(5, 3, "sigmoid"), dense(3, 1)])
    activation = dict(type="activation", activation="elu", shape=[None, None, 3])
    yield "keras_lstm.json", keras(2, [lstm(2, 3), activation, lstm(3, 4), dense(4, 2, "relu")])
    yield "aidax.json", keras(1, [lstm(1, 4), dense(4, 1)], in_skip=1, in_gain=-3.5, out_gain=2.0)
    yield "aidax_two.json", keras(2, [gru(2, 4), dense(4, 1)], in_skip=1, in_gain=1.5)
    yield "lstm.nam", nam(1, 3, 1, 1)
    yield "stacked.nam", nam(2, 4, 3, 2)
    yield "guitarml.json", guitarml(1, nn.LSTM(1, 4, batch_first=True), 4, 1)
    yield "guitarml_two.json", guitarml(2, nn.GRU(2, 3, batch_first=True), 3, 1)
    yield "state_dict.json", guitarml(1, nn.LSTM(1, 3, num_layers=2, batch_first=True), 3, 0, bare=True)
    yield "described.safetensors", described(2, 5, 3)


def plain(value):
    return value.tolist() if isinstance(value, np.ndarray) else value


def main():
    described = []
    for name, (model, inputs, run) in cases():
        x = random(BATCH, STEPS, inputs)
        y = run(x)
        content = model if isinstance(model, bytes) else (json.dumps(model, default=plain) + "\n").encode()
        path = HERE / "import" / name
        if "--check" in sys.argv:
            assert path.read_bytes() == content, name
        else:
            path.write_bytes(content)
        case = dict(name=name, inputs=inputs, outputs=y.shape[-1], batch=BATCH, steps=STEPS, description=None)
        case["x"], case["y"] = x.flatten().tolist(), y.flatten().tolist()
        described.append(case)
    path = HERE / "import_json.json"
    if "--check" in sys.argv:
        stored = json.loads(path.read_text())["cases"]
        for old, new in zip(stored, described, strict=True):
            worst = max(abs(a - b) for a, b in zip(old["y"], new["y"], strict=True))
            assert old["x"] == new["x"] and worst < 1e-12, (old["name"], worst)
        print("the outputs agree")
    else:
        about = "Models in import/*.json and *.nam, and outputs of their formulas in float64."
        path.write_text(json.dumps(dict(about=about, cases=described), indent=1) + "\n")


if __name__ == "__main__":
    main()
