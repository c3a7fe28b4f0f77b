"""What `harness.resume` makes of a cut transcript, tried on the real CLI."""

from __future__ import annotations

from typing import Any

import pytest

from harness.resume import Prompt, Refire, Settled, resume_point
from harness.state import ToolCall
from tests.core.test_resume_point import run
from tests.kit.journals import BEGAN
from tests.kit.scripted_api import Reply, in_turn, structured, text, tool_use
from tests.kit.sdk import ECHO, Bench, Entry, Gate, blocks
from tests.kit.sdk import Run as CliRun

SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
TYPED: dict[str, Any] = {"output_format": {"type": "json_schema", "schema": SCHEMA}}


def cut_at_the_last_call(bench: Bench, ran: CliRun, *, results: bool = False) -> list[Entry]:
    """Leave of a stored transcript what came before the last message's results, or with them."""
    entries = bench.store.transcript(ran.session)
    last = max(n for n, entry in enumerate(entries) if blocks([entry], "tool_use"))
    rest = [entry for entry in entries[last + 1 :] if results and blocks([entry], "tool_result")]
    bench.store.kept[ran.session, ""] = entries[: last + 1] + rest
    bench.ran.clear()
    return bench.store.transcript(ran.session)


@pytest.mark.parametrize("unsafe", [{"a"}, {"b"}, {"a", "b"}, {"c"}])
async def test_cut_off_siblings_are_told_and_one_call_runs(bench: Bench, unsafe: set[str]) -> None:
    """Whichever call is chosen: it runs under its id, the others are in the history with their error, in one
    model call."""
    calls = [tool_use(ECHO, {"value": value}, id=f"toolu_{value}") for value in "abc"]
    bench.api.script = in_turn(Reply([text("I begin."), *calls]), Reply([text("done")]))
    ran = await bench.run()
    entries = cut_at_the_last_call(bench, ran)
    known = {
        f"toolu_{value}": ToolCall(
            f"toolu_{value}", ECHO, {}, "unsafe" if value in unsafe else "read_only", BEGAN, 1
        )
        for value in "abc"
    }
    point = resume_point(run(tools=known), entries)
    assert isinstance(point, Refire)
    assert point.tool_use_id[-1] not in unsafe
    entries.extend(point.add)
    gate = Gate()
    again = await bench.run(None, gate=gate, resume=ran.session)
    assert again.result.result == "done"
    assert [firing.id for firing in gate.fired] == [point.tool_use_id]
    (_, request) = [call.request for call in bench.api.calls.messages()][-2:]
    assert {use.id for use in request.tool_uses()} == {"toolu_a", "toolu_b", "toolu_c"}
    assert {result.id for result in request.tool_results() if result.is_error} == known.keys() - {
        point.tool_use_id
    }
    assert len(bench.api.calls.messages()) == 3


async def test_a_typed_answer_fired_again_would_be_lost(bench: Bench) -> None:
    """Resumed at its StructuredOutput call the CLI asks the model once more and gives no typed answer."""
    bench.api.script = in_turn(Reply([structured({"n": 5})]), Reply([text("late")]))
    ran = await bench.run(**TYPED)
    entries = cut_at_the_last_call(bench, ran)
    assert resume_point(run(), entries, typed=True) == Settled({"n": 5})
    (call,) = blocks(entries, "tool_use")
    last = [entry for entry in entries if "uuid" in entry][-1]
    marker = {
        "type": "hook_deferred_tool",
        "toolUseID": call["id"],
        "toolName": call["name"],
        "toolInput": call["input"],
        "hookName": "settings",
        "hookEvent": "PreToolUse",
        "permissionMode": "dontAsk",
    }
    entries.append(
        {**last, "type": "attachment", "attachment": marker, "uuid": "m", "parentUuid": last["uuid"]}
    )
    del entries[-1]["message"]
    again = await bench.run(None, resume=ran.session, **TYPED)
    assert (again.result.structured_output, len(bench.api.calls.messages())) == (None, 2)


async def test_of_several_texts_the_last_is_the_result(bench: Bench) -> None:
    """The CLI's result is the last text block alone, and so is the resume point's outcome."""
    bench.api.script = in_turn(Reply([text("First."), text("Second.")]))
    ran = await bench.run()
    assert ran.result.result == "Second."
    assert resume_point(run(), bench.store.transcript(ran.session)) == Settled("Second.")


async def test_a_prompt_after_a_result_costs_one_call(bench: Bench) -> None:
    """The CLI puts a text of its own before our prompt, which no resume takes for an outcome."""
    bench.api.script = in_turn(
        Reply([tool_use(ECHO, {"value": "a"}, id="toolu_a")]), Reply([text("x")]), Reply([text("done")])
    )
    ran = await bench.run()
    entries = cut_at_the_last_call(bench, ran, results=True)
    assert resume_point(run(), entries) == Prompt()
    again = await bench.run("Go on.", resume=ran.session)
    assert again.result.result == "done"
    entries = bench.store.transcript(ran.session)
    filler = next(
        n for n, entry in enumerate(entries) if "No response requested." in str(entry.get("message"))
    )
    assert resume_point(run(), entries[: filler + 1]) == Prompt()
    assert resume_point(run(), entries) == Settled("done")


async def test_a_refused_model_call_is_no_outcome(bench: Bench) -> None:
    """What the CLI writes in the model's place after an API error is not what the run ended with."""
    bench.api.script = lambda request: Reply(status=402, error="The budget is spent.")
    ran = await bench.run()
    assert ran.result.is_error
    entries = bench.store.transcript(ran.session)
    assert any(entry.get("isApiErrorMessage") for entry in entries)
    assert resume_point(run(), entries) == Prompt()
