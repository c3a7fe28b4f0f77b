"""How long `harness resume` takes until the model is asked, for short and for long transcripts.

The peer is a bare SDK session that holds the same entries in memory. Both are processes of their own, timed
from their start; the store's server runs already. No transcript was ever compacted: the model gets all of it.

The steps are told by what a resume leaves behind: the times of its events and of the launcher's files. Beside
them stands how long the harness's own parts take when they are called alone.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from benchmarks.long_session import AGENT, LongSession, cut_off, pattern_of, real_run
from benchmarks.places import output_of, running_store, told
from benchmarks.rows import Row, spread
from harness import events as ev
from harness.bundles.load import load_bundles
from harness.prompts import render
from harness.settings import Settings
from harness.store.database import Database
from harness.store.journal import load_state, read_events
from harness.store.open import open_store
from harness.store.transcripts import read_transcript
from harness.transcript import view_for_cli
from tests.kit.processes import clean_env
from tests.kit.script import Reply, Request, text
from tests.kit.scripted_api import ScriptedApi

ENTRIES = (10, 1_000, 10_000)
START = """
import time
from harness.__main__ import cli
from harness.cli.options import Common
cli.get_command(None, "resume")
Common(None, None, None, True).harness()
print(time.time())
"""
"""What `harness resume` does before it opens the store, and the time it is then."""

STEPS = {
    "session taken up": ("start and imports", "store opened", "journal folded"),
    "agent run begins": ("transcript read",),
    "view ready": ("view made",),
    "CLI started": (),
    "CLI connected": (),
    "CLI asks": (),
    "model asked": (),
}
"""What has been reached at the end of each step, and the parts of it that are also called alone."""


def measure(short: bool) -> list[Row]:
    with running_store() as home:
        return asyncio.run(_measure(Settings(home=home), short))


async def _measure(settings: Settings, short: bool) -> list[Row]:
    rows: list[Row] = []
    real = real_run(settings)
    for entries in ENTRIES[:2] if short else ENTRIES:
        async with resumable(settings, real, entries) as resumes:
            own: list[list[float]] = []
            bare: list[float] = []
            parts: list[Mapping[str, float]] = []
            for number in range(2 if short else 7):
                if number % 2:
                    own.append(await resumes.own())
                bare.append(await resumes.bare())
                if not number % 2:
                    own.append(await resumes.own())
                parts.append(await resumes.alone())
            rows += _rows(resumes, own, bare, parts)
    return rows


def _rows(
    resumes: Resumes,
    own: Sequence[Sequence[float]],
    bare: Sequence[float],
    parts: Sequence[Mapping[str, float]],
) -> list[Row]:
    what = f"{resumes.session.entries:,} entries"
    whole = list(map(sum, own))
    # Of each pair, which met the same machine.
    ratio = spread([one / other for one, other in zip(whole, bare, strict=True)])[1]
    note = f"{resumes.file.stat().st_size / 1e6:.2g} MB; {resumes.session.head:,} events"
    rows = [
        Row.of("resume_time", what, whole, "s", ratio=ratio, note=note),
        Row.of("resume_time", f"{what}, bare SDK session", bare, "s"),
    ]
    for (step, names), taken in zip(STEPS.items(), zip(*own, strict=True), strict=True):
        alone = ", ".join(f"{name} {spread([each[name] for each in parts])[1]:.2g} s" for name in names)
        rows.append(Row.of("resume_time", f"{what}: {step}", taken, "s", note=alone))
    return rows


@asynccontextmanager
async def resumable(settings: Settings, real: str, entries: int) -> AsyncIterator[Resumes]:
    """A session of about so many entries, made of a real run, that can be resumed again and again."""
    home = settings.home
    async with open_store(settings) as database:
        session = await cut_off(database, home, await pattern_of(database, real), entries)
        stored = await read_transcript(database, session.id, session.claude_session_id)
        file = home / f"{entries}.jsonl"
        file.write_text("".join(json.dumps(entry) + "\n" for entry in stored))
        with ScriptedApi(model := Model(home)) as api:
            yield Resumes(settings, database, session, file, model, api)


class Model:
    """The played model: it has nothing more to do, and notes what is there when it is asked."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self.conversation: list[dict[str, Any]] = []
        """The messages it was told last for the agent's work."""
        self.turns = 0
        self.launched: list[float] = []
        """When the launcher's script was written, and when it ran."""

    def __call__(self, request: Request) -> Reply:
        if not request.is_auxiliary:
            self.conversation = request.messages
            self.turns = len(request.tool_uses())
            files = [path for name in ("claude", "pid") for path in self._home.glob(f"sessions/*/*/{name}")]
            self.launched = [path.stat().st_mtime for path in files]
        return Reply([text("That is all.")])


