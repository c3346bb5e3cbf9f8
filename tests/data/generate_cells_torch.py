"""Computes cells_torch.json with PyTorch, in float64: outputs, final states and all gradients of nn.RNN, nn.GRU and nn.LSTM.

    python generate_cells_torch.py            # writes the file
    python generate_cells_torch.py --check    # compares it

The loss whose gradients these are is sum(y * dy) + sum(final states * dstate_out). Needs numpy and torch.
"""

import numpy as np
import torch
from cells import decimals, shortened, states_by_sequence, write
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

ABOUT = "nn.RNN, nn.GRU and nn.LSTM of PyTorch: values and gradients in float64."
CELLS = ["lstm", "projected", "gru", "tanh", "relu"]
UNITS = [1, 3, 5, 5, 8, 8, 9]
MOST_PARAMETERS = 260
DIGITS = 11


def module(cell, inputs, units, projection, layers, bias, bidirectional):
    sizes = dict(num_layers=layers, bias=bias, bidirectional=bidirectional, batch_first=True, dtype=torch.float64)
    if cell in ("lstm", "projected"):
        return nn.LSTM(inputs, units, proj_size=projection, **sizes)
    if cell == "gru":
        return nn.GRU(inputs, units, **sizes)
    return nn.RNN(inputs, units, nonlinearity=cell, **sizes)


def tensors(module, layer, suffix, values):
    """Parameters of a direction of a layer, or their gradients, in elman's form. PyTorch has two biases that are added,
    except those of a GRU's n: the gradient of a sum is that of each."""
    gradient = values == "gradients"

    def of(name):
        tensor = getattr(module, f"{name}_l{layer}{suffix}")
        return (tensor.grad if gradient else tensor).detach().numpy()

    units = module.hidden_size
    gru = isinstance(module, nn.GRU)
    result = [of("weight_ih").T, of("weight_hh").T]
    if module.bias:
        b = of("bias_ih") if gradient else of("bias_ih") + of("bias_hh")
        if gru:
            b = np.concatenate([b[: 2 * units], of("bias_ih")[2 * units :]])
        result.append(b)
        if gru:
            result.append(of("bias_hh")[2 * units :])
    if getattr(module, "proj_size", 0):
        result.append(of("weight_hr").T)
    return result


def merged(y, merge):
    if merge == "concat":
        return y
    forward, reverse = y.chunk(2, dim=2)
    return {"sum": forward + reverse, "mean": (forward + reverse) / 2, "product": forward * reverse}[merge]


