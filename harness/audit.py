"""Is the record of a session whole? The journal's rows and the stored transcripts, side by side."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from harness import events as ev
from harness.records import Record
from harness.resume import STRUCTURED_OUTPUT
from harness.transcript import Entry, refused_by_cli, tool_calls, tool_results, whole


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
    unanswered: int = 0
    ended: bool = False
    claude_session_id: str | None = None


def audit(journal: Iterable[ev.Event], transcripts: Mapping[str, Sequence[Entry]]) -> list[Gap]:
    """Name what is missing. `transcripts` are the stored entries by Claude session id.

    What a kill has taken with it is no gap: a call that was on the wire is told as unattributed usage, and a
    tool call whose message never reached the transcript was made again under another id.
    """
    gaps: list[Gap] = []
    for claude_session_id, (run_id, rows) in _by_conversation(_by_run(journal)).items():
        entries = transcripts.get(claude_session_id, ())
        gaps += [Gap(agent_run_id=run_id, what=what) for what in _compare(rows, entries)]
    return gaps


def _by_conversation(by_run: Mapping[str, _Rows]) -> dict[str, tuple[str, _Rows]]:
    """The rows of each Claude session, with its newest agent run: a follow-up goes on in the one before."""
    talks: dict[str, tuple[str, _Rows]] = {}
    for run_id, rows in by_run.items():
        if rows.claude_session_id is None:
            continue
        _, before = talks.get(rows.claude_session_id, (run_id, _Rows()))
        for name in ("requested", "denied", "finished", "messages"):
            getattr(rows, name).update(getattr(before, name))
        rows.unanswered += before.unanswered
        talks[rows.claude_session_id] = run_id, rows
    return talks


def _by_run(journal: Iterable[ev.Event]) -> dict[str, _Rows]:
    runs: dict[str, _Rows] = defaultdict(_Rows)
    for event in journal:
        if isinstance(event.payload, ev.SessionForked):
            for rows in runs.values():
                known = rows.claude_session_id or ""
                rows.claude_session_id = event.payload.conversations.get(known, rows.claude_session_id)
        if event.agent_run_id is None:
            continue
        rows = runs[event.agent_run_id]
        match event.payload:
            case ev.AgentRunStarted(claude_session_id=claude_session_id):
                rows.claude_session_id = claude_session_id
            case ev.AgentRunFinished():
                rows.ended = True
            case ev.ModelRequested():
                rows.unanswered += 1
            case ev.ModelFinished(message_id=message_id) | ev.ModelFailed(message_id=message_id):
                # The CLI keeps, and uses, what it has got of an answer that broke off.
                rows.unanswered -= 1
                rows.messages |= {message_id} if message_id else set()
            case (
                ev.ToolRequested(tool_use_id=tool_use_id)
                | ev.DelegationRequested(tool_use_id=tool_use_id)
                | ev.HelpAsked(tool_use_id=tool_use_id)
            ):
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
    answered, refused = tool_results(entries), refused_by_cli(entries)
    for tool_use_id, call in calls.items():
        # A typed answer that was stored before its checkpoint is taken from the transcript: no tool has run.
        settled = rows.ended and call.name == STRUCTURED_OUTPUT
        if tool_use_id not in rows.requested | rows.denied | refused and not settled:
            yield f"the call {tool_use_id} of {call.name} has no checkpoint"
        # A typed answer ends the work: its acceptance may be committed before the CLI has written it down.
        if rows.ended and tool_use_id not in answered and call.name != STRUCTURED_OUTPUT:
            yield f"the call {tool_use_id} of {call.name} has no result in the transcript"
        unfinished = tool_use_id in rows.requested - rows.denied - rows.finished
        if rows.ended and unfinished and answered.get(tool_use_id):
            yield f"the end of the call {tool_use_id} of {call.name} is not in the journal"
    untold = _messages(entries) - rows.messages
    # Of a call whose end is not known the beginning may have been stored; it is told as unattributed.
    for message_id in sorted(untold)[max(0, rows.unanswered) :]:
        yield f"the model message {message_id} has no usage in the journal"


def _messages(entries: Iterable[Entry]) -> set[str]:
    """The ids of the messages that a model has sent."""
    real = [e for e in entries if e.get("type") == "assistant" and not e.get("isApiErrorMessage")]
    return {str(e["message"].get("id")) for e in real if e["message"].get("model") != "<synthetic>"}
