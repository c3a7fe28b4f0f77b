"""What a call is taken to need, and what an answer's headers say."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.gateway.quota import BYTES_A_TOKEN, WRITTEN, heard_of, need_of
from harness.store.rates import Bucket, Heard

NOW = datetime(2026, 11, 23, 12, 0, 0, tzinfo=UTC)


def headers(kind: str, limit: object, left: object, reset: str | None = None) -> dict[str, str]:
    """The three headers of one limit."""
    name = f"anthropic-ratelimit-{kind}"
    told = {f"{name}-limit": str(limit), f"{name}-remaining": str(left)}
    return told | ({f"{name}-reset": reset} if reset else {})


def request(*said: str, cached: bool = False, **more: Any) -> dict[str, Any]:
    """A request after this history, user and assistant in turn."""
    marked = {"cache_control": {"type": "ephemeral"}} if cached else {}
    messages = [
        {"role": ("user", "assistant")[n % 2], "content": [{"type": "text", "text": text} | marked]}
        for n, text in enumerate(said)
    ]
    return {"model": "m", "max_tokens": 100, "messages": messages} | more


def test_a_first_request_needs_all_that_it_holds() -> None:
    """Its bytes tell its tokens; nothing of it can be in the cache yet."""
    need = need_of(request("x" * 4000, cached=True), 5000)
    assert (need.requests, need.input, need.output) == (1, 5000 / BYTES_A_TOKEN, 100)


def test_what_the_cache_holds_is_not_needed() -> None:
    """With marks for the cache only the newest answer and what follows it are new."""
    said = ("x" * 40_000, "y" * 400, "z" * 400)
    assert need_of(request(*said), 41_000).input == 41_000 / BYTES_A_TOKEN
    assert 200 <= need_of(request(*said, cached=True), 41_000).input <= 300
    assert need_of(request(*said, cache_control={"type": "ephemeral"}), 41_000).input <= 300
    system = [{"type": "text", "text": "s", "cache_control": {"type": "ephemeral"}}]
    assert need_of(request(*said, system=system), 41_000).input == 41_000 / BYTES_A_TOKEN


@pytest.mark.parametrize(("asked", "taken"), [(64_000, WRITTEN), (1, 1), ("many", WRITTEN), (None, WRITTEN)])
def test_an_answer_is_taken_to_be_short(asked: object, taken: int) -> None:
    """Of what a request allows itself at most so much is taken, for hardly any answer is longer."""
    assert need_of(request("x", max_tokens=asked), 10).output == taken


@given(st.recursive(st.none() | st.booleans() | st.text(), lambda below: st.lists(below)))
def test_any_content_has_a_need(content: Any) -> None:
    """What the service will refuse is not refused here."""
    body = {"messages": [{"role": "user", "content": content}, {"role": "assistant", "content": content}]}
    assert need_of(body, len(json.dumps(body))).input >= 0


def test_all_three_limits_are_read() -> None:
    """As the service names them; what it does not tell is not known."""
    told = (
        headers("requests", 50, 49) | headers("input-tokens", 30_000, 0) | headers("output-tokens", 8000, 8)
    )
    heard = heard_of(200, told, NOW)
    assert heard == Heard(
        200,
        {
            "requests": Bucket(50, 49, 50 / 60),
            "input": Bucket(30_000, 0, 500),
            "output": Bucket(8000, 8, 8000 / 60),
        },
    )
    assert heard_of(200, headers("tokens", 5, 5) | {"retry-after": "3"}, NOW) == Heard(200)


@pytest.mark.parametrize(
    "wrong",
    [
        headers("requests", "", 1),
        headers("requests", 0, 0),
        headers("requests", "many", 1),
        headers("requests", "nan", 1),
        headers("requests", "inf", 1),
        headers("requests", -5, 1),
        headers("requests", 5, -1),
        {"anthropic-ratelimit-requests-limit": "5"},
    ],
)
def test_what_makes_no_sense_is_not_known(wrong: dict[str, str]) -> None:
    """A limit of nothing would stop every call for ever."""
    assert heard_of(200, wrong, NOW).buckets == {}


def test_a_bucket_that_fills_slowly_is_seen_by_its_reset() -> None:
    """Usually a minute fills it; a reset that is further away says otherwise, by the service's own clock."""
    for reset, per_s in (
        ("2026-11-23T12:00:30Z", 1.0),
        ("2026-11-23T12:01:01Z", 1.0),
        ("2026-11-23T13:00:01Z", 60 / 3600),
        ("2026-11-23T11:00:00Z", 1.0),
        ("soon", 1.0),
        ("2026-11-23T13:00:01", 1.0),
    ):
        assert heard_of(200, headers("requests", 60, 0, reset), NOW).buckets["requests"].per_s == per_s
    told = headers("requests", 60, 0, "2026-11-23T13:00:01Z") | {"date": "Mon, 23 Nov 2026 12:30:00 GMT"}
    assert heard_of(200, told, NOW).buckets["requests"].per_s == pytest.approx(60 / 1800)


@given(st.integers(1, 10**7), st.integers(0, 10**7), st.integers(-100, 10**5))
def test_no_bucket_is_taken_to_fill_faster_than_in_a_minute(limit: int, left: int, reset_s: int) -> None:
    """Nor to hold more than fits in."""
    reset = (NOW + timedelta(seconds=reset_s)).isoformat()
    bucket = heard_of(200, headers("requests", limit, left, reset), NOW).buckets["requests"]
    assert 0 <= bucket.left <= bucket.limit
    assert 0 < bucket.per_s <= bucket.limit / 60


@pytest.mark.parametrize(
    ("status", "said", "blocked"),
    [
        (429, "7", 7),
        (529, "0.5", 0.5),
        (503, "Mon, 23 Nov 2026 12:01:00 GMT", 60),
        (429, "1e300", 86_400),
        (429, "inf", None),
        (429, "nan", None),
        (429, "later", None),
        (429, "-3", 0),
        (500, "7", None),
        (200, "7", None),
    ],
)
def test_retry_after_blocks(status: int, said: str, blocked: float | None) -> None:
    """Where it is for everybody: not for an error of one request."""
    assert heard_of(status, {"retry-after": said}, NOW).blocked_s == blocked
