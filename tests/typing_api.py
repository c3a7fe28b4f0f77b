"""The public surface as a program of somebody else's uses it. Never run: mypy and pyright check it."""

from __future__ import annotations

from pathlib import Path
from typing import assert_type

from pydantic import BaseModel

from harness import (
    Agent,
    AgentRunChanged,
    AgentRunSummary,
    BadInput,
    Bundle,
    Harness,
    HarnessError,
    Lead,
    LeaseHeld,
    Limits,
    Progress,
    Result,
    Session,
    SessionStarted,
    Settings,
    Tool,
    ToolContext,
    ToolProblem,
    Toolset,
    Usage,
    from_environment,
)


class Query(BaseModel):
    word: str


class Found(BaseModel):
    meanings: list[str]


async def look_up(context: ToolContext, query: Query) -> Found:
    assert_type(context.session_id, str)
    if not query.word:
        raise ToolProblem("Give a word.")
    return Found(meanings=[])


LEXICOGRAPHER = Bundle.define(
    name="lexicographer",
    role="lexicographer",
    description="Looks up words.",
    prompt="You look up words.",
    input=Query,
    output=Found,
    tools=["corpus"],
    toolsets=[Toolset("dictionary", (Tool("look_up", "Looks up a word.", Query, look_up, "read_only"),))],
    limits=Limits(max_steps=5, max_cost_usd=0.1, timeout_s=60),
    model="research",
    effort="low",
    replay={"mcp__dictionary__look_up": "read_only"},
)


async def sessions() -> None:
    settings = from_environment(Path("project"), {"limits.max_concurrent": 2})
    assert_type(settings, Settings)
    async with Harness(project=Path("project"), bundles=[LEXICOGRAPHER], settings=settings) as harness:
        session = await harness.start(
            "Why?",
            sources=["docs", Path("more.pdf")],
            flow=Lead(members=("researcher", "lexicographer")),
            upstream="offline",
            max_concurrent=2,
            budget_usd=1.0,
            model="some-model-1",
        )
        assert_type(session, Session)
        assert_type(await harness.fork(session.id, at=7, edits={"limits.max_steps": 3}), str)
        assert_type(await harness.resume(session.id, at="0123abcd"), Session)
        async for progress in session:
            assert_type(progress, Progress)
            match progress:
                case SessionStarted(session_id=session_id):
                    assert_type(session_id, str)
                case AgentRunChanged(agent=agent):
                    assert_type(agent, str)
                case Result(report=report):
                    assert_type(report, str | None)
        session = await harness.resume(session.id, budget_usd=2.0)
        result = await session.result()
        assert_type(result, Result)
        assert_type(result.usage, Usage)
        assert_type(result.agent_runs, tuple[AgentRunSummary, ...])
        await harness.ask(session.id, "And then?")
        await harness.cancel(session.id)
        await harness.start("Why?", flow=Agent(agent="lexicographer"))


async def problems() -> None:
    try:
        await sessions()
    except (BadInput, LeaseHeld) as problem:
        assert_type(str(problem), str)
    except HarnessError:
        raise
