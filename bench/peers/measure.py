"""Measures all engines on some cells and shapes. run.py starts it in the virtual environment, in a process for each number
of threads, so that every runtime starts with that number: the only argument and the last line of the output are JSON.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

from engines import ENGINES, Case, Job, Shape

# OpenMP, OpenBLAS and ONNX Runtime let their threads spin for a while after the last piece of work (OpenBLAS longest,
# some 30 ms). Whoever ran next would share its cores with them, so every turn begins when they have gone to sleep.
SETTLE = 0.04


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
    case: Case, threads: int, built: dict[str, str], versions: dict[str, str], left_out: set[tuple[str, str]]
) -> list[Job]:
    jobs: list[Job] = []
    for engine in ENGINES:
        name = engine.__name__
        if (name, case.cell) in left_out:
            continue
        try:
            versions[name], more = engine(case, threads, built.get(name))
            jobs += more
        except Exception as error:  # whatever a peer throws must not end the run
            if name == "elman":
                raise
            left_out.add((name, case.cell))
            why = f"{type(error).__name__}: {error}".splitlines()[0]
            print(f"{name} is left out: {case.cell}: {why}", file=sys.stderr)
    return jobs


def measure(
    built: dict[str, str], cases: list[tuple[str, Shape]], threads: int, rounds: int, floor: float
) -> dict[str, Any]:
    versions: dict[str, str] = {}
    left_out: set[tuple[str, str]] = set()
    rows: list[dict[str, float]] = []
    for cell, shape in cases:
        print(f"{cell}, shape {shape}, threads {threads}", file=sys.stderr)
        case = Case(cell, shape)
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


if __name__ == "__main__":
    job = json.loads(sys.argv[1])
    cases = [(cell, tuple(shape)) for cell, shape in job.pop("cases")]
    print(json.dumps(measure(cases=cases, **job)))
