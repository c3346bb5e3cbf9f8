"""Computes cells_formulas.json: cells with options that no other system has together, step by step in PyTorch's float64, and
its gradients of them.

    python generate_cells_formulas.py            # writes the file
    python generate_cells_formulas.py --check    # compares it

The formulas are those of the papers that src/layer/options.rs names. The cell state is clipped as soon as it is there. Zoneout
is its expectation: h = z h' + (1 - z) o tanh(c~), c = z_c c' + (1 - z_c) c~ where c~ is the cell state without zoneout (Krueger
et al. 2017), and the peephole of o sees c; elman has it in predict alone, so these cases have no gradients. Needs numpy and torch.
"""

import numpy as np
import torch
from cells import decimals, shortened, write
from torch.nn import functional

ABOUT = (
    "Cells with further options, step by step, in float64: values, and gradients where dy is not null. The trainable initial"
    " state of a direction, h and then c, follows its other parameters."
)
DIGITS = 11
FUNCTIONS = {
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "relu": torch.relu,
    "linear": lambda x: x,
    "hard_sigmoid": lambda x, alpha, beta: torch.clamp(alpha * x + beta, 0.0, 1.0),
    "hard_tanh": functional.hardtanh,
    "leaky_relu": functional.leaky_relu,
    "elu": functional.elu,
    "softsign": functional.softsign,
    "softplus": functional.softplus,
    "affine": lambda x, alpha, beta: alpha * x + beta,
    "scaled_tanh": lambda x, alpha, beta: alpha * torch.tanh(beta * x),
}


def function(choice):
    """What a name, or a name with parameters, stands for."""
    if isinstance(choice, str):
        return FUNCTIONS[choice]
    ((name, parameters),) = choice.items()
    if name == "thresholded_relu":
        return lambda x: torch.where(x > parameters["alpha"], x, torch.zeros_like(x))
    return lambda x: FUNCTIONS[name](x, *parameters.values())


def shapes(cell, inputs, units, options):
    """Shapes of the parameters of a direction by name, in order."""
    gates = {"rnn": 1, "gru": 3, "lstm": 3 if options.get("coupled") else 4}[cell]
    h = options.get("projection") or units
    bias = options.get("bias", True)
    result = {"w_x": (inputs, gates * units), "w_h": (h, gates * units)}
    if bias:
        result["b"] = (gates * units,)
    if cell == "gru" and bias and options.get("reset") != "before":
        result["q"] = (units,)
    if options.get("peepholes"):
        result["p"] = ((gates - 1) * units,)
    if options.get("projection"):
        result["r"] = (units, h)
    if options.get("initial_state"):
        result["h0"] = (h,)
        if cell == "lstm":
            result["c0"] = (units,)
    return result


def clipped(value, limit):
    return torch.clamp(value, -limit, limit) if limit else value


def step(cell, x, state, p, options, activations):
    """The next state without zoneout, but for what the peephole of o sees."""
    gate, candidate, output = (function(activations[name]) for name in ["gates", "candidate", "output"])
    clip = lambda value: clipped(value, options.get("clip_sums"))
    h = state[0]
    from_x, from_h = x @ p["w_x"] + p.get("b", 0.0), h @ p["w_h"]
    if cell == "rnn":
        return (candidate(clip(from_x + from_h)),)
    units = p["w_x"].shape[1] // (3 if cell == "gru" or options.get("coupled") else 4)
    x_sums, h_sums = from_x.split(units, dim=1), from_h.split(units, dim=1)
    if cell == "gru":
        r, z = (gate(clip(x_sums[k] + h_sums[k])) for k in range(2))
        if options.get("reset") == "before":
            inner = (r * h) @ p["w_h"][:, 2 * units :]
        else:
            inner = r * (h_sums[2] + p.get("q", 0.0))
        n = candidate(clip(x_sums[2] + inner))
        return ((1.0 - z) * n + z * h,)
    sums = [a + b for a, b in zip(x_sums, h_sums)]
    c = state[1]
    peepholes = p["p"].split(units) if "p" in p else [0.0, 0.0, 0.0]
    i = gate(clip(sums[0] + peepholes[0] * c))
    f = 1.0 - i if options.get("coupled") else gate(clip(sums[1] + peepholes[1] * c))
    c = clipped(f * c + i * candidate(clip(sums[-2])), options.get("clip_state"))
    zoneout = options.get("zoneout_cell", 0.0)
    o = gate(clip(sums[-1] + peepholes[-1] * (zoneout * state[1] + (1.0 - zoneout) * c)))
    h = o * output(c)
    return (h @ p["r"] if "r" in p else h), c


