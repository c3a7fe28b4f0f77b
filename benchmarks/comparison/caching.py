"""A model of the Messages API's prompt cache, for what a prompt costs depends on it.

A prefix of a prompt is written to the cache where a block is marked, and read where one of the marks, or one
of the 20 blocks before it, ends a prefix that was written earlier. It can be read once the answer to the
request that wrote it has begun, and for five minutes after its last use. A prefix of less than 1,024 tokens
is not kept, and models share nothing. So says the documentation; marks that ask for an hour get five minutes,
and nothing is evicted early.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from benchmarks.comparison.prompt import blocks_of, tokens_in
from harness.pricing import cost_usd
from harness.records import Usage
from tests.kit.script import Tokens

LEAST_TOKENS = 1024
"""Some models ask for more; what a model of these prices asks for was not looked up."""
LIFE_S = 300.0
LOOK_BACK = 20


@dataclass
class _Kept:
    """When what was written can be read, and until when."""

    ready_at: float
    until: float


@dataclass
class PromptCache:
    """The cache of one account. `answer_s` passes between a request and the beginning of its answer.

    A mark finds what ends at most `look_back` blocks before it.
    """

    answer_s: float = 0.0
    look_back: int = LOOK_BACK
    _kept: dict[tuple[str, bytes], _Kept] = field(default_factory=dict)

    def usage(self, body: Mapping[str, Any], now: float, output_tokens: int) -> Tokens:
        """What a request uses that arrives at `now`, in seconds; what it writes is kept."""
        digest, size = hashlib.sha256(), 0
        ends: list[tuple[bytes, int, bool]] = []
        for block in blocks_of(body):
            digest.update(block.raw)
            size += len(block.raw)
            ends.append((digest.digest(), tokens_in(size), block.marked))
        model = str(body.get("model", ""))
        marks = [number for number, (_, _, marked) in enumerate(ends) if marked]
        read = max((self._read(model, ends, mark, now) for mark in marks), default=0)
        written = 0
        for mark in marks:
            prefix, tokens, _ = ends[mark]
            if tokens >= LEAST_TOKENS:
                written = max(written, tokens - read)
                kept = self._kept.get((model, prefix))
                if kept is None or kept.until < now:
                    kept = self._kept[model, prefix] = _Kept(now + self.answer_s, 0.0)
                kept.until = now + self.answer_s + LIFE_S
        whole = ends[-1][1] if ends else 0
        return Tokens(whole - read - written, output_tokens, read, written)

    def _read(self, model: str, ends: list[tuple[bytes, int, bool]], mark: int, now: float) -> int:
        """How many tokens up to a mark, or a little before it, can be read."""
        for prefix, tokens, _ in reversed(ends[max(0, mark - self.look_back) : mark + 1]):
            kept = self._kept.get((model, prefix))
            if kept is not None and kept.ready_at <= now <= kept.until:
                kept.until = now + self.answer_s + LIFE_S
                return tokens
        return 0


def prompt_tokens(used: Tokens) -> int:
    """All tokens of a call's prompt, whether they came from the cache or not."""
    return used.input_tokens + used.cache_read_input_tokens + used.cache_creation_input_tokens


def dollars(model: str, used: Tokens) -> float:
    """What a call costs at list prices."""
    cost = cost_usd(model, Usage(**asdict(used)))
    if cost is None:
        raise RuntimeError(f"The price of the model {model} is not known.")
    return cost
