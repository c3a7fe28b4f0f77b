"""The comparison's systems, as far as nothing has to be installed for them."""

from __future__ import annotations

from benchmarks.comparison.running import desk
from benchmarks.comparison.systems import BARE
from benchmarks.comparison.work import Work
from harness.store.embedded import EmbeddedServer


def test_the_bare_sdk_does_the_work(postgres: EmbeddedServer) -> None:
    """Native subagents on the real CLI bring the right report, with no model call too many."""
    with desk(BARE, Work(subjects=2, steps=1), postgres.dsn) as at:
        ended = at.start().wait(60)
        assert at.right(ended), ended.said
        assert len(at.calls()) == at.work.model_calls
