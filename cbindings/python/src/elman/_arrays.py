"""NumPy arrays as the library takes them, and the library's memory as NumPy arrays.

float32 arrays that are row-major go in as they are. Other numbers (float64, float16, integers, booleans) and other layouts are
copied and rounded to float32, which is what the engine computes in. A float64 number that float32 can't hold is an error.
Arrays that a call writes to must be float32 and row-major: they are never copied.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from elman._library import ArgumentError, ffi, lib

Floats: TypeAlias = NDArray[np.float32]
Sizes: TypeAlias = NDArray[np.uintp]

# In arrays of labels: the row has no class and does not count. As size_t it is the header's ELMAN_NO_LABEL.
NO_LABEL = -1


def shape_text(shape: Sequence[int | str]) -> str:
    """A shape as messages have it."""
    return f"[{', '.join(str(size) for size in shape)}]"


def check_shape(array: NDArray[Any], shape: Sequence[int | str] | None, name: str) -> None:
    """Raises unless the array has the shape, in which names stand for any size."""
    if shape is None:
        return
    if array.ndim != len(shape) or any(isinstance(b, int) and a != b for a, b in zip(array.shape, shape, strict=True)):
        message = f"{name} has the shape {shape_text(array.shape)}; expected {shape_text(shape)}"
        raise ArgumentError(message, lib.ELMAN_ERROR_LENGTH)


def floats(value: ArrayLike, name: str, shape: Sequence[int | str] | None = None) -> Floats:
    """Numbers as the library reads them; the array itself where it is float32 and row-major."""
    try:
        array = np.asarray(value)
    except ValueError as error:
        message = f"{name} is no array ({error}); elman.pad() makes one of sequences of different lengths"
        raise ArgumentError(message, lib.ELMAN_ERROR_LENGTH) from None
    if array.dtype.kind not in "fiub":
        raise TypeError(f"{name} has the dtype {array.dtype}; expected real numbers")
    check_shape(array, shape, name)
    flags = array.flags
    if array.dtype == np.float32 and flags.c_contiguous and flags.aligned:
        return array
    with np.errstate(over="ignore"):
        result = np.require(array, np.float32, ["C", "A"])
    if array.dtype.kind == "f" and array.dtype.itemsize > 4:
        beyond = np.isinf(result) & np.isfinite(array)
        if beyond.any():
            place = np.unravel_index(int(beyond.argmax()), array.shape)
            message = f"{name}{[int(i) for i in place]} is {array[place]}, which is beyond float32"
            raise ArgumentError(message, lib.ELMAN_ERROR_OUT_OF_RANGE)
    return result


def result(out: Floats | None, name: str, shape: tuple[int, ...]) -> Floats:
    """An array for what a call writes: a new one, or `out` if it is as it must be."""
    if out is None:
        try:
            return np.empty(shape, np.float32)
        except ValueError as error:
            raise ArgumentError(f"{name} would have the shape {shape_text(shape)}: {error}") from None
    if not isinstance(out, np.ndarray):
        raise TypeError(f"{name} is a {type(out).__name__}; expected a numpy.ndarray")
    if out.dtype != np.float32:
        raise TypeError(f"{name} has the dtype {out.dtype}; expected float32, as it is written in place")
    check_shape(out, shape, name)
    flags = out.flags
    if not (flags.c_contiguous and flags.aligned and flags.writeable):
        raise ArgumentError(f"{name} is not row-major, aligned and writeable, as an array that is written in place must be")
    return out


def sizes(value: ArrayLike, name: str, shape: Sequence[int | str] | None = None, least: int = 0) -> Sizes:
    """Whole numbers as size_t, none below `least`, which is 0 or NO_LABEL."""
    array = np.asarray(value)
    check_shape(array, shape, name)
    if array.size == 0 and array.dtype.kind == "f":
        array = array.astype(np.intp)
    if array.dtype.kind not in "iu":
        raise TypeError(f"{name} has the dtype {array.dtype}; expected integers")
    if array.dtype.kind == "i" and array.size and array.min() < least:
        place = np.unravel_index(int((array < least).argmax()), array.shape)
        message = f"{name}{[int(i) for i in place]} is {array[place]}; expected at least {least}"
        raise ArgumentError(message, lib.ELMAN_ERROR_OUT_OF_RANGE)
    if array.dtype.kind == "i":
        return np.require(array, np.intp, ["C", "A"]).view(np.uintp)
    return np.require(array, np.uintp, ["C", "A"])


def pointer(array: NDArray[Any] | None) -> Any:
    """The address of an array for a call; it keeps the array."""
    if array is None:
        return ffi.NULL
    kind = "float[]" if array.dtype == np.float32 else "size_t[]"
    return ffi.from_buffer(kind, array)


class _Memory:
    """Memory of the library's, which lives as long as `owner` does."""

    def __init__(self, owner: object, address: Any, count: int, dtype: Any, writeable: bool) -> None:
        self.owner = owner
        self.__array_interface__ = {
            "data": (int(ffi.cast("uintptr_t", address)), not writeable),
            "shape": (count,),
            "typestr": np.dtype(dtype).str,
            "version": 3,
        }


def view(owner: object, address: Any, count: int, dtype: Any, writeable: bool = False) -> tuple[NDArray[Any], object]:
    """An array over memory of the library's, and what lives as long as an array over it does."""
    if count == 0:
        return np.empty(0, dtype), owner
    memory = _Memory(owner, address, count, dtype, writeable)
    return np.asarray(memory), memory
