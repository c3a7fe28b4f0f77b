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
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager
from itertools import pairwise
from pathlib import Path

from benchmarks.long_session import AGENT, LongSession, cut_off, pattern_of, real_run
from benchmarks.places import output_of, running_store
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
    rows: list[Row] = []
    with running_store() as home:
        real = real_run(home)
        for entries in ENTRIES[:2] if short else ENTRIES:
            rows += asyncio.run(_measure(home, real, entries, 2 if short else 7))
    return rows


async def _measure(home: Path, real: str, entries: int, times: int) -> list[Row]:
    async with open_store(Settings(home=home)) as database:
        session = await cut_off(home, await pattern_of(database, real), entries)
        stored = await read_transcript(database, session.id, session.claude_session_id)
        file = home / f"{entries}.jsonl"
        file.write_text("".join(json.dumps(entry) + "\n" for entry in stored))
        with ScriptedApi(model := Model(home)) as api:
            resumes = Resumes(home, database, session, file, model, api)
            for number in range(times):
                for resume in (resumes.own, resumes.bare) if number % 2 else (resumes.bare, resumes.own):
                    await resume()
                await resumes.alone()
    return resumes.rows()


class Model:
    """The played model: it has nothing more to do, and notes what is there when it is asked."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self.turns = 0
        self.launched: list[float] = []
        """When the launcher's script was written, and when it ran."""

    def __call__(self, request: Request) -> Reply:
        if not request.is_auxiliary:
            self.turns = len(request.tool_uses())
            files = [path for name in ("claude", "pid") for path in self._home.glob(f"sessions/*/*/{name}")]
            self.launched = [path.stat().st_mtime for path in files]
        return Reply([text("That is all.")])


class Resumes:
    """Resumes of one session, again and again, and the seconds each took."""

    def __init__(
        self, home: Path, database: Database, session: LongSession, file: Path, model: Model, api: ScriptedApi
    ) -> None:
        self._home = home
        self._database = database
        self._session = session
        self._file = file
        self._model = model
        self._api = api
        self._own: list[float] = []
        self._bare: list[float] = []
        self._steps: list[list[float]] = []
        self._parts: dict[str, list[float]] = {}

    async def own(self) -> None:
        """Resume it with the harness."""
        env = clean_env(self._home / "user", self._api.base_url, HARNESS_HOME=str(self._home))
        began = time.time()
        command = ("-m", "harness", "resume", self._session.id, "--json")
        printed = await asyncio.to_thread(output_of, *command, env=env, timeout_s=300)
        asked = self._asked()
        if (status := json.loads(printed.splitlines()[-1])["status"]) != "done":
            raise RuntimeError(f"The resumed session ended as {status}.")
        events = await read_events(self._database, self._session.id, self._session.head)
        first = {type(event.payload): event.recorded_at.timestamp() for event in reversed(events)}
        reached = [
            began,
            first[ev.SessionResumed],
            first[ev.AgentRunStarted],
            *self._model.launched,
            first[ev.CliStarted],
            first[ev.ModelRequested],
            asked,
        ]
        self._own.append(asked - began)
        self._steps.append([after - before for before, after in pairwise(reached)])
        await self._session.rewind(self._database)

    async def bare(self) -> None:
        """Resume it with nothing but the SDK."""
        bundle, folder = load_bundles(None)[AGENT], self._home / "bare"
        env = clean_env(folder, self._api.base_url, CLAUDE_CODE_MAX_RETRIES="1")
        env["CLAUDE_AGENT_SDK_DISABLE_BUILTIN_AGENTS"] = "1"
        given = {
            "entries": str(self._file),
            "session_id": self._session.claude_session_id,
            "folder": str(folder),
            "prompt": render("resume", None),
            "system_prompt": bundle.prompt,
            "model": Settings().models.named(bundle.model),
        }
        began = time.time()
        command = ("-m", "benchmarks.bare_resume", json.dumps(given))
        filling_s = float(await asyncio.to_thread(output_of, *command, env=env, timeout_s=300))
        self._bare.append(self._asked() - began - filling_s)

    async def alone(self) -> None:
        """Call the harness's own parts one by one."""
        env = clean_env(self._home / "user", self._api.base_url, HARNESS_HOME=str(self._home))
        id, claude_session_id = self._session.id, self._session.claude_session_id
        began = time.time()
        ready = float(await asyncio.to_thread(output_of, "-c", START, env=env, timeout_s=60))
        self._parts.setdefault("start and imports", []).append(ready - began)
        async with AsyncExitStack() as stack:
            with self._timed("store opened"):
                await stack.enter_async_context(open_store(Settings(home=self._home)))
        with self._timed("journal folded"):
            await load_state(self._database, id)
        with self._timed("transcript read"):
            entries = await read_transcript(self._database, id, claude_session_id)
        with self._timed("view made"):
            view_for_cli(entries)

    def rows(self) -> list[Row]:
        what = f"{self._session.entries:,} entries"
        # Of each pair, which met the same machine.
        ratio = spread([own / bare for own, bare in zip(self._own, self._bare, strict=True)])[1]
        note = f"{self._file.stat().st_size / 1e6:.2g} MB; {self._session.head:,} events"
        return [
            Row.of("resume_time", what, self._own, "s", ratio=ratio, note=note),
            Row.of("resume_time", f"{what}, bare SDK session", self._bare, "s"),
            *(
                Row.of("resume_time", f"{what}: {step}", list(taken), "s", note=self._alone(parts))
                for (step, parts), taken in zip(STEPS.items(), zip(*self._steps, strict=True), strict=True)
            ),
        ]

    def _alone(self, parts: Sequence[str]) -> str:
        return ", ".join(f"{part} {spread(self._parts[part])[1]:.2g} s" for part in parts)

    def _asked(self) -> float:
        """When the newest call for the agent's work arrived, all of its conversation in it."""
        call = self._api.calls.where(lambda request: not request.is_auxiliary)[-1]
        if self._model.turns != self._session.turns:
            raise RuntimeError(f"The model was told {self._model.turns} turns of {self._session.turns}.")
        self._api.calls.all.clear()
        return call.received_at

    @contextmanager
    def _timed(self, part: str) -> Iterator[None]:
        began = time.perf_counter()
        yield
        self._parts.setdefault(part, []).append(time.perf_counter() - began)
