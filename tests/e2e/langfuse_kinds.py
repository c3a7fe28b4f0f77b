"""The kinds of sessions that are looked at in Langfuse: how each is run, and what should be seen of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from tests.checkout import ROOT
from tests.e2e import langfuse_scripts, scripts
from tests.e2e.crew import make_project
from tests.e2e.running import Desk, desk_with_notes
from tests.e2e.test_replay import NOBODY
from tests.e2e.test_traces import told
from tests.kit.langfuse.observation import Observation
from tests.kit.langfuse.traces import above
from tests.kit.langfuse_chat import read
from tests.kit.processes import until_sync
from tests.kit.script import Request
from tests.kit.scripted_api import ScriptedProcess, scripted_process
from tests.offline.test_example_flows import DOCUMENTS
from tests.offline.test_example_flows import QUESTION as ANSWERABLE

QUESTION = "How do they navigate?"
RUN = ("run", QUESTION, "--sources", "notes.md")
EXPEDITION = "tests.e2e.scripts:expedition"
SCRIPTS = "tests.e2e.langfuse_scripts"

Fact = tuple[str, Any, Any]
"""What is looked at, what should be there, and what is."""


class Target(Protocol):
    """Where sessions are exported to, by the variables that say so."""

    def environment(self) -> dict[str, str]: ...


@dataclass(frozen=True)
class Scene:
    """Where a session is run; what is exported goes to `receiver`."""

    desk: Desk
    receiver: Target
    api: ScriptedProcess
    holds: Path

    def run(self, *args: str, code: int = 0) -> str:
        """Run a command to its end, exporting; give the session's id."""
        got, finished = self.desk.run(*args, **self.receiver.environment())
        assert got == code, finished
        return str(finished["session_id"])

    def flow(self, name: str, *, code: int = 0) -> str:
        """Run an example flow."""
        return self.run(*RUN, "--flow", str(ROOT / "examples" / "flows" / name), code=code)

    def killed(self, stage: str, stage_of: Callable[[Request], str], *args: str) -> str:
        """Run a command that is killed with SIGKILL when this stage's call alone is on the wire.

        It exports nothing: a post that the kill cuts off would come back after two minutes only.
        """
        hold = self.holds / f"{stage}.hold"
        hold.touch()
        command = self.desk.start(*args)

        def alone() -> bool:
            open_ = [call.request for call in self.api.calls().messages() if call.outcome == "open"]
            return [stage_of(request) for request in open_] == [stage]

        until_sync(alone, f"only {stage} to be left", timeout_s=60)
        command.kill(clis_too=True)
        hold.unlink()
        assert command.session_id is not None
        return command.session_id


@dataclass(frozen=True)
class Turn:
    """A row of the table of traces: a question and what came of it, the session's report if none is named."""

    question: str = QUESTION
    output: str | None = None


@dataclass(frozen=True)
class Kind:
    """A kind of session. `play` runs it and gives its id.

    `types` are the numbers of its observations by type, of tools of their calls; none where its agent runs
    and calls tell them.
    `lost` is how many calls have no known end. The service `refuses` calls that break
    its rules. With `kept_back` no text leaves. `also` looks at what only this kind has.
    """

    play: Callable[[Scene], str]
    types: Mapping[str, int] = field(default_factory=dict)
    script: str = EXPEDITION
    given: Mapping[str, Any] = field(default_factory=dict)
    turns: Sequence[Turn] = (Turn(),)
    flow: str = "research"
    tags: tuple[str, ...] = ("live",)
    status: str = "done"
    lost: int = 0
    refuses: bool = False
    kept_back: bool = False
    also: Callable[[Sequence[Observation]], Iterable[Fact]] = lambda _: ()

    def scene(self, home: Path, dsn: str, holds: Path, stack: ExitStack, receiver: Target) -> Scene:
        """Set up its played model and a desk, until the stack is closed."""
        takes_holds = self.script.rpartition(":")[2] in ("expedition", "alone", "large", "crew")
        given = {**self.given, **({"holds": str(holds)} if takes_holds else {})}
        played = scripted_process(self.script, home / "calls.jsonl", given=given, refuses=self.refuses)
        api = stack.enter_context(played)
        desk = stack.enter_context(desk_with_notes(home, api.base_url, dsn))
        return Scene(desk, receiver, api, holds)