def direction(cell, x, lengths, start, p, options, activations, reverse):
    """Outputs [batch][steps][h] and the final states."""
    zoneout = [options.get("zoneout", 0.0), options.get("zoneout_cell", 0.0)]
    state, y = start, [None] * x.shape[1]
    for t in reversed(range(x.shape[1])) if reverse else range(x.shape[1]):
        alive = (t < lengths)[:, None]
        new = step(cell, x[:, t], state, p, options, activations)
        new = [z * old + (1.0 - z) * value for z, old, value in zip(zoneout, state, new)]
        state = [torch.where(alive, value, old) for value, old in zip(new, state)]
        y[t] = torch.where(alive, state[0], torch.zeros_like(state[0]))
    return torch.stack(y, dim=1), state


DEFAULT = {"gates": "sigmoid", "candidate": "tanh", "output": "tanh"}


def case(rng, what, cell, activation="tanh", layers=1, ragged=True, started=True, scale=1.0, **options):
    both = options.get("direction") == "bidirectional"
    reverses = {"forward": [False], "reverse": [True], "bidirectional": [False, True]}[options.get("direction", "forward")]
    units, inputs, steps, batch = (int(rng.integers(low, high)) for low, high in [(2, 5), (1, 4), (2, 7), (2, 4)])
    units = max(units, options.get("projection", 0))
    h_size = options.get("projection") or units
    sizes = [h_size, units] if cell == "lstm" else [h_size]
    lengths = torch.from_numpy(rng.integers(1, steps + 1, batch)) if ragged else torch.full((batch,), steps)
    trains = not (options.get("zoneout") or options.get("zoneout_cell"))

    def leaf(shape, scale):
        return torch.tensor(decimals(rng, shape, scale), requires_grad=True)

    x = leaf((batch, steps, inputs), 2.0)
    y, parameters, starts, ends = x, [], [], []
    for _ in range(layers):
        outputs = []
        for index, reverse in enumerate(reverses):
            p = {
                name: leaf(shape, scale / shape[0] ** 0.5 if name in ("w_x", "w_h", "r") else 0.6)
                for name, shape in shapes(cell, y.shape[2], units, options).items()
            }
            own = [p[name] for name in ["h0", "c0"] if name in p]
            if started or not own:
                start = [leaf((batch, size), 1.0 if started else 0.0) for size in sizes]
            else:
                # Each sequence has a copy, so that its gradient can be told.
                start = [value.expand(batch, -1) for value in own]
                for value in start:
                    value.retain_grad()
            activations = options["activations"][index] if "activations" in options else DEFAULT
            if cell == "rnn":
                activations = {"gates": "tanh", "candidate": activation, "output": "tanh"}
            out, end = direction(cell, y, lengths, start, p, options, activations, reverse)
            outputs.append(out)
            parameters += p.values()
            starts += start
            ends += end
        first, last = outputs[0], outputs[-1]
        merge = options.get("merge", "concat")
        if both:
            y = {
                "concat": torch.cat(outputs, dim=2),
                "sum": first + last,
                "mean": (first + last) / 2.0,
                "product": first * last,
            }[merge]
        else:
            y = first
    dy = decimals(rng, tuple(y.shape))
    dends = [decimals(rng, tuple(end.shape)) for end in ends]
    loss = (y * torch.from_numpy(dy)).sum()
    for end, d in zip(ends, dends):
        loss = loss + (end * torch.from_numpy(d)).sum()
    loss.backward()

    def numbers(tensor_list, digits):
        return [value for tensor in tensor_list for value in shortened(tensor.detach(), digits)]

    def by_sequence(states, digits):
        return shortened(np.concatenate([np.asarray(torch.as_tensor(s).detach()) for s in states], axis=1), digits)

    def gradient(tensor):
        return torch.zeros_like(tensor) if tensor.grad is None else tensor.grad

    network = {"name": what, "cell": cell} | ({"activation": activation} if cell == "rnn" else {})
    return network | {
        "options": options,
        "inputs": inputs,
        "units": units,
        "layers": layers,
        "steps": steps,
        "batch": batch,
        "lengths": lengths.tolist() if ragged else None,
        "tensors": [parameter.numel() for parameter in parameters],
        "parameters": numbers(parameters, 8),
        "x": shortened(x.detach(), 8),
        "state_in": by_sequence(starts, 8) if started else None,
        "dy": shortened(dy, 8) if trains else None,
        "dstate_out": by_sequence(dends, 8) if trains else None,
        "y": shortened(y.detach(), DIGITS),
        "state_out": by_sequence(ends, DIGITS),
        "dx": shortened(gradient(x), DIGITS) if trains else None,
        "dstate_in": by_sequence([gradient(start) for start in starts], DIGITS) if trains else None,
        "gradients": numbers([gradient(parameter) for parameter in parameters], DIGITS) if trains else None,
    }


