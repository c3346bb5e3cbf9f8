"""Optimizers, with the formulas of torch.optim."""

from __future__ import annotations

import os
from typing import Any

from elman._guard import Guard
from elman._library import check, create, lib, path_bytes


class Optimizer:
    """An update rule, its settings, and what it remembers of the parameters that it has updated.

    Its subclasses and load() make one. Any number of threads may use one; a call that changes it waits for the others.
    """

    _handle: Any

    def _take(self, handle: Any) -> None:
        self._handle = handle
        self._guard = Guard("this optimizer")

    @staticmethod
    def load(path: str | os.PathLike[str]) -> Optimizer:
        """Reads an optimizer, of whatever rule, from a file of save()'s."""
        optimizer = Optimizer()
        optimizer._take(create("elman_optimizer", lib.elman_optimizer_load, path_bytes(path)))
        return optimizer

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the optimizer to a file: with the network's file, training goes on as it would have without the stop."""
        with self._guard.shared:
            check(lib.elman_optimizer_save(self._handle, path_bytes(path)))

    @property
    def learning_rate(self) -> float:
        """The learning rate of the next update."""
        with self._guard.shared:
            return float(lib.elman_optimizer_get_learning_rate(self._handle))

    @learning_rate.setter
    def learning_rate(self, learning_rate: float) -> None:
        with self._guard.exclusive:
            check(lib.elman_optimizer_set_learning_rate(self._handle, learning_rate))

    def reset(self) -> None:
        """Forgets the parameters: the next update is a first one again, of any network."""
        with self._guard.exclusive:
            check(lib.elman_optimizer_reset(self._handle))


class SGD(Optimizer):
    """Stochastic gradient descent."""

    def __init__(self, learning_rate: float, momentum: float = 0.0, *, nesterov: bool = False, weight_decay: float = 0.0) -> None:
        arguments = learning_rate, momentum, int(bool(nesterov)), weight_decay
        self._take(create("elman_optimizer", lib.elman_sgd_create, *arguments))


class AdaGrad(Optimizer):
    """AdaGrad."""

    def __init__(self, learning_rate: float = 0.01, epsilon: float = 1e-10) -> None:
        self._take(create("elman_optimizer", lib.elman_adagrad_create, learning_rate, epsilon))


class RMSprop(Optimizer):
    """RMSprop."""

    def __init__(self, learning_rate: float = 0.01, alpha: float = 0.99, epsilon: float = 1e-8, momentum: float = 0.0) -> None:
        self._take(create("elman_optimizer", lib.elman_rmsprop_create, learning_rate, alpha, epsilon, momentum))


class Adam(Optimizer):
    """Adam."""

    def __init__(
        self,
        learning_rate: float = 0.001,
        beta1: float = 0.9,
        beta2: float = 0.999,
        epsilon: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        arguments = learning_rate, beta1, beta2, epsilon, weight_decay
        self._take(create("elman_optimizer", lib.elman_adam_create, *arguments))


class AdamW(Optimizer):
    """Adam with weight decay apart from the gradient."""

    def __init__(
        self,
        learning_rate: float = 0.001,
        beta1: float = 0.9,
        beta2: float = 0.999,
        epsilon: float = 1e-8,
        weight_decay: float = 0.01,
    ) -> None:
        arguments = learning_rate, beta1, beta2, epsilon, weight_decay
        self._take(create("elman_optimizer", lib.elman_adamw_create, *arguments))


class Rprop(Optimizer):
    """Rprop, for full batches."""

    def __init__(
        self,
        learning_rate: float = 0.01,
        eta_minus: float = 0.5,
        eta_plus: float = 1.2,
        min_step: float = 1e-6,
        max_step: float = 50.0,
    ) -> None:
        arguments = learning_rate, eta_minus, eta_plus, min_step, max_step
        self._take(create("elman_optimizer", lib.elman_rprop_create, *arguments))


class RpropUnbounded(Optimizer):
    """Rprop as a bare sign rule, for full batches."""

    def __init__(self, learning_rate: float = 0.001, eta_minus: float = 0.5, eta_plus: float = 1.2) -> None:
        arguments = learning_rate, eta_minus, eta_plus
        self._take(create("elman_optimizer", lib.elman_rprop_unbounded_create, *arguments))
