"""Computes the numbers of layers.json: networks of layers that stand around recurrent cells.

    python generate_layers.py            # rewrites the file
    python generate_layers.py --check    # compares, exit status 1 where a number cannot be reproduced

Everything is computed in float64 by PyTorch, gradients by its autograd, and never with the engine that is tested against it.
Needs torch.
"""

import json
import sys
from pathlib import Path

import torch
from torch.nn import functional as F

FILE = Path(__file__).resolve().parent / "layers.json"
STEPS, LENGTHS = 4, [3, 4, 1]

# Inputs, the columns of them that are indices (with the number of classes), layers, and whether all steps are wanted.
CASES = {
    "layer norm": (5, {}, [["rnn", 6], ["norm", 1e-5], ["dense", 3], ["norm", 0.1]], True),
    "layer norm at the last step": (3, {}, [["rnn", 20], ["norm", 1e-5], ["dense", 2]], False),
    "embedding": (1, {0: 4}, [["embedding", [0], 4, 3], ["rnn", 4]], True),
    "embedding beside numbers": (4, {1: 5, 3: 5}, [["embedding", [3, 1], 5, 2], ["rnn", 3], ["dense", 2]], False),
    "two embeddings": (3, {0: 3, 2: 6}, [["embedding", [0], 3, 2], ["embedding", [3], 6, 4], ["rnn", 3]], True),
    "embedding without cells": (2, {1: 3}, [["embedding", [1], 3, 4], ["dense", 2]], False),
    "concat": (3, {}, [["rnn", 4], ["dense", 2], ["concat", [0, 1, 2]], ["rnn", 3]], True),
    "concat of a skipped layer": (2, {}, [["rnn", 3], ["dense", 2], ["concat", [1, 0, 1]], ["dense", 2]], True),
    "concat behind the last step": (3, {}, [["rnn", 4], ["rnn", 2], ["dense", 5], ["concat", [3, 0, 1]], ["dense", 2]], False),
    "residual": (4, {}, [["rnn", 4], ["residual", 0], ["norm", 1e-5], ["rnn", 4], ["residual", 2], ["residual", 4]], True),
    "residual of the input": (2, {}, [["rnn", 5], ["dense", 2], ["residual", 0]], False),
    "a skip around an embedding": (
        3, {0: 4}, [["embedding", [0], 4, 3], ["rnn", 4], ["concat", [0, 2]], ["dense", 3], ["residual", 0]], True),
}


def tensors_of(kind, inputs, arguments):
    if kind == "rnn":
        units = arguments[0]
        return [(inputs, units), (units, units), (units,)], units
    if kind == "dense":
        return [(inputs, arguments[0]), (arguments[0],)], arguments[0]
    if kind == "norm":
        return [(inputs,), (inputs,)], inputs
    if kind == "embedding":
        columns, classes, size = arguments
        return [(classes, size)], inputs - len(columns) + len(columns) * size
    return [], None


def run(layers, parameters, x):
    """Outputs [steps][features] of every layer for one sequence x [steps][features]."""
    values = [x]
    for (kind, *arguments), own in zip(layers, parameters):
        x = values[-1]
        if kind == "rnn":
            h, states = torch.zeros(arguments[0], dtype=x.dtype), []
            for step in x:
                h = torch.tanh(step @ own[0] + h @ own[1] + own[2])
                states.append(h)
            y = torch.stack(states)
        elif kind == "dense":
            y = torch.tanh(x @ own[0] + own[1])
        elif kind == "norm":
            y = F.layer_norm(x, x.shape[-1:], own[0], own[1], arguments[0])
        elif kind == "embedding":
            columns = arguments[0]
            pieces = [
                F.embedding(x[:, c].detach().long(), own[0]) if c in columns else x[:, c : c + 1]
                for c in range(x.shape[1])
            ]
            y = torch.cat(pieces, dim=1)
        elif kind == "concat":
            y = torch.cat([values[i] for i in arguments[0]], dim=1)
        elif kind == "residual":
            y = x + values[arguments[0]]
        values.append(y)
    return values[-1]


def case(name, number):
    inputs, indices, layers, all_steps = CASES[name]
    generator = torch.Generator().manual_seed(number)

    def draw(*shape):
        # Short decimal fractions, so that the file stays small and every reader gets the same numbers.
        values = torch.randn(*shape, generator=generator, dtype=torch.float64)
        return (values * 1000).round() / 1000

    x = draw(len(LENGTHS), STEPS, inputs)
    for column, classes in indices.items():
        drawn = torch.randint(classes, x.shape[:2], generator=generator)
        x[..., column] = drawn.double()
    x.requires_grad_()
    parameters, sizes = [], [inputs]
    for kind, *arguments in layers:
        shapes, outputs = tensors_of(kind, sizes[-1], arguments)
        if kind == "concat":
            outputs = sum(sizes[i] for i in arguments[0])
        parameters.append([draw(*shape).requires_grad_() for shape in shapes])
        sizes.append(outputs or sizes[-1])
    y = torch.zeros(len(LENGTHS), STEPS, sizes[-1], dtype=torch.float64)
    rows = [run(layers, parameters, x[b, :length]) for b, length in enumerate(LENGTHS)]
    dy = draw(*y.shape)
    if all_steps:
        y = torch.stack([F.pad(row, (0, 0, 0, STEPS - len(row))) for row in rows])
    else:
        y, dy = torch.stack([row[-1] for row in rows]), dy[:, 0]
    (y * dy).sum().backward()
    dx = torch.zeros_like(x) if x.grad is None else x.grad.clone()
    for column in indices:
        dx[..., column] = 0.0  # by definition
    flat = [tensor for own in parameters for tensor in own]
    gradients = [torch.zeros_like(t) if t.grad is None else t.grad for t in flat]
    join = lambda tensors: torch.cat([t.flatten() for t in tensors]).tolist()
    return {
        "name": name,
        "inputs": inputs,
        "layers": layers,
        "all_steps": all_steps,
        "steps": STEPS,
        "lengths": LENGTHS,
        "x": x.flatten().tolist(),
        "parameters": join(t.detach() for t in flat),
        "dy": dy.flatten().tolist(),
        "y": y.detach().flatten().tolist(),
        "dx": dx.flatten().tolist(),
        "gradients": join(gradients),
    }


def main():
    about = (
        "Networks whose layers are: rnn [units], tanh; dense [units], tanh; norm [epsilon]; embedding [columns, classes, "
        "size]; concat [layers]; residual [layer]. x [batch][steps][inputs]; y, dy [batch][steps][outputs], or "
        "[batch][outputs] where all_steps is false; gradients are those of the sum of y dy."
    )
    contents = {"about": about, "cases": [case(name, number) for number, name in enumerate(CASES)]}
    if "--check" not in sys.argv:
        FILE.write_text(json.dumps(contents) + "\n")
        return
    old = json.loads(FILE.read_text())
    for new, kept in zip(contents["cases"], old["cases"], strict=True):
        for key, value in new.items():
            if key in ("y", "dx", "gradients"):
                pairs = zip(value, kept[key], strict=True)
                same = all(abs(a - b) <= 1e-12 * max(1.0, abs(b)) for a, b in pairs)
            else:
                same = value == kept[key]
            if not same:
                sys.exit(f"{new['name']}: {key} cannot be reproduced")


main()
