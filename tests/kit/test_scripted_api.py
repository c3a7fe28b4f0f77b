"""The test kit itself: what it sends is what the Messages API's own client understands."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Annotated, Any, Literal

import anthropic
import httpx2
import pytest
from pydantic import BaseModel, Field

from tests.kit.calls import Calls, InvalidRequests
from tests.kit.processes import until
from tests.kit.script import Fault
from tests.kit.scripted_api import (
    Reply,
    Request,
    ScriptedApi,
    Tokens,
    generic,
    refused,
    scripted_process,
    structured,
    text,
    thinking,
    tool_use,
)
from tests.kit.smallest import smallest

BROKEN = (anthropic.APIError, httpx2.HTTPError, ValueError)
"""What the API's client raises for a stream that ends too early; its transport's errors come through."""


class Finding(BaseModel):
    statement: Annotated[str, Field(min_length=5)]
    sure: Literal["yes", "no"]


class Tree(BaseModel):
    child: Tree | None


class Answer(BaseModel):
    kind: Literal["report"]
    findings: Annotated[set[tuple[str, int]], Field(min_length=3)]
    found: Annotated[list[Finding], Field(min_length=2)]
    tree: Tree
    score: Annotated[float, Field(gt=0, le=1, multiple_of=0.25)]
    either: Annotated[int, Field(le=-3)] | str
    by_name: dict[str, int]
    optional: str = ""


SCHEMA = Answer.model_json_schema()
QUESTION = [{"role": "user", "content": "Why?"}]


def client(base_url: str) -> anthropic.AsyncAnthropic:
    return anthropic.AsyncAnthropic(base_url=base_url, api_key="sk-ant-test-dummy", max_retries=0)


async def ask(base_url: str, **more: Any) -> anthropic.types.Message:
    async with (
        client(base_url) as asking,
        asking.messages.stream(
            **{"model": "claude-test", "max_tokens": 100, "messages": QUESTION, **more}
        ) as stream,
    ):
        return await stream.get_final_message()


def test_smallest_instance_is_valid() -> None:
    """The smallest instance of a schema with references, unions and limits passes a real validator."""
    answer = Answer.model_validate_json(json.dumps(smallest(SCHEMA)))
    assert answer.model_fields_set == set(SCHEMA["required"])
    assert (len(answer.findings), len(answer.found)) == (3, 2)


async def test_streamed_reply_arrives_whole() -> None:
    """Text, tool call, usage and stop reason reach the client as the script gave them, in many deltas."""
    spent = Tokens(900, 80, 7, 11)
    content = [text("Let me look. " * 50), tool_use("search", {"query": "tides é"}, id="toolu_1")]
    with ScriptedApi(lambda request: Reply(content, usage=spent, deltas=500)) as api:
        message = await ask(api.base_url)
    assert [block.type for block in message.content] == ["text", "tool_use"]
    assert message.content[0].to_dict()["text"] == "Let me look. " * 50
    assert message.content[1].to_dict()["input"] == {"query": "tides é"}
    assert (message.stop_reason, message.usage.output_tokens) == ("tool_use", 80)
    (call,) = api.calls.completed()
    assert (call.request.api_key, call.usage, api.calls.served()) == ("sk-ant-test-dummy", spent, spent)


async def test_reply_without_streaming_is_the_same_message() -> None:
    """A call without streaming gets the complete message as JSON."""
    with ScriptedApi() as api:
        async with client(api.base_url) as asking:
            message = await asking.messages.create(
                model="claude-test", max_tokens=9, messages=[{"role": "user", "content": "Why?"}]
            )
    assert message.content[0].to_dict() == {"type": "text", "text": "Understood."}
    assert api.calls.served() == Tokens()


@pytest.mark.parametrize("fault", ["cut_mid_block", "cut_before_delta", "malformed", "error_event"])
async def test_fault_breaks_the_stream(fault: Fault) -> None:
    """A faulty stream does not yield a message, and none of its usage counts as served."""
    with ScriptedApi(lambda request: Reply([text("Half of this.")], fault=fault)) as api:
        with pytest.raises(BROKEN):
            await ask(api.base_url)
        await until(lambda: api.calls.messages()[0].outcome != "open", "the call's end")
    assert [call.outcome for call in api.calls.messages()] == ["cut"]
    assert api.calls.served() == Tokens(0, 0)


async def test_usage_told_before_a_cut_is_served() -> None:
    """A stream cut after message_delta has told its usage, so it is served but not completed."""
    cut = Reply([text("All.")], fault="cut_before_stop")
    with ScriptedApi(lambda request: cut) as api, pytest.raises(BROKEN):
        await ask(api.base_url)
    assert (api.calls.completed(), api.calls.served()) == ([], Tokens())


async def test_refusal_carries_status_and_retry_after() -> None:
    """An HTTP error has the API's error body and the retry-after header."""
    slow_down = refused(429, "Slow down.", retry_after=1.5)
    with (
        ScriptedApi(lambda request: slow_down) as api,
        pytest.raises(anthropic.RateLimitError, match="Slow down") as caught,
    ):
        await ask(api.base_url)
    assert caught.value.response.headers["retry-after"] == "1.5"
    assert [call.outcome for call in api.calls.messages()] == ["refused"]


