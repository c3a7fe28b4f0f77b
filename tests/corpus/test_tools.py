from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from harness.corpus.tools import CORPUS
from harness.store.database import Database
from harness.tools import Tool, ToolContext, ToolProblem
from tests.corpus.conftest import Session


def _tool(name: str) -> Tool:
    return next(tool for tool in CORPUS.tools if tool.name == name)


async def _call(name: str, database: Database, session_id: str, **arguments: Any) -> Any:
    context = ToolContext(session_id=session_id, tenant="tenant", agent_run_id="run", database=database)
    tool = _tool(name)
    answer = await tool.run(context, tool.input.model_validate(arguments))
    assert isinstance(answer, BaseModel)
    return json.loads(answer.model_dump_json())


async def test_search_answers_in_its_format(database: Database, session: Session) -> None:
    """The answer has exactly the fields that agents and the offline model know."""
    session_id = await session({"a.md": "# Leases\n\nA lease ends.", "b.txt": "Other"})
    answer = await _call("search", database, session_id, query="When does a lease end?")
    score = answer["hits"][0].pop("score")
    assert isinstance(score, float)
    assert answer == {
        "query": "When does a lease end?",
        "total": 1,
        "hits": [
            {
                "source": "S1",
                "title": "Leases",
                "locator": "docs/a.md",
                "passage": 1,
                "offset": 0,
                "text": "# Leases\n\nA lease ends.",
            }
        ],
    }


async def test_read_answers_in_its_format(database: Database, session: Session) -> None:
    """The answer has exactly the fields that agents and the offline model know, with a null at the end."""
    text = "A lease ends. " * 30
    session_id = await session({"a.txt": text})
    rest = {"source": "S1", "title": "docs/a.txt", "locator": "docs/a.txt", "length": len(text.strip())}
    answer = await _call("read", database, session_id, source="S1", offset=14, length=200)
    assert answer == {**rest, "offset": 14, "text": text[14:214], "next_offset": 214}
    answer = await _call("read", database, session_id, source="S1")
    assert answer == {**rest, "offset": 0, "text": text.strip(), "next_offset": None}


async def test_an_unknown_source_is_a_tool_problem(database: Database, session: Session) -> None:
    """The agent is told which labels there are."""
    session_id = await session({"a.txt": "Text"})
    with pytest.raises(ToolProblem, match="such as S1"):
        await _call("read", database, session_id, source="docs/a.txt")


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("search", {"query": ""}),
        ("search", {"query": "x", "limit": 0}),
        ("search", {"query": "x", "limit": 21}),
        ("search", {"query": "x" * 501}),
        ("search", {"query": "x", "offset": 1}),
        ("read", {"source": "S1", "offset": -1}),
        ("read", {"source": "S1", "offset": 2**31}),
        ("read", {"source": "S1", "length": 199}),
        ("read", {"source": "S1", "length": 8001}),
        ("read", {}),
    ],
)
def test_arguments_out_of_bounds_are_refused(name: str, arguments: dict[str, Any]) -> None:
    """What would make a result too long, or makes no sense, does not reach the database."""
    with pytest.raises(ValidationError):
        _tool(name).input.model_validate(arguments)


def test_every_argument_is_described_to_the_model() -> None:
    """Both tools only read, and each of their fields says what it is for."""
    assert [CORPUS.qualified(tool) for tool in CORPUS.tools] == ["mcp__corpus__search", "mcp__corpus__read"]
    for tool in CORPUS.tools:
        assert tool.replay == "read_only"
        assert all(field["description"] for field in tool.input.model_json_schema()["properties"].values())
