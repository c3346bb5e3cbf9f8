"""Training and measuring on a data set."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias, TypedDict, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from elman import _names
from elman._arrays import Floats, floats, pointer, view
from elman._extras import extra
from elman._guard import Guard
from elman._library import check, create, ffi, lib, options
from elman._names import Clip, Loss, Watch

if TYPE_CHECKING:
    from elman.dataset import Dataset
    from elman.network import Network
    from elman.optimizers import Optimizer


class EvaluateOptions(TypedDict, total=False):
    """How a network is measured; the header's elman_fit_options says what each field does."""

    loss: Loss
    ignored_label: int
    batch_size: int


class FitOptions(EvaluateOptions, total=False):
    """How a network is trained; the header's elman_fit_options says what each field does."""

    shuffle: bool
    seed: int
    epochs: int
    truncate: int
    clip: Clip
    clip_limit: float
    patience: int
    min_delta: float
    watch: Watch
    average: bool


@dataclass
class Progress:
    """How far fit() has come, after an epoch. A callback may change the learning rate of the epochs that follow."""

    epoch: int
    epochs: int
    loss: float
    accuracy: float
    validation_loss: float
    validation_accuracy: float
    learning_rate: float
    best_epoch: int
    average_loss: float
    average_accuracy: float
    average_epoch: int
    #: The network, to run, measure or save during the callback.
    network: Network


@dataclass
class BatchProgress:
    """How far fit() has come within an epoch, before an update. A callback may change learning rate, weight and gradients."""

    epoch: int
    epochs: int
    batch: int
    batches: int
    sequences: int
    first_step: int
    steps: int
    loss: float
    weight: float
    learning_rate: float
    #: The gradients themselves; an array that is kept behind the callback has other ones later.
    gradients: Floats


# What there is of an epoch besides its loss, or not.
_SCORES = ("accuracy", "validation_loss", "validation_accuracy", "average_loss", "average_accuracy")

EpochCallback: TypeAlias = Callable[[Progress], bool | None]
BatchCallback: TypeAlias = Callable[[BatchProgress], bool | None]


class History(dict[str, list[float]]):
    """The numbers of each epoch of a fit(), by name.

    There are "loss", "learning_rate" and, where there are such, "accuracy", "validation_loss" and "validation_accuracy", and
    with `average` "average_loss" and "average_accuracy", those of the mean of the parameters on the validation set.
    `best_epoch` counts from 1; 0 without early stopping. `average_epoch` is the one after which the network has its mean; 0
    without `average`.
    """

    best_epoch: int = 0
    average_epoch: int = 0

    def _append(self, progress: Any) -> None:
        for name in ("loss", *_SCORES, "learning_rate"):
            value = float(getattr(progress, name))
            if name == "loss" or not math.isnan(value):
                self.setdefault(name, []).append(value)
        self.best_epoch, self.average_epoch = progress.best_epoch, progress.average_epoch


@dataclass(frozen=True)
class Evaluation:
    """What a network is worth on a data set. `confusion[i, j]` counts rows of class i that were taken for class j."""

    loss: float
    accuracy: float
    confusion: NDArray[np.intp] | None


class Cancellation:
    """What one thread ends the training of another by: `network.fit(..., cancel=cancellation)` then raises CancelledError."""

    def __init__(self) -> None:
        self._handle = create("elman_cancellation", lib.elman_cancellation_create)

    def set(self, cancelled: bool = True) -> None:
        """Ends the training, and each one that begins with it; False: lets further ones go on."""
        check(lib.elman_cancellation_set(self._handle, int(bool(cancelled))))


def _options(
    network: Network, dataset: Dataset, class_weights: ArrayLike | None, values: Mapping[str, Any], known: Any
) -> tuple[Any, list[Any]]:
    """The struct of the options, and what it points to."""
    numeric = "values" in dataset.targets
    fields = options("elman_fit_options", {"loss": lib.ELMAN_LOSS_MEAN_SQUARED_ERROR} if numeric else {})
    for name, value in values.items():
        if name not in known:
            raise TypeError(f"there is no option {name!r}; there are {', '.join(known)}")
        if name in ("loss", "clip", "watch"):
            setattr(fields, name, _names.number(name, value))
        elif name == "ignored_label" and value == -1:
            fields.ignored_label = lib.ELMAN_NO_LABEL
        else:
            setattr(fields, name, int(value) if name in ("shuffle", "average") else value)
    keep: list[Any] = []
    if class_weights is not None:
        weights = floats(class_weights, "class_weights", [network._raw("output_size")])
        keep = [weights, pointer(weights)]
        fields.class_weights = keep[1]
    return fields, keep


