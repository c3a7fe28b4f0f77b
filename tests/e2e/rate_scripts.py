"""A model's service that is busy, limited or without a model, played before the analyst who works alone."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

from tests.e2e.crew import crew, who
from tests.e2e.scripts import alone
from tests.kit.metering import Meter
from tests.kit.script import Reply, Request, refused


def refusing_once(request: Request, retry_after: float) -> Reply:
    """Refuse the first request of all and ask to be left alone; then answer everybody."""
    if request.number == 1:
        return refused(429, "Too many requests.", retry_after=retry_after)
    return alone(request)


def router_refused(request: Request, retry_after: float) -> Reply:
    """Play a crew, but ask the first caller, who decides for a supervisor, to leave the service alone."""
    return (
        refused(429, "Too many requests.", retry_after=retry_after) if request.number == 1 else crew(request)
    )


def one_refused(request: Request, holds: str, retry_after: float) -> Reply:
    """Play a crew; `b` is refused while the answer to `a` is on the wire, which a file `go` lets end."""
    begun, go, name = Path(holds) / "begun", Path(holds) / "go", who(request)
    if name == "a":
        begun.touch()
        return replace(crew(request), hold=go, hold_after=1)
    if name == "b" and not go.exists():
        return replace(refused(429, "Too many requests.", retry_after=retry_after), hold=begun)
    return crew(request)


def metered(request: Request, requests: float, left: float) -> Reply:
    """Take so many requests a minute, and `left` at first."""
    return _meter(requests, left).answer(alone(request))


def without(request: Request, status: int, *, instead: str, retry_after: float = 0) -> Reply:
    """Refuse every model but one."""
    if request.model != instead:
        return refused(status, f"No {request.model}.", retry_after=retry_after)
    return alone(request)


@cache
def _meter(requests: float, left: float) -> Meter:
    return Meter({"requests": requests}, {"requests": left})
