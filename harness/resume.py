"""How an agent run goes on: one pure function of what the journal and the transcript say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from harness.records import derived_id
from harness.state import RunState
from harness.transcript import (
    Entry,
    ToolUse,
    answer_in,
    marked,
    message_id,
    open_calls,
    since_prompt,
    texts,
    tool_calls,
    tool_results,
    whole,
)

DELEGATE = "mcp__harness__delegate"
STRUCTURED_OUTPUT = "StructuredOutput"


@dataclass(frozen=True)
class StartFresh:
    """Nothing of the work is in the transcript: begin anew in a new Claude session."""


@dataclass(frozen=True)
class Settled:
    """The work was finished, only its outcome was not yet committed. Text, or the typed output."""

    output: Any


@dataclass(frozen=True)
class AskForHelp:
    """The agent's call for help is in the transcript: its run can end with it, without a process."""

    tool_use_id: str


@dataclass(frozen=True)
class Sleep:
    """The delegation is in the transcript: the run can sleep for it without starting a process."""

    tool_use_id: str


@dataclass(frozen=True)
class Refire:
    """Continue at this tool call: the CLI asks for it again under the same id, and no model call is repeated.

    `add` are entries the transcript needs before that: error results for other calls of the same message that
    were cut off, and the deferral marker where the CLI did not get to write it.
    """

    tool_use_id: str
    add: tuple[dict[str, Any], ...] = ()


@dataclass(frozen=True)
class Prompt:
    """Every call has its result; say that the work was interrupted and go on."""


ResumePoint = StartFresh | Settled | AskForHelp | Sleep | Refire | Prompt


def resume_point(run: RunState, transcript: Sequence[Entry], *, typed: bool = False) -> ResumePoint:
    """Decide how an agent run that has not ended goes on.

    `transcript` is what is stored of its Claude session; entries whose ancestors are missing are left out.
    `typed` says that the run answers with StructuredOutput, so that prose is not its outcome.
    """
    entries = whole(transcript)
    own = own_entries(run, transcript)
    if run.claude_session_id is None or not any(entry.get("type") == "assistant" for entry in own):
        return StartFresh()
    settled = _settled(own, typed, run.tellings)
    if settled is not None:
        # A reopened run ended once already: that ending is not its outcome, it is to go on from there.
        return Prompt() if run.reopened or not has_heard(run, own) else settled
    dangling = open_calls(own)
    if not dangling:
        return Prompt()
    asking = next((call.tool_use_id for call in dangling if call.tool_use_id in run.help_asked), None)
    if asking is not None and run.told is None:
        return AskForHelp(asking)
    tail = next(entry for entry in reversed(entries) if entry.get("uuid"))
    sleeping = _delegation_in(run, dangling)
    if sleeping is not None and not run.delegations[sleeping].suspended:
        return Sleep(sleeping)
    target = sleeping or _safest(run, dangling)
    others = [call for call in dangling if call.tool_use_id != target]
    added = [_cut_off(run, call) for call in others]
    call = next(call for call in dangling if call.tool_use_id == target)
    if added or not marked(entries, target):
        added.append(_marker(call, added[-1] if added else tail))
    return Refire(target, tuple(added))


def own_entries(run: RunState, transcript: Sequence[Entry]) -> list[Entry]:
    """The whole entries since this run began; those before are of the run that it continues."""
    return whole(transcript)[len(whole(transcript[: run.transcript_from])) :]


def has_heard(run: RunState, entries: Sequence[Entry]) -> bool:
    """Whether what the run was to be told when it was reopened is in its transcript."""
    told = run.told
    if told is None:
        return True
    # The same may have to be said more than once.
    return sum(told in text for text in texts(entries)) >= run.tellings.count(told)


def _settled(entries: Sequence[Entry], typed: bool, told: Sequence[str]) -> Settled | None:
    """The outcome that the last message gave, if it gave one."""
    recent = since_prompt(entries)
    calls, results = tool_calls(recent), tool_results(recent)
    for call in calls:
        is_newest = message_id(call.entry) == message_id(calls[-1].entry)
        # Without a result yet it counts too: run again, the call would no longer end the CLI's turn.
        if call.name == STRUCTURED_OUTPUT and is_newest and results.get(call.tool_use_id, True):
            return Settled(call.input)
    last = next(e for e in reversed(entries) if e.get("type") in ("user", "assistant"))
    if typed or last.get("type") != "assistant" or last["message"].get("stop_reason") != "end_turn":
        return None
    text = answer_in(entries, told)
    return None if text is None else Settled(text)


def _delegation_in(run: RunState, dangling: Sequence[ToolUse]) -> str | None:
    for call in dangling:
        delegation = run.delegations.get(call.tool_use_id)
        if call.name == DELEGATE and delegation is not None and not delegation.voided:
            return call.tool_use_id
    return None


def _safest(run: RunState, dangling: Sequence[ToolUse]) -> str:
    """Prefer a call that may run again; a hook decides about the others."""

    def rank(call: ToolUse) -> int:
        known = run.tools.get(call.tool_use_id)
        return 0 if known is None or known.replay != "unsafe" else 1

    return min(dangling, key=rank).tool_use_id


def _common(like: Entry, parent: Entry, key: str) -> dict[str, Any]:
    """The fields that every entry of a session carries, taken from one that is there."""
    names = ("isSidechain", "sessionId", "cwd", "version", "gitBranch", "userType", "entrypoint", "timestamp")
    common = {name: like[name] for name in names if name in like}
    return (
        {"isSidechain": False}
        | common
        | {
            "parentUuid": parent.get("uuid"),
            "uuid": derived_id("entry", key),
        }
    )


def _marker(call: ToolUse, parent: Entry) -> dict[str, Any]:
    return {
        **_common(call.entry, parent, f"marker {call.tool_use_id}"),
        "type": "attachment",
        "attachment": {
            "type": "hook_deferred_tool",
            "toolUseID": call.tool_use_id,
            "toolName": call.name,
            "toolInput": call.input,
            "hookName": "settings",
            "hookEvent": "PreToolUse",
            "permissionMode": "dontAsk",
        },
    }


def _cut_off(run: RunState, call: ToolUse) -> dict[str, Any]:
    """An error result for a call that was cut off and is not the one to continue at."""
    known = run.tools.get(call.tool_use_id)
    if any(call.tool_use_id in delegation.joined for delegation in run.delegations.values()):
        word = "These tasks have been joined to your first `delegate` call of this turn. Do not repeat them."
    elif known is None:
        word = "This call was interrupted before it ran. Make it again if you still need it."
    elif known.replay == "unsafe" and known.finished:
        word = "This call has run to its end, and its result was lost. Do not repeat it."
    elif known.replay == "unsafe":
        word = (
            "This call was interrupted and whether it took effect is unknown. Do not repeat it blindly: "
            "check its effect first, or report that it is unknown."
        )
    else:
        word = "This call was interrupted before its result arrived. Make it again if you still need it."
    return {
        **_common(call.entry, call.entry, f"cut off {call.tool_use_id}"),
        "type": "user",
        "message": {
            "role": "user",
            "content": [
                {
                    "type": "tool_result",
                    "tool_use_id": call.tool_use_id,
                    "is_error": True,
                    "content": [{"type": "text", "text": word}],
                }
            ],
        },
        "sourceToolAssistantUUID": call.entry.get("uuid"),
    }
