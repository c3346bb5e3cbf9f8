#!/usr/bin/env python3
"""Measures elman, through its C ABI, beside torch.nn.RNN, ONNX Runtime, NumPy and oneDNN.

    python3 bench/peers/run.py [--quick] [--shapes 28,128,28,128 ...] [--threads 1,2]

The peers are installed into a virtual environment of their own, which is made at the first run and used again (--venv
says where; torch is several gigabytes unless pip is set up to find a build for the CPU alone). A peer that cannot be
installed is named and left out. The Markdown tables go to standard output, everything else to standard error. All
engines are called from Python, which takes about a microsecond of each figure.
"""

from __future__ import annotations

import argparse
import ctypes
import datetime
import json
import math
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable

HERE = Path(__file__).resolve().parent
# onednn-cpu-gomp is a oneDNN for GNU OpenMP, as torch is; it is from 2023, but 3.13 takes as long for this layer, apart
# from what the SYCL that it needs takes for every call.
PACKAGES = ["numpy", "onnx", "onnxruntime", "onednn-cpu-gomp", "onednn-devel-cpu-gomp", "torch"]
NAMES = {
    (1, 1, 1, 16): "tiny step",
    (100, 1, 64, 128): "stream",
    (5, 100, 3, 8): "demo",
    (28, 128, 28, 128): "rows",
    (50, 32, 64, 256): "small",
    (100, 64, 256, 512): "medium",
    (50, 128, 1024, 1024): "large",
    (1000, 16, 32, 64): "long",
}
# T, B, I, H: sizes that are no multiple of anything, single rows, single units, weights beyond the caches.
MORE = [
    (1, 1, 784, 300), (1, 17, 784, 100), (1000, 1, 1, 16), (50, 3, 1, 1), (100, 5, 3, 7), (200, 2, 3, 17),
    (300, 8, 48, 31), (60, 17, 31, 48), (28, 100, 28, 100), (784, 8, 1, 100), (20, 5, 784, 300), (35, 2, 300, 500),
    (50, 1, 500, 500), (1000, 100, 3, 16), (25, 16, 1760, 1760),
]
QUICK = [*list(NAMES)[:5], (200, 2, 3, 17), (20, 5, 784, 300), (50, 1, 500, 500)]
Shape = tuple[int, int, int, int]
Row = dict[str, float]
# OpenMP, OpenBLAS and ONNX Runtime let their threads spin for a while after the last piece of work (OpenBLAS longest,
# some 30 ms). Whoever ran next would share its cores with them, so every turn begins when they have gone to sleep.
SETTLE = 0.04


@dataclass
class Job:
    """What is timed: its name, the call, and what it computes: [B][T][H], or the gradient of x where it ends in dx."""

    name: str
    call: Callable[[], Any]
    result: Callable[[], Any] | None = None


class Case:
    """The numbers that all engines share: h_t = tanh(x_t w_x + h_{t-1} w_h + bias), gradient dy of all outputs."""

    def __init__(self, shape: Shape) -> None:
        import numpy as np

        self.shape = self.steps, self.batch, self.inputs, self.units = shape
        self.closing: list[Callable[[], Any]] = []
        random = np.random.default_rng(1)
        bound = 1 / math.sqrt(self.units)
        draw = lambda *size: random.uniform(-bound, bound, size).astype(np.float32)
        normal = lambda *size: random.standard_normal(size, np.float32)
        self.w_x, self.w_h = draw(self.inputs, self.units), draw(self.units, self.units)
        self.bias = draw(self.units)
        self.x = normal(self.batch, self.steps, self.inputs)
        self.dy = normal(self.batch, self.steps, self.units) * np.float32(1e-3)
        # For engines that want time first; the transposition is not in their time.
        self.x_by_time = np.ascontiguousarray(self.x.transpose(1, 0, 2))
        self.dy_by_time = np.ascontiguousarray(self.dy.transpose(1, 0, 2))


# ---- engines: each takes the case, the number of threads and the path of its library, and gives version and jobs ----

