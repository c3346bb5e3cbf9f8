"""Computes cells_keras.json: the layers GRU, LSTM, SimpleRNN and Bidirectional of Keras, by the formulas of its
documentation, in NumPy and float64.

    python generate_cells_keras.py            # writes the file
    python generate_cells_keras.py --check    # compares it

    GRU, gates z r h:  z = s(x K_z + h R_z + b_z), r = s(x K_r + h R_r + b_r), h' = z h + (1 - z) n,
                       reset_after=False: n = tanh(x K_h + (r h) R_h + b_h)
                       reset_after=True:  n = tanh(x K_h + b_h + r (h R_h + q_h)), and z, r have a second bias too
    LSTM, gates i f c o:  c' = f c + i tanh(x K_c + h R_c + b_c), h' = o tanh(c'), i, f, o = s(x K + h R + b)
    hard_sigmoid:  clip(0.2 x + 0.5, 0, 1) in Keras 2, relu6(x + 3) / 6 in Keras 3
    unit_forget_bias:  the bias starts as 0, that of f as 1
    Bidirectional:  the second layer has the steps in reverse and its outputs are put back in order; merge_mode is concat,
                    sum, mul or ave; without return_sequences each layer gives the output of the step that it has last

Needs numpy.
"""

import numpy as np
from cells import decimals, shortened, states_by_sequence, write

ABOUT = (
    "Keras' GRU, LSTM, SimpleRNN and Bidirectional by the formulas of its documentation, in float64. y_last [batch][outputs]"
    " is what return_sequences=False gives."
)
HARD = {
    "Keras 2": (lambda x: np.clip(0.2 * x + 0.5, 0.0, 1.0), {"hard_sigmoid": {"alpha": 0.2, "beta": 0.5}}),
    "Keras 3": (lambda x: np.clip(x + 3.0, 0.0, 6.0) / 6.0, {"hard_sigmoid": {"alpha": 1.0 / 6.0, "beta": 0.5}}),
}
DIGITS = 12


def sigmoid(x):
    return 1.0 / (1.0 + np.exp(-x))


def gru(x, state, weights, activation, recurrent_activation, reset_after):
    """One step; kernel [inputs][3 units], recurrent [units][3 units], bias [2][3 units] or [1][3 units]."""
    (h,) = state
    kernel, recurrent, bias = weights
    x_z, x_r, x_h = np.split(x @ kernel + bias[0], 3, axis=1)
    if reset_after:
        h_z, h_r, h_h = np.split(h @ recurrent + bias[1], 3, axis=1)
    else:
        h_z, h_r = np.split(h @ recurrent[:, : 2 * h.shape[1]], 2, axis=1)
    z, r = recurrent_activation(x_z + h_z), recurrent_activation(x_r + h_r)
    inner = r * h_h if reset_after else (r * h) @ recurrent[:, 2 * h.shape[1] :]
    return (z * h + (1.0 - z) * activation(x_h + inner),)


def lstm(x, state, weights, activation, recurrent_activation, _):
    h, c = state
    kernel, recurrent, bias = weights
    i, f, g, o = np.split(x @ kernel + h @ recurrent + bias[0], 4, axis=1)
    c = recurrent_activation(f) * c + recurrent_activation(i) * activation(g)
    return recurrent_activation(o) * activation(c), c


def simple(x, state, weights, activation, *_):
    kernel, recurrent, bias = weights
    return (activation(x @ kernel + state[0] @ recurrent + bias[0]),)


CELLS = {"gru": (gru, 3, [1, 0, 2]), "lstm": (lstm, 4, [0, 1, 2, 3]), "rnn": (simple, 1, [0])}


def tensors(cell, weights, reset_after):
    """Weights of Keras in elman's form: its gates i f c o are elman's, its z r h are not."""
    _, gates, order = CELLS[cell]
    kernel, recurrent, bias = weights

    def ordered(values):
        parts = np.split(values, gates, axis=-1)
        return np.concatenate([parts[gate] for gate in order], axis=-1)

    result = [ordered(kernel), ordered(recurrent)]
    if cell == "gru" and reset_after:
        # The two biases of z and r are added, those of the candidate stay apart.
        units = recurrent.shape[0]
        sums = ordered(bias[0] + bias[1])
        return result + [np.concatenate([sums[: 2 * units], bias[0][2 * units :]]), bias[1][2 * units :]]
    return result + [ordered(bias[0])]


