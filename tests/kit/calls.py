"""What the played model was asked: every request with its end, in memory and as JSON lines in a file.

The file has one line when a request arrives and one when it ends, so it is complete whoever is killed.
"""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from tests.kit.script import NO_TOKENS, Request, Tokens

Outcome = Literal["open", "completed", "refused", "invalid", "cut", "client_gone"]
"""Not ended yet; sent to its end; an HTTP error as scripted; refused by a rule of the service, whatever the
script says; broken off as scripted; the caller went away."""

MESSAGES = "/v1/messages"


class InvalidRequests(AssertionError):
    """Requests that the service would not have taken, or none where a test wanted some."""


@dataclass
class Call:
    """One request and how it ended.

    `usage` is what was told to the caller by the end of the reply; None if that point was not reached.
    `invalid` says which rule of the service it broke, and how; None when it broke none.
    """

    request: Request
    method: str
    path: str
    received_at: float
    status: int | None = None
    outcome: Outcome = "open"
    usage: Tokens | None = None
    ended_at: float | None = None
    message: dict[str, Any] | None = None
    invalid: str | None = None

    @property
    def is_message(self) -> bool:
        """Whether this was `POST /v1/messages`."""
        return (self.method, self.path) == ("POST", MESSAGES)


@dataclass
class Calls:
    """All requests, in the order of their arrival. Safe to read while a server writes."""

    file: Path | None = None
    all: list[Call] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def began(self, method: str, path: str, headers: dict[str, str], raw: bytes) -> Call:
        """Record a request at its arrival."""
        with self._lock:
            request = Request(len(self.all) + 1, headers, raw)
            call = Call(request, method, path, time.time())
            self.all.append(call)
            self._write(
                event="began", number=request.number, method=method, path=path, time=call.received_at,
                headers=headers, raw=base64.b64encode(raw).decode(),
            )  # fmt: skip
        return call

    def ended(self, call: Call, outcome: Outcome) -> None:
        """Record how a request ended; what comes after its end does not change it."""
        with self._lock:
            if call.outcome != "open":
                return
            call.outcome, call.ended_at = outcome, time.time()
            usage = asdict(call.usage) if call.usage else None
            self._write(
                event="ended", number=call.request.number, time=call.ended_at,
                outcome=outcome, status=call.status, usage=usage, message=call.message, invalid=call.invalid,
            )  # fmt: skip

    def _write(self, **line: Any) -> None:
        if self.file:
            with self.file.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")

    @classmethod
    def read(cls, file: Path) -> Calls:
        """Read back what a server of its own process has written so far."""
        calls = cls()
        text = file.read_text(encoding="utf-8") if file.exists() else ""
        # Up to the last whole line: it may be writing another one.
        for line in text.rpartition("\n")[0].splitlines():
            _replay(calls.all, json.loads(line))
        return calls

    def messages(self, session: str | None = None) -> list[Call]:
        """List the calls of `POST /v1/messages`; only one session's, if given."""
        return [c for c in self.all if c.is_message and session in (None, c.request.session)]

    def others(self) -> list[Call]:
        """List the requests for anything else, all answered with 404."""
        return [call for call in self.all if not call.is_message]

    def completed(self, session: str | None = None) -> list[Call]:
        """List the calls whose reply was sent to its end."""
        return [call for call in self.messages(session) if call.outcome == "completed"]

    def invalid(self) -> list[Call]:
        """List the calls that the service would not have taken."""
        return [call for call in self.messages() if call.invalid is not None]

    def check(self, *, refuses: bool) -> None:
        """See that no request broke a rule of the service, or, with `refuses`, that one did.

        Raises:
            InvalidRequests: it is otherwise.
        """
        found = self.invalid()
        if bool(found) != refuses:
            which = "".join(f"\n  request {call.request.number}: {call.invalid}" for call in found)
            raise InvalidRequests(
                f"The service refuses {len(found)} of {len(self.messages())} requests.{which}"
            )

    def repeated(self, session: str | None = None) -> list[Call]:
        """List the completed calls whose body had been answered completely before: work paid for twice."""
        seen: set[bytes] = set()
        again: list[Call] = []
        for call in self.completed(session):
            if call.request.raw in seen:
                again.append(call)
            seen.add(call.request.raw)
        return again

    def served(self, session: str | None = None) -> Tokens:
        """Sum the usage that was told to callers, also where the end of the stream was then cut off."""
        return sum((call.usage for call in self.messages(session) if call.usage), NO_TOKENS)

    def where(self, test: Callable[[Request], bool]) -> list[Call]:
        """List the calls whose request passes the test."""
        return [call for call in self.messages() if test(call.request)]


def _replay(calls: list[Call], line: dict[str, Any]) -> None:
    if line["event"] == "began":
        request = Request(line["number"], line["headers"], base64.b64decode(line["raw"]))
        calls.append(Call(request, line["method"], line["path"], line["time"]))
        return
    call = calls[line["number"] - 1]
    call.status, call.outcome, call.ended_at = line["status"], line["outcome"], line["time"]
    call.usage = Tokens(**line["usage"]) if line["usage"] else None
    call.message, call.invalid = line["message"], line["invalid"]
