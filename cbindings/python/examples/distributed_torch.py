"""One training on several processes, on one machine or on many, with PyTorch's Gloo: fit() with a callback.

Each process takes its part of every batch, and all make the same update. Who of nine speakers says the Japanese vowels? It needs
`pip install 'cbindings/python[torch]'`:

    torchrun --nproc-per-node 2 cbindings/python/examples/distributed_torch.py [epochs]
"""

# %% The processes, as torchrun has started them.
import sys
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist

import elman
from elman.distributed import average_gradients

DATA = Path(__file__).resolve().parents[3] / "tests" / "data" / "japanese_vowels"
BATCH, SEED = 16, 1
epochs = int(sys.argv[1]) if len(sys.argv) > 1 else 20

dist.init_process_group("gloo")
rank, size = dist.get_rank(), dist.get_world_size()


def add(array: np.ndarray) -> None:
    """Sums an array over the processes, in place."""
    dist.all_reduce(torch.from_numpy(array))


def average(progress: elman.BatchProgress) -> None:
    """Is called before each update, and before the gradients are limited."""
    progress.weight = average_gradients(progress.gradients, progress.weight, add)


# %% All processes start with the same parameters.
train = elman.Dataset.read_ts(DATA / "JapaneseVowels_TRAIN.ts")
test = elman.Dataset.read_ts(DATA / "JapaneseVowels_TEST.ts")
x, labels = train.sequences(), train.labels
network = elman.Network(12, seed=SEED).add_gru(32, direction="bidirectional").add_dropout(0.2).add_dense(9)
network.standardize(train)
optimizer = elman.Adam(0.003)

# %% Each epoch has a data set of this process's parts of all batches, and a seed of its own for dropout. A process that has
# nothing in the last batch takes a sequence without a label, so that all have as many batches.
first, end = BATCH * rank // size, BATCH * (rank + 1) // size
for epoch in range(epochs):
    order = np.random.default_rng([SEED, epoch]).permutation(len(x))
    parts = [order[batch : batch + BATCH][first:end] for batch in range(0, len(x), BATCH)]
    rows = np.concatenate(parts)
    spare = len(parts[-1]) == 0
    own = elman.Dataset.with_classes(
        [x[row] for row in rows] + [x[0]] * spare, [*labels[rows], *[elman.NO_LABEL] * spare], len(train.class_names)
    )
    network.seed = SEED + epoch * size + rank
    network.fit(own, optimizer, epochs=1, shuffle=False, batch_size=end - first, clip="norm", on_batch=average)

if rank == 0:
    print(f"test accuracy: {network.evaluate(test).accuracy:.4f}")

# %% All have the same bits.
parameters = torch.from_numpy(network.parameters)
own_parameters = parameters.clone()
dist.broadcast(parameters, 0)
equal = torch.tensor(int(torch.equal(parameters, own_parameters)))
dist.all_reduce(equal, dist.ReduceOp.MIN)
if rank == 0:
    print("all processes have the same bits" if equal else "the processes have different parameters")
dist.destroy_process_group()
