"""How the model plays the work, whoever asks: it knows each system's tools, and the rest from the history."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from benchmarks.comparison.prompt import tokens_of, tokens_written
from benchmarks.comparison.work import FOUND, LEAD, RESEARCHER, SUBJECT, finding, reported
from tests.kit.script import Block, Reply, Request, Tokens, structured, text, tool_use

ROUNDS = 3
"""How often a lead hands out what has not come back."""

GIVES_UP_AFTER = 3
"""So many failures of its tool, one after another, and a researcher says so and ends."""

PIECE = 6
"""Tokens in a piece of a stream."""

_STEP = re.compile(r"step \d+: ([0-9a-f]{8})")
_GIVEN_UP = re.compile(r"I give (topic-\d+-\d+) up")

ONCE_MORE = "Somebody else has failed."

Delegating = Callable[[dict[str, str]], list[Block]]
"""Makes the calls that hand subjects out, each with what its researcher is told."""


def _harness(tasks: dict[str, str]) -> list[Block]:
    given = [{"to": "researcher", "input": {"objective": told}} for told in tasks.values()]
    return [tool_use("mcp__harness__delegate", {"tasks": given})]


def _native(tool: str) -> Delegating:
    def calls(tasks: dict[str, str]) -> list[Block]:
        given = {"subagent_type": "researcher"}
        return [
            tool_use(tool, {**given, "description": f"Research {subject}", "prompt": told})
            for subject, told in tasks.items()
        ]

    return calls


def _deepagents(tasks: dict[str, str]) -> list[Block]:
    given = {"subagent_type": "researcher"}
    return [tool_use("task", {**given, "description": told}) for told in tasks.values()]


def _coworker(tasks: dict[str, str]) -> list[Block]:
    """A coworker can do one task at a time, so each task gets its own."""
    context = "Nothing more is known."
    return [
        tool_use(
            "delegate_work_to_coworker",
            {"coworker": f"researcher {number}", "task": told, "context": context},
        )
        for number, told in enumerate(tasks.values())
    ]


DELEGATING: Mapping[str, Delegating] = {
    "mcp__harness__delegate": _harness,
    "Agent": _native("Agent"),
    "Task": _native("Task"),
    "task": _deepagents,
    "delegate_work_to_coworker": _coworker,
}
"""How a lead hands subjects out, by the tool that it is offered for it."""


def plays(
    request: Request, first_token_s: float = 0.0, tokens: int = 0, tokens_a_second: float = 60.0
) -> Reply:
    """Answer as lead or researcher, after so long, with so many tokens in all at such a speed."""
    said = answer(request)
    said = replace(said, usage=Tokens(tokens_of(request), max(tokens, tokens_written(said.content))))
    speaking_s = tokens / tokens_a_second
    if not tokens or not request.body.get("stream"):
        return replace(said, first_token_s=first_token_s + speaking_s)
    content = [text("and so " * (tokens // 2)), *said.content] if calls(said) else said.content
    pieces = max(1, tokens // PIECE // len(content))
    return replace(
        said,
        content=content,
        first_token_s=first_token_s,
        deltas=pieces,
        between_deltas_s=speaking_s / (pieces * len(content)),
    )


def answer(request: Request) -> Reply:
    """What the model says, without its pace."""
    if RESEARCHER in request.system_text:
        return _researcher(request)
    if LEAD in request.system_text:
        return _lead(request)
    return Reply([text("Understood.")])


def stage_of(request: Request) -> str:
    """Name the step that a request asks for: who, and how far; a step asked for twice was repeated."""
    if RESEARCHER in request.system_text:
        return f"{subject_of(request)}, step {len(facts_of(request))}"
    about = next(iter(SUBJECT.findall(request.first_user_text)), "")
    return f"lead of {about}, {len(found_in(request))} found, {len(_handed_out(request))} handed out"


def subject_of(request: Request) -> str:
    """The subject that a researcher was given."""
    return next(iter(SUBJECT.findall(request.first_user_text)), "")


def look_of(request: Request) -> str | None:
    """A researcher's tool, as its system names it; None in a turn without tools."""
    return next((name for name in request.tools if name == "look" or name.endswith("__look")), None)


def facts_of(request: Request) -> list[str]:
    """What a researcher has seen so far."""
    return [found for result in request.tool_results() for found in _STEP.findall(result.text)]


def found_in(request: Request) -> dict[str, list[str]]:
    """What a lead has been told so far, by subject."""
    told = " ".join(_texts(request))
    return {name: facts.split() for name, facts in FOUND.findall(told)}


def _texts(request: Request) -> Iterator[str]:
    for message in request.messages:
        if message["role"] == "user":
            yield str(message["content"])


def _researcher(request: Request) -> Reply:
    subject, facts = subject_of(request), facts_of(request)
    steps = re.search(r"There are (\d+) steps", request.system_text)
    assert steps is not None, "its prompt says so"
    said = finding(subject, facts)
    if len(facts) < int(steps[1]):
        tool = look_of(request)
        assert tool is not None, "a researcher that has not seen all has its tool"
        if _failures(request, tool) < GIVES_UP_AFTER:
            return Reply([tool_use(tool, {"subject": subject, "step": len(facts)})])
        said = f"I give {subject} up: {tool} fails."
    return Reply([structured({"finding": said}) if request.answer_schema else text(said)])


def _failures(request: Request, tool: str) -> int:
    """How often the tool has failed since it last told something."""
    told = [bool(_STEP.search(result.text)) for result in request.tool_results(tool)]
    return len(told) - max((place for place, found in enumerate(told, 1) if found), default=0)


def _handed_out(request: Request) -> list[Any]:
    return [use for use in request.tool_uses() if use.name in DELEGATING]


def _lead(request: Request) -> Reply:
    asked = list(dict.fromkeys(SUBJECT.findall(request.first_user_text)))
    found = found_in(request)
    given_up = {name for said in _texts(request) for name in _GIVEN_UP.findall(said)}
    missing = [each for each in asked if each not in found and each not in given_up]
    tool = next((name for name in DELEGATING if request.offers(name)), None)
    rounds = _rounds(request)
    if tool is None or not missing or rounds == ROUNDS:
        return Reply([text(reported(found))])
    more = f" {ONCE_MORE}" * rounds
    return Reply(DELEGATING[tool]({each: f"Research {each}.{more}" for each in missing}))


def _rounds(request: Request) -> int:
    return sum(
        any(block["type"] == "tool_use" and block["name"] in DELEGATING for block in message["content"])
        for message in request.messages
    )


def calls(reply: Reply) -> bool:
    """Whether a reply calls a tool."""
    return any(block["type"] == "tool_use" for block in reply.content)
