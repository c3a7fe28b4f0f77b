"""MCP servers as the CLI is told of them: secrets in private files, and a server's last words."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import SecretStr

from harness.attempt import AttemptFolder
from harness.mcp_servers import last_words, write_servers
from harness.sections import HttpServer, StdioServer

SECRET = "a-secret-of-the-server"


@pytest.fixture
def folder(tmp_path: Path) -> AttemptFolder:
    """The folder of an attempt."""
    return AttemptFolder(tmp_path, tmp_path)


def start(folder: AttemptFolder, *command: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Start a server as the CLI does, from what it was told."""
    secret = {name: SecretStr(value) for name, value in env.items()}
    server = StdioServer(command=command[0], args=command[1:], env=secret)
    file = write_servers(folder, {"papers": server})
    told = json.loads(file.read_text())["mcpServers"]["papers"]
    assert SECRET not in file.read_text()
    return subprocess.run(
        [told["command"], *told["args"]],
        env={"PATH": os.defpath, "INHERITED": "1"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=30,
    )


def test_a_server_gets_its_environment_beside_what_is_inherited(folder: AttemptFolder) -> None:
    """It takes the place of the process that starts it; any name of a variable will do, and any value."""
    show = "import os, json; print(json.dumps([os.getpid(), dict(os.environ)]))"
    ended = start(
        folder, sys.executable, "-c", show, TOKEN=SECRET, **{"a.b-c": "two\nlines 'and' \"quotes\""}
    )
    assert ended.returncode == 0, ended.stderr
    _, got = json.loads(ended.stdout)
    assert (got["TOKEN"], got["INHERITED"]) == (SECRET, "1")
    assert got["a.b-c"] == "two\nlines 'and' \"quotes\""


def test_every_file_is_its_owners_alone(folder: AttemptFolder) -> None:
    """Whatever the umask is; also where a file was there before."""
    folder.servers.write_text("")
    folder.servers.chmod(0o644)
    before = os.umask(0)
    try:
        start(folder, "true", TOKEN=SECRET)
        headers = {"Authorization": SecretStr(SECRET)}
        write_servers(folder, {"wiki": HttpServer(url="https://wiki.example.com/mcp", headers=headers)})
    finally:
        os.umask(before)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.root.iterdir()}
    assert modes == dict.fromkeys(["mcp.json", "mcp-papers.json", "mcp-papers.stderr"], 0o600)
    told = json.loads(folder.servers.read_text())["mcpServers"]["wiki"]
    assert told == {
        "type": "http",
        "url": "https://wiki.example.com/mcp",
        "headers": {"Authorization": SECRET},
    }


def test_the_last_words_of_a_server_are_of_its_last_start(folder: AttemptFolder) -> None:
    """Three lines, without what is between them, and not of an earlier start."""
    assert last_words(folder, "papers") is None
    ended = start(folder, "sh", "-c", 'for n in 1 2 3 4; do echo "line  $n" >&2; echo >&2; done; echo out')
    assert ended.stdout == "out\n"
    assert last_words(folder, "papers") == "line 2 | line 3 | line 4"
    start(folder, "sh", "-c", "printf %2000s x >&2")
    assert last_words(folder, "papers") == "x"
    start(folder, "true")
    assert last_words(folder, "papers") is None


def test_a_program_that_is_not_there_is_named(folder: AttemptFolder) -> None:
    """As a shell would say it."""
    assert start(folder, "/no/such/program").returncode == 1
    assert last_words(folder, "papers") == "/no/such/program: No such file or directory"
