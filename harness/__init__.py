"""Durable research with subagents on the Claude Agent SDK: ask, delegate, checkpoint, resume.

The names below are the public surface; what else the package holds may change between versions. Each is
imported when it is first used, because the SDK takes a second to import and `harness --help` should not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from harness.bundles.bundle import Bundle
    from harness.errors import AgentError, BadInput, GatewayError, HarnessError, LeaseHeld, StoreError
    from harness.flow import Agent, Lead
    from harness.library import Harness
    from harness.progress import AgentRunChanged, AgentRunSummary, Progress, Result, SessionStarted
    from harness.records import Limits, Usage
    from harness.session import Session
    from harness.settings import Settings, from_environment
    from harness.tools import Tool, ToolContext, ToolProblem, Toolset
else:
    from importlib import import_module

    _PLACES = {
        "harness.bundles.bundle": ("Bundle",),
        "harness.errors": (
            "AgentError",
            "BadInput",
            "GatewayError",
            "HarnessError",
            "LeaseHeld",
            "StoreError",
        ),
        "harness.flow": ("Agent", "Lead"),
        "harness.library": ("Harness",),
        "harness.progress": ("AgentRunChanged", "AgentRunSummary", "Progress", "Result", "SessionStarted"),
        "harness.records": ("Limits", "Usage"),
        "harness.session": ("Session",),
        "harness.settings": ("Settings", "from_environment"),
        "harness.tools": ("Tool", "ToolContext", "ToolProblem", "Toolset"),
    }

    def __getattr__(name):
        """Import a public name from its place."""
        for place, names in _PLACES.items():
            if name in names:
                return getattr(import_module(place), name)
        raise AttributeError(f"module 'harness' has no attribute {name!r}")


__all__ = [
    "Agent",
    "AgentError",
    "AgentRunChanged",
    "AgentRunSummary",
    "BadInput",
    "Bundle",
    "GatewayError",
    "Harness",
    "HarnessError",
    "Lead",
    "LeaseHeld",
    "Limits",
    "Progress",
    "Result",
    "Session",
    "SessionStarted",
    "Settings",
    "StoreError",
    "Tool",
    "ToolContext",
    "ToolProblem",
    "Toolset",
    "Usage",
    "from_environment",
]
