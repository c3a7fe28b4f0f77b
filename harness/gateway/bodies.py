"""Reading what the model's service has answered whole: a message, or an error."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from harness.gateway.upstream import UpstreamLost

_SHOWN = 300
"""Characters of an error that are kept."""


@dataclass(frozen=True)
class ErrorBody:
    """What an error's body says: the kind, by the Messages API's names, and a text; either may be empty."""

    kind: str
    text: str


def message_of(body: bytes) -> dict[str, Any]:
    """Read a message.

    Raises:
        UpstreamLost: it is none.
    """
    try:
        message = json.loads(body)
    except ValueError as problem:
        raise UpstreamLost("The model service answered, but not with readable JSON.") from problem
    if not isinstance(message, dict):
        raise UpstreamLost("The model service answered, but not with a message.")
    return message


def error_of(body: bytes) -> ErrorBody:
    """Read an error in whatever form it comes."""
    try:
        error = json.loads(body).get("error") or {}
    except (ValueError, AttributeError):
        return ErrorBody("", body[:_SHOWN].decode(errors="replace"))
    if not isinstance(error, dict):
        return ErrorBody("", str(error)[:_SHOWN])
    return ErrorBody(str(error.get("type") or ""), str(error.get("message") or "")[:_SHOWN])
