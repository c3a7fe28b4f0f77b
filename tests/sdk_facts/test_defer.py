"""Suspending at a tool call with `defer`, and going on from there in another process."""

from __future__ import annotations

from tests.kit.scripted_api import Reply, in_turn, text, tool_use
from tests.kit.sdk import DELEGATE, SHELL, Bench, Entry, Gate, Run


async def suspended(bench: Bench) -> Run:
    bench.api.script = in_turn(
        Reply([text("I delegate."), tool_use(DELEGATE, {"value": "a"}, id="toolu_a")]), Reply([text("done")])
    )
    return await bench.run(gate=Gate(lambda firing: "defer"))


def marker_of(entries: list[Entry]) -> Entry:
    return next(e for e in entries if e.get("attachment", {}).get("type") == "hook_deferred_tool")


async def test_defer_ends_the_run(bench: Bench) -> None:
    """A deferred call ends the run without an error, names the call, and the tool does not run."""
    run = await suspended(bench)
    result = run.result
    assert (result.subtype, result.is_error, result.terminal_reason) == ("success", False, "tool_deferred")
    assert result.deferred_tool_use is not None
    assert (result.deferred_tool_use.id, result.deferred_tool_use.name) == ("toolu_a", DELEGATE)
    assert result.deferred_tool_use.input == {"value": "a"}
    assert bench.ran == []
    assert len(bench.api.calls.messages()) == 1


async def test_marker_has_a_known_form(bench: Bench) -> None:
    """The transcript ends with the tool_use, the marker that names it, and a snapshot of prompt and tools."""
    run = await suspended(bench)
    use, marker, snapshot = bench.store.transcript(run.session)[-3:]
    assert [block["id"] for block in use["message"]["content"]] == ["toolu_a"]
    assert marker["attachment"] == {
        "type": "hook_deferred_tool",
        "toolUseID": "toolu_a",
        "toolName": DELEGATE,
        "toolInput": {"value": "a"},
        "hookName": "settings",
        "hookEvent": "PreToolUse",
        "permissionMode": "dontAsk",
    }
    assert (marker["type"], marker["isSidechain"], marker["parentUuid"]) == ("attachment", False, use["uuid"])
    assert (marker["sessionId"], marker["cwd"]) == (run.session, str(bench.home / "work"))
    assert marker.keys() == {
        "parentUuid", "isSidechain", "attachment", "type", "uuid", "timestamp",
        "userType", "entrypoint", "cwd", "sessionId", "version", "gitBranch",
    }  # fmt: skip
    assert snapshot["attachment"]["type"] == "prompt_snapshot"


async def test_resume_fires_the_same_call(bench: Bench) -> None:
    """Resumed from the store without a prompt, the same call fires and runs, and the model goes on."""
    run = await suspended(bench)
    gate = Gate()
    again = await bench.run(None, gate=gate, resume=run.session)
    assert [(firing.tool, firing.id) for firing in gate.fired] == [(DELEGATE, "toolu_a")]
    assert [firing.input for firing in bench.ran] == [{"value": "a"}]
    assert (again.result.result, again.result.terminal_reason) == ("done", "completed")


async def test_resume_repeats_no_model_call(bench: Bench) -> None:
    """A suspended and resumed run makes two model calls; the second ends with a sentence of the CLI's own."""
    run = await suspended(bench)
    await bench.run(None, gate=Gate(), resume=run.session)
    first, second = bench.api.calls.completed(run.session)
    assert (first.request.turn, first.request.session) == (0, second.request.session)
    assert [(result.id, result.text) for result in second.request.tool_results()] == [
        ("toolu_a", "delegate: a")
    ]
    assert second.request.last_user_text == "Continue from where you left off."


async def test_result_hangs_on_the_call_and_not_on_the_marker(bench: Bench) -> None:
    """After the resume the transcript is a tree: the result is a child of the tool_use, beside the marker."""
    run = await suspended(bench)
    marker = marker_of(bench.store.transcript(run.session))
    await bench.run(None, gate=Gate(), resume=run.session)
    entries = bench.store.transcript(run.session)
    result = next(entry for entry in entries if "toolUseResult" in entry)
    assert result["parentUuid"] == marker["parentUuid"]


async def test_denied_at_the_resume_reaches_the_model(bench: Bench) -> None:
    """If the hook denies the call it was resumed at, the model sees an error result with the reason."""
    run = await suspended(bench)
    await bench.run(None, gate=Gate(lambda firing: "deny", "nobody is free"), resume=run.session)
    (result,) = bench.api.calls.messages()[-1].request.tool_results()
    assert result.is_error
    assert result.text == f"PreToolUse:{DELEGATE} hook error: nobody is free"
    assert bench.ran == []


async def test_deferred_again_at_the_resume(bench: Bench) -> None:
    """Deferring again works without a model call, but terminal_reason is then None; the call is named."""
    run = await suspended(bench)
    again = await bench.run(None, gate=Gate(lambda firing: "defer"), resume=run.session)
    assert again.result.deferred_tool_use is not None
    assert (again.result.terminal_reason, again.result.stop_reason) == (None, "tool_deferred")
    last = await bench.run(None, gate=Gate(), resume=run.session)
    assert (last.result.result, len(bench.api.calls.messages())) == ("done", 2)


async def test_built_in_tool_can_be_deferred(bench: Bench) -> None:
    """Bash is deferred and resumed like an in-process MCP tool."""
    bench.api.script = in_turn(Reply([tool_use("Bash", {"command": "echo hi"})]), Reply([text("done")]))
    run = await bench.run(gate=Gate(lambda firing: "defer"), **SHELL)
    assert run.result.terminal_reason == "tool_deferred"
    await bench.run(None, gate=Gate(), resume=run.session, **SHELL)
    assert [result.text for result in bench.api.calls.messages()[-1].request.tool_results()] == ["hi"]
