"""Estimators in the habit of scikit-learn: classes or numbers for sequences, tags for steps, forecasts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from elman._arrays import Floats
from elman._extras import extra
from elman.dataset import Dataset
from elman.losses import softmax
from elman.network import Network
from elman.optimizers import Adam, AdamW, Optimizer, RMSprop
from elman.sequences import Layout, Sequences, as_sequences

extra("sklearn", "sklearn")

from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin  # noqa: E402
from sklearn.model_selection import train_test_split  # noqa: E402
from sklearn.utils import check_random_state  # noqa: E402
from sklearn.utils._param_validation import Interval, StrOptions  # noqa: E402
from sklearn.utils.class_weight import compute_class_weight  # noqa: E402
from sklearn.utils.multiclass import check_classification_targets  # noqa: E402
from sklearn.utils.validation import (  # noqa: E402
    check_array,
    check_consistent_length,
    check_is_fitted,
    column_or_1d,
    validate_data,
)

if TYPE_CHECKING:
    from typing_extensions import Self

    from elman.training import History

_OPTIMIZERS: dict[str, Callable[[float], Optimizer]] = {"adam": Adam, "adamw": AdamW, "rmsprop": RMSprop}
# From so many sequences on, "auto" keeps a part of them back for early stopping.
_AUTO_VALIDATION = 100


class _SequenceEstimator(BaseEstimator):  # type: ignore[misc]
    """What all estimators have in common: parameters, sequences, and the network."""

    network_: Network
    history_: History
    n_features_in_: int

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "cell": [StrOptions({"gru", "lstm", "rnn"})],
        "units": [Interval(Integral, 1, None, closed="left")],
        "layers": [Interval(Integral, 1, None, closed="left")],
        "direction": [StrOptions({"forward", "reverse", "bidirectional"})],
        "dropout": [Interval(Real, 0, 1, closed="left")],
        "epochs": [Interval(Integral, 1, None, closed="left")],
        "batch_size": [Interval(Integral, 1, None, closed="left")],
        "optimizer": [StrOptions(set(_OPTIMIZERS))],
        "learning_rate": [Interval(Real, 0, None, closed="neither")],
        "clip": [Interval(Real, 0, None, closed="neither"), None],
        "early_stopping": ["boolean", StrOptions({"auto"})],
        "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
        "patience": [Interval(Integral, 1, None, closed="left")],
        "standardize": ["boolean"],
        "layout": [StrOptions({"steps_features", "channels_steps"})],
        "progress": ["boolean"],
        "random_state": ["random_state"],
        "n_jobs": [Integral, None],
    }

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        # 2-D arrays are sequences of one feature; 3-D ones and lists come on top.
        tags.input_tags.three_d_array = True
        return tags

    # Sequences

    def _sequences(self, x: Any, *, reset: bool) -> Sequences:
        """The sequences of X, checked against those of fit()."""
        table = self._is_table(x)
        if table:
            values = validate_data(self, x, reset=reset, dtype="numeric", ensure_all_finite=True)
            sequences = as_sequences(values)
        else:
            sequences = as_sequences(x, self.layout)
            if not np.isfinite(sequences.values).all():
                step = int(np.flatnonzero(~np.isfinite(sequences.values).all(axis=1))[0])
                index = int(np.searchsorted(sequences.offsets, step, side="right")) - 1
                raise ValueError(f"X contains NaN or infinity, first in sequence {index}: fill the gaps in before")
            if len(sequences.lengths) and not sequences.lengths.all():
                raise ValueError(f"sequence {int(np.argmin(sequences.lengths))} of X is empty; expected at least 1 step")
            if reset:
                self.n_features_in_ = sequences.features
        if reset:
            self._table = table
            self._features = sequences.features
        elif sequences.features != self._features:
            # The words are scikit-learn's.
            name = type(self).__name__
            raise ValueError(
                f"X has {sequences.features} features a step, but {name} is expecting {self._features} features as input"
            )
        elif table and not self._table:
            raise ValueError("X is a table [n, steps], but fit() has got sequences: pass [n, steps, 1] or a list")
        return sequences

    @staticmethod
    def _is_table(x: Any) -> bool:
        """Whether this is a 2-D table of numbers, which scikit-learn's own rules are for."""
        if isinstance(x, list | tuple):
            return bool(len(x)) and all(isinstance(row, list | tuple) for row in x) and len({len(row) for row in x}) == 1 and all(
                np.ndim(value) == 0 for value in x[0]
            )
        if type(x).__module__.startswith("pandas"):
            return hasattr(x, "columns") and getattr(x.index, "nlevels", 1) == 1 and not (
                x.size and np.ndim(x.iloc[0, 0]) == 1
            )
        if isinstance(x, np.ndarray) and (x.ndim == 3 or (x.ndim == 1 and x.dtype == object and x.size and np.ndim(x[0]))):
            return False
        return not isinstance(x, Sequences)

    # The network

    def _seeds(self) -> tuple[int, int, int]:
        random = check_random_state(self.random_state)
        seeds = random.randint(np.iinfo(np.int32).max, size=3)
        return int(seeds[0]), int(seeds[1]), int(seeds[2])

    def _threads(self) -> int:
        # As joblib counts: -1 is all cores, -2 all but one.
        if self.n_jobs is None:
            return 1
        if self.n_jobs < 0:
            import os

            cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
            return max(1, cores + 1 + int(self.n_jobs))
        return max(1, int(self.n_jobs))

    def _build(self, features: int, outputs: int, output: Literal["last", "all"], seed: int, direction: Any = None) -> Network:
        network = Network(features, output=output, seed=seed, threads=self._threads())
        add: Any = getattr(network, f"add_{self.cell}")
        for _ in range(self.layers):
            add(self.units, direction=direction or self.direction)
            if self.dropout:
                network.add_dropout(self.dropout)
        return network.add_dense(outputs)

    def _split(self, sequences: Sequences, seed: int, classes: NDArray[Any] | None) -> tuple[Any, Any]:
        """Which sequences are to train on, and which to stop by; None where there is no such part."""
        everything = np.arange(len(sequences))
        if self.early_stopping is False or (self.early_stopping == "auto" and len(sequences) < _AUTO_VALIDATION):
            return everything, None
        if classes is not None and np.unique(classes, return_counts=True)[1].min() < 2:
            classes = None
        try:
            return train_test_split(everything, test_size=self.validation_fraction, random_state=seed, stratify=classes)
        except ValueError:
            # Too few for a part of each class.
            if len(sequences) < 2:
                raise ValueError(f"early stopping needs 2 sequences or more; there is {len(sequences)}") from None
            return train_test_split(everything, test_size=self.validation_fraction, random_state=seed)

    def _train(self, network: Network, train: Dataset, validation: Dataset | None, seed: int, **options: Any) -> None:
        if self.standardize:
            network.standardize(train)
        if validation is not None:
            options["patience"] = self.patience
        if self.clip is not None:
            options |= {"clip": "norm", "clip_limit": self.clip}
        optimizer = _OPTIMIZERS[self.optimizer](self.learning_rate)
        self.history_ = network.fit(
            train,
            optimizer,
            validation=validation,
            epochs=self.epochs,
            batch_size=self.batch_size,
            seed=seed,
            progress=self.progress,
            **options,
        )
        self.network_ = network
        self.n_iter_ = len(self.history_["loss"])
        self.best_epoch_ = self.history_.best_epoch or self.n_iter_

    def _outputs(self, sequences: Sequences) -> Floats:
        return self.network_.predict_dataset(Dataset(sequences))


