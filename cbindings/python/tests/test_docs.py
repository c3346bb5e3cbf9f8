"""Every block of Python in the documents runs, and so does the example.

The blocks of a page run one after the other, with each other's names. A comment right before a block may have the program around
it, which readers do not see; the block takes the place of its line `...`. Its first line is "around", or "needs" and the packages
without which the block is left out; such a block runs by itself.
"""

import os
import re
import subprocess
import sys

import matplotlib as mpl
import pytest
from conftest import REPOSITORY

mpl.use("Agg")
BLOCK = re.compile(r"(?:<!-- (?P<comment>(?:around|needs)(?:(?!-->).)*)-->\n)?```python\n(?P<code>.*?)```", re.DOTALL)
DOCUMENTS = ["README.md", *(f"docs/{page.name}" for page in (REPOSITORY / "docs").glob("*.md")), "cbindings/python/README.md"]


class Block:
    def __init__(self, document, match):
        text = (REPOSITORY / document).read_text(encoding="utf-8")
        head, _, around = (match["comment"] or "").partition("\n")
        before, _, behind = f"\n{around}".partition("\n...\n")
        lines = text.count("\n", 0, match.start("code")) - before.count("\n") - 1
        self.packages = head.split()[1:]
        self.line = text.count("\n", 0, match.start("code")) + 1
        # With as many lines in front as the document has, so that messages name the right one.
        self.code = "\n" * max(lines, 0) + f"{before}\n{match['code']}{behind}"


def blocks(document):
    text = (REPOSITORY / document).read_text(encoding="utf-8")
    return [Block(document, match) for match in BLOCK.finditer(text)]


def run(document, block, names):
    exec(compile(block.code, document, "exec"), names)


@pytest.fixture
def root(tmp_path, monkeypatch):
    """A directory with what the documents read of the repository, which is the current one."""
    for name in ("tests", "cbindings"):
        (tmp_path / name).symlink_to(REPOSITORY / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("document", [document for document in DOCUMENTS if any(not one.packages for one in blocks(document))])
def test_blocks_run(document, root):
    names: dict = {}
    for block in blocks(document):
        if not block.packages:
            run(document, block, names)
    if document == "docs/python.md":
        assert names["classifier"].score(names["x_test"], names["y_test"]) > 0.95
        pictures = ("history.png", "confusion.png", "forecast.png")
        assert all((root / name).stat().st_size > 1000 for name in pictures)


@pytest.mark.parametrize(
    ("document", "block"),
    [
        pytest.param(document, block, id=f"{document}:{block.line}")
        for document in DOCUMENTS
        for block in blocks(document)
        if block.packages
    ],
)
def test_blocks_that_need_other_packages_run(document, block, root):
    for package in block.packages:
        pytest.importorskip(package)
    run(document, block, {})


def test_the_example_runs(tmp_path):
    example = REPOSITORY / "cbindings/python/examples/japanese_vowels.py"
    environment = {**os.environ, "MPLBACKEND": "Agg"}
    result = subprocess.run([sys.executable, str(example), str(tmp_path)], env=environment, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert float(re.search(r"test accuracy: ([\d.]+)", result.stdout)[1]) > 0.95
    assert (tmp_path / "history.png").exists() and (tmp_path / "confusion.png").exists()
