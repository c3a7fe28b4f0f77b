"""One Postgres server process on one data folder: make the folder, start, find, stop.

The caller holds the gate (see `embedded.py`), so nobody else starts or stops this server meanwhile.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import signal
import socket
import stat
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import psutil

from harness.errors import StoreUnavailable
from harness.store.account import Account
from harness.store.binaries import Binaries
from harness.store.locks import FileLock

START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 60.0
ORPHAN_GRACE_S = 3.0
"""How long the dead server's own children get to notice and leave before they are ended, in seconds."""

PORT = 5432
SOCKET = f".s.PGSQL.{PORT}"
_POLL_S = 0.01
_LOG_BYTES = 8 * 1024 * 1024

# sun_path holds 104 bytes on macOS and 108 on Linux, the closing zero included.
_SOCKET_PATH_BYTES = 103

# LC_ALL and TZ also decide what initdb writes into the new database's settings.
_ENVIRONMENT = {"LC_ALL": "C", "TZ": "UTC"}

SETTINGS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "port": str(PORT),
    "max_connections": "200",
    "fsync": "on",
    "synchronous_commit": "on",
    "max_wal_size": "256MB",
    "log_line_prefix": "%m [%p] ",
}


@dataclass(frozen=True)
class Running:
    """A server that is up, from its `postmaster.pid`; `pid` is None when it lives in another container."""

    pid: int | None
    socket_folder: Path
    ready: bool


