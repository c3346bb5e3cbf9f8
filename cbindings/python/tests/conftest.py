"""What the tests share."""

from __future__ import annotations

import signal
from pathlib import Path

import numpy as np
import pytest

import elman

REPOSITORY = Path(__file__).resolve().parents[3]
DATA = REPOSITORY / "tests" / "data"


@pytest.fixture
def random():
    return np.random.default_rng(1)


@pytest.fixture
def ctrl_c():
    """SIGINT interrupts Python, also where the tests run in the background of a shell, which ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(scope="session")
def vowels():
    """The Japanese Vowels: sequences and speakers, to train on and to test on."""
    parts = [elman.Dataset.read_ts(DATA / "japanese_vowels" / f"JapaneseVowels_{part}.ts") for part in ("TRAIN", "TEST")]
    return [(dataset.sequences(), np.array(dataset.class_names)[dataset.labels]) for dataset in parts]


@pytest.fixture
def rises():
    """Sequences of one feature, [40, 8], and whether they rise."""
    random = np.random.default_rng(2)
    slope = random.choice([-0.3, 0.3], 40)
    x = slope[:, None] * np.arange(8) + random.normal(0, 0.1, (40, 8))
    return x, (slope > 0).astype(int)
