"""A model's service that meters what is asked of it: token buckets, as its documentation describes them."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from harness.store.rates import KINDS, Bucket, Kind
from tests.kit.script import Reply, refused

_NAMES: Mapping[Kind, str] = {"requests": "requests", "input": "input-tokens", "output": "output-tokens"}


@dataclass
class Meter:
    """Buckets of `limits` a minute, which hold `left` at first. `clock` gives seconds."""

    limits: Mapping[Kind, float]
    left: dict[Kind, float]
    clock: Callable[[], float] = time.monotonic
    refused: int = 0
    _at: float = field(default=-1.0)

    def take(self, kind: Kind, amount: float) -> None:
        """Take from a bucket, whatever it holds."""
        self._refill()
        self.left[kind] -= amount

    def admits(self, amounts: Mapping[Kind, float]) -> bool:
        """Take from all buckets, or from none when one holds too little."""
        self._refill()
        if any(self.left[kind] < amount for kind, amount in amounts.items()):
            self.refused += 1
            return False
        for kind, amount in amounts.items():
            self.left[kind] -= amount
        return True

    def told(self) -> dict[Kind, Bucket]:
        """What the headers of an answer say, already read."""
        self._refill()
        return {
            kind: Bucket(limit, max(0.0, math.floor(self.left[kind])), limit / 60)
            for kind, limit in self.limits.items()
        }

    def headers(self) -> dict[str, str]:
        """The headers of an answer."""
        self._refill()
        found: dict[str, str] = {}
        for kind in KINDS:
            if kind in self.limits:
                limit, left = self.limits[kind], self.left[kind]
                full = datetime.now(UTC) + timedelta(seconds=math.ceil((limit - left) / limit * 60))
                name = f"anthropic-ratelimit-{_NAMES[kind]}"
                found |= {
                    f"{name}-limit": f"{limit:.0f}",
                    f"{name}-remaining": f"{max(0, math.floor(left))}",
                    f"{name}-reset": full.strftime("%Y-%m-%dT%H:%M:%SZ"),
                }
        return found

    def answer(self, reply: Reply) -> Reply:
        """The reply with the service's headers, or its refusal; tokens are those of the reply's usage."""
        asked: dict[Kind, float] = {"requests": 1, "input": reply.usage.input_tokens}
        asked = {kind: amount for kind, amount in asked.items() if kind in self.limits}
        if not self.admits(asked):
            short = max((amount - self.left[kind]) / self.limits[kind] * 60 for kind, amount in asked.items())
            no = refused(429, "Too many requests.", retry_after=math.ceil(short))
            return replace(no, headers={**no.headers, **self.headers()})
        told = self.headers()
        if "output" in self.limits:
            self.take("output", reply.usage.output_tokens)
        return replace(reply, headers={**reply.headers, **told})

    def _refill(self) -> None:
        now = self.clock()
        past = now - self._at if self._at >= 0 else 0.0
        self._at = now
        for kind, limit in self.limits.items():
            self.left[kind] = min(limit, self.left[kind] + past * limit / 60)
