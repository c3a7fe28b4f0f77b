"""Who does the work: for each system its program, its environment and its configuration, said in a line."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
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
    "`harness run` and `harness resume`; limits.max_concurrent and limits.max_delegations as high as the "
    "number of subjects asks for",
    _run,
    _resume,
    prepare=make_project,
)

BARE = System(
    "bare SDK",
    "native subagents in the foreground (CLAUDE_CODE_DISABLE_BACKGROUND_TASKS=1), as many at once as "
    "there are subjects (CLAUDE_CODE_MAX_CONCURRENT_SUBAGENTS and CLAUDE_CODE_MAX_TOOL_USE_CONCURRENCY=64), "
    'a session store in Postgres with session_store_flush="eager"; resumed by the newest session id',
    _peer("bare_sdk", "start"),
    _peer("bare_sdk", "resume"),
    environment={
        "CLAUDE_CODE_DISABLE_BACKGROUND_TASKS": "1",
        "CLAUDE_CODE_MAX_CONCURRENT_SUBAGENTS": "64",
        "CLAUDE_CODE_MAX_TOOL_USE_CONCURRENCY": "64",
    },
)

SESSIONS = System(
    "bare sessions",
    "an SDK session for each subject, side by side in one process; no lead, no store, no resume",
    _peer("bare_sdk", "sessions"),
    None,
)

DEEPAGENTS = System(
    "deepagents",
    "create_deep_agent with a declared subagent, as it comes (so replies are not streamed); "
    'AsyncPostgresSaver on a pool, durability="sync"; ChatAnthropic(max_retries=10, timeout=30); '
    'ModelRetryMiddleware(max_retries=3), for the lead with on_failure="error"; '
    "ToolRetryMiddleware(max_retries=2) on TimeoutError and ConnectionError, ModelCallLimitMiddleware for a "
    "researcher, ToolErrorMiddleware for the lead; "
    "resumed by ainvoke(None) on the same thread",
    _peer("deep_agents", "start"),
    _peer("deep_agents", "resume"),
    interpreter=install.LANGGRAPH.python,
)

CREWAI = System(
    "CrewAI",
    "a sequential crew of one task, whose lead has allow_delegation=True and as many coworkers as there "
    "are subjects; no memory, no telemetry, no traces; LLM(max_retries=10, timeout=30); "
    "a CheckpointConfig with its default events, and from_checkpoint of the newest (with a checkpoint at "
    "every event, tried at three moments, no call fewer was made after a crash)",
    _peer("crew_ai", "start"),
    _peer("crew_ai", "resume"),
    interpreter=install.CREWAI.python,
    environment={
        "CREWAI_DISABLE_TELEMETRY": "true",
        "CREWAI_DISABLE_VERSION_CHECK": "true",
        "CREWAI_TRACING_ENABLED": "false",
        "OTEL_SDK_DISABLED": "true",
    },
)

CREWAI_CANNOT: Mapping[str, str] = {
    "more than 8": "a lead's tool calls run in at most 8 threads, so more delegations wait for one another",
    "resume": (
        "what a lead delegates is no task of the crew, and is done again after a crash whatever events its "
        "checkpoints are written at, so no resume goes on within a conversation"
    ),
    "checkpoint of a step": (
        "it writes its whole state into a file or SQLite, and none into Postgres; a model call's end, "
        "which may be chosen for it, writes nothing in this version, for the event's source is no agent and "
        "no crew"
    ),
}
"""What CrewAI cannot do, and why, as its source and its behaviour in the pinned version have it."""


def configurations(systems: Iterable[System]) -> dict[str, str]:
    """How each of them is set up, by name."""
    return {system.name: system.configuration for system in systems}


SYSTEMS = (HARNESS, BARE, DEEPAGENTS, CREWAI)
