"""A deferral marker we write ourselves: how a call that was cut short is fired again without a model call."""

from __future__ import annotations

import uuid
from typing import Any

from tests.kit.script import Block
from tests.kit.scripted_api import Reply, in_turn, text, tool_use
from tests.kit.sdk import DELEGATE, ECHO, SHELL, Bench, Entry, Gate, Run, blocks


def use(name: str, value: str) -> Block:
    return tool_use(name, {"value": value}, id=f"toolu_{value}")


def marker(entries: list[Entry], tool_use_id: str) -> Entry:
    """Write the marker for a call, as the child of the transcript's last entry."""
    call = next(block for block in blocks(entries, "tool_use") if block["id"] == tool_use_id)
    last = [entry for entry in entries if "uuid" in entry][-1]
    return {
        "type": "attachment",
        "attachment": {
            "type": "hook_deferred_tool",
            "toolUseID": tool_use_id,
            "toolName": call["name"],
            "toolInput": call["input"],
            "hookName": "settings",
            "hookEvent": "PreToolUse",
            "permissionMode": "dontAsk",
        },
        "uuid": str(uuid.uuid4()),
        "parentUuid": last["uuid"],
        "isSidechain": False,
        **{key: last[key] for key in ("sessionId", "cwd", "version", "timestamp")},
    }


async def cut(bench: Bench, uses: list[Block], *, results: tuple[str, ...] = (), **options: Any) -> Run:
    """Run the calls, then cut the stored transcript after the last of them; only `results` are kept."""
    bench.api.script = in_turn(Reply([text("I begin."), *uses]), Reply([text("done")]))
    run = await bench.run(**options)
    entries = bench.store.transcript(run.session)
    last = max(i for i, entry in enumerate(entries) if blocks([entry], "tool_use"))
    kept = [
        entry
        for entry in entries[last + 1 :]
        if any(block["tool_use_id"] in results for block in blocks([entry], "tool_result"))
    ]
    bench.store.kept[run.session, ""] = entries[: last + 1] + kept
    bench.ran.clear()
    return run


async def fired_again(bench: Bench, run: Run, tool_use_id: str, **options: Any) -> Gate:
    """Supply the marker and resume without a prompt; exactly one further model call must be made."""
    calls = len(bench.api.calls.messages())
    entries = bench.store.transcript(run.session)
    entries.append(marker(entries, tool_use_id))
    gate = Gate()
    again = await bench.run(None, gate=gate, resume=run.session, **options)
    assert again.result.result == "done"
    assert len(bench.api.calls.messages()) == calls + 1
    return gate


def history(bench: Bench) -> list[tuple[str, str]]:
    return [(result.id, result.text) for result in bench.api.calls.messages()[-1].request.tool_results()]


async def test_mcp_tool_is_fired_again(bench: Bench) -> None:
    """An in-process MCP call cut before its result is fired with the same id, runs, and the model goes on."""
    run = await cut(bench, [use(ECHO, "a")])
    gate = await fired_again(bench, run, "toolu_a")
    assert [(firing.tool, firing.id) for firing in gate.fired] == [(ECHO, "toolu_a")]
    assert [firing.input for firing in bench.ran] == [{"value": "a"}]
    assert history(bench) == [("toolu_a", "echo: a")]


async def test_bash_is_fired_again(bench: Bench) -> None:
    """The built-in Bash is fired again in the same way."""
    run = await cut(bench, [tool_use("Bash", {"command": "echo hi"}, id="toolu_sh")], **SHELL)
    gate = await fired_again(bench, run, "toolu_sh", **SHELL)
    assert [(firing.tool, firing.id) for firing in gate.fired] == [("Bash", "toolu_sh")]
    assert history(bench) == [("toolu_sh", "hi")]


async def test_finished_sibling_keeps_its_result(bench: Bench) -> None:
    """With two calls of a turn, one finished, only the other is fired; whichever of the two came first."""
    first = await cut(bench, [use(ECHO, "a"), use(DELEGATE, "b")], results=("toolu_a",))
    gate = await fired_again(bench, first, "toolu_b")
    assert gate.names == [DELEGATE]
    assert history(bench) == [("toolu_a", "echo: a"), ("toolu_b", "delegate: b")]
    second = await cut(bench, [use(ECHO, "c"), use(DELEGATE, "d")], results=("toolu_d",))
    gate = await fired_again(bench, second, "toolu_c")
    assert gate.names == [ECHO]
    assert history(bench) == [("toolu_d", "delegate: d"), ("toolu_c", "echo: c")]


async def test_dangling_sibling_without_marker_vanishes(bench: Bench) -> None:
    """With two unfinished calls the unmarked one is gone from the history the model sees."""
    run = await cut(bench, [use(ECHO, "a"), use(ECHO, "b")])
    await fired_again(bench, run, "toolu_a")
    assert [call.id for call in bench.api.calls.messages()[-1].request.tool_uses()] == ["toolu_a"]


async def test_prompt_beside_a_marker_is_answered_afterwards(bench: Bench) -> None:
    """A prompt given at such a resume is a turn of its own after the call's: one model call more."""
    run = await cut(bench, [use(ECHO, "a")])
    entries = bench.store.transcript(run.session)
    entries.append(marker(entries, "toolu_a"))
    await bench.run("And then?", gate=Gate(), resume=run.session)
    asked = [call.request.last_user_text for call in bench.api.calls.messages()[2:]]
    assert asked == ["Continue from where you left off.", "And then?"]
