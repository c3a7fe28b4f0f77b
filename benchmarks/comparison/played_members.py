"""How the model plays the harness's own agents in a library: all search and read the same pages.

Who asks is told by the prompts of the built-in bundles. Before it calls a tool the model says a few words.
Its pace is that of the whole answer; its usage is counted as with a prompt cache.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from benchmarks.comparison.caching import PromptCache
from benchmarks.comparison.library import MEMBERS, facts_in, label_of, stated
from benchmarks.comparison.prompt import tokens_written
from benchmarks.comparison.work import SUBJECT, Work
from tests.kit.routing import decides, is_router
from tests.kit.script import Block, Reply, Request, structured, text, tool_use

SEARCH = "mcp__corpus__search"
READ = "mcp__corpus__read"
DELEGATE = "mcp__harness__delegate"

ANALYST = "You are a research analyst."
LEAD = "You are a research lead."
RESEARCHER = "You are a source researcher."
WRITER = "You are a report writer."

THINKING = (
    "I know now what this page says, and what is still missing, so I look at the next one of them. " * 2
)

CACHE = PromptCache()


def plays(
    request: Request,
    subjects: int,
    steps: int,
    at_once: bool = False,
    first_token_s: float = 0.0,
    tokens_a_second: float = 0.0,
) -> Reply:
    """Answer as whoever is asked; with `at_once` one agent opens a page of each subject in a turn."""
    said = answer(request, Work(subjects=subjects, steps=steps), at_once)
    written = tokens_written(said.content)
    CACHE.answer_s = first_token_s
    usage = CACHE.usage(request.body, time.time(), written)
    speaking_s = written / tokens_a_second if tokens_a_second else 0.0
    return replace(said, usage=usage, first_token_s=first_token_s + speaking_s)


def answer(request: Request, work: Work, at_once: bool) -> Reply:
    """What the model says, without its pace."""
    if is_router(request):
        return Reply([decides(request, _decision(request, work))])
    asked = list(dict.fromkeys(SUBJECT.findall(_task(request))))
    if RESEARCHER in request.system_text:
        calls = _looking(request, work, asked, at_once=False)
        return _calling(calls) if calls else Reply([structured(_findings(request, work))])
    if ANALYST in request.system_text:
        calls = _looking(request, work, asked, at_once)
        return _calling(calls) if calls else Reply([text(_report(request, work))])
    if LEAD in request.system_text:
        return _lead(request, work, asked)
    if WRITER in request.system_text:
        return Reply([text(_report(request, work))])
    return Reply([text("Understood.")])


def _calling(calls: Iterable[Block]) -> Reply:
    return Reply([text(THINKING), *calls])


def _looking(request: Request, work: Work, asked: list[str], at_once: bool) -> list[Block]:
    """What an agent that searches and reads does next: all searches in one turn, then page after page."""
    if not request.tool_results(SEARCH):
        return [tool_use(SEARCH, {"query": subject, "limit": work.steps}) for subject in asked]
    read = {use.input["source"] for use in request.tool_uses() if use.name == READ}
    pages = [(step, label_of(work, subject, step)) for subject in asked for step in range(work.steps)]
    left = [(step, label) for step, label in pages if label not in read]
    together = [page for page in left if page[0] == min(left)[0]] if at_once else left[:1]
    return [tool_use(READ, {"source": label, "length": 8000}) for _, label in together]


def _lead(request: Request, work: Work, asked: list[str]) -> Reply:
    if not request.tool_results(SEARCH):
        return _calling([tool_use(SEARCH, {"query": " ".join(asked), "limit": work.steps})])
    if request.tool_results(DELEGATE):
        return Reply([text(_report(request, work))])
    tasks = [{"to": "researcher", "input": {"objective": _objective([subject])}} for subject in asked]
    return _calling([tool_use(DELEGATE, {"tasks": tasks})])


def _decision(request: Request, work: Work) -> dict[str, Any]:
    """A router gives each researcher its share, the writer all findings, and hands its report on."""
    shown = json.loads(request.first_user_text)
    question = shown["task"]["question"]
    asked, results = list(dict.fromkeys(SUBJECT.findall(question))), shown["results"]
    shares = [share for number in range(len(MEMBERS)) if (share := asked[number :: len(MEMBERS)])]
    if len(results) < len(shares):
        to, given = MEMBERS[len(results)], {"objective": _objective(shares[len(results)])}
        return {"action": "route", "reason": "It is free.", "to": to, "input": given}
    if len(results) == len(shares):
        found = [one for result in results for one in result["output"]["findings"]]
        told = {"question": question, "findings": found}
        return {"action": "route", "reason": "All is found.", "to": "writer", "input": told}
    return {"action": "finish", "reason": "It is written.", "result": results[-1]["number"]}


def _objective(subjects: list[str]) -> str:
    return f"Find out what the pages on {', '.join(subjects)} state, step by step, in their own words."


def _task(request: Request) -> str:
    """What was asked, without the list of documents before it."""
    return re.split("<question>|<task>", request.first_user_text)[-1]


def _findings(request: Request, work: Work) -> dict[str, Any]:
    found = [
        {
            "statement": stated(subject, step),
            "citations": [{"source": label_of(work, subject, step), "quote": stated(subject, step)}],
        }
        for subject, step in _found(request)
    ]
    return {"summary": f"{len(found)} steps are stated.", "findings": found}


def _report(request: Request, work: Work) -> str:
    found = _found(request)
    lines = [f"- {stated(*one)} [{number}]" for number, one in enumerate(found, 1)]
    sources = [
        f'[{number}] {label_of(work, *one)}, {one[0]}, page {one[1]}: "{stated(*one)}"'
        for number, one in enumerate(found, 1)
    ]
    return "\n".join(["# Report", "", *lines, "", "## Sources", "", *sources])


def _found(request: Request) -> list[tuple[str, int]]:
    """The facts that a request tells, in the order of their subjects."""
    told = json.dumps([message["content"] for message in request.messages if message["role"] == "user"])
    return sorted(facts_in(told), key=lambda one: (int(one[0].rpartition("-")[2]), one[1]))
