"""The checkpoints of a session in a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from harness.cli import words
from harness.cli.options import Common
from harness.cli.output import answer, answer_json
from harness.state import SessionState, label
from harness.store.sessions import Checkpoint

_SHOWN = 8


def tell_last_checkpoints(state: SessionState, checkpoints: Sequence[Checkpoint]) -> None:
    """Show how many there are, and the last of them."""
    answer(f"Checkpoints: {len(checkpoints)}")
    earlier = len(checkpoints) - _SHOWN
    if earlier > 0:
        answer(f"  {'…':>5}  {earlier} earlier ones: see --checkpoints")
    _tell(state, checkpoints[-_SHOWN:])


def tell_checkpoints(state: SessionState, checkpoints: Sequence[Checkpoint], common: Common) -> None:
    """Show all of them and how to go on from one, or write each with its commands as a line of JSON."""
    fork, resume = common.command("fork", state.id), common.command("resume", state.id)
    if common.as_json:
        for point in checkpoints:
            commands = {"fork": f"{fork} --at {point.seq}", "resume": f"{resume} --at {point.seq}"}
            answer_json({**point.model_dump(mode="json"), **commands})
        return
    _tell(state, checkpoints)
    answer("")
    answer(f"A new session from one of them: {fork} --at SEQ")
    answer(f"This session again from there: {resume} --at SEQ")


def _tell(state: SessionState, checkpoints: Sequence[Checkpoint]) -> None:
    cached = {call.seq for run in state.runs.values() for call in run.tools.values() if call.cached}
    for point in checkpoints:
        run = state.runs.get(point.agent_run_id or "")
        who = label(run) if run else ""
        kind = point.kind.removesuffix(".requested").replace(".", " ")
        at = f"{point.recorded_at.astimezone():%H:%M:%S}"
        hit = " (cached)" if point.seq in cached else ""
        answer(f"  {point.seq:>5}  {at}  {who}: {kind} {words.tool(point.what)}{hit}")
