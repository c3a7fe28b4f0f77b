"""Where an agent run goes on: a table of endings, and every cut of random conversations."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.delegation import DELEGATE
from harness.records import Limits, Replay
from harness.resume import (
    STRUCTURED_OUTPUT,
    Prompt,
    Refire,
    ResumePoint,
    Settled,
    Sleep,
    StartFresh,
    resume_point,
)
from harness.state import Delegation, RunState, ToolCall
from harness.transcript import has_call, has_call_and_marker, view_for_cli, whole
from tests.kit.journals import BEGAN, SEEDS, printing_seeds, task
from tests.kit.script import Block, text, tool_use
from tests.kit.transcripts import Entry, Transcript, calls_in, results_in, said_about

SEARCH = "mcp__corpus__search"


def run(**given: Any) -> RunState:
    """An agent run whose process is gone."""
    fields: dict[str, Any] = {
        "id": "run",
        "agent": "lead",
        "bundle_version": "v",
        "parent_id": None,
        "path": "q0",
        "task": task("lead", {}),
        "members": (),
        "limits": Limits(),
        "continues": None,
        "created_at": BEGAN,
        "claude_session_id": "claude-1",
        "status": "running",
        "attempt": 1,
    }
    return RunState(**(fields | given))


def tools(**replays: Replay) -> dict[str, ToolCall]:
    """Tool calls as the journal knows them, by id."""
    return {id: ToolCall(id, SEARCH, {}, replay, BEGAN, 1) for id, replay in replays.items()}


def delegation(id: str, **given: Any) -> dict[str, Delegation]:
    """One delegation as the journal knows it."""
    return {id: Delegation(id, None, [task("researcher", {})], **given)}


def search(id: str) -> Block:
    return tool_use(SEARCH, {"query": id}, id=id)


def delegate(id: str) -> Block:
    return tool_use(DELEGATE, {"tasks": [id]}, id=id)


def answer(value: Any, id: str = "out") -> Block:
    return tool_use(STRUCTURED_OUTPUT, value, id=id)


def told(*blocks: Block) -> Transcript:
    """A conversation whose first message has these blocks."""
    transcript = Transcript()
    transcript.prompt("Why?")
    if blocks:
        transcript.says(*blocks)
    return transcript


# -- the table


def test_nothing_said_yet_starts_afresh() -> None:
    """No Claude session, an empty one, or one with only a prompt: begin anew."""
    assert resume_point(run(claude_session_id=None), []) == StartFresh()
    assert resume_point(run(), []) == StartFresh()
    assert resume_point(run(), told().entries) == StartFresh()


def test_a_last_text_is_the_outcome() -> None:
    """A message that ended its turn with text is the outcome, whether or not the exit was clean."""
    transcript = told(text("The report."))
    assert resume_point(run(), transcript.entries) == Settled("The report.")
    transcript.ended()
    assert resume_point(run(), transcript.entries) == Settled("The report.")


def test_of_several_texts_the_last_is_the_outcome() -> None:
    """As the CLI reports it (tests/sdk_facts), so that a resumed run has the same outcome as another."""
    assert resume_point(run(), told(text("First."), text("Second.")).entries) == Settled("Second.")


def test_an_answer_that_was_cut_off_and_went_on_is_one_outcome() -> None:
    """Joined without a gap; what was said before a tool call, or by the CLI, is not part of it."""
    transcript = Transcript()
    transcript.prompt("Why?")
    transcript.says(text("Let me look."), tool_use("search", {}, "toolu_1"), stop="tool_use")
    transcript.result("toolu_1", "There.")
    for part in ("One, ", "two, "):
        transcript.says(text(part), stop="max_tokens")
        transcript.remark("Output token limit hit. Resume directly.")
    transcript.says(text("three."))
    assert resume_point(run(), transcript.entries) == Settled("One, two, three.")


@pytest.mark.parametrize("stop", ["max_tokens", "stop_sequence", "refusal", "pause_turn"])
def test_a_text_that_did_not_end_its_turn_is_none(stop: str) -> None:
    """What broke off, and what the CLI wrote in the model's place, is no outcome."""
    transcript = Transcript()
    transcript.prompt("Why?")
    transcript.says(text("API Error: 529"), stop=stop, synthetic=stop == "stop_sequence")
    assert resume_point(run(), transcript.entries) == Prompt()


