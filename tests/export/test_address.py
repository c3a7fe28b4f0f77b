"""Where spans go: which receiver the settings mean, with which headers, and what an answer of it means."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from harness.errors import BadInput, BadSettings
from harness.export.address import address, otlp, required
from harness.export.receiver import Receiver
from harness.settings import from_environment
from tests.kit.otlp_receiver import OtlpReceiver

KEYS = {"LANGFUSE_PUBLIC_KEY": "pk-lf-1", "LANGFUSE_SECRET_KEY": "sk-lf-hidden"}
HEADERS = {"OTEL_EXPORTER_OTLP_HEADERS": "api-key=hidden, X-Team=a%2Cb%3Dc"}


def test_langfuse_needs_both_keys() -> None:
    """One key alone is no receiver, and the sentence names the other."""
    found = address(from_environment(environ=KEYS))
    assert found is not None
    assert found.url == "https://cloud.langfuse.com/api/public/otel/v1/traces"
    assert found.headers["authorization"] == "Basic cGstbGYtMTpzay1sZi1oaWRkZW4="
    assert found.headers["x-langfuse-ingestion-version"] == "4"
    assert "hidden" not in repr(found)
    for name in KEYS:
        half = from_environment(environ={**KEYS, name: ""})
        assert address(half) is None
        with pytest.raises(BadInput, match=f"set {name} for Langfuse"):
            required(half)


@pytest.mark.parametrize(
    ("given", "url"),
    [
        ("http://127.0.0.1:6006", "http://127.0.0.1:6006/v1/traces"),
        ("http://127.0.0.1:6006/v1/traces/", "http://127.0.0.1:6006/v1/traces"),
        ("https://otlp.example.com/team?x=1", "https://otlp.example.com/team/v1/traces?x=1"),
    ],
)
def test_another_receiver_may_leave_out_its_path(given: str, url: str) -> None:
    """It wins over Langfuse and gets its own headers, as they are decoded."""
    found = address(from_environment(options={"tracing.otlp_url": given}, environ=KEYS | HEADERS))
    assert found is not None
    assert found.url == url
    assert found.headers == {"api-key": "hidden", "x-team": "a,b=c"}


def test_headers_go_to_the_receiver_they_are_for() -> None:
    """A URL given by hand on another server does not get the secrets of the one in the settings."""
    settings = from_environment(options={"tracing.otlp_url": "https://a.example.com"}, environ=HEADERS)
    assert otlp(settings, "https://a.example.com/v1/traces").headers
    assert not otlp(settings, "http://a.example.com").headers
    assert not otlp(settings, "https://b.example.com").headers


def test_a_password_in_the_url_is_not_shown() -> None:
    """Messages name the place without it."""
    found = address(
        from_environment(options={"tracing.otlp_url": "https://me:hidden@a.example.com"}, environ={})
    )
    assert found is not None
    assert found.place == "https://a.example.com/v1/traces"
    assert "hidden" not in repr(found)


@pytest.mark.parametrize("text", ["hidden", "a b=hidden", "a=hidden%0Ab: c", "=hidden"])
def test_headers_that_are_none_are_refused_without_showing_them(text: str) -> None:
    """The variable is named, the value is not."""
    with pytest.raises(BadSettings, match=r"OTEL_EXPORTER_OTLP_HEADERS.*name=value") as refused:
        from_environment(environ={"OTEL_EXPORTER_OTLP_HEADERS": text})
    assert "hidden" not in str(refused.value)


@pytest.mark.parametrize(
    ("said", "least", "most"),
    [
        ("7", 7, 7),
        ("-3", 0, 0),
        ("in an hour", 3500, 3600),
        ("soon", None, None),
    ],
)
async def test_retry_after_is_seconds_or_a_date(
    receiver: OtlpReceiver, said: str, least: float | None, most: float | None
) -> None:
    """What is neither is as if it were not there."""
    if said == "in an hour":
        # Now, and not when the tests were collected.
        said = format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True)
    receiver.mode, receiver.retry_after = "429", said
    async with Receiver(required(from_environment(environ=receiver.environment()))) as to:
        verdict = await to.post(b"")
    assert (verdict.kind, verdict.doubtful) == ("again", False)
    if least is None or most is None:
        assert verdict.retry_after_s is None
    else:
        assert verdict.retry_after_s is not None
        assert least <= verdict.retry_after_s <= most
