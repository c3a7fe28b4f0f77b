"""Where a fork begins: the point a person names, and how far the conversations of its agents went there.

A transcript tells no event numbers, but the journal knows the model messages and the tool calls that stand in
it. What it first told of later than the point is not the fork's.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from harness import events as ev
from harness.errors import BadInput
from harness.transcript import Entry, message_id, tool_calls, tool_results

SHORTEST = 4
"""How many characters of a span's id name it, if no other one begins alike."""

_SPAN = re.compile(rf"[0-9a-f]{{{SHORTEST},16}}")
_WHOLE_SPAN = 16


def read_point(given: int | str) -> int | str:
    """Read a point: the number of an event, or a span's id or its beginning, which is given as a text.

    Raises:
        BadInput: it can be neither.
    """
    text = str(given).strip().lower()
    if text.isdecimal() and text.isascii() and len(text) < _WHOLE_SPAN and int(text) > 0:
        return int(text)
    if _SPAN.fullmatch(text):
        return text
    raise BadInput(
        f"--at '{given}' is neither the number of an event (1 or more) nor a span's id; "
        "harness show lists the numbers of the checkpoints."
    )


@dataclass
class Witness:
    """What a journal knows of its agents' conversations, with the number of the event that told it first.

    `ended` are the ends of model messages, `asked` the checkpoints and `settled` the ends of tool calls,
    `newest` the newest event of each Claude session that leaves a trace in its transcript.
    """

    ended: dict[str, int] = field(default_factory=dict)
    asked: dict[str, int] = field(default_factory=dict)
    settled: dict[str, int] = field(default_factory=dict)
    newest: dict[str, int] = field(default_factory=dict)
    _calls: dict[str, str] = field(default_factory=dict)
    _renamed: list[tuple[int, Mapping[str, str]]] = field(default_factory=list)

    @classmethod
    def of(cls, journal: Iterable[ev.Event]) -> Witness:
        """Hear what a session's whole journal has to say."""
        witness = cls()
        at_work: dict[str, str] = {}
        for event in journal:
            witness._hear(event, at_work)
        return witness

    def stored_as(self, claude_session_id: str, at: int) -> str:
        """Under which id a Claude session named at this event is stored: a fork renames what it copies."""
        for seq, renamed in self._renamed:
            if seq > at:
                claude_session_id = renamed.get(claude_session_id, claude_session_id)
        return claude_session_id

    def cut(self, stored_id: str, entries: Sequence[Entry], at: int) -> int:
        """Say how many entries of a transcript were there at this event.

        It ends after the last entry that the journal had told of by then. What it never tells of, prompts for
        example, belongs to what comes after it. A model message of which a call had been committed counts as
        there although its end was committed later: nobody has to pay for it again.
        """
        messages = self._messages(entries)
        kept = 0
        for count, entry in enumerate(entries, start=1):
            told = self._told(entry, messages)
            if told is not None and told > at:
                return kept
            kept = kept if told is None else count
        return kept if self.newest.get(stored_id, 0) > at else len(entries)

    def answered(self, entries: Sequence[Entry], at: int) -> list[str]:
        """The model calls that had not ended at this event, though these entries hold their messages."""
        ids = dict.fromkeys(str(message_id(entry)) for entry in entries if entry.get("type") == "assistant")
        return [self._calls[each] for each in ids if each in self._calls and self.ended[each] > at]

    def _messages(self, entries: Sequence[Entry]) -> dict[object, int]:
        """When each model message was there: it had ended, or one of its calls had been committed."""
        found = dict[object, int](self.ended.items())
        for call in tool_calls(entries):
            told = self.asked.get(call.tool_use_id)
            if told is not None:
                known = message_id(call.entry)
                found[known] = min(told, found.get(known, told))
        return found

    def _told(self, entry: Entry, messages: Mapping[object, int]) -> int | None:
        if entry.get("type") == "assistant":
            return messages.get(message_id(entry))
        told = [self.settled[each] for each in tool_results([entry]) if each in self.settled]
        return max(told, default=None)

    def _hear(self, event: ev.Event, at_work: dict[str, str]) -> None:
        run, seq = event.agent_run_id or "", event.seq
        match event.payload:
            case ev.SessionForked(conversations=renamed):
                self._renamed.append((seq, renamed))
                self.newest = {renamed.get(known, known): told for known, told in self.newest.items()}
                at_work.update({each: renamed.get(known, known) for each, known in at_work.items()})
                return
            case ev.AgentRunStarted(claude_session_id=claude_session_id):
                at_work[run] = claude_session_id
            case ev.ModelFinished(call_id=call_id, message_id=str(known)):
                self.ended.setdefault(known, seq)
                self._calls.setdefault(known, call_id)
            case ev.ModelFailed(message_id=str(known)):
                # The CLI keeps, and uses, what it has got of an answer that broke off.
                self.ended.setdefault(known, seq)
            case (
                ev.ToolRequested(tool_use_id=known)
                | ev.DelegationRequested(tool_use_id=known)
                | ev.DelegationJoined(tool_use_id=known)
                | ev.HelpAsked(tool_use_id=known)
            ):
                self.asked.setdefault(known, seq)
                return
            case ev.ToolFinished(tool_use_id=known) | ev.ToolDenied(tool_use_id=known):
                self.asked.setdefault(known, seq)
                self.settled.setdefault(known, seq)
            case _:
                return
        if run in at_work:
            self.newest[at_work[run]] = seq
