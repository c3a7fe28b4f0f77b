"""The toolset `board`: the state that the agents of a flow share, to read."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from harness.tools import InvalidInput, Tool, ToolContext, ToolProblem, Toolset
from harness.wording import nearest


class ReadInput(BaseModel):
    """What to read."""

    model_config = ConfigDict(extra="forbid")

    field: str | None = Field(default=None, max_length=200, description="One field; without it, all of them.")


class Board(BaseModel):
    """The fields that were asked for, by name. A field that nobody has written yet has its initial value."""

    state: dict[str, Any]


async def _read(context: ToolContext, asked: ReadInput) -> Board:
    state = dict(context.board())
    if not state:
        raise ToolProblem("The agents of this flow share no state; work with what your task says.")
    if asked.field is None:
        return Board(state=state)
    if asked.field not in state:
        raise InvalidInput(f"There is no field '{asked.field}' on the board{nearest(asked.field, state)}.")
    return Board(state={asked.field: state[asked.field]})


_READ = """\
Read what the agents of this flow share: the fields of its state as they stand now. Agents write to it with \
their answers; you cannot write here. Read it again when others may have written since."""

BOARD = Toolset("board", (Tool("read", _READ, ReadInput, _read, replay="read_only"),))
