#!/usr/bin/env python3
"""Measures elman's RNN, LSTM and GRU, through its C ABI, beside torch, ONNX Runtime, oneDNN and, for the RNN, NumPy.

    python3 bench/peers/run.py [--quick] [--cells rnn,lstm,gru] [--shapes 28x128x28x128 ...] [--threads 1,2] [--write]
        [--plot docs/speed.svg]

It gives Markdown, on standard output or, with --write, in docs/benchmarks.md; --plot also draws the speed of the RNN over the
number of units, on one thread, beside the FMA peak of a core. Everything else goes to standard error.

The peers are installed into a virtual environment of their own, which is made at the first run and used again (--venv
says where; torch is several gigabytes unless pip is set up to find a build for the CPU alone). A peer that cannot be
installed is named and left out. All engines are called from Python, which takes about a microsecond of each figure.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.append(str(HERE.parent))

import plot
import report
from common import Environment, cargo, cpu_model, executable, write_between_marks
from engines import GATES, Shape

# onednn-cpu-gomp is a oneDNN for GNU OpenMP, as torch is; it is from 2023, but 3.13 takes as long for an RNN, apart
# from what the SYCL that it needs takes for every call.
PACKAGES = ["numpy", "onnx", "onnxruntime", "onednn-cpu-gomp", "onednn-devel-cpu-gomp", "torch"]
# T, B, I, H of the RNN: the usual ones, then sizes that are no multiple of anything, single rows, single units, weights
# beyond the caches.
SHAPES = [
    (1, 1, 1, 16), (100, 1, 64, 128), (5, 100, 3, 8), (28, 128, 28, 128), (50, 32, 64, 256), (100, 64, 256, 512),
    (50, 128, 1024, 1024), (1000, 16, 32, 64),
    (1, 1, 784, 300), (1, 17, 784, 100), (1000, 1, 1, 16), (50, 3, 1, 1), (100, 5, 3, 7), (200, 2, 3, 17),
    (300, 8, 48, 31), (60, 17, 31, 48), (28, 100, 28, 100), (784, 8, 1, 100), (20, 5, 784, 300), (35, 2, 300, 500),
    (50, 1, 500, 500), (1000, 100, 3, 16), (25, 16, 1760, 1760),
]
QUICK = [*SHAPES[:5], (200, 2, 3, 17), (20, 5, 784, 300), (50, 1, 500, 500)]
# Of the cells with gates: fewer, and half as long where an RNN already takes long.
GATED = [*SHAPES[1:5], (50, 64, 256, 512), (500, 16, 32, 64)]
GATED_QUICK = GATED[:4]
PLOTTED = [(50, 32, 64, units) for units in [16, 32, 48, 64, 100, 128, 200, 256, 400, 512, 768, 1024]]


def build_elman() -> str:
    messages = cargo("build", "--release", "-p", "elman-c")
    files = [file for message in messages for file in message.get("filenames", [])]
    return next(file for file in files if Path(file).name in ("libelman.so", "libelman.dylib"))


def build_onednn(venv: Path) -> str | None:
    libraries = sorted((venv / "lib").glob("libdnnl.so.*.*"))
    target = str(venv / "lib" / "libpeer.so")
    command = [os.environ.get("CXX", "c++"), "-std=c++17", "-O2", "-shared", "-fPIC", "-fopenmp", f"-I{venv}/include",
               str(HERE / "onednn.cpp"), "-o", target, *map(str, libraries[-1:]), f"-Wl,-rpath,{venv}/lib"]
    try:
        return target if libraries and not subprocess.run(command, stdout=sys.stderr).returncode else None
    except OSError:
        return None


def build_speed() -> str:
    return executable(cargo("bench", "--no-run", "--bench", "speed"))


def fma_peak(speed: str) -> float:
    """GFLOP/s of one core, from the yardsticks alone."""
    done = subprocess.run([speed, "--bench", "yardsticks"], check=True, stdout=subprocess.PIPE, text=True)
    found = re.search(r"FMA peak \| ([\d.]+) GFLOP/s", done.stdout)
    assert found, "bench/speed.rs prints it"
    return float(found[1])


def measure(python: Path, threads: int, job: dict[str, Any]) -> dict[str, Any]:
    """Median microseconds of every measurement for every cell and shape, and the versions of the engines."""
    limits = {name: str(threads) for name in ["OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"]}
    command = [str(python), str(HERE / "measure.py"), json.dumps({**job, "threads": threads})]
    done = subprocess.run(command, env={**os.environ, **limits}, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        raise SystemExit("the measurement failed")
    return json.loads(done.stdout.splitlines()[-1])


def machine() -> str:
    return f"{cpu_model()}, {os.cpu_count()} cores, {datetime.date.today()}"


def tables(python: Path, threads: list[int], job: dict[str, Any]) -> str:
    children = [measure(python, count, job) for count in threads]
    results = {case: [child["rows"][index] for child in children] for index, case in enumerate(job["cases"])}
    return report.markdown(results, threads, f"{machine()}; {', '.join(children[0]['versions'])}")


def drawing(python: Path, job: dict[str, Any]) -> str:
    speed = build_speed()
    before = fma_peak(speed)
    child = measure(python, 1, {**job, "cases": [("rnn", shape) for shape in PLOTTED]})
    # The best, as whatever else the machine does can only spoil it.
    peak = max(before, fma_peak(speed))
    steps, batch, inputs, _ = PLOTTED[0]
    caption = [
        f"One tanh layer, f32, one thread, T {steps}, B {batch}, I {inputs}; medians. {machine()}",
        ", ".join(child["versions"]),
    ]
    return plot.svg(PLOTTED, child["rows"], peak, caption)


def shape(text: str) -> Shape:
    steps, batch, inputs, units = map(int, text.split("x"))
    return steps, batch, inputs, units


def cells(text: str) -> list[str]:
    names = text.split(",")
    if not set(names) <= set(GATES):
        raise argparse.ArgumentTypeError(f"{text!r} is not a list of {', '.join(GATES)}")
    return names


def built_in_shapes(cell: str, quick: bool) -> list[Shape]:
    if cell == "rnn":
        return QUICK if quick else SHAPES
    return GATED_QUICK if quick else GATED


def numbers(text: str) -> list[int]:
    return [int(part) for part in text.split(",")]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", type=cells, default=list(GATES), metavar="CELL,CELL", help="of rnn, lstm and gru")
    parser.add_argument("--shapes", nargs="+", type=shape, metavar="TxBxIxH", help="instead of the built-in ones")
    parser.add_argument("--threads", type=numbers, default=[1, 2], metavar="N,N")
    parser.add_argument("--quick", action="store_true", help="few shapes and rounds")
    parser.add_argument("--write", action="store_true", help="write the tables into docs/benchmarks.md")
    parser.add_argument("--plot", type=Path, metavar="FILE.svg", help="draw the speed over the units")
    parser.add_argument("--venv", type=Path, default=Path(tempfile.gettempdir()) / "elman-peers")
    options = parser.parse_args()
    venv = options.venv.resolve()
    environment = Environment(venv)
    for package, reason in environment.install(PACKAGES).items():
        print(f"{package} cannot be installed: {reason}", file=sys.stderr)
    python = environment.python
    rounds, floor = (3, 0.01) if options.quick else (5, 0.02)
    job = {"built": {"elman": build_elman(), "onednn": build_onednn(venv)}, "rounds": rounds, "floor": floor}
    cases = [(cell, shape) for cell in options.cells for shape in options.shapes or built_in_shapes(cell, options.quick)]
    text = tables(python, options.threads, {**job, "cases": list(dict.fromkeys(cases))})
    if options.write:
        write_between_marks("benchmarks.md", text)
    else:
        print(text)
    if options.plot:
        options.plot.write_text(drawing(python, job))


if __name__ == "__main__":
    main()
