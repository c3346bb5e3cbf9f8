"""Models of Keras: data/generate_keras.py has made the files."""

import json
import shutil
import warnings
from pathlib import Path

import numpy as np
import pytest

import elman

pytest.importorskip("h5py")
DATA = Path(__file__).parent / "data"
EXPECTED = json.loads((DATA / "keras.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", ["functional.keras", "norm.keras", "backwards.keras", "before.h5", "functional.h5"])
def test_a_model_gives_what_keras_gives(name):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        network = elman.from_keras(DATA / name)
    assert np.allclose(network.predict(EXPECTED["x"]), EXPECTED["y"][name], atol=1e-6)


def test_a_softmax_at_the_end_is_left_out():
    with pytest.warns(UserWarning, match="softmax of the layer 'dense_1' .* left out"):
        network = elman.from_keras(str(DATA / "classes.keras"))
    assert np.allclose(elman.softmax(network.predict(EXPECTED["x"])), EXPECTED["y"]["classes.keras"], atol=1e-6)
    assert [layer.kind for layer in network.layers] == ["lstm", "gru", "dropout", "dense", "activation", "dense"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("convolution.keras", r"the layer 'conv1d' \(Conv1D\) is of a kind that elman does not take"),
        ("branches.keras", "the model is no chain"),
        ("generate_keras.py", "is neither a .keras nor an .h5 file"),
    ],
)
def test_what_is_not_taken_is_named(name, message):
    with pytest.raises(elman.FormatError, match=message):
        elman.from_keras(DATA / name)


def test_files_that_are_not_there_or_cut(tmp_path):
    with pytest.raises(FileNotFoundError):
        elman.from_keras(tmp_path / "nothing.keras")
    shutil.make_archive(str(tmp_path / "other"), "zip", DATA, "generate_keras.py")
    with pytest.raises(elman.FormatError, match=r"is no \.keras file"):
        elman.from_keras(tmp_path / "other.zip")
