"""What an agent run costs beyond a bare SDK session that does the same: CPU of Python and of its CLI.

Both make 20 model calls of 500 stream events, with a tool call after each but the last, against the same
played model in a process of its own. The bare session has an in-process tool, no hooks and no store; the
agent run is one session of the flow `single` through the library, with journal, mirror, hooks and gateway.
Python's start and imports, and the opening of the store, are left out of both.
"""

from __future__ import annotations

import asyncio
import json
import resource
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from claude_agent_sdk import ClaudeAgentOptions, ClaudeSDKClient, ResultMessage, create_sdk_mcp_server, tool
from pydantic import BaseModel

from benchmarks.places import output_of, running_store
from benchmarks.played import LOOK
from benchmarks.rows import Row, spread
from harness import Harness
from harness.bundles.bundle import Bundle
from harness.tools import Tool, ToolContext, Toolset
from tests.kit.processes import clean_env
from tests.kit.scripted_api import ScriptedProcess, scripted_process

TARGET_RATIO = 1.15
CALLS = 20
EVENTS = 500
ANSWER = "What there is to see at this place. " * 30
PROMPT = "You look around."
MODEL = "claude-sonnet-4-5"

Kind = Literal["bare", "harness"]


@dataclass(frozen=True)
class Used:
    """CPU seconds, user and system, of this Python process and of its children that have ended."""

    python: float
    cli: float

    @property
    def total(self) -> float:
        return self.python + self.cli

    @classmethod
    def so_far(cls) -> Used:
        own, below = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
        return cls(own.ru_utime + own.ru_stime, below.ru_utime + below.ru_stime)

    def since(self, before: Used) -> Used:
        return Used(self.python - before.python, self.cli - before.cli)


def measure(short: bool) -> list[Row]:
    bare: list[Used] = []
    mine: list[Used] = []
    given = {"calls": CALLS, "events": EVENTS}
    with (
        running_store() as home,
        scripted_process("benchmarks.played:looking", home / "upstream" / "calls.jsonl", given=given) as api,
    ):
        for number in range(2 if short else 10):
            pair: list[tuple[Kind, list[Used]]] = [("bare", bare), ("harness", mine)]
            for kind, into in pair if number % 2 else reversed(pair):
                into.append(_run(kind, home, api))
    ratio = spread([run.total for run in mine])[1] / spread([run.total for run in bare])[1]
    return [
        _row("bare SDK session", bare),
        _row(
            "agent run of the harness",
            mine,
            target=TARGET_RATIO * spread([run.total for run in bare])[1],
            ratio=ratio,
        ),
    ]


def _row(what: str, runs: list[Used], *, target: float | None = None, ratio: float | None = None) -> Row:
    python, cli = (spread([getattr(run, part) for run in runs])[1] for part in ("python", "cli"))
    note = f"CPU: Python {python:.2f} s, CLI {cli:.2f} s"
    return Row.of(
        "agent_run_cpu", what, [run.total for run in runs], "s", target=target, ratio=ratio, note=note
    )


def _run(kind: Kind, home: Path, api: ScriptedProcess) -> Used:
    before = len(api.calls().completed())
    env = clean_env(home / kind, api.base_url, HARNESS_HOME=str(home), CLAUDE_CODE_MAX_RETRIES="1")
    env["CLAUDE_AGENT_SDK_DISABLE_BUILTIN_AGENTS"] = "1"
    folder = home / kind / "work"
    folder.mkdir(exist_ok=True)
    (folder / "notes.md").write_text("# Notes\n\nThere is a place.\n")
    command = ["-m", "benchmarks.agent_run_cpu", kind, str(folder)]
    used = Used(**json.loads(output_of(*command, env=env, timeout_s=120)))
    if (made := len(api.calls().completed()) - before) != CALLS:
        raise RuntimeError(f"The {kind} run made {made} model calls instead of {CALLS}.")
    return used


async def _bare(folder: str) -> Used:
    @tool("look", "Look around at a place.", {"at": str})
    async def look(given: dict[str, Any]) -> dict[str, Any]:
        return {"content": [{"type": "text", "text": ANSWER}]}

    options = ClaudeAgentOptions(
        system_prompt=PROMPT,
        model=MODEL,
        tools=[],
        mcp_servers={"desk": create_sdk_mcp_server("desk", tools=[look])},
        allowed_tools=[LOOK],
        strict_mcp_config=True,
        permission_mode="dontAsk",
        setting_sources=[],
        skills=[],
        cwd=folder,
    )
    before = Used.so_far()
    async with ClaudeSDKClient(options) as client:
        await client.query("What is there to see?")
        async for message in client.receive_response():
            if isinstance(message, ResultMessage) and message.is_error:
                raise RuntimeError(f"The bare session failed: {message.result}")
    return Used.so_far().since(before)


class Place(BaseModel):
    """The input of `look`."""

    at: str


async def _look(context: ToolContext, given: Place) -> str:
    return ANSWER


DESK = Toolset("desk", (Tool("look", "Look around at a place.", Place, _look, "read_only"),))


async def _harness(folder: str) -> Used:
    bundle = Bundle.define(
        name="analyst", description="Looks around.", prompt=PROMPT, toolsets=[DESK], model=MODEL
    )
    async with Harness(bundles=[bundle]) as harness:
        await harness.database()
        before = Used.so_far()
        session = await harness.start("What is there to see?", flow="single", sources=[folder])
        result = await session.result()
        if result.status != "done":
            raise RuntimeError(f"The agent run ended as {result.status}: {result.problem}")
        return Used.so_far().since(before)


if __name__ == "__main__":
    work = {"bare": _bare, "harness": _harness}[sys.argv[1]]
    print(json.dumps(asdict(asyncio.run(work(sys.argv[2])))))
