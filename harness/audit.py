"""Is the record of a session whole? The journal's rows and the stored transcripts, side by side."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from harness import events as ev
from harness.records import Record
from harness.resume import STRUCTURED_OUTPUT
from harness.transcript import Entry, tool_calls, tool_results, whole


class Gap(Record):
    """Something that one part of the record has and another lacks."""

    agent_run_id: str
    what: str


@dataclass
class _Rows:
    """What the journal says of one agent run."""

    requested: set[str] = field(default_factory=set)
    denied: set[str] = field(default_factory=set)
    finished: set[str] = field(default_factory=set)
    messages: set[str] = field(default_factory=set)
    ended: bool = False
    claude_session_id: str | None = None


def audit(journal: Iterable[ev.Event], transcripts: Mapping[str, Sequence[Entry]]) -> list[Gap]:
    """Name what is missing. `transcripts` are the stored entries by Claude session id.

    What a kill has taken with it is no gap: a call that was on the wire is told as unattributed usage, and a
    tool call whose message never reached the transcript was made again under another id.
    """
    gaps: list[Gap] = []
    for run_id, rows in _by_run(journal).items():
        if rows.claude_session_id is None:
            continue
        entries = transcripts.get(rows.claude_session_id, ())
        gaps += [Gap(agent_run_id=run_id, what=what) for what in _compare(rows, entries)]
    return gaps


def _by_run(journal: Iterable[ev.Event]) -> dict[str, _Rows]:
    runs: dict[str, _Rows] = defaultdict(_Rows)
    for event in journal:
        if event.agent_run_id is None:
            continue
        rows = runs[event.agent_run_id]
        match event.payload:
            case ev.AgentRunStarted(claude_session_id=claude_session_id):
                rows.claude_session_id = claude_session_id
            case ev.AgentRunFinished():
                rows.ended = True
            case ev.ModelFinished(message_id=str() as message_id):
                rows.messages.add(message_id)
            case ev.ToolRequested(tool_use_id=tool_use_id) | ev.DelegationRequested(tool_use_id=tool_use_id):
                rows.requested.add(tool_use_id)
            case ev.DelegationJoined(tool_use_id=tool_use_id) | ev.ToolDenied(tool_use_id=tool_use_id):
                rows.denied.add(tool_use_id)
            case ev.ToolFinished(tool_use_id=tool_use_id):
                rows.finished.add(tool_use_id)
            case _:
                pass
    return runs


def _compare(rows: _Rows, stored: Sequence[Entry]) -> Iterable[str]:
    entries = whole(stored)
    if len(entries) < len(stored):
        yield f"{len(stored) - len(entries)} transcript entries hang on a parent that is not there"
    calls = {call.tool_use_id: call for call in tool_calls(entries)}
    answered = tool_results(entries)
    for tool_use_id, call in calls.items():
        if tool_use_id not in rows.requested | rows.denied:
            yield f"the call {tool_use_id} of {call.name} has no checkpoint"
        # A typed answer ends the work: its acceptance may be committed before the CLI has written it down.
        if rows.ended and tool_use_id not in answered and call.name != STRUCTURED_OUTPUT:
            yield f"the call {tool_use_id} of {call.name} has no result in the transcript"
        unfinished = tool_use_id in rows.requested - rows.denied - rows.finished
        if rows.ended and unfinished and answered.get(tool_use_id):
            yield f"the end of the call {tool_use_id} of {call.name} is not in the journal"
    for entry in entries:
        message = entry.get("message") or {}
        is_real = entry.get("type") == "assistant" and not entry.get("isApiErrorMessage")
        if is_real and message.get("model") != "<synthetic>" and message.get("id") not in rows.messages:
            yield f"the model message {message.get('id')} has no usage in the journal"
