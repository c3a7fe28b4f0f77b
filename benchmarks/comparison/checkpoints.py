"""What a checkpoint costs, and how that grows: seconds and bytes in Postgres of steps that say 2 kB each.

A step of the harness is what an agent run commits for a model call and a tool call: four events with their
spans, the ledger's two entries, the answer that is kept for a resume, and the transcript's entries. That of
the bare SDK is the same entries in a session store. LangGraph's is one node that appends a message.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import math
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, cast

from claude_agent_sdk import SessionKey, SessionStoreEntry
from pydantic import SecretStr

from benchmarks.comparison import install
from benchmarks.comparison.figures import Cannot, Finding, Part, Series
from benchmarks.comparison.meter import Meter, Taken, message
from benchmarks.comparison.peers.pg_store import PgStore
from benchmarks.comparison.systems import CREWAI, CREWAI_CANNOT, PEERS
from benchmarks.comparison.work import MODEL
from benchmarks.places import ROOT, session_in
from benchmarks.rows import spread
from harness import events as ev
from harness.gateway.charge import Charge
from harness.pricing import PRICES, cost_usd
from harness.records import Usage, derived_id
from harness.settings import Settings
from harness.store.journal import Journal, KeptResponse
from harness.store.open import open_store
from harness.store.transcripts import TranscriptStore
from harness.tracing.chat import Answered, Asked
from harness.tracing.describe import Shown
from tests.kit.databases import fresh_database
from tests.kit.processes import clean_env

MARKS = (10, 100, 1000)
REPEATS = 5
WINDOW = 50
"""Of so many steps up to a mark, or of the latter half of them all, the middle one is taken."""

LOOK = "mcp__desk__look"
RESULT = "Seen."


def measure(short: bool, seed: int, dsn: str) -> Finding:
    marks = MARKS[:2] if short else MARKS
    taken: dict[str, list[Taken]] = {name: [] for name in _TAKERS}
    for _ in range(1 if short else REPEATS):
        for name, take in _TAKERS.items():
            with fresh_database(dsn, "template1") as database:
                began = time.monotonic()
                taken[name].append(take(database, marks))
            print(f"{name}: {marks[-1]} steps in {time.monotonic() - began:.1f} s", file=sys.stderr)
    return Finding(
        part="checkpoints",
        title="What a checkpoint costs",
        about="Steps that each say 2 kB, one after the other, each committed before the next one begins.",
        systems=(*_TAKERS, CREWAI.name),
        series=tuple(each for name, runs in taken.items() for each in series_of(name, runs, marks)),
        configurations={
            "bare SDK": "the same entries appended to its session store in Postgres, one statement each",
        },
        cannot=(Cannot(system=CREWAI.name, figure=_STEP, reason=CREWAI_CANNOT["checkpoint of a step"]),),
        axis="steps",
        notes=(
            "A step of the harness is a model call and a tool call: six commits; LangGraph's is one node.",
            "LangGraph: AsyncPostgresSaver on a pool, durability='sync', MessagesState; with DeltaChannel as "
            "its documentation has it, a snapshot at every 100th step.",
            "Held are tables, indexes and TOAST after a vacuum; logged is what the server wrote ahead.",
            f"A step's time is the median of up to {WINDOW} steps before the mark. Growth is the exponent "
            f"between {marks[-2]} and {marks[-1]} steps: of a step's time and CPU 0 is one that does not "
            "grow, of bytes 1.",
        ),
        seed=seed,
    )


_STEP = "time of a step"


def series_of(system: str, runs: Sequence[Taken], marks: Sequence[int]) -> Iterable[Series]:
    """Give what came out at each mark, and how it grew between the last two."""

    def of(figure: str, unit: str, samples: Iterable[float], at: float | str = "") -> Series:
        return Series(system=system, figure=figure, unit=unit, samples=tuple(samples), at=at)

    def growth(of: Callable[[Taken, int], float]) -> list[float]:
        first, last = marks[-2:]
        return [math.log(of(run, last) / of(run, first)) / math.log(last / first) for run in runs]

    for mark in marks:
        yield of(_STEP, "ms", (1000 * _step_s(run, mark) for run in runs), mark)
        yield of("CPU of a step in the program", "ms", (1000 * _cpu_s(run, mark) for run in runs), mark)
        yield of("time of all steps", "s", (sum(run.seconds[:mark]) for run in runs), mark)
        yield of("held for each step", "kB", (_held(run, mark) / mark / 1000 for run in runs), mark)
        yield of("logged for each step", "kB", (_logged(run, mark) / mark / 1000 for run in runs), mark)
    yield of("growth of a step's time", "", growth(_step_s))
    yield of("growth of a step's CPU", "", growth(_cpu_s))
    yield of("growth of bytes held", "", growth(_held))
    yield of("growth of bytes logged", "", growth(_logged))


def _step_s(run: Taken, mark: int) -> float:
    return _middle(run.seconds, mark)


def _cpu_s(run: Taken, mark: int) -> float:
    return _middle(run.cpu, mark)


def _middle(samples: Sequence[float], mark: int) -> float:
    return spread(samples[mark - min(WINDOW, mark // 2) : mark])[1]


def _held(run: Taken, mark: int) -> float:
    return next(look.held for look in run.looks if look.step == mark)


def _logged(run: Taken, mark: int) -> float:
    return next(look.logged for look in run.looks if look.step == mark)


def harness_steps(dsn: str, marks: Sequence[int]) -> Taken:
    """Take the steps of an agent run of the harness, until the last mark."""

    async def take() -> Taken:
        with tempfile.TemporaryDirectory() as home:
            settings = Settings(home=Path(home), dsn=SecretStr(dsn))
            async with open_store(settings) as database, session_in(database, 1) as (journal, (run_id,)):
                started = ev.AgentRunStarted(
                    attempt=1,
                    entry="fresh",
                    recovered=False,
                    claude_session_id=str(uuid.uuid4()),
                    folder=home,
                )
                await journal.append(started, run_id=run_id)
                store = TranscriptStore(database, scope=journal.session_id, lease=journal.lease)

                async def append(entries: list[SessionStoreEntry]) -> None:
                    key: SessionKey = {
                        "project_key": journal.session_id,
                        "session_id": started.claude_session_id,
                    }
                    await store.append(key, entries)

                async def step(number: int) -> None:
                    await agent_step(journal, run_id, append, number)

                return await _steps(dsn, marks, step)

    return asyncio.run(take())


def bare_steps(dsn: str, marks: Sequence[int]) -> Taken:
    """Append the same transcript to the session store of the bare SDK."""

    async def take() -> Taken:
        store = await PgStore.open(dsn, "steps")
        key: SessionKey = {"project_key": "steps", "session_id": str(uuid.uuid4())}

        async def step(number: int) -> None:
            await store.append(key, said(number))
            await store.append(key, seen(number))

        try:
            return await _steps(dsn, marks, step)
        finally:
            await store.close()

    return asyncio.run(take())


async def _steps(dsn: str, marks: Sequence[int], step: Callable[[int], Awaitable[None]]) -> Taken:
    async with Meter.on(dsn, marks) as meter:
        for number in range(marks[-1]):
            await step(number)
            await meter.stepped()
    return meter.taken


def _graph(kind: str) -> Callable[[str, Sequence[int]], Taken]:
    def take(dsn: str, marks: Sequence[int]) -> Taken:
        command = [
            str(install.LANGGRAPH.python()),
            "-m",
            f"{PEERS}.graph_checkpoints",
            kind,
            dsn,
            *map(str, marks),
        ]
        with tempfile.TemporaryDirectory() as home:
            env = clean_env(Path(home), "http://127.0.0.1:9", PYTHONPATH=str(ROOT))
            done = subprocess.run(command, env=env, check=True, stdout=subprocess.PIPE, text=True)
        return Taken.read(done.stdout.splitlines()[-1])

    return take


async def agent_step(
    journal: Journal,
    run_id: str,
    append: Callable[[list[SessionStoreEntry]], Awaitable[None]],
    number: int,
) -> None:
    """Commit what an agent run does for a model call and a tool call."""
    request = {"model": MODEL, "max_tokens": 4096}
    call_id = derived_id(run_id, str(number), 0)
    charge = Charge.of(journal.state, request, b"", PRICES)
    assert charge is not None, "somebody pays for a session whose upstream is live"
    usage = Usage(input_tokens=2000, output_tokens=500, model_calls=1, attempts=1)
    cost = cost_usd(MODEL, usage)
    text, tool = _content(number)
    answer = {"id": f"msg_{number}", "role": "assistant", "model": MODEL, "content": [text, tool]}
    await journal.append(
        ev.ModelRequested(call_id=call_id, request_hash=call_id, ordinal=0, auxiliary=False, model=MODEL),
        run_id=run_id,
        shown=Shown(input=Asked({"messages": _conversation(number)})),
        entry=charge.begins,
    )
    await journal.append(
        ev.ModelFinished(
            call_id=call_id,
            auxiliary=False,
            model=MODEL,
            message_id=f"msg_{number}",
            stop_reason="tool_use",
            usage=usage,
            cost_usd=cost,
            first_token_s=0.5,
        ),
        run_id=run_id,
        shown=Shown(output=Answered(answer["content"])),
        keep=KeptResponse(call_id, call_id, "application/json", json.dumps(answer).encode(), answer),
        entry=charge.answered(MODEL, usage, cost),
    )
    await append(said(number))
    await journal.append(
        ev.ToolRequested(
            tool_use_id=tool["id"], tool=LOOK, input=tool["input"], call_id=call_id, replay="read_only"
        ),
        run_id=run_id,
    )
    await journal.append(
        ev.ToolFinished(
            tool_use_id=tool["id"],
            tool=LOOK,
            result_hash=hashlib.sha256(RESULT.encode()).hexdigest(),
            result_chars=len(RESULT),
        ),
        run_id=run_id,
        shown=Shown(input=tool["input"], output=RESULT),
    )
    await append(seen(number))


def said(number: int) -> list[SessionStoreEntry]:
    """Give a transcript's entries of what the model says in a step: one for each block, as the CLI does."""
    return [
        _entry(number, part, "assistant", {"id": f"msg_{number}", "model": MODEL, "content": [block]})
        for part, block in enumerate(_content(number))
    ]


