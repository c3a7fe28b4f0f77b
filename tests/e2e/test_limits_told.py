"""What an agent is told of its limits becomes part of its conversation, and nothing sent is ever changed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from benchmarks.comparison.caching import PromptCache, prompt_tokens
from tests.e2e.running import Desk
from tests.kit.script import Reply, Request, structured, text, tool_use
from tests.kit.scripted_api import ScriptedProcess, scripted_process

SEARCH = "mcp__corpus__search"
STEPS = 8
SAID = "What I have."

PROSE = "output: markdown"
TYPED = "output_schema: {type: object, properties: {note: {type: string}}, required: [note]}"

BUNDLE = """---
name: analyst
role: analyst
description: Looks things up.
model: claude-sonnet-5-5
tools: [corpus]
{output}
limits: {{max_steps: {steps}}}
---
You look things up.
"""


def searching(request: Request, obeys: bool = True, holds: str = "") -> Reply:
    """Search in each turn; in the last one write up, or search on, as the model pleases."""
    if obeys and "This is your last turn" in json.dumps(request.messages[-1]):
        return Reply([structured({"note": SAID}) if request.answer_schema else text(SAID)])
    go = Path(holds) / f"{request.turn}.go" if holds and request.turn == STEPS - 2 else None
    return Reply([tool_use(SEARCH, {"query": f"tides {request.turn}"})], hold=go)


@pytest.fixture
def obeys() -> bool:
    return True


@pytest.fixture
def api(home: Path, obeys: bool, holds: Path) -> Iterator[ScriptedProcess]:
    script, given = "tests.e2e.test_limits_told:searching", {"obeys": obeys, "holds": str(holds)}
    with scripted_process(script, home / "calls.jsonl", given=given) as played:
        yield played


@pytest.fixture
def output() -> str:
    return PROSE


@pytest.fixture
def project(desk: Desk, output: str) -> Desk:
    folder = desk.home / "subagents" / "analyst"
    folder.mkdir(parents=True)
    (folder / "AGENT.md").write_text(BUNDLE.format(steps=STEPS, output=output))
    return desk


def bodies(api: ScriptedProcess) -> list[dict[str, Any]]:
    return [call.request.body for call in api.calls().messages()]


def bare(messages: list[Any]) -> list[Any]:
    """Messages without the marks of the prompt cache, which move and belong to no prefix."""
    dumped = json.dumps(messages)
    value: list[Any] = json.loads(dumped, object_hook=lambda d: {k: d[k] for k in d if k != "cache_control"})
    return [{**m, "content": _parts(m["content"])} for m in value]


def bare_parts(content: Any) -> list[Any]:
    """Blocks without those marks."""
    (message,) = bare([{"role": "system", "content": content}])
    return list(message["content"])


def _parts(content: Any) -> Any:
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


def assert_append_only(asked: list[dict[str, Any]]) -> None:
    """Each request begins with all of the one before; prompt, tools and choice are those of the first."""
    for before, after in pairwise(asked):
        # The first block is the CLI's own, and no part of what the model is bound to.
        assert bare_parts(after["system"])[1:] == bare_parts(before["system"])[1:]
        assert bare(after["messages"])[: len(before["messages"])] == bare(before["messages"])
        for name in ("tools", "tool_choice"):
            assert after.get(name) == before.get(name), name


def told(asked: dict[str, Any]) -> list[str]:
    """What the harness has said of the limits, in the order of the conversation."""
    texts = [part.get("text", "") for m in asked["messages"] for part in _parts(m["content"])]
    return [each for each in texts if "limits are nearly used up" in each or "your last turn" in each]


def start(desk: Desk, holds: Path, *, wait: bool = True) -> Any:
    if wait:
        (holds / f"{STEPS - 2}.go").touch()
    return desk.start("run", "What of tides?", "--sources", "notes.md", "--flow", "single")


def test_what_is_left_stays_said(project: Desk, api: ScriptedProcess, holds: Path) -> None:
    """From three quarters on, behind each turn's results; the last turn lists all tools and is written up."""
    command = start(project, holds)
    assert command.wait() == 3
    asked = bodies(api)
    assert len(asked) == STEPS
    assert_append_only(asked)
    assert [len(told(each)) for each in asked] == [0, 0, 0, 0, 0, 0, 1, 2]
    assert "2 of 8 steps" in told(asked[-1])[0]
    assert "your last turn" in told(asked[-1])[1]
    assert command.finished is not None
    assert command.finished["report"] == "What I have."
    assert command.finished["status"] == "needs_help"


@pytest.mark.parametrize("obeys", [False])
def test_a_tool_of_the_last_turn_is_refused_with_the_reason(
    project: Desk, api: ScriptedProcess, holds: Path
) -> None:
    """It does not run, nothing further is asked, and the run needs help."""
    command = start(project, holds)
    assert command.wait() == 3
    assert len(bodies(api)) == STEPS
    assert command.finished is not None
    assert "spent its limit of steps" in command.finished["problem"]
    shown = project.start("show", command.session_id or "", "--spans")
    assert shown.wait() == 0
    tools = [span for span in shown.lines if span.get("kind") == "tool"]
    assert [span["status"] for span in tools] == ["ok"] * (STEPS - 1) + ["error"]
    assert "last turn" in tools[-1]["attributes"]["problem"]


def test_a_kill_in_between_changes_nothing(project: Desk, api: ScriptedProcess, holds: Path) -> None:
    """What was said before it is still said after the resume, at its place."""
    command = start(project, holds, wait=False)
    while len(bodies(api)) < STEPS - 1:
        assert command.process.poll() is None
    command.kill(clis_too=True)
    (holds / f"{STEPS - 2}.go").touch()
    code, finished = project.run("resume", command.session_id or "")
    assert (code, finished["report"]) == (3, "What I have.")
    asked = bodies(api)
    assert len(told(asked[-1])) >= 2
    assert_append_only([asked[STEPS - 3], *asked[STEPS - 1 :]])


@pytest.mark.parametrize("output", [PROSE, TYPED], ids=["prose", "typed"])
def test_the_prompt_cache_lasts_to_the_end(project: Desk, api: ScriptedProcess, holds: Path) -> None:
    """In the last turn all but what is new is read from the cache, as in every turn before it."""
    assert start(project, holds).wait() == 3
    cache = PromptCache()
    turns = [cache.usage(body, 10.0 * n, 20) for n, body in enumerate(bodies(api))]
    for number, used in enumerate(turns, start=1):
        print(f"turn {number}: {used.cache_read_input_tokens} tokens of {prompt_tokens(used)} from the cache")
    for used in turns[1:]:
        assert used.cache_read_input_tokens > 0.8 * prompt_tokens(used)
