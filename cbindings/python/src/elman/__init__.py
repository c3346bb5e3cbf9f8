"""elman: recurrent neural networks on the CPU, trained and run by a small engine.

Two layers: `Network` and what belongs to it, as the engine's C calls have them; and estimators in the habit of scikit-learn,
`SequenceClassifier`, `SequenceRegressor`, `SequenceTagger` and `Forecaster`, which need scikit-learn.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from elman._arrays import NO_LABEL
from elman._library import (
    ArgumentError,
    CallOrderError,
    CancelledError,
    ElmanError,
    FileError,
    FormatError,
    LibraryError,
    NotFiniteError,
    OutOfMemoryError,
    library_path,
    tier,
    version,
)
from elman._names import Activation
from elman.dataset import Dataset
from elman.losses import (
    CtcWorkspace,
    binary_cross_entropy,
    ctc,
    ctc_greedy_decode,
    mean_squared_error,
    softmax,
    softmax_cross_entropy,
)
from elman.network import Layer, Network, Standardization, Tensor
from elman.optimizers import SGD, AdaGrad, Adam, AdamW, Optimizer, RMSprop, Rprop, RpropUnbounded
from elman.sequences import Sequences, as_sequences, pad
from elman.session import Session
from elman.training import BatchProgress, Cancellation, Evaluation, History, Progress

if TYPE_CHECKING:
    from elman.estimators import Forecaster, SequenceClassifier, SequenceRegressor, SequenceTagger
    from elman.keras import from_keras
    from elman.plots import plot_confusion, plot_forecast, plot_history
    from elman.torch import from_torch, to_torch

__version__ = version()

# Names whose modules need packages that the core does not: they are imported when they are first asked for.
_LAZY = {
    "Forecaster": "estimators",
    "SequenceClassifier": "estimators",
    "SequenceRegressor": "estimators",
    "SequenceTagger": "estimators",
    "from_keras": "keras",
    "from_torch": "torch",
    "plot_confusion": "plots",
    "plot_forecast": "plots",
    "plot_history": "plots",
    "to_torch": "torch",
}

__all__ = [
    "NO_LABEL",
    "SGD",
    "Activation",
    "AdaGrad",
    "Adam",
    "AdamW",
    "ArgumentError",
    "BatchProgress",
    "CallOrderError",
    "Cancellation",
    "CancelledError",
    "CtcWorkspace",
    "Dataset",
    "ElmanError",
    "Evaluation",
    "FileError",
    "Forecaster",
    "FormatError",
    "History",
    "Layer",
    "LibraryError",
    "Network",
    "NotFiniteError",
    "Optimizer",
    "OutOfMemoryError",
    "Progress",
    "RMSprop",
    "Rprop",
    "RpropUnbounded",
    "SequenceClassifier",
    "SequenceRegressor",
    "SequenceTagger",
    "Sequences",
    "Session",
    "Standardization",
    "Tensor",
    "as_sequences",
    "binary_cross_entropy",
    "ctc",
    "ctc_greedy_decode",
    "from_keras",
    "from_torch",
    "library_path",
    "mean_squared_error",
    "pad",
    "plot_confusion",
    "plot_forecast",
    "plot_history",
    "softmax",
    "softmax_cross_entropy",
    "tier",
    "to_torch",
    "version",
]


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"elman.{_LAZY[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_LAZY})
