"""What a session would run, and a guess at its cost from list prices and stated assumptions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from harness.bundles.bundle import Bundle, limits_of
from harness.cli import words
from harness.flow import ROUTER, Agent, AnyNode, Blackboard, Lead, Supervisor, Team, children, label
from harness.limits import granted
from harness.pricing import PRICES_AS_OF, Price, cost_usd
from harness.records import Limits, Record, Usage
from harness.settings import Settings

if TYPE_CHECKING:
    from harness.request import Request


Part = Literal["alone", "lead", "member", "stage", "branch", "merge", "seat", "verifier", "router"]

_PARTS: Mapping[str, Part] = {
    "members": "member",
    "stages": "stage",
    "branches": "branch",
    "merge": "merge",
    "seats": "seat",
}
"""What somebody is whose node stands in this field of a pattern."""


class Assumptions(Record):
    """What the estimate takes for granted. Tokens are those of one model call."""

    tasks: int = Field(default=3, description="tasks of a lead's first member; each further one gets one")
    rounds: int = Field(default=2, description="how often each seat of a blackboard works")
    steps: int = Field(default=10, description="model calls of an agent run, or half of its limit if less")
    first_prompt: int = Field(default=4000, description="tokens of an agent's first prompt, tools included")
    added_per_step: int = Field(
        default=2500, description="tokens a step's tool results add to the next prompt"
    )
    answered_per_step: int = Field(default=500, description="tokens the model writes in a step")
    prices_as_of: str = Field(default=PRICES_AS_OF, description="the day of the list prices")


class AgentPlan(Record):
    """One agent of the flow: how often it would run, by what means, and what that would cost.

    `node` is its place by the labels of the nodes around it, the root's left out.
    """

    agent: str
    node: str
    role: str
    part: Part
    model: str
    tools: tuple[str, ...]
    limits: Limits
    runs: int
    steps: int
    usage: Usage
    cost_usd: float | None


class Plan(Record):
    """What would run, over how many documents. `cost_usd` is a guess, None when a price is not known.

    `fallback` is the model that answers when another cannot; `own_prices` are those of the settings.
    """

    question: str
    flow: str
    upstream: str
    sources: int
    max_concurrent: int
    budget_usd: float | None
    budget_tokens: int | None
    agents: tuple[AgentPlan, ...]
    cost_usd: float | None
    fallback: str | None
    own_prices: Mapping[str, Price]
    assumptions: Assumptions


def estimate(request: Request, bundles: Mapping[str, Bundle], settings: Settings) -> Plan:
    """Work out what a checked question would run."""
    given = Assumptions()
    flow = request.flow.flow
    part: Part = "alone" if isinstance(flow, Agent) else "lead"
    agents = [_agent(turn, bundles, request, settings, given) for turn in _turns(flow, part, (), 1, given)]
    costs = [agent.cost_usd for agent in agents]
    known = [cost for cost in costs if cost is not None]
    return Plan(
        question=request.question,
        flow=request.flow.name,
        upstream=request.upstream,
        sources=len(request.files),
        max_concurrent=request.max_concurrent,
        budget_usd=request.limits.max_cost_usd,
        budget_tokens=request.limits.max_tokens,
        agents=tuple(agents),
        cost_usd=round(sum(known), 4) if len(known) == len(costs) else None,
        fallback=settings.models.fallback if request.upstream == "live" else None,
        own_prices=settings.prices,
        assumptions=given,
    )


@dataclass(frozen=True)
class _Turn:
    """Somebody of the flow at work: `who` is a bundle or the router, `calls` its model calls, if known."""

    who: str
    part: Part
    place: tuple[str, ...]
    runs: int
    limits: Limits | None = None
    calls: int | None = None


def _turns(
    node: AnyNode, part: Part, place: tuple[str, ...], runs: int, given: Assumptions
) -> Iterator[_Turn]:
    """Go through the flow in its order; every loop and every choice is taken as `given` says."""
    below = children(node)
    match node:
        case Agent() | Lead():
            named = place or (label(node),)
            yield _Turn(node.agent, part, named, runs, node.limits)
            if node.gate is not None:
                yield _Turn(node.gate.verifier, "verifier", (*named, node.gate.verifier), runs)
        case Supervisor() | Team():
            decisions = min(len(below) + 1, node.max_decisions)
            yield _Turn(ROUTER, "router", (*place, ROUTER), runs, node.limits, decisions)
        case _:
            pass
    for number, (where, child) in enumerate(below.items()):
        times = given.tasks if isinstance(node, Lead) and not number else 1
        times = given.rounds if isinstance(node, Blackboard) else times
        yield from _turns(child, _PARTS[where.partition(".")[0]], (*place, label(child)), runs * times, given)


def _agent(
    turn: _Turn,
    bundles: Mapping[str, Bundle],
    request: Request,
    settings: Settings,
    given: Assumptions,
) -> AgentPlan:
    bundle = bundles.get(turn.who) if turn.part != "router" else None
    own = limits_of(turn.who, bundles)
    limits = granted(turn.limits.over(own) if turn.limits else own, settings)
    steps = min(given.steps, max(1, limits.max_steps // 2)) if limits.max_steps else given.steps
    steps = turn.calls or steps
    model = request.model or settings.models.named(bundle.model if bundle else "routing")
    calls = [_call(number, given) for number in range(steps)]
    prices = settings.price_table
    costs = [0.0 if request.upstream == "offline" else cost_usd(model, call, prices) for call in calls]
    known = [cost for cost in costs if cost is not None]
    usage = sum(calls * turn.runs, Usage())
    return AgentPlan(
        agent=turn.who,
        node="/".join(turn.place),
        role=bundle.role if bundle else "decides who works next",
        part=turn.part,
        model="none (offline)" if request.upstream == "offline" else model,
        tools=(*bundle.tools, *(toolset.name for toolset in bundle.toolsets)) if bundle else (),
        limits=limits,
        runs=turn.runs,
        steps=steps,
        usage=usage,
        cost_usd=round(sum(known) * turn.runs, 4) if len(known) == len(costs) else None,
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
    for model, price in plan.own_prices.items():
        dollars = f"${price.input:g} in and ${price.output:g} out"
        lines.append(f"Your own price of {model}: {dollars}, per million tokens.")
    if plan.fallback is not None:
        lines.append(f"A call whose model stays overloaded or is not there is answered by {plan.fallback}.")
    if plan.budget_usd is not None:
        lines.append(
            f"Never more than the session's budget of {words.dollars(plan.budget_usd)} (--budget-usd)."
        )
    if plan.budget_tokens is not None:
        budget = words.tokens(plan.budget_tokens)
        lines.append(f"Never more than the session's budget of {budget} tokens (--budget-tokens).")
    return "\n".join(lines)


def _described(agent: AgentPlan, *, last: bool) -> list[str]:
    member = agent.part not in ("alone", "lead")
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
        f"{branch}{agent.node}{times} ({agent.role or agent.part}){cost}",
        f"{stem}model {agent.model}, tools {', '.join(agent.tools) or 'none'}",
        f"{stem}at most {', '.join(filter(None, limits)) or 'what the session may'} each run",
    ]


def _assumed(plan: Plan) -> list[str]:
    given = plan.assumptions
    tasks: list[str] = []
    if any(agent.part == "member" for agent in plan.agents):
        counts = ", ".join(f"{a.runs} {a.node}" for a in plan.agents if a.part == "member")
        tasks = [f"tasks given out: {counts}"]
    if any(agent.part == "seat" for agent in plan.agents):
        tasks.append(f"each seat of a blackboard works {given.rounds} times")
    if any(agent.part == "verifier" for agent in plan.agents):
        tasks.append("each verifier is content with the first answer")
    steps = ", ".join(f"{agent.node} {agent.steps}" for agent in plan.agents)
    return [
        *tasks,
        f"steps of an agent run: {steps}",
        f"a first prompt of {words.tokens(given.first_prompt)} tokens, "
        f"{words.tokens(given.added_per_step)} more with each step, the rest from the prompt cache",
        f"{given.answered_per_step} tokens written in each step",
    ]
