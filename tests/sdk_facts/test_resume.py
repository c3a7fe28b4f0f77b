"""What a resumed session keeps from before, and what it starts again."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from claude_agent_sdk import ClaudeSDKClient, ClaudeSDKError, create_sdk_mcp_server, tool

from tests.kit.scripted_api import Reply, Request, generic, in_turn, text, tool_use
from tests.kit.sdk import DELEGATE, ECHO, MODEL, SMALL, Bench, Gate, Run, blocks

INTERRUPTED = "[Tool call interrupted: the session ended before this call's result was recorded"


async def suspended(bench: Bench, **options: Any) -> Run:
    bench.api.script = in_turn(Reply([tool_use(DELEGATE, {"value": "a"})]), Reply([text("done")]))
    return await bench.run(gate=Gate(lambda firing: "defer"), **options)


async def cut_after_call(bench: Bench) -> Run:
    """Run one call, then cut the stored transcript after it, as if the process had died in the tool."""
    bench.api.script = in_turn(Reply([tool_use(ECHO, {"value": "a"}, id="toolu_a")]), Reply([text("done")]))
    run = await bench.run()
    entries = bench.store.transcript(run.session)
    last = max(i for i, entry in enumerate(entries) if blocks([entry], "tool_use"))
    del entries[last + 1 :]
    return run


def system_prompts(bench: Bench) -> list[str]:
    return [call.request.system_text.split("\n\n")[-1] for call in bench.api.calls.messages()]


async def test_system_prompt_is_the_recorded_one(bench: Bench) -> None:
    """A resumed session sends the system prompt of its first request, whatever is given now."""
    run = await suspended(bench, system_prompt="The first.")
    await bench.run(None, resume=run.session, system_prompt="The second.")
    assert system_prompts(bench) == ["The first.", "The first."]


async def test_system_prompt_can_be_renewed(bench: Bench) -> None:
    """With snapshot off at the resume the new system prompt is sent, and thinking from before is refused.

    The CLI then asks again without it.
    """
    bench.api.refuses = True
    run = await suspended(bench, system_prompt="The first.")
    renewed = {"type": "custom", "prompt": "The second.", "snapshot": False}
    await bench.run(None, resume=run.session, system_prompt=renewed)
    assert system_prompts(bench) == ["The first.", "The second.", "The second."]
    assert [call.outcome for call in bench.api.calls.messages()] == ["completed", "invalid", "completed"]


async def test_known_tools_keep_their_recorded_form(bench: Bench) -> None:
    """A resumed session lists the tools that it began with, as they were, and one that is new is added."""

    @tool("delegate", "Another description.", {"value": str})
    async def delegate(args: dict[str, Any]) -> dict[str, Any]:
        return {"content": [{"type": "text", "text": "new code"}]}

    @tool("added", "Added later.", {"value": str})
    async def added(args: dict[str, Any]) -> dict[str, Any]:
        return {"content": []}

    run = await suspended(bench)
    server = create_sdk_mcp_server("t", tools=[delegate, added])
    await bench.run(None, gate=Gate(), resume=run.session, mcp_servers={"t": server})
    request = bench.api.calls.messages()[-1].request
    before = bench.api.calls.messages()[0].request
    added_later = [tool for tool in request.body["tools"] if tool not in before.body["tools"]]
    assert [tool for tool in request.body["tools"] if tool not in added_later] == before.body["tools"]
    assert [(tool["name"], tool["defer_loading"]) for tool in added_later] == [("mcp__t__added", True)]
    assert {"type": "tool_reference", "name": "mcp__t__added"} in [
        block["tool"] for block in request.messages[-1]["content"] if block["type"] == "tool_addition"
    ]
    assert [result.text for result in request.tool_results()] == ["new code"]


async def test_output_format_and_model_can_change(bench: Bench) -> None:
    """A resumed session uses the output schema and the model given now."""
    bench.api.script = lambda request: (
        generic(request) if request.turn else Reply([tool_use(DELEGATE, {"value": "a"})])
    )
    first, second = ({"type": "object", "properties": {n: {"const": n}}, "required": [n]} for n in "ab")
    deferring = Gate(lambda firing: "defer")
    run = await bench.run(gate=deferring, output_format={"type": "json_schema", "schema": first})
    again = await bench.run(
        None,
        gate=Gate(),
        resume=run.session,
        output_format={"type": "json_schema", "schema": second},
        model=SMALL,
    )
    assert again.result.structured_output == {"b": "b"}
    assert [call.request.model for call in bench.api.calls.messages()] == [MODEL, SMALL]


async def test_turn_limit_starts_again(bench: Bench) -> None:
    """max_turns counts from the resume on: two turns before it and two after it are within max_turns=2."""

    def script(request: Request) -> Reply:
        return Reply([tool_use(DELEGATE if request.turn == 1 else ECHO, {"value": "a"})])

    bench.api.script = script
    deferring = Gate(lambda firing: "defer" if firing.tool == DELEGATE else "allow")
    run = await bench.run(gate=deferring, max_turns=2)
    again = await bench.run(None, gate=Gate(), resume=run.session, max_turns=2)
    assert (run.result.terminal_reason, again.result.terminal_reason) == ("tool_deferred", "max_turns")
    assert len(bench.api.calls.messages()) == 4


async def test_unfinished_call_becomes_an_error_result(bench: Bench) -> None:
    """Without marker, a resume with a prompt shows an error result and an answer the model never gave."""
    run = await cut_after_call(bench)
    gate = Gate()
    await bench.run("Go on.", gate=gate, resume=run.session)
    request = bench.api.calls.messages()[-1].request
    (result,) = request.tool_results()
    assert (result.is_error, result.text.startswith(INTERRUPTED)) == (True, True)
    assert request.messages[-2]["content"][0]["text"] == "No response requested."
    assert request.last_user_text == "Go on."
    assert gate.fired == []


async def test_unfinished_call_without_prompt_waits_for_ever(bench: Bench) -> None:
    """Without marker and prompt the resumed CLI neither asks the model nor says anything."""
    run = await cut_after_call(bench)
    calls = len(bench.api.calls.messages())
    async with ClaudeSDKClient(bench.options(resume=run.session)) as client:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(2):
                await anext(client.receive_messages())
    assert len(bench.api.calls.messages()) == calls


async def test_every_parent_comes_earlier(bench: Bench) -> None:
    """Each parentUuid is an earlier entry's uuid, and only the first entry with a uuid has none."""
    bench.api.script = in_turn(
        Reply([text("Two."), tool_use(ECHO, {"value": "a"}), tool_use(ECHO, {"value": "b"})]),
        Reply([text("done")]),
    )
    run = await bench.run()
    await bench.run("More.", resume=run.session)
    seen: set[str | None] = {None}
    roots = 0
    for entry in bench.store.transcript(run.session):
        if "uuid" not in entry:
            assert "parentUuid" not in entry
            continue
        assert entry["parentUuid"] in seen
        roots += entry["parentUuid"] is None
        seen.add(entry["uuid"])
    assert roots == 1


