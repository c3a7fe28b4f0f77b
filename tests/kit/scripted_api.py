"""A Messages API on loopback that plays the model by a script: in a thread, or as a process of its own.

    with ScriptedApi(script) as api:                     # in this process
        client = AsyncAnthropic(base_url=api.base_url, api_key="sk-ant-test-dummy")
        ...
        assert len(api.calls.completed(session)) == 2

    with scripted_process("tests.area.scripts:lead", log) as api:   # outlives a client, not this process
        ...
        assert api.calls().served().output_tokens == 40

By hand: `python -m tests.kit.scripted_api --script tests.kit.scripted_api:generic --log calls.jsonl`.
Only `POST /v1/messages` exists; anything else is answered with 404 and recorded. A request that breaks a rule
of the service (`harness/offline/rules`) is answered as the service would, and fails the test at the end of
the block, unless the test says `refuses=True`: then at least one has to.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import importlib
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import uvicorn

from tests.kit.calls import Call, Calls
from tests.kit.played_model import PlayedModel
from tests.kit.processes import clean_env
from tests.kit.script import (
    Reply,
    Request,
    Script,
    Tokens,
    generic,
    in_turn,
    refused,
    structured,
    text,
    thinking,
    tool_use,
)

__all__ = [
    "Call",
    "Calls",
    "Reply",
    "Request",
    "Script",
    "ScriptedApi",
    "ScriptedProcess",
    "Tokens",
    "generic",
    "in_turn",
    "refused",
    "scripted_process",
    "structured",
    "text",
    "thinking",
    "tool_use",
]

HOST = "127.0.0.1"


def _listening(port: int = 0, host: str = HOST) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((host, port))
    return listener


def _server(app: PlayedModel) -> uvicorn.Server:
    return uvicorn.Server(
        uvicorn.Config(app, lifespan="off", log_config=None, log_level="critical", timeout_keep_alive=60)
    )


class ScriptedApi:
    """The played model in a thread of this process; its script may be exchanged at any time.

    An error raised by a script is raised again at the end of the block, and InvalidRequests where a request
    broke a rule of the service; with `refuses`, where none did.
    """

    def __init__(self, script: Script = generic, *, log: Path | None = None, refuses: bool = False) -> None:
        self.calls = Calls(log)
        self.refuses = refuses
        self._app = PlayedModel(script, self.calls)
        self._listener = _listening()
        self._server = _server(self._app)
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": [self._listener]}, name="scripted-api", daemon=True
        )

    @property
    def script(self) -> Script:
        """The script that answers from now on."""
        return self._app.script

    @script.setter
    def script(self, script: Script) -> None:
        self._app.script = script

    @property
    def base_url(self) -> str:
        """Where it listens, for ANTHROPIC_BASE_URL."""
        return f"http://{HOST}:{self._listener.getsockname()[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        while not self._server.started and self._thread.is_alive():
            time.sleep(0.005)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.should_exit = self._server.force_exit = True
        self._thread.join(10)
        if error is None and self._app.error is not None:
            raise self._app.error
        if error is None:
            self.calls.check(refuses=self.refuses)


@dataclass(frozen=True)
class ScriptedProcess:
    """A played model in a process of its own, which the caller may also kill."""

    base_url: str
    log: Path
    process: subprocess.Popen[str] = field(repr=False)

    def calls(self) -> Calls:
        """Read what it has recorded so far."""
        return Calls.read(self.log)


@contextlib.contextmanager
def scripted_process(
    script: str,
    log: Path,
    *,
    given: Mapping[str, Any] | None = None,
    port: int = 0,
    host: str = HOST,
    refuses: bool = False,
) -> Iterator[ScriptedProcess]:
    """Run `script` ("module:function") in a process of its own that ends with the block or with this process.

    `given` are keyword arguments for the function, as JSON; paths of files that lift a hold, for example.
    At the end of the block InvalidRequests is raised as by `ScriptedApi`.
    """
    command = [sys.executable, "-m", "tests.kit.scripted_api", "--script", script, "--log", str(log)]
    command += ["--given", json.dumps(dict(given or {})), "--port", str(port), "--host", host]
    root = Path(__file__).resolve().parents[2]
    environment = clean_env(log.parent, "http://127.0.0.1:9")
    process = subprocess.Popen(
        command, cwd=root, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        base_url = process.stdout.readline().strip()
        if not base_url:
            raise RuntimeError(f"The scripted API did not start with {script!r}; its error is on stderr.")
        yield ScriptedProcess(base_url, log, process)
        Calls.read(log).check(refuses=refuses)
    finally:
        process.kill()
        process.communicate()


def _loaded(name: str, given: Mapping[str, Any]) -> Script:
    module, _, function = name.partition(":")
    found: Script = getattr(importlib.import_module(module), function)
    return functools.partial(found, **given) if given else found


def _end_with(parent: int, server: uvicorn.Server) -> None:
    while os.getppid() == parent:
        time.sleep(0.2)
    server.should_exit = server.force_exit = True


def main() -> None:
    """Serve until the process that started this one ends."""
    parser = argparse.ArgumentParser(description="Play the model by a script.")
    parser.add_argument("--script", required=True, help="module:function")
    parser.add_argument("--log", required=True, type=Path, help="JSON-lines file, appended to")
    parser.add_argument("--given", default="{}", help="JSON object of keyword arguments for the function")
    parser.add_argument("--port", default=0, type=int, help="0 takes a free one")
    parser.add_argument("--host", default=HOST, help="the address to listen at")
    options = parser.parse_args()
    calls = Calls.read(options.log)
    calls.file = options.log
    server = _server(PlayedModel(_loaded(options.script, json.loads(options.given)), calls))
    listener = _listening(options.port, options.host)
    threading.Thread(target=_end_with, args=(os.getppid(), server), daemon=True).start()
    print(f"http://{options.host}:{listener.getsockname()[1]}", flush=True)
    server.run(sockets=[listener])


if __name__ == "__main__":
    main()
