"""A model service, or a proxy before it, that is ill in its own way: the session lives all the same."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest

from harness.wire import stream_of
from tests.e2e.crew import make_project
from tests.e2e.running import Desk
from tests.kit.processes import until_sync
from tests.kit.scripted_api import Reply, ScriptedApi, text

REPORT = "The tides come from the moon."
WELL = Reply([text(REPORT)])


@pytest.fixture
def api() -> Iterator[ScriptedApi]:
    with ScriptedApi(lambda request: WELL) as played:
        yield played


@pytest.fixture
def desk(home: Path, dsn: str, api: ScriptedApi) -> Iterator[Desk]:
    """A project with one writer of prose."""
    make_project(home, "")
    (home / "flow.yaml").write_text("flow: {pattern: agent, agent: scribe}")
    with closing(Desk(home, api.base_url, dsn)) as table:
        yield table


def answers(api: ScriptedApi, *first: Reply) -> None:
    """Let the model say these in turn, and then what is well."""
    replies = list(first)
    api.script = lambda request: replies.pop(0) if replies else WELL


def is_done(code: int, finished: dict[str, Any]) -> bool:
    return (code, finished["status"], finished["report"].strip()) == (0, "done", REPORT)


def test_an_error_under_the_status_200_is_not_kept(desk: Desk, api: ScriptedApi) -> None:
    """Once the endpoint is well again a resume asks it, and is done."""
    error = json.dumps({"error": {"message": "No endpoints found", "code": 404}}).encode()
    api.script = lambda request: Reply(raw=("application/json", error))
    command = desk.start("run", "Why?", "--flow", "flow.yaml")
    until_sync(lambda: len(api.calls.messages()) >= 2, "two answers that are none", timeout_s=60)
    command.kill(clis_too=True)
    asked = len(api.calls.messages())
    answers(api)
    assert is_done(*desk.run("resume", str(command.session_id)))
    assert len(api.calls.messages()) == asked + 1


def _message(*content: dict[str, Any], stop_reason: str = "end_turn") -> dict[str, Any]:
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-sonnet-5-5",
        "content": list(content),
        "stop_reason": stop_reason,
        "usage": {"input_tokens": 1, "output_tokens": 1},
    }


UNUSABLE = {
    "no message": {"error": {"message": "No endpoints found"}},
    "a call of nothing": _message({"type": "tool_use"}, stop_reason="tool_use"),
    "an unknown block": _message({"type": "brand_new", "brand": "new"}),
}


@pytest.mark.parametrize("kept", UNUSABLE.values(), ids=UNUSABLE)
def test_a_kept_answer_that_cannot_be_used_is_forgotten(
    desk: Desk, dsn: str, api: ScriptedApi, kept: dict[str, Any]
) -> None:
    """No session is stuck on its own memory: one resume gets past it, by asking the model."""
    reached = desk.home / "reached"
    command = desk.start(
        "run", "Why?", "--flow", "flow.yaml", HARNESS_CRASH_AT=f"after model.finished#1@{reached}"
    )
    until_sync(reached.exists, "the answer to be kept", timeout_s=60)
    command.kill(clis_too=True)
    assert len(api.calls.messages()) == 1
    body = b"".join(stream_of(kept)) if "type" in kept else json.dumps(kept).encode()
    content_type = "text/event-stream" if "type" in kept else "application/json"
    with psycopg.connect(dsn) as store:
        store.execute(
            "UPDATE kept_response SET body = %s, content_type = %s", (zlib.compress(body), content_type)
        )
    assert is_done(*desk.run("resume", str(command.session_id)))
    assert len(api.calls.messages()) >= 2


def test_empty_answers_are_sent_back_with_what_is_wrong(desk: Desk, api: ScriptedApi) -> None:
    """They leave nothing to go on from: the agent begins again and is told what was missing."""
    answers(api, Reply([]), Reply([]))
    assert is_done(*desk.run("run", "Why?", "--flow", "flow.yaml"))
    assert len(api.calls.messages()) == 3
    last = api.calls.messages()[-1].request.last_user_text
    assert last.index("Why?") < last.index("Your answer has come back")


def test_a_service_that_falls_silent_suspends_the_session(desk: Desk, api: ScriptedApi) -> None:
    """Its agent is not dead: the session says why it waits, and goes on when it is resumed."""
    with (desk.home / "harness.toml").open("a") as settings:
        settings.write("\n[limits]\nsilent_s = 3.0\n")
    answers(api, Reply(fault="hang"))
    code, finished = desk.run("run", "Why?", "--flow", "flow.yaml")
    assert (code, finished["status"]) == (3, "suspended")
    assert finished["problem"] == f"The model service at {api.base_url} gave no sign of life for 3 s."
    assert len(api.calls.messages()) == 1
    # Slower than that in all, with a sign of life in time.
    api.script = lambda request: Reply([text(REPORT)], first_token_s=2.0, between_deltas_s=1.0, deltas=4)
    assert is_done(*desk.run("resume", finished["session_id"]))


def test_an_answer_that_is_whole_does_not_wait_for_its_connection(desk: Desk, api: ScriptedApi) -> None:
    """With a proxy that keeps it open the agent goes on at once."""
    api.script = lambda request: Reply([text(REPORT)], fault="open_end")
    with (desk.home / "harness.toml").open("a") as settings:
        settings.write("\n[limits]\nsilent_s = 8.0\n")
    assert is_done(*desk.run("run", "Why?", "--flow", "flow.yaml"))
    assert len(api.calls.messages()) == 1
