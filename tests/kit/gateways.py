"""A gateway at work between a client of ours and the played model, on a journal in a real store."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx

from harness.gateway.app import Gateway
from harness.gateway.door import Door
from harness.gateway.rates import PacedUpstream
from harness.gateway.replay import ReplayUpstream, read_recorded
from harness.gateway.upstream import LiveUpstream, Upstream
from harness.pricing import PRICES, Price
from harness.records import Limits, Usage
from harness.state import RunState
from harness.stopping import Stopping
from harness.store.database import Database
from harness.store.journal import Journal, read_events
from harness.store.rates import Rates
from tests.kit.script import Request
from tests.kit.scripted_api import Reply, ScriptedApi, Tokens, text
from tests.kit.sessions import new_journal, run_at_work

KEY = "sk-ant-the-real-key"
PROMPT = "You are the agent of a test."
SEARCH = "mcp__corpus__search"
RESUME = "Go on where you were."
MODEL = "claude-sonnet-5-5"

VERSION = {"anthropic-version": "2023-06-01"}

SPENT = Tokens(900, 80, 7, 11)
USED = Usage(
    input_tokens=900,
    output_tokens=80,
    cache_read_input_tokens=7,
    cache_creation_input_tokens=11,
    model_calls=1,
    attempts=1,
)
"""What a played answer says that it used, and how the gateway counts that."""


def once(*first: Reply, then: Reply | None = None) -> Callable[[Request], Reply]:
    """Play these replies, then the last one for ever."""
    replies = list(first)
    return lambda request: (
        replies.pop(0) if replies else then or Reply([text("At last.")], usage=SPENT, deltas=1)
    )


async def read_into(seen: list[bytes], bench: Bench) -> None:
    """Read an answer as it comes."""
    async with bench.stream() as answer:
        async for chunk in answer.aiter_raw():
            seen.append(chunk)


def tool(name: str) -> dict[str, Any]:
    """A tool as a request offers it."""
    return {"name": name, "description": "x", "input_schema": {"type": "object"}}


def step(*said: str, tools: Iterable[str] = (SEARCH,), **more: Any) -> dict[str, Any]:
    """A request of the agent's own, after this history: user and assistant in turn."""
    messages = [
        {"role": "user" if n % 2 == 0 else "assistant", "content": [{"type": "text", "text": text}]}
        for n, text in enumerate(said or ("Why?",))
    ]
    return {
        "model": MODEL,
        "max_tokens": 1000,
        "system": [{"type": "text", "text": PROMPT}],
        "messages": messages,
        "tools": [tool(name) for name in tools],
        "stream": True,
        **more,
    }


@dataclass
class Bench:
    """One agent run behind a gateway. `api` plays the model, `http` is in the CLI's place."""

    api: ScriptedApi
    database: Database
    journal: Journal
    run: RunState
    gateway: Gateway
    door: Door
    token: str
    http: httpx.AsyncClient

    async def send(self, request: Any = None, *, token: str | None = None, **headers: str) -> httpx.Response:
        """Send a request and read its answer; bytes are sent as they are."""
        body = request if isinstance(request, bytes) else json.dumps(request or step()).encode()
        return await self.http.post("/v1/messages", content=body, headers=self._headers(token, headers))

    def stream(self, request: Any = None) -> Any:
        """Send a request and read its answer as it comes."""
        body = json.dumps(request or step()).encode()
        return self.http.stream("POST", "/v1/messages", content=body, headers=self._headers(None, {}))

    def another_sitting(self) -> None:
        """Let the run ask as it does in another sitting, which knows nothing of the troubles of this one."""
        self.door.missed, self.door.trouble = 0, None

    async def kinds(self) -> list[str]:
        """The kinds of the committed events since the run began."""
        events = await read_events(self.database, self.journal.session_id, after=3)
        return [event.payload.kind for event in events]

    async def last(self) -> Any:
        """The payload of the newest committed event."""
        return (await read_events(self.database, self.journal.session_id))[-1].payload

    def _headers(self, token: str | None, more: dict[str, str]) -> dict[str, str]:
        given = {"x-api-key": self.token if token is None else token, "content-type": "application/json"}
        return given | {name.replace("_", "-"): value for name, value in more.items()}


@asynccontextmanager
async def bench_on(
    database: Database,
    api: ScriptedApi,
    *,
    limits: Limits | None = None,
    budget: float | None = None,
    tools: Iterable[str] = (SEARCH,),
    base_url: str | None = None,
    replays: str | None = None,
    stopping: Stopping | None = None,
    paced_for: str | None = None,
    fallback: str | None = None,
    prices: Mapping[str, Price] = PRICES,
    models: Iterable[str] = (MODEL, "claude-opus-4-5"),
    silent_s: float = 30.0,
    **given: Any,
) -> AsyncIterator[Bench]:
    """Open a gateway for one agent run in front of `api`, or of `base_url`, or of a session's recording.

    With `paced_for` a tenant's calls keep to the rate limits. `given` are fields of the session's creation.
    """
    journal = await new_journal(database)
    run = await run_at_work(journal, limits, budget, replays=replays, **given)
    upstream: Upstream = LiveUpstream(base_url or api.base_url, KEY, silent_s)
    if paced_for is not None:
        upstream = PacedUpstream(upstream, Rates(database, api.base_url, KEY, paced_for))
    if replays is not None:
        recorded = await read_recorded(database, replays, journal.state.tenant)
        upstream = ReplayUpstream(database, recorded, journal.state, (RESUME,))
    door = Door(
        journal,
        run.id,
        frozenset(tools),
        PROMPT,
        RESUME,
        models={*models, fallback or MODEL},
        prices=prices,
    )
    async with (
        Gateway(upstream, stopping, fallback=fallback) as gateway,
        # Another client than the gateway's own, and no proxy of this machine in between.
        httpx.AsyncClient(base_url=gateway.base_url, headers=VERSION, trust_env=False, timeout=30) as http,
    ):
        yield Bench(api, database, journal, run, gateway, door, gateway.open_door(door), http)
