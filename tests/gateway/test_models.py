"""Which models an agent run may ask, at what price, and how many calls it may make beside its steps."""

from __future__ import annotations

import pytest

from harness import events as ev
from harness.gateway.admission import AUXILIARY_BESIDE, forbidden
from harness.pricing import PRICES, Price
from harness.records import Limits
from harness.store.database import Database
from tests.kit.gateways import MODEL, Bench, bench_on, step
from tests.kit.scripted_api import ScriptedApi

OTHER = "claude-fable-5-2"


@pytest.mark.parametrize("request_", [step(model=OTHER), step(model=OTHER, tools=())], ids=["step", "beside"])
async def test_another_model_than_the_runs_own_is_not_asked(bench: Bench, request_: object) -> None:
    """Whether its CLI asks after a refusal or a shell with its token: 400, and nothing is sent."""
    answer = await bench.send(request_)
    error = answer.json()["error"]
    assert (answer.status_code, error["type"]) == (400, "invalid_request_error")
    assert f"may not ask the model '{OTHER}', only" in error["message"]
    assert MODEL in error["message"]
    assert bench.api.calls.all == []
    assert await bench.kinds() == []


async def test_the_fallback_may_be_asked(database: Database, api: ScriptedApi) -> None:
    """It was held against the tenant's models when the session began."""
    async with bench_on(database, api, fallback=OTHER, models=()) as bench:
        assert (await bench.send(step(model=OTHER))).status_code == 200


@pytest.mark.parametrize(
    ("name", "asked", "may"),
    [
        ("claude-sonnet-5-5", "claude-sonnet-5-5", True),
        ("claude-sonnet-5-5", "claude-sonnet-5", False),
        ("claude-sonnet-5-5", "claude-sonnet-5-5-20261001", False),
        ("claude-sonnet-5-5[1m]", "claude-sonnet-5-5", True),
        ("Claude-Sonnet-5-5", "claude-sonnet-5-5", True),
        ("sonnet", "claude-sonnet-5-5", True),
        ("sonnet", "claude-opus-5-5", False),
        ("anthropic/claude-x", "anthropic/claude-x", True),
    ],
)
def test_a_cli_asks_for_a_model_by_its_id(name: str, asked: str, may: bool) -> None:
    """Which is what the bundle says, but for a family, the case, and the mark of a large window."""
    assert (forbidden(asked, {name}) is None) is may


UNKNOWN = "papers-llm-2"
IN_USD = {"session": {"budget": 1.0}, "run": {"limits": Limits(max_cost_usd=1.0)}}


@pytest.mark.parametrize("given", IN_USD.values(), ids=IN_USD)
async def test_a_model_of_unknown_price_is_not_asked_under_a_limit_of_dollars(
    database: Database, api: ScriptedApi, given: dict[str, object]
) -> None:
    """The limit could not be kept; with a price it is asked."""
    async with bench_on(database, api, models=(UNKNOWN,), upstream="live", **given) as bench:  # type: ignore[arg-type]
        answer = await bench.send(step(model=UNKNOWN))
        assert answer.status_code == 400
        assert f"The price of the model '{UNKNOWN}' is not known" in answer.json()["error"]["message"]
        assert api.calls.all == []
        bench.door.prices = {**PRICES, UNKNOWN: Price(input=1, output=1)}
        assert (await bench.send(step(model=UNKNOWN))).status_code == 200


@pytest.mark.parametrize("upstream", ["live", "offline"])
async def test_without_such_a_limit_or_without_cost_a_price_is_not_needed(
    database: Database, api: ScriptedApi, upstream: str
) -> None:
    """Tokens can be counted, and what nobody pays for costs nothing."""
    budget = 1.0 if upstream == "offline" else None
    limits = Limits(max_tokens=10**6)
    async with bench_on(
        database, api, models=(UNKNOWN,), limits=limits, budget=budget, upstream=upstream
    ) as bench:
        assert (await bench.send(step(model=UNKNOWN))).status_code == 200


async def test_calls_beside_the_steps_are_bounded(bench: Bench) -> None:
    """A step and a tool call give room for one more each; beyond that nothing is sent."""
    beside = [await bench.send(step(f"{n}", tools=())) for n in range(AUXILIARY_BESIDE + 1)]
    assert {answer.status_code for answer in beside[:-1]} == {200}
    assert beside[-1].status_code == 402
    assert "beside the steps" in beside[-1].json()["error"]["message"]
    assert (await bench.send(step("a step"))).status_code == 200
    asked = ev.ToolRequested(tool_use_id="t", tool="WebSearch", input={}, call_id=None, replay="read_only")
    await bench.journal.append(asked, run_id=bench.run.id)
    more = [(await bench.send(step(f"more {n}", tools=()))).status_code for n in range(3)]
    assert more == [200, 200, 402]
    assert len(bench.api.calls.all) == AUXILIARY_BESIDE + 3
