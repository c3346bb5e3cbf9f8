"""Recomputes the reference numbers of the JSON files in this directory.

    python generate_reference.py            # rewrites the files
    python generate_reference.py --check    # compares, exit status 1 where a number cannot be reproduced

Inputs (data, start weights, settings) are read from the files. Everything that follows from them is computed here in
float64, with NumPy step by step or with PyTorch, and never with the engine that is tested against it. Needs numpy and
torch.
"""

import argparse
import json
import math
import sys
from pathlib import Path

import numpy as np
import torch

DIRECTORY = Path(__file__).resolve().parent
# Largest accepted difference, relative to the largest number of the same array: what another order of summation costs.
TOLERANCE = 1e-12
# This training is so steep that a rounding error doubles with every epoch or two: after 50 of them, two orders of
# summation are some 1e-6 apart.
TOLERANCES = {"classifier_demo": 1e-5}


def rnn_states(x, w_x, w_h, b, h0):
    """States [steps + 1][batch][nodes] of a tanh RNN, h0 first, for x [batch][steps][features]."""
    states = [h0]
    for t in range(x.shape[1]):
        states.append(np.tanh(x[:, t] @ w_x + states[-1] @ w_h + b))
    return np.array(states)


def rnn_gradients(x, w_x, w_h, states, d_states):
    """Backpropagation through time; d_states [steps][batch][nodes] is what arrives at each state from outside."""
    d_w_x, d_w_h, d_b = np.zeros_like(w_x), np.zeros_like(w_h), np.zeros(w_h.shape[0])
    d_x, d_h = np.zeros_like(x), np.zeros_like(states[0])
    for t in reversed(range(x.shape[1])):
        d_sum = (d_h + d_states[t]) * (1.0 - states[t + 1] ** 2)
        d_w_x += x[:, t].T @ d_sum
        d_w_h += states[t].T @ d_sum
        d_b += d_sum.sum(axis=0)
        d_x[:, t] = d_sum @ w_x.T
        d_h = d_sum @ w_h.T
    return {"dW_x": d_w_x, "dW_h": d_w_h, "dB": d_b, "dX": d_x, "dh0": d_h}


def small_sequence(data):
    x, w_x, w_h, b = (np.array(data[key]) for key in ("x", "W_x", "W_h", "B"))
    states = rnn_states(x, w_x, w_h, b, np.zeros((1, 4)))
    continued = rnn_states(x, w_x, w_h, b, states[-1])
    into_all = np.ones_like(states[1:])
    into_last = np.zeros_like(into_all)
    into_last[-1] = 1.0
    return {
        "states": states[1:, 0],
        "states_continued": continued[1:, 0],
        "grad_last": rnn_gradients(x, w_x, w_h, states, into_last),
        "grad_all": rnn_gradients(x, w_x, w_h, states, into_all),
    }


def binary_sum(data):
    x = np.array(data["X"])
    targets = x.sum(axis=1)
    count, steps = x.shape

    def cost_and_gradient(w_x, w_h):
        states = np.zeros((steps + 1, count))
        for t in range(steps):
            states[t + 1] = x[:, t] * w_x + states[t] * w_h
        error = states[-1] - targets
        d_h = 2.0 * error / count
        gradient = np.zeros(2)
        for t in reversed(range(steps)):
            gradient += (d_h @ x[:, t], d_h @ states[t])
            d_h = d_h * w_h
        return (error**2).sum() / count, gradient

    w, step, last_sign = np.array([-10.0, 7.0]), np.full(2, 0.001), np.zeros(2)
    trajectory = [w]
    for _ in range(10_000):
        sign = np.sign(cost_and_gradient(*w)[1])
        step = step * np.where(sign == last_sign, 1.2, 0.5)
        w, last_sign = w - sign * step, sign
        trajectory.append(w)

    cost, gradient = cost_and_gradient(1.2, 1.2)
    return {
        "targets": targets,
        "cost_at_1_2": cost,
        "grad_at_1_2": gradient,
        "rprop_trajectory": np.array(trajectory[:41]),
        "rprop_final": trajectory[-1],
        "test_sums": np.array(data["test_sequences"]).sum(axis=1),
    }


