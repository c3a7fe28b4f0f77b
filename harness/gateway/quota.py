"""What a model call is taken to need of the rate limits, and what its answer says of them: pure functions."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from harness.outbound import retry_after_s
from harness.store.rates import KINDS, Bucket, Heard, Kind, Need

BYTES_A_TOKEN = 4
"""Of a request's JSON: a guess, which the answer corrects."""

WRITTEN = 2000
"""Tokens that a call is taken to write at most: agents ask for tens of thousands and write far fewer."""

BLOCKING = frozenset({429, 503, 529})
"""Statuses whose retry-after is for everybody: the same model would refuse the others, too."""

_MINUTE_S = 60.0
_LONGEST_BLOCK_S = 86_400.0
_SAID_AS: Mapping[Kind, str] = {"requests": "requests", "input": "input-tokens", "output": "output-tokens"}


def need_of(request: Mapping[str, Any], size: int) -> Need:
    """Estimate what a Messages request of `size` bytes needs.

    What is read from the prompt cache does not count. With marks for the cache, and an answer in its history,
    a request is taken to bring nothing new but that answer and what follows it.
    """
    messages = list(request.get("messages") or ())
    answers = [number for number, message in enumerate(messages) if message.get("role") == "assistant"]
    if answers and _marked(request):
        size = len(json.dumps(messages[answers[-1] :], ensure_ascii=False).encode(errors="replace"))
    written = request.get("max_tokens")
    asked = written if isinstance(written, int) and written >= 0 else WRITTEN
    return Need(input=math.ceil(size / BYTES_A_TOKEN), output=min(asked, WRITTEN))


def heard_of(status: int, headers: Mapping[str, str], now: datetime) -> Heard:
    """Read what an answer's headers say; names in lower case. `now` is the time if the answer has no date."""
    now = _date(headers.get("date")) or now
    told: dict[Kind, Bucket] = {
        kind: bucket for kind in KINDS if (bucket := _bucket(kind, headers, now)) is not None
    }
    blocked = retry_after_s(headers.get("retry-after"), now) if status in BLOCKING else None
    return Heard(status, told, None if blocked is None else min(blocked, _LONGEST_BLOCK_S))


def _bucket(kind: Kind, headers: Mapping[str, str], now: datetime) -> Bucket | None:
    name = f"anthropic-ratelimit-{_SAID_AS[kind]}"
    limit, left = _number(headers.get(f"{name}-limit")), _number(headers.get(f"{name}-remaining"))
    if not limit or left is None:
        return None
    left = min(left, limit)
    return Bucket(limit, left, _per_s(limit, left, headers.get(f"{name}-reset"), now))


def _per_s(limit: float, left: float, reset: str | None, now: datetime) -> float:
    """How much comes in a second: the bucket is filled in a minute, or at `reset`, if that is later.

    The reset is told in whole seconds, perhaps rounded up.
    """
    try:
        full_s = (datetime.fromisoformat(reset or "") - now).total_seconds() - 1
    except (ValueError, TypeError):
        full_s = 0.0
    by_minute = limit / _MINUTE_S
    return min(by_minute, (limit - left) / full_s) if full_s > 0 and limit > left else by_minute


def _marked(request: Mapping[str, Any]) -> bool:
    """Whether the history of a request is in the prompt cache: it has a mark at its top or in a message."""
    places = [request]
    for message in request.get("messages") or ():
        content = message.get("content")
        places += [block for block in content if isinstance(block, dict)] if isinstance(content, list) else []
    return any("cache_control" in place for place in places)


def _number(text: str | None) -> float | None:
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if math.isfinite(value) and value >= 0 else None


def _date(text: str | None) -> datetime | None:
    try:
        value = parsedate_to_datetime(text or "")
    except ValueError:
        return None
    return value.replace(tzinfo=value.tzinfo or UTC)