def chosen(gates, candidate, output="tanh"):
    return {"gates": gates, "candidate": candidate, "output": output}


def main():
    torch.set_num_threads(1)
    rng = np.random.default_rng(13)
    cases = []

    def add(what, cell, **arguments):
        cases.append(case(rng, what, cell, **arguments))

    both = dict(direction="bidirectional")
    hard = {"hard_sigmoid": {"alpha": 0.25, "beta": 0.4}}
    for reset in ["before", "after"]:
        name = f"GRU, reset {reset}"
        add(name, "gru", reset=reset)
        add(f"{name}, 2 bidirectional layers, no bias", "gru", layers=2, reset=reset, bias=False, **both)
        add(f"{name}, reverse, clip", "gru", reset=reset, direction="reverse", clip_sums=0.5)
        add(f"{name}, trainable initial state", "gru", started=False, reset=reset, initial_state="trainable", **both)
        add(f"{name}, zoneout", "gru", reset=reset, zoneout=0.3)
        for activations in [
            chosen(hard, "softsign"),
            chosen("softsign", {"elu": {"alpha": 0.7}}),
            chosen({"affine": {"alpha": 0.3, "beta": 0.4}}, {"leaky_relu": {"alpha": 0.2}}),
            chosen("hard_tanh", {"scaled_tanh": {"alpha": 1.3, "beta": 0.6}}),
            chosen("sigmoid", {"thresholded_relu": {"alpha": 0.2}}),
            chosen("sigmoid", "softplus"),
        ]:
            add(f"{name}, functions", "gru", reset=reset, activations=[activations, DEFAULT], scale=0.8)
    add("LSTM, peepholes", "lstm", peepholes=True)
    add("LSTM, peepholes, projection", "lstm", peepholes=True, projection=3)
    add("LSTM, coupled", "lstm", coupled=True, direction="reverse")
    add("LSTM, coupled, peepholes, projection, 2 bidirectional layers", "lstm", layers=2, coupled=True, peepholes=True, projection=2, **both)
    add("LSTM, clip of the sums", "lstm", clip_sums=0.5)
    add("LSTM, clip of the state", "lstm", clip_state=0.3)
    add("LSTM, both clips, peepholes", "lstm", clip_sums=0.7, clip_state=0.4, peepholes=True)
    add("LSTM, both clips, peepholes, coupled, no bias", "lstm", clip_sums=0.6, clip_state=0.3, peepholes=True, coupled=True, bias=False)
    add("LSTM, trainable initial state", "lstm", started=False, initial_state="trainable", projection=2, **both)
    add("LSTM, trainable initial state that is not used", "lstm", initial_state="trainable")
    add("LSTM, zoneout", "lstm", zoneout=0.2, zoneout_cell=0.4, peepholes=True)
    add("LSTM, zoneout, projection, bidirectional", "lstm", zoneout=0.3, zoneout_cell=0.1, projection=2, **both)
    for activations in [
        chosen(hard, "softsign", "softsign"),
        chosen("softsign", {"elu": {"alpha": 0.7}}, "relu"),
        chosen({"affine": {"alpha": 0.2, "beta": 0.3}}, {"leaky_relu": {"alpha": 0.2}}, {"affine": {"alpha": 0.7, "beta": 0.1}}),
        chosen("hard_tanh", {"scaled_tanh": {"alpha": 1.3, "beta": 0.6}}, "linear"),
        chosen("sigmoid", {"thresholded_relu": {"alpha": 0.2}}, {"elu": {"alpha": 0.5}}),
        chosen("sigmoid", "softplus", hard),
        chosen(hard, "hard_tanh", "softplus"),
    ]:
        add("LSTM, functions", "lstm", activations=[activations, DEFAULT], scale=0.8)
    add(
        "LSTM, functions for each direction, peepholes, mean",
        "lstm",
        activations=[chosen(hard, "softsign", "linear"), chosen("sigmoid", "hard_tanh", "softsign")],
        peepholes=True,
        merge="mean",
        **both,
    )
    add("RNN, clip", "rnn", clip_sums=0.6, **both)
    add("RNN, trainable initial state, product", "rnn", started=False, initial_state="trainable", merge="product", **both)
    add("RNN, zoneout", "rnn", zoneout=0.25, direction="reverse")
    for activation in [hard, "hard_tanh", "softsign", "softplus", {"elu": {"alpha": 1.0}}, {"scaled_tanh": {"alpha": 1.7, "beta": 0.6}}]:
        add("RNN, function", "rnn", activation=activation, scale=0.8)
    write("cells_formulas.json", ABOUT, cases)


main()
