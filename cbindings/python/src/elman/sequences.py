"""Sequences from whatever holds them: arrays, lists, and collections of pandas, aeon and sktime."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from elman._arrays import Floats, Sizes, floats, shape_text, sizes
from elman._library import ArgumentError, lib

#: How arrays of several features are laid out: [n, steps, features] and [steps, features], or, as aeon has them,
#: [n, channels, steps] and [channels, steps].
Layout = Literal["steps_features", "channels_steps"]


@dataclass(frozen=True)
class Sequences:
    """Sequences one after the other: `values` [total_steps, features], `lengths` [n]."""

    values: Floats
    lengths: Sizes
    #: Whether they came as one array, in which all have the same length.
    uniform: bool = False

    def __len__(self) -> int:
        return len(self.lengths)

    @property
    def features(self) -> int:
        """Features of a step."""
        return int(self.values.shape[1])

    @cached_property
    def offsets(self) -> NDArray[np.intp]:
        """Where each sequence begins, and where the last one ends: [n + 1]."""
        return np.concatenate([[0], np.cumsum(self.lengths.astype(np.intp))]).astype(np.intp)

    def __getitem__(self, index: int) -> Floats:
        """One sequence, [length, features], a view."""
        count = len(self)
        if not -count <= index < count:
            raise IndexError(f"there is no sequence {index}: there are {count}")
        index %= count
        return self.values[self.offsets[index] : self.offsets[index + 1]]

    def steps_of(self, indices: NDArray[np.intp]) -> NDArray[np.intp]:
        """Which rows of the values are steps of these sequences, in their order."""
        offsets = self.offsets
        parts = [np.arange(offsets[index], offsets[index + 1]) for index in indices]
        return np.concatenate(parts) if parts else np.empty(0, np.intp)

    def take(self, indices: NDArray[np.intp]) -> Sequences:
        """Some of the sequences."""
        return Sequences(self.values[self.steps_of(indices)], self.lengths[indices], self.uniform)

    def padded(self) -> Floats:
        """[n, longest, features], 0 behind the end of a sequence."""
        longest = int(self.lengths.max(initial=0))
        result = np.zeros((len(self), longest, self.features), np.float32)
        result[np.arange(longest) < self.lengths[:, None]] = self.values
        return result


def _error(message: str) -> ArgumentError:
    return ArgumentError(message, lib.ELMAN_ERROR_LENGTH)


def _pandas(value: object) -> Any:
    """The module of pandas if the value is one of its objects, without importing it."""
    pandas = sys.modules.get("pandas")
    return pandas if pandas is not None and isinstance(value, pandas.DataFrame | pandas.Series) else None


def _one(value: Any, index: int, layout: Layout) -> Floats:
    """One sequence of a list, [steps, features]."""
    name = f"sequence {index}"
    if _pandas(value):
        # Rows are steps, whatever the layout of arrays is.
        return floats(value.to_numpy(), name).reshape(len(value), -1)
    array = np.asarray(value)
    if array.ndim == 1:
        return floats(array.reshape(-1, 1), name)
    if array.ndim != 2:
        raise _error(f"{name} has the shape {shape_text(array.shape)}; expected [steps], or two dimensions ({layout})")
    return floats(array if layout == "steps_features" else array.T, name)


def _list(values: Sequence[Any], layout: Layout) -> Sequences:
    if not len(values):
        raise _error("there are 0 sequences; expected at least 1")
    parts = [_one(value, index, layout) for index, value in enumerate(values)]
    features = parts[0].shape[1]
    for index, part in enumerate(parts):
        if part.shape[1] != features:
            raise _error(f"sequence {index} has {part.shape[1]} features a step, sequence 0 has {features}")
    lengths = np.array([len(part) for part in parts], np.uintp)
    return Sequences(np.concatenate(parts), lengths)


def _nested(frame: Any) -> Sequences:
    """Sktime's nested data frame: a row for each sequence, a column for each feature, a series in each cell."""
    sequences = []
    for row in range(len(frame)):
        cells = [np.asarray(frame.iloc[row, column]) for column in range(frame.shape[1])]
        steps = {len(cell) for cell in cells}
        if len(steps) > 1:
            raise _error(f"sequence {row} has features of different lengths: {sorted(steps)}")
        sequences.append(np.stack(cells, axis=1))
    return _list(sequences, "steps_features")


