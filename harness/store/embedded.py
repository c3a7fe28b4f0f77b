"""The Postgres that is there when nobody gave one: the first user of a home starts it, the last one stops it.

    <home>/postgres/         the data; for root a link when the server's account cannot enter <home>
    <home>/postgres.log      what the server says
    <home>/postgres.gate     locked by whoever starts or stops the server, for that moment
    <home>/postgres.alive    locked as long as any process of the server lives
    <home>/postgres.users/   one file for each user, locked as long as that user lives

These locks fall with their holders, however those end, so there is nothing to repair after a crash. The
server lives in a session of its own and survives all of its users; the next one attaches to it.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from psycopg.conninfo import make_conninfo

from harness.errors import StoreError, StoreUnavailable
from harness.records import Record
from harness.store.account import Account, account_for
from harness.store.binaries import find_binaries
from harness.store.locks import FileLock, is_locked
from harness.store.postmaster import Postmaster, Running

DATA = "postgres"

SHELTER = Path("/var/lib/subagent-harness-databases")
"""Where root keeps databases whose home the server's account cannot enter, one folder for each home."""


class ServerStatus(Record):
    """What there is of the embedded server of a home folder; sizes in bytes, `users` are process ids."""

    running: bool
    pid: int | None
    dsn: str | None
    data_dir: Path
    version: str | None
    socket_dir: Path | None
    size_bytes: int
    users: tuple[int, ...]


class EmbeddedServer:
    """A share in the running server of a home folder, as a context manager or until `release`.

    All of it blocks, for about a second when the database is made; from a coroutine use `asyncio.to_thread`.
    """

    def __init__(self, place: _Place, user: FileLock, dsn: str) -> None:
        self.dsn = dsn
        self._place = place
        self._user = user

    @classmethod
    def acquire(cls, home: Path) -> Self:
        """Attach to the server of `home`, making the database and starting the server as needed.

        Raises StoreUnavailable when that cannot be done, saying why.
        """
        with _explained(home), _gate(place := _place(home, create=True)):
            user = place.join()
            try:
                running = place.ensure()
            except BaseException:
                place.leave(user)
                raise
        return cls(place, user, _dsn(running))

    def ensure_running(self) -> None:
        """Start the server again if it has died; its DSN stays the same, and what was committed is there.

        After `release` it does nothing, also when both were called at once from two threads.
        """
        with _explained(self._place.folder), _gate(self._place):
            if self._user.held:
                self._place.ensure()

    def release(self) -> None:
        """Give the share back; the last one to do so stops the server. Calling it again does nothing."""
        if not self._user.held:
            return
        with _explained(self._place.folder), _gate(self._place):
            self._place.leave(self._user)
            if not self._place.users():
                self._place.postmaster.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


def stop(home: Path) -> bool:
    """Stop the server of `home`; False when none runs. Raises StoreError, naming them, while it has users."""
    with _explained(home):
        if not (home / DATA).exists():
            return False
        place = _place(home)
    with _explained(home), _gate(place):
        if users := place.users():
            pids = ", ".join(map(str, users))
            raise StoreError(f"The embedded Postgres in {home} is in use by pid {pids}: end that first.")
        return place.postmaster.stop()


def status(home: Path) -> ServerStatus:
    """Say what there is, changing nothing."""
    with _explained(home):
        place = _place(home)
        data = place.postmaster.data
        running = place.postmaster.find()
        version = data / "PG_VERSION"
        return ServerStatus(
            running=running is not None,
            pid=running.pid if running else None,
            dsn=_dsn(running) if running else None,
            data_dir=data,
            version=version.read_text().strip() if version.exists() else None,
            socket_dir=running.socket_folder if running else None,
            size_bytes=_size(data),
            users=tuple(place.users()),
        )


@dataclass(frozen=True)
class _Place:
    """The folder that holds the data and what belongs to it: the home folder, or its shelter."""

    folder: Path
    postmaster: Postmaster

    def ensure(self) -> Running:
        return self.postmaster.ensure(
            lambda: find_binaries(self.postmaster.data).reachable_by(self.postmaster.account, self.folder)
        )

    def join(self) -> FileLock:
        folder = self.folder / f"{DATA}.users"
        folder.mkdir(exist_ok=True)
        for path in folder.iterdir():
            if not is_locked(path):
                path.unlink()
        user = FileLock(folder / f"{os.getpid()}-{secrets.token_hex(4)}")
        user.wait()
        return user

    def leave(self, user: FileLock) -> None:
        user.path.unlink(missing_ok=True)
        user.drop()

    def users(self) -> list[int]:
        """Give the process ids of the live users."""
        files = sorted((self.folder / f"{DATA}.users").glob("*-*"))
        return [int(path.name.split("-")[0]) for path in files if is_locked(path)]


def _place(home: Path, *, create: bool = False) -> _Place:
    if sys.platform == "win32":
        raise StoreUnavailable(
            "There is no embedded Postgres for Windows: give the DSN of a server with --dsn or HARNESS_DSN."
        )
    link = home.absolute() / DATA
    if create:
        home.mkdir(parents=True, exist_ok=True)
    data = link.resolve()
    account = account_for(data)
    if create and not os.path.lexists(link) and not account.reaches(home):
        data = _shelter(link, account)
    return _Place(data.parent, Postmaster(data, data.with_name(f"{DATA}.log"), account))


def _shelter(link: Path, account: Account) -> Path:
    """Give `link` a target that the account can reach, in a folder of ours, and leave the home as it is."""
    folder = SHELTER / hashlib.sha256(os.fsencode(link)).hexdigest()[:16]
    for each in (SHELTER, folder):
        if not each.exists():
            each.mkdir()
            each.chmod(0o755)
    if not account.reaches(folder):
        raise StoreUnavailable(
            f"The embedded Postgres, run by root, needs a folder that the user with id {account.uid} can "
            f"enter, and neither {link.parent} nor {folder} is one: use another home folder, or give a DSN."
        )
    with suppress(FileExistsError):
        link.symlink_to(folder / DATA)
    return folder / DATA


def _gate(place: _Place) -> FileLock:
    return FileLock(place.folder / f"{DATA}.gate")


def _dsn(running: Running) -> str:
    return make_conninfo(host=str(running.socket_folder), user="postgres", dbname="postgres")


def _size(folder: Path) -> int:
    # Files come and go under a running server.
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.lstat().st_size
        except FileNotFoundError:
            continue
    return total


@contextmanager
def _explained(home: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        what = f"{error.strerror or error}: {error.filename}" if error.filename else str(error)
        raise StoreUnavailable(
            f"The embedded Postgres in {home} cannot be used ({what}): mend that, use another home folder, "
            "or give the DSN of a server (--dsn or HARNESS_DSN)."
        ) from error
