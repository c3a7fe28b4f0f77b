"""What the CLI takes from files instead of its command line, which every user of a machine can read."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from tests.kit.processes import clis_using
from tests.kit.scripted_api import Reply, in_turn, text, tool_use
from tests.kit.sdk import ECHO, Bench, Gate
from tests.toolsets import mcp_notes

PROMPT, SECRET = "You are the agent of a file.", "token-of-the-notes"
LOOK_UP = "mcp__notes__look"


async def test_prompt_and_servers_come_from_files_beside_servers_of_this_process(bench: Bench) -> None:
    """Both work, and neither the prompt nor a server's variables stand in the command line."""
    seen: list[str] = []

    def look() -> None:
        seen.extend(str(cli.cmdline()) for cli in clis_using(bench.api.base_url))

    bench.api.script = in_turn(
        Reply([tool_use(ECHO, {"value": "a"}), tool_use(LOOK_UP, {"topic": "tides"})]), Reply([text("done")])
    )
    prompt = bench.home / "prompt.md"
    prompt.write_text(PROMPT)
    await bench.run(
        gate=Gate(on_fire=look),
        system_prompt={"type": "file", "path": str(prompt)},
        allowed_tools=[ECHO, LOOK_UP],
        extra_args={"mcp-config": str(_servers(bench.home))},
    )
    request = bench.api.calls.messages()[-1].request
    assert PROMPT in request.system_text
    assert [result.text for result in request.tool_results()] == ["echo: a", "The tide turns twice a day."]
    assert len(seen) == 2
    assert not any(PROMPT in line or SECRET in line for line in seen)


def _servers(home: Path) -> Path:
    environment = {"NOTES_TOKEN": SECRET, "PYTHONPATH": str(mcp_notes.ROOT)}
    server = {"command": sys.executable, "args": ["-m", "tests.toolsets.mcp_notes"], "env": environment}
    file = home / "servers.json"
    file.write_text(json.dumps({"mcpServers": {"notes": server}}))
    return file
