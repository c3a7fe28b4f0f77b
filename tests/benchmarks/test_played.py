"""The played model of the comparison: the same work, whichever system's tools it is offered."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from benchmarks.comparison.played import DELEGATING, GIVES_UP_AFTER, ROUNDS, answer, stage_of
from benchmarks.comparison.work import LEAD, Work, fact, finding
from tests.kit.script import Request

WORK = Work(number=7, subjects=3, steps=2)
FOUND = [finding(name, [fact(name, step) for step in range(WORK.steps)]) for name in WORK.names]


def asked(system: str, tool: str, messages: Sequence[Mapping[str, Any]]) -> Request:
    body = {"system": system, "tools": [{"name": tool, "input_schema": {}}], "messages": list(messages)}
    return Request(0, {}, json.dumps(body).encode())


def said(content: Sequence[Any]) -> dict[str, Any]:
    """What the model said, with ids for its calls."""
    blocks = [{**block, "id": str(n)} if "id" in block else block for n, block in enumerate(content)]
    return {"role": "assistant", "content": blocks}


def results(*texts: str) -> dict[str, Any]:
    content = [
        {"type": "tool_result", "tool_use_id": str(number), "content": text}
        for number, text in enumerate(texts)
    ]
    return {"role": "user", "content": content}


@pytest.mark.parametrize("tool", DELEGATING)
def test_a_lead_hands_out_every_subject_once_and_reports(tool: str) -> None:
    """By the tool of any system the lead names each subject once, and reports when all have come back."""
    question = {"role": "user", "content": WORK.question}
    calls = answer(asked(LEAD, tool, [question])).content
    handed_out = json.dumps([call["input"] for call in calls])
    assert {call["name"] for call in calls} == {tool}
    assert all(f"Research {name}." in handed_out for name in WORK.names)
    report = answer(asked(LEAD, tool, [question, said(calls), results(*FOUND)])).content
    assert [block["text"] for block in report] == [WORK.report]


@pytest.mark.parametrize("tool", DELEGATING)
def test_a_lead_hands_out_again_what_has_failed_but_not_for_ever(tool: str) -> None:
    """Only the subject without a finding is handed out again, and after some rounds no more."""
    messages: list[dict[str, Any]] = [{"role": "user", "content": WORK.question}]
    for round in range(ROUNDS):
        calls = answer(asked(LEAD, tool, messages)).content
        handed_out = json.dumps([call["input"] for call in calls])
        named = [name for name in WORK.names if f"Research {name}." in handed_out]
        assert named == (WORK.names[-1:] if round else WORK.names)
        messages += [said(calls), results(*FOUND[:-1], "It failed.")]
    (last,) = answer(asked(LEAD, tool, messages)).content
    assert last["text"] == WORK.report.replace("\n" + FOUND[-1], "")


def test_no_coworker_gets_two_tasks() -> None:
    """A coworker of CrewAI can do one task at a time, so tasks of one turn go to different ones."""
    tool = "delegate_work_to_coworker"
    calls = answer(asked(LEAD, tool, [{"role": "user", "content": WORK.question}])).content
    assert len({call["input"]["coworker"] for call in calls}) == WORK.subjects


def test_a_researcher_gives_a_tool_up_that_fails_again_and_again() -> None:
    """It says so after some failures in a row, not before, and the lead then reports without it."""
    name, tool = WORK.names[0], "mcp__desk__look"
    messages: list[dict[str, Any]] = [{"role": "user", "content": f"Research {name}."}]
    seen = [f"{name}, step 0: {fact(name, 0)}", *["It is gone."] * GIVES_UP_AFTER]
    for told in seen:
        calls = answer(asked(WORK.researcher, tool, messages)).content
        assert [call["name"] for call in calls] == [tool]
        messages += [said(calls), results(told)]
    (last,) = answer(asked(WORK.researcher, tool, messages)).content
    assert last["text"] == f"I give {name} up: {tool} fails."
    question = {"role": "user", "content": WORK.question}
    calls = answer(asked(LEAD, "Agent", [question])).content
    told_lead = [question, said(calls), results(last["text"], *FOUND[1:])]
    (report,) = answer(asked(LEAD, "Agent", told_lead)).content
    assert report["text"] == WORK.report.replace(FOUND[0] + "\n", "")


def test_a_researcher_looks_step_by_step_and_says_what_it_saw() -> None:
    """Each look asks for the next step, each is a stage of its own, and the finding holds all of them."""
    name, stages = WORK.names[0], set()
    messages: list[dict[str, Any]] = [{"role": "user", "content": f"Research {name}."}]
    for step in range(WORK.steps):
        request = asked(WORK.researcher, "mcp__desk__look", messages)
        stages.add(stage_of(request))
        calls = answer(request).content
        assert [call["input"] for call in calls] == [{"subject": name, "step": step}]
        messages += [said(calls), results(f"{name}, step {step}: {fact(name, step)}")]
    request = asked(WORK.researcher, "mcp__desk__look", messages)
    assert [block["text"] for block in answer(request).content] == FOUND[:1]
    assert len({*stages, stage_of(request)}) == WORK.steps + 1