def _offline(scene: Scene) -> str:
    (scene.desk.home / "docs").mkdir()
    for name, words in DOCUMENTS.items():
        (scene.desk.home / "docs" / name).write_text(words)
    return scene.run("run", ANSWERABLE, "--sources", "docs", "--offline")


def _killed(scene: Scene) -> str:
    return scene.run("resume", scene.killed("answer-tides", scripts.stage_of, *RUN))


def _cut(scene: Scene) -> str:
    alone = (*RUN, "--flow", "single", "--model", "claude-sonnet-5")
    return scene.run("resume", scene.killed("step-0", scripts.stage_alone, *alone))


def _forked(scene: Scene) -> str:
    origin = scene.run(*RUN)
    _, record = told(scene.desk, origin)
    asleep = next(event.seq for event in record.journal if event.payload.kind == "agent_run.suspended")
    return scene.run("resume", origin, "--at", str(asleep))


def _replayed(scene: Scene) -> str:
    recorded = scene.run(*RUN, "--record")
    code, report = scene.desk.run("replay", recorded, **NOBODY, **scene.receiver.environment())
    assert (code, report["same"]) == (0, True), report
    return str(report["session_id"])


def _gated(scene: Scene) -> str:
    make_project(scene.desk.home, "a")
    flow = "name: gated\nflow: {pattern: agent, agent: a, gate: {verifier: verifier}}\n"
    (scene.desk.home / "gated.yaml").write_text(flow)
    return scene.run(*RUN, "--flow", "gated.yaml")


def _large(scene: Scene) -> str:
    (scene.holds / langfuse_scripts.BUSY).touch()
    parts = [
        f"## {word} {n}\n\n" + f"About {word}. " * 100 for word in langfuse_scripts.WORDS for n in range(8)
    ]
    (scene.desk.home / "notes.md").write_text("# Notes\n\n" + "\n\n".join(parts) + "\n")
    session_id = scene.run(*RUN)
    scene.run("ask", session_id, langfuse_scripts.FOLLOW_UP)
    # A score is no span, and the receiver takes only these.
    code, _ = scene.desk.run("score", session_id, "0.9")
    assert code == 0
    return session_id


def _metadata(scene: Scene) -> str:
    (scene.desk.home / "harness.toml").write_text("tracing.capture = 'metadata'\n")
    return scene.run(*RUN, "--flow", "single")


def _under_the_lead(rows: Sequence[Observation]) -> Iterable[Fact]:
    """Whoever was ordered hangs under who has ordered it, and where a fork comes from can be filtered by."""
    for row in rows:
        if row.name == "invoke_agent researcher":
            names = [each.name for each in above(row, rows)]
            yield "the lead above a researcher", True, "invoke_agent lead" in names
    (root,) = [row for row in rows if row.is_root]
    yield "the origin in the metadata", True, "forked_from.session_id" in root.metadata


def _lost_router(rows: Sequence[Observation]) -> Iterable[Fact]:
    routes = sorted((row for row in rows if row.name.startswith("route ")), key=lambda row: row.start_ns)
    yield "the levels of the routes", ["DEFAULT", "ERROR"], [row.level for row in routes]
    yield (
        "the first decision",
        True,
        all(f'"{name}"' in (routes[0].output or "") for name in ("to", "reason", "input")),
    )
    reason = routes[-1].status_message or ""
    yield "why the last one failed", True, "decision" in reason or "JSON" in reason


def _judged(rows: Sequence[Observation]) -> Iterable[Fact]:
    (gate,) = [row for row in rows if row.type == "EVALUATOR"]
    yield "the verdict", "pass", gate.output


def _refusals(rows: Sequence[Observation]) -> Iterable[Fact]:
    tools = [row for row in rows if row.type == "TOOL"]
    yield "levels of tools", {"DEFAULT": 6, "ERROR": 1}, _count(row.level for row in tools)
    first = min((row for row in rows if row.type == "GENERATION"), key=lambda row: row.start_ns)
    yield "the refusal in the metadata", True, any("529" in value for value in first.metadata.values())
    for row in rows:
        if row.type == "GENERATION":
            yield "who speaks first in a call", ["system"], read(row.input, None).roles[:1]


def _refused(rows: Sequence[Observation]) -> Iterable[Fact]:
    calls = [row for row in rows if row.type == "GENERATION"]
    yield "levels of calls", {"ERROR"}, {row.level for row in calls}
    reasons = {row.status_message or "" for row in calls}
    yield "why they failed", True, all(langfuse_scripts.TOO_LONG in reason for reason in reasons)