async def test_caller_that_leaves_is_recorded() -> None:
    """A held reply whose caller goes away ends as client_gone."""
    held = threading.Event()
    with ScriptedApi(lambda request: Reply([text("Never.")], hold=held, hold_after=1)) as api:
        with pytest.raises(BROKEN):
            await ask(api.base_url, timeout=0.3)
        await until(lambda: api.calls.messages()[0].outcome == "client_gone", "the caller's leaving")


async def test_held_reply_goes_on_when_released() -> None:
    """A reply waits for its event, then arrives whole."""
    held = threading.Event()
    with ScriptedApi(lambda request: Reply([text("At last.")], hold=held)) as api:
        threading.Timer(0.1, held.set).start()
        message = await ask(api.base_url)
    assert message.content[0].to_dict()["text"] == "At last."


async def test_typed_answer_follows_the_request() -> None:
    """A typed answer uses the forced tool, the StructuredOutput tool, or text, as the request asks."""
    forced = {"name": "answer", "input_schema": SCHEMA}
    offered = {"name": "StructuredOutput", "input_schema": SCHEMA}
    with ScriptedApi(generic) as api:
        by_choice = await ask(api.base_url, tools=[forced], tool_choice={"type": "tool", "name": "answer"})
        by_tool = await ask(api.base_url, tools=[forced, offered])
        by_format = await ask(
            api.base_url, output_config={"format": {"type": "json_schema", "schema": {"const": 7}}}
        )
    assert by_choice.content[0].to_dict()["name"] == "answer"
    assert by_tool.content[0].to_dict()["name"] == "StructuredOutput"
    Answer.model_validate_json(json.dumps(by_tool.content[0].to_dict()["input"]))
    assert by_format.content[0].to_dict()["text"] == "7"


async def test_anything_else_is_refused_and_recorded() -> None:
    """Another path or method gets 404 and shows up among the other requests."""
    with ScriptedApi() as api:
        async with httpx2.AsyncClient(base_url=api.base_url) as http:
            assert (await http.get("/v1/models")).status_code == 404
            assert (await http.get("/v1/messages")).status_code == 404
    assert [(call.method, call.path) for call in api.calls.others()] == [
        ("GET", "/v1/models"),
        ("GET", "/v1/messages"),
    ]
    assert api.calls.messages() == []


