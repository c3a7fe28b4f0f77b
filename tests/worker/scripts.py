"""One played model for a service: it answers agents of several flows at the same time.

An analyst that works alone, a lead with researchers, and a crew in a pipeline are told apart by what they are
told. Answers stream, so that a kill often finds some of them half sent.
"""

from __future__ import annotations

from dataclasses import replace

from tests.e2e import crew, scripts
from tests.kit.script import Reply, Request, tool_use

LAB = "mcp__lab__"
"""Begins the name of a tool that a test has given its agent; it is called once."""

RESEARCHERS = 1
"""Researchers in each of the lead's two rounds."""


def service(request: Request, holds: str = "", first_token_s: float = 0.3) -> Reply:
    """Play whoever asks; files in the folder `holds` make agents wait, as their own scripts say."""
    lab = next((tool for tool in request.tools if tool.startswith(LAB)), None)
    if lab and not request.tool_results(lab):
        reply = Reply([tool_use(lab, {})])
    elif crew.who(request):
        reply = crew.crew(request, holds)
    elif _of_an_expedition(request):
        reply = scripts.expedition(request, holds, RESEARCHERS)
    else:
        reply = scripts.alone(request, holds)
    return replace(reply, first_token_s=first_token_s, between_blocks_s=0.1, between_deltas_s=0.05)


def stage_of(request: Request) -> str:
    """Name the step that a request asks for; within a session it is asked for once if nothing disturbs it."""
    if crew.who(request):
        return crew.stage_of(request)
    return scripts.stage_of(request) if _of_an_expedition(request) else scripts.stage_alone(request)


def _of_an_expedition(request: Request) -> bool:
    return scripts.lead_turn(request) or bool(scripts.topic_of(request))
