"""The plot that run.py draws: the speed over the number of units, as SVG."""

from __future__ import annotations

import math
from collections.abc import Iterator
from html import escape
from itertools import pairwise

from engines import Shape
from report import FORWARD, GRADIENTS, TRAINING, Part, Row, least

COLOURS = {"elman": "#0b5cad", "oneDNN": "#15803d", "ONNX Runtime": "#8e4ec6", "torch": "#d9480f", "NumPy": "#8a6d00"}
WIDTH, HEIGHT = 920, 400
# The axes of a panel; its labels take what is right of them.
LEFT, TOP, ACROSS, DOWN, NEXT = 60, 56, 290, 250, 450
# Readable on any page, as the background is the plot's own.
HEAD = f"""<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}">
<style>
text {{ font: 12px system-ui, sans-serif; fill: #333 }}
polyline {{ fill: none; stroke-width: 1.5 }}
line {{ stroke: #ddd }}
.own {{ stroke-width: 3 }}
.limit {{ stroke: #333; stroke-dasharray: 6 4 }}
.dashed {{ stroke-dasharray: 2 3 }}
.bold {{ font-weight: bold }}
</style>
<rect width="{WIDTH}" height="{HEIGHT}" rx="6" fill="#fff"/>"""


def text(x: float, y: float, words: str, extra: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" {extra}>{escape(words)}</text>'


def spread(wanted: list[float], gap: float) -> list[float]:
    """Places in the order of the wanted ones, near them and at least `gap` apart."""
    order = sorted(range(len(wanted)), key=wanted.__getitem__)
    places = list(wanted)
    for _ in range(100):
        for low, high in pairwise(order):
            overlap = gap - (places[high] - places[low])
            if overlap > 0:
                places[low] -= overlap / 2
                places[high] += overlap / 2
    return places


class Panel:
    def __init__(self, left: float, shapes: list[Shape], rows: list[Row], peak: float) -> None:
        self.left, self.shapes, self.rows, self.peak = left, shapes, rows, peak
        self.labels: list[tuple[float, str, str]] = []

    def x(self, units: int) -> float:
        first, last = self.shapes[0][3], self.shapes[-1][3]
        return self.left + ACROSS * math.log(units / first) / math.log(last / first)

    def y(self, rate: float) -> float:
        return TOP + DOWN * (1 - rate / (1.05 * self.peak))

    def axes(self, title: str, below: str) -> Iterator[str]:
        yield text(self.left, 24, title, 'class="bold"')
        yield text(self.left, 41, below)
        step = next(step for step in (5, 10, 20, 50, 100, 200, 500, 1000) if self.peak / step <= 6)
        for rate in range(0, int(self.peak) + 1, step):
            y = self.y(rate)
            yield f'<line x1="{self.left}" x2="{self.left + ACROSS}" y1="{y:.1f}" y2="{y:.1f}"/>'
            yield text(self.left - 6, y + 4, str(rate), 'text-anchor="end"')
        for *_, units in self.shapes:
            x, y = self.x(units), TOP + DOWN + 14
            yield text(x, y, str(units), f'text-anchor="end" transform="rotate(-45 {x:.1f} {y:.1f})"')
        yield text(self.left + ACROSS / 2, TOP + DOWN + 46, "units H (log scale)", 'text-anchor="middle"')
        x, y = self.left - 40, TOP + DOWN / 2
        yield text(x, y, "GFLOP/s", f'text-anchor="middle" transform="rotate(-90 {x} {y})"')
        y = self.y(self.peak)
        yield f'<line class="limit" x1="{self.left}" x2="{self.left + ACROSS}" y1="{y:.1f}" y2="{y:.1f}"/>'
        self.labels.append((y, f"FMA peak {self.peak:.0f}", ""))

    def curve(self, part: Part, engine: str, style: str = "", note: str = "") -> Iterator[str]:
        names = [part.elman] if engine == "elman" else part.peers[engine]
        points = []
        for shape, row in zip(self.shapes, self.rows):
            steps, batch, inputs, units = shape
            operations = 2 * steps * batch * units * (part.products[0] * inputs + part.products[1] * units)
            rate = operations / least(row, names) / 1e3
            if not math.isnan(rate):
                points.append((self.x(units), self.y(rate)))
        if points:
            own, colour = "own" if engine == "elman" else "", COLOURS[engine]
            places = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
            yield f'<polyline class="{own} {style}" stroke="{colour}" points="{places}"/>'
            bold = 'class="bold" ' if own else ""
            self.labels.append((points[-1][1], engine + note, f'{bold}style="fill: {colour}"'))

    def names(self) -> Iterator[str]:
        for place, (_, words, extra) in zip(spread([y for y, *_ in self.labels], 14), self.labels):
            yield text(self.left + ACROSS + 8, place + 4, words, extra)


def svg(shapes: list[Shape], rows: list[Row], peak: float, caption: list[str]) -> str:
    forward, training = Panel(LEFT, shapes, rows, peak), Panel(LEFT + NEXT, shapes, rows, peak)
    parts = [HEAD, *forward.axes("Forward", "inference, all outputs")]
    for engine in ["elman", *FORWARD.peers]:
        parts += forward.curve(FORWARD, engine)
    parts += forward.names()
    parts += training.axes("Training", "training step; dotted: gradients of x too, no update")
    for engine in ["elman", *TRAINING.peers]:
        parts += training.curve(TRAINING, engine)
    for engine in ["elman", *GRADIENTS.peers]:
        parts += training.curve(GRADIENTS, engine, "dashed", " with dx")
    parts += training.names()
    parts += [text(LEFT, TOP + DOWN + 68 + 16 * index, words) for index, words in enumerate(caption)]
    return "\n".join([*parts, "</svg>\n"])