SIZE, POINTER, DOUBLE, U32 = ctypes.c_size_t, ctypes.c_void_p, ctypes.c_double, ctypes.c_uint32
ELMAN = {
    "create": [SIZE, POINTER],
    "add_rnn": [POINTER, SIZE, U32],
    "set_output": [POINTER, U32],
    "set_threads": [POINTER, SIZE],
    "set_parameters": [POINTER, POINTER, SIZE],
    "sgd_create": [DOUBLE, DOUBLE, U32, DOUBLE, POINTER],
    "predict": [POINTER, POINTER, SIZE, SIZE, POINTER, POINTER, POINTER, POINTER],
    "forward": [POINTER, POINTER, SIZE, SIZE, POINTER, POINTER, POINTER, POINTER],
    "backward": [POINTER, POINTER, POINTER, POINTER, POINTER],
    "update": [POINTER, POINTER],
    "destroy": [POINTER],
    "optimizer_destroy": [POINTER],
}
OUTPUT_ALL, TANH = 1, 0
# So small that thousands of steps leave the weights, and with them the work, as they are.
RATE = 1e-9


def address(array: Any) -> ctypes.c_void_p:
    return POINTER(array.ctypes.data)


def load_elman(path: str) -> ctypes.CDLL:
    library = ctypes.CDLL(path)
    for name, arguments in ELMAN.items():
        function = getattr(library, "elman_" + name)
        function.argtypes, function.restype = arguments, None if "destroy" in name else ctypes.c_int32
    for name in ["version", "tier", "last_error"]:
        getattr(library, "elman_" + name).restype = ctypes.c_char_p
    return library


def elman(case: Case, threads: int, built: str | None) -> tuple[str, list[Job]]:
    import numpy as np

    library = load_elman(str(built))

    def check(status: int) -> None:
        if status:
            raise RuntimeError(library.elman_last_error().decode())

    network, sgd = POINTER(), POINTER()
    y, dx = np.zeros_like(case.dy), np.zeros_like(case.x)
    parameters = np.concatenate([case.w_x.ravel(), case.w_h.ravel(), case.bias])
    check(library.elman_create(case.inputs, ctypes.byref(network)))
    check(library.elman_add_rnn(network, case.units, TANH))
    check(library.elman_set_output(network, OUTPUT_ALL))
    check(library.elman_set_threads(network, threads))
    check(library.elman_set_parameters(network, address(parameters), parameters.size))
    check(library.elman_sgd_create(RATE, 0, 0, 0, ctypes.byref(sgd)))
    case.closing += [lambda: library.elman_destroy(network), lambda: library.elman_optimizer_destroy(sgd)]
    predict, forward = library.elman_predict, library.elman_forward
    backward, update = library.elman_backward, library.elman_update
    # Addresses keep no array alive: measure() holds the case, and the results below hold y and dx.
    batch = (network, address(case.x), case.batch, case.steps, None, None, address(y), None)
    without_dx = (network, address(case.dy), None, None, None)
    with_dx = (network, address(case.dy), None, address(dx), None)
    return f"elman {library.elman_version().decode()} ({library.elman_tier().decode()})", [
        Job("elman", lambda: check(predict(*batch)), lambda: y.copy()),
        Job("elman training", lambda: check(forward(*batch) or backward(*without_dx) or update(network, sgd))),
        Job("elman dx", lambda: check(forward(*batch) or backward(*with_dx)), lambda: dx.copy()),
    ]


def torch(case: Case, threads: int, built: str | None) -> tuple[str, list[Job]]:
    import torch

    torch.set_num_threads(threads)
    rnn = torch.nn.RNN(case.inputs, case.units, batch_first=True)
    with torch.no_grad():
        rnn.weight_ih_l0.copy_(torch.from_numpy(case.w_x.T.copy()))
        rnn.weight_hh_l0.copy_(torch.from_numpy(case.w_h.T.copy()))
        rnn.bias_ih_l0.copy_(torch.from_numpy(case.bias))
        rnn.bias_hh_l0.zero_()
    sgd = torch.optim.SGD(rnn.parameters(), lr=RATE)
    x, dy = torch.from_numpy(case.x), torch.from_numpy(case.dy)

    def forward() -> Any:
        with torch.no_grad():
            return rnn.eval()(x)[0]

    def training() -> None:
        sgd.zero_grad(set_to_none=True)
        rnn.train()(x)[0].backward(dy)
        sgd.step()

    return f"torch {torch.__version__}", [
        Job("torch", forward, lambda: forward().numpy()),
        Job("torch training", training),
    ]