def test_prose_is_no_outcome_where_a_typed_one_is_due() -> None:
    """A typed run whose model answered in prose goes on: the CLI would have asked for the typed answer."""
    transcript = told(text("Prose."))
    assert resume_point(run(), transcript.entries, typed=True) == Prompt()


def test_an_accepted_typed_answer_is_the_outcome() -> None:
    """Also when the model added a text, or another message of text, after it."""
    transcript = told(text("Here:"), answer({"n": 1}))
    transcript.attachment("structured_output", data={"n": 1}, toolUseID="out")
    transcript.result("out", "Structured output provided successfully")
    assert resume_point(run(), transcript.entries, typed=True) == Settled({"n": 1})
    transcript.remark()
    assert resume_point(run(), transcript.entries, typed=True) == Settled({"n": 1})
    transcript.says(text("That was it."))
    assert resume_point(run(), transcript.entries, typed=True) == Settled({"n": 1})


def test_a_typed_answer_cut_off_from_its_result_is_the_outcome() -> None:
    """Fired again, the call would no longer end the CLI's turn: another model call, and no typed outcome."""
    assert resume_point(run(), told(answer({"n": 1})).entries, typed=True) == Settled({"n": 1})
    beside = told(search("a"), answer({"n": 1}))
    assert resume_point(run(), beside.entries, typed=True) == Settled({"n": 1})


def test_a_rejected_typed_answer_is_none() -> None:
    """After its error, and after any call that follows it, the run goes on; the next one may be accepted."""
    transcript = told(answer({"n": "x"}))
    transcript.result("out", "n: not an integer", error=True)
    assert resume_point(run(), transcript.entries, typed=True) == Prompt()
    transcript.says(search("a"))
    transcript.result("a")
    assert resume_point(run(), transcript.entries, typed=True) == Prompt()
    transcript.says(answer({"n": 2}, "again"))
    transcript.result("again")
    assert resume_point(run(), transcript.entries, typed=True) == Settled({"n": 2})


def test_work_after_an_accepted_answer_undoes_it() -> None:
    """A typed answer that was followed by another call is not what the run ended with."""
    transcript = told(answer({"n": 1}))
    transcript.result("out")
    transcript.says(search("a"))
    transcript.result("a")
    assert resume_point(run(), transcript.entries, typed=True) == Prompt()


def test_every_call_answered_is_a_prompt() -> None:
    """Between a tool's result and the next message only a model call can follow."""
    transcript = told(search("a"))
    transcript.result("a")
    assert resume_point(run(), transcript.entries) == Prompt()
    transcript.remark()
    assert resume_point(run(), transcript.entries) == Prompt()


def test_the_clis_filler_before_a_prompt_is_no_outcome() -> None:
    """The CLI puts a text of its own between an interrupted turn and our prompt."""
    transcript = told(search("a"))
    transcript.result("a")
    transcript.says(text("No response requested."), stop="stop_sequence", synthetic=True)
    assert resume_point(run(), transcript.entries) == Prompt()
    transcript.prompt("Go on.")
    assert resume_point(run(), transcript.entries) == Prompt()


def test_a_later_prompt_closes_a_call() -> None:
    """A call that was never answered before a further prompt is answered for by the CLI."""
    transcript = told(search("a"))
    transcript.prompt("Go on.")
    assert resume_point(run(), transcript.entries) == Prompt()
    transcript.says(text("Done."))
    assert resume_point(run(), transcript.entries) == Settled("Done.")


def test_a_delegation_that_reached_the_transcript_is_slept_for() -> None:
    """With or without its marker, a requested delegation needs no process to be suspended."""
    transcript = told(text("I delegate."), delegate("d"))
    assert resume_point(run(delegations=delegation("d")), transcript.entries) == Sleep("d")
    transcript.marker("d")
    transcript.attachment("prompt_snapshot")
    assert resume_point(run(delegations=delegation("d")), transcript.entries) == Sleep("d")


def test_a_sleeper_is_woken_at_its_call() -> None:
    """With the CLI's own marker nothing is added."""
    transcript = told(delegate("d"))
    transcript.marker("d")
    transcript.attachment("prompt_snapshot")
    awake = run(delegations=delegation("d", suspended=True))
    assert resume_point(awake, transcript.entries) == Refire("d")


def test_a_delivered_delegation_whose_result_was_lost_is_fired_again() -> None:
    """The journal knows of the delivery, the transcript has no result: the same call asks for it again."""
    transcript = told(delegate("d"))
    transcript.marker("d")
    awake = run(delegations=delegation("d", suspended=True, delivered=True))
    assert resume_point(awake, transcript.entries) == Refire("d")


