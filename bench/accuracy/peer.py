"""Trains PyTorch's GRU on a data set. run.py starts it in the virtual environment; its argument and the last line of its output
are JSON.
"""

from __future__ import annotations

import copy
import json
import sys
import time
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

# As `elman train` has them by default.
UNITS, EPOCHS, PATIENCE, BATCH, CLIP = 64, 200, 40, 16, 1.0
RATES = [0.01, 0.003, 0.001]
SEEDS = [0, 1, 2]
# With so few sequences as the small sets have, 0.15 of them would say nothing.
HELD_OUT = 0.2


class Classifier(nn.Module):
    def __init__(self, features: int, classes: int) -> None:
        super().__init__()
        self.gru = nn.GRU(features, UNITS, batch_first=True)
        self.linear = nn.Linear(UNITS, classes)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.linear(self.gru(x)[0][:, -1])
        return logits


def split(y: np.ndarray[Any, Any], seed: int) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """What to train on and what to hold out: of each class its share, one at least."""
    random = np.random.default_rng(seed)
    held = []
    for label in np.unique(y):
        indices = random.permutation(np.flatnonzero(y == label))
        held.append(indices[: max(1, round(HELD_OUT * len(indices)))])
    part = np.concatenate(held)
    return np.setdiff1d(np.arange(len(y)), part), part


def train(x: Tensor, y: Tensor, classes: int, rate: float, seed: int) -> tuple[float, Classifier]:
    """The least loss on what is held out, and the model that has it."""
    torch.manual_seed(seed)
    train_part, held_part = split(y.numpy(), seed)
    mean, deviation = x[train_part].mean((0, 1)), x[train_part].std((0, 1), correction=0)
    x = (x - mean) / deviation
    model = Classifier(x.shape[2], classes)
    optimizer = torch.optim.Adam(model.parameters(), rate)
    x_train, y_train, x_held, y_held = x[train_part], y[train_part], x[held_part], y[held_part]
    best, waited, state = float("inf"), 0, copy.deepcopy(model.state_dict())
    for _ in range(EPOCHS):
        for indices in torch.randperm(len(x_train)).split(BATCH):
            loss = cross_entropy(model(x_train[indices]), y_train[indices])
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), CLIP)
            optimizer.step()
        with torch.no_grad():
            loss = cross_entropy(model(x_held), y_held).item()
        if loss < best:
            best, waited, state = loss, 0, copy.deepcopy(model.state_dict())
        else:
            waited += 1
            if waited == PATIENCE:
                break
    model.load_state_dict(state)
    model.register_buffer("mean", mean)
    model.register_buffer("deviation", deviation)
    return best, model


def accuracy(model: Classifier, x: Tensor, y: Tensor) -> float:
    with torch.no_grad():
        classes = model((x - model.mean) / model.deviation).argmax(1)
    return float((classes == y).float().mean())


def main() -> None:
    torch.set_num_threads(1)
    arrays = np.load(sys.argv[1])
    x, y, x_test, y_test = (torch.from_numpy(arrays[name]) for name in ["x", "y", "x_test", "y_test"])
    runs = []
    for rate in RATES:
        for seed in SEEDS:
            start = time.process_time()
            loss, model = train(x, y, int(y.max()) + 1, rate, seed)
            seconds = time.process_time() - start
            right = accuracy(model, x_test, y_test)
            runs.append({"rate": rate, "seed": seed, "loss": loss, "seconds": seconds, "accuracy": right})
            print(json.dumps(runs[-1]), file=sys.stderr)
    print(json.dumps({"runs": runs, "version": torch.__version__}))


if __name__ == "__main__":
    main()
