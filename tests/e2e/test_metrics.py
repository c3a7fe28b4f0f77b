"""A worker's metrics and its health, asked for as Prometheus and an orchestrator do."""

from __future__ import annotations

import json
import re
import signal
import socket
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.cli.processes import NO_MODEL
from tests.e2e.running import Command, Desk
from tests.kit.campaign import cases
from tests.kit.metrics import Scraped, parsed
from tests.kit.outages import OwnPostgres
from tests.kit.processes import until_sync
from tests.kit.scripted_api import scripted_process

QUESTION = "When do tides turn? Which stars are fixed?"
WORKER = ("worker", "--metrics-port", "0")
OFFLINE = ("--offline", "--flow", "single", "--sources", "notes.md")
NOTES = "# Tides\n\nTides turn twice a day.\n\n# Stars\n\nThe pole star is the only fixed star.\n"


@pytest.fixture
def offline_desk(home: Path, dsn: str) -> Iterator[Desk]:
    """A place to run commands at with no model to reach."""
    (home / "notes.md").write_text(NOTES)
    with closing(Desk(home, NO_MODEL, dsn)) as desk:
        yield desk


@pytest.fixture
def server(home: Path) -> Iterator[OwnPostgres]:
    """A server that the worker knows by its DSN only."""
    folder = home / "server"
    folder.mkdir(mode=0o755)
    with closing(OwnPostgres(folder)) as own:
        yield own


def address(worker: Command) -> str:
    """Where a worker serves, as it has said on stderr."""

    def said() -> re.Match[str] | None:
        return re.search(r"Metrics are at (\S+)/metrics\.", "".join(worker.errors))

    found = until_sync(said, "the worker's metrics", timeout_s=40)
    assert found is not None
    return found[1]


def scrape(at: str) -> Scraped:
    """Ask for the metrics, as long as Prometheus would wait."""
    with urllib.request.urlopen(f"{at}/metrics", timeout=10) as answer:
        assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
        return parsed(answer.read().decode())


def health(at: str) -> tuple[int, dict[str, Any]]:
    """Ask whether the worker is well: the HTTP status, and what it says."""
    try:
        with urllib.request.urlopen(f"{at}/healthz", timeout=10) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.code, json.load(refused)


def test_a_worker_counts_what_it_does(offline_desk: Desk) -> None:
    """Its counters, and how the store stands, are those of the sessions that it has advanced."""
    desk = offline_desk
    session_ids = [desk.run("submit", QUESTION, *OFFLINE)[1]["session_id"] for _ in range(2)]
    _, paused = desk.run("submit", QUESTION, *OFFLINE, "--queue", "other")
    desk.run("submit", QUESTION, *OFFLINE, "--begin-at", "2h")
    desk.run("pause", paused["session_id"])
    worker = desk.start(*WORKER)
    at = address(worker)
    for session_id in session_ids:
        assert desk.run("wait", session_id)[0] == 0
    until_sync(lambda: scrape(at)["harness_sessions_left_total", "done"] == 2, "two sessions to be left")
    found = scrape(at)
    assert found["harness_store_up",] == 1
    assert found["harness_sessions", "default", "default", "due"] == 0
    assert found["harness_sessions", "default", "default", "later"] == 1
    assert found["harness_sessions", "default", "other", "person"] == 1
    assert found["harness_sessions_claimed_total",] == 2
    assert found["harness_sessions_left_total", "lease_lost"] == 0
    assert found["harness_session_wait_seconds_count",] == 2
    assert found["harness_worker_places",] == 4
    assert found["harness_worker_sessions",] == found["harness_agent_runs_at_work",] == 0
    assert found["process_resident_memory_bytes",] > 1e7
    assert found["harness_store_size_bytes",] > 1e6
    shown = [desk.run("show", session_id)[1] for session_id in session_ids]
    calls = sum(each["usage"]["model_calls"] for each in shown)
    output = sum(each["usage"]["output_tokens"] for each in shown)
    models = {labels[0] for name, *labels in found if name == "harness_model_calls_total"}
    assert sum(found["harness_model_calls_total", model] for model in models) == calls > 0
    assert sum(found["harness_model_tokens_total", model, "output"] for model in models) == output > 0
    assert health(at) == (200, {"status": "ok", "sessions": 0, "problem": None})


