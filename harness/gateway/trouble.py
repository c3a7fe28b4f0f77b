"""Whom a failed model call concerns, and what a person is told of it.

Statuses and kinds of errors are those of the Messages API:
https://platform.claude.com/docs/en/api/errors
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from harness.gateway.bodies import ErrorBody

Concern = Literal["request", "account", "service"]
"""Only this request, which would be refused again; the key, its account or its address, so that every call of
the session would be refused; or the service, which may answer later."""

PASSING = frozenset({408, 409, 429, 500, 502, 503, 504, 529})
"""Statuses after which the same request may succeed."""

_ACCOUNT = frozenset({401, 402, 403, 404})
_OF_THE_ACCOUNT = re.compile(r"credit balance|usage limits?\b|billing|spend(?:ing)? limit", re.IGNORECASE)
"""How a 400 begins that is about money and not about the request."""

_REMEDIES = {
    401: "set ANTHROPIC_API_KEY to a key that it accepts",
    403: "use a key that may do this",
}


@dataclass(frozen=True)
class Trouble:
    """Why a model call has no answer: whom that concerns, and a sentence with the remedy for a person."""

    concern: Concern
    problem: str


def refused(status: int, body: ErrorBody, place: str, model: str, attempts: int = 1) -> Trouble:
    """Sort an HTTP refusal; `place` is the address that was asked, `attempts` how often in a row."""
    said = f"{status}: {body.text.strip()}" if body.text.strip() else f"HTTP {status}"
    concern = concern_of(status, body)
    if concern == "service":
        return Trouble(
            concern, f"The model service at {place} gave no answer in {_times(attempts)} ({said})."
        )
    if concern == "request":
        return Trouble(concern, f"The model service refuses the request ({said}).")
    return Trouble(concern, f"{_what(status, body, place, model)} ({said}); {_remedy(status, body, model)}.")


def lost(problem: str, attempts: int) -> Trouble:
    """Say that the service could not be reached, or broke off; `problem` is the last attempt's sentence."""
    return Trouble("service", f"{problem.rstrip('.')} ({_times(attempts)}).")


def concern_of(status: int, body: ErrorBody) -> Concern:
    """Say whom an HTTP refusal concerns."""
    if status in PASSING or status >= 500:
        return "service"
    of_money = body.kind == "billing_error" or _OF_THE_ACCOUNT.search(body.text)
    return "account" if status in _ACCOUNT or 300 <= status < 400 or of_money else "request"


def _what(status: int, body: ErrorBody, place: str, model: str) -> str:
    if status == 401:
        return f"The model service at {place} does not accept the key"
    if status == 404 and _of_a_model(body, model):
        return f"The model service at {place} has no model '{model}' for this key"
    if status == 404 or status < 400:
        return f"There is no Messages API at {place}"
    if status == 403:
        return f"The model service at {place} does not let this key do it"
    return f"The account of the key at {place} cannot pay for the call"


def _remedy(status: int, body: ErrorBody, model: str) -> str:
    if status == 404 and _of_a_model(body, model):
        return "name another one with --model or under [models] in harness.toml"
    if status == 404 or status < 400:
        return "set ANTHROPIC_BASE_URL to where it is, without /v1/messages"
    return _REMEDIES.get(status, "buy credit or raise its limit there")


def _of_a_model(body: ErrorBody, model: str) -> bool:
    return "model" in body.text.lower() or model in body.text


def _times(attempts: int) -> str:
    return "1 attempt" if attempts == 1 else f"{attempts} attempts"