def classifier_demo(data):
    x, labels = np.array(data["x"]), np.array(data["labels"])
    w = {key: np.array(value) for key, value in data["init"].items()}
    count, steps, _ = x.shape
    wanted = np.eye(2)[labels]
    h0 = np.zeros((count, 8))

    def forward():
        states = rnn_states(x, w["W_x"], w["W_h"], w["B"], h0)
        logits = states[-1] @ w["W_out"] + w["b_out"]
        exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
        return states, exponentials / exponentials.sum(axis=1, keepdims=True)

    losses = []
    for _ in range(50):
        states, p = forward()
        losses.append(-(wanted * np.log(p + 1e-8)).sum() / count)
        d_logits = p - wanted
        d_states = np.zeros((steps, *h0.shape))
        # Not divided by the number of sequences, other than the output layer's gradients below.
        d_states[-1] = d_logits @ w["W_out"].T
        gradients = rnn_gradients(x, w["W_x"], w["W_h"], states, d_states)
        gradients = {key: gradients["d" + key] for key in ("W_x", "W_h", "B")}
        gradients["W_out"] = states[-1].T @ d_logits / count
        gradients["b_out"] = d_logits.sum(axis=0) / count
        w = {key: value - 0.1 * gradients[key] for key, value in w.items()}

    predictions = forward()[1].argmax(axis=1)
    return {
        "losses": np.array(losses),
        "final": w,
        "predictions": predictions,
        "accuracy": (predictions == labels).mean(),
    }


def optimizer_reference(data):
    rules = {
        "sgd": torch.optim.SGD,
        "sgd_momentum": torch.optim.SGD,
        "sgd_nesterov": torch.optim.SGD,
        "adagrad": torch.optim.Adagrad,
        "rmsprop": torch.optim.RMSprop,
        "adam": torch.optim.Adam,
        "adamw": torch.optim.AdamW,
        "rprop": torch.optim.Rprop,
    }
    result = {}
    for name, entry in data["optimizers"].items():
        p = torch.tensor(data["start"], dtype=torch.float64, requires_grad=True)
        optimizer = rules[name]([p], **entry["settings"])
        after = {}
        for k in range(50):
            p.grad = torch.tensor(
                [
                    2.0 * (value - 0.3 * i) * (1.0 + 0.1 * i) + math.sin(1.7 * k + i)
                    for i, value in enumerate(p.tolist())
                ],
                dtype=torch.float64,
            )
            optimizer.step()
            if str(k + 1) in entry["after"]:
                after[str(k + 1)] = p.detach().numpy().copy()
        result[name] = {"after": after}
    return {"optimizers": result}


