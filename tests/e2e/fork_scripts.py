"""A played survey whose report says what each researcher found, and so follows what a fork has changed."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

from tests.kit.script import Reply, Request, Tokens, structured, text, tool_use

DELEGATE = "mcp__harness__delegate"
SEARCH = "mcp__corpus__search"
ROUNDS = (("tides", "winds"), ("ropes",))
TOPICS = tuple(topic for topics in ROUNDS for topic in topics)
STAGES = (
    "lead-0",
    "lead-1",
    "report",
    *(f"{step}-{topic}" for topic in TOPICS for step in ("search", "answer")),
)


def report_on(*found: str) -> str:
    """The report on what the researchers found, in the order of their tasks."""
    return "# Survey\n\n" + " ".join(found)


REPORT = report_on(*(f"All about {topic}." for topic in TOPICS))


def survey(request: Request, holds: str = "") -> Reply:
    """Play the lead and its researchers; `<stage>.hold` in the folder `holds` makes a stage wait."""
    stage, reply = _survey(request)
    if holds and (Path(holds) / f"{stage}.hold").exists():
        reply = replace(reply, hold=Path(holds) / f"{stage}.go")
    return reply


def stage_of(request: Request) -> str:
    """Name the step that a request asks for."""
    return _survey(request)[0]


def _survey(request: Request) -> tuple[str, Reply]:
    if not request.offers(DELEGATE):
        return _researcher(request)
    results = [json.loads(result.text) for result in request.tool_results(DELEGATE)]
    if len(results) < len(ROUNDS):
        tasks = [{"to": "researcher", "input": {"objective": topic}} for topic in ROUNDS[len(results)]]
        reply = Reply([text("On."), tool_use(DELEGATE, {"tasks": tasks})], usage=Tokens(1000, 50))
        return f"lead-{len(results)}", reply
    found = [each["output"]["summary"] for told in results for each in told]
    return "report", Reply([text(report_on(*found))], usage=Tokens(2000, 80))


def _researcher(request: Request) -> tuple[str, Reply]:
    found = re.search(r'"objective": "([^"]*)"', request.first_user_text)
    topic = found[1] if found else ""
    if not request.tool_results(SEARCH):
        return f"search-{topic}", Reply([tool_use(SEARCH, {"query": topic})], usage=Tokens(300, 20))
    summary = {"summary": f"All about {topic}.", "findings": []}
    return f"answer-{topic}", Reply([structured(summary)], usage=Tokens(400, 30))