def _not_invented(rows: Sequence[Observation]) -> Iterable[Fact]:
    cut = [row for row in rows if row.type == "GENERATION" and row.level == "WARNING"]
    yield "costs of calls that were cut off", [0.0], [row.cost_usd for row in cut]
    yield "tokens of calls that were cut off", [{}], [dict(row.usage) for row in cut]


def _no_words(rows: Sequence[Observation]) -> Iterable[Fact]:
    shown = {text for row in rows for text in (row.input, row.output) if text is not None}
    yield "texts", set(), shown
    yield (
        "rows that tell the sizes",
        True,
        all(
            any(name in row.metadata for name in ("input_chars", "output_chars"))
            for row in rows
            if row.type != "SPAN"
        ),
    )


def _count(values: Iterable[str]) -> dict[str, int]:
    found: dict[str, int] = {}
    for value in values:
        found[value] = found.get(value, 0) + 1
    return found


ONE, TWO = {"size": 1}, {"size": 2}
"""How many researchers the lead asks in each of its two rounds."""

KINDS: Mapping[str, Kind] = {
    "off": Kind(_offline, turns=(Turn(ANSWERABLE),), tags=("offline",)),
    "scr": Kind(
        lambda scene: scene.run(*RUN), {"CHAIN": 1, "AGENT": 5, "GENERATION": 11, "TOOL": 10}, given=TWO
    ),
    "kill": Kind(
        _killed,
        # The lead and one researcher begin again, and so does the call that was cut off.
        {"CHAIN": 1, "AGENT": 5, "GENERATION": 8, "TOOL": 6, "SPAN": 1},
        given=ONE,
        lost=1,
        also=_not_invented,
    ),
    "fork": Kind(
        _forked,
        # The lead is there twice: asleep, as it was forked, and awake.
        {"CHAIN": 1, "AGENT": 4, "GENERATION": 6, "TOOL": 6, "SPAN": 1},
        given=ONE,
        tags=("live", "fork"),
        also=_under_the_lead,
    ),
    "replay": Kind(
        _replayed,
        {"CHAIN": 1, "AGENT": 3, "GENERATION": 7, "TOOL": 6},
        given=ONE,
        tags=("replay",),
    ),
    "sup": Kind(
        lambda scene: scene.flow("supervisor.yaml", code=1),
        {"CHAIN": 3, "AGENT": 2, "GENERATION": 5, "TOOL": 1},
        f"{SCRIPTS}:lost",
        flow="supervisor",
        status="failed",
        also=_lost_router,
    ),
    "gate": Kind(
        lambda scene: scene.flow("doubted.yaml"),
        {"CHAIN": 2, "AGENT": 3, "GENERATION": 3, "TOOL": 3},
        f"{SCRIPTS}:found",
        flow="doubted",
    ),
    "gated": Kind(
        _gated,
        {"CHAIN": 1, "AGENT": 2, "EVALUATOR": 1, "GENERATION": 3, "TOOL": 3},
        "tests.e2e.crew:crew",
        flow="gated",
        also=_judged,
    ),
    "big": Kind(
        _large,
        {"CHAIN": 2, "AGENT": 3, "GENERATION": 6, "TOOL": 7},
        f"{SCRIPTS}:large",
        turns=(Turn(output=langfuse_scripts.REPORT), Turn(langfuse_scripts.FOLLOW_UP)),
        also=_refusals,
    ),
    "err": Kind(
        lambda scene: scene.run(*RUN, "--flow", "single", code=1),
        {"CHAIN": 1, "AGENT": 1, "GENERATION": 1},
        f"{SCRIPTS}:too_long",
        flow="single",
        status="failed",
        also=_refused,
    ),
    "cut": Kind(
        _cut,
        # Each process asks once in a way that this older model does not know, and is refused.
        {"CHAIN": 1, "AGENT": 2, "GENERATION": 6, "TOOL": 3, "SPAN": 1},
        "tests.e2e.scripts:alone",
        flow="single",
        lost=1,
        refuses=True,
        also=_not_invented,
    ),
    "meta": Kind(
        _metadata,
        {"CHAIN": 1, "AGENT": 1, "GENERATION": 3, "TOOL": 3},
        "tests.e2e.scripts:alone",
        flow="single",
        kept_back=True,
        also=_no_words,
    ),
}
