"""Every message that agents, routers and the person have sent one another in a session."""

from __future__ import annotations

from collections.abc import Iterable

from harness import events as ev
from harness.messages import Message


def messages(journal: Iterable[ev.Event]) -> list[tuple[ev.Event, Message]]:
    """Give each message once, with the event that first brought it."""
    found: dict[str, tuple[ev.Event, Message]] = {}
    for event in journal:
        for message in _in(event.payload):
            found.setdefault(message.id, (event, message))
    return list(found.values())


def _in(payload: ev.AnyPayload) -> tuple[Message, ...]:
    match payload:
        case ev.AgentRunCreated(task=task) | ev.RoutingDecided(task=task):
            return (task,)
        case ev.DelegationRequested(tasks=tasks) | ev.DelegationJoined(tasks=tasks):
            return tasks
        case ev.AgentRunFinished(result=result) if result is not None:
            return (result,)
        case _:
            return ()
