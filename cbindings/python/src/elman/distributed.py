"""Training on several processes: each takes its part of every batch, and all make the same update."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from elman._arrays import Floats
from elman._library import ArgumentError, lib


def average_gradients(gradients: Floats, weight: float, reduce: Callable[[NDArray[Any]], object]) -> float:
    """Makes gradients those of all processes together, in place, and gives the sum of the weights.

    The gradients are `network.gradients`, or those of a BatchProgress. Each process counts by its weight, which is what its loss
    is a mean over: BatchProgress.weight or, in a loop of one's own, the number of rows or elements that count; 0 where it has
    none. Where the sum is 0 there is nothing to update by.

    `reduce` sums an array over the processes, in place: with mpi4py `lambda array: comm.Allreduce(MPI.IN_PLACE, array)`, with
    PyTorch `lambda array: torch.distributed.all_reduce(torch.from_numpy(array))`. It is called with the weights, and where
    their sum is not 0 with the gradients; all processes call it equally often.
    """
    if not 0 <= weight < np.inf:
        raise ArgumentError(f"weight is {weight}; expected a number of at least 0", lib.ELMAN_ERROR_OUT_OF_RANGE)
    total = np.array([weight], np.float64)
    reduce(total)
    if total[0] > 0:
        gradients *= np.float32(weight / total[0])
        reduce(gradients)
    return float(total[0])