def test_a_missing_marker_is_supplied_in_its_known_form() -> None:
    """The marker of a call that was cut off hangs on the last entry and has the fields of its siblings."""
    transcript = told(text("I look."), search("a"))
    transcript.loose("queue-operation", operation="enqueue")
    point = resume_point(run(), transcript.entries)
    assert isinstance(point, Refire)
    (marker,) = point.add
    wanted = Transcript()
    wanted.entries = transcript.entries[:-1]
    wanted.marker("a")
    assert {**marker, "uuid": ""} == {**wanted.entries[-1], "uuid": ""}
    assert resume_point(run(), [*transcript.entries, marker]) == Refire("a")


def test_siblings_that_were_cut_off_get_an_error() -> None:
    """One call is fired again; each other one without a result is told what became of it."""
    transcript = told(search("ran"), search("safe"), search("shot"), search("unknown"), search("ended"))
    transcript.result("ran")
    known = tools(ran="read_only", safe="read_only", shot="unsafe", ended="unsafe")
    known["ended"].finished = True
    point = resume_point(run(tools=known), transcript.entries)
    assert isinstance(point, Refire)
    assert point.tool_use_id == "safe"
    *errors, marker = point.add
    assert results_in(errors) == ["shot", "unknown", "ended"]
    assert all('"is_error": true' in said_about(errors, id) for id in results_in(errors))
    assert "unknown" in said_about(errors, "shot")
    assert "before it ran" in said_about(errors, "unknown")
    assert "run to its end" in said_about(errors, "ended")
    assert marker["attachment"]["toolUseID"] == "safe"
    after = [*transcript.entries, *point.add]
    assert whole(after) == after
    assert resume_point(run(tools=known), after) == Refire("safe")


def test_a_joined_call_that_was_cut_off_is_not_to_be_repeated() -> None:
    """Its tasks run with the first call's, so the agent is told so, and not to make the call again."""
    transcript = told(delegate("d"), delegate("e"))
    transcript.marker("d")
    awake = run(delegations=delegation("d", suspended=True, joined=["e"]))
    point = resume_point(awake, transcript.entries)
    assert isinstance(point, Refire)
    assert point.tool_use_id == "d"
    assert "joined to your first" in said_about(point.add, "e")


def test_a_delegation_is_preferred_to_its_siblings() -> None:
    """A lead is woken at its delegation, whatever else was cut off beside it."""
    transcript = told(search("a"), delegate("d"))
    transcript.marker("d")
    sleeping = run(delegations=delegation("d"), tools=tools(a="read_only"))
    assert resume_point(sleeping, transcript.entries) == Sleep("d")
    awake = run(delegations=delegation("d", suspended=True), tools=tools(a="read_only"))
    point = resume_point(awake, transcript.entries)
    assert isinstance(point, Refire)
    assert (point.tool_use_id, results_in(point.add)) == ("d", ["a"])
    assert point.add[-1]["attachment"]["type"] == "hook_deferred_tool"


def test_a_lone_unsafe_call_is_fired_again_for_a_hook_to_decide() -> None:
    """There is nothing safer to go on at."""
    point = resume_point(run(tools=tools(a="unsafe")), told(search("a")).entries)
    assert isinstance(point, Refire)
    assert point.tool_use_id == "a"


def test_a_voided_delegation_is_a_call_like_others() -> None:
    """It is fired again: the hook commits it anew."""
    point = resume_point(run(delegations=delegation("d", voided=True)), told(delegate("d")).entries)
    assert isinstance(point, Refire)


def test_a_reopened_run_does_not_settle_on_its_earlier_end() -> None:
    """Granted more, it goes on from its write-up, typed or not; a call left open is fired again."""
    assert resume_point(run(reopened=True), told(text("All I have.")).entries) == Prompt()
    typed = told(answer({"n": 1}))
    typed.result("out")
    assert resume_point(run(reopened=True), typed.entries, typed=True) == Prompt()
    assert isinstance(resume_point(run(reopened=True), told(search("a")).entries), Refire)


def test_only_an_unanswered_call_counts_as_there() -> None:
    """A delegation whose call is missing, or was answered by a refusal, can no longer be slept for."""
    transcript = told(delegate("d"))
    assert has_call(transcript.entries, "d")
    assert not has_call(transcript.entries, "e")
    transcript.result("d", "denied", error=True)
    assert not has_call(transcript.entries, "d")


