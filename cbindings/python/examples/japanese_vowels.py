"""Who is speaking? Nine speakers say the Japanese vowels /ae/; a network learns to tell them apart.

Run it from anywhere; it needs `pip install 'cbindings/python[all]'` and writes two pictures:

    python cbindings/python/examples/japanese_vowels.py [directory]
"""

# %% The data: 270 utterances to train on, 370 to test on, of 7 to 29 steps of 12 coefficients.
import sys
from pathlib import Path

import numpy as np

import elman

DATA = Path(__file__).resolve().parents[3] / "tests" / "data" / "japanese_vowels"


def read(part: str) -> tuple[list[np.ndarray], np.ndarray]:
    """The sequences [steps, 12] of a part, and who speaks them."""
    dataset = elman.Dataset.read_ts(DATA / f"JapaneseVowels_{part}.ts")
    return dataset.sequences(), np.array(dataset.class_names)[dataset.labels]


x, y = read("TRAIN")
x_test, y_test = read("TEST")
print(f"{len(x)} utterances of {min(map(len, x))} to {max(map(len, x))} steps, {len(set(y))} speakers")

# %% A bidirectional GRU. A part of the utterances is kept back, and training ends when it no longer gets better there.
classifier = elman.SequenceClassifier("gru", units=32, direction="bidirectional", dropout=0.2, random_state=1, progress=True)
classifier.fit(x, y)
print(f"best of {classifier.n_iter_} epochs: {classifier.best_epoch_}")
print(f"test accuracy: {classifier.score(x_test, y_test):.4f}")

# %% How training went, and who is taken for whom.
directory = Path(sys.argv[1] if len(sys.argv) > 1 else ".")
elman.plot_history(classifier).figure.savefig(directory / "history.png", dpi=120)
elman.plot_confusion(classifier, x_test, y_test).figure.savefig(directory / "confusion.png", dpi=120)
print(f"wrote {directory / 'history.png'} and {directory / 'confusion.png'}")

# %% The network by itself: a file that the C library, or PyTorch, reads as well.
classifier.network_.save(directory / "speakers.safetensors")
network = elman.Network.load(directory / "speakers.safetensors")
answer = network.class_names[int(network.predict(x_test[0][None]).argmax())]
print(f"the first utterance is of speaker {y_test[0]}; the network that was loaded says {answer}")
