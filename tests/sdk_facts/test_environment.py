"""What of the parent's environment an agent's shell can see, and how variables are kept from it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.kit.processes import CLI
from tests.kit.scripted_api import Reply, in_turn, text, tool_use
from tests.kit.sdk import SHELL, Bench


async def printed(bench: Bench, command: str, **options: Any) -> str:
    """Let the agent's shell run a command and give what it printed."""
    bench.api.script = in_turn(Reply([tool_use("Bash", {"command": command})]), Reply([text("done")]))
    await bench.run(**SHELL, **options)
    (result,) = bench.api.calls.messages()[-1].request.tool_results()
    assert not result.is_error
    return result.text


def launcher(folder: Path, *hidden: str) -> Path:
    """Write a shell script that starts the CLI without some variables and logs that it was started."""
    script = folder / "launcher"
    unset = " ".join(f"-u {name}" for name in hidden)
    script.write_text(f'#!/bin/sh\necho "$#" >> {folder}/starts\nexec env {unset} {CLI} "$@"\n')
    script.chmod(0o755)
    return script


async def test_everything_is_inherited(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable of the parent process is printed by the agent's shell."""
    monkeypatch.setenv("PGPASSWORD", "secret-of-the-parent")
    assert await printed(bench, "echo [$PGPASSWORD]") == "[secret-of-the-parent]"


async def test_blanked_variable_is_empty_but_set(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable given as "" in options.env is empty in the shell, not absent."""
    monkeypatch.setenv("PGPASSWORD", "secret-of-the-parent")
    seen = await printed(bench, "echo [${PGPASSWORD-absent}]", env={"PGPASSWORD": ""})
    assert seen == "[]"


async def test_launcher_removes_variables(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cli_path that starts the CLI by `env -u` works: neither shell nor CLI process has the variable."""
    monkeypatch.setenv("PGPASSWORD", "secret-of-the-parent")
    look = "echo [${PGPASSWORD-absent}]; tr '\\0' '\\n' < /proc/$CLAUDE_PID/environ | grep -c '^PG'; true"
    seen = await printed(bench, look, cli_path=launcher(bench.home, "PGPASSWORD"))
    assert seen.split() == ["[absent]", "0"]


async def test_launcher_is_started_once(bench: Bench) -> None:
    """The SDK starts cli_path only for the session itself, never to ask for its version."""
    await bench.run(cli_path=launcher(bench.home))
    assert len((bench.home / "starts").read_text().splitlines()) == 1


async def test_key_is_visible_to_the_shell(bench: Bench) -> None:
    """The CLI hands its own ANTHROPIC_API_KEY on to the shell: it must be worth nothing elsewhere."""
    assert await printed(bench, "echo $ANTHROPIC_API_KEY") == "sk-ant-test-dummy"
