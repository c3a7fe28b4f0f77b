"""Runs a system's program on some work: in a folder and a database of its own, with the played model."""

from __future__ import annotations

import contextlib
import json
import resource
import subprocess
import threading
import time
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from benchmarks.comparison.systems import System
from benchmarks.comparison.work import Given, Work
from benchmarks.places import pss_mb
from tests.kit.calls import Call
from tests.kit.databases import fresh_database
from tests.kit.homes import new_home
from tests.kit.processes import kill, tree
from tests.kit.scripted_api import ScriptedProcess, scripted_process

PLAYS = "benchmarks.comparison.played:plays"
PATIENCE_S = 600.0
SAMPLING_S = 0.25
LOOKING = 0.05
"""The most of a core that looking at memory may take; a tree of many processes takes milliseconds."""


@dataclass(frozen=True)
class Ended:
    """How a program ended: its exit code, its report if it gave one, and what it cost.

    Seconds of CPU are those of the program and of all its children that it waited for, provided that no other
    program ends meanwhile; `pss_mb` is the most that its processes together ever had, looked at every quarter
    of a second at most; 0 if nobody looked.
    """

    code: int
    report: str | None
    wall_s: float
    cpu_s: float
    pss_mb: float
    said: str = field(repr=False)


@dataclass
class Program:
    """A program at work."""

    process: subprocess.Popen[bytes]
    began: float
    output: Path
    errors: Path

    def kill(self) -> None:
        """Kill it with SIGKILL; its children live on."""
        self.process.kill()
        self.process.wait()

    def kill_after(self, seconds: float) -> float:
        """Kill it so long after its start, or when it has ended before; give the time of that."""
        while time.monotonic() < self.began + seconds and self.process.poll() is None:
            time.sleep(0.01)
        now = time.time()
        self.kill()
        return now

    def wait(self, timeout_s: float = PATIENCE_S, *, memory: bool = False) -> Ended:
        """Wait for its end; its memory is only looked at when it is asked for, for looking costs CPU."""
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        with _memory(self.process.pid) if memory else contextlib.nullcontext([0.0]) as pss:
            try:
                code = self.process.wait(timeout_s)
            except subprocess.TimeoutExpired:
                self.kill()
                code = -1
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        lines, said = self.output.read_text().splitlines(), self.errors.read_text()
        return Ended(code, _report(lines), time.monotonic() - self.began, used, max(pss, default=0.0), said)


@dataclass(frozen=True)
class Desk:
    """Where one system does one piece of work."""

    system: System
    given: Given
    api: ScriptedProcess

    @property
    def work(self) -> Work:
        return self.given.work

    def start(self, *, resume: bool = False) -> Program:
        """Start its program, or the one that resumes."""
        folder = Path(self.given.folder)
        number = len(list(folder.glob("*.out")))
        said = {end: folder / f"{number}.{end}" for end in ("out", "err")}
        began = time.monotonic()
        with said["out"].open("wb") as output, said["err"].open("wb") as errors:
            process = subprocess.Popen(
                self.system.command(self.given, resume=resume),
                cwd=folder,
                env=self.system.env(self.given, self.api.base_url, resume=resume),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=errors,
                start_new_session=True,
            )
        return Program(process, began, said["out"], said["err"])

    def undisturbed(self, *, memory: bool = False) -> Ended:
        """Let its program do the work in one go.

        Raises:
            RuntimeError: it did not end with the right report.
        """
        ended = self.start().wait(memory=memory)
        if not self.right(ended):
            raise RuntimeError(f"{self.system.name} failed with {ended.code}: {ended.said[-2000:]}")
        return ended

    def calls(self) -> list[Call]:
        """What the model was asked."""
        return self.api.calls().messages()

    def right(self, ended: Ended) -> bool:
        """Whether it ended with the right report."""
        return ended.code == 0 and (ended.report or "").strip() == self.work.report


@dataclass(frozen=True)
class Office:
    """A database and a played model for all of a system's work."""

    system: System
    dsn: str
    api: ScriptedProcess

    @contextlib.contextmanager
    def desk(self, work: Work) -> Iterator[Desk]:
        """Set a desk up; afterwards nothing is left of it but what is in the database."""
        with new_home() as folder:
            given = Given(work, str(folder), self.dsn, str(uuid.uuid4()))
            self.system.prepare(given)
            try:
                yield Desk(self.system, given, self.api)
            finally:
                _sweep(folder)


@contextlib.contextmanager
def office(system: System, dsn: str, given: Mapping[str, Any], *, script: str = PLAYS) -> Iterator[Office]:
    """Open an office on a server of Postgres. `given` goes to the script by which the model is played."""
    with (
        fresh_database(dsn, "template1") as database,
        new_home() as folder,
        scripted_process(script, folder / "calls.jsonl", given=given) as api,
    ):
        yield Office(system, database, api)


@contextlib.contextmanager
def desk(system: System, work: Work, dsn: str, **pace: float) -> Iterator[Desk]:
    """Open an office for one piece of work. `pace` is the model's."""
    with office(system, dsn, pace) as opened, opened.desk(work) as made:
        yield made


def _sweep(folder: Path) -> None:
    """End what a killed program left behind, which works in its folder."""
    left = [process for process in psutil.process_iter() if _home(process) == str(folder)]
    kill(*left)


def _home(process: psutil.Process) -> str:
    try:
        return process.environ().get("HOME", "")
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return ""


@contextlib.contextmanager
def _memory(pid: int) -> Iterator[list[float]]:
    """Look at a process tree's memory, in megabytes, until the block ends."""
    seen: list[float] = []
    over = threading.Event()

    def watch() -> None:
        pause_s = SAMPLING_S
        while not over.wait(pause_s):
            began = time.thread_time()
            with contextlib.suppress(psutil.NoSuchProcess):
                seen.append(sum(map(pss_mb, (psutil.Process(pid), *tree(pid)))))
            pause_s = max(SAMPLING_S, (time.thread_time() - began) / LOOKING)

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield seen
    finally:
        over.set()
        watcher.join()


def _report(lines: list[str]) -> str | None:
    for line in reversed(lines):
        with contextlib.suppress(json.JSONDecodeError):
            found = json.loads(line)
            if isinstance(found, Mapping) and "report" in found:
                report: str | None = found["report"]
                return report
    return None
