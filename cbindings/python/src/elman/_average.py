"""The mean of a network's parameters over the epochs of its training."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from elman.dataset import Dataset
    from elman.network import Network
    from elman.training import Progress

# How much more later epochs count: about the last ninth of them makes the mean.
_LATER = 8


class Average:
    """Is called after each epoch; `best` is the mean that is best on the validation set or, without one, the last one.

    Later epochs count for more, by as much after 20 of them as after 200: polynomial decay, as Shamir and Zhang have it
    (Stochastic gradient descent for non-smooth optimization, 2013). `options` are those of Network.evaluate().
    """

    def __init__(self, network: Network, validation: Dataset | None, options: Mapping[str, Any]) -> None:
        self._network = network.copy()
        self._validation = validation
        self._options = options
        self._mean = self.best = network.parameters.astype(np.float64)
        self._least = np.inf

    def __call__(self, progress: Progress) -> None:
        share = (_LATER + 1) / (_LATER + progress.epoch)
        self._mean = self._mean + share * (progress.network.parameters - self._mean)
        if self._validation is None:
            self.best = self._mean
            return
        self._network.parameters = self._mean
        loss = self._network.evaluate(self._validation, **self._options).loss
        if progress.epoch == 1 or loss < self._least:
            self.best, self._least = self._mean, loss
