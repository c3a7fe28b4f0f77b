"""What happens to a replay: a session that runs again on the recorded answers of another."""

from __future__ import annotations

from typing import Literal

from harness.events.payload import Payload
from harness.records import Record


class Difference(Record):
    """A part of a request that is not as it was recorded: the model, a tool, a message.

    `diff` is a unified diff of the two in a form made for reading, without what varies from run to run.
    """

    part: str
    diff: str


class ReplayStopped(Payload):
    """A replay goes no further; `problem` says in a sentence where and why.

    `why`: a request differs from the recorded one; the recorded session made no such call; its recording
    ends; or a tool that is unsafe would run again. `call` is the number of the step; None for an auxiliary
    call. `interrupted` says that the recorded session was cut off before this call and went on otherwise.
    """

    kind: Literal["replay.stopped"] = "replay.stopped"
    why: Literal["differs", "not recorded", "recording ends", "unsafe tool"]
    problem: str
    agent: str
    path: str
    call: int | None = None
    interrupted: bool = False
    differences: tuple[Difference, ...] = ()
