"""Where the true usage of a model call can be read, and where it cannot."""

from __future__ import annotations

import threading

from tests.kit.scripted_api import Reply, Tokens, in_turn, text, tool_use
from tests.kit.sdk import ECHO, Bench, Entry, Gate, Run
from tests.kit.sse import PROVISIONAL_OUTPUT_TOKENS

FIRST, SECOND = Tokens(11, 22, 33, 44), Tokens(1, 2, 3, 4)


async def two_calls(bench: Bench) -> Run:
    bench.api.script = in_turn(
        Reply([text("I look."), tool_use(ECHO, {"value": "a"})], usage=FIRST),
        Reply([text("done")], usage=SECOND),
    )
    return await bench.run()


def usage_of(entry: Entry) -> Tokens:
    usage = entry["message"]["usage"]
    return Tokens(**{name: usage[name] for name in Tokens.__dataclass_fields__})


def assistant_entries(bench: Bench, run: Run) -> list[Entry]:
    return [entry for entry in bench.store.transcript(run.session) if entry["type"] == "assistant"]


async def test_stored_entries_carry_the_final_usage(bench: Bench) -> None:
    """Each block's entry repeats its message's final usage, so they are to be counted once per message id."""
    run = await two_calls(bench)
    entries = assistant_entries(bench, run)
    assert [usage_of(entry) for entry in entries] == [FIRST, FIRST, FIRST, SECOND, SECOND]
    by_message = {entry["message"]["id"]: usage_of(entry) for entry in entries}
    assert sum(by_message.values(), Tokens(0, 0)) == bench.api.calls.served()


async def test_messages_of_the_sdk_carry_the_provisional_usage(bench: Bench) -> None:
    """AssistantMessage.usage has the output count of the message's start, which is wrong."""
    run = await two_calls(bench)
    said = [message.usage for message in run.assistant if message.usage]
    assert {usage["output_tokens"] for usage in said} == {PROVISIONAL_OUTPUT_TOKENS}


async def test_result_sums_the_run(bench: Bench) -> None:
    """ResultMessage.usage is the sum over this run's model calls."""
    run = await two_calls(bench)
    usage = run.result.usage
    assert usage is not None
    assert Tokens(**{name: usage[name] for name in Tokens.__dataclass_fields__}) == FIRST + SECOND


async def test_result_starts_again_at_a_resume(bench: Bench) -> None:
    """A resumed run's result counts the calls since the resume only."""
    run = await two_calls(bench)
    again = await bench.run("More.", resume=run.session)
    assert again.result.usage is not None
    assert again.result.usage["output_tokens"] == SECOND.output_tokens


async def test_cut_stream_leaves_the_provisional_usage(bench: Bench) -> None:
    """Of a message cut before its end the store keeps the provisional usage, followed by an error entry."""
    release = threading.Event()
    cut = Reply(
        [tool_use(ECHO, {"value": "a"})], hold=release, hold_after=1, fault="cut_before_delta", usage=FIRST
    )
    bench.api.script = in_turn(cut, Reply([text("done")], usage=SECOND))
    run = await bench.run(gate=Gate(on_fire=release.set))
    thought, call, error, *last = assistant_entries(bench, run)
    assert {usage_of(entry).output_tokens for entry in (thought, call)} == {PROVISIONAL_OUTPUT_TOKENS}
    assert (error["isApiErrorMessage"], usage_of(error).output_tokens) == (True, 0)
    assert [usage_of(entry) for entry in last] == [SECOND, SECOND]
