"""What model calls cost: Anthropic's list prices in US dollars per million tokens.

Source: https://platform.claude.com/docs/en/about-claude/pricing and the pages of the models there, in
their state of October and November 2026. Cache writes are those of five minutes, 1.25 times the input price;
a cache read is 0.1 times the input price where no other factor is given. Discounts, regional surcharges,
batches and the fees of server-side tools are not in here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import Field

from harness.errors import BadInput
from harness.records import Record, Usage

PRICES_AS_OF = "2026-11-22"

CACHE_WRITE = 1.25
CACHE_READ = 0.1


@dataclass(frozen=True)
class Most:
    """What a model call can use at most; `usd` is None when the model's price is not known."""

    tokens: int
    usd: float | None


class Price(Record):
    """What a model costs, in US dollars per million tokens of each kind."""

    input: float = Field(ge=0, allow_inf_nan=False, description="US dollars per million input tokens.")
    output: float = Field(ge=0, allow_inf_nan=False, description="US dollars per million output tokens.")
    cache_read_factor: float = Field(
        default=CACHE_READ,
        ge=0,
        allow_inf_nan=False,
        description="What a token read from the prompt cache costs, in input tokens.",
    )
    cache_write_factor: float = Field(
        default=CACHE_WRITE,
        ge=0,
        allow_inf_nan=False,
        description="What a token written to the prompt cache costs, in input tokens.",
    )
    long_prompt: int | None = Field(
        default=None, ge=1, description="Tokens of a prompt, cached ones included, above which it costs more."
    )
    long_factor: float = Field(
        default=1.0,
        ge=0,
        allow_inf_nan=False,
        description="How many times as much a call with such a prompt costs, its output included.",
    )


PRICES: Mapping[str, Price] = {
    "claude-fable-5-2": Price(input=8.0, output=40.0, cache_read_factor=0.025),
    "claude-fable-5-1": Price(input=10.0, output=50.0, cache_read_factor=0.025),
    "claude-fable-5": Price(input=10.0, output=50.0),
    "claude-opus-5-5": Price(input=4.0, output=20.0, cache_read_factor=0.05),
    "claude-opus-5": Price(input=5.0, output=25.0),
    "claude-opus-4-8": Price(input=5.0, output=25.0),
    "claude-opus-4-7": Price(input=5.0, output=25.0),
    "claude-opus-4-6": Price(input=5.0, output=25.0),
    "claude-opus-4-5": Price(input=5.0, output=25.0),
    "claude-opus-4-1": Price(input=15.0, output=75.0),
    "claude-opus-4": Price(input=15.0, output=75.0),
    "claude-sonnet-5-5": Price(input=2.0, output=10.0, cache_read_factor=0.05),
    "claude-sonnet-5": Price(input=2.0, output=10.0),
    "claude-sonnet-4-6": Price(input=3.0, output=15.0),
    "claude-sonnet-4-5": Price(input=3.0, output=15.0),
    "claude-sonnet-4": Price(input=3.0, output=15.0),
    "claude-haiku-5-5": Price(input=0.1, output=0.5, long_prompt=100_000, long_factor=5.0),
    "claude-haiku-4-5": Price(input=1.0, output=5.0),
}
"""List prices by the beginning of the model's id."""

BYTES_A_TOKEN = 3
"""Of a request's body, cautiously: English text and JSON have about four bytes a token."""

SEARCH_TOKENS = 20_000
"""That a search which the model's service makes itself may add to the prompt, for each one allowed."""

_OTHER_VERSION = re.compile(r"\w|\.|-\d{1,2}(?!\d)")


def price_of(model: str, prices: Mapping[str, Price] = PRICES) -> Price | None:
    """Find a model's price by the longest beginning of its id that is in the table.

    What follows may be a date or a suffix, but not a further version number: `claude-opus-5-9` is not
    `claude-opus-5`, and its price is not known.
    """
    for prefix in sorted(prices, key=len, reverse=True):
        if model.startswith(prefix):
            return None if _OTHER_VERSION.match(model, len(prefix)) else prices[prefix]
    return None


def cost_usd(model: str, usage: Usage, prices: Mapping[str, Price] = PRICES) -> float | None:
    """Price the usage of one model call, in US dollars; None when the model's price is not known.

    Give it calls one by one and add the results: a price that depends on the length of the prompt cannot be
    told from a sum.
    """
    price = price_of(model, prices)
    if price is None:
        return None
    weighted = (
        usage.input_tokens
        + usage.cache_read_input_tokens * price.cache_read_factor
        + usage.cache_creation_input_tokens * price.cache_write_factor
    )
    return _factor(price, usage) * (weighted * price.input + usage.output_tokens * price.output) / 1_000_000


def costs_usd(model: str, usage: Usage, prices: Mapping[str, Price] = PRICES) -> dict[str, float] | None:
    """Price each kind of token of one model call, by the names in `Usage`; None without a known price."""
    price = price_of(model, prices)
    if price is None:
        return None
    a_token = {
        "input_tokens": price.input,
        "cache_read_input_tokens": price.input * price.cache_read_factor,
        "cache_creation_input_tokens": price.input * price.cache_write_factor,
        "output_tokens": price.output,
    }
    factor = _factor(price, usage) / 1_000_000
    return {kind: factor * getattr(usage, kind) * usd for kind, usd in a_token.items()}


def _factor(price: Price, usage: Usage) -> float:
    prompt = usage.input_tokens + usage.cache_read_input_tokens + usage.cache_creation_input_tokens
    return price.long_factor if price.long_prompt is not None and prompt > price.long_prompt else 1.0


def most(request: Mapping[str, Any], size: int, prices: Mapping[str, Price] = PRICES) -> Most:
    """Bound what a request of the Messages API can use; `size` are the bytes of its body.

    All of the body is taken for tokens that are written to the cache, which is the dearest that can become of
    them, and all of `max_tokens` for output, thinking included. How many tokens a body has is an estimate.
    """
    searches = [tool for tool in request.get("tools") or () if str(tool.get("type")).startswith("web_")]
    searched = sum(SEARCH_TOKENS * (tool.get("max_uses") or 1) for tool in searches)
    longest = request.get("max_tokens")
    usage = Usage(
        cache_creation_input_tokens=-(-size // BYTES_A_TOKEN) + searched,
        output_tokens=longest if isinstance(longest, int) and longest > 0 else 0,
    )
    return Most(usage.total_tokens, cost_usd(str(request.get("model", "")), usage, prices))


def check_priced(models: Iterable[str], prices: Mapping[str, Price]) -> None:
    """See that a budget can be kept with these models.

    Raises:
        BadInput: the price of one is not known.
    """
    for model in models:
        if price_of(model, prices) is None:
            raise BadInput(
                f"The price of the model '{model}' is not known, so no budget can be kept; "
                f'give it in harness.toml, under [prices."{model}"].'
            )
