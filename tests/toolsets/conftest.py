"""A session and a calling agent for tools that are run without one."""

from __future__ import annotations

import json
import uuid
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from harness.settings import Settings
from harness.store.database import Database
from harness.store.queries import queries
from harness.toolbelt import TOOLSETS
from harness.tools import ToolContext
from tests.toolsets.pages import Pages, serving

Call = Callable[..., Awaitable[Any]]


@pytest.fixture
async def session_id(database: Database) -> str:
    """The id of a session without documents."""
    made = str(uuid.uuid4())
    row = {"id": made, "tenant": "t", "flow": "f", "question": "Why?", "holder": None, "ttl": 30}
    await database.run(queries("journal")["create_session"], row)
    return made


@pytest.fixture
def settings(home: Path) -> Settings:
    """The settings in force."""
    return Settings(home=home / "harness")


@pytest.fixture
async def context(database: Database, session_id: str, settings: Settings) -> ToolContext:
    """The agent that calls."""
    return ToolContext(session_id, "t", str(uuid.uuid4()), database, settings=settings)


async def call(context: ToolContext, name: str, **given: Any) -> Any:
    """Run a tool, named as in `files.read`, once; give its answer as the agent gets it."""
    toolset, _, tool_name = name.partition(".")
    tool = next(tool for tool in TOOLSETS[toolset].tools if tool.name == tool_name)
    answer = await tool.run(context, tool.input.model_validate(given))
    assert isinstance(answer, BaseModel)
    return json.loads(answer.model_dump_json())


@pytest.fixture(scope="module")
def pages() -> Iterator[Pages]:
    """A web server in a process of its own."""
    with serving() as served:
        yield served