def test_a_suspension_is_proved_by_call_and_marker() -> None:
    """Neither alone is enough, nor a marker that is not the newest."""
    transcript = told(delegate("d"), delegate("e"))
    assert not has_call_and_marker(transcript.entries, "d")
    transcript.marker("d")
    assert has_call_and_marker(transcript.entries, "d")
    assert not has_call_and_marker(transcript.entries[-1:], "d")
    transcript.marker("e")
    assert not has_call_and_marker(transcript.entries, "d")


def test_what_hangs_on_a_missing_entry_is_left_out() -> None:
    """A hole cuts off everything below it; entries without an id stay."""
    transcript = told(search("a"))
    transcript.result("a")
    transcript.says(text("Done."))
    transcript.ended()
    call = transcript.call("a")
    holed = [entry for entry in transcript.entries if entry is not call]
    kept = whole(holed)
    assert results_in(kept) == []
    assert [entry["type"] for entry in kept][-1] == "last-prompt"
    assert resume_point(run(), holed) == StartFresh()


def test_a_stale_note_of_an_exit_is_not_shown() -> None:
    """The CLI would go on at the leaf that a `last-prompt` names; nothing else is left out of the view."""
    transcript = told(delegate("d"))
    transcript.marker("d")
    transcript.ended()
    assert view_for_cli(transcript.entries) == transcript.entries[:-1]


def test_a_continued_session_is_judged_by_its_own_part() -> None:
    """What an earlier question's run said, and left open, is not this run's."""
    transcript = told(text("The first report."))
    before = len(transcript.entries)
    follow_up = run(transcript_from=before, continues="earlier")
    assert resume_point(follow_up, transcript.entries) == StartFresh()
    transcript.prompt("And now?")
    assert resume_point(follow_up, transcript.entries) == StartFresh()
    transcript.says(text("The second report."))
    assert resume_point(follow_up, transcript.entries) == Settled("The second report.")
    assert resume_point(run(), transcript.entries[:before]) == Settled("The first report.")


# -- every cut of random conversations


@dataclass
class Conversation:
    """A whole conversation, and what the journal knows of it."""

    told: Transcript
    typed: bool
    output: Any
    tools: dict[str, ToolCall] = field(default_factory=dict)
    delegations: dict[str, Delegation] = field(default_factory=dict)
    rejected: dict[str, Any] = field(default_factory=dict)

    def run(self, entries: list[Entry], random: Random, **given: Any) -> RunState:
        """The agent run at a cut: a suspension may be committed once its marker has been stored."""
        delegations = copy.deepcopy(self.delegations)
        for id, known in delegations.items():
            known.suspended = has_call_and_marker(entries, id) and random.random() < 0.5
            known.suspended |= id in results_in(entries)
        return run(tools=self.tools, delegations=delegations, **given)


def conversation(random: Random, told: Transcript) -> Conversation:
    """Add a random conversation to a transcript, as an uninterrupted run would."""
    made = Conversation(told, typed=random.random() < 0.5, output="The report.")
    first = len(calls_in(told.entries))
    told.prompt("Why?")
    for _ in range(random.randrange(4)):
        shape = random.choice(["tools", "delegate", "rejected" if made.typed else "tools"])
        new = len(calls_in(told.entries)) - first
        if shape == "rejected":
            made.rejected[f"r{first}_{new}"] = {"n": "x"}
            told.says(answer({"n": "x"}, f"r{first}_{new}"))
            told.result(f"r{first}_{new}", "no", error=True)
        elif shape == "tools":
            _some_tools(made, random, [f"t{first}_{new}_{n}" for n in range(random.randint(1, 3))])
        else:
            _a_delegation(made, random, f"d{first}_{new}")
    told.says(text("Thinking aloud."), *([answer({"n": 1}, f"o{first}")] if made.typed else []))
    if made.typed:
        made.output = {"n": 1}
        told.result(f"o{first}")
    else:
        made.output = "Thinking aloud."
    told.ended()
    return made


def _some_tools(made: Conversation, random: Random, ids: list[str]) -> None:
    for id in ids:
        if random.random() < 0.8:
            replay: Replay = random.choice(["read_only", "idempotent", "unsafe"])
            made.tools |= tools(**{id: replay})
    made.told.says(text("I look."), *map(search, ids))
    for id in random.sample(ids, len(ids)):
        made.told.result(id, error=random.random() < 0.2)


