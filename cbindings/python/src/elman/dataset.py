"""Data sets: sequences and what a network should answer."""

from __future__ import annotations

import copy
import os
from collections.abc import Sequence
from typing import Any, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from elman import _names
from elman._arrays import Floats, check_shape, floats, pointer, sizes, view
from elman._library import ArgumentError, check, create, ffi, lib, options, path_bytes, texts
from elman._names import Missing, Targets
from elman.sequences import Layout, Sequences, as_sequences


def _per_step(values: Any, sequences: Sequences, name: str, lengths: ArrayLike | None) -> NDArray[Any]:
    """What there is for each step, of all sequences one after the other."""
    if lengths is not None:
        values = np.asarray(values)
    if isinstance(values, np.ndarray) and values.dtype != object:
        if values.ndim == 1 or (values.ndim == 2 and len(values) == len(sequences.values) != len(sequences)):
            return values
        steps = int(sequences.lengths.max()) if lengths is None else values.shape[1]
        check_shape(values, [len(sequences), steps, *values.shape[2:]], name)
        real = np.arange(steps) < sequences.lengths[:, None]
        return cast(NDArray[Any], values[real])
    if len(values) != len(sequences):
        raise ArgumentError(f"{name} has {len(values)} elements; expected {len(sequences)}, one for each sequence")
    parts = [np.asarray(part) for part in values]
    for index, (part, length) in enumerate(zip(parts, sequences.lengths, strict=True)):
        if part.ndim < 1 or len(part) != length:
            message = f"{name}[{index}] has {len(part) if part.ndim else 'no'} steps; expected {length}, as the sequence has"
            raise ArgumentError(message, lib.ELMAN_ERROR_LENGTH)
    return np.concatenate(parts)


