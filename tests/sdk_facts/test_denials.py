"""What a model is told of a call that was denied: by a hook, or by the CLI's own permissions."""

from __future__ import annotations

from typing import Any

import pytest

from tests.kit.scripted_api import Reply, in_turn, text, tool_use
from tests.kit.sdk import ECHO, Bench, Gate

REASON = 'The limit is spent.\nAsk "a person" <b>&amp; wait</b>: 100 % of it; `$HOME` — do not try again.'


async def told(bench: Bench, tool: str, given: dict[str, Any], gate: Gate | None, model: str) -> str:
    """Make one call that is denied, and give what the model is told."""
    bench.api.script = in_turn(Reply([tool_use(tool, given)]), Reply([text("done")]))
    await bench.run(gate=gate, tools=["Bash"], allowed_tools=[ECHO], model=model)
    (result,) = bench.api.calls.messages()[-1].request.tool_results()
    assert result.is_error
    return result.text


@pytest.mark.parametrize("model", ["claude-haiku-4-5", "claude-opus-5-5"])
@pytest.mark.parametrize(("tool", "given"), [(ECHO, {"value": "a"}), ("Bash", {"command": "touch made"})])
async def test_a_hooks_reason_arrives_word_for_word(
    bench: Bench, tool: str, given: dict[str, Any], model: str
) -> None:
    """Behind the names of hook and tool; the CLI adds no advice of its own."""
    said = await told(bench, tool, given, Gate(lambda firing: "deny", REASON), model)
    assert said == f"PreToolUse:{tool} hook error: {REASON}"


async def test_the_permission_mode_invites_to_another_way(bench: Bench) -> None:
    """A call that no rule allows is denied in words that let a model try the same by other tools."""
    said = await told(bench, "Bash", {"command": "touch made"}, None, "claude-opus-5-5")
    assert said.startswith("Permission to use Bash has been denied")
    assert "You *may* attempt to accomplish this action using other tools" in said
    assert not (bench.home / "work" / "made").exists()
