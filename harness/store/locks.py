"""Locks between processes that no crash can leave behind: the kernel drops a flock with its last holder."""

from __future__ import annotations

import os
import sys
import time
import weakref
from pathlib import Path
from types import TracebackType
from typing import Self

from harness.errors import StoreUnavailable

if sys.platform != "win32":
    import fcntl

_POLL_S = 0.02


class FileLock:
    """An exclusive lock on a file of its own. As a context manager it waits, at most `timeout_s` seconds.

    Two locks on one path exclude each other within a process as well as between processes. A child process
    never holds its parent's lock, neither after exec nor after a bare fork; but one that is given `fd` holds
    it, with all of its own children, until the last of them has ended.
    """

    def __init__(self, path: Path, timeout_s: float = 120.0) -> None:
        self.path = path
        self.timeout_s = timeout_s
        self._fd: int | None = None

    @property
    def held(self) -> bool:
        """Whether this object holds the lock."""
        return self._fd is not None

    @property
    def fd(self) -> int:
        """The open file, to be passed to a program that shall hold the lock as well."""
        if self._fd is None:
            raise ValueError(f"The lock on {self.path} is not held.")
        return self._fd

    def take(self) -> bool:
        """Try once, creating the file when it is missing, and say whether the lock is now held."""
        fd = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o644)
        if not _flocked(fd, fcntl.LOCK_EX):
            os.close(fd)
            return False
        self._fd = fd
        _HELD.add(self)
        return True

    def drop(self) -> None:
        """Let go of the lock; nothing happens when it is not held."""
        _HELD.discard(self)
        if self._fd is not None:
            fd, self._fd = self._fd, None
            os.close(fd)

    def wait(self) -> None:
        """Take the lock as soon as it is free; StoreUnavailable when that is not within `timeout_s`."""
        deadline = time.monotonic() + self.timeout_s
        while not self.take():
            if time.monotonic() > deadline:
                raise StoreUnavailable(
                    f"Another process has held {self.path} for {self.timeout_s:.0f} s, in which it should "
                    "have started or stopped the embedded Postgres; end it, or give a DSN (--dsn)."
                )
            time.sleep(_POLL_S)

    def __enter__(self) -> Self:
        self.wait()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.drop()


def is_locked(path: Path) -> bool:
    """Say whether some live process, this one included, holds the lock on a file."""
    try:
        fd = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        # Shared, so that two who ask at once do not take each other for a holder.
        return not _flocked(fd, fcntl.LOCK_SH)
    finally:
        os.close(fd)


def _flocked(fd: int, kind: int) -> bool:
    try:
        fcntl.flock(fd, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


_HELD: weakref.WeakSet[FileLock] = weakref.WeakSet()


def _forget_in_child() -> None:
    # A flock belongs to the open file, which a fork shares; closing the child's copy leaves the parent's be.
    for lock in list(_HELD):
        lock.drop()


if sys.platform != "win32":
    os.register_at_fork(after_in_child=_forget_in_child)
