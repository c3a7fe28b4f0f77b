"""How a run ends: typed answers, limits, and errors of the Messages API."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from claude_agent_sdk import SystemMessage

from tests.kit.scripted_api import Reply, Request, in_turn, refused, structured, text, tool_use
from tests.kit.sdk import ECHO, MODEL, OLD, Bench, Gate, Run

OUTPUT: dict[str, Any] = {
    "type": "json_schema",
    "schema": {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]},
}


def working(request: Request) -> Reply:
    """Call a tool, turn after turn."""
    return Reply([tool_use(ECHO, {"value": str(request.turn)})])


def retries(run: Run) -> list[dict[str, Any]]:
    return [m.data for m in run.messages if isinstance(m, SystemMessage) and m.subtype == "api_retry"]


async def test_typed_answer_arrives(bench: Bench) -> None:
    """A valid StructuredOutput call ends the run with structured_output and no further model call."""
    bench.api.script = in_turn(Reply([structured({"n": 1})]))
    run = await bench.run(output_format=OUTPUT)
    assert (run.result.subtype, run.result.structured_output) == ("success", {"n": 1})
    assert len(bench.api.calls.messages()) == 1


async def test_wrong_typed_answer_is_sent_back(bench: Bench) -> None:
    """An answer that breaks the schema is returned to the model as an error result, and may be mended."""
    bench.api.script = in_turn(Reply([structured({"n": "x"})]), Reply([structured({"n": 1})]))
    run = await bench.run(output_format=OUTPUT)
    (result,) = bench.api.calls.messages()[1].request.tool_results()
    assert (result.is_error, result.text) == (
        True,
        "Output does not match required schema: /n: must be integer",
    )
    assert run.result.structured_output == {"n": 1}


async def test_wrong_typed_answers_end_after_five(bench: Bench) -> None:
    """After five answers that break the schema the run ends with an error of its own."""
    bench.api.script = in_turn(Reply([structured({"n": "x"})]))
    run = await bench.run(output_format=OUTPUT)
    assert (run.result.subtype, run.result.is_error) == ("error_max_structured_output_retries", True)
    assert run.result.terminal_reason == "structured_output_retry_exhausted"
    assert len(bench.api.calls.messages()) == 5


async def test_prose_instead_of_a_typed_answer_is_a_success(bench: Bench) -> None:
    """Prose is reminded of once; prose again ends as a success without structured_output."""
    bench.api.script = in_turn(Reply([text("Just prose.")]))
    run = await bench.run(output_format=OUTPUT)
    assert (run.result.subtype, run.result.is_error) == ("success", False)
    assert (run.result.structured_output, run.result.result) == (None, "Just prose.")
    reminded = bench.api.calls.messages()[1].request.last_user_text
    assert reminded.startswith("[structured-output-enforce]")
    assert len(bench.api.calls.messages()) == 2


async def test_turn_limit_counts_model_calls(bench: Bench) -> None:
    """With max_turns=2 the run ends after two model calls, its last tool having run; num_turns says three."""
    bench.api.script = working
    run = await bench.run(max_turns=2)
    assert (run.result.subtype, run.result.is_error) == ("error_max_turns", True)
    assert (run.result.terminal_reason, run.result.num_turns) == ("max_turns", 3)
    assert (len(bench.api.calls.messages()), len(bench.ran)) == (2, 2)


async def test_turn_limit_of_zero_is_no_limit(bench: Bench) -> None:
    """max_turns=0 does not stop anything: a limit used up must not be handed on as zero."""
    bench.api.script = lambda request: working(request) if request.turn < 3 else Reply([text("done")])
    run = await bench.run(max_turns=0)
    assert (run.result.subtype, len(bench.ran)) == ("success", 3)


async def test_402_ends_the_run_at_once(bench: Bench) -> None:
    """HTTP 402 is not retried: the result carries the status and the body's message, and says success."""
    bench.api.script = lambda request: (
        refused(402, "The budget of 5 USD is spent.") if request.turn else working(request)
    )
    run = await bench.run(env={"CLAUDE_CODE_MAX_RETRIES": "5"})
    result = run.result
    assert (result.subtype, result.is_error, result.terminal_reason) == ("success", True, "api_error")
    assert (result.api_error_status, result.result) == (402, "API Error: 402 The budget of 5 USD is spent.")
    assert [call.status for call in bench.api.calls.messages()] == [200, 402]


