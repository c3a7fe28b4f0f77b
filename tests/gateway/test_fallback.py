"""A model that answers in another's place: when, how often, and what is told of it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from typing import Any

import pytest

from harness import events as ev
from harness.gateway import relay
from harness.page.shares import by_model
from harness.pricing import Price
from harness.records import Usage
from harness.store.database import Database
from harness.store.journal import read_events
from harness.store.recordings import recorded_step
from tests.kit import sse
from tests.kit.gateways import MODEL, Bench, bench_on, step
from tests.kit.script import Request
from tests.kit.scripted_api import Reply, ScriptedApi, Tokens, refused, text

FALLBACK = "house-model-2"
PRICES = {FALLBACK: Price(input=1000, output=0), MODEL: Price(input=1, output=0)}


@pytest.fixture
def api() -> Iterator[ScriptedApi]:
    with ScriptedApi(only_fallback(529)) as played:
        yield played


@pytest.fixture
async def bench(database: Database, api: ScriptedApi) -> AsyncIterator[Bench]:
    async with bench_on(
        database, api, fallback=FALLBACK, prices=PRICES, record=True, upstream="live"
    ) as opened:
        yield opened


def only_fallback(status: int, message: str = "No.") -> Any:
    """Refuse every model but one."""

    def script(request: Request) -> Reply:
        if request.model != FALLBACK:
            return refused(status, message)
        return Reply([text("Here I am.")], usage=Tokens(1000, 20), deltas=1)

    return script


def models(api: ScriptedApi) -> list[str]:
    """Which model was asked, call by call."""
    return [call.request.model for call in api.calls.messages()]


@pytest.mark.parametrize("status", [503, 529])
async def test_a_model_that_stays_overloaded_is_replaced(bench: Bench, api: ScriptedApi, status: int) -> None:
    """After the last attempt; the request is the same but for the model, and the answer is passed on."""
    api.script = only_fallback(status)
    answer = await bench.send()
    assert answer.status_code == 200
    assert b"Here I am." in answer.content
    assert models(api) == [MODEL] * relay.MAX_ATTEMPTS + [FALLBACK]
    first, *_, last = (call.request.body for call in api.calls.messages())
    assert first | {"model": FALLBACK} == last


async def test_a_model_that_is_not_there_is_replaced_at_once(bench: Bench, api: ScriptedApi) -> None:
    """No further attempt can help."""
    api.script = only_fallback(404, f"model: {MODEL}")
    assert (await bench.send()).status_code == 200
    assert models(api) == [MODEL, FALLBACK]
    assert await bench.kinds() == ["model.requested", "model.retried", "model.finished"]


async def test_the_journal_says_who_answers_and_what_it_costs(bench: Bench, api: ScriptedApi) -> None:
    """The event of the switch names the model; price, span and sums are those of the model that answered."""
    api.script = only_fallback(404, f"model: {MODEL}")
    await bench.send()
    events = await read_events(bench.database, bench.journal.session_id, after=3)
    _, retried, finished = (event.payload for event in events)
    assert isinstance(retried, ev.ModelRetried)
    assert (retried.model, retried.status, retried.pause_s) == (FALLBACK, 404, 0)
    assert isinstance(finished, ev.ModelFinished)
    assert (finished.model, finished.cost_usd) == (FALLBACK, 1.0)
    assert bench.run.cost_usd == 1.0
    (share,) = by_model(events, bench.journal.state)
    assert (share.name, share.usage.attempts) == (FALLBACK, 2)
    (span,) = await bench.database.all(
        "select opened, closed from span where kind = 'model' and session_id = %(id)s",
        {"id": bench.journal.session_id},
    )
    assert span["opened"]["request_model"] == MODEL
    assert span["closed"]["model"] == FALLBACK
    assert span["closed"]["retries"][0]["model"] == FALLBACK


async def test_a_fallback_that_answers_under_another_name_has_its_own_price(
    bench: Bench, api: ScriptedApi
) -> None:
    """Not that of the model in whose place it answers."""
    api.script = lambda request: replace(
        only_fallback(404, f"model: {MODEL}")(request), model=f"house/{request.model}"
    )
    await bench.send()
    finished = await bench.last()
    assert (finished.model, finished.cost_usd) == (f"house/{FALLBACK}", 1.0)


async def test_the_fallback_is_tried_as_often_and_not_replaced(bench: Bench, api: ScriptedApi) -> None:
    """When it is overloaded as well, the call fails: there is no third model and no way back."""
    api.script = lambda request: refused(529, "Overloaded.")
    assert (await bench.send()).status_code == 402
    assert models(api) == [MODEL] * relay.MAX_ATTEMPTS + [FALLBACK] * relay.MAX_ATTEMPTS
    assert bench.run.usage == Usage(attempts=2 * relay.MAX_ATTEMPTS)
    api.script = lambda request: refused(404, "Nobody is here.")
    before = len(models(api))
    bench.another_sitting()
    assert (await bench.send(step("Another."))).status_code == 402
    assert models(api)[before:] == [MODEL, FALLBACK]


async def test_the_call_of_the_fallback_itself_has_none(bench: Bench, api: ScriptedApi) -> None:
    """It would be asked the same again."""
    api.script = lambda request: refused(404, "Nobody is here.")
    assert (await bench.send(step(model=FALLBACK))).status_code == 402
    assert models(api) == [FALLBACK]


@pytest.mark.parametrize("status", [400, 401, 402, 403, 413, 429, 500])
async def test_other_errors_are_no_reason(bench: Bench, api: ScriptedApi, status: int) -> None:
    """Another model would be refused as well, or the request is at fault."""
    api.script = lambda request: refused(status, "No.", retry_after=0)
    assert (await bench.send()).status_code == (status if status in (400, 413) else 402)
    assert set(models(api)) == {MODEL}


async def test_a_404_that_is_not_about_the_model_is_no_reason(
    bench: Bench, api: ScriptedApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A proxy with a wrong path says so in another form."""
    monkeypatch.setitem(sse._ERROR_TYPES, 404, "api_error")
    api.script = lambda request: refused(404, "No such page.")
    assert (await bench.send()).status_code == 402
    assert models(api) == [MODEL]