def _frame(frame: Any, pandas: Any) -> Sequences:
    if isinstance(frame.index, pandas.MultiIndex):
        # sktime's and aeon's pd-multiindex: the levels are the sequence and the time.
        if frame.index.nlevels != 2:
            raise _error(f"the index has {frame.index.nlevels} levels; expected 2, the sequence and the time")
        groups = [group.droplevel(0).sort_index() for _, group in frame.groupby(level=0, sort=False)]
        return _list(groups, "steps_features")
    if frame.shape[0] and frame.shape[1] and np.ndim(frame.iloc[0, 0]) == 1:
        return _nested(frame)
    return _table(frame.to_numpy())


def _table(array: NDArray[Any]) -> Sequences:
    values = floats(array, "X")
    lengths = np.full(len(values), values.shape[1], np.uintp)
    return Sequences(values.reshape(-1, 1), lengths, uniform=True)


def as_sequences(x: Any, layout: Layout = "steps_features", lengths: ArrayLike | None = None) -> Sequences:
    """Sequences of one of these forms.

    - [n, steps, features], or [n, channels, steps] with the layout "channels_steps" (aeon's and sktime's numpy3D); `lengths`
      [n] says how many steps of each are real, by default all;
    - [n, steps]: sequences of one feature; a pandas.DataFrame of numbers likewise;
    - a list of arrays [steps] or [steps, features] (with "channels_steps" [channels, steps]), or of data frames, whose rows
      are steps;
    - sktime's nested data frames, and data frames whose index has two levels, the sequence and the time.
    """
    if layout not in ("steps_features", "channels_steps"):
        raise ArgumentError(f"layout is {layout!r}; expected 'steps_features' or 'channels_steps'")
    if isinstance(x, Sequences):
        sequences = x
    elif pandas := _pandas(x):
        sequences = _list(list(x), layout) if isinstance(x, pandas.Series) else _frame(x, pandas)
    elif isinstance(x, np.ndarray) and not (x.dtype == object and x.ndim == 1):
        if x.ndim not in (2, 3):
            message = "expected [n, steps] or three dimensions (reshape your data: a single sequence is x.reshape(1, -1))"
            raise _error(f"X has the shape {shape_text(x.shape)}; {message}")
        if x.ndim == 2:
            sequences = _table(x)
        else:
            array = floats(x if layout == "steps_features" else x.transpose(0, 2, 1), "X")
            n, steps, features = array.shape
            sequences = Sequences(array.reshape(n * steps, features), np.full(n, steps, np.uintp), uniform=True)
    elif hasattr(x, "__len__") and not isinstance(x, str | bytes | dict):
        if len(x) and all(np.ndim(row) == 0 for row in x):
            raise _error("X is one sequence of numbers; expected a list of sequences: a single one is [x]")
        sequences = _list(x, layout)
    else:
        raise TypeError(f"X is a {type(x).__name__}; expected an array, a list of arrays or a pandas.DataFrame")
    if lengths is None:
        return sequences
    counts = sizes(lengths, "lengths", [len(sequences)])
    if not sequences.uniform or (counts > sequences.lengths).any():
        raise _error("lengths go with one array, and none is beyond its steps")
    longest = int(sequences.lengths.max(initial=0))
    real = np.arange(longest) < counts[:, None]
    return Sequences(sequences.values[real.reshape(-1)], counts)


def pad(x: Any, layout: Layout = "steps_features") -> tuple[Floats, Sizes]:
    """The arrays x [n, steps, features] and lengths [n] that Network.predict() and forward() take."""
    sequences = as_sequences(x, layout)
    return sequences.padded(), sequences.lengths
