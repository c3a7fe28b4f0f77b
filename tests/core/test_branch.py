"""Where a conversation is cut when its session is forked: by what the journal knows of it, by no clock."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from harness import events as ev
from harness.branch import Witness, read_point
from harness.errors import BadInput
from harness.transcript import view_for_cli
from tests.kit.journals import Book, finished, requested, task, tool_requested
from tests.kit.script import text, tool_use
from tests.kit.transcripts import Transcript, calls_in, results_in

RUN = "0d2c5b1e-7a39-5f7e-8a51-2b0a6d3f4c11"
DELEGATE = "mcp__harness__delegate"
SEARCH = "mcp__corpus__search"


class Talk:
    """A journal and a transcript that are written side by side."""

    def __init__(self) -> None:
        self.book = Book()
        self.told = Transcript()

    def add(self, payload: ev.AnyPayload) -> int:
        """Commit an event of the run, and give its number."""
        return self.book.add(payload, RUN).seq

    def start(self, attempt: int = 1, claude_session_id: str = "claude-1") -> int:
        """Begin an attempt with a prompt."""
        seq = self.add(
            ev.AgentRunStarted(
                attempt=attempt, entry="prompt", recovered=attempt > 1,
                claude_session_id=claude_session_id, folder="/nowhere",
            )
        )  # fmt: skip
        self.told.prompt("Why?" if attempt == 1 else f"It was interrupted, {attempt}.")
        return seq

    def answers(self, *blocks: Any) -> int:
        """A model message and the commit of its end; its message id is the transcript's."""
        message = self.told.says(*blocks)
        self.add(requested(f"call of {message}"))
        return self.add(finished(f"call of {message}", message_id=message))

    def runs(self, tool_use_id: str) -> tuple[int, int]:
        """A tool call from its checkpoint to its stored result."""
        asked = self.add(tool_requested(tool_use_id))
        ended = self.add(ev.ToolFinished(tool_use_id=tool_use_id, tool=SEARCH))
        self.told.result(tool_use_id)
        return asked, ended

    def cut(self, at: int) -> list[Mapping[str, Any]]:
        """What of the transcript was there at an event."""
        witness = Witness.of(self.book.events)
        stored = witness.stored_as("claude-1", at)
        return self.told.entries[: witness.cut(stored, self.told.entries, at)]

    def answered(self, at: int) -> list[str]:
        return Witness.of(self.book.events).answered(self.cut(at), at)


def search(name: str) -> Any:
    return tool_use(SEARCH, {"query": name}, id=f"toolu_{name}")


def two_searches() -> tuple[Talk, dict[str, int]]:
    """An agent that searches twice and answers."""
    talk, at = Talk(), dict[str, int]()
    at["start"] = talk.start()
    at["first"] = talk.answers(text("Let me look."), search("a"))
    at["asked a"], at["ended a"] = talk.runs("toolu_a")
    at["second"] = talk.answers(search("b"))
    at["asked b"], at["ended b"] = talk.runs("toolu_b")
    at["third"] = talk.answers(text("That is all."))
    at["end"] = talk.add(ev.AgentRunAnswered(output="That is all.", work_s=1))
    return talk, at


@pytest.mark.parametrize(
    ("point", "calls", "results"),
    [
        ("start", [], []),
        ("first", ["toolu_a"], []),
        ("asked a", ["toolu_a"], []),
        ("ended a", ["toolu_a"], ["toolu_a"]),
        ("second", ["toolu_a", "toolu_b"], ["toolu_a"]),
        ("asked b", ["toolu_a", "toolu_b"], ["toolu_a"]),
        ("ended b", ["toolu_a", "toolu_b"], ["toolu_a", "toolu_b"]),
    ],
)
def test_it_is_cut_after_what_had_been_told_of(point: str, calls: list[str], results: list[str]) -> None:
    """Messages with their end, results with their tool's end; what is cut off is later than the point."""
    talk, at = two_searches()
    kept = talk.cut(at[point])
    assert (calls_in(kept), results_in(kept)) == (calls, results)
    assert view_for_cli(kept) == list(kept), "every entry that is kept hangs on one that is kept"


def test_where_nothing_came_later_all_is_kept() -> None:
    """Also what no event speaks of, like the notes at a CLI's clean end."""
    talk, at = two_searches()
    talk.told.ended()
    assert talk.cut(at["end"]) == talk.told.entries
    assert talk.cut(at["third"]) == talk.told.entries


def test_what_a_later_attempt_was_told_is_left_out() -> None:
    """Its prompt stands before its first message, and no event speaks of it."""
    talk = Talk()
    talk.start()
    first = talk.answers(search("a"))
    _, ended = talk.runs("toolu_a")
    before = len(talk.told.entries)
    talk.start(2)
    assert len(talk.cut(ended)) == before, "also when it has brought nothing yet"
    talk.answers(text("On."))
    assert len(talk.cut(ended)) == before
    assert calls_in(talk.cut(first)) == ["toolu_a"]


def test_a_compaction_goes_with_the_message_after_it() -> None:
    """Its summary is of the time of whoever has read it."""
    talk = Talk()
    talk.start()
    first = talk.answers(text("So far."))
    before = len(talk.told.entries)
    talk.told.remark("This is a summary.")
    second = talk.answers(text("On."))
    assert len(talk.cut(first)) == before
    assert talk.cut(second) == talk.told.entries


