"""Writes ctc.json: CTC losses and their gradients, as torch.nn.functional computes them in double.

    pip install numpy torch
    python tests/data/generate_ctc.py --check

Without --check it rewrites the file.
"""

import argparse
import json
import pathlib

import numpy as np
import torch

PATH = pathlib.Path(__file__).parent / "ctc.json"

# Name; steps and classes; lengths; labels of each sequence; blank; reduction; zero_infinity; size of the logits
CASES = [
    ("one sequence", 6, 4, [6], [[1, 2, 3]], 0, "mean", False, 2),
    ("one label", 3, 2, [3], [[1]], 0, "mean", False, 2),
    ("no labels", 4, 3, [4], [[]], 0, "mean", False, 2),
    ("as many labels as steps", 5, 6, [5], [[1, 5, 2, 1, 4]], 0, "sum", False, 2),
    ("equal labels", 7, 3, [7], [[1, 1, 2, 2]], 0, "mean", False, 2),
    ("equal labels, no step to spare", 6, 3, [6], [[2, 2, 1, 1]], 0, "sum", False, 2),
    ("ragged, mean", 9, 5, [9, 4, 7, 1, 3], [[1, 2, 2, 3, 4], [4], [], [3], [2, 1]], 0, "mean", False, 2),
    ("ragged, sum", 9, 5, [9, 4, 7, 1, 3], [[1, 2, 2, 3, 4], [4], [], [3], [2, 1]], 0, "sum", False, 2),
    ("another blank", 8, 4, [8, 6], [[0, 1, 3, 0], [0, 0]], 2, "mean", False, 2),
    ("the last class is the blank", 8, 4, [8, 6], [[0, 1, 2, 2], [1]], 3, "sum", False, 2),
    ("impossible ones, mean", 4, 3, [4, 2, 3], [[1, 2], [1, 1], [1, 2, 1, 2]], 0, "mean", True, 2),
    ("impossible ones, sum", 4, 3, [4, 2, 3], [[1, 2], [1, 1], [1, 2, 1, 2]], 0, "sum", True, 2),
    ("sure of other labels", 10, 4, [10, 8], [[1, 2, 3], [3, 3]], 0, "mean", False, 200),
    ("long", 60, 7, [60, 41], [[1, 2, 3, 3, 4, 5, 6, 6, 1, 2, 3, 1, 1, 5], [2, 4, 6]], 0, "mean", False, 4),
]


def case(index, name, steps, classes, lengths, labels, blank, reduction, zero_infinity, size):
    draw = np.random.default_rng(index)
    # They are floats as well.
    logits = np.round(draw.uniform(-size, size, (len(lengths), steps, classes)) * 64) / 64
    z = torch.tensor(logits, dtype=torch.float64, requires_grad=True)
    loss = torch.nn.functional.ctc_loss(
        z.transpose(0, 1).log_softmax(2),
        torch.tensor([label for of in labels for label in of], dtype=torch.long),
        torch.tensor(lengths),
        torch.tensor([len(of) for of in labels]),
        blank=blank,
        reduction=reduction,
        zero_infinity=zero_infinity,
    )
    loss.backward()
    return {
        "name": name,
        "steps": steps,
        "classes": classes,
        "lengths": lengths,
        "labels": labels,
        "blank": blank,
        "reduction": reduction,
        "zero_infinity": zero_infinity,
        "logits": logits.flatten().tolist(),
        "loss": loss.item(),
        "gradient": z.grad.flatten().tolist(),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="compare with the file")
    arguments = parser.parse_args()
    cases = [case(index, *of) for index, of in enumerate(CASES)]
    if not arguments.check:
        lines = ",\n".join(json.dumps(of, separators=(",", ":")) for of in cases)
        PATH.write_text('{"cases":[\n' + lines + "\n]}\n")
        return
    for new, old in zip(cases, json.loads(PATH.read_text())["cases"], strict=True):
        for key, value in new.items():
            if key in ("loss", "gradient"):
                np.testing.assert_allclose(old[key], value, rtol=1e-12, atol=1e-14, err_msg=new["name"])
            elif old[key] != value:
                raise SystemExit(f"{new['name']}: {key} differs")
    print(f"{len(cases)} cases agree")


main()
