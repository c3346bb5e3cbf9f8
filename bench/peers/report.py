"""The Markdown that run.py prints, or writes into docs/benchmarks.md."""

from __future__ import annotations

import math
import statistics
from collections import Counter
from collections.abc import Iterator
from itertools import product
from typing import NamedTuple

from common import head, line
from engines import GATES, Shape

# Microseconds of each measurement.
Row = dict[str, float]
# For each cell and shape a row for each number of threads.
Results = dict[tuple[str, Shape], list[Row]]


class Part(NamedTuple):
    """Work that is compared: its products of all gates' sums with I and with H numbers, and the measurements of elman and of
    each peer; where there are several, the least counts.
    """

    title: str
    meaning: str
    products: tuple[int, int]
    elman: str
    peers: dict[str, list[str]]


# oneDNN's forward pass for training is sometimes faster than the one for inference.
FORWARD = Part(
    "forward", "inference, all outputs; 2 G T B H (I + H) operations, G being the gates: {gates}", (1, 1), "elman",
    {"torch": ["torch"], "ONNX Runtime": ["ONNX Runtime"], "NumPy": ["NumPy"], "oneDNN": ["oneDNN", "oneDNN saving"]},
)
TRAINING = Part(
    "training step", "forward, backward to all parameters but not to x, SGD (torch.optim.SGD); 2 G T B H (2 I + 3 H)",
    (2, 3), "elman training", {"torch": ["torch training"]},
)
GRADIENTS = Part(
    "gradients", "forward, backward to all parameters and x, no update (oneDNN has none); 2 G T B H (3 I + 3 H)",
    (3, 3), "elman dx", {"oneDNN": ["oneDNN dx"]},
)
PARTS = [FORWARD, TRAINING, GRADIENTS]

NAMES = {
    (1, 1, 1, 16): "tiny step",
    (100, 1, 64, 128): "stream",
    (5, 100, 3, 8): "demo",
    (28, 128, 28, 128): "rows",
    (50, 32, 64, 256): "small",
    (50, 64, 256, 512): "half medium",
    (100, 64, 256, 512): "medium",
    (50, 128, 1024, 1024): "large",
    (500, 16, 32, 64): "half long",
    (1000, 16, 32, 64): "long",
}


def least(row: Row, names: list[str]) -> float:
    return min((row[name] for name in names if name in row), default=math.nan)


def label(shape: Shape) -> str:
    return f"{NAMES.get(shape, '')} {', '.join(map(str, shape))}".strip()


def ratios(rows: list[Row], part: Part, names: list[str]) -> list[float]:
    """A peer's time over elman's, for each number of threads."""
    return [least(row, names) / row[part.elman] for row in rows]


def count_shapes(results: Results) -> dict[str, int]:
    """How many shapes of each cell there are."""
    return Counter(cell for cell, _ in results)


def summary(results: Results, threads: list[int]) -> Iterator[str]:
    yield from head(["", "", "against", "geometric mean", "worst", "at T, B, I, H"])
    for cell, (part, peer) in product(count_shapes(results), [(part, peer) for part in PARTS for peer in part.peers]):
        found = [
            (ratio, f"{label(shape)}, {count} thread{'s' * (count > 1)}")
            for (of, shape), rows in results.items()
            if of == cell
            for ratio, count in zip(ratios(rows, part, part.peers[peer]), threads)
            if not math.isnan(ratio)
        ]
        if found:
            mean = statistics.geometric_mean(ratio for ratio, _ in found)
            worst, place = min(found)
            yield line([cell.upper(), part.title, peer, f"{mean:.2f}", f"{worst:.2f}", place])


def table(results: Results) -> Iterator[str]:
    columns = [[f"{part.title}, us", *part.peers] for part in PARTS]
    yield from head(["", "T, B, I, H", *(name for part in columns for name in part)])
    for (cell, shape), rows in results.items():
        cells = [cell.upper(), label(shape)]
        for part in PARTS:
            times = [row[part.elman] for row in rows]
            cells.append(" / ".join(f"{time:.{1 if time < 100 else 0}f}" for time in times))
            for names in part.peers.values():
                texts = ["-" if math.isnan(ratio) else f"{ratio:.2f}" for ratio in ratios(rows, part, names)]
                cells.append(" / ".join(texts))
        yield line(cells)


def markdown(results: Results, threads: list[int], where: str) -> str:
    counts = " / ".join(map(str, threads))
    shapes = ", ".join(f"{count} shapes of {cell.upper()}" for cell, count in count_shapes(results).items())
    gates = ", ".join(f"{cell.upper()} {len(GATES[cell])}" for cell in count_shapes(results))
    return "\n".join([
        f"Time of the others over elman's, medians of interleaved calls, {shapes}, {counts} threads. {where}.",
        "",
        *summary(results, threads),
        "",
        *(f"- {part.title}: {part.meaning.format(gates=gates)}" for part in PARTS),
        "",
        f"<details><summary>All shapes: elman's microseconds, and the others' times over them, {counts} threads</summary>",
        "",
        *table(results),
        "",
        "</details>",
    ])
