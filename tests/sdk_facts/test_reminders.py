"""What the CLI tells a model of its own accord in a long run, and how that is stopped."""

from __future__ import annotations

import pytest

from tests.kit.scripted_api import Reply, Request, text, tool_use
from tests.kit.sdk import ECHO, Bench

TURNS = 6
"""Turns without a text; the reminder comes after five."""


def silent(request: Request) -> Reply:
    if request.turn < TURNS:
        return Reply([tool_use(ECHO, {"value": str(request.turn)})])
    return Reply([text("done")])


@pytest.mark.parametrize(("value", "times"), [("", 1), ("0", 0)])
async def test_a_silent_agent_is_reminded_of_its_user(bench: Bench, value: str, times: int) -> None:
    """After five turns without a text, where CLAUDE_CODE_SILENT_TURN_REMINDER is not 0."""
    bench.api.script = silent
    await bench.run(model="claude-opus-5-5", env={"CLAUDE_CODE_SILENT_TURN_REMINDER": value} if value else {})
    assert (
        str(bench.api.calls.messages()[-1].request.messages).count("The user hasn't heard from you") == times
    )
