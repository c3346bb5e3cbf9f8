"""Estimators in the habit of scikit-learn: classes or numbers for sequences, tags for steps, forecasts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import pairwise
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from elman._arrays import Floats
from elman._extras import extra
from elman._library import NotFiniteError
from elman.dataset import Dataset, _per_step
from elman.losses import softmax
from elman.network import Network
from elman.optimizers import Adam, AdamW, Optimizer, RMSprop
from elman.sequences import Layout, Sequences, as_sequences

extra("sklearn", "sklearn")

from joblib import effective_n_jobs  # noqa: E402
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin  # noqa: E402
from sklearn.metrics import r2_score  # noqa: E402
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
# What a learning rate of "auto" is, in turn: the one that suits most data first.
_RATES = (0.003, 0.01, 0.001)
# From so many sequences on, "auto" keeps a part of them back for early stopping.
_AUTO_VALIDATION = 100
# From so many steps on, it keeps the last part of each sequence back: of shorter ones forecasts need the end too much.
_AUTO_STEPS = 500


class _Training(NamedTuple):
    """A network, what it is trained on, and what the estimator is to have of it."""

    network: Network
    train: Dataset
    validation: Dataset | None
    #: Of fit().
    options: Mapping[str, Any] = {}
    attributes: Mapping[str, Any] = {}


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
        "batch_size": [Interval(Integral, 1, None, closed="left"), None],
        "optimizer": [StrOptions(set(_OPTIMIZERS))],
        "learning_rate": [Interval(Real, 0, None, closed="neither"), StrOptions({"auto"})],
        "clip": [Interval(Real, 0, None, closed="neither"), None],
        "n_init": [Interval(Integral, 1, None, closed="left"), StrOptions({"auto"})],
        "early_stopping": ["boolean", StrOptions({"auto"})],
        "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
        "patience": [Interval(Integral, 1, None, closed="left")],
        "average": ["boolean"],
        "standardize": ["boolean"],
        "layout": [StrOptions({"steps_features", "channels_steps"})],
        "progress": ["boolean"],
        "random_state": ["random_state"],
        "n_jobs": [Integral, None],
    }

    def __init__(
        self,
        cell: str = "gru",
        units: int = 64,
        layers: int = 1,
        *,
        direction: str = "forward",
        dropout: float = 0.0,
        epochs: int = 200,
        batch_size: int | None = None,
        optimizer: str = "adam",
        learning_rate: float | str = "auto",
        clip: float | None = 1.0,
        n_init: int | str = "auto",
        early_stopping: bool | str = "auto",
        validation_fraction: float = 0.15,
        patience: int = 40,
        average: bool = True,
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
        self.n_init = n_init
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.patience = patience
        self.average = average
        self.standardize = standardize
        self.layout = layout
        self.progress = progress
        self.random_state = random_state
        self.n_jobs = n_jobs

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
            return (
                bool(len(x))
                and all(isinstance(row, list | tuple) for row in x)
                and len({len(row) for row in x}) == 1
                and all(np.ndim(value) == 0 for value in x[0])
            )
        if type(x).__module__.startswith("pandas"):
            return hasattr(x, "columns") and getattr(x.index, "nlevels", 1) == 1 and not (x.size and np.ndim(x.iloc[0, 0]) == 1)
        if isinstance(x, np.ndarray) and (x.ndim == 3 or (x.ndim == 1 and x.dtype == object and x.size and np.ndim(x[0]))):
            return False
        return not isinstance(x, Sequences)

    # The network

    def _build(self, features: int, outputs: int, output: Literal["last", "all"], seed: int, direction: Any = None) -> Network:
        network = Network(features, output=output, seed=seed, threads=effective_n_jobs(self.n_jobs))
        add: Any = getattr(network, f"add_{self.cell}")
        for _ in range(self.layers):
            add(self.units, direction=direction or self.direction)
            if self.dropout:
                network.add_dropout(self.dropout)
        return network.add_dense(outputs)

    def _keeps_back(self, enough: bool) -> bool:
        """Whether a part is kept back: with "auto" where there is enough, or where networks are to be compared by it."""
        if self.early_stopping == "auto":
            return enough or self.n_init not in (1, "auto")
        return bool(self.early_stopping)

    def _split(self, sequences: Sequences, seed: int, classes: NDArray[Any] | None) -> Any:
        """Which sequences are to train on, and which to stop by; None where there is no such part.

        Of each class its share is kept back, but one at least and not all.
        """
        everything = np.arange(len(sequences))
        if not self._keeps_back(len(sequences) >= _AUTO_VALIDATION):
            return everything, None
        random = np.random.default_rng(seed)
        held = []
        for number in [None] if classes is None else np.unique(classes):
            same = random.permutation(everything if number is None else np.flatnonzero(classes == number))
            held.append(same[: min(max(1, round(self.validation_fraction * len(same))), len(same) - 1)])
        part = np.sort(np.concatenate(held))
        if not len(part):
            raise ValueError("early stopping and n_init above 1 need 2 sequences or more, of one class at least")
        return np.setdiff1d(everything, part), part

    def _prepared(
        self,
        network: Network,
        dataset: Callable[[NDArray[np.intp]], Dataset],
        parts: tuple[NDArray[np.intp], NDArray[np.intp] | None],
        **more: Any,
    ) -> _Training:
        """A network and the parts that _split() gives, of which `dataset` makes data sets."""
        train, held = dataset(parts[0]), None if parts[1] is None else dataset(parts[1])
        if self.standardize:
            network.standardize(train)
        return _Training(network, train, held, **more)

    def _count(self, validation: Dataset | None) -> int:
        """How many networks are trained."""
        if self.n_init == "auto":
            return 1 if validation is None else len(_RATES)
        if self.n_init != 1 and validation is None:
            raise ValueError(f"n_init is {self.n_init}, but nothing is kept back to compare networks by; see early_stopping")
        return int(self.n_init)

    def _fit(self, prepare: Callable[[int, int], _Training]) -> Self:
        """Trains networks, with each rate from one seed, then from the next one, and takes the best.

        `prepare` makes a network and what it is trained on, by a seed for its parameters and one for what is kept back.
        """
        random = check_random_state(self.random_state)

        def begin() -> tuple[_Training, int]:
            start, shuffle, split = random.randint(np.iinfo(np.int32).max, size=3)
            return prepare(int(start), int(split)), int(shuffle)

        training, seed = begin()
        rates: tuple[Any, ...] = _RATES if self.learning_rate == "auto" else (self.learning_rate,)
        best: tuple[float, float, History, Network, _Training] | None = None
        failure = None
        for index in range(self._count(training.validation)):
            if index and index % len(rates) == 0:
                training, seed = begin()
            network, rate = training.network.copy(), rates[index % len(rates)]
            try:
                history = self._train(network, training, rate, seed)
            except NotFiniteError as error:
                failure = error
                continue
            loss = history["validation_loss"][history.best_epoch - 1] if history.best_epoch else np.inf
            if best is None or loss < best[0]:
                best = loss, rate, history, network, training
        if best is None:
            assert failure is not None
            raise failure
        _, self.learning_rate_, self.history_, self.network_, training = best
        self.n_iter_ = len(self.history_["loss"])
        self.best_epoch_ = self.history_.best_epoch or self.n_iter_
        for name, value in training.attributes.items():
            setattr(self, name, value)
        return self

    def _train(self, network: Network, training: _Training, rate: float, seed: int) -> History:
        """Trains a network once."""
        options = dict(training.options)
        # The loss is a mean by the weights of its batch: where all are of one class, these say nothing.
        least = 16 if "class_weights" in options else 2
        options["batch_size"] = self.batch_size or min(16, max(least, len(training.train) // 8))
        if training.validation is not None:
            options |= {"validation": training.validation, "patience": self.patience}
        if self.clip is not None:
            options |= {"clip": "norm", "clip_limit": self.clip}
        return network.fit(
            training.train,
            _OPTIMIZERS[self.optimizer](rate),
            epochs=self.epochs,
            seed=seed,
            progress=self.progress,
            average=self.average,
            **options,
        )

    def _need(self, y: Any) -> None:
        """Raises where there are no targets, in scikit-learn's words."""
        if y is None:
            raise ValueError(f"{type(self).__name__} requires y to be passed, but the target y is None")

    def _outputs(self, sequences: Sequences) -> Floats:
        return self.network_.predict_dataset(Dataset(sequences))


