"""Trains networks of PyTorch for ten steps: state dicts of before in import_training/*.safetensors, what is fed and what comes of
it in import_training.json.

    python generate_import_training.py            # writes the files
    python generate_import_training.py --check    # compares with them

SGD on the mean squared error of all outputs, in float64, one batch. elman keeps one bias where PyTorch keeps two: before the first
step bias_hh is added to bias_ih and set to 0, and stays there, but for the candidate of a GRU, which keeps both. The networks of
last have momentum and weight decay, and the norm of all gradients is limited (to the limit itself, where PyTorch's own function
adds 1e-6 to the norm). Needs numpy, torch and safetensors.
"""

import json
import pathlib
import sys

import torch
from generate_import_torch import Recurrent, first_column
from safetensors.torch import load_file, save_file
from torch import nn

HERE = pathlib.Path(__file__).parent
BATCH, STEPS, UPDATES, RATE = 3, 6, 10, 0.3
PLAIN = dict(momentum=0.0, weight_decay=0.0, limit=None)
LIMITED = dict(momentum=0.9, weight_decay=0.05, limit=0.5)


def cases():
    """Name, inputs, outputs, description, modules (one for each layer with parameters), network, and settings of SGD."""
    sizes = dict(batch_first=True)
    yield "tanh", 2, 1, None, ["rnn", "rnn", "behind.0"], Recurrent(
        "rnn", nn.RNN(2, 5, num_layers=2, **sizes), behind=[nn.Linear(5, 1)]
    ), PLAIN
    relu = {"layers": [{"module": "rnn", "activation": "relu"}, {"module": "behind.0"}]}
    yield "relu", 2, 1, relu, ["rnn", "behind.0"], Recurrent(
        "rnn", nn.RNN(2, 5, nonlinearity="relu", **sizes), behind=[nn.Linear(5, 1)]
    ), PLAIN
    yield "lstm", 2, 2, None, ["lstm", "lstm", "behind.0"], Recurrent(
        "lstm", nn.LSTM(2, 4, num_layers=2, **sizes), behind=[nn.Linear(4, 2)]
    ), PLAIN
    yield "bidirectional", 2, 1, None, ["lstm", "behind.0"], Recurrent(
        "lstm", nn.LSTM(2, 3, bidirectional=True, **sizes), behind=[nn.Linear(6, 1)]
    ), PLAIN
    yield "projected", 2, 1, None, ["lstm", "behind.0"], Recurrent(
        "lstm", nn.LSTM(2, 5, proj_size=3, **sizes), behind=[nn.Linear(3, 1)]
    ), PLAIN
    yield "gru", 2, 1, None, ["gru", "gru", "behind.0"], Recurrent(
        "gru", nn.GRU(2, 4, num_layers=2, **sizes), behind=[nn.Linear(4, 1)]
    ), PLAIN
    yield "gru_without_bias", 2, 1, None, ["gru", "behind.0"], Recurrent(
        "gru", nn.GRU(2, 5, bias=False, **sizes), behind=[nn.Linear(5, 1)]
    ), PLAIN
    embedded = {
        "input_size": 2,
        "layers": [{"module": "before.embedding", "columns": [0]}, {"module": "lstm"}, {"module": "behind.0"}],
    }
    yield "embedding", 2, 1, embedded, ["before.embedding", "lstm", "behind.0"], Recurrent(
        "lstm", nn.LSTM(4, 4, **sizes), before=first_column(nn.Embedding(6, 3)), behind=[nn.Linear(4, 1)]
    ), PLAIN
    normed = {
        "layers": [
            {"module": "gru"},
            {"module": "behind.0"},
            {"module": "behind.1", "activation": "relu"},
            {"module": "behind.3"},
        ]
    }
    yield "norm", 2, 1, normed, ["gru", "behind.0", "behind.1", "behind.3"], Recurrent(
        "gru", nn.GRU(2, 4, **sizes), behind=[nn.LayerNorm(4), nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 1)]
    ), PLAIN
    for cell in nn.LSTM, nn.GRU:
        yield f"limited_{cell.__name__.lower()}", 2, 1, None, ["rnn", "behind.0"], Recurrent(
            "rnn", cell(2, 4, **sizes), behind=[nn.Linear(4, 1)]
        ), LIMITED


def fixed_part(recurrent, bias):
    """The part of bias_hh whose sum with bias_ih is all that counts."""
    return bias[: 2 * recurrent.hidden_size] if isinstance(recurrent, nn.GRU) else bias


def train(network, x, targets, momentum, weight_decay, limit):
    recurrent = network.get()
    names = [name for name, _ in recurrent.named_parameters() if name.startswith("bias_hh")]
    with torch.no_grad():
        for name in names:
            second = fixed_part(recurrent, getattr(recurrent, name))
            fixed_part(recurrent, getattr(recurrent, name.replace("hh", "ih"))).add_(second)
            second.zero_()
    optimizer = torch.optim.SGD(network.parameters(), lr=RATE, momentum=momentum, weight_decay=weight_decay)
    losses = []
    for _ in range(UPDATES):
        optimizer.zero_grad()
        loss = nn.functional.mse_loss(network(x), targets)
        loss.backward()
        for name in names:
            fixed_part(recurrent, getattr(recurrent, name).grad).zero_()
        norm = nn.utils.get_total_norm(parameter.grad for parameter in network.parameters())
        if limit is not None and norm > limit:
            for parameter in network.parameters():
                parameter.grad *= limit / norm
        optimizer.step()
        losses.append(loss.item())
    return losses


def main():
    check = "--check" in sys.argv
    torch.manual_seed(3)
    stored = json.loads((HERE / "import_training.json").read_text())["cases"] if check else []
    written = []
    for index, (name, inputs, outputs, description, modules, network, settings) in enumerate(cases()):
        network = network.double()
        path = HERE / "import_training" / f"{name}.safetensors"
        if check:
            state = load_file(path)
        else:
            state = {key: torch.randn(value.shape) * 0.5 for key, value in network.state_dict().items()}
            path.parent.mkdir(exist_ok=True)
            save_file(state, path)
        network.load_state_dict({key: value.double() for key, value in state.items()})
        x = torch.randn(BATCH, STEPS, inputs)
        if name == "embedding":
            x[..., 0] = torch.randint(0, 6, (BATCH, STEPS)).float()
        targets = torch.randn(BATCH, STEPS, outputs)
        if check:
            x, targets = (torch.tensor(stored[index][key]).view_as(like) for key, like in (("x", x), ("targets", targets)))
        losses = train(network, x.double(), targets.double(), **settings)
        after = {key: value.flatten().tolist() for key, value in network.state_dict().items()}
        if check:
            for key, values in stored[index]["after"].items():
                worst = max(abs(a - b) for a, b in zip(values, after[key], strict=True))
                assert worst < 1e-12, (name, key, worst)
            continue
        case = dict(name=path.name, modules=modules, batch=BATCH, steps=STEPS, updates=UPDATES, rate=RATE) | settings
        case["description"] = description and json.dumps(description)
        case["x"], case["targets"] = x.flatten().tolist(), targets.flatten().tolist()
        written.append(case | dict(losses=losses, after=after))
    if check:
        print("the parameters agree")
        return
    version = torch.__version__.split("+")[0]
    about = f"State dicts of PyTorch {version} in import_training/*.safetensors, and after ten steps of SGD."
    cases_text = ",\n".join(json.dumps(case) for case in written)
    (HERE / "import_training.json").write_text(f'{{"about": {json.dumps(about)}, "cases": [\n{cases_text}\n]}}\n')


if __name__ == "__main__":
    main()