def test_a_draining_worker_is_well_and_says_so(home: Path, dsn: str) -> None:
    """Nobody should kill it for that: it reads what is on the wire to its end, and hands the session back."""
    (home / "notes.md").write_text(NOTES)
    (home / "step-1.hold").write_text("0")
    played = scripted_process("tests.e2e.scripts:alone", home / "calls.jsonl", given={"holds": str(home)})
    with played as api, closing(Desk(home, api.base_url, dsn)) as desk:
        desk.run("submit", QUESTION, "--flow", "single", "--sources", "notes.md")
        worker = desk.start(*WORKER)
        at = address(worker)
        until_sync(
            lambda: _calls(scrape(at)) == 1, "a call to be answered, and one on the wire", timeout_s=60
        )
        assert scrape(at)["harness_agent_runs_at_work",] == 1
        assert scrape(at)["harness_agents_resident_memory_bytes",] > 1e7
        worker.process.send_signal(signal.SIGTERM)
        until_sync(lambda: health(at)[1]["status"] == "draining", "the worker to drain")
        assert health(at) == (200, {"status": "draining", "sessions": 1, "problem": None})
        assert scrape(at)["harness_worker_draining",] == 1
        (home / "step-1.go").touch()
        assert worker.wait() == 0
        assert [line["status"] for line in worker.lines] == ["queued", "queued"]


def _calls(found: Scraped) -> float:
    return sum(value for (name, *_), value in found.items() if name == "harness_model_calls_total")


@pytest.mark.parametrize("how", cases(("stopped", "frozen"), {"frozen"}))
def test_a_store_that_is_away_keeps_no_scrape_waiting(home: Path, server: OwnPostgres, how: Any) -> None:
    """The worker's own numbers are told all the same, and its health says what is the matter."""
    desk = Desk(home, NO_MODEL, server.dsn)
    with closing(desk):
        at = address(desk.start(*WORKER))
        until_sync(lambda: health(at)[0] == 200, "a worker that is well", timeout_s=40)
        with server.failing(how):
            until_sync(lambda: scrape(at)["harness_store_up",] == 0, "the scrape to tell of it", timeout_s=40)
            found = scrape(at)
            assert found["harness_sessions_claimed_total",] == 0
            assert not any(name == "harness_store_size_bytes" for name, *_ in found)
            status, told = health(at)
            assert (status, told["status"]) == (503, "failing")
            assert "Postgres" in told["problem"]
        until_sync(lambda: health(at)[0] == 200, "the worker to be well again", timeout_s=60)


def test_a_port_that_is_taken_is_refused_before_a_store_is_opened(home: Path) -> None:
    """One sentence says which, and how to choose another."""
    with socket.create_server(("127.0.0.1", 0)) as taken, closing(Desk(home, NO_MODEL, None)) as desk:
        port = taken.getsockname()[1]
        worker = desk.start("worker", "--metrics-port", str(port))
        assert worker.wait() == 2
        (said,) = worker.errors
        assert re.fullmatch(
            rf"Error: Metrics cannot be served at 127\.0\.0\.1 port {port} .*another.*\n", said
        )
        assert not (home / "harness").exists()


def test_the_command_prints_how_the_store_stands(offline_desk: Desk) -> None:
    """For whoever has no Prometheus, or one that reads a file."""
    offline_desk.run("submit", QUESTION, *OFFLINE, "--priority", "3")
    command = offline_desk.start("metrics")
    assert command.wait() == 0
    told = {(line["metric"], *line["labels"].values()): line["value"] for line in command.lines}
    assert told["harness_sessions", "default", "default", "due"] == 1
    assert told["harness_store_up",] == 1
