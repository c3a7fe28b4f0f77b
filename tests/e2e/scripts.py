"""Played models for whole sessions: a lead with two rounds of three tasks, researchers that search once."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from tests.kit.script import Reply, Request, Tokens, structured, text, tool_use

DELEGATE = "mcp__harness__delegate"
SEARCH = "mcp__corpus__search"
ROUNDS = (("tides", "winds", "stars"), ("ropes", "sails", "charts"))
REPORT = "# Navigation\n\nWhat six researchers found: " + ", ".join(ROUNDS[0] + ROUNDS[1]) + "."


def expedition(request: Request, holds: str = "", size: int = 3, slow: bool = False) -> Reply:
    """Play lead and researchers, `size` tasks a round.

    A file `<stage>.hold` in the folder `holds` makes that stage wait for `<stage>.go`.
    """
    stage, reply = _stage(request, size)
    if slow:
        # As a real model streams: a wait for the first token, and blocks that come one after another.
        reply = replace(reply, first_token_s=0.8, between_blocks_s=0.8, between_deltas_s=0.05)
    folder = Path(holds)
    if holds and (folder / f"{stage}.hold").exists():
        after = int((folder / f"{stage}.hold").read_text() or 0)
        reply = replace(reply, hold=folder / f"{stage}.go", hold_after=after)
    return reply


def stage_of(request: Request) -> str:
    """Name the step of the session that a request asks for; asked for once in an undisturbed run."""
    return _stage(request, 3)[0]


def _stage(request: Request, size: int) -> tuple[str, Reply]:
    if request.offers(DELEGATE):
        done = len([result for result in request.tool_results(DELEGATE) if not result.is_error])
        if done < len(ROUNDS):
            tasks = [{"to": "researcher", "input": {"objective": topic}} for topic in ROUNDS[done][:size]]
            blocks = [text(f"Round {done + 1}."), tool_use(DELEGATE, {"tasks": tasks})]
            return f"lead-{done}", Reply(blocks, usage=Tokens(1000, 50))
        return "report", Reply([text(REPORT)], usage=Tokens(2000, 80))
    topic = topic_of(request)
    if not request.tool_results(SEARCH):
        return f"search-{topic}", Reply([tool_use(SEARCH, {"query": topic})], usage=Tokens(300, 20))
    found = {"summary": f"All about {topic}.", "findings": []}
    return f"answer-{topic}", Reply([structured(found)], usage=Tokens(400, 30))


def topic_of(request: Request) -> str:
    """Name the topic a researcher was given; empty for the lead."""
    known = [topic for round_ in ROUNDS for topic in round_]
    return next((topic for topic in known if f'"{topic}"' in request.first_user_text), "")


def lead_turn(request: Request) -> bool:
    """Whether this is a step of the lead."""
    return request.offers(DELEGATE)
