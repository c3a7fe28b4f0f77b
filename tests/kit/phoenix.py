"""A real Arize Phoenix, a receiver that nobody here has written, on loopback ports of its own."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import URLError

from tests.kit.processes import clean_env, until_sync

UP_S = 90.0


_SESSION = """
query($session: String!) {
  getProjectSessionById(sessionId: $session) {
    userId
    firstInput { value }
    lastOutput { value }
    tokenUsage { prompt completion }
    costSummary { total { cost } }
    traces(first: 100) { edges { node {
      traceId
      spans(first: 1000) { edges { node {
        name spanKind statusCode parentId startTime attributes tokenCountTotal
        input { value }
        output { value }
        costSummary { total { cost } }
      } } }
    } } }
  }
}
"""
"""What its own pages ask for."""


@dataclass(frozen=True)
class Row:
    """A span as Phoenix shows it.

    `status` is the harness's. `roles` are those of a call's messages, `tools` how many were on offer. No cost
    is shown where none is known.
    """

    name: str
    kind: str
    failed: bool
    status: str
    is_root: bool
    start: str
    input: str | None
    output: str | None
    roles: tuple[str, ...]
    tools: int
    tokens: int
    cost_usd: float | None


@dataclass(frozen=True)
class Shown:
    """A session as Phoenix shows it; `spans` are those of all its traces."""

    first_input: str | None
    last_output: str | None
    user: str | None
    prompt_tokens: int
    completion_tokens: int
    cost_usd: float | None
    traces: tuple[str, ...]
    spans: tuple[Row, ...]

    @property
    def turns(self) -> list[Row]:
        """The rows of the table of root spans, as they began."""
        return sorted((span for span in self.spans if span.is_root), key=lambda span: span.start)


@dataclass(frozen=True)
class Phoenix:
    """One that runs."""

    base_url: str

    def spans(self, project: str) -> list[dict[str, Any]]:
        """Read all spans of a project back; none while there is no such project."""
        found: list[dict[str, Any]] = []
        cursor = ""
        while True:
            try:
                page = self._get(f"/v1/projects/{project}/spans?limit=100{cursor}")
            except URLError:
                return []
            found += page["data"]
            if not page.get("next_cursor"):
                return found
            cursor = f"&cursor={page['next_cursor']}"

    def session(self, session_id: str) -> Shown | None:
        """Read what its pages show of a session; None while it has none."""
        found = self._query(_SESSION, session=session_id)["getProjectSessionById"]
        return _shown(found) if found else None

    def environment(self) -> dict[str, str]:
        """The variables that make a process export here: there are none, `tracing.otlp_url` says it."""
        return {}

    def _query(self, query: str, **variables: str) -> Any:
        body = json.dumps({"query": query, "variables": variables}).encode()
        headers = {"content-type": "application/json"}
        asked = urllib.request.Request(f"{self.base_url}/graphql", body, headers)
        with urllib.request.urlopen(asked, timeout=30) as response:
            answer = json.load(response)
        assert "errors" not in answer, answer["errors"]
        return answer["data"]

    def _get(self, path: str) -> Any:
        with urllib.request.urlopen(self.base_url + path, timeout=10) as response:
            return json.load(response)


def _shown(found: dict[str, Any]) -> Shown:
    traces = [edge["node"] for edge in found["traces"]["edges"]]
    return Shown(
        first_input=_value(found["firstInput"]),
        last_output=_value(found["lastOutput"]),
        user=found["userId"],
        prompt_tokens=int(found["tokenUsage"]["prompt"]),
        completion_tokens=int(found["tokenUsage"]["completion"]),
        cost_usd=found["costSummary"]["total"]["cost"],
        traces=tuple(trace["traceId"] for trace in traces),
        spans=tuple(_row(edge["node"]) for trace in traces for edge in trace["spans"]["edges"]),
    )


def _row(found: dict[str, Any]) -> Row:
    about = json.loads(found["attributes"])
    llm = about.get("llm", {})
    cost = found["costSummary"]
    return Row(
        name=found["name"],
        kind=found["spanKind"].upper(),
        failed=found["statusCode"] == "ERROR",
        status=about["harness"]["status"],
        is_root=found["parentId"] is None,
        start=found["startTime"],
        input=_value(found["input"]),
        output=_value(found["output"]),
        roles=tuple(each["message"]["role"] for each in llm.get("input_messages", ())),
        tools=len(llm.get("tools", ())),
        tokens=int(found["tokenCountTotal"] or 0),
        cost_usd=cost["total"]["cost"] if cost else None,
    )


def _value(found: dict[str, str] | None) -> str | None:
    return found["value"] if found else None


@contextmanager
def running(command: Path, home: Path) -> Iterator[Phoenix]:
    """Start Phoenix in an empty folder, and end it with the block."""
    port, grpc_port = _free_port(), _free_port()
    environment = clean_env(
        home,
        "http://127.0.0.1:9",
        PATH=f"{command.parent}:/usr/bin:/bin",
        PHOENIX_WORKING_DIR=str(home),
        PHOENIX_HOST="127.0.0.1",
        PHOENIX_PORT=str(port),
        PHOENIX_GRPC_PORT=str(grpc_port),
        PHOENIX_TELEMETRY_ENABLED="false",
    )
    base_url = f"http://127.0.0.1:{port}"
    with (home / "phoenix.log").open("wb") as log:
        process = subprocess.Popen(
            [str(command), "serve"],
            env=environment,
            cwd=home,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            until_sync(lambda: process.poll() is not None or _answers(base_url), "it is up", timeout_s=UP_S)
            assert process.poll() is None, (home / "phoenix.log").read_text()
            yield Phoenix(base_url)
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _answers(base_url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{base_url}/healthz", timeout=2) as response:
            return bool(response.status == 200)
    except OSError:
        return False


def _free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])
