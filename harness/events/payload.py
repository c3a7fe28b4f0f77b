"""The base of every event's payload."""

from __future__ import annotations

from typing import ClassVar

from harness.records import Record


class Payload(Record):
    """The base of every event's payload. `VERSION` rises with each change of shape.

    `PROGRESS` says that its session has got on by it: workers that take it up do not count that as a try.
    """

    VERSION: ClassVar[int] = 1
    PROGRESS: ClassVar[bool] = False
