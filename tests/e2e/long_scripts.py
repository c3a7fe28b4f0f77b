"""Played models for long work: a lead whose conversation becomes too long, and an analyst with slow tools."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from tests.e2e.scripts import DELEGATE, SEARCH, topic_of
from tests.kit.script import Reply, Request, Tokens, refused, structured, text, tool_use

ROUNDS = ("tides", "ropes")
"""What the lead delegates, one task after the other."""

REPORT = "# Navigation\n\nWhat two researchers found: tides, ropes."

STREAMED = "# Navigation\n\nWhat the notes say of tides and winds."
"""The report of the analyst that streams."""


def _held(stage: str, reply: Reply, holds: str) -> Reply:
    """With a file `<stage>.hold` the stage waits for `<stage>.go`, after as many blocks as the file says."""
    waits = Path(holds) / f"{stage}.hold"
    if not holds or not waits.exists():
        return reply
    return replace(reply, hold=Path(holds) / f"{stage}.go", hold_after=int(waits.read_text() or 0))


# -- a conversation that becomes too long


def too_long(request: Request, holds: str = "") -> Reply:
    """Play a lead that searches and delegates twice; with the first results its conversation is too long."""
    stage, reply = _too_long(request)
    return _held(stage, reply, holds)


def stage_too_long(request: Request) -> str:
    """Name the step that a request asks for; but for `refused`, asked for once in an undisturbed run."""
    return _too_long(request)[0]


def _too_long(request: Request) -> tuple[str, Reply]:
    if not request.offers(DELEGATE):
        return _researcher(request)
    last = request.messages[-1]["content"][-1]
    if str(last.get("text", "")).startswith("CRITICAL: Respond with TEXT ONLY."):
        return "summary", Reply([text("<summary>Tides are done.</summary>")], usage=Tokens(9000, 60))
    summed_up = "Tides are done." in request.first_user_text
    answered = {result.id for result in request.tool_results(DELEGATE) if not result.is_error}
    asked = [json.dumps(use.input) for use in request.tool_uses() if use.id in answered]
    done = [topic for topic in ROUNDS if any(topic in each for each in asked)]
    if "tides" in done and not summed_up:
        return "refused", refused(400, "prompt is too long: 210000 tokens > 200000 maximum")
    if not summed_up and not request.tool_results(SEARCH):
        return "lead-search", Reply([tool_use(SEARCH, {"query": "tides"})], usage=Tokens(900, 40))
    if "ropes" in done:
        return "report", Reply([text(REPORT)], usage=Tokens(2000, 80))
    topic = "ropes" if summed_up else "tides"
    task = {"to": "researcher", "input": {"objective": topic}}
    return f"lead-{topic}", Reply(
        [text("On."), tool_use(DELEGATE, {"tasks": [task]})], usage=Tokens(1000, 50)
    )


def _researcher(request: Request) -> tuple[str, Reply]:
    topic = topic_of(request)
    found = {"summary": f"All about {topic}.", "findings": []}
    return f"answer-{topic}", Reply([structured(found)], usage=Tokens(400, 30))


# -- tools that take long


def patient(request: Request, calls: list[dict[str, Any]]) -> Reply:
    """Play an analyst: one turn with these tool calls (name, input, id), then a report of their results."""
    if stage_patient(request) == "begin":
        blocks = [text("I begin."), *(tool_use(**call) for call in calls)]
        return Reply(blocks, usage=Tokens(300, 60))
    told = [f"{result.id}: {result.text}" for result in request.tool_results()]
    return Reply([text("\n\n".join(["# Results", *told]))], usage=Tokens(500, 70))


def stage_patient(request: Request) -> str:
    """Name the step that a request asks for; each is asked for once in an undisturbed run."""
    return "report" if request.tool_results() else "begin"


# -- streams as they are


def streaming(request: Request, slow: str, holds: str, cut: bool = False) -> Reply:
    """Play an analyst that searches twice and reports; the stage `slow` is streamed as by a real model, once.

    With `cut` that answer breaks off in the middle of its last block.
    """
    stage, reply = _streaming(request)
    note = Path(holds) / "was_slow"
    if stage != slow or note.exists():
        return reply
    note.touch()
    reply = replace(reply, first_token_s=1.5, between_blocks_s=1.5, between_deltas_s=0.3)
    return replace(reply, fault="cut_mid_block") if cut else reply


BLOCK_HALF_SENT_S = 4.6
"""About when, after a slow stage was asked for, half of its second block has been sent."""


def stage_streaming(request: Request) -> str:
    """Name the step that a request asks for; asked for once in an undisturbed run."""
    return _streaming(request)[0]


def _streaming(request: Request) -> tuple[str, Reply]:
    done = len(request.tool_results(SEARCH))
    if done < 2:
        query = ("tides", "winds")[done]
        said = text(f"I look for {query}, and for what they do to ships.")
        call = tool_use(SEARCH, {"query": query, "limit": 4})
        return f"search-{query}", Reply([said, call], usage=Tokens(300, 40))
    said, report = text("I have what I need, and write it up."), text(STREAMED)
    return "report", Reply([said, report], usage=Tokens(700, 80))
