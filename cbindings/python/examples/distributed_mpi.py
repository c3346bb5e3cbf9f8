"""One training on several processes, on one machine or on many, with MPI: a loop of its own.

Each process takes its part of every batch, and all make the same update. The tagger learns from lines of different lengths,
some of whose tags are not known. It needs `pip install 'cbindings/python[mpi]'` and an MPI; `-m mpi4py` ends all processes
where one raises an exception. With a directory network and optimizer are written there after every epoch; with the number of
an epoch training goes on from what was written after it:

    mpirun -n 4 python -m mpi4py cbindings/python/examples/distributed_mpi.py [epochs [dropout [directory [epoch]]]]
"""

# %% Which rows of a batch are this process's: parts of equal size, or nearly so.
import sys
from pathlib import Path

import numpy as np
from mpi4py import MPI

import elman
from elman.distributed import average_gradients

LINES, LONGEST, BATCH, SEED = 300, 20, 18, 1
epochs = int(sys.argv[1]) if len(sys.argv) > 1 else 10
dropout = float(sys.argv[2]) if len(sys.argv) > 2 else 0.0
directory = Path(sys.argv[3]) if len(sys.argv) > 3 else None
begin = int(sys.argv[4]) if len(sys.argv) > 4 else 0

world = MPI.COMM_WORLD
part = slice(BATCH * world.rank // world.size, BATCH * (world.rank + 1) // world.size)


def add(array: np.ndarray) -> None:
    """Sums an array over the processes, in place."""
    world.Allreduce(MPI.IN_PLACE, array)


# %% The data, which all processes have here: which of two numbers has the larger sum so far? Some tags are not known.
random = np.random.default_rng(SEED)
lengths = random.integers(1, LONGEST + 1, LINES)
x = random.uniform(-1, 1, (LINES, LONGEST, 2)).astype(np.float32)
tags = (np.cumsum(x[..., 1] - x[..., 0], axis=1) > 0).astype(int)
tags[random.random(tags.shape) < 0.25] = elman.NO_LABEL
known = ((tags != elman.NO_LABEL) & (np.arange(LONGEST) < lengths[:, None])).sum(axis=1)

# %% All processes start with the same parameters, or go on with them.
if begin > 0 and directory is not None:
    network = elman.Network.load(directory / f"network-{begin}.safetensors")
    optimizer = elman.Optimizer.load(directory / f"optimizer-{begin}.safetensors")
else:
    network = elman.Network(2, output="all", seed=SEED).add_gru(16).add_dropout(dropout).add_dense(2)
    optimizer = elman.Adam(0.01)

# %% The order of the lines is the same for all. The seed is not: no process drops what another one, or epoch, drops.
for epoch in range(begin, epochs):
    order = np.random.default_rng([SEED, epoch]).permutation(LINES)
    network.seed = SEED + epoch * world.size + world.rank
    mean = np.zeros(2)
    for batch in range(0, LINES, BATCH):
        rows = order[batch : batch + BATCH][part]
        loss, weight = 0.0, known[rows].sum()
        if len(rows) > 0:
            logits = network.forward(x[rows], lengths[rows])
            loss, gradient = elman.softmax_cross_entropy(logits, tags[rows], lengths=lengths[rows])
            network.backward(gradient)
        mean += weight * loss, weight
        if average_gradients(network.gradients, weight, add) > 0:
            network.clip_gradients_by_norm(1.0)
            network.update(optimizer)
    add(mean)
    if world.rank == 0:
        print(f"epoch {epoch + 1}: loss {mean[0] / mean[1]:.4f} over {mean[1]:.0f} tags", flush=True)
        if directory is not None:
            optimizer.save(directory / f"optimizer-{epoch + 1}.safetensors")
            network.save(directory / f"network-{epoch + 1}.safetensors")

# %% All have the same bits.
first = world.bcast(network.parameters)
equal = world.allreduce(np.array_equal(network.parameters, first), MPI.LAND)
if world.rank == 0:
    print("all processes have the same bits" if equal else "the processes have different parameters")
