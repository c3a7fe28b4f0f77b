"""A conversation that has become too long: what the CLI asks for, what it writes, and what a resume shows."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from harness.transcript import view_for_cli
from tests.kit.script import Request, Script
from tests.kit.scripted_api import Reply, Tokens, in_turn, refused, text, tool_use
from tests.kit.sdk import DELEGATE, ECHO, Bench, Entry, Gate, Run, blocks

TOO_LONG = refused(400, "prompt is too long: 210000 tokens > 200000 maximum")
"""How the Messages API refuses a conversation that does not fit the model's window."""

SUMMARY = Reply([text("<analysis>Thinking.</analysis><summary>Two values.</summary>")])

CONTINUED = "This session is being continued from a previous conversation that ran out of context."


def asks_for_summary(request: Request) -> bool:
    last = request.messages[-1]["content"][-1]
    return str(last.get("text", "")).startswith("CRITICAL: Respond with TEXT ONLY. Do NOT call any tools.")


def compacting(*replies: Reply, at: Iterable[int] = (2,), summary: Reply = SUMMARY) -> Script:
    """Give the replies one after another; before those in `at`, the conversation is once too long."""
    rest, long = list(replies), set(at)
    given = 0

    def script(request: Request) -> Reply:
        nonlocal given
        if asks_for_summary(request):
            return summary
        if given in long:
            long.discard(given)
            return TOO_LONG
        given += 1
        return rest[min(given, len(rest)) - 1]

    return script


def echo(value: str) -> Reply:
    return Reply([text("I look."), tool_use(ECHO, {"value": value}, id=f"toolu_{value}")])


def delegate(value: str) -> Reply:
    return Reply([text("I delegate."), tool_use(DELEGATE, {"value": value}, id=f"toolu_{value}")])


DONE = Reply([text("done")])
DEFERRING = Gate(lambda firing: "defer" if firing.tool == DELEGATE else "allow")


def asked(bench: Bench) -> list[str]:
    """What each model call was, in order; "bound" had thinking that is bound to what had been left out."""
    kinds = {"completed": "step", "refused": "too long", "invalid": "bound"}
    return [
        "summary" if asks_for_summary(call.request) and not call.invalid else kinds[call.outcome]
        for call in bench.api.calls.messages()
    ]


def last_results(bench: Bench) -> list[tuple[str, str]]:
    return [(result.id, result.text) for result in bench.api.calls.messages()[-1].request.tool_results()]


def boundaries(bench: Bench, run: Run) -> list[Entry]:
    return [e for e in bench.store.transcript(run.session) if e.get("subtype") == "compact_boundary"]


async def test_a_refusal_as_too_long_is_answered_by_a_summary(bench: Bench) -> None:
    """On this HTTP 400 the CLI asks for a summary, asks its step again with it, and the run goes on.

    It keeps the newest turn with its thinking behind the summary, which the service refuses once: the CLI
    then asks without that thinking.
    """
    bench.api.script, bench.api.refuses = compacting(echo("a"), echo("b"), DONE), True
    run = await bench.run()
    assert asked(bench) == ["step", "step", "too long", "summary", "bound", "step"]
    assert run.result.result == "done"
    last = bench.api.calls.messages()[-1].request
    assert last.first_user_text.startswith(CONTINUED)
    assert "Two values." in last.first_user_text
    assert "Thinking." not in last.first_user_text
    assert last_results(bench) == [("toolu_b", "echo: b")], "the newest turn is kept word for word"


async def test_the_summary_is_asked_for_like_a_step(bench: Bench) -> None:
    """It offers the agent's tools under the agent's prompt: only its last text tells it from a step."""
    bench.api.script, bench.api.refuses = compacting(echo("a"), echo("b"), DONE), True
    await bench.run()
    step, summary = (call.request for call in bench.api.calls.messages()[2:4])
    for same in ("tools", "model", "max_tokens", "thinking", "metadata"):
        assert step.body[same] == summary.body[same]
    assert step.body["system"][1:] == summary.body["system"][1:]
    differing = {name for name in step.headers if step.headers[name] != summary.headers[name]}
    assert differing == {"content-length", "anthropic-beta"}
    betas = [set(one.headers["anthropic-beta"].split(",")) for one in (step, summary)]
    assert betas[1] - betas[0] == {"fallback-credit-2026-06-01"}
    assert [asks_for_summary(step), asks_for_summary(summary)] == [False, True]


