"""Losses and their gradients, for one's own training loop."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from elman import _names
from elman._arrays import Floats, check_shape, floats, pointer, result, sizes
from elman._guard import Guard
from elman._library import ArgumentError, check, create, ffi, lib, options
from elman._names import CtcReduction


def softmax(logits: ArrayLike) -> Floats:
    """The probabilities of the classes, over the last dimension."""
    array = floats(logits, "logits")
    if array.ndim == 0:
        raise ArgumentError("logits is a number; expected [..., classes]", lib.ELMAN_ERROR_LENGTH)
    probabilities = result(None, "probabilities", array.shape)
    rows = int(np.prod(array.shape[:-1]))
    check(lib.elman_softmax(pointer(array), rows, array.shape[-1], pointer(probabilities)))
    return probabilities


def _padded(y: Floats, lengths: ArrayLike | None, name: str) -> tuple[int, ...] | None:
    if lengths is None:
        return None
    check_shape(y, ["batch", "steps", "size"], name)
    return y.shape


def softmax_cross_entropy(
    logits: ArrayLike, labels: ArrayLike, weights: ArrayLike | None = None, lengths: ArrayLike | None = None
) -> tuple[float, Floats]:
    """The mean of -ln p_label, and its gradient by the logits.

    logits are [..., classes], labels [...] with NO_LABEL (-1) for rows that do not count, weights [classes]. With `lengths`
    [batch], logits are [batch, steps, classes], and only so many steps of each sequence count.
    """
    array = floats(logits, "logits")
    numbers = sizes(labels, "labels", array.shape[:-1], least=-1)
    if array.ndim == 0:
        raise ArgumentError("logits is a number; expected [..., classes]", lib.ELMAN_ERROR_LENGTH)
    weight = None if weights is None else floats(weights, "weights", [array.shape[-1]])
    loss, gradient = ffi.new("double *"), result(None, "gradient", array.shape)
    head, tail = (pointer(array), pointer(numbers)), (array.shape[-1], pointer(weight), loss, pointer(gradient))
    if shape := _padded(array, lengths, "logits"):
        counts = sizes(lengths, "lengths", [shape[0]])  # type: ignore[arg-type]
        check(lib.elman_softmax_cross_entropy_weighted_padded(*head, *shape[:2], pointer(counts), *tail))
    else:
        check(lib.elman_softmax_cross_entropy_weighted(*head, numbers.size, *tail))
    return float(loss[0]), gradient


def _elementwise(name: str, y: ArrayLike, targets: ArrayLike, lengths: ArrayLike | None) -> tuple[float, Floats]:
    array = floats(y, "y")
    wanted = floats(targets, "targets", array.shape)
    loss, gradient = ffi.new("double *"), result(None, "gradient", array.shape)
    if shape := _padded(array, lengths, "y"):
        counts = sizes(lengths, "lengths", [shape[0]])  # type: ignore[arg-type]
        sizes_ = *shape[:2], pointer(counts), shape[2]
        check(getattr(lib, f"{name}_padded")(pointer(array), pointer(wanted), *sizes_, loss, pointer(gradient)))
    else:
        check(getattr(lib, name)(pointer(array), pointer(wanted), array.size, loss, pointer(gradient)))
    return float(loss[0]), gradient


def mean_squared_error(y: ArrayLike, targets: ArrayLike, lengths: ArrayLike | None = None) -> tuple[float, Floats]:
    """The mean of (y - target)^2, and its gradient by y; a target of NaN does not count.

    With `lengths` [batch], y and targets are [batch, steps, size], and only so many steps of each sequence count.
    """
    return _elementwise("elman_mean_squared_error", y, targets, lengths)


def binary_cross_entropy(logits: ArrayLike, targets: ArrayLike, lengths: ArrayLike | None = None) -> tuple[float, Floats]:
    """The cross-entropy of independent events, and its gradient by the logits; targets are from 0 to 1, or NaN."""
    return _elementwise("elman_binary_cross_entropy_with_logits", logits, targets, lengths)


class CtcWorkspace:
    """Room that ctc() keeps from call to call."""

    def __init__(self) -> None:
        self._handle = create("elman_ctc_workspace", lib.elman_ctc_workspace_create)
        self._guard = Guard("this workspace")


def ctc(
    logits: ArrayLike,
    labels: Any,
    lengths: ArrayLike | None = None,
    *,
    blank: int = 0,
    reduction: CtcReduction = "mean",
    zero_infinity: bool = False,
    workspace: CtcWorkspace | None = None,
) -> tuple[float, Floats]:
    """The CTC loss of a batch, and its gradient: logits [batch, steps, classes], labels a list of the labels of each sequence."""
    array = floats(logits, "logits", ["batch", "steps", "classes"])
    batch, steps, classes = array.shape
    if len(labels) != batch:
        raise ArgumentError(f"labels has {len(labels)} elements; expected {batch}", lib.ELMAN_ERROR_LENGTH)
    parts = [sizes(part, f"labels[{index}]", ["labels"]) for index, part in enumerate(labels)]
    flat = np.concatenate([*parts, np.empty(0, np.uintp)])
    label_lengths = np.array([len(part) for part in parts], np.uintp)
    counts = None if lengths is None else sizes(lengths, "lengths", [batch])
    fields = options(
        "elman_ctc_options",
        {"blank": blank, "reduction": _names.number("reduction", reduction), "zero_infinity": int(zero_infinity)},
    )
    room = workspace or CtcWorkspace()
    loss, gradient = ffi.new("double *"), result(None, "gradient", array.shape)
    arguments = pointer(array), pointer(flat), pointer(label_lengths), batch, steps, pointer(counts), classes, fields
    with room._guard.exclusive:
        check(lib.elman_ctc(*arguments, room._handle, loss, pointer(gradient)))
    return float(loss[0]), gradient


def ctc_greedy_decode(logits: ArrayLike, lengths: ArrayLike | None = None, *, blank: int = 0) -> list[NDArray[np.intp]]:
    """What the likeliest class of each step spells, for each sequence."""
    array = floats(logits, "logits", ["batch", "steps", "classes"])
    batch, steps, classes = array.shape
    counts = None if lengths is None else sizes(lengths, "lengths", [batch])
    labels, label_lengths = np.zeros(batch * steps, np.uintp), np.zeros(batch, np.uintp)
    arguments = pointer(array), batch, steps, pointer(counts), classes, blank
    check(lib.elman_ctc_greedy_decode(*arguments, pointer(labels), pointer(label_lengths)))
    ends = np.cumsum(label_lengths.astype(np.intp))
    return np.split(labels.view(np.intp)[: ends[-1]], ends[:-1])
