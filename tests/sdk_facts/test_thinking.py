"""What the CLI does with thinking that comes back: it only adds to a conversation."""

from __future__ import annotations

import pytest

from tests.kit.scripted_api import Reply, Request, text, tool_use
from tests.kit.sdk import DELEGATE, ECHO, MODEL, SMALL, Bench, Gate


def script(request: Request) -> Reply:
    """Three calls at first, then one that is put off, then two more after it, and an answer; twice."""
    turn = request.turn % 7
    if turn == 6:
        return Reply([text("done")])
    return Reply([tool_use(DELEGATE if turn == 3 else ECHO, {"value": str(request.turn)})])


@pytest.mark.parametrize("model", ["claude-opus-5-5", MODEL, SMALL])
async def test_thinking_comes_back_behind_what_it_was_thought_after(bench: Bench, model: str) -> None:
    """Over many turns, a call that is put off, its resume, and a further prompt nothing is refused."""
    bench.api.script = script
    run = await bench.run(
        model=model, gate=Gate(lambda firing: "defer" if firing.tool == DELEGATE else "allow")
    )
    assert run.result.terminal_reason == "tool_deferred"
    again = await bench.run(None, model=model, resume=run.session, gate=Gate())
    assert again.result.result == "done"
    last = await bench.run("More.", model=model, resume=run.session, gate=Gate())
    assert last.result.result == "done"
    calls = bench.api.calls.messages()
    assert [call.outcome for call in calls] == ["completed"] * 14
    history = calls[-1].request.messages
    thoughts = [block for message in history for block in message["content"] if block["type"] == "thinking"]
    assert [block["thinking"] for block in thoughts] == [""] * 13
    said = [block for call in calls if call.message for block in call.message["content"]]
    assert thoughts == [block for block in said if block["type"] == "thinking"][:-1]


async def test_thinking_is_left_out_after_a_refusal(bench: Bench) -> None:
    """Where the prompt was changed behind its back, the CLI is refused once and asks again without it."""
    bench.api.script, bench.api.refuses = script, True
    run = await bench.run(gate=Gate(lambda firing: "defer" if firing.tool == DELEGATE else "allow"))
    changed = {"type": "custom", "prompt": "Another agent.", "snapshot": False}
    again = await bench.run(None, resume=run.session, gate=Gate(), system_prompt=changed)
    assert again.result.result == "done"
    outcomes = [call.outcome for call in bench.api.calls.messages()]
    assert outcomes == ["completed"] * 4 + ["invalid"] + ["completed"] * 3