class Dataset:
    """Sequences and their targets. It owns copies, never changes, and may be used by any number of threads.

    The sequences come in the forms of as_sequences(): [n, steps, features] with or without lengths, lists of arrays and so on.
    """

    def __init__(self, x: Any, *, lengths: ArrayLike | None = None, layout: Layout = "steps_features") -> None:
        """Makes a data set without targets."""
        sequences = as_sequences(x, layout, lengths)
        self._make(lib.elman_dataset_create, sequences)

    def _make(self, function: Any, sequences: Sequences, *arguments: Any) -> None:
        data = pointer(sequences.values), pointer(sequences.lengths), len(sequences)
        self._handle = create("elman_dataset", function, sequences.features, *data, *arguments)

    @classmethod
    def with_classes(
        cls,
        x: Any,
        labels: Any,
        classes: int | None = None,
        *,
        per_step: bool = False,
        lengths: ArrayLike | None = None,
        layout: Layout = "steps_features",
    ) -> Dataset:
        """Makes a data set with a class for each sequence, or each step.

        labels are integers [n] or, per step, [n, steps] or a list of arrays [steps], each less than `classes` (by default one
        more than the largest); NO_LABEL (-1) stands for none.
        """
        sequences = as_sequences(x, layout, lengths)
        values = _per_step(labels, sequences, "labels", lengths) if per_step else np.asarray(labels)
        numbers = sizes(values, "labels", [len(sequences.values) if per_step else len(sequences)], least=-1)
        if classes is None:
            classes = int(numbers.view(np.intp).max(initial=-1)) + 1
        dataset = cls.__new__(cls)
        dataset._make(lib.elman_dataset_create_classes, sequences, pointer(numbers), classes, int(per_step))
        return dataset

    @classmethod
    def with_values(
        cls,
        x: Any,
        values: Any,
        *,
        per_step: bool = False,
        lengths: ArrayLike | None = None,
        layout: Layout = "steps_features",
    ) -> Dataset:
        """Makes a data set with numbers for each sequence, [n] or [n, size], or each step, [n, steps, size] or a list.

        NaN stands for a number that is not known.
        """
        sequences = as_sequences(x, layout, lengths)
        given = _per_step(values, sequences, "values", lengths) if per_step else np.asarray(values)
        array = floats(given, "values")
        if array.ndim == 1:
            array = array.reshape(-1, 1)
        check_shape(array, [len(sequences.values) if per_step else len(sequences), "size"], "values")
        dataset = cls.__new__(cls)
        dataset._make(lib.elman_dataset_create_values, sequences, pointer(array), array.shape[1], int(per_step))
        return dataset

    @classmethod
    def read_ts(
        cls,
        path: str | os.PathLike[str],
        *,
        missing: Missing = "error",
        trim_padding: bool = False,
        time_feature: bool = False,
    ) -> Dataset:
        """Reads a file in the .ts format of the UCR and UEA archive, as aeon and sktime have it."""
        fields = options(
            "elman_ts_options",
            {
                "missing": _names.number("missing", missing),
                "trim_padding": int(trim_padding),
                "time_feature": int(time_feature),
            },
        )
        dataset = cls.__new__(cls)
        dataset._handle = create("elman_dataset", lib.elman_dataset_read_ts_with, path_bytes(path), fields)
        return dataset

    def __len__(self) -> int:
        return int(lib.elman_dataset_sequence_count(self._handle))

    @property
    def input_size(self) -> int:
        """Features of a step."""
        return int(lib.elman_dataset_input_size(self._handle))

    @property
    def total_steps(self) -> int:
        """Steps of all sequences together."""
        return int(lib.elman_dataset_total_steps(self._handle))

    @property
    def max_length(self) -> int:
        """Steps of the longest sequence."""
        return int(lib.elman_dataset_max_length(self._handle))

    @property
    def targets(self) -> Targets:
        """What the targets are."""
        return cast(Targets, _names.name("targets", lib.elman_dataset_targets(self._handle)))

    @property
    def class_names(self) -> list[str]:
        """The names of the classes: numbers where they have none; empty where the targets are no classes."""
        return texts(lib.elman_dataset_class_count(self._handle), lib.elman_dataset_class_name, self._handle)

    @property
    def notes(self) -> list[str]:
        """What the file that it was read from says of itself that is not so."""
        return texts(lib.elman_dataset_get_note_count(self._handle), lib.elman_dataset_get_note, self._handle)

    def __getitem__(self, index: int) -> Floats:
        """A sequence itself, [length, input_size], to read."""
        count = len(self)
        if not -count <= index < count:
            raise IndexError(f"there is no sequence {index}: the data set has {count}")
        address, length = ffi.new("float **"), ffi.new("size_t *")
        check(lib.elman_dataset_sequence(self._handle, index % count, address, length))
        array, _ = view(self, address[0], length[0] * self.input_size, np.float32)
        return array.reshape(length[0], self.input_size)

    @property
    def lengths(self) -> list[int]:
        """Steps of each sequence."""
        return [len(self[index]) for index in range(len(self))]

    @property
    def labels(self) -> NDArray[np.intp]:
        """The classes that are the targets, [n] or [total_steps], to read; NO_LABEL (-1) where there is none."""
        address, count = ffi.new("size_t **"), ffi.new("size_t *")
        check(lib.elman_dataset_labels(self._handle, address, count))
        return view(self, address[0], count[0], np.intp)[0]

    @property
    def values(self) -> Floats:
        """The numbers that are the targets, [n, size] or [total_steps, size], to read."""
        address, count = ffi.new("float **"), ffi.new("size_t *")
        check(lib.elman_dataset_values(self._handle, address, count))
        array, _ = view(self, address[0], count[0], np.float32)
        return array.reshape(self.total_steps if self.targets == "step_values" else len(self), -1)

    def sequences(self) -> Sequence[Floats]:
        """All sequences, as the estimators take them."""
        return [self[index] for index in range(len(self))]

    def __reduce__(self) -> str:
        raise copy.Error("a data set can't be pickled: pickle the arrays that it was made of")
