"""What an isolated session asks for, offers and tells the model."""

from __future__ import annotations

import json
import re
import sys

from claude_agent_sdk import SystemMessage

from harness.bundles.granted import CLI_TOOLS
from tests.checkout import ROOT
from tests.kit.scripted_api import Reply, Request, in_turn, structured, text, tool_use
from tests.kit.sdk import DELEGATE, ECHO, LOOK, OLD, SMALL, SYSTEM_PROMPT, Bench

SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
COUNT = "<total_tokens>"
OPENINGS = ("# Environment", "You are powered by", COUNT, "Today's date is")
OUTPUT = {"type": "json_schema", "schema": SCHEMA}


async def test_only_messages_are_requested(bench: Bench) -> None:
    """A session and its resumption make their turns' own model calls and no other request of any kind."""
    bench.api.script = in_turn(Reply([tool_use(ECHO, {"value": "a"})]), Reply([text("done")]))
    run = await bench.run("Research the tides and write a long report about them.")
    await bench.run("And now the currents.", resume=run.session)
    assert bench.api.calls.others() == []
    assert [call.request.turn for call in bench.api.calls.messages()] == [0, 1, 2]
    assert not any(call.request.is_auxiliary for call in bench.api.calls.messages())


async def test_title_is_asked_for_with_other_traffic_on(bench: Bench) -> None:
    """Without CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC the CLI probes the base URL and asks for a title."""
    await bench.run("Research the tides.", env={"CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": ""})
    assert [(call.method, call.path) for call in bench.api.calls.others()] == [("HEAD", "/api/hello")]
    (title,) = bench.api.calls.where(lambda request: request.is_auxiliary)
    assert title.request.tools == []
    assert SYSTEM_PROMPT not in title.request.system_text


async def test_web_search_asks_the_model_itself(bench: Bench) -> None:
    """WebSearch makes a model call of its own, with a server tool and another system prompt."""

    def script(request: Request) -> Reply:
        if request.offers("WebSearch") and request.turn == 0:
            return Reply([tool_use("WebSearch", {"query": "tides"})])
        return Reply([text("done")])

    bench.api.script = script
    run = await bench.run(mcp_servers={}, tools=["WebSearch"], allowed_tools=["WebSearch"])
    kinds = [
        (call.request.tools, call.request.is_auxiliary) for call in bench.api.calls.messages(run.session)
    ]
    assert kinds == [(["WebSearch"], False), (["web_search"], True), (["WebSearch"], False)]
    assert [SYSTEM_PROMPT in call.request.system_text for call in bench.api.calls.messages()] == [
        True,
        False,
        True,
    ]


async def test_every_call_names_its_session(bench: Bench) -> None:
    """The header x-claude-code-session-id is the session id given; the key is the environment's."""
    bench.api.script = in_turn(Reply([tool_use(ECHO, {"value": "a"})]), Reply([text("done")]))
    run = await bench.run()
    assert {call.request.session for call in bench.api.calls.messages()} == {run.session}
    assert {call.request.api_key for call in bench.api.calls.messages()} == {"sk-ant-test-dummy"}
    assert run.result.session_id == run.session


async def test_tools_are_exactly_those_asked_for(bench: Bench) -> None:
    """The model is offered the built-in and MCP tools asked for, sorted, with their own schemas."""
    await bench.run(tools=["Read", "Bash"])
    request = bench.api.calls.messages()[0].request
    assert request.tools == ["Bash", "Read", DELEGATE, ECHO, LOOK]
    assert request.input_schema(ECHO)["required"] == ["value"]


async def test_the_cli_has_the_tools_that_bundles_may_ask_for(bench: Bench) -> None:
    """All of them, and without a word none of a name that it does not know."""
    asked = [*sorted(CLI_TOOLS), "Task", "Nosuch", "TodoWrite"]
    preset = {"type": "preset", "preset": "claude_code"}
    has = []
    for tools in (asked, preset):
        run = await bench.run(mcp_servers={}, tools=tools)
        (began,) = [m for m in run.messages if isinstance(m, SystemMessage) and m.subtype == "init"]
        has.append(set(began.data["tools"]))
    known = CLI_TOOLS | {"Task"}
    assert has[0] == known
    assert has[1] < known, "the CLI has come to offer a tool that bundles cannot ask for"


async def test_a_prompt_from_a_file_is_recorded_as_any_other(bench: Bench) -> None:
    """It is read once, at the session's first start; a resumed session keeps it, whatever the file says."""
    file = bench.home / "prompt.md"
    prompt = {"type": "file", "path": str(file)}
    file.write_text("You are the first.")
    run = await bench.run(system_prompt=prompt)
    file.write_text("You are the second.")
    await bench.run("Go on.", resume=run.session, system_prompt=prompt)
    first, second = bench.api.calls.messages()
    assert first.request.system_text.endswith("You are the first.")
    assert second.request.system_text == first.request.system_text