def rnn_case(case):
    steps, batch, hidden, layers = (case[k] for k in ("steps", "batch", "hidden", "layers"))

    def tensor(values, *shape):
        return torch.tensor(values, dtype=torch.float64).reshape(shape)

    def flat(values):
        return values.detach().numpy().reshape(-1)

    biased = "B" in case["params"][0]
    rnn = torch.nn.RNN(
        case["input"],
        hidden,
        num_layers=layers,
        nonlinearity=case["activation"],
        bias=biased,
        batch_first=True,
        dtype=torch.float64,
    )
    with torch.no_grad():
        for layer, params in enumerate(case["params"]):
            getattr(rnn, f"weight_ih_l{layer}").copy_(tensor(params["W_x"], -1, hidden).T)
            getattr(rnn, f"weight_hh_l{layer}").copy_(tensor(params["W_h"], hidden, hidden).T)
            if biased:
                getattr(rnn, f"bias_ih_l{layer}").copy_(tensor(params["B"], hidden))
                getattr(rnn, f"bias_hh_l{layer}").zero_()

    x = tensor(case["x"], batch, steps, -1).requires_grad_()
    h0 = tensor(case["h0"], layers, batch, hidden).requires_grad_()
    if case["lengths"] is None:
        y, h_last = rnn(x, h0)
    else:
        pack, unpack = torch.nn.utils.rnn.pack_padded_sequence, torch.nn.utils.rnn.pad_packed_sequence
        packed, h_last = rnn(pack(x, case["lengths"], batch_first=True, enforce_sorted=False), h0)
        y, _ = unpack(packed, batch_first=True, total_length=steps)
    dy, dh_last = tensor(case["dy"], batch, steps, hidden), tensor(case["dh_last"], layers, batch, hidden)
    ((y * dy).sum() + (h_last * dh_last).sum()).backward()

    params = []
    for layer in range(layers):
        gradients = {
            "dW_x": flat(getattr(rnn, f"weight_ih_l{layer}").grad.T),
            "dW_h": flat(getattr(rnn, f"weight_hh_l{layer}").grad.T),
        }
        if biased:
            gradients["dB"] = flat(getattr(rnn, f"bias_ih_l{layer}").grad)
        params.append(gradients)
    return {
        "y": flat(y),
        "h_last": flat(h_last),
        "dx": flat(x.grad),
        "dh0": flat(h0.grad),
        "params": params,
    }


def rnn_reference(data):
    return {"cases": [rnn_case(case) for case in data["cases"]]}


def class_weights(data):
    cases = []
    for case in data["cases"]:
        logits = torch.tensor(case["logits"], dtype=torch.float64).reshape(len(case["labels"]), -1)
        logits.requires_grad_()
        weights = torch.tensor(case["weights"], dtype=torch.float64)
        loss = torch.nn.CrossEntropyLoss(weight=weights, ignore_index=-100)
        value = loss(logits, torch.tensor(case["labels"]))
        value.backward()
        cases.append({"loss": value.item(), "gradient": logits.grad.flatten().numpy()})
    return {"cases": cases}


def merged(old, new, deviations, where):
    """`old` with the recomputed values of `new` in place; notes how far each of them was from the old one."""
    if isinstance(new, dict):
        unknown = new.keys() - old.keys()
        if unknown:
            raise KeyError(f"{where}: {sorted(unknown)} not in the file")
        return {
            key: merged(value, new[key], deviations, f"{where}.{key}") if key in new else value
            for key, value in old.items()
        }
    if isinstance(new, list):
        pairs = enumerate(zip(old, new, strict=True))
        return [merged(a, b, deviations, f"{where}[{i}]") for i, (a, b) in pairs]
    a, b = np.asarray(old), np.asarray(new)
    if a.shape != b.shape:
        raise ValueError(f"{where}: shape {b.shape}, in the file {a.shape}")
    absolute = float(np.abs(a - b).max())
    relative = absolute / max(float(np.abs(b).max()), sys.float_info.min)
    # A NaN must not be lost among the numbers that it is compared with.
    deviations.append((math.inf if math.isnan(relative) else relative, absolute, where))
    return b.astype(a.dtype).tolist()


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--check", action="store_true", help="compare instead of rewriting")
    check = parser.parse_args().check

    failed = False
    recomputed = small_sequence, binary_sum, classifier_demo, optimizer_reference, rnn_reference, class_weights
    for recompute in recomputed:
        path = DIRECTORY / f"{recompute.__name__}.json"
        text = path.read_text()
        old = json.loads(text)
        deviations = []
        new = merged(old, recompute(old), deviations, "")
        relative, absolute, where = max(deviations)
        print(
            f"{path.name}: {len(deviations)} arrays, largest deviation {relative:.1e} relative"
            f" ({absolute:.1e} absolute) at {where.lstrip('.')}"
        )
        if check:
            failed |= relative > TOLERANCES.get(recompute.__name__, TOLERANCE)
        else:
            end = text[len(text.rstrip()) :]
            path.write_text(json.dumps(new, separators=(",", ":")) + end)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
