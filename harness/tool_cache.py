"""Answers of tools that only read: kept in Postgres, and asked for once where several calls want the same.

An answer is found by tenant, tool, version of the tool and input. The input is the checked one, so that a
default that is said and one that is left out are the same call. What failed is never kept.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
from collections.abc import Awaitable, Callable, Mapping

from pydantic import BaseModel

from harness.errors import StoreError
from harness.log_fields import about
from harness.store.database import Database, Json
from harness.store.queries import queries
from harness.tools import Tool, ToolContext

log = logging.getLogger(__name__)

DROPPED_AT_ONCE = 20
"""How many expired answers a write deletes, at most."""

_SQL = queries("tool_cache")

Key = tuple[str, str, str, str]
"""Tenant, qualified name of the tool, its version, and the hash of its input."""


class ToolCache:
    """The cache as the agent runs of one session in this process use it.

    `hits` are the calls, by tool_use_id, that were answered without running the tool.
    """

    def __init__(self) -> None:
        self.hits: set[str] = set()
        self._flights: dict[Key, asyncio.Future[str]] = {}

    async def answer(
        self,
        name: str,
        tool: Tool,
        context: ToolContext,
        value: BaseModel,
        run: Callable[[], Awaitable[str]],
        tool_use_id: str | None,
    ) -> str:
        """Give the kept answer, or that of an equal call at work now, or run the tool and keep what it says.

        `name` is the tool's qualified one. A call whose forerunner fails or is cancelled has its own try.
        Raises whatever `run` raises.
        """
        assert tool.cache_s is not None, "only a tool that says for how long is cached"
        key = (context.tenant, name, tool.version, _hash(value))
        flight = self._flights.get(key)
        if flight is not None:
            await asyncio.wait({flight})
            if flight.cancelled():
                return await _run_and_keep(key, tool.cache_s, context, run)
            self._note_hit(tool_use_id)
            return flight.result()
        flight = self._flights[key] = asyncio.get_running_loop().create_future()
        try:
            text = await _kept(key, context.database)
            if text is None:
                text = await _run_and_keep(key, tool.cache_s, context, run)
            else:
                self._note_hit(tool_use_id)
            flight.set_result(text)
            return text
        finally:
            # Without a result those who wait are let go, each to its own try; with one this does nothing.
            flight.cancel()
            del self._flights[key]

    def _note_hit(self, tool_use_id: str | None) -> None:
        if tool_use_id is not None:
            self.hits.add(tool_use_id)


async def _kept(key: Key, database: Database) -> str | None:
    try:
        row = await database.one(_SQL["kept_answer"], _params(key))
    except StoreError as problem:
        # The tool itself can be asked; whether the session can go on is for its next commit to say.
        log.warning("the tool cache cannot be read: %s", problem, extra=about("tool_cache_unreadable"))
        return None
    return None if row is None else str(row["answer"])


async def _run_and_keep(
    key: Key, cache_s: float, context: ToolContext, run: Callable[[], Awaitable[str]]
) -> str:
    # The first call is answered as all later ones will be.
    text = context.redactor.text(await run())
    params = {**_params(key), "answer": Json(text), "cache_s": cache_s}
    try:
        await context.database.run(_SQL["keep_answer"], params)
        await context.database.run(_SQL["drop_expired"], {"limit": DROPPED_AT_ONCE})
    except StoreError as problem:
        named = about("tool_answer_not_kept", tool=key[1])
        log.warning("the answer of %s could not be kept: %s", key[1], problem, extra=named)
    return text


def _params(key: Key) -> Mapping[str, object]:
    return dict(zip(("tenant", "tool", "version", "input_hash"), key, strict=True))


def _hash(value: BaseModel) -> str:
    canonical = json.dumps(value.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()
