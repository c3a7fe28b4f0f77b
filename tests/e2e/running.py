"""Runs the command line as its users do: processes of their own, in an environment made for them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from tests.kit.processes import clean_env, clis, kill, tree

ROOT = Path(__file__).resolve().parents[2]


@dataclass
class Command:
    """One `harness ...` process; `lines` are the JSON objects it has printed so far."""

    process: subprocess.Popen[str]
    lines: list[dict[str, Any]] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    _readers: list[threading.Thread] = field(default_factory=list)

    @property
    def session_id(self) -> str | None:
        """The session's id, once it has been announced."""
        return next((line["session_id"] for line in self.lines if "session_id" in line), None)

    @property
    def finished(self) -> dict[str, Any] | None:
        """The last line of a session, once it is there."""
        return next((line for line in self.lines if line.get("event") == "session.finished"), None)

    def wait(self, timeout_s: float = 90) -> int:
        """Wait for its end and give its exit code."""
        code = self.process.wait(timeout_s)
        for reader in self._readers:
            reader.join(10)
        return code

    def clis(self) -> list[psutil.Process]:
        """The CLI processes at work for it."""
        return clis(self.process.pid)

    def kill(self, *, clis_too: bool = False) -> None:
        """Kill it with SIGKILL; its CLIs live on unless they are killed too."""
        below = tree(self.process.pid)
        self.process.kill()
        if clis_too:
            kill(*below)
        self.wait()


@dataclass
class Desk:
    """Where commands are run: one home, one database, one played model."""

    home: Path
    base_url: str
    dsn: str | None
    started: list[Command] = field(default_factory=list)
    prefix: tuple[str, ...] = ()
    """What each command is started by, to put it elsewhere."""

    def start(self, *args: str, **extra: str) -> Command:
        """Start `harness ARGS --json`."""
        environment = clean_env(self.home, self.base_url, HARNESS_HOME=str(self.home / "harness"), **extra)
        if self.dsn:
            environment["HARNESS_DSN"] = self.dsn
        command = Command(
            subprocess.Popen(
                [*self.prefix, sys.executable, "-m", "harness", *args, "--json"],
                cwd=self.home,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                start_new_session=True,
            )
        )
        command._readers = [
            threading.Thread(
                target=_read, args=(command.process.stdout, command.lines, json.loads), daemon=True
            ),
            threading.Thread(target=_read, args=(command.process.stderr, command.errors, str), daemon=True),
        ]
        for reader in command._readers:
            reader.start()
        self.started.append(command)
        return command

    def run(self, *args: str, **extra: str) -> tuple[int, dict[str, Any]]:
        """Run `harness ARGS --json` to its end; give its exit code and its last line."""
        command = self.start(*args, **extra)
        code = command.wait()
        assert command.lines, f"nothing was printed: {''.join(command.errors)}"
        return code, command.lines[-1]

    def close(self) -> None:
        """End whatever is left, and print what all commands have said, for a test that has failed."""
        self.end()
        for command in self.started:
            print(command.process.args, *command.lines, *command.errors, sep="\n")

    def end(self) -> None:
        """End whatever is left."""
        for command in self.started:
            if command.process.poll() is None:
                for process in (*tree(command.process.pid), psutil.Process(command.process.pid)):
                    kill(process)
                command.process.wait()


@contextmanager
def desk_with_notes(home: Path, base_url: str, dsn: str | None) -> Iterator[Desk]:
    """A desk with documents to search; it is closed at the end of the block."""
    (home / "notes.md").write_text("# Notes\n\nTides, winds and stars. Ropes, sails and charts.\n")
    with closing(Desk(home, base_url, dsn)) as desk:
        yield desk


def interrupt(command: Command) -> None:
    """Press Ctrl-C."""
    os.kill(command.process.pid, signal.SIGINT)


def _read(stream: Any, into: list[Any], parse: Any) -> None:
    for line in stream:
        into.append(parse(line))