async def test_error_of_a_script_is_not_lost() -> None:
    """A script that raises is answered with 500, and its error comes out at the end of the block."""

    def broken(request: Request) -> Reply:
        raise LookupError("no such line")

    api = ScriptedApi(broken)
    with (
        pytest.raises(LookupError, match="no such line"),
        api,
        pytest.raises(anthropic.InternalServerError, match="no such line"),
    ):
        await ask(api.base_url)
    assert [call.status for call in api.calls.messages()] == [500]


async def asks_badly(base_url: str) -> None:
    """Send a request that the service would not take."""
    bad = [{"role": "user", "content": [{"type": "text", "text": "Why?"}, {"type": "text", "text": ""}]}]
    with pytest.raises(anthropic.BadRequestError, match="text content blocks must be non-empty") as caught:
        await ask(base_url, messages=bad)
    assert caught.value.type == "invalid_request_error"


async def test_a_request_that_the_service_refuses_fails_the_test() -> None:
    """It is answered as by the service, its script is not asked, and the block's end tells of it."""
    api = ScriptedApi(lambda request: Reply([text("Never.")]))
    with pytest.raises(InvalidRequests, match=r"1 of 1 requests.\n  request 1: messages: text"), api:
        await asks_badly(api.base_url)
    assert [(call.outcome, call.status) for call in api.calls.messages()] == [("invalid", 400)]
    assert api.calls.invalid() == api.calls.messages()


async def test_a_test_may_want_a_refusal() -> None:
    """Then one is no error, and none is."""
    with ScriptedApi(refuses=True) as api:
        await asks_badly(api.base_url)
    with pytest.raises(InvalidRequests, match="refuses 0 of 1"), ScriptedApi(refuses=True) as api:
        await ask(api.base_url)


async def test_a_process_tells_of_refusals_at_its_end(tmp_path: Path) -> None:
    """They stand in its log, and the block raises for them."""
    process = scripted_process("tests.kit.scripted_api:generic", tmp_path / "log")
    with pytest.raises(InvalidRequests, match="refuses 1 of 1"), process as api:
        await asks_badly(api.base_url)
    (call,) = Calls.read(tmp_path / "log").invalid()
    assert call.invalid == "messages: text content blocks must be non-empty (the rule: no text is empty)"


async def test_models_of_today_begin_with_thinking() -> None:
    """It is streamed with its signature, and can be sent back; a script may say where and what it is."""
    asked: dict[str, Any] = {"model": "claude-opus-5-5", "messages": QUESTION}
    with ScriptedApi(lambda request: Reply([text("So.")])) as api:
        first = await ask(api.base_url, **asked)
        told = [*QUESTION, {"role": "assistant", "content": first.to_dict()["content"]}, *QUESTION]
        api.script = lambda request: Reply([text("Well."), thinking("Hm. " * 9), text("So.")])
        second = await ask(api.base_url, **asked | {"messages": told})
        told += [{"role": "assistant", "content": second.to_dict()["content"]}, *QUESTION]
        await ask(api.base_url, **asked | {"messages": told})
    assert [block.type for block in first.content] == ["thinking", "text"]
    assert [block.type for block in second.content] == ["text", "thinking", "text"]
    assert second.content[1].to_dict()["thinking"] == "Hm. " * 9
    assert [call.outcome for call in api.calls.messages()] == ["completed"] * 3


def waiting(request: Request, release: str) -> Reply:
    return Reply([structured("released")], hold=Path(release))


async def test_process_serves_records_and_ends(tmp_path: Path) -> None:
    """A server of its own holds a reply until a file appears, and its log tells the whole call."""
    release = tmp_path / "go"
    with scripted_process(
        "tests.kit.test_scripted_api:waiting", tmp_path / "log", given={"release": str(release)}
    ) as api:
        threading.Timer(0.1, release.touch).start()
        message = await ask(api.base_url)
        (call,) = api.calls().completed()
    assert message.content[0].to_dict()["text"] == '"released"'
    assert call.request.last_user_text == "Why?"
    assert call.message is not None
    assert call.message["id"] == message.id
    assert api.process.poll() is not None
