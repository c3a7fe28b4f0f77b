"""The base of every event's payload."""

from __future__ import annotations

from typing import ClassVar

from harness.records import Record


class Payload(Record):
    """The base of every event's payload. `VERSION` rises with each change of shape."""

    VERSION: ClassVar[int] = 1