class SequenceClassifier(ClassifierMixin, _SequenceEstimator):  # type: ignore[misc]
    """Tells the class of each sequence.

    X is [n, steps] (sequences of one feature), [n, steps, features], a list of arrays [steps, features] of any lengths, or a
    collection of pandas, aeon or sktime; elman.as_sequences() says which. y is [n], of any labels.

    Parameters
    ----------
    cell : {"gru", "lstm", "rnn"}
        The kind of the recurrent layers.
    units : int
        Units of each recurrent layer.
    layers : int
        Number of recurrent layers.
    direction : {"forward", "reverse", "bidirectional"}
        The direction of the recurrent layers.
    dropout : float
        The rate of dropout behind each recurrent layer.
    epochs : int
        How often each sequence is seen, at most.
    batch_size : int
        Sequences for one update.
    optimizer : {"adam", "adamw", "rmsprop"}
        The optimizer.
    learning_rate : float
        Its learning rate.
    clip : float or None
        The largest norm of the gradients of an update; None: no limit.
    early_stopping : bool or "auto"
        Whether a part of the sequences is kept back, and training ends when it no longer gets better there; the network is then
        the one of the best epoch. "auto": with 100 sequences and more.
    validation_fraction : float
        The part that is kept back.
    patience : int
        Epochs without a better one after which training ends.
    class_weight : None, "balanced" or dict
        What the classes count for in the loss.
    standardize : bool
        Whether inputs are standardised, feature by feature, over all steps of the sequences to train on.
    layout : {"steps_features", "channels_steps"}
        How arrays of several features lie: [n, steps, features], or [n, channels, steps] as aeon and sktime have them.
    progress : bool
        Whether a bar shows the epochs (needs tqdm).
    random_state : int, RandomState or None
        Where random numbers come from: parameters, order, the part that is kept back.
    n_jobs : int or None
        Threads: None is 1, -1 one per core. Results don't depend on it.

    Attributes
    ----------
    classes_ : the labels, sorted
    network_ : the elman.Network, whose outputs are logits in the order of classes_
    history_ : the numbers of each epoch
    n_iter_, best_epoch_ : epochs that were run, and the one that the parameters are of
    n_features_in_ : columns of a table [n, steps], else features of a step
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **_SequenceEstimator._parameter_constraints,
        "class_weight": [StrOptions({"balanced"}), dict, None],
    }

    def __init__(
        self,
        cell: str = "gru",
        units: int = 64,
        layers: int = 1,
        *,
        direction: str = "forward",
        dropout: float = 0.0,
        epochs: int = 100,
        batch_size: int = 16,
        optimizer: str = "adam",
        learning_rate: float = 0.003,
        clip: float | None = 1.0,
        early_stopping: bool | str = "auto",
        validation_fraction: float = 0.15,
        patience: int = 20,
        class_weight: str | Mapping[Any, float] | None = None,
        standardize: bool = True,
        layout: Layout = "steps_features",
        progress: bool = False,
        random_state: Any = None,
        n_jobs: int | None = None,
    ) -> None:
        self.cell = cell
        self.units = units
        self.layers = layers
        self.direction = direction
        self.dropout = dropout
        self.epochs = epochs
        self.batch_size = batch_size
        self.optimizer = optimizer
        self.learning_rate = learning_rate
        self.clip = clip
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.patience = patience
        self.class_weight = class_weight
        self.standardize = standardize
        self.layout = layout
        self.progress = progress
        self.random_state = random_state
        self.n_jobs = n_jobs

    def fit(self, X: Any, y: Any) -> Self:  # noqa: N803
        """Trains a network on the sequences X and their classes y."""
        self._validate_params()
        sequences = self._sequences(X, reset=True)
        if y is None:
            raise ValueError(f"{type(self).__name__} requires y to be passed, but the target y is None")
        labels = column_or_1d(y, warn=True)
        check_consistent_length(sequences, labels)
        check_classification_targets(labels)
        self.classes_, numbers = np.unique(labels, return_inverse=True)
        start, shuffle, split = self._seeds()
        train, held = self._split(sequences, split, numbers)
        network = self._build(sequences.features, len(self.classes_), "last", start)
        _name_classes(network, self.classes_)
        options = {}
        if self.class_weight is not None:
            present = np.unique(numbers)
            weights = compute_class_weight(self.class_weight, classes=self.classes_[present], y=labels)
            options["class_weights"] = weights.astype(np.float32)
        self._train(
            network,
            self._dataset(sequences, numbers, train),
            None if held is None else self._dataset(sequences, numbers, held),
            shuffle,
            **options,
        )
        return self

    def _dataset(self, sequences: Sequences, numbers: NDArray[np.intp], indices: NDArray[np.intp]) -> Dataset:
        return Dataset.with_classes(sequences.take(indices), numbers[indices], len(self.classes_))

    def predict_proba(self, X: Any) -> Floats:  # noqa: N803
        """The probabilities of the classes, [n, classes], in the order of classes_."""
        check_is_fitted(self)
        return softmax(self._outputs(self._sequences(X, reset=False)))

    def predict(self, X: Any) -> NDArray[Any]:  # noqa: N803
        """The class of each sequence, [n]."""
        check_is_fitted(self)
        numbers = self._outputs(self._sequences(X, reset=False)).argmax(axis=1)
        result: NDArray[Any] = self.classes_[numbers]
        return result


class SequenceRegressor(RegressorMixin, _SequenceEstimator):  # type: ignore[misc]
    """Tells a number, or some, for each sequence.

    X is as with SequenceClassifier; y is [n] or [n, numbers]. The parameters are those of SequenceClassifier but for
    class_weight; `standardize` also holds for y, while it is trained on. Attributes are network_, history_, n_iter_, best_epoch_,
    n_features_in_, and target_mean_ and target_deviation_: a target is an output of the network times the deviation plus the mean.
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = _SequenceEstimator._parameter_constraints

    def __init__(
        self,
        cell: str = "gru",
        units: int = 64,
        layers: int = 1,
        *,
        direction: str = "forward",
        dropout: float = 0.0,
        epochs: int = 100,
        batch_size: int = 16,
        optimizer: str = "adam",
        learning_rate: float = 0.003,
        clip: float | None = 1.0,
        early_stopping: bool | str = "auto",
        validation_fraction: float = 0.15,
        patience: int = 20,
        standardize: bool = True,
        layout: Layout = "steps_features",
        progress: bool = False,
        random_state: Any = None,
        n_jobs: int | None = None,
    ) -> None:
        self.cell = cell
        self.units = units
        self.layers = layers
        self.direction = direction
        self.dropout = dropout
        self.epochs = epochs
        self.batch_size = batch_size
        self.optimizer = optimizer
        self.learning_rate = learning_rate
        self.clip = clip
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.patience = patience
        self.standardize = standardize
        self.layout = layout
        self.progress = progress
        self.random_state = random_state
        self.n_jobs = n_jobs

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags

    def fit(self, X: Any, y: Any) -> Self:  # noqa: N803
        """Trains a network on the sequences X and their numbers y."""
        self._validate_params()
        sequences = self._sequences(X, reset=True)
        if y is None:
            raise ValueError(f"{type(self).__name__} requires y to be passed, but the target y is None")
        targets = check_array(y, ensure_2d=False, dtype="numeric", input_name="y")
        if targets.ndim > 2:
            raise ValueError(f"y has {targets.ndim} dimensions; expected [n] or [n, numbers]")
        if targets.ndim == 2 and targets.shape[1] == 1:
            targets = column_or_1d(targets, warn=True)
        check_consistent_length(sequences, targets)
        self._single = targets.ndim == 1
        values = targets.astype(np.float64).reshape(len(targets), -1)
        start, shuffle, split = self._seeds()
        train, held = self._split(sequences, split, None)
        self.target_mean_, self.target_deviation_ = _moments(values[train], self.standardize)
        scaled = ((values - self.target_mean_) / self.target_deviation_).astype(np.float32)
        datasets = [
            None if indices is None else Dataset.with_values(sequences.take(indices), scaled[indices])
            for indices in (train, held)
        ]
        assert datasets[0] is not None
        self._train(self._build(sequences.features, values.shape[1], "last", start), datasets[0], datasets[1], shuffle)
        return self

    def predict(self, X: Any) -> NDArray[np.float64]:  # noqa: N803
        """The numbers of each sequence, [n] or [n, numbers] as y was."""
        check_is_fitted(self)
        outputs = self._outputs(self._sequences(X, reset=False)).astype(np.float64)
        values: NDArray[np.float64] = outputs * self.target_deviation_ + self.target_mean_
        return values[:, 0] if self._single else values


def _moments(values: NDArray[np.float64], standardize: bool) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and deviation of each column; 0 and 1 where it is not to be standardised."""
    if not standardize:
        return np.zeros(values.shape[1]), np.ones(values.shape[1])
    deviation = values.std(axis=0)
    return values.mean(axis=0), np.where(deviation > 0, deviation, 1.0)


def _name_classes(network: Network, classes: NDArray[Any]) -> None:
    """Gives the labels to the network as names, for files of it, unless two are the same as text."""
    names = [str(label) for label in classes]
    if len(set(names)) == len(names) and not any("\0" in name for name in names):
        network.class_names = names
