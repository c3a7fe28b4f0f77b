"""Played models for sessions that sleep: a crew, and a lead with one subagent, each held as a test says."""

from __future__ import annotations

from tests.e2e.crew import crew, who
from tests.e2e.scripts import expedition
from tests.kit.script import Reply, Request


def asleep(request: Request, holds: str = "") -> Reply:
    """Play whoever asks: one of the crew, or else the lead and its researcher, one task a round."""
    return crew(request, holds) if who(request) else expedition(request, holds, size=1)
