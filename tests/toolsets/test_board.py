"""What an agent sees of the state that its flow's agents share."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from harness.tools import ToolContext, ToolProblem
from tests.toolsets.conftest import call


@pytest.fixture
def board() -> dict[str, Any]:
    """The shared state as it stands."""
    return {"findings": [{"statement": "Twice a day."}], "gaps": []}


@pytest.fixture
def context(context: ToolContext, board: dict[str, Any]) -> ToolContext:
    """An agent of a flow with a state."""
    return replace(context, board=lambda: board)


async def test_the_whole_state_or_a_field_is_read(context: ToolContext, board: dict[str, Any]) -> None:
    """As it stands when it is asked for."""
    assert await call(context, "board.read") == {"state": board}
    assert await call(context, "board.read", field="gaps") == {"state": {"gaps": []}}
    board["gaps"] = ["Why?"]
    assert await call(context, "board.read", field="gaps") == {"state": {"gaps": ["Why?"]}}


async def test_an_unknown_field_is_said_to_be_one(context: ToolContext) -> None:
    """With the nearest that there is."""
    with pytest.raises(ToolProblem, match=r"no field 'finding' .*did you mean 'findings'"):
        await call(context, "board.read", field="finding")


async def test_without_a_state_there_is_no_board(context: ToolContext) -> None:
    """The agent is told so, and does not search for it."""
    with pytest.raises(ToolProblem, match="share no state"):
        await call(replace(context, board=dict), "board.read")
