"""How long it takes from the start of a resume until the model is asked.

A session was cut off after a tool's result. `harness resume` and a bare SDK session get its transcript, as
`benchmarks.resume_time` makes it; a deep agent's thread holds the same conversation, lived through step by
step, with a checkpoint for each. Each is a new process, and nothing is ever compacted or summarised.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from benchmarks.comparison import install
from benchmarks.comparison.figures import Finding, Part, Series
from benchmarks.comparison.systems import BARE, CREWAI, CREWAI_CANNOT, DEEPAGENTS, HARNESS
from benchmarks.long_session import AGENT, real_run
from benchmarks.places import ROOT
from benchmarks.resume_time import ENTRIES, Resumes, resumable
from harness.bundles.load import load_bundles
from harness.settings import Settings
from tests.kit.databases import fresh_database
from tests.kit.homes import new_home
from tests.kit.processes import clean_env, kill_tree, until_sync
from tests.kit.script import Reply, Request
from tests.kit.scripted_api import ScriptedApi

REPEATS = 5
PATIENCE_S = 1800.0
FIGURE = "until the model is asked"
SYSTEMS = (HARNESS, BARE, DEEPAGENTS)


def measure(short: bool, seed: int, dsn: str) -> Finding:
    """Resume each, in turn, for each length of the transcript; nothing is left to chance."""
    with new_home() as home, fresh_database(dsn, "template1") as database:
        settings = Settings(home=home, dsn=SecretStr(database))
        return asyncio.run(_measure(settings, dsn, short))


async def _measure(settings: Settings, dsn: str, short: bool) -> Finding:
    series: list[Series] = []
    notes: list[str] = []
    real = real_run(settings)
    for entries in ENTRIES[:1] if short else ENTRIES:
        samples: dict[str, list[float]] = {system.name: [] for system in SYSTEMS}
        async with resumable(settings, real, entries) as resumes:
            # Not counted: it shows what the model is told, which the deep agent has to have lived through.
            await resumes.own()
            with fresh_database(dsn, "template1") as threads, _thread(resumes, threads) as thread:
                await resumes.bare()  # as the harness, these have been resumed once before they are counted
                await asyncio.to_thread(thread.resume)
                for _ in range(1 if short else REPEATS):
                    samples[HARNESS.name].append(sum(await resumes.own()))
                    samples[BARE.name].append(await resumes.bare())
                    samples[DEEPAGENTS.name].append(await asyncio.to_thread(thread.resume))
            notes.append(_size(resumes))
        series += [
            Series(system=name, figure=FIGURE, unit="s", samples=tuple(taken), at=entries)
            for name, taken in samples.items()
        ]
    return Finding(
        part="resuming",
        title="Resume time",
        about="From the start of a new process to the arrival of its first model request.",
        systems=tuple(system.name for system in SYSTEMS),
        series=tuple(series),
        axis="entries of the transcript",
        notes=(
            *notes,
            "Here the bare SDK session holds its transcript in memory, and the time to fill it is taken off.",
            "Here deepagents is create_deep_agent with AsyncPostgresSaver.from_conn_string and no "
            "middleware, messages in a DeltaChannel as it comes; its model's profile is set so that nothing "
            "is summarised, as in the other two.",
            f"{CREWAI.name} is left out: {CREWAI_CANNOT['resume']}.",
        ),
    )


def _size(resumes: Resumes) -> str:
    session = resumes.session
    megabytes = resumes.file.stat().st_size / 1e6
    return (
        f"{session.entries:,} entries are {megabytes:.2g} MB, {session.turns:,} calls of a tool, "
        f"and {session.head:,} events of the harness."
    )


class Thread:
    """A deep agent's thread that holds the session's conversation; it is resumed without ever going on."""

    def __init__(self, api: ScriptedApi, folder: Path, given: dict[str, str], turns: int) -> None:
        self._api = api
        self._env = clean_env(folder, api.base_url, PYTHONPATH=str(ROOT), PYTHONUNBUFFERED="1")
        self._given = given
        self._turns = turns

    def fill(self) -> None:
        """Live through the conversation."""
        subprocess.run(self._command("fill"), env=self._env, stdin=subprocess.DEVNULL, check=True)

    def resume(self) -> float:
        """Resume it, and kill it as soon as the model has been asked; the seconds until then."""
        self._api.calls.all.clear()
        began = time.time()
        process = subprocess.Popen(self._command("resume"), env=self._env, stdin=subprocess.DEVNULL)
        try:
            asked = until_sync(
                lambda: process.poll() is not None or self._api.calls.messages(),
                "a deep agent asks the model",
                timeout_s=PATIENCE_S,
            )
            if asked is True:
                raise RuntimeError(f"A deep agent ended with {process.returncode}; its error is on stderr.")
        finally:
            kill_tree(process.pid)
            process.wait()
        (call,) = self._api.calls.messages()
        if (turns := len(call.request.tool_uses())) != self._turns:
            raise RuntimeError(f"The model was told {turns} turns of {self._turns} by a deep agent.")
        return call.received_at - began

    def _command(self, how: str) -> list[str]:
        program = "benchmarks.comparison.peers.deep_resume"
        return [str(install.LANGGRAPH.python()), "-m", program, how, json.dumps(self._given)]


@contextmanager
def _thread(resumes: Resumes, dsn: str) -> Iterator[Thread]:
    """A thread with the conversation that the harness told the model, but for what the resume adds to it."""
    home, told = resumes.settings.home, resumes.model.conversation
    last = max(number for number, message in enumerate(told) if _results(message))
    messages = home / "conversation.json"
    messages.write_text(json.dumps([*told[:last], {**told[last], "content": _results(told[last])}]))
    given = {"dsn": dsn, "messages": str(messages), "system_prompt": load_bundles(None)[AGENT].prompt}
    with ScriptedApi(_silent) as api:
        thread = Thread(api, home / "deep", given, resumes.session.turns)
        thread.fill()
        yield thread


def _results(message: dict[str, Any]) -> list[dict[str, Any]]:
    return [block for block in message["content"] if block["type"] == "tool_result"]


def _silent(request: Request) -> Reply:
    return Reply(fault="hang")


PART = Part("resuming", measure)