class _ClassEstimator(_SequenceEstimator):
    """What the estimators of classes have in common."""

    classes_: NDArray[Any]

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
        epochs: int = 200,
        batch_size: int | None = None,
        optimizer: str = "adam",
        learning_rate: float | str = "auto",
        clip: float | None = 1.0,
        n_init: int | str = "auto",
        early_stopping: bool | str = "auto",
        validation_fraction: float = 0.15,
        patience: int = 40,
        average: bool = True,
        class_weight: str | Mapping[Any, float] | None = None,
        standardize: bool = True,
        layout: Layout = "steps_features",
        progress: bool = False,
        random_state: Any = None,
        n_jobs: int | None = None,
    ) -> None:
        super().__init__(
            cell,
            units,
            layers,
            direction=direction,
            dropout=dropout,
            epochs=epochs,
            batch_size=batch_size,
            optimizer=optimizer,
            learning_rate=learning_rate,
            clip=clip,
            n_init=n_init,
            early_stopping=early_stopping,
            validation_fraction=validation_fraction,
            patience=patience,
            average=average,
            standardize=standardize,
            layout=layout,
            progress=progress,
            random_state=random_state,
            n_jobs=n_jobs,
        )
        self.class_weight = class_weight

    def _class_weights(self, labels: NDArray[Any]) -> dict[str, Any]:
        """The option of fit() that says what the classes count for."""
        if self.class_weight is None:
            return {}
        weights = compute_class_weight(self.class_weight, classes=self.classes_, y=labels)
        return {"class_weights": weights.astype(np.float32)}

    def _fit_classes(self, sequences: Sequences, labels: NDArray[Any], *, per_step: bool) -> Self:
        """Trains a network on the labels of the sequences, or of all their steps one after the other."""
        check_classification_targets(labels)
        self.classes_, numbers = np.unique(labels, return_inverse=True)
        names = [str(label) for label in self.classes_]

        def dataset(indices: NDArray[np.intp]) -> Dataset:
            rows = sequences.steps_of(indices) if per_step else indices
            return Dataset.with_classes(sequences.take(indices), numbers[rows], len(names), per_step=per_step)

        def prepare(start: int, split: int) -> _Training:
            network = self._build(sequences.features, len(names), "all" if per_step else "last", start)
            # For files of the network, unless two are the same as text.
            if len(set(names)) == len(names) and not any("\0" in name for name in names):
                network.class_names = names
            parts = self._split(sequences, split, None if per_step else numbers)
            return self._prepared(network, dataset, parts, options=self._class_weights(labels))

        return self._fit(prepare)


