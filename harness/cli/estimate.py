"""What a session would run, and a guess at its cost from list prices and stated assumptions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from harness.bundles.bundle import Bundle
from harness.cli import words
from harness.flow import Lead, bundles_of
from harness.limits import granted
from harness.pricing import PRICES_AS_OF, cost_usd
from harness.records import Limits, Record, Usage
from harness.settings import Settings

if TYPE_CHECKING:
    from harness.request import Request


class Assumptions(Record):
    """What the estimate takes for granted. Tokens are those of one model call."""

    tasks: int = Field(default=3, description="tasks of a lead's first member; each further one gets one")
    steps: int = Field(default=10, description="model calls of an agent run, or half of its limit if less")
    first_prompt: int = Field(default=4000, description="tokens of an agent's first prompt, tools included")
    added_per_step: int = Field(
        default=2500, description="tokens a step's tool results add to the next prompt"
    )
    answered_per_step: int = Field(default=500, description="tokens the model writes in a step")
    prices_as_of: str = Field(default=PRICES_AS_OF, description="the day of the list prices")


class AgentPlan(Record):
    """One agent of the flow: how often it would run, by what means, and what that would cost."""

    agent: str
    role: str
    part: Literal["alone", "lead", "member"]
    model: str
    tools: tuple[str, ...]
    limits: Limits
    runs: int
    steps: int
    usage: Usage
    cost_usd: float | None


class Plan(Record):
    """What would run, over how many documents. `cost_usd` is a guess, None when a price is not known."""

    question: str
    flow: str
    upstream: str
    sources: int
    max_concurrent: int
    budget_usd: float | None
    agents: tuple[AgentPlan, ...]
    cost_usd: float | None
    assumptions: Assumptions


def estimate(request: Request, bundles: Mapping[str, Bundle], settings: Settings) -> Plan:
    """Work out what a checked question would run."""
    given = Assumptions()
    agents = []
    for place, name in enumerate(bundles_of(request.flow)):
        leads = isinstance(request.flow, Lead)
        runs = given.tasks if leads and place == 1 else 1
        part: Literal["alone", "lead", "member"] = "member" if place else "lead" if leads else "alone"
        agents.append(_agent(bundles[name], request, settings, given, part, runs))
    costs = [agent.cost_usd for agent in agents]
    known = [cost for cost in costs if cost is not None]
    return Plan(
        question=request.question,
        flow=request.flow_name,
        upstream=request.upstream,
        sources=len(request.files),
        max_concurrent=request.max_concurrent,
        budget_usd=request.limits.max_cost_usd,
        agents=tuple(agents),
        cost_usd=round(sum(known), 4) if len(known) == len(costs) else None,
        assumptions=given,
    )


def _agent(
    bundle: Bundle,
    request: Request,
    settings: Settings,
    given: Assumptions,
    part: Literal["alone", "lead", "member"],
    runs: int,
) -> AgentPlan:
    limits = granted(bundle.limits, settings)
    steps = min(given.steps, max(1, limits.max_steps // 2)) if limits.max_steps else given.steps
    model = request.model or settings.models.named(bundle.model)
    calls = [_call(number, given) for number in range(steps)]
    costs = [0.0 if request.upstream == "offline" else cost_usd(model, call) for call in calls]
    known = [cost for cost in costs if cost is not None]
    usage = sum(calls * runs, Usage())
    return AgentPlan(
        agent=bundle.name,
        role=bundle.role,
        part=part,
        model="none (offline)" if request.upstream == "offline" else model,
        tools=(*bundle.tools, *(toolset.name for toolset in bundle.toolsets)),
        limits=limits,
        runs=runs,
        steps=steps,
        usage=usage,
        cost_usd=round(sum(known) * runs, 4) if len(known) == len(costs) else None,
    )


def _call(number: int, given: Assumptions) -> Usage:
    """One model call: what earlier ones sent or wrote comes from the prompt cache, the rest goes into it."""
    grown = given.added_per_step + given.answered_per_step
    return Usage(
        cache_read_input_tokens=given.first_prompt + (number - 1) * grown if number else 0,
        cache_creation_input_tokens=grown if number else given.first_prompt,
        output_tokens=given.answered_per_step,
        model_calls=1,
        attempts=1,
    )


def in_words(plan: Plan) -> str:
    """Write the plan for a person."""
    sources = words.number(plan.sources, "document")
    at_once = words.number(plan.max_concurrent, "agent")
    lines = [f"Flow {plan.flow} over {sources}, at most {at_once} at work at a time:", ""]
    for agent in plan.agents:
        lines += _described(agent, last=agent is plan.agents[-1])
    given = plan.assumptions
    lines.append("")
    if plan.upstream == "offline":
        lines.append("It costs nothing: offline no language model is used.")
        return "\n".join(lines)
    if plan.cost_usd is None:
        unknown = sorted({agent.model for agent in plan.agents if agent.cost_usd is None})
        lines.append(f"No estimate of the cost: the price of {', '.join(unknown)} is not known.")
    else:
        lines.append(f"About {words.dollars(plan.cost_usd)} at the list prices of {given.prices_as_of}.")
        lines += [f"  assumed: {assumed}" for assumed in _assumed(plan)]
    if plan.budget_usd is not None:
        lines.append(
            f"Never more than the session's budget of {words.dollars(plan.budget_usd)} (--budget-usd)."
        )
    return "\n".join(lines)


def _described(agent: AgentPlan, *, last: bool) -> list[str]:
    member = agent.part == "member"
    branch, stem = (("└─ " if last else "├─ "), ("   " if last else "│  ")) if member else ("", "│  ")
    stem = "   " if agent.part == "alone" else stem
    cost = "" if not agent.cost_usd else f", about {words.dollars(agent.cost_usd)}"
    times = f" × {agent.runs}" if agent.runs > 1 else ""
    limits = [
        f"{agent.limits.max_steps} steps" if agent.limits.max_steps else "",
        words.dollars(agent.limits.max_cost_usd) if agent.limits.max_cost_usd else "",
        words.clock(agent.limits.timeout_s) if agent.limits.timeout_s else "",
    ]
    return [
        f"{branch}{agent.agent}{times} ({agent.role or agent.part}){cost}",
        f"{stem}model {agent.model}, tools {', '.join(agent.tools) or 'none'}",
        f"{stem}at most {', '.join(filter(None, limits)) or 'what the session may'} each run",
    ]


def _assumed(plan: Plan) -> list[str]:
    given = plan.assumptions
    tasks: list[str] = []
    if any(agent.part == "member" for agent in plan.agents):
        counts = ", ".join(f"{a.runs} {a.agent}" for a in plan.agents if a.part == "member")
        tasks = [f"tasks given out: {counts}"]
    steps = ", ".join(f"{agent.agent} {agent.steps}" for agent in plan.agents)
    return [
        *tasks,
        f"steps of an agent run: {steps}",
        f"a first prompt of {words.tokens(given.first_prompt)} tokens, "
        f"{words.tokens(given.added_per_step)} more with each step, the rest from the prompt cache",
        f"{given.answered_per_step} tokens written in each step",
    ]
