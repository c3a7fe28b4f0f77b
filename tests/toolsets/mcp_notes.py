"""An MCP server of notes, as a process of its own: over its standard streams, or with `http` on loopback.

Over HTTP it answers only to the token that is in its environment, and prints its address when it listens.
"""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import uvicorn
from mcp.server.mcpserver import MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from starlette.types import ASGIApp, Receive, Scope, Send

from tests.kit.processes import clean_env

ROOT = Path(__file__).resolve().parents[2]
TOKEN = "notes-token-canary"

server = MCPServer("notes", log_level="ERROR")


@server.tool(structured_output=False)
def look(topic: str) -> str:
    """Look a topic up in the notes."""
    if topic != "tides":
        raise ToolError(f"There is no note on {topic}.")
    return "The tide turns twice a day."


@server.tool(structured_output=False)
def environment() -> str:
    """Name the variables of the server's process."""
    return " ".join(f"{name}={value}" for name, value in sorted(os.environ.items()))


@contextlib.contextmanager
def serving(home: Path) -> Iterator[str]:
    """Run the server over HTTP in a process that ends with the block; give its address."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.toolsets.mcp_notes", "http"],
        cwd=ROOT,
        env=clean_env(home / "notes", "http://127.0.0.1:9", NOTES_TOKEN=TOKEN),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        assert address, "the MCP server did not start; its error is on stderr"
        yield address
    finally:
        process.kill()
        process.communicate()


def _guarded(app: ASGIApp) -> ASGIApp:
    async def ask(scope: Scope, receive: Receive, send: Send) -> None:
        given = dict(scope.get("headers") or ())
        if scope["type"] == "http" and given.get(b"authorization") != f"Bearer {TOKEN}".encode():
            await send({"type": "http.response.start", "status": 403, "headers": []})
            await send({"type": "http.response.body", "body": b"Who are you?"})
        else:
            await app(scope, receive, send)

    return ask


def _over_http() -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    print(f"http://127.0.0.1:{listener.getsockname()[1]}/mcp", flush=True)
    app = _guarded(server.streamable_http_app())
    uvicorn.Server(uvicorn.Config(app, log_level="critical")).run(sockets=[listener])


if __name__ == "__main__":
    if sys.argv[1:] == ["http"]:
        _over_http()
    else:
        server.run("stdio")