class _Callbacks:
    """The callbacks of one fit(): exceptions end it, and are raised behind it."""

    def __init__(
        self, network: Network, history: History, on_epoch: EpochCallback | None, on_batch: BatchCallback | None, bar: Any
    ) -> None:
        self.network = network
        self.history = history
        self.on_epoch = on_epoch
        self.on_batch = on_batch
        self.bar = bar
        self.error: BaseException | None = None
        self.gradients: Floats | None = None
        settings = {"error": lib.ELMAN_STOP, "onerror": self.failed}
        kind = "uint32_t(void *, elman_progress *, const elman_network *)"
        self.epoch = ffi.callback(kind, self.after_epoch, **settings)
        self.batch = ffi.callback("uint32_t(void *, elman_batch_progress *)", self.before_update, **settings)

    def failed(self, _type: object, error: BaseException, trace: Any) -> None:
        self.error = self.error or error.with_traceback(trace)

    def after_epoch(self, _user: object, fields: Any, handle: Any) -> int:
        self.history._append(fields)
        if self.bar is not None:
            numbers = {name: f"{values[-1]:.4g}" for name, values in self.history.items() if name != "learning_rate"}
            self.bar.set_postfix(numbers, refresh=False)
            self.bar.update()
        if self.on_epoch is None:
            return int(lib.ELMAN_CONTINUE)
        network = type(self.network).__new__(type(self.network))
        network._take(handle, _Callback())
        names = ("epoch", "epochs", "loss", *_SCORES, "learning_rate", "best_epoch", "average_epoch")
        progress = Progress(**{name: getattr(fields, name) for name in names}, network=network)
        try:
            stop = self.on_epoch(progress)
        finally:
            network._guard.shared = _Refused("the network of a callback is none any more: the callback has returned")
        fields.learning_rate = progress.learning_rate
        return int(lib.ELMAN_STOP if stop else lib.ELMAN_CONTINUE)

    def before_update(self, _user: object, fields: Any) -> int:
        # Without a callback this lets Ctrl-C through.
        if self.on_batch is None:
            return int(lib.ELMAN_CONTINUE)
        names = ("epoch", "epochs", "batch", "batches", "sequences", "first_step", "steps", "loss", "weight", "learning_rate")
        if self.gradients is None:
            self.gradients = self.gradients_of(fields)
        progress = BatchProgress(**{name: getattr(fields, name) for name in names}, gradients=self.gradients)
        stop = self.on_batch(progress)
        fields.learning_rate, fields.weight = progress.learning_rate, progress.weight
        if progress.gradients is not self.gradients:
            self.gradients[:] = floats(progress.gradients, "gradients", [len(self.gradients)])
        return int(lib.ELMAN_STOP if stop else lib.ELMAN_CONTINUE)

    def gradients_of(self, fields: Any) -> Floats:
        """The network's gradients, which are those of the progress: the array keeps the network."""
        array, memory = view(self.network, fields.gradients, fields.gradient_count, np.float32, writeable=True)
        if memory is not self.network:
            self.network._views.add(memory)
        return array


class _Callback(Guard):
    """A network that a callback gets is read on its thread, and is none afterwards."""

    def __init__(self) -> None:
        super().__init__("the network of a callback")
        self.exclusive = _Refused("the network of a callback can't be changed: it is being trained")


class _Refused(AbstractContextManager[None]):
    def __init__(self, message: str) -> None:
        self.message = message

    def __enter__(self) -> None:
        raise RuntimeError(self.message)

    def __exit__(self, *_error: object) -> None:
        pass


def fit(
    network: Network,
    dataset: Dataset,
    optimizer: Optimizer,
    validation: Dataset | None,
    on_epoch: EpochCallback | None,
    on_batch: BatchCallback | None,
    cancel: Cancellation | None,
    class_weights: ArrayLike | None,
    progress: bool,
    values: Mapping[str, Any],
) -> History:
    """What Network.fit() does."""
    history = History()
    with network._guard.exclusive, optimizer._guard.exclusive:
        fields, _keep = _options(network, dataset, class_weights, values, FitOptions.__annotations__)
        bar = None
        if progress:
            bar = extra("tqdm.auto", "progress").tqdm(total=fields.epochs, unit="epoch", desc="training")
        callbacks = _Callbacks(network, history, on_epoch, on_batch, bar)
        fields.callback = callbacks.epoch
        # Signals are looked at by the main thread, when it runs Python.
        if on_batch is not None or threading.current_thread() is threading.main_thread():
            fields.batch_callback = callbacks.batch
        if validation is not None:
            fields.validation = validation._handle
        if cancel is not None:
            fields.cancel = cancel._handle
        try:
            status = lib.elman_fit(network._handle, dataset._handle, optimizer._handle, fields)
            if callbacks.error is not None:
                raise callbacks.error
            check(status)
        finally:
            network._pass = None
            if bar is not None:
                bar.close()
    return history


def evaluate(network: Network, dataset: Dataset, class_weights: ArrayLike | None, values: Mapping[str, Any]) -> Evaluation:
    """What Network.evaluate() does."""
    loss, accuracy = ffi.new("double *"), ffi.new("double *")
    with network._guard.shared:
        fields, _keep = _options(network, dataset, class_weights, values, EvaluateOptions.__annotations__)
        classes = network._raw("output_size")
        confusion = np.zeros((classes, classes), np.uintp) if "classes" in dataset.targets else None
        check(lib.elman_evaluate(network._handle, dataset._handle, fields, loss, accuracy, pointer(confusion)))
    counts = None if confusion is None else cast(NDArray[np.intp], confusion.view(np.intp))
    return Evaluation(float(loss[0]), float(accuracy[0]), counts)
