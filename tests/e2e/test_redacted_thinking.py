"""Thinking over kills and resumes: none that redaction has touched comes back, nor any behind it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from harness.thinking import is_thinking
from tests.e2e.plays import stopped_at
from tests.e2e.running import Command, Desk
from tests.kit.processes import kill, until_sync
from tests.kit.script import Reply, Request, text, thinking, tool_use
from tests.kit.scripted_api import ScriptedProcess, scripted_process

SECRET = "password='hunter2-Xk9!'"

BUNDLE = """---
name: analyst
role: analyst
description: Answers a question alone.
output: markdown
limits: {max_steps: 12, timeout_s: 240}
---
You answer questions.
"""

TOOLS = '''from harness import Tool, ToolContext, Toolset
from harness.records import Record


class Asked(Record):
    """What to look up."""

    page: int
    key: str = ""


async def look(context: ToolContext, asked: Asked) -> str:
    """Give the page."""
    return "It is {found}." if asked.page == 1 else "Nothing."


TOOLSET = Toolset("pages", (Tool("look", "Looks a page up.", Asked, look, replay="read_only"),))
'''

LOOK = "mcp__pages__look"
LAST = 4


def looked(request: Request) -> int:
    """How many pages it has looked up so far; the CLI puts answers of its own into a resumed conversation."""
    return len(request.tool_uses())


def thinker(request: Request, home: str, where: str) -> Reply:
    """Look four pages up, thinking each time; from the third on each answer waits to be let go."""
    turn = looked(request)
    hold = Path(home) / f"go-{turn}" if turn >= 2 else None
    if turn == LAST:
        return Reply([text("# Pages\n\nNothing.")], hold=hold)
    thought = thinking(f"So it is {SECRET}." if (where, turn) == ("thinking", 1) else "Hm.")
    said = [text(f"It is {SECRET}.")] if (where, turn) == ("text", 1) else []
    given = {"page": turn} | ({"key": SECRET} if (where, turn) == ("call", 1) else {})
    return Reply([thought, *said, tool_use(LOOK, given)], hold=hold)


@pytest.fixture
def where() -> str:
    """Where the secret stands."""
    return "nowhere"


@pytest.fixture
def api(home: Path, where: str) -> Iterator[ScriptedProcess]:
    given = {"home": str(home), "where": where}
    played = "tests.e2e.test_redacted_thinking:thinker"
    with scripted_process(played, home / "calls.jsonl", given=given) as process:
        yield process


@pytest.fixture
def desk(home: Path, dsn: str, api: ScriptedProcess, where: str) -> Iterator[Desk]:
    """A project with one agent and a tool."""
    folder = home / "subagents" / "analyst"
    folder.mkdir(parents=True)
    (folder / "AGENT.md").write_text(BUNDLE)
    (folder / "tools.py").write_text(TOOLS.replace("{found}", SECRET if where == "result" else "nothing"))
    with closing(Desk(home, api.base_url, dsn)) as table:
        yield table


def killed_at(turn: int, command: Command, desk: Desk, api: ScriptedProcess) -> str:
    """Kill a command while this turn is on the wire, and let its answer go."""

    def on_the_wire() -> bool:
        return any(call.outcome == "open" and looked(call.request) == turn for call in api.calls().messages())

    until_sync(on_the_wire, f"turn {turn} to be asked for", timeout_s=90)
    command.kill(clis_too=True)
    (desk.home / f"go-{turn}").touch()
    assert command.session_id is not None
    return command.session_id


def sent(api: ScriptedProcess) -> list[tuple[int, int]]:
    """Of each answered request: how far it was, and how many thinking blocks it brought back."""
    return [
        (
            looked(call.request),
            sum(is_thinking(block) for message in call.request.messages for block in message["content"]),
        )
        for call in api.calls().completed()
    ]


@pytest.mark.parametrize(
    ("where", "kept", "kills"),
    [
        ("nowhere", 3, (2, 3)),
        ("thinking", 1, (3,)),
        ("thinking", 1, (2, 3)),
        ("result", 2, (3,)),
        ("text", 2, (3,)),
        ("call", 2, (3,)),
    ],
)
def test_a_killed_conversation_goes_on_without_a_refusal(
    desk: Desk, api: ScriptedProcess, where: str, kept: int, kills: tuple[int, ...]
) -> None:
    """Nothing that was bound to a secret comes back, and all that was thought before it does."""
    for turn in {2, 3, LAST} - set(kills):
        (desk.home / f"go-{turn}").touch()
    session = killed_at(kills[0], desk.start("run", "Why?", "--flow", "single"), desk, api)
    for turn in kills[1:]:
        killed_at(turn, desk.start("resume", session), desk, api)
    code, finished = desk.run("resume", session)
    assert (code, finished["report"]) == (0, "# Pages\n\nNothing."), finished
    assert dict(sent(api))[3] == kept
    assert [call.invalid for call in api.calls().invalid()] == []


@pytest.mark.parametrize("point", ["after model.finished", "before transcript"])
@pytest.mark.parametrize("where", ["nowhere", "thinking"])
def test_an_answer_that_is_given_again_binds_nothing(
    desk: Desk, api: ScriptedProcess, where: str, point: str
) -> None:
    """It was thought after other words than a resume puts before it."""
    for turn in range(2, LAST + 1):
        (desk.home / f"go-{turn}").touch()
    count = 2 if point == "after model.finished" else 5
    command = stopped_at(desk, ("run", "Why?", "--flow", "single"), point, count)
    assert command is not None
    below = command.clis()
    command.kill()
    kill(*below)
    assert command.session_id is not None
    code, finished = desk.run("resume", command.session_id)
    assert (code, finished["report"]) == (0, "# Pages\n\nNothing."), finished
    assert [call.invalid for call in api.calls().invalid()] == []
