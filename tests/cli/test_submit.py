"""When a submitted session begins, as a person may say it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from harness.cli import submit
from harness.errors import BadInput

NOW = datetime(2026, 11, 23, 8, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("said", "wait"),
    [
        ("90s", timedelta(seconds=90)),
        ("90m", timedelta(minutes=90)),
        ("2h", timedelta(hours=2)),
        ("3 d", timedelta(days=3)),
        ("2026-11-23T10:30:00+00:00", timedelta(hours=2)),
        ("2026-11-23T12:30+02:00", timedelta(hours=2)),
        ("0s", timedelta()),
    ],
)
def test_a_time_is_how_long_from_now_or_a_moment(
    said: str, wait: timedelta, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever zone it is said in."""
    monkeypatch.setattr(submit, "now", lambda: NOW)
    assert submit.moment(said) == NOW + wait


def test_a_moment_without_a_zone_is_local() -> None:
    """As people mean it."""
    assert submit.moment("2026-12-01T08:00") == datetime(2026, 12, 1, 8, 0).astimezone()


@pytest.mark.parametrize("said", ["", "h", "-2h", "2w", "2026-13-01", "9" * 30 + "d", "1e3s", "\ud800"])
def test_anything_else_is_refused(said: str) -> None:
    """In one sentence with two examples."""
    with pytest.raises(BadInput, match=r"no time to begin at.*90m or 2h"):
        submit.moment(said)
