"""Played models for whole sessions: a lead with two rounds of tasks, and an analyst that works alone.

Both answer by what a request holds, so that a repeated one gets the same answer. In the folder `holds` a file
`<stage>.hold` makes that stage wait for `<stage>.go`; once only, `<stage>.cut` breaks its answer off, and
`<stage>.busy` refuses it.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Literal

from tests.kit.script import Reply, Request, Tokens, refused, structured, text, tool_use

DELEGATE = "mcp__harness__delegate"
SEARCH = "mcp__corpus__search"
READ = "mcp__corpus__read"
ROUNDS = (("tides", "winds", "stars"), ("ropes", "sails", "charts"))
REPORT = "# Navigation\n\nWhat six researchers found: " + ", ".join(ROUNDS[0] + ROUNDS[1]) + "."
ALONE = "# Navigation\n\nWhat one analyst found: tides, winds and the notes themselves."
FOLLOW_UP = "And who made the ropes?"
ANSWER = "# Ropes\n\nThe notes do not say who made them."
OFF_SCRIPT = "+"
"""Ends the name of a stage that an undisturbed run never asks for."""

First = Literal["plain", "refused", "double"]
"""The lead's first delegation: one good call, a call for a subagent nobody has, or two calls in one turn."""


def expedition(
    request: Request, holds: str = "", size: int = 3, slow: bool = False, first: First = "plain"
) -> Reply:
    """Play lead and researchers, `size` tasks a round."""
    stage, reply = _expedition(request, size, first)
    if slow:
        # As a real model streams: a wait for the first token, and blocks that come one after another.
        reply = replace(reply, first_token_s=0.8, between_blocks_s=0.8, between_deltas_s=0.05)
    return _disturbed(stage, reply, holds)


def stage_of(request: Request, first: First = "plain") -> str:
    """Name the step of the expedition that a request asks for; asked for once in an undisturbed run."""
    return _expedition(request, 3, first)[0]


def alone(request: Request, holds: str = "") -> Reply:
    """Play an analyst: one search, then a search and a reading side by side, then the report."""
    stage, reply = _alone(request)
    return _disturbed(stage, reply, holds)


def stage_alone(request: Request) -> str:
    """Name the step of the analyst's work that a request asks for; asked for once in an undisturbed run."""
    return _alone(request)[0]


def topic_of(request: Request) -> str:
    """Name the topic a researcher was given; empty for the lead."""
    known = [topic for round_ in ROUNDS for topic in round_]
    return next((topic for topic in known if f'"{topic}"' in request.first_user_text), "")


def lead_turn(request: Request) -> bool:
    """Whether this is a step of the lead."""
    return request.offers(DELEGATE)


def _expedition(request: Request, size: int, first: First) -> tuple[str, Reply]:
    if request.offers(DELEGATE):
        return _lead(request, size, first)
    topic = topic_of(request)
    if not request.tool_results(SEARCH):
        return f"search-{topic}", Reply([tool_use(SEARCH, {"query": topic})], usage=Tokens(300, 20))
    found = {"summary": f"All about {topic}.", "findings": []}
    return f"answer-{topic}", Reply([structured(found)], usage=Tokens(400, 30))


def _lead(request: Request, size: int, first: First) -> tuple[str, Reply]:
    results = request.tool_results(DELEGATE)
    done = sum(not result.is_error for result in results)
    if done == len(ROUNDS):
        return "report", Reply([text(REPORT)], usage=Tokens(2000, 80))
    if first == "refused" and not results:
        return "lead-refused", Reply([_delegation("nobody", ROUNDS[0][:size])], usage=Tokens(1000, 50))
    calls = [_delegation("researcher", ROUNDS[done][:size])]
    if first == "double" and done == 0:
        calls = [_delegation("researcher", [topic]) for topic in ROUNDS[0][:size]]
    return f"lead-{done}", Reply([text(f"Round {done + 1}."), *calls], usage=Tokens(1000, 50))


def _delegation(to: str, topics: tuple[str, ...] | list[str]) -> dict[str, object]:
    tasks = [{"to": to, "input": {"objective": topic}} for topic in topics]
    return dict(tool_use(DELEGATE, {"tasks": tasks}))


def _alone(request: Request) -> tuple[str, Reply]:
    calls = {
        "tides": tool_use(SEARCH, {"query": "tides"}),
        "winds": tool_use(SEARCH, {"query": "winds"}),
        "S1": tool_use(READ, {"source": "S1"}),
    }
    inputs = {use.id: use.input for use in request.tool_uses()}
    good = [inputs[result.id] for result in request.tool_results() if not result.is_error]
    done = {str(given.get("query") or given.get("source")) for given in good}
    if "last turn" in str(request.messages[-1]):
        return "so far", Reply([text("So far: the tides.")], usage=Tokens(1000, 50))
    if FOLLOW_UP in str(request.messages):
        return "answer", Reply([text(ANSWER)], usage=Tokens(1000, 50))
    if done == calls.keys():
        return "report", Reply([text(ALONE)], usage=Tokens(2000, 80))
    if not done:
        return "step-0", Reply([calls["tides"]], usage=Tokens(1000, 50))
    left = [call for name, call in calls.items() if name not in done]
    stage = "step-1" if done == {"tides"} else f"step-1 {sorted(done)}{OFF_SCRIPT}"
    return stage, Reply([text("Two things more."), *left], usage=Tokens(1000, 50))


def _disturbed(stage: str, reply: Reply, holds: str) -> Reply:
    """The reply held or cut off, as the files in `holds` say."""
    folder = Path(holds)
    if holds and (folder / f"{stage}.hold").exists():
        after = int((folder / f"{stage}.hold").read_text() or 0)
        reply = replace(reply, hold=folder / f"{stage}.go", hold_after=after)
    if holds and (folder / f"{stage}.cut").exists():
        (folder / f"{stage}.cut").unlink()
        reply = replace(reply, fault="cut_mid_block")
    if holds and (folder / f"{stage}.busy").exists():
        (folder / f"{stage}.busy").unlink()
        return refused(529, "Overloaded.")
    return reply
