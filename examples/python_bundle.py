"""A subagent made in Python, with a typed tool of its own, at work on a question.

python examples/python_bundle.py              calls the model, so it needs ANTHROPIC_API_KEY
python examples/python_bundle.py --offline    rehearses without one; offline only the corpus is searched
"""

from __future__ import annotations

import asyncio
import sys

from pydantic import BaseModel, Field

from harness import Agent, Bundle, Harness, Limits, Tool, ToolContext, ToolProblem, Toolset

QUESTION = "How many seconds may a hook take, and how many until a silent process loses its session?"


class Figures(BaseModel):
    """Two figures of the same unit."""

    before: float = Field(description="The figure compared with.")
    after: float = Field(description="The figure that is compared.")


async def change(context: ToolContext, figures: Figures) -> str:
    """Give the change as a share of the first figure."""
    if figures.before == 0:
        raise ToolProblem("A change from zero has no share; give both figures as they are.")
    return f"{(figures.after - figures.before) / figures.before:+.1%}"


STATISTICIAN = Bundle.define(
    name="statistician",
    role="statistician",
    description="Compares figures from the documents and says by how much they differ.",
    prompt="Find both figures with `search`, let `change` compute, and answer in Markdown with sources.",
    tools=["corpus"],
    toolsets=[
        Toolset(
            "arithmetic",
            (Tool("change", "Computes a relative change.", Figures, change, replay="read_only"),),
        )
    ],
    limits=Limits(max_steps=12, max_cost_usd=0.50),
)


async def main() -> None:
    """Ask the statistician alone; in a `Lead` it would be one of the members."""
    async with Harness(bundles=[STATISTICIAN]) as harness:
        session = await harness.start(
            QUESTION,
            flow=Agent(agent="statistician"),
            sources=["docs"],
            upstream="offline" if "--offline" in sys.argv else "live",
        )
        result = await session.result()
        print(result.report or result.problem)


asyncio.run(main())