def _a_delegation(made: Conversation, random: Random, id: str) -> None:
    further, beside = random.random() < 0.4, random.random() < 0.4
    blocks = [delegate(id), *([delegate(f"{id}_more")] if further else [])]
    blocks += [search(f"{id}_beside")] if beside else []
    made.delegations |= delegation(id, joined=[f"{id}_more"] if further else [])
    made.told.says(*blocks)
    made.told.marker(id)
    for sibling in ([f"{id}_more"] if further else []) + ([f"{id}_beside"] if beside else []):
        made.told.result(sibling, error=sibling.endswith("more"))
    made.told.attachment("prompt_snapshot")
    made.told.loose("queue-operation", operation="enqueue")
    made.told.result(id)
    made.told.remark()


def check(made: Conversation, entries: list[Entry], known: RunState, own: list[Entry]) -> ResumePoint:
    """Ask at one cut, and hold the answer to what must be so wherever the cut lies."""
    before = copy.deepcopy(entries)
    point = resume_point(known, entries, typed=made.typed)
    assert entries == before
    assert resume_point(known, entries, typed=made.typed) == point
    said = any(entry["type"] == "assistant" for entry in own)
    assert isinstance(point, StartFresh) == (not said)
    unanswered = set(calls_in(own)) - set(results_in(own))
    match point:
        case StartFresh():
            pass
        case Settled(output=output):
            waiting = [made.rejected[id] for id in unanswered & made.rejected.keys()]
            assert output == made.output or output in waiting
            assert output in waiting or _last_said(own) in (made.told.entries[-2], made.told.entries[-3])
        case Sleep(tool_use_id=id):
            assert id in unanswered
            assert not known.delegations[id].suspended
        case Refire(tool_use_id=id, add=add):
            assert id in unanswered
            assert set(results_in(add)) == unanswered - {id}
            after = [*entries, *add]
            assert whole(after) == [*whole(entries), *add]
            assert len({e["uuid"] for e in after if "uuid" in e}) == sum("uuid" in e for e in after)
            assert resume_point(known, after, typed=made.typed) == Refire(id)
            assert has_call_and_marker(after, id)
            _check_safety(known, id, unanswered)
        case Prompt():
            assert not unanswered
    return point


def _check_safety(known: RunState, chosen: str, unanswered: set[str]) -> None:
    if chosen in known.delegations:
        return
    unsafe = {id for id in unanswered if id in known.tools and known.tools[id].replay == "unsafe"}
    assert chosen not in unsafe or unanswered == unsafe


def _last_said(entries: list[Entry]) -> Entry:
    return next(entry for entry in reversed(entries) if entry["type"] in ("user", "assistant"))


@printing_seeds
@given(SEEDS)
def test_every_cut_of_a_conversation_goes_on_safely(seed: int) -> None:
    """No call is lost or made twice, nothing unfinished is an outcome, and a finished run is finished."""
    random = Random(seed)
    made = conversation(random, Transcript())
    for cut in range(len(made.told.entries) + 1):
        entries = made.told.entries[:cut]
        check(made, entries, made.run(entries, random), entries)
    ended = resume_point(made.run(made.told.entries, random), made.told.entries, typed=made.typed)
    assert ended == Settled(made.output)


@printing_seeds
@given(SEEDS)
def test_every_cut_of_a_follow_up_is_judged_alone(seed: int) -> None:
    """With an earlier question's conversation before it, each cut is answered as if that were not there."""
    random = Random(seed)
    both = Transcript()
    conversation(random, both)
    before = len(both.entries)
    made = conversation(random, both)
    for cut in range(before, len(both.entries) + 1):
        entries = both.entries[:cut]
        known = made.run(entries, random, transcript_from=before)
        check(made, entries, known, entries[before:])


@printing_seeds
@given(SEEDS, st.data())
def test_a_hole_is_as_if_the_transcript_ended_there(seed: int, data: st.DataObject) -> None:
    """With any one entry missing, the answer is the one for what still hangs together."""
    random = Random(seed)
    made = conversation(random, Transcript())
    entries = list(made.told.entries)
    del entries[data.draw(st.sampled_from([n for n, entry in enumerate(entries) if "uuid" in entry]))]
    rest = whole(entries)
    ids = {entry["uuid"] for entry in rest if "uuid" in entry}
    assert all(entry.get("parentUuid") in ids | {None} for entry in rest)
    known = made.run(rest, random)
    assert resume_point(known, entries, typed=made.typed) == resume_point(known, rest, typed=made.typed)
