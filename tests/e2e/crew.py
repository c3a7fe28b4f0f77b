"""A crew of agents for any flow: their bundles, and a played model that answers by who asks and for what.

Each agent answers with what it was told to do: {"note": "a did: <objective>"}. What an agent does besides is
said in its task by name, `!fail:a`: `fail`, `prose`, `bad` (a gate finds fault with it), `help`, `hang`, and
`!hand:a:b` (a hands on to b); `!busy` keeps the verifier from judging. A router sends the task to
each member in turn and finishes with the last good result.
"""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from tests.kit.routing import decides, is_router, members
from tests.kit.script import Reply, Request, Tokens, refused, structured, text, tool_use

SEARCH = "mcp__corpus__search"
NEED_HELP = "mcp__harness__need_help"

_SCHEMAS = '''from pydantic import Field

from harness.records import Record


class Input(Record):
    """A task."""

    objective: str = Field(min_length=1, description="What to do.")
    notes: list[dict] = Field(default_factory=list, description="What others did.")
    note: str = Field(default="", description="What the one before did.")


class Output(Record):
    """What was done."""

    note: str = Field(min_length=3, description="What was done.")
    handoff_to: str | None = Field(default=None, description="Who goes on.")
'''

_VERIFIER = '''from pydantic import Field

from harness.records import Record


class Input(Record):
    """What to judge."""

    task: dict
    output: dict


class Output(Record):
    """The verdict."""

    verdict: str = Field(description="pass, fix or abstain")
    problem: str = ""
'''


def make_project(folder: Path, names: Iterable[str] = "abcdef") -> Path:
    """Write the crew's bundles into a project folder: one for each name, a verifier and a writer of prose."""
    for name in names:
        _bundle(folder, name, _SCHEMAS, "tools: [corpus]")
    _bundle(folder, "verifier", _VERIFIER, "")
    _bundle(folder, "scribe", None, "output: markdown")
    (folder / "harness.toml").write_text("")
    return folder


def _bundle(folder: Path, name: str, schemas: str | None, front: str) -> None:
    place = folder / "subagents" / name
    place.mkdir(parents=True)
    lines = ["---", f"name: {name}", f"description: Does what {name} does.", front, "---", f"I AM {name}."]
    (place / "AGENT.md").write_text("\n".join(line for line in lines if line) + "\n")
    (place / "schemas.py").write_text(schemas or _PROSE)


_PROSE = '''from harness.records import Record


class Input(Record):
    """What to write up."""

    question: str
    note: str = ""
    results: list[dict] = []
'''


def crew(request: Request, holds: str = "", slow: bool = False) -> Reply:
    """Play whoever asks. A file `<name>.hold` in the folder `holds` makes an agent wait for `<name>.go`."""
    reply = _router(request) if is_router(request) else _member(request)
    if slow:
        reply = replace(reply, first_token_s=0.3, between_blocks_s=0.2)
    name = who(request)
    if holds and (Path(holds) / f"{name}.hold").exists():
        reply = replace(reply, hold=Path(holds) / f"{name}.go")
    return reply


def who(request: Request) -> str:
    """The name of the agent that asks, from its system prompt; "router" for one that routes."""
    if is_router(request):
        return "router"
    found = re.search(r"I AM (\w+)\.", request.system_text)
    return found[1] if found else ""


def task_of(request: Request) -> dict[str, Any]:
    """The agent's task, as it stands in its first message."""
    found = re.search(r"\{.*\}", request.first_user_text, re.DOTALL)
    given: dict[str, Any] = json.loads(found[0]) if found else {"question": request.first_user_text}
    return given


def stage_of(request: Request) -> str:
    """Name a call: who, and how far it is; the same call again has the same name."""
    about = task_of(request)
    key = json.dumps(about, sort_keys=True) + (request.system_text if who(request) == "router" else "")
    return f"{who(request)}-{zlib.crc32(key.encode())}-{request.turn}"


def _member(request: Request) -> Reply:
    name, task = who(request), task_of(request)
    told = str(task.get("objective") or task.get("question") or "")
    used = Tokens(100, 20)
    if f"!hang:{name}" in told:
        return Reply(fault="hang")
    if name == "verifier" and "!busy" in json.dumps(task):
        return refused(429, "Too many requests.", retry_after=0)
    if name == "verifier":
        bad = str(task["output"].get("note")).endswith(" bad")
        verdict = {"verdict": "fix" if bad else "pass", "problem": "It is bad." if bad else ""}
        return Reply([structured(verdict)], usage=used)
    if name == "scribe":
        return Reply([text(f"# Report\n\nOn: {told}\n\n{json.dumps(task, sort_keys=True)}")], usage=used)
    if request.offers(SEARCH) and not request.tool_results(SEARCH) and "!once" not in told:
        return Reply([tool_use(SEARCH, {"query": name})], usage=used)
    if f"!help:{name}" in told and not request.tool_results(NEED_HELP):
        asked = {"reason": "question", "missing": f"{name} wants to know.", "findings": "Half of it."}
        return Reply([tool_use(NEED_HELP, asked)], usage=used)
    if f"!prose:{name}" in told and "has come back" not in request.last_user_text:
        return Reply([text("Just some prose.")], usage=used)
    if f"!fail:{name}" in told:
        return Reply(status=400, error="Scripted failure.")
    bad = f"!bad:{name}" in told and "has come back" not in request.last_user_text
    answers = [result.text for result in request.tool_results(NEED_HELP)]
    said = " ".join([f"{name} did: {told}", *(["bad"] if bad else []), *answers])
    handed = re.search(rf"!hand:{name}:(\w+)", told)
    return Reply([structured({"note": said, "handoff_to": handed[1] if handed else None})], usage=used)


def _router(request: Request) -> Reply:
    shown = task_of(request)
    offered, results = list(members(request)), shown["results"]
    used = Tokens(50, 10)
    if results and results[-1]["status"] == "needs_help":
        more = {
            "action": "grant",
            "reason": "It is worth it.",
            "result": results[-1]["number"],
            "told": "Go on.",
        }
        return Reply([decides(request, more)], usage=used)
    if len(results) < len(offered):
        objective = shown["task"].get("objective") or shown["task"].get("question")
        given = {"objective": objective}
        call = {"action": "route", "reason": "Its turn.", "to": offered[len(results)], "input": given}
        return Reply([decides(request, call)], usage=used)
    done = [result for result in results if result["status"] == "done"]
    last = {"action": "finish", "reason": "All worked.", "result": done[-1]["number"]}
    return Reply([decides(request, last)], usage=used)
