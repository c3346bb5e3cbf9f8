"""The shared library, and the declarations that are made of the header."""

import importlib.util
import os
import re
import subprocess
import sys
from typing import get_args

import numpy as np
import pytest
from conftest import REPOSITORY

import elman
from elman import _names
from elman._library import lib

HEADER = (REPOSITORY / "include" / "elman.h").read_text(encoding="utf-8")


def hook():
    specification = importlib.util.spec_from_file_location("hatch_build", REPOSITORY / "cbindings/python/hatch_build.py")
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def test_every_function_and_constant_of_the_header_is_there():
    code = re.sub(r"/\*.*?\*/", "", HEADER, flags=re.DOTALL)
    functions = set(re.findall(r"\b(elman_\w+)\(", code))
    constants = set(re.findall(r"#define (ELMAN_\w+) ", code))
    assert len(functions) > 100 and len(constants) > 80
    for name in functions | constants:
        assert hasattr(lib, name), name


def test_the_names_of_the_constants_are_all_of_the_header():
    code = re.sub(r"/\*.*?\*/", "", HEADER, flags=re.DOTALL)
    constants = set(re.findall(r"#define ELMAN_(\w+) ", code))
    prefixes = {prefix for prefix, _ in _names.GROUPS.values() if prefix}
    prefixes |= {"ERROR_", "VERSION_"}
    for prefix, names in _names.GROUPS.values():
        if prefix:
            expected = {name[len(prefix) :].lower() for name in constants if name.startswith(prefix)}
            assert expected == set(get_args(names)), prefix
    others = {name.lower() for name in constants if not name.startswith(tuple(prefixes))}
    spoken = {*get_args(_names.ActivationName), *get_args(_names.Direction)}
    assert others - spoken == {"ok", "no_label", "continue", "stop"}
    assert spoken <= others


def test_every_field_of_the_options_has_a_name():
    from elman._library import ffi
    from elman.training import FitOptions

    fields = {name for name, _ in ffi.typeof("elman_recurrent_options").fields}
    named = set(_names.RecurrentOptions.__annotations__)
    assert {name for name in fields if not name.endswith(("_alpha", "_beta"))} == named | {"size"}
    fields = {name for name, _ in ffi.typeof("elman_fit_options").fields}
    arguments = {"size", "user", "callback", "batch_callback", "validation", "cancel", "class_weights", "reserved"}
    assert fields == set(FitOptions.__annotations__) | arguments


def test_version_and_tier():
    assert elman.__version__ == elman.version() == hook().version(REPOSITORY / "cbindings/python")
    assert elman.tier() in ("portable", "neon", "avx2", "avx512")


def test_the_licences_are_those_of_the_repository():
    for name in ("LICENSE-MIT", "LICENSE-APACHE"):
        assert (REPOSITORY / name).read_bytes() == (REPOSITORY / "cbindings/python" / name).read_bytes()


def python(code, **environment):
    values = {**os.environ, **environment}
    return subprocess.run([sys.executable, "-c", code], env=values, capture_output=True, text=True, check=False)


def test_a_library_that_is_not_there_says_so():
    result = python("import elman", ELMAN_LIBRARY="/nowhere/libelman.so")
    assert "ELMAN_LIBRARY names /nowhere/libelman.so, which can't be loaded" in result.stderr


def test_the_hook_names_the_library_as_the_package_looks_for_it(tmp_path, monkeypatch):
    given = tmp_path / "another_name.so"
    given.write_bytes(b"a library")
    monkeypatch.setenv("ELMAN_LIBRARY", str(given))
    monkeypatch.setenv("STRIP", "/nowhere/strip")
    project = tmp_path / "project"
    (project / "src" / "elman").mkdir(parents=True)
    (project / "engine" / "include").mkdir(parents=True)
    (project / "engine" / "Cargo.toml").touch()
    (project / "engine" / "include" / "elman.h").write_text(HEADER, encoding="utf-8")
    data = {"artifacts": []}
    hook().CustomBuildHook(str(project), {}, None, None, str(tmp_path), "wheel").initialize("standard", data)
    assert (project / "src" / "elman" / "libelman.so").read_bytes() == b"a library"
    assert data["artifacts"] == ["src/elman/_declarations.py", "src/elman/libelman.so"]


def test_the_core_needs_numpy_and_cffi_alone():
    code = """
import sys
sys.modules.update(dict.fromkeys(["sklearn", "matplotlib", "tqdm", "h5py", "torch", "safetensors", "pandas"]))
import elman, numpy
dataset = elman.Dataset.with_classes(numpy.zeros((4, 3, 2)), [0, 1, 0, 1])
network = elman.Network(2).add_lstm(3).add_dense(2)
network.fit(dataset, elman.Adam(), epochs=1)
for name, extra in [("SequenceClassifier", "sklearn"), ("from_keras", "keras"), ("to_torch", "torch")]:
    try:
        getattr(elman, name)(network)
    except ImportError as error:
        assert f"pip install 'elman[{extra}]'" in str(error), error
    else:
        raise AssertionError(name)
"""
    result = python(code)
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize(
    ("call", "kind", "status"),
    [
        (lambda: elman.Network(0), ValueError, lib.ELMAN_ERROR_ZERO_SIZE),
        (lambda: elman.Network(2**62), elman.ArgumentError, lib.ELMAN_ERROR_SIZE_OVERFLOW),
        (lambda: elman.Network.load("/nowhere"), OSError, lib.ELMAN_ERROR_IO),
        (lambda: elman.Network.from_bytes(b"nothing"), elman.FormatError, lib.ELMAN_ERROR_FORMAT),
        (lambda: elman.Network(1).add_rnn(1, "tahn"), ValueError, lib.ELMAN_ERROR_UNKNOWN_CONSTANT),
        (lambda: elman.Network(1).add_gru(1, peepholes=True), ValueError, lib.ELMAN_ERROR_MISMATCH),
        (lambda: elman.Network(1).backward(None), RuntimeError, lib.ELMAN_ERROR_CALL_ORDER),
        (lambda: elman.Dataset([[[np.inf]]]), elman.NotFiniteError, lib.ELMAN_ERROR_NOT_FINITE),
    ],
)
def test_statuses_are_exceptions(call, kind, status):
    with pytest.raises(kind) as raised:
        call()
    assert raised.value.status == status
    assert str(raised.value)


def test_numbers_that_fit_no_argument_are_errors():
    with pytest.raises(OverflowError):
        elman.Network(-1)
    with pytest.raises(TypeError):
        elman.Network(1.5)
    with pytest.raises(TypeError, match="no option 'direktion'"):
        elman.Network(1).add_gru(1, direktion="forward")
    with pytest.raises(ValueError, match="NUL"):
        elman.Network(1).save("a\0b")