async def test_without_a_fallback_nothing_changes(database: Database, api: ScriptedApi) -> None:
    """The call fails after its attempts."""
    async with bench_on(database, api) as bench:
        assert (await bench.send()).status_code == 402
        assert models(api) == [MODEL] * relay.MAX_ATTEMPTS


async def test_the_next_call_asks_its_own_model_first(bench: Bench, api: ScriptedApi) -> None:
    """It may be back."""
    api.script = only_fallback(404, f"model: {MODEL}")
    await bench.send()
    api.script = lambda request: Reply([text("Back again.")])
    await bench.send(step("Another."))
    assert models(api) == [MODEL, FALLBACK, MODEL]


async def test_the_recording_has_the_request_that_the_agent_made(bench: Bench, api: ScriptedApi) -> None:
    """A replay compares it with what the agent asks then, which names the agent's own model."""
    api.script = only_fallback(404, f"model: {MODEL}")
    await bench.send()
    (call,) = await recorded_step(bench.database, bench.journal.session_id, bench.run.path, 1)
    assert call.asked == step()
    assert b"Here I am." in call.response


async def test_an_overload_of_an_hour_is_not_waited_for(database: Database, api: ScriptedApi) -> None:
    """The service says how long: with a fallback no session is suspended, and others do not even ask."""
    api.script = lambda request: (
        Reply([text("Here I am.")]) if request.model == FALLBACK else refused(529, "Busy.", retry_after=3600)
    )
    for _ in range(2):
        async with bench_on(database, api, fallback=FALLBACK, paced_for="t") as bench:
            assert (await bench.send()).status_code == 200
            assert bench.gateway.limited is None
    assert models(api) == [MODEL, FALLBACK, FALLBACK]


@pytest.mark.parametrize("streamed", [True, False])
async def test_the_fallback_answers_what_is_declined(
    database: Database, api: ScriptedApi, streamed: bool
) -> None:
    """Where the settings say so; the agent sees its answer alone, and both are booked."""

    def script(request: Request) -> Reply:
        own = Reply([text("I would rather not.")], stop_reason="refusal", usage=Tokens(10, 5), deltas=1)
        return (
            own if request.model == MODEL else Reply([text("Here I am.")], usage=Tokens(1000, 20), deltas=1)
        )

    api.script = script
    async with bench_on(database, api, fallback=FALLBACK, on_refusal=True, prices=PRICES) as bench:
        answer = await bench.send(step(stream=streamed))
        assert answer.status_code == 200
        assert (b"Here I am." in answer.content, b"rather not" in answer.content) == (True, False)
        assert models(api) == [MODEL, FALLBACK]
        assert await bench.kinds() == ["model.requested", "model.finished"] * 2
        assert bench.run.usage == Usage(input_tokens=1010, output_tokens=25, model_calls=2, attempts=2)
        assert (bench.run.steps, bench.run.last_stop) == (1, "end_turn")


async def test_what_is_declined_stays_so_by_default(database: Database, api: ScriptedApi) -> None:
    """And where the fallback declines as well, that is its answer."""
    api.script = lambda request: Reply([text("I would rather not.")], stop_reason="refusal", deltas=1)
    async with bench_on(database, api, fallback=FALLBACK, prices=PRICES) as bench:
        assert b"rather not" in (await bench.send()).content
        assert models(api) == [MODEL]
    async with bench_on(database, api, fallback=FALLBACK, on_refusal=True, prices=PRICES) as bench:
        assert b"rather not" in (await bench.send()).content
        assert models(api)[1:] == [MODEL, FALLBACK]


async def test_what_stops_between_the_two_is_gone_on_from(database: Database, api: ScriptedApi) -> None:
    """A fallback that is away leaves a run that asks again, and is no refusal of its own."""

    def script(request: Request) -> Reply:
        own = Reply([text("I would rather not.")], stop_reason="refusal", usage=Tokens(10, 5))
        return own if request.model == MODEL else refused(529, "Overloaded.", retry_after=0)

    api.script = script
    async with bench_on(database, api, fallback=FALLBACK, on_refusal=True, prices=PRICES) as bench:
        assert (await bench.send()).status_code == 402
        assert bench.door.trouble is not None
        assert bench.door.trouble.concern == "service"
        assert (bench.run.steps, bench.run.last_stop) == (0, None)
        bench.another_sitting()
        api.script = lambda request: Reply([text("Here I am.")], deltas=1)
        assert b"Here I am." in (await bench.send()).content


async def test_a_fallback_without_money_is_not_asked(database: Database, api: ScriptedApi) -> None:
    """The refusal is booked once."""
    api.script = lambda request: Reply([text("No.")], stop_reason="refusal", usage=Tokens(2_000_000, 5))
    async with bench_on(
        database, api, fallback=FALLBACK, on_refusal=True, prices=PRICES, budget=1.0, upstream="live"
    ) as bench:
        assert (await bench.send()).status_code == 402
        assert models(api) == [MODEL]
        assert await bench.kinds() == ["model.requested", "model.finished"]