class Postmaster:
    """The server of the data folder `data`, run by `account`, that writes its log to `log`.

    All of its processes hold a lock from their first moment to their last: one that has just been launched,
    perhaps by a process that is dead by now, and has written no `postmaster.pid` yet, is not taken for none.
    """

    def __init__(self, data: Path, log: Path, account: Account) -> None:
        self.data = data
        self.log = log
        self.account = account
        self._alive = FileLock(data.with_name(f"{data.name}.alive"))
        digest = hashlib.sha256(os.fsencode(data)).hexdigest()
        # Shown in the title of every process of the server, which anybody may read: it finds the orphans.
        self._cluster = f"harness-{digest[:12]}"

    def find(self) -> Running | None:
        """Find the running server, started by whomever; None also while it is just being launched.

        The pid in the file proves nothing: it may be a zombie that nobody reaps, or a stranger's by now.
        Whoever answers at the socket is proof, and the only one when the server runs in another container.
        """
        try:
            lines = (self.data / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return None
        pid = int(lines[0]) if lines and lines[0].strip().isdigit() else 0
        folder = Path(lines[4]) if len(lines) > 4 and lines[4] else self.socket_folder
        ready = len(lines) > 7 and lines[7].strip() == "ready"
        if str(self.data) in _command(pid):
            return Running(pid, folder, ready)
        listener = _listener(folder / SOCKET)
        if listener is None or (listener and not _command(listener)):
            return None
        return Running(listener or None, folder, ready)

    def initialise(self, binaries: Binaries) -> None:
        """Make the data folder if it is missing: beside its place, and moved there once it is whole."""
        if self.data.exists():
            return
        for left_over in self.data.parent.glob(f"{self.data.name}.new-*"):
            shutil.rmtree(left_over, ignore_errors=True)
        fresh = Path(tempfile.mkdtemp(prefix=f"{self.data.name}.new-", dir=self.data.parent))
        self.account.owns(fresh)
        command = [str(binaries.initdb), "-D", str(fresh), "-U", "postgres", "--encoding=UTF8"]
        command += ["--auth-local=trust", "--auth-host=reject", "--no-instructions"]
        # Upper and lower case by Unicode on every platform; before 18 full-text search asks the C library.
        modern = ["--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        command += modern if binaries.major >= 18 else ["--locale=C.UTF-8"]
        done = subprocess.run(
            command,
            cwd="/",
            env=_ENVIRONMENT,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            start_new_session=True,
            **self.account.switch,
        )
        if done.returncode != 0:
            shutil.rmtree(fresh, ignore_errors=True)
            raise StoreUnavailable(
                f"The embedded database could not be made in {self.data}: {_last_line(done.stderr)}; "
                "mend that, use another home folder, or give the DSN of a server (--dsn)."
            )
        fresh.rename(self.data)

    def ensure(self, binaries: Callable[[], Binaries]) -> Running:
        """Give the server once it takes connections, starting it when it does not run."""
        deadline = time.monotonic() + START_TIMEOUT_S
        orphans_until = time.monotonic() + ORPHAN_GRACE_S
        child: subprocess.Popen[bytes] | None = None
        log_before = 0
        while time.monotonic() < deadline:
            running = self.find()
            if running is not None and running.ready:
                return running
            if child is not None and child.poll() is not None:
                raise StoreUnavailable(
                    f"The embedded Postgres in {self.data} does not start: "
                    f"{_last_line(self._log_since(log_before))}; the whole log is {self.log}."
                )
            if child is None and running is None:
                if self._alive.take():
                    child, log_before = self._start(binaries)
                elif time.monotonic() > orphans_until:
                    self._end_orphans()
                    time.sleep(10 * _POLL_S)
            time.sleep(_POLL_S)
        raise StoreUnavailable(
            f"The embedded Postgres in {self.data} has not become ready in {START_TIMEOUT_S:.0f} s, perhaps "
            f"because it recovers from a crash; try again in a while, or read {self.log}."
        )

    def stop(self) -> bool:
        """End the server's connections and stop it; False when none runs that this process could signal."""
        running = self.find()
        if running is None or running.pid is None:
            return False
        try:
            server = psutil.Process(running.pid)
        except psutil.NoSuchProcess:
            return False
        # Fast first; then at once, which is as safe as a crash: the next start recovers from the log.
        for order, patience in ((signal.SIGINT, STOP_TIMEOUT_S), (signal.SIGQUIT, 10.0)):
            with suppress(psutil.NoSuchProcess):
                server.send_signal(order)
            deadline = time.monotonic() + patience
            while time.monotonic() < deadline:
                if _is_gone(server):
                    self._remove_socket_folder()
                    return True
                time.sleep(_POLL_S)
        raise StoreUnavailable(
            f"The embedded Postgres with pid {running.pid} does not stop: end that process, then try again."
        )

    def _start(self, binaries: Callable[[], Binaries]) -> tuple[subprocess.Popen[bytes], int]:
        """Give the lock, which is held, to a new server; also give the size of the log before it."""
        try:
            programs = binaries()
            self.initialise(programs)
            self._make_socket_folder()
            self._clear_stale()
            log_before = self._rotated_log()
            return self._launch(programs), log_before
        finally:
            self._alive.drop()

    def _launch(self, binaries: Binaries) -> subprocess.Popen[bytes]:
        settings = {
            **SETTINGS,
            "unix_socket_directories": '"' + str(self.socket_folder).replace('"', '""') + '"',
            "cluster_name": self._cluster,
        }
        options = [f"--{name}={value}" for name, value in settings.items()]
        with self.log.open("ab") as log:
            child = subprocess.Popen(
                [binaries.postgres, "-D", self.data, *options],
                cwd="/",
                env=_ENVIRONMENT,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                umask=0o077,
                pass_fds=[self._alive.fd],
                # Ctrl-C goes to the terminal's process group, which the server is then not part of.
                start_new_session=True,
                **self.account.switch,
            )
        # It may outlive this object and this process; as long as this process lives it leaves no zombie.
        threading.Thread(target=child.wait, name="reap-postgres", daemon=True).start()
        return child

    def _end_orphans(self) -> None:
        """End backends whose server was killed and that are too busy to notice: they block a new one."""
        for process in psutil.process_iter(["cmdline"]):
            title = " ".join(process.info["cmdline"] or ())
            if title.startswith(f"postgres: {self._cluster}:"):
                with suppress(psutil.NoSuchProcess):
                    process.kill()

    def _clear_stale(self) -> None:
        """Remove the lock files of a server that is proved dead: Postgres trusts the pid in them."""
        (self.data / "postmaster.pid").unlink(missing_ok=True)
        for name in (SOCKET, f"{SOCKET}.lock"):
            (self.socket_folder / name).unlink(missing_ok=True)

    @cached_property
    def socket_folder(self) -> Path:
        """Give the data folder, which is private, or a private temporary one when its path cannot be used."""
        path = str(self.data / SOCKET)
        # A comma separates folders for the server and hosts for its clients.
        if len(os.fsencode(path)) <= _SOCKET_PATH_BYTES and "," not in path:
            return self.data
        # Root's own temporary folder may be closed to the account.
        temporary = Path(tempfile.gettempdir())
        return (temporary if self.account.reaches(temporary) else Path("/tmp")) / self._cluster

    def _make_socket_folder(self) -> None:
        folder = self.socket_folder
        if folder == self.data:
            return
        try:
            folder.mkdir(mode=0o700)
            self.account.owns(folder)
        except FileExistsError:
            found = folder.lstat()
            if not stat.S_ISDIR(found.st_mode) or found.st_uid != self.account.uid or found.st_mode & 0o077:
                raise StoreUnavailable(
                    f"{folder} exists and is not the embedded Postgres' private folder: remove it, "
                    "or use a home folder with a shorter path."
                ) from None

    def _remove_socket_folder(self) -> None:
        if self.socket_folder != self.data and self.socket_folder.exists():
            self.socket_folder.rmdir()

    def _rotated_log(self) -> int:
        size = self.log.stat().st_size if self.log.exists() else 0
        if size <= _LOG_BYTES:
            return size
        self.log.replace(self.log.with_name(f"{self.log.name}.1"))
        return 0

    def _log_since(self, offset: int) -> str:
        with self.log.open("rb") as log:
            log.seek(offset)
            return log.read().decode("utf-8", "replace")


def _command(pid: int) -> list[str]:
    """Give a process's command line; empty when there is none: it is gone, a zombie, or just dying."""
    try:
        return psutil.Process(pid).cmdline()
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        # Denied means another account's process, and the server has our account or we are root.
        return []


def _is_gone(process: psutil.Process) -> bool:
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def _listener(path: Path) -> int | None:
    """Give the pid that listens on a socket, 0 when it is out of our sight, None when nobody answers."""
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(str(path))
        except (ConnectionRefusedError, FileNotFoundError):
            return None
        except (BlockingIOError, TimeoutError):
            # Its queue is full: it is there, and busy.
            return 0
        if sys.platform == "linux":
            return int(struct.unpack("3i", probe.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[0])
        return probe.getsockopt(0, 2)  # SOL_LOCAL and LOCAL_PEERPID of macOS' <sys/un.h>


def _last_line(text: str) -> str:
    """Give the line that says why, without its time stamp."""
    lines = [line for line in text.splitlines() if line.strip()] or ["no reason was given"]
    telling = [line for line in lines if re.search(r"\b(FATAL|PANIC|ERROR|error):", line)] or lines
    return re.sub(r"^.*?\b(?:FATAL|PANIC|ERROR|error):\s*", "", telling[-1]).strip().rstrip(".")