@pytest.mark.parametrize(("window", "compacts"), [("", False), ("200000", True)])
async def test_a_full_window_alone_compacts_only_where_one_is_set(
    bench: Bench, window: str, compacts: bool
) -> None:
    """A usage near the window's end leads to a summary only with CLAUDE_CODE_AUTO_COMPACT_WINDOW."""
    full = Reply(echo("b").content, usage=Tokens(185_000, 50))
    bench.api.script, bench.api.refuses = compacting(echo("a"), full, DONE, at=()), compacts
    await bench.run(env={"CLAUDE_CODE_AUTO_COMPACT_WINDOW": window} if window else {})
    assert asked(bench) == ["step", "step", *(["summary", "bound"] if compacts else []), "step"]


async def test_a_compaction_begins_a_second_root(bench: Bench) -> None:
    """The boundary has no parent and names the leaf before it; the summary hangs on it; all else stays."""
    bench.api.script, bench.api.refuses = compacting(echo("a"), echo("b"), DONE), True
    run = await bench.run()
    entries = bench.store.transcript(run.session)
    (boundary,) = boundaries(bench, run)
    before = [entry for entry in entries[: entries.index(boundary)] if "uuid" in entry]
    assert (boundary["type"], boundary["parentUuid"]) == ("system", None)
    assert boundary["logicalParentUuid"] == before[-1]["uuid"]
    (summary,) = [entry for entry in entries if entry.get("isCompactSummary")]
    kept = boundary["compactMetadata"]["preservedSegment"]
    newest = [entry for entry in before if blocks([entry], "thinking")][-1]
    assert (kept["headUuid"], kept["tailUuid"]) == (newest["uuid"], before[-1]["uuid"])
    assert kept["anchorUuid"] == summary["uuid"]
    assert (summary["type"], summary["message"]["role"]) == ("user", "user")
    assert summary["message"]["content"].startswith(CONTINUED)
    parents = {entry["uuid"]: entry["parentUuid"] for entry in entries if "uuid" in entry}
    above = summary["uuid"]
    while parents[above] is not None:
        above = parents[above]
    assert above == boundary["uuid"]
    assert [call["id"] for call in blocks(entries, "tool_use")] == ["toolu_a", "toolu_b"]
    assert "Two values." not in str([block for block in blocks(entries, "text")]), "no assistant entry has it"


@pytest.mark.parametrize("ended", [True, False], ids=["ended", "killed after the summary was written"])
async def test_a_resume_shows_what_the_compaction_left(bench: Bench, ended: bool) -> None:
    """From the harness's view of the store: the summary, the turn kept word for word, and what came after."""
    bench.api.script, bench.api.refuses = compacting(echo("a"), echo("b"), DONE, DONE), True
    run = await bench.run()
    entries = bench.store.transcript(run.session)
    if not ended:
        summary = next(n for n, entry in enumerate(entries) if entry.get("isCompactSummary"))
        entries = entries[: summary + 1]
    bench.store.kept[run.session, ""] = [dict(entry) for entry in view_for_cli(entries)]
    await bench.run("Go on.", resume=run.session)
    request = bench.api.calls.messages()[-1].request
    assert request.first_user_text.startswith(CONTINUED)
    assert last_results(bench) == [("toolu_b", "echo: b")]
    answers = [message["content"] for message in request.messages if message["role"] == "assistant"]
    said = [next(block["text"] for block in answer if block["type"] == "text") for answer in answers]
    assert said == ["I look.", "done" if ended else "No response requested."]
    assert request.last_user_text == "Go on."


