"""The example of a web application: it takes questions, streams sessions, and ends as its server is told."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.checkout import ROOT
from tests.kit.processes import clean_env, clis, kill, tree, until_sync


@dataclass(frozen=True)
class Served:
    """The application in its server's process."""

    process: subprocess.Popen[bytes]
    url: str


@pytest.fixture
def served(home: Path, dsn: str) -> Iterator[Served]:
    """The example under uvicorn, on a port of its own."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = clean_env(home, "http://127.0.0.1:9", HARNESS_HOME=str(home / "harness"), HARNESS_DSN=dsn)
    command = [sys.executable, "-m", "uvicorn", "examples.web_app:app", "--port", str(port)]
    process = subprocess.Popen([*command, "--log-level", "warning"], cwd=ROOT, env=environment)
    url = f"http://127.0.0.1:{port}"
    try:
        until_sync(lambda: _answers(url), "the application to answer", timeout_s=60)
        yield Served(process, url)
    finally:
        for below in tree(process.pid):
            kill(below)
        process.kill()
        process.wait()


def _answers(url: str) -> bool:
    try:
        return httpx.post(f"{url}/sessions", json={"question": " "}).status_code == 422
    except httpx.TransportError:
        return False


async def test_sessions_are_taken_and_followed_side_by_side(served: Served) -> None:
    """Each request gets its own session's events, in order, to the end; the report is there then."""
    async with httpx.AsyncClient(base_url=served.url, timeout=90) as client:
        asked = [{"question": f"What does a kill cost, case {number}?"} for number in range(3)]
        begun = await asyncio.gather(*(client.post("/sessions", json=each) for each in asked))
        ids = [each.json()["session_id"] for each in begun]
        assert len(set(ids)) == 3
        streams = await asyncio.gather(*(client.get(f"/sessions/{each}/events") for each in ids))
        for question, session_id, stream in zip(asked, ids, streams, strict=True):
            events = [dict(line.split(": ", 1) for line in event.splitlines()) for event in _events(stream)]
            assert [int(event["id"]) for event in events] == list(range(1, len(events) + 1))
            assert json.loads(events[0]["data"])["question"] == question["question"]
            assert events[-1]["event"] == "session.finished"
            answer = (await client.get(f"/sessions/{session_id}")).json()
            assert answer["status"] == "done"
            assert answer["report"]


def test_its_server_stops_as_ever(served: Served) -> None:
    """No signal is taken from it: on SIGTERM the worker hands its sessions back, and nothing is left."""
    for _ in range(4):
        httpx.post(f"{served.url}/sessions", json={"question": "What does a kill cost?"})
    until_sync(lambda: clis(served.process.pid), "an agent to work", timeout_s=60)
    below = tree(served.process.pid)
    served.process.send_signal(signal.SIGTERM)
    served.process.wait(90)
    assert not [process for process in below if process.is_running() and process.status() != "zombie"]


def _events(stream: httpx.Response) -> list[str]:
    assert stream.status_code == 200
    return stream.text.strip().split("\n\n")