def onnxruntime(case: Case, threads: int, built: str | None) -> tuple[str, list[Job]]:
    import numpy as np
    import onnx
    import onnxruntime as ort
    from onnx import TensorProto, helper, numpy_helper

    bias = np.concatenate([case.bias, np.zeros_like(case.bias)])[None]
    weights = {"w": case.w_x.T[None].copy(), "r": case.w_h.T[None].copy(), "b": bias}
    graph = helper.make_graph(
        [helper.make_node("RNN", ["x", "w", "r", "b"], ["y"], hidden_size=case.units, activations=["Tanh"])],
        "rnn",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, case.x_by_time.shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [case.steps, 1, case.batch, case.units])],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    # Versions that every ONNX Runtime of the last years reads, whatever the newest ones of the onnx package are.
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 14)], ir_version=8)
    options = ort.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    feed = {"x": case.x_by_time}
    forward = lambda: session.run(None, feed)[0]
    return f"ONNX Runtime {ort.__version__}", [
        Job("ONNX Runtime", forward, lambda: forward()[:, 0].transpose(1, 0, 2))
    ]


def numpy(case: Case, threads: int, built: str | None) -> tuple[str, list[Job]]:
    import numpy as np

    def forward() -> Any:
        y = np.empty((case.steps, case.batch, case.units), np.float32)
        h = np.zeros((case.batch, case.units), np.float32)
        inputs = case.x_by_time.reshape(-1, case.inputs) @ case.w_x + case.bias
        inputs = inputs.reshape(y.shape)
        for t in range(case.steps):
            h = np.tanh(inputs[t] + h @ case.w_h, out=y[t])
        return y

    return f"NumPy {np.__version__}", [Job("NumPy", forward, lambda: forward().transpose(1, 0, 2))]


def onednn(case: Case, threads: int, built: str | None) -> tuple[str, list[Job]]:
    import numpy as np

    if not built:
        raise ImportError("not installed, or onednn.cpp did not compile")
    library = ctypes.CDLL(built)
    library.peer_version.restype = ctypes.c_char_p
    for name in ["create", "y", "dx"]:
        getattr(library, "peer_" + name).restype = POINTER
    values = [case.x_by_time, case.w_x, case.w_h, case.bias, case.dy_by_time]
    peer = POINTER(library.peer_create(*map(SIZE, [*case.shape, threads]), *map(address, values)))
    if not peer:
        raise RuntimeError("the shape is refused")
    case.closing.append(lambda: library.peer_destroy(peer))

    def read(function: Callable[..., int], last: int) -> Any:
        floats = ctypes.cast(function(peer), ctypes.POINTER(ctypes.c_float))
        return np.ctypeslib.as_array(floats, (case.steps, case.batch, last)).transpose(1, 0, 2).copy()

    return f"oneDNN {library.peer_version().decode()}", [
        Job("oneDNN", lambda: library.peer_run(peer, 0), lambda: read(library.peer_y, case.units)),
        Job("oneDNN saving", lambda: library.peer_run(peer, 1)),
        Job("oneDNN dx", lambda: library.peer_run(peer, 2), lambda: read(library.peer_dx, case.inputs)),
    ]


# ---- measuring: one process for each number of threads, so that every runtime starts with that number ----


def turn(call: Callable[[], Any], floor: float) -> float:
    """Seconds of one call, from so many that they last `floor` seconds together. Everything before them is warm-up."""
    time.sleep(SETTLE)
    call()
    calls = 1
    while True:
        start = time.perf_counter()
        for _ in range(calls):
            call()
        seconds = time.perf_counter() - start
        if seconds >= floor:
            return seconds / calls
        # Not straight to the number that would do: the first calls after a pause are slow and would make it too small.
        calls *= 2


def check_results(jobs: list[Job]) -> None:
    """All engines must compute the same thing, or their times say nothing."""
    import numpy as np

    results: dict[bool, Any] = {}
    for job in jobs:
        if job.result:
            job.call()
            gradient = job.name.endswith("dx")
            value = job.result()
            wanted = results.setdefault(gradient, value)
            error = np.abs(value - wanted).max() / (np.abs(wanted).max() if gradient else 1.0)
            if not error <= 1e-4:
                raise SystemExit(f"{job.name} differs from elman by {error:.1e}")


