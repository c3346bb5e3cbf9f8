"""Trains a network of PyTorch for the example finetune.c: import/motor.safetensors, and its description beside it.

    python generate_import_motor.py            # writes the files, after some seconds
    python generate_import_motor.py --check    # makes sure that the network knows its motor

It tells how warm the winding of a motor is from its current and its speed. The motor is one of the simplest kind: current heats it,
standing air cools it, and turning cools it more. Needs numpy, torch and safetensors.
"""

import json
import pathlib
import sys

import torch
from safetensors.torch import load_file, save_file
from torch import nn

HERE = pathlib.Path(__file__).parent
PATH = HERE / "import" / "motor.safetensors"
STEPS = 120
HEAT, COOL, FAN = 0.06, 0.02, 0.05


class Motor(nn.Module):
    def __init__(self):
        super().__init__()
        self.gru = nn.GRU(2, 16, batch_first=True)
        self.head = nn.Sequential(nn.Linear(16, 8), nn.ReLU(), nn.Linear(8, 1))

    def forward(self, x):
        return self.head(self.gru(x)[0])


def runs(count):
    """Runs of the motor: current and speed, which jump now and then, and the temperature above that of the air, in 100 K."""
    x, y = torch.zeros(count, STEPS, 2), torch.zeros(count, STEPS, 1)
    load, warmth = torch.rand(count, 2), torch.zeros(count)
    for step in range(STEPS):
        load = torch.where(torch.rand(count, 1) < 0.05, torch.rand(count, 2), load)
        warmth = warmth + HEAT * load[:, 0] ** 2 - (COOL + FAN * load[:, 1]) * warmth
        x[:, step], y[:, step, 0] = load, warmth
    return x, y


def error(network):
    torch.manual_seed(2)
    x, y = runs(100)
    with torch.no_grad():
        return nn.functional.mse_loss(network(x), y).sqrt().item()


def main():
    torch.manual_seed(1)
    torch.set_num_threads(1)
    network = Motor()
    if "--check" in sys.argv:
        network.load_state_dict(load_file(PATH))
    else:
        optimizer = torch.optim.Adam(network.parameters(), lr=0.01)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 600)
        for _ in range(600):
            x, y = runs(32)
            optimizer.zero_grad()
            nn.functional.mse_loss(network(x), y).backward()
            optimizer.step()
            schedule.step()
        save_file(network.state_dict(), PATH)
        layers = [{"module": "gru"}, {"module": "head.0", "activation": "relu"}, {"module": "head.2"}]
        path = PATH.with_name(PATH.name + ".description.json")
        path.write_text(json.dumps({"layers": layers}) + "\n")
    print(f"off by {100.0 * error(network):.2f} K")
    assert error(network) < 0.02


if __name__ == "__main__":
    main()
