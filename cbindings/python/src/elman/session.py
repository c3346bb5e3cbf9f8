"""Streams: one step or a block of steps at a time."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from elman._arrays import Floats, floats, pointer, result
from elman._guard import Guard
from elman._library import ArgumentError, check, create, lib

if TYPE_CHECKING:
    from elman.network import Network


class Session:
    """Streams through a network, in lockstep: each keeps its state between the calls.

    The outputs are those of the sequences as a whole, bit for bit. A session runs the parameters that the network had when it
    was made. A network that looks ahead has none.
    """

    def __init__(self, network: Network, streams: int = 1) -> None:
        with network._guard.shared:
            self._take(create("elman_session", lib.elman_session_create_many, network._handle, streams))

    def _take(self, handle: object) -> None:
        self._handle = handle
        self._guard = Guard("this session")
        self.streams = int(lib.elman_session_get_streams(handle))
        self.input_size = int(lib.elman_session_get_input_size(handle))
        self.output_size = int(lib.elman_session_get_output_size(handle))
        self.state_size = int(lib.elman_session_get_state_size(handle))

    def step(self, x: ArrayLike, *, out: Floats | None = None) -> Floats:
        """Runs one step: x is [input_size], or [streams, input_size]; the outputs likewise."""
        array = np.asarray(x)
        one = array.ndim == 1 and self.streams == 1
        inputs = floats(array, "x", [self.input_size] if one else [self.streams, self.input_size])
        y = result(out, "out", (self.output_size,) if one else (self.streams, self.output_size))
        with self._guard.exclusive:
            check(lib.elman_session_step(self._handle, pointer(inputs), pointer(y)))
        return y

    def run(self, x: ArrayLike, *, out: Floats | None = None) -> Floats:
        """Runs a block of steps: x is [steps, input_size], or [steps, streams, input_size]; the outputs likewise.

        `out` may be x itself where both have as many features.
        """
        array = np.asarray(x)
        one = array.ndim == 2 and self.streams == 1
        inputs = floats(array, "x", ["steps", self.input_size] if one else ["steps", self.streams, self.input_size])
        y = result(out, "out", (len(inputs), *([] if one else [self.streams]), self.output_size))
        with self._guard.exclusive:
            check(lib.elman_session_run(self._handle, pointer(inputs), len(inputs), pointer(y)))
        return y

    def reset(self, stream: int | None = None) -> None:
        """Lets all streams, or one, start again from the network's own state."""
        with self._guard.exclusive:
            if stream is None:
                check(lib.elman_session_reset(self._handle))
            else:
                check(lib.elman_session_reset_stream(self._handle, self._stream(stream)))

    def _stream(self, stream: int) -> int:
        if stream < 0:
            raise ArgumentError(f"stream is {stream}; expected less than {self.streams}", lib.ELMAN_ERROR_OUT_OF_RANGE)
        return stream

    @property
    def state(self) -> Floats:
        """A copy of the states, [streams, state_size]; setting lets all streams go on from other ones."""
        state = result(None, "state", (self.streams, self.state_size))
        with self._guard.shared:
            check(lib.elman_session_get_state(self._handle, pointer(state), state.size))
        return state

    @state.setter
    def state(self, state: ArrayLike) -> None:
        array = floats(state, "state", [self.streams, self.state_size])
        with self._guard.exclusive:
            check(lib.elman_session_set_state(self._handle, pointer(array), array.size))

    def get_stream_state(self, stream: int) -> Floats:
        """A copy of the state of one stream, [state_size]."""
        state = result(None, "state", (self.state_size,))
        with self._guard.shared:
            check(lib.elman_session_get_stream_state(self._handle, self._stream(stream), pointer(state), state.size))
        return state

    def set_stream_state(self, stream: int, state: ArrayLike) -> None:
        """Lets one stream go on from another state, [state_size]."""
        array = floats(state, "state", [self.state_size])
        with self._guard.exclusive:
            check(lib.elman_session_set_stream_state(self._handle, self._stream(stream), pointer(array), array.size))

    @property
    def nbytes(self) -> int:
        """Bytes of memory that it takes beside the parameters."""
        return int(lib.elman_session_get_bytes(self._handle))

    def copy(self) -> Session:
        """A second session whose streams go on from the states that these have now."""
        session = Session.__new__(Session)
        with self._guard.shared:
            session._take(create("elman_session", lib.elman_session_clone, self._handle))
        return session

    def __copy__(self) -> Session:
        return self.copy()

    def __deepcopy__(self, _memo: object) -> Session:
        return self.copy()

    def __reduce__(self) -> str:
        raise copy.Error("a session can't be pickled: save the network and the session's state")