async def test_a_call_deferred_after_a_compaction_fires_again(bench: Bench) -> None:
    """The marker is written behind the boundary as ever; a resume fires the same id and repeats no call."""
    bench.api.script, bench.api.refuses = compacting(echo("a"), echo("b"), delegate("d"), DONE), True
    run = await bench.run(gate=DEFERRING)
    assert run.result.terminal_reason == "tool_deferred"
    calls = len(bench.api.calls.messages())
    gate = Gate()
    again = await bench.run(None, gate=gate, resume=run.session)
    assert [(firing.tool, firing.id) for firing in gate.fired] == [(DELEGATE, "toolu_d")]
    assert again.result.result == "done"
    assert asked(bench)[calls:] == ["step"]
    assert last_results(bench) == [("toolu_b", "echo: b"), ("toolu_d", "delegate: d")]


async def test_a_deferred_call_whose_result_is_too_much_is_kept(bench: Bench) -> None:
    """Where the first call after a resume is too long, the deferred call keeps its result word for word."""
    bench.api.script, bench.api.refuses = compacting(echo("a"), delegate("d"), DONE), True
    run = await bench.run(gate=DEFERRING)
    gate = Gate()
    again = await bench.run(None, gate=gate, resume=run.session)
    assert [firing.id for firing in gate.fired] == ["toolu_d"]
    assert asked(bench) == ["step", "step", "too long", "summary", "bound", "step"]
    assert last_results(bench)[0][0] == "toolu_d"
    assert last_results(bench)[0][1].startswith("delegate: d")
    assert again.result.result == "done"


async def test_a_suspended_session_is_not_compacted_by_hand(bench: Bench) -> None:
    """Resumed with `/compact`, the deferred call fires; no boundary is written, the marker still works."""
    bench.api.script = compacting(echo("a"), delegate("d"), DONE, at=())
    run = await bench.run(gate=DEFERRING)
    again = await bench.run("/compact", gate=DEFERRING, resume=run.session)
    assert again.result.deferred_tool_use is not None
    assert again.result.deferred_tool_use.id == "toolu_d"
    assert boundaries(bench, run) == []
    gate = Gate()
    last = await bench.run(None, gate=gate, resume=run.session)
    assert [firing.id for firing in gate.fired] == ["toolu_d"]
    assert (last.result.result, last_results(bench)) == (
        "done",
        [("toolu_a", "echo: a"), ("toolu_d", "delegate: d")],
    )


async def test_a_verbatim_prompt_is_no_command(bench: Bench) -> None:
    """With verbatim_prompts the model is shown `/compact` as it stands, and nothing is summed up."""
    bench.api.script = in_turn(DONE)
    run = await bench.run("/compact", verbatim_prompts=True)
    assert [call.request.last_user_text for call in bench.api.calls.messages()] == ["/compact"]
    assert boundaries(bench, run) == []


@pytest.mark.parametrize(("turns", "subtype"), [(3, "error_max_turns"), (4, "success")])
async def test_a_compaction_is_no_turn(bench: Bench, turns: int, subtype: str) -> None:
    """Refused steps and summaries do not count towards max_turns: four steps fit in four turns."""
    bench.api.script, bench.api.refuses = compacting(echo("a"), echo("b"), echo("c"), DONE, at=(1, 2)), True
    run = await bench.run(max_turns=turns)
    assert run.result.subtype == subtype
    assert asked(bench).count("summary") == 2


@pytest.mark.parametrize("status", [402, 529])
async def test_a_refused_summary_ends_the_run(bench: Bench, status: int) -> None:
    """The result tells of both failures, but its status is HTTP 400, whatever refused the summary."""
    bench.api.script = compacting(echo("a"), echo("b"), DONE, summary=refused(status, "Not now."))
    run = await bench.run()
    result = run.result
    assert (result.is_error, result.terminal_reason) == (True, "prompt_too_long")
    assert result.result is not None
    told = f"Prompt is too long · automatic compaction failed: API Error: {status} Not now."
    assert result.result.startswith(told)
    assert result.api_error_status == 400