def collect(
    case: Case, threads: int, built: dict[str, str], versions: dict[str, str], left_out: dict[str, str]
) -> list[Job]:
    jobs: list[Job] = []
    for engine in [elman, torch, onnxruntime, numpy, onednn]:
        name = engine.__name__
        if name in left_out:
            continue
        try:
            versions[name], more = engine(case, threads, built.get(name))
            jobs += more
        except Exception as error:  # whatever a peer throws must not end the run
            if engine is elman:
                raise
            left_out[name] = f"{type(error).__name__}: {error}".splitlines()[0]
            print(f"{name} is left out: {left_out[name]}", file=sys.stderr)
    return jobs


def measure(built: dict[str, str], shapes: list[Shape], threads: int, rounds: int, floor: float) -> dict[str, Any]:
    versions: dict[str, str] = {}
    left_out: dict[str, str] = {}
    rows: list[Row] = []
    for shape in shapes:
        print(f"shape {shape}, threads {threads}", file=sys.stderr)
        case = Case(shape)
        jobs = collect(case, threads, built, versions, left_out)
        check_results(jobs)
        times: dict[str, list[float]] = {job.name: [] for job in jobs}
        for first in range(rounds):
            # Rotated, so that nobody is always the first.
            for job in jobs[first % len(jobs) :] + jobs[: first % len(jobs)]:
                times[job.name].append(turn(job.call, floor) * 1e6)
        for close in case.closing:
            close()
        rows.append({name: statistics.median(values) for name, values in times.items()})
    return {"versions": list(versions.values()), "rows": rows}


# ---- building, and the report ----


def make_environment(venv: Path) -> Path:
    python = venv / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", venv], check=True)
    pip = [python, "-m", "pip", "--disable-pip-version-check"]
    listed = subprocess.run([*pip, "list", "--format=json"], check=True, capture_output=True, text=True).stdout
    there = {package["name"].lower() for package in json.loads(listed)}
    for package in [name for name in PACKAGES if name not in there]:
        print(f"installing {package} into {venv}", file=sys.stderr)
        done = subprocess.run([*pip, "install", "-q", package], capture_output=True, text=True)
        if done.returncode:
            why = (done.stderr.strip() or "no reason given").splitlines()[-1]
            print(f"{package} cannot be installed: {why}", file=sys.stderr)
    return python


def build_elman() -> str:
    command = ["cargo", "build", "--release", "-p", "elman-c", "--message-format=json-render-diagnostics"]
    lines = subprocess.run(command, cwd=HERE.parent.parent, check=True, stdout=subprocess.PIPE, text=True).stdout
    files = [file for line in lines.splitlines() for file in json.loads(line).get("filenames", [])]
    return next(file for file in files if Path(file).name in ("libelman.so", "libelman.dylib"))


def build_onednn(venv: Path) -> str | None:
    libraries = sorted((venv / "lib").glob("libdnnl.so.*.*"))
    target = venv / "lib" / "libpeer.so"
    command = [os.environ.get("CXX", "c++"), "-std=c++17", "-O2", "-shared", "-fPIC", "-fopenmp", f"-I{venv}/include",
               HERE / "onednn.cpp", "-o", target, *libraries[-1:], f"-Wl,-rpath,{venv}/lib"]
    try:
        return str(target) if libraries and not subprocess.run(command, stdout=sys.stderr).returncode else None
    except OSError:
        return None


