"""What the scripts of the folders here have in common: an environment for the peers, the builds, and the tables."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent


class Environment:
    """A virtual environment, which is made where there is none."""

    def __init__(self, directory: Path) -> None:
        self.python = directory / "bin" / "python"
        if not self.python.exists():
            subprocess.run([sys.executable, "-m", "venv", directory], check=True)

    def _pip(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [str(self.python), "-m", "pip", "--disable-pip-version-check", *arguments]
        return subprocess.run(command, capture_output=True, text=True)

    def install(self, packages: Iterable[str], *options: str) -> dict[str, str]:
        """Installs the packages that are not there. Of those that cannot be installed it gives the reasons."""
        listed = self._pip("list", "--format=json")
        listed.check_returncode()
        there = {package["name"].lower() for package in json.loads(listed.stdout)}
        reasons = {}
        for package in [name for name in packages if name not in there]:
            print(f"installing {package} into {self.python.parent.parent}", file=sys.stderr)
            done = self._pip("install", "-q", *options, package)
            if done.returncode:
                reasons[package] = (done.stderr.strip() or "no reason given").splitlines()[-1]
        return reasons


def cargo(*arguments: str) -> list[dict[str, Any]]:
    """Runs cargo and gives its messages about what it has built."""
    command = ["cargo", *arguments, "--message-format=json-render-diagnostics"]
    lines = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout
    return [json.loads(line) for line in lines.splitlines()]


def executable(messages: list[dict[str, Any]]) -> str:
    return next(message["executable"] for message in messages if message.get("executable"))


def cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def line(cells: list[str]) -> str:
    """A row of a Markdown table."""
    return f"| {' | '.join(cells)} |"


def head(cells: list[str]) -> list[str]:
    """The first rows of a Markdown table."""
    return [line(cells), line(["---"] * len(cells))]


def write_between_marks(document: str, text: str) -> None:
    """Puts text into a document under docs, between the marks that name the script that runs."""
    path = ROOT / "docs" / document
    script = Path(sys.argv[0]).resolve().relative_to(ROOT).as_posix()
    first, last = f"<!-- {script} writes from here -->", "<!-- to here -->"
    before, begin, rest = path.read_text().partition(first)
    _, end, after = rest.partition(last)
    if not (begin and end):
        raise SystemExit(f"{path} has no lines {first} and {last}")
    path.write_text(f"{before}{begin}\n\n{text}\n\n{end}{after}")
