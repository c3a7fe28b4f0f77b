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

    def _get(self, path: str) -> Any:
        with urllib.request.urlopen(self.base_url + path, timeout=10) as response:
            return json.load(response)


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
