"""Results that are too long to be given whole: kept in Postgres, begun for the agent, and read on by it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel, Field

from harness.errors import StoreError
from harness.records import derived_id
from harness.store.queries import queries
from harness.tools import Tool, ToolContext, ToolProblem

_SQL = queries("results")


async def bounded(text: str, context: ToolContext, limit: int) -> str:
    """Give a text whole if it is at most `limit` characters; else keep it and give its beginning."""
    if len(text) <= limit:
        return text
    text = context.redactor.text(text)
    # Named by its content alone, so that a replay, whose model says the recorded name, finds it too.
    reference = derived_id("result", text)[:13]
    await context.database.run(
        _SQL["keep_result"],
        {
            "session_id": context.session_id,
            "reference": reference,
            "body": text.replace("\x00", "\ufffd").encode("utf-8", "replace").decode(),
        },
    )
    return (
        f"{text[:limit]}\n\n[Cut after {limit} of {len(text)} characters. Read on with read_result: "
        f'{{"reference": "{reference}", "offset": {limit}}}]'
    )


async def bounded_content(content: Any, context: ToolContext, limit: int) -> Any | None:
    """Bound what an MCP tool has answered, as the CLI tells it; None when it can stay as it is.

    `content` is a text, or a list of the protocol's content blocks. Their texts are bounded as one; pictures
    and other blocks stay, after it. Without the store the rest is lost, which the agent is told.
    """
    blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content
    if not isinstance(blocks, Sequence):
        return None
    whole = "\n".join(block["text"] for block in blocks if _is_text(block))
    if len(whole) <= limit:
        return None
    try:
        begun = await bounded(whole, context, limit)
    except StoreError:
        begun = f"{whole[:limit]}\n\n[Cut after {limit} of {len(whole)} characters; the rest is lost.]"
    if isinstance(content, str):
        return begun
    return [{"type": "text", "text": begun}, *(block for block in blocks if not _is_text(block))]


def _is_text(block: Any) -> bool:
    return isinstance(block, Mapping) and block.get("type") == "text" and isinstance(block.get("text"), str)


class ReadResult(BaseModel):
    """The input of `read_result`."""

    reference: str = Field(description="The reference given at the end of a result that was cut.")
    offset: int = Field(0, ge=0, description="The character to begin at.")
    length: int = Field(8000, ge=1, le=20_000, description="How many characters to read.")


class Part(BaseModel):
    """A piece of a kept result."""

    reference: str
    offset: int
    text: str
    next_offset: int | None


async def _read_result(context: ToolContext, given: ReadResult) -> Part:
    row = await context.database.one(
        _SQL["read_result"], {"session_id": context.session_id, **given.model_dump()}
    )
    if row is None:
        raise ToolProblem(f"There is no kept result '{given.reference}'; use the reference as it was given.")
    end = given.offset + len(row["part"])
    return Part(
        reference=given.reference,
        offset=given.offset,
        text=row["part"],
        next_offset=end if end < row["length"] else None,
    )


READ_RESULT = Tool(
    name="read_result",
    description="Read on in a result that was too long to be given whole, by its reference.",
    input=ReadResult,
    run=_read_result,
    replay="read_only",
)
