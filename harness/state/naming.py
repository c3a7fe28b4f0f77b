"""How an agent run is called where people read of it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from harness.state.run import RunState


def label(run: RunState) -> str:
    """Name an agent run apart from its siblings: `researcher 1.2` has the second task of the first round."""
    return named(run.agent, run.path)


def named(agent: str, path: str) -> str:
    """Name the agent run at a path in its flow."""
    return " ".join([agent, *path.split("/")[1:]])


def subject(run: RunState) -> str:
    """Give what the agent run is about: the first text of its task, on one line."""
    payload = run.task.payload
    values = payload.values() if isinstance(payload, dict) else ()
    return next((" ".join(value.split()) for value in _texts(values)), "")


def _texts(values: Iterable[Any]) -> Iterable[str]:
    for value in values:
        if isinstance(value, str) and value.strip():
            yield value
        elif isinstance(value, list):
            yield from _texts(value)
        elif isinstance(value, dict):
            yield from _texts(value.values())