def test_a_message_of_which_a_call_was_committed_is_there() -> None:
    """A call is committed before its message has ended; the answer is known whole, and not bought again."""
    talk = Talk()
    talk.start()
    message = talk.told.says(text("Two things."), search("a"), search("b"))
    talk.add(requested("call"))
    asked = talk.add(tool_requested("toolu_a"))
    ended = talk.add(finished("call", message_id=message))
    talk.add(tool_requested("toolu_b"))
    talk.add(ev.ToolFinished(tool_use_id="toolu_a", tool=SEARCH))
    talk.told.result("toolu_a")
    assert calls_in(talk.cut(asked)) == ["toolu_a", "toolu_b"]
    assert results_in(talk.cut(asked)) == []
    assert talk.answered(asked) == ["call"]
    assert talk.answered(ended) == []
    assert talk.cut(asked - 1) == []


def test_a_message_whose_end_nobody_knows_is_there_once_a_call_of_it_was_committed() -> None:
    """It was cut off by a kill; its tool may have run."""
    talk = Talk()
    start = talk.start()
    talk.add(requested("call"))
    talk.told.says(search("a"))
    asked, ended = talk.runs("toolu_a")
    assert talk.cut(start) == []
    assert calls_in(talk.cut(asked)) == ["toolu_a"]
    assert results_in(talk.cut(ended)) == ["toolu_a"]
    assert talk.answered(asked) == []


def test_results_that_the_journal_does_not_know_stay_between_those_it_does() -> None:
    """The CLI refuses an unknown tool itself, and a resume answers for calls that were cut off."""
    talk = Talk()
    talk.start()
    talk.answers(tool_use("Nothing", {}, id="toolu_x"))
    talk.told.result("toolu_x", "<tool_use_error>No such tool</tool_use_error>", error=True)
    second = talk.answers(text("Then not."))
    assert results_in(talk.cut(second)) == ["toolu_x"]
    assert results_in(talk.cut(second - 1)) == []


def test_a_denied_call_has_its_result_with_its_denial() -> None:
    """No tool ran, and the agent was told why."""
    talk = Talk()
    talk.start()
    talk.answers(search("a"))
    denied = talk.add(ev.ToolDenied(tool_use_id="toolu_a", tool=SEARCH, hook="budget", reason="Spent."))
    talk.told.result("toolu_a", "Spent.", error=True)
    talk.answers(text("Well."))
    assert results_in(talk.cut(denied)) == ["toolu_a"]
    assert results_in(talk.cut(denied - 1)) == []


def test_the_results_of_a_delegation_come_with_its_delivery() -> None:
    """Asleep, the lead has its call; awake, what came of it."""
    talk = Talk()
    talk.start()
    talk.answers(tool_use(DELEGATE, {"tasks": []}, id="toolu_d"))
    asked = talk.add(ev.DelegationRequested(tool_use_id="toolu_d", call_id=None, tasks=(task("a", {}),)))
    talk.told.marker("toolu_d")
    asleep = talk.add(ev.AgentRunSuspended(tool_use_id="toolu_d", work_s=1))
    delivered = talk.add(ev.ToolFinished(tool_use_id="toolu_d", tool=DELEGATE))
    talk.told.result("toolu_d")
    talk.answers(text("Good."))
    for at in (asked, asleep):
        assert (calls_in(talk.cut(at)), results_in(talk.cut(at))) == (["toolu_d"], [])
    assert results_in(talk.cut(delivered)) == ["toolu_d"]


def test_a_fork_knows_its_conversations_by_the_names_it_has_given_them() -> None:
    """Before its first own event they had the origin's names, and are stored under its own all the same."""
    talk = Talk()
    talk.start()
    first = talk.answers(text("So far."))
    renamed = {"claude-1": "claude-2"}
    forked = talk.book.add(ev.SessionForked(origin="o", root="o", at=first, conversations=renamed)).seq
    again = talk.book.add(
        ev.SessionForked(origin="p", root="o", at=forked, conversations={"claude-2": "claude-3"})
    ).seq
    witness = Witness.of(talk.book.events)
    assert witness.stored_as("claude-1", first) == "claude-3"
    assert witness.stored_as("claude-2", forked) == "claude-3"
    assert witness.stored_as("claude-3", again) == "claude-3"
    assert witness.newest == {"claude-3": first}


@pytest.mark.parametrize(
    ("given", "point"),
    [
        ("12", 12),
        (12, 12),
        (" 7 ", 7),
        ("ABCD", "abcd"),
        ("1234567890123456", "1234567890123456"),
        ("12ab", "12ab"),
    ],
)
def test_a_point_is_an_event_or_a_span(given: int | str, point: int | str) -> None:
    """Digits are a number, unless there are as many as a span's id has."""
    assert read_point(given) == point


@pytest.mark.parametrize("given", ["0", 0, -1, "-1", "", "abc", "xyz9", "1.5", "12345678901234567", "\u0663"])
def test_what_is_neither_is_refused(given: int | str) -> None:
    """In one sentence that says where the numbers are."""
    with pytest.raises(BadInput, match="neither the number of an event"):
        read_point(given)
