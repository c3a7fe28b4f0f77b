"""MCP servers of the settings, as an agent's CLI is told of them: in files of its attempt, never in argv.

Any local user can read any process's arguments, and the values of `env` and `headers` are secrets.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness import mcp_start
from harness.attempt import AttemptFolder, write_private
from harness.sections import HttpServer, StdioServer

ExternalServers = Mapping[str, StdioServer | HttpServer]
"""MCP servers outside of this process, by name."""

_LAST_LINES = 3
_LAST_CHARS = 500


def write_servers(folder: AttemptFolder, servers: ExternalServers) -> Path:
    """Write the file that the CLI's `--mcp-config` takes, and what each process is started from."""
    told = {name: _told(folder, name, server) for name, server in servers.items()}
    write_private(folder.servers, json.dumps({"mcpServers": told}))
    return folder.servers


def last_words(folder: AttemptFolder, name: str) -> str | None:
    """Give the last lines that a server has written to stderr, as one line; None when it has written none."""
    errors = _errors(folder, name)
    if not errors.is_file():
        return None
    said = errors.read_text("utf-8", "replace").splitlines()
    lines = [" ".join(line.split()) for line in said if line.strip()]
    return " | ".join(lines[-_LAST_LINES:])[-_LAST_CHARS:] or None


def _told(folder: AttemptFolder, name: str, server: StdioServer | HttpServer) -> dict[str, Any]:
    if isinstance(server, HttpServer):
        headers = {key: value.get_secret_value() for key, value in server.headers.items()}
        return {"type": server.type, "url": server.url, "headers": headers}
    start = folder.root / f"mcp-{name}.json"
    env = {key: value.get_secret_value() for key, value in server.env.items()}
    command = [server.command, *server.args]
    write_private(start, json.dumps({"command": command, "env": env, "errors": str(_errors(folder, name))}))
    return {"type": "stdio", "command": sys.executable, "args": ["-IS", mcp_start.__file__, str(start)]}


def _errors(folder: AttemptFolder, name: str) -> Path:
    return folder.root / f"mcp-{name}.stderr"
