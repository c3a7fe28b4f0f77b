"""A tool is tried again only where that may help and does no harm; its errors say of what kind they are."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest
from pydantic import BaseModel

from harness import toolserver
from harness.errors import StoreUnavailable
from harness.records import Replay
from harness.store.database import Database
from harness.tools import InvalidInput, Tool, ToolContext, ToolProblem, Unavailable
from harness.toolserver import tried

CONTEXT = ToolContext("s", "t", "r", cast(Database, None))


class Given(BaseModel):
    """A tool's input."""

    n: int = 0


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(toolserver, "FIRST_PAUSE_S", 0.001)


def failing(
    *problems: Exception | None, replay: Replay = "read_only", **given: Any
) -> tuple[Tool, list[int]]:
    """A tool that raises these one after another (None: hangs) and then answers; and how often it ran."""
    left, ran = list(problems), []

    async def run(context: ToolContext, value: Given) -> str:
        ran.append(value.n)
        if not left:
            return "at last"
        problem = left.pop(0)
        if problem is None:
            await asyncio.sleep(60)
        raise cast(Exception, problem)

    return Tool("fetch", "Fetches.", Given, run, replay, **given), ran


@pytest.mark.parametrize("replay", ["read_only", "idempotent", "unsafe"])
async def test_what_may_pass_is_tried_again(replay: Replay) -> None:
    """Three tries by default, also of an unsafe tool that says itself that it could not begin."""
    tool, ran = failing(*[Unavailable("Away.")] * 2, replay=replay)
    assert await tried(tool, CONTEXT, Given()) == "at last"
    assert len(ran) == 3


@pytest.mark.parametrize("problem", [StoreUnavailable("No server."), TimeoutError("slow")])
@pytest.mark.parametrize(("replay", "tries"), [("read_only", 3), ("idempotent", 3), ("unsafe", 1)])
async def test_what_was_waited_for_in_vain_may_have_been_done(
    problem: Exception, replay: Replay, tries: int
) -> None:
    """An order that is answered late was placed all the same: an unsafe tool places it once."""
    tool, ran = failing(problem, problem, replay=replay)
    if replay == "unsafe":
        with pytest.raises(Unavailable, match=str(problem)):
            await tried(tool, CONTEXT, Given())
    else:
        assert await tried(tool, CONTEXT, Given()) == "at last"
    assert len(ran) == tries


async def test_the_last_try_counts() -> None:
    """What does not pass is the agent's to know."""
    tool, ran = failing(*[Unavailable("Away.")] * 3)
    with pytest.raises(Unavailable, match="Away"):
        await tried(tool, CONTEXT, Given())
    assert len(ran) == 3


@pytest.mark.parametrize("problem", [InvalidInput("No such page."), ToolProblem("Not allowed.")])
async def test_what_would_fail_again_is_not_tried_again(problem: ToolProblem) -> None:
    """A validation error or a refusal stays what it is."""
    tool, ran = failing(problem)
    with pytest.raises(type(problem)):
        await tried(tool, CONTEXT, Given())
    assert len(ran) == 1


@pytest.mark.parametrize(("replay", "tries"), [("read_only", 2), ("idempotent", 2), ("unsafe", 1)])
async def test_a_tool_that_hangs_is_ended(replay: Replay, tries: int) -> None:
    """Each try has its time; an unsafe tool, which may have had its effect, is not run again."""
    tool, ran = failing(None, replay=replay, timeout_s=0.05)
    if replay == "unsafe":
        with pytest.raises(ToolProblem, match=r"did not answer within 0\.05 s"):
            await tried(tool, CONTEXT, Given())
    else:
        assert await tried(tool, CONTEXT, Given()) == "at last"
    assert len(ran) == tries


async def called(tool: Tool, **given: Any) -> str:
    """What the agent is given."""
    result = await toolserver._sdk_tool(tool, CONTEXT, 1000).handler(given)
    return f"{result.get('is_error', False)} {result['content'][0]['text']}"


async def test_an_error_says_of_what_kind_it_is() -> None:
    """The agent reads the kind first."""
    tool, _ = failing(ToolProblem("Not allowed."))
    assert await called(tool) == "True refused: Not allowed."
    tool, _ = failing(*[Unavailable("Away.")] * 3)
    assert await called(tool) == "True unavailable: Away."
    tool, _ = failing()
    assert (await called(tool, n="many")).startswith("True invalid_input: n: ")
    assert await called(tool) == "False at last"
