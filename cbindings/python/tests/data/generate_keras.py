"""Writes the models beside it, with random weights, and what Keras says that they give: pip install keras torch

The committed files come from Keras 3.15 with PyTorch 2.15. A test reads them without Keras.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

os.environ["KERAS_BACKEND"] = "torch"

import keras
import numpy as np

HERE = Path(__file__).parent
RANDOM = np.random.default_rng(5)
X = RANDOM.normal(size=(2, 5, 3)).round(3)
L = keras.layers


def chain(*layers: keras.Layer) -> keras.Model:
    """A functional model of these layers."""
    inputs = keras.Input(X.shape[1:])
    y = inputs
    for layer in layers:
        y = layer(y)
    return keras.Model(inputs, y)


def sequential(*layers: keras.Layer) -> keras.Model:
    """A sequential model of these layers."""
    return keras.Sequential([keras.Input(X.shape[1:]), *layers])


def main() -> None:
    """Writes all."""
    models = {
        "classes.keras": sequential(
            L.Bidirectional(L.LSTM(3, return_sequences=True)),
            L.GRU(4, name="a_name_of_its_own"),
            L.Dropout(0.2),
            L.Dense(3, activation="relu"),
            L.LeakyReLU(),
            L.Dense(2, activation="softmax"),
        ),
        "functional.keras": chain(
            L.SimpleRNN(3, activation="relu", return_sequences=True), L.TimeDistributed(L.Dense(2, use_bias=False))
        ),
        "norm.keras": sequential(
            L.LayerNormalization(),
            L.LSTM(3, activation="softsign", use_bias=False, return_sequences=True),
            L.Activation("elu"),
        ),
        "backwards.keras": sequential(L.GRU(3, go_backwards=True), L.Dense(1, activation="sigmoid")),
        "before.h5": sequential(
            L.Bidirectional(
                L.GRU(3, reset_after=False, recurrent_activation="hard_sigmoid", return_sequences=True), merge_mode="ave"
            ),
            L.LSTM(2),
        ),
        "functional.h5": chain(L.GRU(3, return_sequences=True), L.ELU(), L.Dense(2, activation="tanh")),
        "convolution.keras": sequential(L.Conv1D(2, 3)),
    }
    inputs = keras.Input(X.shape[1:])
    first = L.SimpleRNN(3, return_sequences=True)(inputs)
    models["branches.keras"] = keras.Model(inputs, L.Add()([first, inputs]))
    expected = {}
    for name, model in models.items():
        for weight in model.weights:
            if "seed" not in weight.path:
                weight.assign(RANDOM.normal(0, 0.5, weight.shape).round(3))
        model.save(HERE / name)
        expected[name] = np.asarray(model.predict(X, verbose=0)).tolist()
    (HERE / "keras.json").write_text(json.dumps({"x": X.tolist(), "y": expected}) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
