"""What the generators of the cells' reference numbers share: elman's order of parameters and states, and the form of the
files."""

import argparse
import json
import math
import sys
from pathlib import Path

import numpy as np

DIRECTORY = Path(__file__).resolve().parent

LAYOUT = (
    "Networks of recurrent layers, one list of numbers a tensor. x [batch][steps][inputs]; y and dy [batch][steps][outputs];"
    " states [batch], then for each layer and direction h, then c; parameters and gradients for each layer and direction:"
    " W_x [inputs][gates units], W_h [h][gates units], b [gates units], gates in the order i f g o or r z n, then q [units] of"
    " a GRU with its reset behind the product, peepholes i f o [3 units], the projection [units][h]; tensors has their sizes."
    " What an option is, is in src/layer/options.rs. state_in null: zeros. Lengths null: all have steps."
)


def shortened(values, digits):
    """A flat list, rounded to so many digits of its largest number."""
    values = np.asarray(values, dtype=np.float64).ravel()
    largest = np.abs(values).max(initial=0.0)
    decimals = digits - 1 - (math.floor(math.log10(largest)) if largest > 0 else 0)
    return [round(float(value), decimals) + 0.0 for value in values]


def decimals(rng, shape, scale=1.0):
    """Random numbers of three decimals within +-scale."""
    return np.round(rng.uniform(-scale, scale, shape), 3)


def states_by_sequence(states):
    """Tensors [batch][units], in elman's order, side by side."""
    return np.concatenate([np.asarray(state) for state in states], axis=1)


def write(name, about, cases):
    """Writes the file, a tensor a line; or, with --check, says whether it is what would be written."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--check", action="store_true", help="compare, exit status 1 where a number differs")
    path = DIRECTORY / name
    if parser.parse_args().check:
        sys.exit(0 if same(json.loads(path.read_text())["cases"], cases) else f"{name} differs")
    lines = [
        "{\n" + ",\n".join(f'"{key}":{json.dumps(value, separators=(",", ":"))}' for key, value in case.items()) + "\n}"
        for case in cases
    ]
    about = json.dumps(f"{about} {LAYOUT}")
    path.write_text(f'{{"about":{about},\n"cases":[\n' + ",\n".join(lines) + "\n]}\n")
    print(f"{name}: {len(cases)} cases, {path.stat().st_size} bytes")


def same(left, right):
    """Whether two values of JSON are equal, numbers up to what another order of summation costs in their list."""
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(same(left[key], right[key]) for key in left)
    if isinstance(left, list) and isinstance(right, list):
        if len(left) != len(right):
            return False
        if left and all(isinstance(value, (int, float)) for value in left + right):
            left, right = np.array(left), np.array(right)
            return bool(np.abs(left - right).max() <= 1e-6 * max(np.abs(left).max(), 1e-30))
        return all(same(*pair) for pair in zip(left, right))
    return left == right
