"""The shared library: where it is found, its functions, and its statuses as exceptions."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from elman._declarations import ffi as ffi


class ElmanError(Exception):
    """What a call of the library says that has failed. `status` is the number of an ELMAN_ERROR_ constant."""

    status: int

    def __init__(self, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.status = status


class ArgumentError(ElmanError, ValueError):
    """An argument is not what the call expects: its size, its range, or what it is used with."""


class NotFiniteError(ElmanError, ValueError, ArithmeticError):
    """A number is infinite or not a number where only finite ones make sense; also a training that explodes."""


class FormatError(ElmanError, ValueError):
    """A file breaks its format, is damaged, or is something else."""


class FileError(ElmanError, OSError):
    """A file could not be opened, read or written."""


class OutOfMemoryError(ElmanError, MemoryError):
    """Memory ran out. The objects of the call are as they were."""


class CallOrderError(ElmanError, RuntimeError):
    """A call came before the one that it builds on, or after something made that one void."""


class CancelledError(ElmanError, RuntimeError):
    """Another thread has set the Cancellation of the call. The network has the parameters of the last update."""


class LibraryError(ElmanError, RuntimeError):
    """Threads could not be started, ELMAN_TIER is wrong, the library was built without a part, or it has a fault."""


def _open() -> tuple[Any, Path]:
    """Loads the library: the file that ELMAN_LIBRARY names, or the one in this package."""
    here = Path(__file__).parent
    name = {"darwin": "libelman.dylib", "win32": "elman.dll"}.get(sys.platform, "libelman.so")
    override = os.environ.get("ELMAN_LIBRARY")
    path = Path(override) if override else here / name
    try:
        library = ffi.dlopen(str(path.resolve()))
        version = ffi.string(library.elman_version()).decode()
    except (OSError, AttributeError) as error:
        source = "the environment variable ELMAN_LIBRARY names" if override else "the package was built with"
        raise ImportError(f"{source} {path}, which can't be loaded: {error}") from error
    header = [library.ELMAN_VERSION_MAJOR, library.ELMAN_VERSION_MINOR]
    parts = [int(part) for part in version.split(".")[:2]]
    # As docs/abi.md has it: a major version is compatible with itself, and while it is 0, a minor one.
    if parts[0] != header[0] or (parts[1] != header[1] if parts[0] == 0 else parts[1] < header[1]):
        raise ImportError(f"{path} has version {version}, this package is for {header[0]}.{header[1]}")
    return library, path


lib, library_path = _open()
_KINDS: dict[int, type[ElmanError]] = {
    lib.ELMAN_ERROR_CALL_ORDER: CallOrderError,
    lib.ELMAN_ERROR_NOT_FINITE: NotFiniteError,
    lib.ELMAN_ERROR_OUT_OF_MEMORY: OutOfMemoryError,
    lib.ELMAN_ERROR_THREADS: LibraryError,
    lib.ELMAN_ERROR_TIER: LibraryError,
    lib.ELMAN_ERROR_IO: FileError,
    lib.ELMAN_ERROR_PARSE: FormatError,
    lib.ELMAN_ERROR_FORMAT: FormatError,
    lib.ELMAN_ERROR_INTERNAL: LibraryError,
    lib.ELMAN_ERROR_CANCELLED: CancelledError,
    lib.ELMAN_ERROR_UNSUPPORTED: LibraryError,
}


def text(pointer: Any) -> str:
    """The string at a pointer of the library's."""
    return str(ffi.string(pointer).decode("utf-8", "replace"))


def texts(count: int, function: Callable[..., int], handle: Any) -> list[str]:
    """The strings that a function of (handle, index, char **) gives for each index."""
    strings, string = [], ffi.new("char **")
    for index in range(count):
        check(function(handle, index, string))
        strings.append(text(string[0]))
    return strings


def check(status: int) -> None:
    """Raises what the status of a call on this thread says. The call and this must follow each other."""
    if status != lib.ELMAN_OK:
        message = text(lib.elman_last_error()) or text(lib.elman_status_string(status))
        raise _KINDS.get(status, ArgumentError)(message, status)


def create(kind: str, function: Callable[..., int], *arguments: Any) -> Any:
    """An object of the library's that is given back when nothing refers to it any more."""
    out = ffi.new(f"{kind} **")
    check(function(*arguments, out))
    destroy = "elman_destroy" if kind == "elman_network" else f"{kind}_destroy"
    return ffi.gc(out[0], getattr(lib, destroy))


def options(kind: str, values: dict[str, Any]) -> Any:
    """A struct of options with the library's defaults, and these fields set."""
    struct = ffi.new(f"{kind} *")
    check(getattr(lib, f"{kind}_init")(struct, ffi.sizeof(kind)))
    for name, value in values.items():
        setattr(struct, name, value)
    return struct


def constant(prefix: str, names: tuple[str, ...], name: str, argument: str) -> int:
    """The number of a constant of the header, whose name is the prefix and one of the names in capitals."""
    if name not in names:
        raise ArgumentError(f"{argument} is {name!r}; expected one of {', '.join(names)}", lib.ELMAN_ERROR_UNKNOWN_CONSTANT)
    return int(getattr(lib, f"ELMAN_{prefix}{name.upper()}"))


def constant_name(prefix: str, names: tuple[str, ...], value: int) -> str:
    """The name that a constant of the header has in Python."""
    return next(name for name in names if getattr(lib, f"ELMAN_{prefix}{name.upper()}") == value)


def path_bytes(path: str | os.PathLike[str]) -> bytes:
    """A path as the library takes it."""
    name = os.fspath(path)
    data = name.encode() if sys.platform == "win32" and isinstance(name, str) else os.fsencode(name)
    if b"\0" in data:
        raise ArgumentError(f"path {path!r} has a NUL character", lib.ELMAN_ERROR_OUT_OF_RANGE)
    return data


def text_bytes(value: str, argument: str) -> bytes:
    """Text as the library takes it."""
    if not isinstance(value, str):
        raise TypeError(f"{argument} is {value!r}; expected a str")
    if "\0" in value:
        raise ArgumentError(f"{argument} {value!r} has a NUL character", lib.ELMAN_ERROR_OUT_OF_RANGE)
    return value.encode()


def version() -> str:
    """The version of the engine."""
    return text(lib.elman_version())


def tier() -> str:
    """The instructions that networks use: "portable", "neon", "avx2" or "avx512"."""
    name = text(lib.elman_tier())
    if not name:
        raise LibraryError(text(lib.elman_last_error()), lib.ELMAN_ERROR_TIER)
    return name
