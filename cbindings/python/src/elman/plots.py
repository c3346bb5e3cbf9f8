"""Pictures by matplotlib: how training went, what is taken for what, how a series goes on. Each gives the axes."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from elman._extras import extra


def _axes(ax: Any, size: tuple[float, float]) -> Any:
    if ax is not None:
        return ax
    figure = extra("matplotlib.figure", "plot").Figure(figsize=size, layout="constrained")
    if extra("matplotlib", "plot").get_backend().lower() in ("agg", "pdf", "svg", "ps"):
        return figure.subplots()
    return extra("matplotlib.pyplot", "plot").subplots(figsize=size, layout="constrained")[1]


def plot_history(fitted: Any, *, ax: Any = None) -> Any:
    """The losses of the epochs, and the accuracies where there are such: of an estimator, or of what Network.fit() gives."""
    history = getattr(fitted, "history_", fitted)
    ax = _axes(ax, (7.0, 4.0))
    epochs = np.arange(1, len(history["loss"]) + 1)
    for name, style in (("loss", "-"), ("validation_loss", "--")):
        if name in history:
            ax.plot(epochs, history[name], style, color="C0", label=name.replace("_", " "))
    ax.set_xlabel("epoch")
    ax.set_ylabel("loss")
    ax.set_ylim(bottom=0)
    lines = ax.get_lines()
    if "accuracy" in history:
        right = ax.twinx()
        for name, style in (("accuracy", "-"), ("validation_accuracy", "--")):
            if name in history:
                right.plot(epochs, history[name], style, color="C1", label=name.replace("_", " "))
        right.set_ylabel("accuracy")
        right.set_ylim(0, 1.02)
        lines = [*lines, *right.get_lines()]
    best = getattr(history, "best_epoch", 0)
    if best:
        lines = [*lines, ax.axvline(best, color="0.6", linestyle=":", label="best epoch")]
    ax.legend(handles=lines, loc="center right")
    return ax


def plot_confusion(fitted: Any, X: Any = None, y: Any = None, *, normalize: bool = False, ax: Any = None) -> Any:
    """How often each class was taken for each: of an estimator and sequences with their classes, or of Network.evaluate().

    normalize: parts of each class instead of counts.
    """
    names: Any = None
    if hasattr(fitted, "predict"):
        names = fitted.classes_
        predicted = fitted.predict(X)
        per_step = isinstance(predicted, list) or predicted.ndim > 1
        truth = np.concatenate([np.ravel(part) for part in y]) if per_step else np.asarray(y)
        guess = np.concatenate([np.ravel(part) for part in predicted]) if per_step else predicted
        confusion = extra("sklearn.metrics", "sklearn").confusion_matrix(truth, guess, labels=names)
    else:
        confusion = fitted.confusion if hasattr(fitted, "confusion") else np.asarray(fitted)
        if confusion is None:
            raise ValueError("the evaluation has no confusion matrix: its targets are no classes")
        names = np.arange(len(confusion))
    shown = confusion / np.maximum(confusion.sum(axis=1, keepdims=True), 1) if normalize else confusion
    size = max(3.5, 0.5 * len(confusion) + 1.5)
    ax = _axes(ax, (size, size))
    ax.imshow(shown, cmap="Blues", vmin=0)
    limit = shown.max(initial=0) / 2
    for (row, column), value in np.ndenumerate(shown):
        if value:
            text = f"{value:.2f}" if normalize else str(value)
            ax.text(column, row, text, ha="center", va="center", color="white" if value > limit else "black")
    ax.set_xticks(np.arange(len(names)), [str(name) for name in names])
    ax.set_yticks(np.arange(len(names)), [str(name) for name in names])
    ax.set_xlabel("taken for")
    ax.set_ylabel("class")
    return ax


def plot_forecast(
    forecaster: Any,
    series: ArrayLike,
    *,
    horizon: int | None = None,
    truth: ArrayLike | None = None,
    history: int | None = None,
    feature: int = 0,
    ax: Any = None,
) -> Any:
    """How a series, [steps] or [steps, features], goes on: its last `history` steps, the forecast and, where known, the truth."""
    values = np.asarray(series)
    horizon = forecaster.horizon if horizon is None else horizon
    forecast = forecaster.predict(values if values.ndim == 1 else [values], horizon)
    column = forecast if values.ndim == 1 else forecast[0, :, feature]
    past = values if values.ndim == 1 else values[:, feature]
    steps = min(len(past), history or 4 * horizon)
    ax = _axes(ax, (8.0, 3.5))
    ax.plot(np.arange(1 - steps, 1), past[-steps:], color="0.3", label="series")
    if truth is not None:
        after = np.asarray(truth)
        after = after if after.ndim == 1 else after[:, feature]
        ax.plot(np.arange(1, len(after) + 1), after, color="0.3", linestyle=":", label="truth")
    ax.plot(np.arange(1, horizon + 1), column, color="C0", marker=".", label="forecast")
    ax.axvline(0, color="0.8", zorder=0)
    ax.set_xlabel("steps from the last one")
    ax.legend()
    return ax