@dataclass(frozen=True)
class Resumes:
    """Resumes of one session, and the seconds they take until the model is asked."""

    settings: Settings
    database: Database
    session: LongSession
    file: Path
    """The session's transcript, a line for each entry."""
    model: Model
    api: ScriptedApi

    async def own(self) -> list[float]:
        """Resume it with the harness; the seconds of each of the `STEPS`."""
        env = clean_env(self._home / "user", self.api.base_url, **told(self.settings))
        began = time.time()
        command = ("-m", "harness", "resume", self.session.id, "--json")
        printed = await asyncio.to_thread(output_of, *command, env=env, timeout_s=300)
        asked = self._asked()
        if (status := json.loads(printed.splitlines()[-1])["status"]) != "done":
            raise RuntimeError(f"The resumed session ended as {status}.")
        events = await read_events(self.database, self.session.id, self.session.head)
        first = {type(event.payload): event.recorded_at.timestamp() for event in reversed(events)}
        reached = [
            began,
            first[ev.SessionResumed],
            first[ev.AgentRunStarted],
            *self.model.launched,
            first[ev.CliStarted],
            first[ev.ModelRequested],
            asked,
        ]
        await self.session.rewind(self.database)
        return [after - before for before, after in pairwise(reached)]

    async def bare(self) -> float:
        """Resume it with nothing but the SDK."""
        bundle, folder = load_bundles(None)[AGENT], self._home / "bare"
        env = clean_env(folder, self.api.base_url, CLAUDE_CODE_MAX_RETRIES="1")
        env["CLAUDE_AGENT_SDK_DISABLE_BUILTIN_AGENTS"] = "1"
        given = {
            "entries": str(self.file),
            "session_id": self.session.claude_session_id,
            "folder": str(folder),
            "prompt": render("resume", None),
            "system_prompt": bundle.prompt,
            "model": Settings().models.named(bundle.model),
        }
        began = time.time()
        command = ("-m", "benchmarks.bare_resume", json.dumps(given))
        filling_s = float(await asyncio.to_thread(output_of, *command, env=env, timeout_s=300))
        return self._asked() - began - filling_s

    async def alone(self) -> dict[str, float]:
        """Call the harness's own parts one by one; the seconds of each."""
        env = clean_env(self._home / "user", self.api.base_url, **told(self.settings))
        id, claude_session_id = self.session.id, self.session.claude_session_id
        parts: dict[str, float] = {}
        began = time.time()
        ready = float(await asyncio.to_thread(output_of, "-c", START, env=env, timeout_s=60))
        parts["start and imports"] = ready - began
        async with AsyncExitStack() as stack:
            with _timed(parts, "store opened"):
                await stack.enter_async_context(open_store(self.settings))
        with _timed(parts, "journal folded"):
            await load_state(self.database, id)
        with _timed(parts, "transcript read"):
            entries = await read_transcript(self.database, id, claude_session_id)
        with _timed(parts, "view made"):
            view_for_cli(entries)
        return parts

    @property
    def _home(self) -> Path:
        return self.settings.home

    def _asked(self) -> float:
        """When the newest call for the agent's work arrived, all of its conversation in it."""
        call = self.api.calls.where(lambda request: not request.is_auxiliary)[-1]
        if self.model.turns != self.session.turns:
            raise RuntimeError(f"The model was told {self.model.turns} turns of {self.session.turns}.")
        self.api.calls.all.clear()
        return call.received_at


@contextmanager
def _timed(parts: dict[str, float], part: str) -> Iterator[None]:
    began = time.perf_counter()
    yield
    parts[part] = time.perf_counter() - began
