#!/usr/bin/env python3
"""Measures `elman train`, as it is without options, beside a GRU of PyTorch's.

    python3 bench/accuracy/run.py [--only NAME ...] [--docs] [--venv DIRECTORY]

The data are all classification problems of one length that the Python packages aeon and sktime ship in their wheels.
`elman train` runs three times, with the seeds 0, 1 and 2; it trains nine networks each time, and keeps one. Its accuracy and
its time are the medians of the three. PyTorch trains a GRU of the same size nine times, with three learning rates of Adam
and three seeds; its accuracy is that of the network that is best on a validation part, its time that of all nine. Both have
one thread; times are those of the processor. The test part is looked at once, at the end.

It prints a Markdown table, or writes it into docs/cli.md with --docs. What has been measured is kept in the virtual
environment, so that a run that was ended goes on; --fresh begins anew.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.append(str(HERE.parent))

from common import Environment, cargo, cpu_model, executable, head, line, write_between_marks

SEEDS = [0, 1, 2]


def make_environment(venv: Path) -> Path:
    environment = Environment(venv)
    # Of aeon and sktime only the files are needed.
    reasons = environment.install(["aeon", "sktime"], "--no-deps") | environment.install(["numpy", "torch"])
    for package, reason in reasons.items():
        raise SystemExit(f"{package} cannot be installed: {reason}")
    return environment.python


def header(path: Path) -> dict[str, str]:
    """The tags of a .ts file."""
    tags = {}
    with path.open(encoding="utf-8", errors="replace") as lines:
        for line in lines:
            if line.lower().startswith("@data"):
                break
            if line.startswith("@"):
                tag, _, value = line[1:].strip().partition(" ")
                tags[tag.lower()] = value.strip()
    return tags


def cases(path: Path) -> tuple[list[list[list[float]]], list[str]]:
    """The dimensions and the class of each case of a .ts file."""
    _, _, text = path.read_text(encoding="utf-8", errors="replace").partition("@data")
    rows = [line.strip().split(":") for line in text.splitlines()[1:] if line.strip()]
    series = [[[float(value) for value in text.split(",")] for text in row[:-1]] for row in rows]
    return series, [row[-1].strip() for row in rows]


def problems(venv: Path) -> dict[str, tuple[Path, Path]]:
    """The train and the test file of each problem."""
    found: dict[str, tuple[Path, Path]] = {}
    for train in sorted(venv.glob("lib/python*/site-packages/*/datasets/data/*/*_TRAIN.ts")):
        test = train.with_name(train.name.replace("_TRAIN", "_TEST"))
        tags = header(train)
        is_classification = tags.get("classlabel", "").lower().startswith("true")
        if not (is_classification and test.exists()) or tags.get("timestamps", "false").lower() == "true":
            continue
        try:
            lengths = {len(series) for path in (train, test) for case in cases(path)[0] for series in case}
        except ValueError:
            continue  # missing values
        if len(lengths) == 1:
            found.setdefault(train.parent.name, (train, test))
    return found


def train_elman(elman: str, train: Path, test: Path, seed: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as directory:
        model = str(Path(directory) / "model")
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        command = [elman, "train", str(train), "-o", model, "--seed", str(seed), "--threads", "1"]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        command = [elman, "evaluate", model, str(test), "--json"]
        measured = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"seconds": seconds, "accuracy": measured["accuracy"]}


def train_torch(python: Path, train: Path, test: Path) -> dict[str, Any]:
    convert = """
import json, sys
import numpy as np
train, test = json.load(sys.stdin)
names = sorted(set(train[1]))
array = lambda x: np.ascontiguousarray(np.array(x, np.float32).transpose(0, 2, 1))
label = lambda y: np.array([names.index(name) for name in y])
np.savez(sys.argv[1], x=array(train[0]), y=label(train[1]), x_test=array(test[0]), y_test=label(test[1]))
"""
    with tempfile.TemporaryDirectory() as directory:
        arrays = str(Path(directory) / "arrays.npz")
        text = json.dumps([cases(train), cases(test)])
        subprocess.run([str(python), "-c", convert, arrays], input=text, text=True, check=True)
        done = subprocess.run([str(python), str(HERE / "peer.py"), arrays], check=True, stdout=subprocess.PIPE, text=True)
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def measure(python: Path, elman: str, train: Path, test: Path, known: dict[str, Any]) -> dict[str, Any]:
    """What is not known yet."""
    series, classes = cases(train)
    known["shape"] = [len(series), len(series[0][0]), len(series[0]), len(set(classes))]
    runs = known.setdefault("elman", [])
    runs += [train_elman(elman, train, test, seed) for seed in SEEDS[len(runs) :]]
    known["torch"] = known.get("torch") or train_torch(python, train, test)
    return known


def markdown(results: dict[str, dict[str, Any]]) -> str:
    lines = head(["data set", "sequences, steps, features, classes", "elman", "PyTorch", "elman, s", "PyTorch, s", "times"])
    columns: list[list[float]] = []
    for name, result in results.items():
        runs = result["torch"]["runs"]
        accuracy, seconds = (statistics.median(run[key] for run in result["elman"]) for key in ("accuracy", "seconds"))
        best = min(runs, key=lambda run: run["loss"])
        whole = sum(run["seconds"] for run in runs)
        columns.append([accuracy, best["accuracy"], seconds, whole, whole / seconds])
        lines.append(row(name, ", ".join(map(str, result["shape"])), columns[-1]))
    for name, middle in (("median", statistics.median), ("mean", statistics.mean)):
        lines.append(row(name, "", [middle(column) for column in zip(*columns)]))
    version = next(iter(results.values()))["torch"]["version"]
    where = f"{cpu_model()}, one thread, {datetime.date.today()}; torch {version}."
    return "\n".join([*lines, "", where])


def row(name: str, shape: str, numbers: list[float]) -> str:
    formats = [".3f", ".3f", ".1f", ".1f", ".0f"]
    return line([name, shape, *(f"{number:{form}}" for number, form in zip(numbers, formats))])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", metavar="NAME", help="these data sets")
    parser.add_argument("--docs", action="store_true", help="write the table into docs/cli.md")
    parser.add_argument("--fresh", action="store_true", help="measure again what has been measured")
    parser.add_argument("--elman", help="the program [default: the one that cargo builds here]")
    parser.add_argument("--venv", type=Path, default=Path(tempfile.gettempdir()) / "elman-accuracy")
    options = parser.parse_args()
    venv = options.venv.resolve()
    python = make_environment(venv)
    elman = options.elman or executable(cargo("build", "--release", "-p", "elman-cli"))
    kept = venv / "results.json"
    known: dict[str, dict[str, Any]] = json.loads(kept.read_text()) if kept.exists() and not options.fresh else {}
    results = {}
    found = problems(venv)
    # The small ones first.
    for name in sorted(found, key=lambda name: os.path.getsize(found[name][0])):
        if options.only and name not in options.only:
            continue
        print(name, file=sys.stderr)
        results[name] = known[name] = measure(python, elman, *found[name], known.get(name, {}))
        kept.write_text(json.dumps(known))
    text = markdown(results)
    if options.docs:
        write_between_marks("cli.md", text)
    else:
        print(text)


if __name__ == "__main__":
    main()
