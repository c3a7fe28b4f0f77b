"""What becomes of `additionalContext` that a hook gives after a tool call."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from claude_agent_sdk import HookContext, HookInput, HookJSONOutput, HookMatcher

from tests.kit.script import Request
from tests.kit.scripted_api import Reply, in_turn, text, tool_use
from tests.kit.sdk import ECHO, Bench

NOTES = [
    f"PostToolUse:{ECHO} hook additional context: Note on toolu_a",
    f"PostToolUse:{ECHO} hook additional context: Note on toolu_b",
    "PostToolUseFailure:Bash hook additional context: Note on toolu_c",
]


async def note(data: HookInput, tool_use_id: str | None, context: HookContext) -> HookJSONOutput:
    added: Any = {"hookEventName": data["hook_event_name"], "additionalContext": f"Note on {tool_use_id}"}
    return {"hookSpecificOutput": added}


async def requests(bench: Bench, model: str) -> list[list[tuple[str, Any]]]:
    """Run three calls side by side, a second turn and a resume; give what each request holds."""
    first = [
        tool_use(ECHO, {"value": "a"}, id="toolu_a"),
        tool_use(ECHO, {"value": "b"}, id="toolu_b"),
        tool_use("Bash", {"command": "false"}, id="toolu_c"),
    ]
    second = tool_use("Bash", {"command": "true"}, id="toolu_d")
    bench.api.script = in_turn(Reply(first), Reply([second]), Reply([text("done")]))
    given: dict[str, Any] = {
        "hooks": {event: [HookMatcher(hooks=[note])] for event in ("PostToolUse", "PostToolUseFailure")},
        "model": model,
        "tools": ["Bash"],
        "allowed_tools": [ECHO, "Bash"],
    }
    run = await bench.run(**given)
    await bench.run("And then?", resume=run.session, **given)
    return [_held(call.request) for call in bench.api.calls.completed(run.session) if call.request.tools]


@pytest.mark.parametrize("model", ["claude-opus-5-5", "claude-haiku-5-5", "claude-opus-4-8"])
async def test_newer_models_get_a_system_message_after_the_results(bench: Bench, model: str) -> None:
    """One message for the whole turn; each call's text is a paragraph that names the hook and the tool."""
    _, after, *_ = await requests(bench, model)
    (role, results), (last_role, told) = after[-2:]
    assert (role, last_role) == ("user", "system")
    assert [block["tool_use_id"] for block in results] == ["toolu_a", "toolu_b", "toolu_c"]
    assert "Note on" not in str(results)
    assert told[0]["text"].split("\n\n")[:3] == NOTES


@pytest.mark.parametrize("model", ["claude-haiku-4-5", "claude-opus-4-7"])
async def test_older_models_get_it_within_the_result(bench: Bench, model: str) -> None:
    """Each text is a reminder at the end of its own call's result."""
    _, after, *_ = await requests(bench, model)
    role, results = after[-1]
    assert (role, len(results)) == ("user", 3)
    for result, told in zip(results, NOTES, strict=True):
        said = result["content"]
        joined = said if isinstance(said, str) else "".join(block["text"] for block in said)
        assert f"<system-reminder>\n{told}\n</system-reminder>" in joined


@pytest.mark.parametrize("model", ["claude-opus-5-5", "claude-haiku-5-5", "claude-haiku-4-5"])
async def test_it_stays_where_it_was_said(bench: Bench, model: str) -> None:
    """Each request begins with all of the one before it, also after a resume from the store."""
    sent = await requests(bench, model)
    assert len(sent) == 4
    for before, after in pairwise(sent):
        assert after[: len(before)] == before
    assert all(str(sent[-1]).count(told) == 1 for told in NOTES)


def _held(request: Request) -> list[tuple[str, Any]]:
    """The roles and blocks of a request, without where the cache is asked to end."""
    return [(message["role"], [_bare(block) for block in message["content"]]) for message in request.messages]


def _bare(block: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in block.items() if key != "cache_control"}
