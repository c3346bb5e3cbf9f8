"""Saves state dicts of PyTorch in import/*.safetensors, and what the networks give in import_torch.json.

    python generate_import_torch.py            # writes the files
    python generate_import_torch.py --check    # compares the outputs

Weights are stored as float64, float32, float16 or bfloat16; the outputs are those of the stored weights, in float64. Needs numpy,
torch and safetensors.
"""

import json
import pathlib
import sys

import torch
from safetensors.torch import load_file, save_file
from torch import nn

HERE = pathlib.Path(__file__).parent
STEPS, BATCH = 5, 3


class Recurrent(nn.Module):
    """A recurrent module, what may stand before it, and layers behind it."""

    def __init__(self, path, recurrent, before=None, behind=()):
        super().__init__()
        self.before = before
        self.behind = nn.ModuleList(behind)
        self.path = path
        inner = self
        *parents, last = path.split(".")
        for name in parents:
            child = nn.Module()
            setattr(inner, name, child)
            inner = child
        setattr(inner, last, recurrent)
        self.get = lambda: recurrent

    def forward(self, x):
        if self.before is not None:
            x = self.before(x)
        x, _ = self.get()(x)
        for layer in self.behind:
            x = layer(x)
        return x


def first_column(embedding):
    """The embedding of the first column, beside the others."""

    class Before(nn.Module):
        def __init__(self):
            super().__init__()
            self.embedding = embedding

        def forward(self, x):
            return torch.cat([self.embedding(x[..., 0].long()), x[..., 1:]], dim=-1)

    return Before()


def cell_network():
    class Cells(nn.Module):
        def __init__(self):
            super().__init__()
            self.cell = nn.LSTMCell(2, 5)
            self.out = nn.Linear(5, 3)

        def forward(self, x):
            h = c = x.new_zeros(x.shape[0], 5)
            rows = []
            for step in range(x.shape[1]):
                h, c = self.cell(x[:, step], (h, c))
                rows.append(self.out(h))
            return torch.stack(rows, dim=1)

    return Cells()


def cases():
    sizes = dict(batch_first=True)
    yield "lstm", 3, torch.float32, None, Recurrent(
        "model.encoder.lstm",
        nn.LSTM(3, 4, num_layers=2, bidirectional=True, **sizes),
        behind=[nn.Linear(8, 2)],
    )
    yield "gru", 2, torch.float64, None, Recurrent("rnn", nn.GRU(2, 6, num_layers=2, **sizes))
    yield "gru_without_bias", 2, torch.float32, None, Recurrent("gru", nn.GRU(2, 5, bias=False, **sizes))
    yield "bare", 3, torch.float32, None, nn.Sequential(nn.RNN(3, 7, **sizes))
    yield "relu", 3, torch.float32, {"layers": [{"module": "rnn", "activation": "relu"}]}, Recurrent(
        "rnn", nn.RNN(3, 6, nonlinearity="relu", bidirectional=True, **sizes)
    )
    yield "projected", 3, torch.bfloat16, None, Recurrent(
        "lstm", nn.LSTM(3, 6, proj_size=2, num_layers=2, bidirectional=True, **sizes), behind=[nn.Linear(4, 1)]
    )
    embedded = {
        "input_size": 2,
        "layers": [
            {"module": "before.embedding", "columns": [0]},
            {"module": "lstm"},
            {"module": "behind.0", "epsilon": 1e-3},
            {"kind": "dropout", "rate": 0.5},
            {"module": "behind.1", "activation": "relu"},
            {"module": "behind.3", "activation": {"leaky_relu": {"alpha": 0.01}}},
            {"module": "behind.5"},
        ],
    }
    yield "embedding", 2, torch.float16, embedded, Recurrent(
        "lstm",
        nn.LSTM(4, 5, **sizes),
        before=first_column(nn.Embedding(6, 3)),
        behind=[
            nn.LayerNorm(5, eps=1e-3),
            nn.Linear(5, 5),
            nn.ReLU(),
            nn.Linear(5, 5, bias=False),
            nn.LeakyReLU(0.01),
            nn.Linear(5, 2),
        ],
    )
    yield "cell", 2, torch.float32, None, cell_network()


def main():
    check = "--check" in sys.argv
    torch.manual_seed(12)
    described = []
    for name, inputs, dtype, description, network in cases():
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.normal_(0.0, 0.5)
        path = HERE / "import" / f"{name}.safetensors"
        state = {key: value.to(dtype).contiguous() for key, value in network.state_dict().items()}
        if name == "bare":
            state = {key.removeprefix("0."): value for key, value in state.items()}
        if check:
            state = load_file(path)
        else:
            save_file(state, path)
        prefix = "0." if name == "bare" else ""
        network = network.double()
        network.load_state_dict({prefix + key: value.double() for key, value in state.items()})
        x = torch.randn(BATCH, STEPS, inputs, dtype=torch.float64).float().double()
        if name == "embedding":
            x[..., 0] = torch.randint(0, 6, (BATCH, STEPS))
        network.eval()
        with torch.no_grad():
            y = network(x)
            if isinstance(y, tuple):
                y = y[0]
        case = dict(name=path.name, inputs=inputs, outputs=y.shape[-1], batch=BATCH, steps=STEPS)
        case["description"] = description and json.dumps(description)
        case["x"], case["y"] = x.flatten().tolist(), y.flatten().tolist()
        described.append(case)
    about = f"State dicts of PyTorch {torch.__version__.split('+')[0]} in import/*.safetensors, and outputs in float64."
    path = HERE / "import_torch.json"
    if check:
        stored = json.loads(path.read_text())["cases"]
        for old, new in zip(stored, described, strict=True):
            for key in ("x", "y"):
                worst = max(abs(a - b) for a, b in zip(old[key], new[key], strict=True))
                assert worst < 1e-12, (old["name"], key, worst)
        print("the outputs agree")
    else:
        path.write_text(json.dumps(dict(about=about, cases=described), indent=1) + "\n")


if __name__ == "__main__":
    main()
