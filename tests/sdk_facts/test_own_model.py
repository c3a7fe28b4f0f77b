"""What an attempt's environment makes of the CLI: one model for everything, and no patience of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.attempt import environment, make
from tests.kit import sse
from tests.kit.script import Request
from tests.kit.scripted_api import Reply, text, tool_use
from tests.kit.sdk import Bench

MODEL = "claude-opus-4-1"
"""One that the CLI replaces with a newer one unless it is told not to."""


@pytest.fixture
def switches(bench: Bench, tmp_path: Path) -> dict[str, str]:
    """The environment of an attempt behind a gateway."""
    folder = make(tmp_path / "home", "session", "run", 1)
    return environment(folder, (bench.api.base_url, "token"), MODEL, 900.0)


def test_the_clis_own_watchdogs_are_off(switches: dict[str, str]) -> None:
    """They would end a call that is silent for five minutes; the gateway does so after `silent_s`."""
    watchdogs = ("CLAUDE_ENABLE_STREAM_WATCHDOG", "CLAUDE_ENABLE_BYTE_WATCHDOG", "API_FORCE_IDLE_TIMEOUT")
    assert [switches[name] for name in watchdogs] == ["0", "0", "0"]
    assert int(switches["API_TIMEOUT_MS"]) > 900_000


def refusal(request: Request) -> Reply:
    """What the service answers when its safeguards refuse a request, after which the CLI has other models."""
    message = sse.message_of(Reply(model=request.model, stop_reason="refusal"), request)
    details = {"type": "refusal", "category": "cyber", "explanation": "x"}
    end = {"stop_reason": "refusal", "stop_sequence": None, "stop_details": details}
    events = [*sse.opening(message), sse.event("message_delta", delta=end, usage=message["usage"])]
    return Reply(raw=("text/event-stream", b"".join([*events, sse.message_stop()])))


@pytest.mark.parametrize("model", [MODEL, "claude-sonnet-5-5"])
async def test_no_other_model_is_asked_after_a_refusal(
    bench: Bench, switches: dict[str, str], model: str
) -> None:
    """The run ends with the CLI's words about its own model."""
    bench.api.script = refusal
    run = await bench.run(model=model, env={**switches, "ANTHROPIC_SMALL_FAST_MODEL": model})
    assert {call.request.model for call in bench.api.calls.messages()} == {model}
    assert (run.result.is_error, run.result.stop_reason) == (True, "refusal")


async def test_by_itself_the_cli_asks_other_models(bench: Bench) -> None:
    """It replaces an older one, and goes on with another after a refusal, in a form that that refuses."""
    bench.api.script, bench.api.refuses = refusal, True
    await bench.run(model="claude-sonnet-5-5")
    await bench.run(model=MODEL)
    asked = {call.request.model for call in bench.api.calls.messages()}
    assert {"claude-sonnet-5-5", "claude-sonnet-5"} < asked
    assert MODEL not in asked


async def test_a_search_is_asked_of_the_agents_own_model(bench: Bench, switches: dict[str, str]) -> None:
    """What the CLI asks beside its steps needs no second model."""

    def script(request: Request) -> Reply:
        if request.turn == 0 and request.offers("WebSearch"):
            return Reply([tool_use("WebSearch", {"query": "tides"})])
        return Reply([text("Found.")])

    bench.api.script = script
    run = await bench.run(model=MODEL, tools=["WebSearch"], allowed_tools=["WebSearch"], env=switches)
    assert run.result.result == "Found."
    assert [call.request.model for call in bench.api.calls.messages()] == [MODEL] * 3


@pytest.mark.campaign
@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    "reply",
    [Reply([text("a")], first_token_s=400), Reply([text("a"), text("b")], between_blocks_s=400)],
    ids=["before the first byte", "within the answer"],
)
async def test_the_cli_waits_longer_than_its_own_watchdogs(
    bench: Bench, switches: dict[str, str], reply: Reply
) -> None:
    """They end a call that is silent for five minutes, and cannot be set to less; the gateway ends it."""
    bench.api.script = lambda request: reply
    run = await bench.run(env=switches, timeout_s=850)
    assert not run.result.is_error
    assert len(bench.api.calls.messages()) == 1