async def test_servers_from_a_file_stand_beside_those_in_this_process(bench: Bench) -> None:
    """Also with `strict_mcp_config`."""
    file = bench.home / "mcp.json"
    server = {
        "command": sys.executable,
        "args": ["-m", "tests.toolsets.mcp_large"],
        "env": {"PYTHONPATH": str(ROOT)},
    }
    file.write_text(json.dumps({"mcpServers": {"large": server}}))
    await bench.run(extra_args={"mcp-config": str(file)}, allowed_tools=["mcp__large", ECHO])
    offered = bench.api.calls.messages()[0].request.tools
    assert {"mcp__large__tell", "mcp__large__show", ECHO} <= set(offered)


async def test_output_format_adds_one_tool(bench: Bench) -> None:
    """With output_format the CLI offers StructuredOutput besides, with the schema as it was given."""
    bench.api.script = in_turn(Reply([structured({"n": 1})]))
    await bench.run(mcp_servers={}, output_format=OUTPUT)
    (call,) = bench.api.calls.messages()
    assert call.request.tools == ["StructuredOutput"]
    assert call.request.answer_schema == SCHEMA


async def test_no_tools_are_offered_when_none_are_asked_for(bench: Bench) -> None:
    """With tools=[] and no MCP server the model is offered nothing."""
    await bench.run(mcp_servers={})
    assert bench.api.calls.messages()[0].request.tools == []


async def test_system_prompt_is_the_last_of_three_blocks(bench: Bench) -> None:
    """The CLI puts an attribution and one line of its own before the system prompt, and nothing after it."""
    await bench.run()
    first, second, last = [block["text"] for block in bench.api.calls.messages()[0].request.body["system"]]
    assert first.startswith("x-anthropic-billing-header:")
    assert second == "You are a Claude agent, built on Anthropic's Claude Agent SDK."
    assert last == SYSTEM_PROMPT


async def test_system_message_follows_the_prompt(bench: Bench) -> None:
    """A model of today is told place, model and date by a system message that stays behind the prompt."""
    bench.api.script = in_turn(Reply([tool_use(ECHO, {"value": "a"})]), Reply([text("done")]))
    await bench.run("What is it?")
    for call in bench.api.calls.messages():
        prompt, told, *_ = call.request.messages
        assert (prompt["role"], prompt["content"]) == ("user", [{"type": "text", "text": "What is it?"}])
        (said,) = told["content"]
        assert (told["role"], told["output_config"]) == ("system", call.request.body["output_config"])
        found = [said["text"].find(opening) for opening in OPENINGS if opening != COUNT]
        assert found[0] == 0
        assert found == sorted(found)
        assert str(bench.home / "work") in said["text"]


async def test_reminders_come_before_the_prompt_of_an_old_model(bench: Bench) -> None:
    """Its first user message holds four reminders (place, model, token count, date), then the prompt."""
    await bench.run("What is it?", model=OLD)
    (message,) = bench.api.calls.messages()[0].request.messages
    *reminders, prompt = [block["text"] for block in message["content"]]
    told = [re.sub(r"\s+", " ", reminder.removeprefix("<system-reminder>")).strip() for reminder in reminders]
    assert [reminder.startswith(opening) for reminder, opening in zip(told, OPENINGS, strict=True)] == [
        True
    ] * 4
    assert str(bench.home / "work") in told[0]
    assert prompt == "What is it?"


async def test_token_count_follows_tool_results(bench: Bench) -> None:
    """The small model of today is told by a system message after a tool's result how many tokens are left."""
    bench.api.script = in_turn(Reply([tool_use(ECHO, {"value": "a"})]), Reply([text("done")]))
    await bench.run(model=SMALL)
    *_, result, count = bench.api.calls.messages()[1].request.messages
    assert [block["type"] for block in result["content"]] == ["tool_result"]
    (said,) = count["content"]
    assert count["role"] == "system"
    assert re.fullmatch(r"<total_tokens>\d+ tokens left</total_tokens>", said["text"])


async def test_token_count_is_appended_to_tool_results_of_an_old_model(bench: Bench) -> None:
    """A tool's result reaches it with a reminder of the tokens left inside it, unless just resumed."""
    bench.api.script = in_turn(Reply([tool_use(ECHO, {"value": "a"})]), Reply([text("done")]))
    await bench.run(model=OLD)
    (result,) = bench.api.calls.messages()[1].request.messages[-1]["content"]
    said, reminder = [part["text"] for part in result["content"]]
    assert said == "echo: a\n"
    assert re.fullmatch(
        r"<system-reminder>\n<total_tokens>\d+ tokens left</total_tokens>\n</system-reminder>", reminder
    )
