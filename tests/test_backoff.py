"""Pauses between attempts: they grow, they end, and nobody's are another's."""

from __future__ import annotations

import pytest

from harness.backoff import pause_s


@pytest.mark.parametrize(("attempt", "longest"), [(1, 0.5), (2, 1.0), (3, 2.0), (7, 30.0), (10**6, 30.0)])
def test_a_pause_doubles_up_to_the_longest(attempt: int, longest: float) -> None:
    """It is never longer than that nor shorter than half of it, however many attempts have failed."""
    pauses = [pause_s(attempt, 0.5, 30.0) for _ in range(200)]
    assert longest / 2 <= min(pauses) <= max(pauses) <= longest


def test_those_who_failed_together_come_back_apart() -> None:
    """No two of a few pauses after the same attempt are alike."""
    assert len({pause_s(4, 1.0, 60.0) for _ in range(8)}) == 8