def seen(number: int) -> list[SessionStoreEntry]:
    """Give a transcript's entry of what the tool says to it."""
    return [_entry(number, 2, "user", {"content": [_result(number)]})]


def _entry(number: int, part: int, type: str, message: Mapping[str, Any]) -> SessionStoreEntry:
    entry = {
        "uuid": derived_id("entry", str(number), part),
        "parentUuid": derived_id("entry", str(number if part else number - 1), (part - 1) % 3),
        "type": type,
        "message": {"role": type, **message},
    }
    return cast(SessionStoreEntry, entry)


def _content(number: int) -> list[dict[str, Any]]:
    given = {"subject": "steps", "step": number}
    call = {"type": "tool_use", "id": f"toolu_{number}", "name": LOOK, "input": given}
    return [{"type": "text", "text": message(number)}, call]


def _conversation(number: int) -> list[dict[str, Any]]:
    """What the model is asked with in a step: all that was said and seen before it."""
    return [message for before in range(number) for message in _turn(before)]


@cache
def _turn(number: int) -> tuple[dict[str, Any], ...]:
    return (
        {"role": "assistant", "content": _content(number)},
        {"role": "user", "content": [_result(number)]},
    )


def _result(number: int) -> dict[str, Any]:
    return {"type": "tool_result", "tool_use_id": f"toolu_{number}", "content": RESULT}


_TAKERS: Mapping[str, Callable[[str, Sequence[int]], Taken]] = {
    "harness": harness_steps,
    "LangGraph": _graph("default"),
    "DeltaChannel": _graph("delta"),
    "bare SDK": bare_steps,
}

PART = Part("checkpoints", measure)