def case(rng, cell, layers, bidirectional, bias, ragged, started, merge, units):
    """Where the directions are put side by side, PyTorch stacks the layers itself."""
    lstm = cell in ("lstm", "projected")
    directions = 2 if bidirectional else 1
    projection = int(rng.integers(1, units)) if cell == "projected" else 0
    h_size = projection or units
    inputs, steps, batch = (int(rng.integers(1, most + 1)) for most in (7, 9, 5))
    batch = max(batch, 2) if ragged else batch
    if merge == "concat":
        modules = [module(cell, inputs, units, projection, layers, bias, bidirectional)]
    else:
        sizes = [inputs] + [h_size] * (layers - 1)
        modules = [module(cell, size, units, projection, 1, bias, bidirectional) for size in sizes]
    parameters = [parameter for m in modules for parameter in m.parameters()]
    if sum(parameter.numel() for parameter in parameters) > (1500 if units == 17 else MOST_PARAMETERS):
        return None
    with torch.no_grad():
        for parameter in parameters:
            scale = 0.5 if parameter.dim() == 1 else 1.5 / parameter.shape[1] ** 0.5
            parameter.copy_(torch.from_numpy(decimals(rng, tuple(parameter.shape), scale)))

    lengths = None
    if ragged:
        lengths = [int(length) for length in rng.integers(1, steps + 1, batch)]
        # One of them is full.
        lengths[int(rng.integers(batch))] = steps
    x = torch.tensor(decimals(rng, (batch, steps, inputs), 2.0), requires_grad=True)
    outputs = h_size * (directions if merge == "concat" else 1)
    dy = decimals(rng, (batch, steps, outputs))

    def states(sizes, scale):
        return [
            [decimals(rng, (batch, size), scale) for size in sizes] for _ in range(layers * directions)
        ]

    sizes = [h_size, units] if lstm else [h_size]
    start, dstate = states(sizes, 1.0 if started else 0.0), states(sizes, 1.0)
    start = [[torch.tensor(state, requires_grad=True) for state in both] for both in start]

    each = layers * directions // len(modules)
    y, ends, loss = x, [], 0.0
    for index, m in enumerate(modules):
        of_module = start[index * each : (index + 1) * each]
        hx = tuple(torch.stack([both[k] for both in of_module]) for k in range(len(sizes)))
        if ragged:
            y = pack_padded_sequence(y, lengths, batch_first=True, enforce_sorted=False)
        y, final = m(y, hx if lstm else hx[0])
        if ragged:
            y, _ = pad_packed_sequence(y, batch_first=True, total_length=steps)
        y = merged(y, merge)
        final = final if lstm else (final,)
        ends += [[final[k][i] for k in range(len(sizes))] for i in range(each)]
    loss = (y * torch.from_numpy(dy)).sum()
    for end, d in zip(ends, dstate):
        loss = loss + sum((e * torch.from_numpy(g)).sum() for e, g in zip(end, d))
    loss.backward()

    suffixes = ["", "_reverse"][:directions]

    def all_tensors(values):
        return [
            tensor
            for m in modules
            for layer in range(m.num_layers)
            for suffix in suffixes
            for tensor in tensors(m, layer, suffix, values)
        ]

    def by_sequence(nested):
        return states_by_sequence([state for both in nested for state in both])

    def flat(values):
        return np.concatenate([tensor.ravel() for tensor in values])

    options = {}
    if bidirectional:
        options["direction"] = "bidirectional"
    if merge != "concat":
        options["merge"] = merge
    if not bias:
        options["bias"] = False
    if projection:
        options["projection"] = projection
    described = [cell, "1 layer" if layers == 1 else f"{layers} layers", "bidirectional" if bidirectional else "forward", merge if bidirectional else ""]
    described += ["ragged" if ragged else "", "from a state" if started else "", "" if bias else "no bias"]
    network = {"name": ", ".join(word for word in described if word)}
    network["cell"] = "lstm" if lstm else "gru" if cell == "gru" else "rnn"
    if network["cell"] == "rnn":
        network["activation"] = cell
    # What has faded on the way is lost in the rounding of float32.
    faintest = min(np.abs(values).max() for values in [*all_tensors("gradients"), y.detach().numpy(), x.grad.numpy()])
    if faintest < 0.02:
        return None
    sizes = [tensor.size for tensor in all_tensors("parameters")]
    return network | {
        "options": options,
        "inputs": inputs,
        "units": units,
        "layers": layers,
        "steps": steps,
        "batch": batch,
        "lengths": lengths,
        "tensors": sizes,
        "parameters": shortened(flat(all_tensors("parameters")), 4),
        "x": shortened(x.detach(), 4),
        "state_in": shortened(by_sequence([[s.detach() for s in both] for both in start]), 4) if started else None,
        "dy": shortened(dy, 4),
        "dstate_out": shortened(by_sequence(dstate), 4),
        "y": shortened(y.detach(), DIGITS),
        "state_out": shortened(by_sequence([[s.detach() for s in both] for both in ends]), DIGITS),
        "dx": shortened(x.grad, DIGITS),
        "dstate_in": shortened(by_sequence([[s.grad for s in both] for both in start]), DIGITS),
        "gradients": [
            value for tensor in all_tensors("gradients") for value in shortened(tensor, DIGITS)
        ],
    }


def drawn(rng, cell, layers, bidirectional, *others):
    """Sizes are drawn until the network is small enough. One of each cell has a vector of units, or two, and one more."""
    while True:
        units = 17 if layers == 1 and not bidirectional and others[1] and not others[2] else int(rng.choice(UNITS))
        if units > 1 or cell != "projected":
            found = case(rng, cell, layers, bidirectional, *others, units)
            if found:
                return found


def main():
    torch.set_num_threads(1)
    rng = np.random.default_rng(10)
    cases = []
    for cell in CELLS:
        for bidirectional in (False, True):
            for bits in range(4):
                bias, ragged, started = bits != 1, bits % 2 == 0, bits >= 2
                layers = 1 + (bits + bidirectional) % 3
                cases.append(drawn(rng, cell, layers, bidirectional, bias, ragged, started, "concat"))
    for ragged, merge in [(True, "sum"), (False, "mean"), (True, "product")]:
        for cell, layers in [("lstm", 1), ("gru", 2)]:
            cases.append(drawn(rng, cell, layers, True, True, ragged, layers == 1, merge))
    write("cells_torch.json", ABOUT, cases)


main()
