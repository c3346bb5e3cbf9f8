"""Every block of Python in the guide and in the README runs, and so does the example."""

import os
import re
import subprocess
import sys

import matplotlib as mpl
import numpy as np
import pytest
from conftest import REPOSITORY

import elman

mpl.use("Agg")
BLOCK = re.compile(r"(?P<note><!-- needs (?P<package>\w+) -->\n)?```python\n(?P<code>.*?)```", re.DOTALL)


def blocks(document, package):
    """The blocks of a document whose note says that they need the package; those without a note."""
    text = (REPOSITORY / document).read_text(encoding="utf-8")
    return [block["code"] for block in BLOCK.finditer(text) if block["package"] == package]


@pytest.mark.parametrize("document", ["docs/python.md", "cbindings/python/README.md"])
def test_blocks_run(document, tmp_path, monkeypatch):
    for name in ("tests", "cbindings"):
        (tmp_path / name).symlink_to(REPOSITORY / name)
    monkeypatch.chdir(tmp_path)
    names: dict = {}
    found = blocks(document, None)
    assert found
    for code in found:
        exec(compile(code, document, "exec"), names)
    if document == "docs/python.md":
        assert names["classifier"].score(names["x_test"], names["y_test"]) > 0.95
        pictures = ("history.png", "confusion.png", "forecast.png")
        assert all((tmp_path / name).stat().st_size > 1000 for name in pictures)


def test_the_block_that_needs_torch_runs():
    pytest.importorskip("torch")
    (code,) = blocks("docs/python.md", "torch")
    exec(compile(code, "docs/python.md", "exec"), {"np": np, "elman": elman})


def test_the_example_runs(tmp_path):
    example = REPOSITORY / "cbindings/python/examples/japanese_vowels.py"
    environment = {**os.environ, "MPLBACKEND": "Agg"}
    result = subprocess.run([sys.executable, str(example), str(tmp_path)], env=environment, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert float(re.search(r"test accuracy: ([\d.]+)", result.stdout)[1]) > 0.95
    assert (tmp_path / "history.png").exists() and (tmp_path / "confusion.png").exists()