def measure_in_child(python: Path, threads: int, job: dict[str, Any]) -> dict[str, Any]:
    limits = {name: str(threads) for name in ["OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"]}
    command = [python, __file__, "--child", json.dumps({**job, "threads": threads})]
    done = subprocess.run(command, env={**os.environ, **limits}, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        raise SystemExit("the measurement failed")
    return json.loads(done.stdout.splitlines()[-1])


def cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


# Columns of the tables, with the measurements of which they give the least; then peers against one of elman's columns.
# oneDNN's forward pass for training is sometimes faster than the one for inference.
FORWARD = {"elman": ["elman"], "torch": ["torch"], "ONNX Runtime": ["ONNX Runtime"], "NumPy": ["NumPy"],
           "oneDNN": ["oneDNN", "oneDNN saving"]}
TRAINING = {"elman": ["elman training"], "torch": ["torch training"]}
GRADIENTS = {"elman": ["elman dx"], "oneDNN": ["oneDNN dx"]}
FORWARD_RATIOS = {"torch or ONNX Runtime": (["torch", "ONNX Runtime"], "elman"),
                  "NumPy": (["NumPy"], "elman"),
                  "oneDNN": (FORWARD["oneDNN"], "elman")}
TRAINING_RATIOS = {"torch": (["torch training"], "elman training")}
GRADIENTS_RATIOS = {"oneDNN": (["oneDNN dx"], "elman dx")}


def least(row: Row, names: list[str]) -> float:
    return min((row[name] for name in names if name in row), default=math.nan)


def figure(value: float, digits: int) -> str:
    return "-" if math.isnan(value) else f"{value:.{digits}f}"


def table(results: dict[Shape, list[Row]], columns: dict[str, list[str]], ratios: dict[str, Any]) -> None:
    heads = ["shape (T, B, I, H)", *columns, *(f"{title} : elman" for title in ratios)]
    print(f"| {' | '.join(heads)} |\n{'| --- ' * len(heads)}|")
    for shape, rows in results.items():
        cells = [[least(row, names) for row in rows] for names in columns.values()]
        texts = [" / ".join(figure(value, 1 if value < 100 else 0) for value in cell) for cell in cells]
        for names, mine in ratios.values():
            texts.append(" / ".join(figure(least(row, names) / row[mine], 2) for row in rows))
        print(f"| {label(shape)} | {' | '.join(texts)} |")
    print()


def summary(results: dict[Shape, list[Row]], threads: list[int], ratios: dict[str, Any]) -> None:
    for title, (names, mine) in ratios.items():
        found = [(least(row, names) / row[mine], f"{label(shape)}, threads {count}")
                 for shape, rows in results.items() for row, count in zip(rows, threads)]
        known = [item for item in found if not math.isnan(item[0])]
        if known:
            mean = statistics.geometric_mean(ratio for ratio, _ in known)
            print("- {} : elman, geometric mean {:.2f}, worst {:.2f} ({})".format(title, mean, *min(known)))
    print()


def label(shape: Shape) -> str:
    return f"{NAMES.get(shape, '')} {', '.join(map(str, shape))}".strip()


def report(results: dict[Shape, list[Row]], threads: list[int], versions: list[str]) -> None:
    print(f"{cpu_model()}, {os.cpu_count()} cores, {datetime.date.today()}; {', '.join(versions)}.")
    print(f"Microseconds, medians, threads: {' / '.join(map(str, threads))}. Ratios above 1: elman is faster.\n")
    for title, columns, ratios in [
        ("Forward", FORWARD, FORWARD_RATIOS),
        ("Training step: forward, backward without the gradient of the input, SGD", TRAINING, TRAINING_RATIOS),
        ("Forward and backward with the gradient of the input, no update", GRADIENTS, GRADIENTS_RATIOS),
    ]:
        print(f"{title}:\n")
        table(results, columns, ratios)
        summary(results, threads, ratios)


def numbers(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(","))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shapes", nargs="+", type=numbers, metavar="T,B,I,H", help="instead of the built-in ones")
    parser.add_argument("--threads", type=numbers, default=(1, 2), metavar="N,N")
    parser.add_argument("--quick", action="store_true", help="few shapes and rounds")
    parser.add_argument("--venv", type=Path, default=Path(tempfile.gettempdir()) / "elman-peers")
    parser.add_argument("--child", type=json.loads, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        job = options.child
        shapes = [tuple(shape) for shape in job.pop("shapes")]
        print(json.dumps(measure(shapes=shapes, **job)))
        return
    venv = options.venv.resolve()
    python = make_environment(venv)
    built = {"elman": build_elman(), "onednn": build_onednn(venv)}
    shapes = list(dict.fromkeys(options.shapes or (QUICK if options.quick else [*NAMES, *MORE])))
    rounds, floor = (3, 0.01) if options.quick else (5, 0.03)
    job = {"built": built, "shapes": shapes, "rounds": rounds, "floor": floor}
    children = [measure_in_child(python, threads, job) for threads in options.threads]
    results = {shape: [child["rows"][index] for child in children] for index, shape in enumerate(shapes)}
    report(results, options.threads, children[0]["versions"])


if __name__ == "__main__":
    main()