def layer(x, lengths, cell, weights, reverse, **arguments):
    """Outputs [batch][steps][units], 0 behind the end, and the final states. Steps behind the end are masked: they leave
    the state."""
    step = CELLS[cell][0]
    batch, steps, _ = x.shape
    units = weights[1].shape[0]
    state = [np.zeros((batch, units)) for _ in range(2 if cell == "lstm" else 1)]
    y = np.zeros((batch, steps, units))
    for t in reversed(range(steps)) if reverse else range(steps):
        alive = (t < lengths)[:, np.newaxis]
        new = step(x[:, t], state, weights, arguments["activation"], arguments["gate"], arguments["reset_after"])
        state = [np.where(alive, *pair) for pair in zip(new, state)]
        y[:, t] = np.where(alive, state[0], 0.0)
    return y, state


def case(rng, what, cell, units, merge=None, ragged=False, reset_after=True, hard=None, unit_forget_bias=False):
    _, gates, _ = CELLS[cell]
    inputs, steps, batch = (int(rng.integers(2, most)) for most in (5, 8, 5))
    lengths = rng.integers(1, steps + 1, batch) if ragged else np.full(batch, steps)
    x = decimals(rng, (batch, steps, inputs), 2.0)
    gate, option = HARD[hard] if hard else (sigmoid, None)
    arguments = dict(activation=np.tanh, gate=gate, reset_after=reset_after)
    options, all_tensors, outputs, states = {}, [], [], []
    for reverse in (False, True) if merge else (False,):
        shape = (2 if cell == "gru" and reset_after else 1, gates * units)
        bias = decimals(rng, shape, 0.5)
        if unit_forget_bias:
            bias = np.zeros(shape)
            bias[0, units : 2 * units] = 1.0
        weights = [
            decimals(rng, (inputs, gates * units), 0.8),
            decimals(rng, (units, gates * units), 1.5 / units**0.5),
            bias,
        ]
        y, state = layer(x, lengths, cell, weights, reverse, **arguments)
        all_tensors += tensors(cell, weights, reset_after)
        outputs.append(y)
        states.append(state)

    def merged(values):
        if len(values) == 1:
            return values[0]
        first, second = values
        return {
            "concat": np.concatenate(values, axis=-1),
            "sum": first + second,
            "mean": (first + second) / 2.0,
            "product": first * second,
        }[merge]

    if merge:
        options["direction"] = "bidirectional"
        options["merge"] = merge
    if not reset_after:
        options["reset"] = "before"
    if unit_forget_bias:
        options["forget_bias"] = 1.0
    if option:
        chosen = {"gates": option, "candidate": "tanh", "output": "tanh"}
        options["activations"] = [chosen, chosen]
    network = {"name": what, "cell": cell} | ({"activation": "tanh"} if cell == "rnn" else {})
    return network | {
        "options": options,
        "inputs": inputs,
        "units": units,
        "layers": 1,
        "steps": steps,
        "batch": batch,
        "lengths": [int(length) for length in lengths] if ragged else None,
        "tensors": [tensor.size for tensor in all_tensors],
        "parameters": shortened(np.concatenate([tensor.ravel() for tensor in all_tensors]), 8),
        "x": shortened(x, 8),
        "state_in": None,
        "y": shortened(merged(outputs), DIGITS),
        "y_last": shortened(merged([state[0] for state in states]), DIGITS),
        "state_out": shortened(states_by_sequence([s for state in states for s in state]), DIGITS),
    }


def main():
    rng = np.random.default_rng(12)
    cases = []
    for reset_after in (False, True):
        name = f"GRU, reset_after={reset_after}"
        cases.append(case(rng, name, "gru", 5, reset_after=reset_after))
        for hard in HARD:
            cases.append(
                case(rng, f"{name}, hard_sigmoid of {hard}", "gru", 4, reset_after=reset_after, hard=hard, ragged=True)
            )
        cases.append(
            case(rng, f"Bidirectional {name}", "gru", 3, merge="concat", reset_after=reset_after, hard="Keras 3", ragged=True)
        )
    cases.append(case(rng, "LSTM, unit_forget_bias", "lstm", 5, unit_forget_bias=True))
    for hard in HARD:
        cases.append(case(rng, f"LSTM, hard_sigmoid of {hard}", "lstm", 4, hard=hard, ragged=True))
    for merge in ["concat", "sum", "product", "mean"]:
        cases.append(case(rng, f"Bidirectional LSTM, {merge}", "lstm", 3, merge=merge, ragged=True))
        cases.append(case(rng, f"Bidirectional SimpleRNN, {merge}", "rnn", 4, merge=merge, ragged=True))
    write("cells_keras.json", ABOUT, cases)


main()
