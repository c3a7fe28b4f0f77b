"""Which calls are refused before they are sent, the last turn, and calls of the CLI's own."""

from __future__ import annotations

import asyncio
import json
import threading
from typing import Any

import httpx
import pytest

from harness import events as ev
from harness.pricing import cost_usd
from harness.records import Limits
from harness.store.database import Database
from harness.store.journal import read_events
from harness.store.patient import PatientDatabase
from tests.kit.gateways import MODEL, SEARCH, SPENT, USED, Bench, bench_on, read_into, step
from tests.kit.journals import finished
from tests.kit.processes import until
from tests.kit.scripted_api import Reply, ScriptedApi, text
from tests.kit.sessions import FaultyDatabase, take_over

# -- what is refused before it is sent


async def test_a_spent_budget_refuses_before_sending(database: Database, api: ScriptedApi) -> None:
    """402 with the sentence, no checkpoint, and the service is not asked."""
    async with bench_on(database, api, budget=1.0) as bench:
        await bench.journal.append(finished("x", cost_usd=1.0), run_id=bench.run.id)
        answer = await bench.send()
        assert answer.status_code == 402
        error = answer.json()["error"]
        assert error["type"] == "billing_error"
        assert "harness resume" in error["message"]
        assert api.calls.messages() == []
        assert await bench.kinds() == ["model.finished"]


async def test_a_model_that_answers_under_another_name_costs_what_was_asked_for(
    database: Database, api: ScriptedApi
) -> None:
    """As LiteLLM does: the name it gives has no price, and the budget is kept all the same."""
    api.script = lambda request: Reply([text("x")], usage=SPENT, model=f"anthropic/{MODEL}")
    async with bench_on(database, api, budget=0.001, upstream="live") as bench:
        assert (await bench.send()).status_code == 200
        answered = await bench.last()
        assert (answered.model, answered.cost_usd) == (f"anthropic/{MODEL}", cost_usd(MODEL, USED))
        assert (await bench.send(step("And?"))).status_code == 402
        assert len(api.calls.messages()) == 1


async def test_spent_steps_refuse_before_sending(database: Database, api: ScriptedApi) -> None:
    """Steps are counted over the run's processes, by the journal."""
    async with bench_on(database, api, limits=Limits(max_steps=2)) as bench:
        codes = [(await bench.send(step(f"{n}"))).status_code for n in range(4)]
        assert codes == [200, 200, 402, 402]
        assert len(api.calls.messages()) == 2


async def test_without_the_lease_nothing_is_sent(bench: Bench) -> None:
    """Taken over by another process, this one's call is refused for good."""
    await take_over(bench.database, bench.journal.session_id)
    for _ in range(2):
        answer = await bench.send()
        assert answer.status_code == 402
        assert bench.journal.session_id in answer.json()["error"]["message"]
    assert bench.api.calls.messages() == []
    assert await bench.kinds() == []


async def test_an_answer_after_the_lease_was_lost_is_not_given(bench: Bench) -> None:
    """What could not be committed does not reach the CLI as an answer: its stream breaks off."""
    release = threading.Event()
    bench.api.script = lambda request: Reply([text("a")], usage=SPENT, hold=release, hold_after=1)
    seen: list[bytes] = []
    reading = asyncio.create_task(read_into(seen, bench))
    await until(lambda: seen, "the beginning of the answer")
    await take_over(bench.database, bench.journal.session_id)
    release.set()
    with pytest.raises(httpx.RemoteProtocolError):
        await reading
    assert b"message_stop" not in b"".join(seen)
    assert await bench.kinds() == ["model.requested"]


async def test_a_store_that_is_away_for_a_moment_is_waited_for(bench: Bench) -> None:
    """Neither checkpoint nor settlement is left out, and the client notices nothing."""
    failures = iter([True, True, False, True, False])

    def fault(sql: str) -> str:
        return "before" if "insert into event" in sql.lower() and next(failures, False) else ""

    faulty = FaultyDatabase(bench.database, fault)
    bench.journal.database = PatientDatabase(faulty, bench.journal.lease)
    answer = await bench.send()
    assert answer.status_code == 200
    assert await bench.kinds() == ["model.requested", "model.finished"]


# -- the last turn


async def test_no_request_is_edited(database: Database, api: ScriptedApi) -> None:
    """Near a limit, in the last turn, after it: what reaches the service is what the agent's CLI has sent."""
    async with bench_on(database, api, limits=Limits(max_steps=4), budget=1.0) as bench:
        sent = [
            json.dumps(
                step(f"{n}", tools=(SEARCH, "StructuredOutput"), tool_choice={"type": "auto"})
            ).encode()
            for n in range(4)
        ]
        for body in sent:
            assert (await bench.send(body)).status_code == 200
        assert [call.request.raw for call in api.calls.messages()] == sent
        events = await read_events(bench.database, bench.journal.session_id, after=3)
        asked = [event.payload for event in events if isinstance(event.payload, ev.ModelRequested)]
        assert [each.last_turn for each in asked] == [False, False, False, True]
        assert bench.run.took_last_turn


async def test_money_running_out_brings_two_last_turns_at_most(database: Database, api: ScriptedApi) -> None:
    """A second one, should the first have called a tool; then no more, though there is money left."""
    async with bench_on(database, api, budget=1.0) as bench:
        await bench.journal.append(finished("x", cost_usd=0.95), run_id=bench.run.id)
        codes = [(await bench.send(step(f"{n}"))).status_code for n in range(3)]
        assert codes == [200, 200, 402]
        assert len(api.calls.messages()) == 2


# -- calls of the CLI's own


@pytest.mark.parametrize(
    "request_",
    [step(tools=()), step(tools=("web_search",)), step(tools=("mcp__other__search",))],
    ids=["no tools", "a server's tool", "somebody else's"],
)
async def test_a_call_without_the_agents_tools_is_no_step(
    database: Database, api: ScriptedApi, request_: dict[str, Any]
) -> None:
    """Titles and searches of the CLI's own are charged and committed, and take no step away."""
    async with bench_on(database, api, limits=Limits(max_steps=1)) as bench:
        for n in range(3):
            assert (await bench.send({**request_, "max_tokens": n + 1})).status_code == 200
        assert (bench.run.steps, bench.run.usage.model_calls) == (0, 3)
        assert (await bench.last()).auxiliary
        assert (await bench.send()).status_code == 200
        assert bench.run.steps == 1


async def test_an_agent_without_tools_is_known_by_its_prompt(database: Database, api: ScriptedApi) -> None:
    """Its steps carry its system prompt, in whatever form; other calls do not."""
    async with bench_on(database, api, tools=()) as bench:
        for number, system in enumerate(
            [
                [{"type": "text", "text": "x"}, *step()["system"]],
                step()["system"][0]["text"],
                "A title, please.",
            ]
        ):
            await bench.send(step(f"{number}", tools=(), system=system))
        assert (bench.run.steps, bench.run.usage.model_calls) == (2, 3)


async def test_a_budget_holds_for_the_clis_own_calls(database: Database, api: ScriptedApi) -> None:
    """They cost the same money."""
    async with bench_on(database, api, budget=1.0) as bench:
        await bench.journal.append(finished("x", cost_usd=1.0), run_id=bench.run.id)
        assert (await bench.send(step(tools=()))).status_code == 402
        assert api.calls.messages() == []
