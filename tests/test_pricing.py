"""What model calls cost at list prices."""

from __future__ import annotations

import pytest

from harness.errors import BadInput
from harness.pricing import PRICES, Price, check_priced, cost_usd, costs_usd
from harness.records import Usage
from harness.sections import MODEL_ROLES, Models
from harness.settings import Settings

MILLION = 1_000_000


@pytest.mark.parametrize(
    ("model", "dollars"),
    [
        ("claude-opus-5-5", (4.0, 20.0, 0.2, 5.0)),
        ("claude-opus-5", (5.0, 25.0, 0.5, 6.25)),
        ("claude-sonnet-5-5", (2.0, 10.0, 0.1, 2.5)),
        ("claude-fable-5-2", (8.0, 40.0, 0.2, 10.0)),
        ("claude-haiku-4-5", (1.0, 5.0, 0.1, 1.25)),
    ],
)
def test_each_kind_of_token_has_its_price(model: str, dollars: tuple[float, ...]) -> None:
    """Input, output, cache reads and cache writes, as the published table has them."""
    usages = (
        Usage(input_tokens=MILLION),
        Usage(output_tokens=MILLION),
        Usage(cache_read_input_tokens=MILLION),
        Usage(cache_creation_input_tokens=MILLION),
    )
    assert [cost_usd(model, usage) for usage in usages] == pytest.approx(dollars)
    assert cost_usd(model, sum(usages, Usage())) == pytest.approx(sum(dollars))
    parts = costs_usd(model, sum(usages, Usage()))
    kinds = ("input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")
    assert parts is not None
    assert [parts[kind] for kind in kinds] == pytest.approx(dollars)


def test_the_parts_of_a_cost_make_the_whole() -> None:
    """Also where a long prompt costs more; without a price there are none."""
    for tokens in (1_000, 150_000):
        usage = Usage(input_tokens=tokens, output_tokens=70, cache_read_input_tokens=11)
        parts = costs_usd("claude-haiku-5-5", usage)
        assert parts is not None
        assert sum(parts.values()) == pytest.approx(cost_usd("claude-haiku-5-5", usage))
    assert costs_usd("some-model", Usage(input_tokens=1)) is None


@pytest.mark.parametrize(
    ("model", "dollars"),
    [
        ("claude-opus-4-5-20251101", 5.0),
        ("claude-opus-4-1-20250805", 15.0),
        ("claude-opus-4-20250514", 15.0),
        ("claude-opus-5-5[1m]", 4.0),
        ("claude-sonnet-4-5@20250929", 3.0),
    ],
)
def test_the_longest_listed_beginning_counts(model: str, dollars: float) -> None:
    """Dates and suffixes do not hide the family, and a version is not taken for its elder."""
    assert cost_usd(model, Usage(input_tokens=MILLION)) == pytest.approx(dollars)


@pytest.mark.parametrize(
    "model", ["claude-opus-6", "claude-opus-5-9", "claude-opus-50", "opus", "gpt-6", "", "offline"]
)
def test_an_unknown_model_has_no_price(model: str) -> None:
    """Not zero and not a guess."""
    assert cost_usd(model, Usage(input_tokens=1)) is None


def test_a_long_prompt_costs_more_where_it_does() -> None:
    """Above the border all tokens of the call are dearer; what counts is the whole prompt, cached or not."""
    at_border = Usage(input_tokens=40_000, cache_read_input_tokens=60_000, output_tokens=1000)
    above = at_border + Usage(cache_creation_input_tokens=1)
    low, high = cost_usd("claude-haiku-5-5", at_border), cost_usd("claude-haiku-5-5", above)
    assert low == pytest.approx((40_000 * 0.1 + 60_000 * 0.01 + 1000 * 0.5) / MILLION)
    assert high == pytest.approx((40_000 * 0.5 + 60_000 * 0.05 + 0.625 + 1000 * 2.5) / MILLION)


def test_nothing_used_costs_nothing() -> None:
    """A call without tokens is free."""
    assert cost_usd("claude-opus-5-5", Usage(model_calls=1)) == 0.0


def test_every_default_model_has_a_price() -> None:
    """Budgets work out of the box."""
    for role in MODEL_ROLES:
        assert Models().named(role) in PRICES


def test_prices_of_ones_own_stand_beside_the_list_and_in_its_place() -> None:
    """The longest beginning counts among both; a cached token costs what the settings say."""
    own = {
        "house-model": Price(input=1, output=2, cache_read_factor=0.5, cache_write_factor=2),
        "claude-opus-5": Price(input=6, output=7),
        "claude-opus-5-5-20270101": Price(input=8, output=9),
    }
    table = Settings(prices=own).price_table
    dollars = {
        model: cost_usd(model, Usage(input_tokens=MILLION), table)
        for model in ("house-model-large", "claude-opus-5", "claude-opus-5-5", "claude-opus-5-5-20270101")
    }
    assert list(dollars.values()) == [1, 6, 4, 8]
    cached = Usage(cache_read_input_tokens=MILLION, cache_creation_input_tokens=MILLION)
    assert cost_usd("house-model", cached, table) == pytest.approx(2.5)
    assert cost_usd("claude-opus-5", Usage(input_tokens=MILLION)) == 5, "the list is what it was"


def test_a_budget_wants_a_price() -> None:
    """The sentence says where to put one."""
    check_priced(["house-model-1"], {"house-model-1": Price(input=0, output=0)})
    with pytest.raises(BadInput, match=r"house-model-1.* \[prices\.\"house-model-1\"\]"):
        check_priced(["claude-opus-5", "house-model-1"], PRICES)
