"""What the gateway adds to a model call: its time with checkpoint, settlement and the view of the
rate limits, and its CPU.

The same client asks the same upstream, which has no time to think, directly and through the gateway in turn,
so that both see the same machine. Upstream, gateway and client are processes of their own.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import Popen
from typing import Any

import httpx

from benchmarks.places import python, running_store, session
from benchmarks.rate_limits import PLENTY
from benchmarks.rows import Row, spread
from harness.gateway.app import Gateway
from harness.gateway.door import Door
from harness.gateway.rates import PacedUpstream
from harness.gateway.upstream import LiveUpstream
from harness.store.rates import Heard, Rates
from tests.kit.processes import API_KEY, clean_env
from tests.kit.scripted_api import scripted_process

TARGET_MS = 3.0
REQUEST_BYTES = 20_000
FEW, MANY = 30, 500
"""Events of a short and of a long stream."""
MODEL = "claude-sonnet-4-5"
TOOL = "mcp__corpus__search"


def measure(short: bool) -> list[Row]:
    with running_store() as home, _upstream(home) as direct, _gateway(home, direct) as gateway:
        few = _measure(direct, gateway, FEW, 60 if short else 300)
        many = _measure(direct, gateway, MANY, 20 if short else 100)
    per_event_s = (many.cpu_s - few.cpu_s) / (MANY - FEW)
    return [
        few.row(FEW),
        many.row(MANY),
        Row.of("gateway", f"its CPU for a call of {FEW} events", [few.cpu_s], "ms"),
        Row.of("gateway", "its CPU for each further event", [per_event_s], "µs"),
    ]


@dataclass(frozen=True)
class _Measured:
    """Seconds of each call without the gateway and through it, and the gateway's CPU seconds per call."""

    without: list[float]
    through: list[float]
    cpu_s: float

    def row(self, events: int) -> Row:
        added = [mine - theirs for mine, theirs in zip(self.through, self.without, strict=True)]
        without, through = (spread(taken)[1] for taken in (self.without, self.through))
        return Row.of(
            "gateway",
            f"added to a call of {events} events",
            added,
            "ms",
            target=TARGET_MS,
            ratio=through / without,
            note=f"{1000 * without:.1f} ms without, {1000 * through:.1f} ms with it",
        )


def _measure(direct: _Address, gateway: _Address, events: int, calls: int) -> _Measured:
    asyncio.run(_compare(direct, gateway, events, 5))
    used = gateway.cpu_s()
    without, through = asyncio.run(_compare(direct, gateway, events, calls))
    return _Measured(without, through, (gateway.cpu_s() - used) / calls)


async def _compare(
    direct: _Address, gateway: _Address, events: int, calls: int
) -> tuple[list[float], list[float]]:
    """Call both in turn and give how long each call took, in seconds."""
    without: list[float] = []
    through: list[float] = []
    async with httpx.AsyncClient(timeout=60, trust_env=False) as client:
        for number in range(calls):
            pair = [(direct, without), (gateway, through)]
            for address, taken in pair if number % 2 else reversed(pair):
                taken.append(await _call(client, address, events))
    return without, through


async def _call(client: httpx.AsyncClient, address: _Address, events: int) -> float:
    body = json.dumps(_request(events))
    began = time.perf_counter()
    async with client.stream("POST", address.url, content=body, headers=address.headers) as response:
        tail = b""
        async for chunk in response.aiter_raw():
            tail = (tail + chunk)[-100:]
    took = time.perf_counter() - began
    if response.status_code != 200 or b"message_stop" not in tail:
        raise RuntimeError(f"{address.url} answered {response.status_code} and ended in {tail!r}.")
    return took


def _request(events: int) -> dict[str, Any]:
    schema = {"type": "object", "properties": {"query": {"type": "string"}}}
    return {
        "model": MODEL,
        "max_tokens": 1000,
        "stream": True,
        "system": "You are a research analyst. " * (REQUEST_BYTES // 28),
        "tools": [{"name": TOOL, "description": "Search.", "input_schema": schema}],
        "messages": [{"role": "user", "content": f"The number of events is {events}"}],
    }


@dataclass(frozen=True)
class _Address:
    base_url: str
    key: str
    process: Popen[str] | None = field(default=None, repr=False)

    @property
    def url(self) -> str:
        return f"{self.base_url}/v1/messages"

    @property
    def headers(self) -> dict[str, str]:
        return {"x-api-key": self.key, "content-type": "application/json", "anthropic-version": "2023-06-01"}

    def cpu_s(self) -> float:
        """CPU its process has used so far, user and system, in seconds."""
        assert self.process is not None
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return float(self.process.stdout.readline())


@contextmanager
def _upstream(home: Path) -> Iterator[_Address]:
    with scripted_process("benchmarks.played:stream", home / "upstream" / "calls.jsonl") as api:
        yield _Address(api.base_url, API_KEY)


@contextmanager
def _gateway(home: Path, upstream: _Address) -> Iterator[_Address]:
    env = clean_env(home / "gateway", upstream.base_url)
    with python("-m", "benchmarks.gateway", str(home), upstream.base_url, env=env) as process:
        assert process.stdout is not None
        if not (line := process.stdout.readline()):
            raise RuntimeError("The gateway did not start; its error is on stderr.")
        yield _Address(**json.loads(line), process=process)


async def _serve(home: Path, base_url: str) -> None:
    """Be the gateway of one agent run, and tell the CPU used so far for each line on stdin, until it ends."""
    async with session(home, 1) as (journal, (run_id,)):
        rates = Rates(journal.database, base_url, API_KEY, "default")
        await rates.heard(MODEL, uuid.uuid4(), Heard(200, PLENTY))
        async with Gateway(PacedUpstream(LiveUpstream(base_url, API_KEY), rates)) as gateway:
            door = Door(journal, run_id, frozenset({TOOL}), "", "", models=(MODEL,))
            token = gateway.open_door(door)
            print(json.dumps({"base_url": gateway.base_url, "key": token}), flush=True)
            while await asyncio.to_thread(sys.stdin.readline):
                print(time.process_time(), flush=True)


if __name__ == "__main__":
    asyncio.run(_serve(Path(sys.argv[1]), sys.argv[2]))
