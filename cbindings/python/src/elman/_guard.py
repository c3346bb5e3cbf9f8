"""Who may use an object of the library's at the same time: any number of readers, or one that changes it.

Calls release the GIL, so threads of Python's do meet here. Those that may not run together wait for each other.
"""

from __future__ import annotations

import threading
from contextlib import AbstractContextManager


class Guard:
    """`with guard.shared:` around calls that take the object as const, `with guard.exclusive:` around the others."""

    def __init__(self, what: str) -> None:
        self.what = what
        self.condition = threading.Condition(threading.Lock())
        self.readers = 0
        self.waiting = 0
        self.writer: int | None = None
        self.shared: AbstractContextManager[None] = _Shared(self)
        self.exclusive: AbstractContextManager[None] = _Exclusive(self)

    def refuse_owner(self) -> None:
        """A callback that uses the object of the call that it is called by would wait for itself."""
        if self.writer == threading.get_ident():
            raise RuntimeError(f"{self.what} is in use by the call that this callback belongs to")


class _Shared(AbstractContextManager[None]):
    def __init__(self, guard: Guard) -> None:
        self.guard = guard

    def __enter__(self) -> None:
        guard = self.guard
        with guard.condition:
            guard.refuse_owner()
            while guard.writer is not None or guard.waiting:
                guard.condition.wait()
            guard.readers += 1

    def __exit__(self, *_error: object) -> None:
        guard = self.guard
        with guard.condition:
            guard.readers -= 1
            if guard.waiting and not guard.readers:
                guard.condition.notify_all()


class _Exclusive(AbstractContextManager[None]):
    def __init__(self, guard: Guard) -> None:
        self.guard = guard

    def __enter__(self) -> None:
        guard = self.guard
        with guard.condition:
            guard.refuse_owner()
            guard.waiting += 1
            try:
                while guard.writer is not None or guard.readers:
                    guard.condition.wait()
            except BaseException:
                # Ctrl-C: readers that have let this one go first must look again.
                guard.condition.notify_all()
                raise
            finally:
                guard.waiting -= 1
            guard.writer = threading.get_ident()

    def __exit__(self, *_error: object) -> None:
        guard = self.guard
        with guard.condition:
            guard.writer = None
            guard.condition.notify_all()
