"""A `last-prompt` note that names an older leaf makes a resume lose what came after it."""

from __future__ import annotations

import pytest

from tests.kit.scripted_api import Reply, in_turn, text, tool_use
from tests.kit.sdk import DELEGATE, Bench, Gate


@pytest.mark.parametrize("stale", [True, False], ids=["with the note", "without it"])
async def test_a_stale_note_hides_the_newest_call(bench: Bench, stale: bool) -> None:
    """With the note of the first process the second deferred call is gone; without it, it fires again."""
    bench.api.script = in_turn(
        Reply([tool_use(DELEGATE, {"value": "a"}, id="toolu_a")]),
        Reply([tool_use(DELEGATE, {"value": "b"}, id="toolu_b")]),
        Reply([text("done")]),
    )
    run = await bench.run(gate=Gate(lambda firing: "defer"))
    kept = bench.store.transcript(run.session)
    stored = next(entries for entries in bench.store.kept.values() if entries and entries[-1] in kept)
    stored[:] = [entry for entry in stored if entry.get("type") != "last-prompt"]
    leaf = next(entry["uuid"] for entry in reversed(stored) if entry.get("uuid"))
    if stale:
        stored.append({"type": "last-prompt", "lastPrompt": "go", "leafUuid": leaf, "sessionId": run.session})
    await bench.run(None, gate=Gate(lambda f: "allow" if f.id == "toolu_a" else "defer"), resume=run.session)
    later = stored[stored.index(next(e for e in stored if e.get("uuid") == leaf)) + 1 + stale :]
    stored[:] = stored[: len(stored) - len(later)] + [e for e in later if e.get("type") != "last-prompt"]
    gate = Gate()
    prompt = "go on" if stale else None  # without a prompt a resume that has lost its call waits for ever
    await bench.run(prompt, gate=gate, resume=run.session)
    assert ("toolu_b" in [firing.id for firing in gate.fired]) is not stale