async def test_some_entries_have_no_uuid(bench: Bench) -> None:
    """Queue operations and tool lists are entries outside the chain."""
    bench.api.script = in_turn(Reply([tool_use(ECHO, {"value": "a"})]), Reply([text("done")]))
    run = await bench.run()
    kinds = {entry["type"] for entry in bench.store.transcript(run.session) if "uuid" not in entry}
    assert kinds == {"queue-operation", "atis-latch", "tools-used"}


async def test_result_of_a_parallel_call_hangs_on_its_own_call(bench: Bench) -> None:
    """A result's parent is the entry of its own tool_use, so parallel calls make the transcript branch."""
    calls = [tool_use(ECHO, {"value": v}, id=f"toolu_{v}") for v in "ab"]
    bench.api.script = in_turn(Reply(calls), Reply([text("done")]))
    run = await bench.run()
    entries = bench.store.transcript(run.session)
    uses = {block["id"]: entry["uuid"] for entry in entries for block in blocks([entry], "tool_use")}
    parents = {b["tool_use_id"]: e["parentUuid"] for e in entries for b in blocks([e], "tool_result")}
    assert parents == uses


async def test_unknown_session_is_refused(bench: Bench) -> None:
    """Resuming a session the store does not have fails without a model call."""
    with pytest.raises(ClaudeSDKError, match="No conversation found"):
        await bench.run("Go on.", resume="00000000-0000-4000-8000-000000000000")
    assert bench.api.calls.messages() == []
