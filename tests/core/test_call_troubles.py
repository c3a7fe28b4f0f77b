"""What a CLI without a gateway says of a model call that failed, sorted by whom it concerns."""

from __future__ import annotations

import pytest

from harness.claude import Ending
from harness.gateway.trouble import Concern


@pytest.mark.parametrize(
    ("status", "problem", "concern"),
    [
        (401, "Invalid API key", "account"),
        (400, "Your credit balance is too low", "account"),
        (400, "messages: text content blocks must be non-empty", "request"),
        (413, "Request too large", "request"),
        (529, "Overloaded", "service"),
    ],
)
def test_the_clis_own_words_are_kept(status: int, problem: str, concern: Concern) -> None:
    """They speak of a login; the gateway's would speak of a key and an address that nobody has set."""
    trouble = Ending("api_error", api_status=status, problem=problem).trouble()
    assert trouble is not None
    assert (trouble.concern, trouble.problem) == (concern, problem)


def test_an_ending_without_a_status_is_no_trouble_of_a_call() -> None:
    """Another process may do better."""
    assert Ending("api_error", problem="It broke.").trouble() is None
