"""Builds the shared library with cargo, and writes what the header declares in a form that cffi loads without parsing.

The build backend is hatchling, as the build is one call of cargo and two files: the declarations are those of include/elman.h,
where maturin would have cbindgen make others from the crate.

The wheel has both inside and suits every Python from 3.10 on: only its platform is in its name. Where
ELMAN_LIBRARY names a shared library that is there already, that one is taken.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sysconfig
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface
from hatchling.metadata.plugin.interface import MetadataHookInterface

# What a source distribution has of the repository, and under which name: cargo asks for all that the manifests name.
ENGINE = "engine"
SOURCES = ["Cargo.toml", "Cargo.lock", "README.md", "src", "bench", "tests", "include", "fuzz", "cbindings"]


def engine(project: Path) -> Path:
    """The directory of the engine's sources: in a source distribution, or around this directory in the repository."""
    for directory in (project / ENGINE, project.parent.parent):
        if (directory / "include" / "elman.h").is_file() and (directory / "Cargo.toml").is_file():
            return directory
    raise RuntimeError(f"{project} is neither in elman's repository nor a source distribution: no include/elman.h around it")


def version(project: Path) -> str:
    """The version of the engine, which is that of the package."""
    text = (engine(project) / "include" / "elman.h").read_text(encoding="utf-8")
    return ".".join(re.findall(r"#define ELMAN_VERSION_(?:MAJOR|MINOR|PATCH) (\d+)", text))


def declarations(header: str) -> str:
    """The C declarations and constants of the header as cffi reads them: without comments and the preprocessor."""
    text = re.sub(r"/\*.*?\*/", "", header, flags=re.DOTALL)
    text = re.sub(r"#ifdef __cplusplus.*?#endif", "", text, flags=re.DOTALL)
    lines = []
    for line in text.splitlines():
        if line.startswith("#define"):
            words = line.split()
            if len(words) == 3:
                value = "0x" + "f" * (2 * sysconfig.get_config_var("SIZEOF_SIZE_T")) if words[2] == "SIZE_MAX" else words[2]
                lines.append(f"#define {words[1]} {value}")
        elif not line.startswith("#"):
            lines.append(line)
    return "\n".join(lines)


def write_declarations(header: Path, path: Path) -> None:
    """Writes the Python module that has the declarations."""
    from cffi import FFI

    ffi = FFI()
    ffi.cdef(declarations(header.read_text(encoding="utf-8")))
    ffi.set_source("elman._declarations", None)
    with tempfile.TemporaryDirectory() as directory:
        written = Path(directory) / "_declarations.py"
        ffi.emit_python_code(str(written))
        shutil.copy(written, path)


def tracked(root: Path) -> list[str]:
    """The engine's files that git knows."""
    command = ["git", "ls-files", "-z", "--", *SOURCES]
    try:
        listed = subprocess.run(command, cwd=root, stdout=subprocess.PIPE, check=True, text=True)
    except (FileNotFoundError, subprocess.CalledProcessError):
        raise RuntimeError(f"a source distribution is made in a checkout of the repository by git, which {root} is not") from None
    return [name for name in listed.stdout.split("\0") if name]


def build_library(root: Path) -> Path:
    """Builds the shared library by cargo and tells where it lies."""
    cargo = os.environ.get("CARGO", "cargo")
    command = [cargo, "build", "--release", "--lib", "--package", "elman-c", "--message-format=json-render-diagnostics"]
    try:
        built = subprocess.run(command, cwd=root, stdout=subprocess.PIPE, check=True)
    except FileNotFoundError:
        raise RuntimeError("building elman needs Rust 1.89 or newer (cargo is not found): see https://rustup.rs") from None
    except subprocess.CalledProcessError as error:
        raise RuntimeError(f"cargo failed with status {error.returncode}; its messages are above") from None
    for line in built.stdout.splitlines():
        message = json.loads(line)
        if message.get("reason") == "compiler-artifact" and "cdylib" in message["target"]["kind"]:
            for name in message["filenames"]:
                if name.endswith((".so", ".dylib", ".dll")):
                    return Path(name)
    raise RuntimeError("cargo has built no shared library for this target")


class CustomMetadataHook(MetadataHookInterface):
    """Takes the version from the header."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Sets it."""
        metadata["version"] = version(Path(self.root))


class CustomBuildHook(BuildHookInterface):  # type: ignore[type-arg]
    """Puts the library and the declarations into the package."""

    def initialize(self, _version: str, build_data: dict[str, Any]) -> None:
        """Is called before the files are gathered."""
        root = engine(Path(self.root))
        if self.target_name == "sdist":
            own = f"{Path(self.root).relative_to(root)}/"
            for name in tracked(root):
                if not name.startswith((own, "tests/data/")):
                    build_data["force_include"][str(root / name)] = f"{ENGINE}/{name}"
            return
        package = Path(self.root) / "src" / "elman"
        write_declarations(root / "include" / "elman.h", package / "_declarations.py")
        library = Path(os.environ["ELMAN_LIBRARY"]) if "ELMAN_LIBRARY" in os.environ else build_library(root)
        # Under the name that the package looks for, whatever ELMAN_LIBRARY's file is called.
        name = {".dylib": "libelman.dylib", ".dll": "elman.dll"}.get(library.suffix, "libelman.so")
        target = package / name
        shutil.copy(library, target)
        strip = shutil.which(os.environ.get("STRIP", "strip"))
        if strip and target.suffix == ".so":
            subprocess.run([strip, "--strip-unneeded", str(target)], check=True)
        build_data["artifacts"] += ["src/elman/_declarations.py", f"src/elman/{name}"]
        build_data["pure_python"] = False
        platform = os.environ.get("_PYTHON_HOST_PLATFORM", sysconfig.get_platform())
        build_data["tag"] = "py3-none-" + re.sub(r"[-.]", "_", platform)
