"""Who does the work: for each system its program, its environment and its configuration, said in a line."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.comparison import install
from benchmarks.comparison.project import make_project, session_id
from benchmarks.comparison.work import Given
from benchmarks.places import ROOT
from tests.kit.processes import API_KEY, clean_env

PEERS = "benchmarks.comparison.peers"


def _nothing(given: Given) -> None:
    """Most systems need no files of their own."""


@dataclass(frozen=True)
class System:
    """One way of doing the work. `start` and `resume` give the words of a command, after the interpreter."""

    name: str
    configuration: str
    start: Callable[[Given], list[str]]
    resume: Callable[[Given], list[str]] | None
    interpreter: Callable[[], Path] = lambda: Path(sys.executable)
    prepare: Callable[[Given], None] = _nothing
    environment: Mapping[str, str] = field(default_factory=dict)

    def command(self, given: Given, *, resume: bool = False) -> list[str]:
        """The whole command; that of `resume` only for a system that can."""
        words = self.resume if resume else self.start
        assert words is not None, f"{self.name} cannot resume"
        return [str(self.interpreter()), *words(given)]

    def env(self, given: Given, base_url: str, *, resume: bool = False) -> dict[str, str]:
        """A command's whole environment; its key tells a killed command's calls from its successor's."""
        told = {"PYTHONPATH": str(ROOT), "HARNESS_DSN": given.dsn, **self.environment}
        told["ANTHROPIC_API_KEY"] = f"{API_KEY}-{'resume' if resume else 'start'}"
        env = clean_env(Path(given.folder), base_url, HARNESS_HOME=f"{given.folder}/harness", **told)
        return {**env, "PATH": f"{self.interpreter().parent}:{env['PATH']}"}


def _peer(module: str, *ways: str) -> Callable[[Given], list[str]]:
    return lambda given: ["-m", f"{PEERS}.{module}", *ways, given.json()]


def _run(given: Given) -> list[str]:
    return ["-m", "harness", "run", given.work.question, "--flow", "crew.yaml", "--json"]


def _resume(given: Given) -> list[str]:
    begun = session_id(given)
    return _run(given) if begun is None else ["-m", "harness", "resume", begun, "--json"]


HARNESS = System(
    "harness",
    "`harness run` and `harness resume` as they come; as many agent runs at once as there are subjects",
    _run,
    _resume,
    prepare=make_project,
)

BARE = System(
    "bare SDK",
    "native subagents in the foreground (CLAUDE_CODE_DISABLE_BACKGROUND_TASKS=1), a session store in "
    'Postgres with session_store_flush="eager"; resumed by the newest session id',
    _peer("bare_sdk", "start"),
    _peer("bare_sdk", "resume"),
    environment={"CLAUDE_CODE_DISABLE_BACKGROUND_TASKS": "1"},
)

SESSIONS = System(
    "bare sessions",
    "an SDK session for each subject, side by side in one process; no lead, no store, no resume",
    _peer("bare_sdk", "sessions"),
    None,
)

DEEPAGENTS = System(
    "deepagents",
    'create_deep_agent with AsyncPostgresSaver and durability="sync"; resumed by the same thread id',
    _peer("deep_agents", "start"),
    _peer("deep_agents", "resume"),
    interpreter=install.LANGGRAPH.python,
)

CREWAI = System(
    "CrewAI",
    "a crew whose lead may delegate to its coworker",
    _peer("crew_ai", "start"),
    None,
    interpreter=install.CREWAI.python,
)

SYSTEMS = (HARNESS, BARE, DEEPAGENTS, CREWAI)