class SequenceClassifier(ClassifierMixin, _ClassEstimator):  # type: ignore[misc]
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
    batch_size : int or None
        Sequences for one update; None: 2 to 16, so that few sequences make some updates an epoch, and 16 with class weights.
    optimizer : {"adam", "adamw", "rmsprop"}
        The optimizer.
    learning_rate : float or "auto"
        Its learning rate. "auto": 0.003, 0.01 and 0.001 in turn, one after the other in the trainings that `n_init` counts.
    clip : float or None
        The largest norm of the gradients of an update; None: no limit.
    n_init : int or "auto"
        How often a network is trained; the one with the least loss on the part that is kept back is taken. "auto": 3 times, or
        once where nothing is kept back.
    early_stopping : bool or "auto"
        Whether a part of the sequences is kept back, and training ends when it no longer gets better there; the network is then
        the one of the best epoch. "auto": with 100 sequences and more, and where `n_init` is a number above 1.
    validation_fraction : float
        The part that is kept back.
    patience : int
        Epochs without a better one after which training ends.
    average : bool
        Whether the network gets a mean of its parameters over some epochs, about the last ninth of those until then: after the
        epoch where that mean has the least loss on the part that is kept back, or after the last one. Otherwise it gets those of
        the best epoch.
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
    learning_rate_ : the learning rate of the training that was taken
    history_ : its numbers, epoch by epoch
    n_iter_, best_epoch_ : epochs that were run, and the best of them; without `average` the parameters are of that
    n_features_in_ : columns of a table [n, steps], else features of a step

    """

    def fit(self, X: Any, y: Any) -> Self:
        """Trains a network on the sequences X and their classes y."""
        self._validate_params()
        sequences = self._sequences(X, reset=True)
        self._need(y)
        labels = column_or_1d(y, warn=True)
        check_consistent_length(sequences, labels)
        return self._fit_classes(sequences, labels, per_step=False)

    def predict_proba(self, X: Any) -> Floats:
        """The probabilities of the classes, [n, classes], in the order of classes_."""
        check_is_fitted(self)
        return softmax(self._outputs(self._sequences(X, reset=False)))

    def predict(self, X: Any) -> NDArray[Any]:
        """The class of each sequence, [n]."""
        check_is_fitted(self)
        numbers = self._outputs(self._sequences(X, reset=False)).argmax(axis=1)
        result: NDArray[Any] = self.classes_[numbers]
        return result


class SequenceRegressor(RegressorMixin, _SequenceEstimator):  # type: ignore[misc]
    """Tells a number, or some, for each sequence.

    X is as with SequenceClassifier; y is [n] or [n, numbers]. The parameters are those of SequenceClassifier but for
    class_weight; `standardize` also holds for y, while it is trained on. Attributes are network_, learning_rate_, history_,
    n_iter_, best_epoch_, n_features_in_, and target_mean_ and target_deviation_: a target is an output of the network times the
    deviation plus the mean.
    """

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags

    def fit(self, X: Any, y: Any) -> Self:
        """Trains a network on the sequences X and their numbers y."""
        self._validate_params()
        sequences = self._sequences(X, reset=True)
        self._need(y)
        targets = check_array(y, ensure_2d=False, dtype="numeric", input_name="y")
        if targets.ndim > 2:
            raise ValueError(f"y has {targets.ndim} dimensions; expected [n] or [n, numbers]")
        if targets.ndim == 2 and targets.shape[1] == 1:
            targets = column_or_1d(targets, warn=True)
        check_consistent_length(sequences, targets)
        self._single = targets.ndim == 1
        values = targets.astype(np.float64).reshape(len(targets), -1)

        def prepare(start: int, split: int) -> _Training:
            parts = self._split(sequences, split, None)
            mean, deviation = _moments(values[parts[0]], self.standardize)
            scaled = ((values - mean) / deviation).astype(np.float32)
            return self._prepared(
                self._build(sequences.features, values.shape[1], "last", start),
                lambda some: Dataset.with_values(sequences.take(some), scaled[some]),
                parts,
                attributes={"target_mean_": mean, "target_deviation_": deviation},
            )

        return self._fit(prepare)

    def predict(self, X: Any) -> NDArray[np.float64]:
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


class SequenceTagger(_ClassEstimator):
    """Tells a class for each step of each sequence.

    X is as with SequenceClassifier. y is [n, steps] or a list of arrays [steps]; one class for each sequence, [n], is that of all
    its steps. Parameters and attributes are those of SequenceClassifier; the network's outputs are those of all steps. By default
    the layers see the whole sequence.
    """

    def __init__(
        self,
        cell: str = "gru",
        units: int = 64,
        layers: int = 1,
        *,
        direction: str = "bidirectional",
        dropout: float = 0.0,
        epochs: int = 200,
        batch_size: int | None = None,
        optimizer: str = "adam",
        learning_rate: float | str = "auto",
        clip: float | None = 1.0,
        n_init: int | str = "auto",
        early_stopping: bool | str = "auto",
        validation_fraction: float = 0.15,
        patience: int = 40,
        average: bool = True,
        class_weight: str | Mapping[Any, float] | None = None,
        standardize: bool = True,
        layout: Layout = "steps_features",
        progress: bool = False,
        random_state: Any = None,
        n_jobs: int | None = None,
    ) -> None:
        super().__init__(
            cell,
            units,
            layers,
            direction=direction,
            dropout=dropout,
            epochs=epochs,
            batch_size=batch_size,
            optimizer=optimizer,
            learning_rate=learning_rate,
            clip=clip,
            n_init=n_init,
            early_stopping=early_stopping,
            validation_fraction=validation_fraction,
            patience=patience,
            average=average,
            class_weight=class_weight,
            standardize=standardize,
            layout=layout,
            progress=progress,
            random_state=random_state,
            n_jobs=n_jobs,
        )

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        return tags

    def _labels(self, y: Any, sequences: Sequences) -> NDArray[Any]:
        """The labels of the steps of all sequences, one after the other."""
        self._need(y)
        check_consistent_length(sequences, y)
        rows = y if isinstance(y, np.ndarray) and y.dtype != object else list(y.to_numpy() if hasattr(y, "to_numpy") else y)
        if np.ndim(rows[0]) == 0:
            return np.repeat(column_or_1d(rows), sequences.lengths.astype(np.intp))
        return _per_step(rows, sequences, "y", None)

    def fit(self, X: Any, y: Any) -> Self:
        """Trains a network on the sequences X and the classes of their steps, y."""
        self._validate_params()
        sequences = self._sequences(X, reset=True)
        return self._fit_classes(sequences, self._labels(y, sequences), per_step=True)

    def predict_proba(self, X: Any) -> Any:
        """The probabilities of the classes of each step: [n, steps, classes], of a list [steps, classes] for each sequence."""
        check_is_fitted(self)
        sequences = self._sequences(X, reset=False)
        return _per_sequence(softmax(self._outputs(sequences)), sequences)

    def predict(self, X: Any) -> Any:
        """The class of each step: [n, steps], of a list [steps] for each sequence."""
        check_is_fitted(self)
        sequences = self._sequences(X, reset=False)
        return _per_sequence(self.classes_[self._outputs(sequences).argmax(axis=1)], sequences)

    def score(self, X: Any, y: Any) -> float:
        """The part of all steps whose class is the right one."""
        check_is_fitted(self)
        sequences = self._sequences(X, reset=False)
        predicted = self.classes_[self._outputs(sequences).argmax(axis=1)]
        return float(np.mean(predicted == self._labels(y, sequences)))


class Forecaster(_SequenceEstimator):
    """Tells how sequences go on.

    X is one series, [steps], or sequences as with SequenceClassifier. The network learns to tell each step from those before it;
    forecasts of several steps take one after the other, each from the forecast before. All features are forecast. Parameters are
    those of SequenceRegressor without a direction, and:

    Parameters
    ----------
    horizon : int
        The steps that predict() gives.
    window : int
        Longer sequences are cut into parts of so many steps for training, half of which overlap. It is also the least that a
        forecast should have before it.

    Early stopping keeps back some of the sequences where they are 100 or more, otherwise the last part of each one in time;
    "auto": where they have 500 steps and more, or where `n_init` is a number above 1.

    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **{name: rule for name, rule in _SequenceEstimator._parameter_constraints.items() if name != "direction"},
        "horizon": [Interval(Integral, 1, None, closed="left")],
        "window": [Interval(Integral, 2, None, closed="left")],
    }

    def __init__(
        self,
        horizon: int = 1,
        window: int = 128,
        *,
        cell: str = "gru",
        units: int = 64,
        layers: int = 1,
        dropout: float = 0.0,
        epochs: int = 200,
        batch_size: int | None = None,
        optimizer: str = "adam",
        learning_rate: float | str = "auto",
        clip: float | None = 1.0,
        n_init: int | str = "auto",
        early_stopping: bool | str = "auto",
        validation_fraction: float = 0.15,
        patience: int = 40,
        average: bool = True,
        standardize: bool = True,
        layout: Layout = "steps_features",
        progress: bool = False,
        random_state: Any = None,
        n_jobs: int | None = None,
    ) -> None:
        super().__init__(
            cell,
            units,
            layers,
            dropout=dropout,
            epochs=epochs,
            batch_size=batch_size,
            optimizer=optimizer,
            learning_rate=learning_rate,
            clip=clip,
            n_init=n_init,
            early_stopping=early_stopping,
            validation_fraction=validation_fraction,
            patience=patience,
            average=average,
            standardize=standardize,
            layout=layout,
            progress=progress,
            random_state=random_state,
            n_jobs=n_jobs,
        )
        self.horizon = horizon
        self.window = window

    def _series(self, x: Any, *, reset: bool) -> tuple[Sequences, Literal["series", "table", "sequences"]]:
        """The sequences, and the form that they came in."""
        if hasattr(x, "to_numpy") and getattr(x, "ndim", 0) == 1 and len(x) and np.ndim(x.iloc[0]) == 0:
            x = x.to_numpy()
        if isinstance(x, np.ndarray | list) and len(x) and all(np.ndim(value) == 0 for value in x):
            x = [check_array(x, ensure_2d=False, dtype="numeric", input_name="X")]
            return self._sequences(x, reset=reset), "series"
        sequences = self._sequences(x, reset=reset)
        univariate = self._is_table(x) or (isinstance(x, list) and np.ndim(x[0]) == 1)
        return sequences, "table" if univariate else "sequences"

    def _cut(self, values: Floats, offset: int, first: int, parts: list[Any]) -> None:
        """Adds the parts of one sequence: where each begins, its steps, and the first step whose next one is a target."""
        begin = 0
        while True:
            end = min(begin + self.window, len(values) - 1)
            if end > max(first, begin):
                parts.append((offset + begin, end - begin, max(0, first - begin)))
            if end == len(values) - 1:
                return
            begin += self.window // 2

    def _next_steps(self, sequences: Sequences, scaled: Floats, ranges: list[tuple[int, int, int]]) -> Dataset | None:
        """A data set of parts of sequences. Each range is of one sequence: begin, end, and the first step that is a target."""
        parts: list[tuple[int, int, int]] = []
        for begin, end, first in ranges:
            self._cut(scaled[begin:end], begin, first, parts)
        if not parts:
            return None
        inputs = [sequences.values[begin : begin + steps] for begin, steps, _ in parts]
        targets = []
        for begin, steps, context in parts:
            target = scaled[begin + 1 : begin + 1 + steps].copy()
            target[:context] = np.nan
            targets.append(target)
        return Dataset.with_values(inputs, targets, per_step=True)

    def fit(self, X: Any, y: Any = None) -> Self:
        """Trains a network on how the sequences X go on; y is not looked at."""
        self._validate_params()
        sequences, self._form = self._series(X, reset=True)
        shortest = int(sequences.lengths.min())
        if shortest < 2:
            raise ValueError(f"a sequence has {shortest} step (n_features = {shortest}); a forecaster needs 2 or more")
        features = sequences.features

        def prepare(start: int, split: int) -> _Training:
            train, held = self._ranges(sequences, split)
            used = np.concatenate([sequences.values[begin:end] for begin, end, _ in train]).astype(np.float64)
            mean, deviation = _moments(used, self.standardize)
            scaled = ((sequences.values - mean) / deviation).astype(np.float32)
            dataset, validation = self._next_steps(sequences, scaled, train), self._next_steps(sequences, scaled, held)
            assert dataset is not None
            network = self._build(features, features, "all", start)
            # What is learned is the change: the step before is a good forecast to begin with.
            network.add_residual(0)
            if self.standardize:
                # Not by the windows, which overlap; and a residual adds the input as it is standardised.
                network.set_standardization(mean, deviation)
            return _Training(network, dataset, validation, attributes={"target_mean_": mean, "target_deviation_": deviation})

        self._seen = sequences
        return self._fit(prepare)

    def _ranges(self, sequences: Sequences, split: int) -> tuple[list[tuple[int, int, int]], list[tuple[int, int, int]]]:
        """The steps to train on and those that are kept back, as _next_steps() takes them."""
        shortest = int(sequences.lengths.min())
        train = [(int(begin), int(end), 0) for begin, end in pairwise(sequences.offsets)]
        held: list[tuple[int, int, int]] = []
        if len(sequences) >= _AUTO_VALIDATION and self._keeps_back(True):
            chosen, kept = self._split(sequences, split, None)
            return [train[index] for index in chosen], [train[index] for index in kept]
        if self._keeps_back(shortest >= _AUTO_STEPS):
            # The last part in time: what is before it is context there, and no target.
            for index, (begin, end, _) in enumerate(train):
                last = max(1, round((end - begin) * self.validation_fraction))
                cut = end - last
                context = min(cut - begin, self.window // 2)
                held.append((cut - context, end, max(0, context - 1)))
                train[index] = (begin, cut, 0)
            if all(end - begin < 2 for begin, end, _ in train):
                raise ValueError(f"early stopping needs sequences of 3 steps or more; the shortest has {shortest}")
        return train, held

    def predict(self, X: Any = None, horizon: int | None = None) -> NDArray[np.float64]:
        """What follows the sequences X; without them, the sequences of fit().

        [horizon] of one series [steps]; [n, horizon] of sequences of one feature that came without a dimension for it;
        else [n, horizon, features].
        """
        check_is_fitted(self)
        if horizon is not None and horizon < 1:
            raise ValueError(f"horizon is {horizon}; expected at least 1")
        sequences, form = (self._seen, self._form) if X is None else self._series(X, reset=False)
        forecasts = self._forecast(sequences, self.horizon if horizon is None else horizon)
        if form == "series":
            return forecasts[0, :, 0]
        return forecasts[:, :, 0] if form == "table" else forecasts

    def _forecast(self, sequences: Sequences, horizon: int) -> NDArray[np.float64]:
        network = self.network_
        outputs, state = network.predict(sequences.padded(), sequences.lengths, return_state=True)
        step = outputs[np.arange(len(sequences)), sequences.lengths.astype(np.intp) - 1]
        forecasts = np.empty((len(sequences), horizon, sequences.features))
        for index in range(horizon):
            forecasts[:, index] = step * self.target_deviation_ + self.target_mean_
            if index + 1 < horizon:
                step, state = network.predict(forecasts[:, index : index + 1], state=state, return_state=True)
                step = step[:, 0]
        return forecasts

    def score(self, X: Any, y: Any = None) -> float:
        """The coefficient of determination of the last `horizon` steps of each sequence, forecast from those before them."""
        check_is_fitted(self)
        sequences, _ = self._series(X, reset=False)
        shortest = int(sequences.lengths.min())
        if shortest <= self.horizon:
            raise ValueError(f"a sequence has {shortest} steps; the score needs more than the horizon, {self.horizon}")
        whole = [sequences[index] for index in range(len(sequences))]
        truth = np.stack([values[-self.horizon :] for values in whole]).astype(np.float64)
        forecasts = self._forecast(as_sequences([values[: -self.horizon] for values in whole]), self.horizon)
        return float(r2_score(truth.reshape(-1, sequences.features), forecasts.reshape(-1, sequences.features)))


def _per_sequence(steps: NDArray[Any], sequences: Sequences) -> Any:
    """What there is for all steps, sequence by sequence: one array where the sequences came as one."""
    if sequences.uniform:
        return steps.reshape(len(sequences), -1, *steps.shape[1:])
    return np.split(steps, sequences.offsets[1:-1])