@pytest.mark.parametrize(
    ("status", "kind"),
    [(401, "authentication_failed"), (429, "rate_limit"), (500, "server_error"), (529, "overloaded")],
)
async def test_error_is_retried_as_often_as_allowed(bench: Bench, status: int, kind: str) -> None:
    """401, 429 and 5xx are retried CLAUDE_CODE_MAX_RETRIES times, each shown, and then end the run."""
    bench.api.script = lambda request: refused(status, "Not now.")
    run = await bench.run(env={"CLAUDE_CODE_MAX_RETRIES": "1"})
    assert [call.status for call in bench.api.calls.messages()] == [status, status]
    assert [(retry["attempt"], retry["error_status"], retry["error"]) for retry in retries(run)] == [
        (1, status, kind)
    ]
    assert (run.result.is_error, run.result.terminal_reason) == (True, "api_error")
    assert run.result.api_error_status == status
    assert "Not now." in (run.result.result or "")


async def test_retries_can_be_switched_off(bench: Bench) -> None:
    """With CLAUDE_CODE_MAX_RETRIES=0 the first error ends the run."""
    bench.api.script = lambda request: refused(500)
    await bench.run(env={"CLAUDE_CODE_MAX_RETRIES": "0"})
    assert len(bench.api.calls.messages()) == 1


async def test_retries_are_identical_and_not_numbered(bench: Bench) -> None:
    """A retry has the same bytes as the first attempt, and the same retry count in its headers: 0."""
    bench.api.script = lambda request: refused(429) if request.number == 1 else Reply([text("done")])
    run = await bench.run()
    first, second = [call.request for call in bench.api.calls.messages()]
    assert first.raw == second.raw
    assert (first.headers["x-stainless-retry-count"], second.headers["x-stainless-retry-count"]) == ("0", "0")
    assert run.result.result == "done"


async def test_retry_after_is_waited_for(bench: Bench) -> None:
    """The CLI's delay before the retry is at least the retry-after header's."""
    bench.api.script = lambda request: (
        refused(429, retry_after=1) if request.number == 1 else Reply([text("done")])
    )
    run = await bench.run()
    assert retries(run)[0]["retry_delay_ms"] >= 1000


@pytest.mark.parametrize(("model", "requests"), [(OLD, 3), (MODEL, 6)])
async def test_400_is_tried_again_without_newer_features(bench: Bench, model: str, requests: int) -> None:
    """HTTP 400 is repeated at once, with beta features taken away: not identical, and not shown."""
    bench.api.script = lambda request: refused(400, "Bad request.")
    run = await bench.run(env={"CLAUDE_CODE_MAX_RETRIES": "0"}, model=model)
    asked = [call.request for call in bench.api.calls.messages()]
    assert len({(request.raw, request.headers["anthropic-beta"]) for request in asked}) == requests
    assert (retries(run), run.result.api_error_status) == ([], 400)


async def test_400_is_final_without_experimental_betas(bench: Bench) -> None:
    """With CLAUDE_CODE_DISABLE_EXPERIMENTAL_BETAS=1 there is nothing to take away: 400 ends the run."""
    bench.api.script = lambda request: refused(400, "Bad request.")
    await bench.run(env={"CLAUDE_CODE_DISABLE_EXPERIMENTAL_BETAS": "1"})
    assert len(bench.api.calls.messages()) == 1


async def test_stream_cut_before_a_block_ended_is_retried(bench: Bench) -> None:
    """A stream cut in the middle of its only block is asked for again with the same bytes."""
    bench.api.script = lambda request: (
        Reply([text("Half of this.")], fault="cut_mid_block")
        if request.number == 1
        else Reply([text("done")])
    )
    run = await bench.run()
    first, second = bench.api.calls.messages()
    assert (first.outcome, second.outcome, first.request.raw == second.request.raw) == (
        "cut",
        "completed",
        True,
    )
    assert run.result.result == "done"


async def test_stream_cut_after_a_tool_call_is_not_retried(bench: Bench) -> None:
    """If a call's hook had fired when the stream was cut, the tool runs and the model goes on from there."""
    release = threading.Event()
    cut = Reply([tool_use(ECHO, {"value": "a"})], hold=release, hold_after=1, fault="cut_before_delta")
    bench.api.script = in_turn(cut, Reply([text("done")]))
    run = await bench.run(gate=Gate(on_fire=release.set))
    assert [call.outcome for call in bench.api.calls.messages()] == ["cut", "completed"]
    assert [result.text for result in bench.api.calls.messages()[1].request.tool_results()] == ["echo: a"]
    assert (run.result.result, len(bench.ran)) == ("done", 1)
