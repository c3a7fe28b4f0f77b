"""What receivers take model calls to cost, when they compute it themselves.

Both know prices by the names of models: the list prices of the models that tests use stand here for theirs.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from math import ceil
from typing import Any

from tests.kit.seen import Seen

_MILLION = 1_000_000

_LIST: Mapping[str, tuple[float, float, float, float]] = {
    # US dollars per million tokens: input, output, read from the cache, written to it.
    "claude-opus-5-5": (4.0, 20.0, 0.2, 5.0),
    "claude-sonnet-5-5": (2.0, 10.0, 0.1, 2.5),
    "claude-sonnet-5": (2.0, 10.0, 0.2, 2.5),
    "claude-haiku-5-5": (0.1, 0.5, 0.01, 0.125),
}

_ANY = (3.0, 15.0, 0.3, 3.75)
"""Of a Claude model that is not on the list: whoever sends such a name is priced, rightly or not."""


def prices_of(model: str) -> dict[str, float]:
    """Give US dollars a token by the names of Langfuse's usage; empty for a model that has no price."""
    if not re.match(r"(?i)(anthropic/)?claude-", model):
        return {}
    names = ("input", "output", "input_cached_tokens", "input_cache_creation")
    dollars = _LIST.get(model.lower().removeprefix("anthropic/"), _ANY)
    return {name: price / _MILLION for name, price in zip(names, dollars, strict=True)}


def tokens_of(text: str | None) -> int:
    """Count the tokens of a text roughly; only that there are some matters."""
    return ceil(len(text or "") / 4)


def phoenix_cost(spans: Iterable[Seen]) -> float:
    """Sum up in US dollars what Arize Phoenix computes, whatever costs the spans tell.

    It prices every span of kind LLM by its model's name and its tokens: the model that was asked for, unless
    `llm.model_name` is there. Costs that a span tells are not read. Sources:
    https://github.com/Arize-ai/phoenix/blob/main/src/phoenix/trace/gen_ai/conversion.py
    https://github.com/Arize-ai/phoenix/blob/main/src/phoenix/server/cost_tracking/cost_details_calculator.py
    """
    return sum(_phoenix(span.attributes) for span in spans if _is_call(span.attributes))


def _is_call(about: Mapping[str, Any]) -> bool:
    kind = about.get("openinference.span.kind")
    return kind == "LLM" or (kind is None and about.get("gen_ai.operation.name") == "chat")


def _phoenix(about: Mapping[str, Any]) -> float:
    prices = prices_of(str(about.get("llm.model_name") or about.get("gen_ai.request.model") or ""))
    if not prices:
        return 0.0

    def count(own: str, other: str) -> int:
        return int(about.get(f"llm.token_count.{own}", about.get(f"gen_ai.usage.{other}", 0)))

    prompt, output = count("prompt", "input_tokens"), count("completion", "output_tokens")
    read = count("prompt_details.cache_read", "cache_read.input_tokens")
    written = count("prompt_details.cache_write", "cache_creation.input_tokens")
    return (
        max(0, prompt - read - written) * prices["input"]
        + read * prices["input_cached_tokens"]
        + written * prices["input_cache_creation"]
        + output * prices["output"]
    )
