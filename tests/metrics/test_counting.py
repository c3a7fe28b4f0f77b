"""What a worker counts follows from its sessions' events, and from when it takes them up and leaves them."""

from __future__ import annotations

from harness import events as ev
from harness.metrics.counting import Counting
from harness.metrics.exposition import written
from harness.plan import plan
from harness.records import Outcome, Usage
from harness.worker import Worked
from tests.kit.journals import (
    RESEARCH,
    RESUMED,
    SESSION,
    Book,
    created,
    finished,
    requested,
    run_created,
    started,
)
from tests.kit.metrics import Scraped, parsed


class Bench:
    """A session at work, each of whose events is counted."""

    def __init__(self) -> None:
        self.book = Book()
        self.counting = Counting()
        self.book.add(created())
        self.add(RESUMED)
        (spec,) = plan(RESEARCH, self.book.state).create
        self.run_id = spec.id
        self.add(run_created(spec), spec.id)
        self.start()

    def add(self, payload: ev.AnyPayload, run_id: str | None = None) -> None:
        self.counting.follow(self.book.add(payload, run_id), self.book.state)

    def start(self) -> None:
        self.add(started(self.book.state.runs[self.run_id]), self.run_id)

    def does(self, *payloads: ev.AnyPayload) -> None:
        for payload in payloads:
            self.add(payload, self.run_id)

    def leaves(self, status: str) -> None:
        self.counting.hear(Worked(event="session.left", session_id=SESSION, tenant="t", status=status))

    @property
    def found(self) -> Scraped:
        return parsed(written(self.counting.samples(), [self.counting.waits]))


def retried(call_id: str, *, lost: bool = False, status: int | None = 429) -> ev.ModelRetried:
    return ev.ModelRetried(
        call_id=call_id, auxiliary=False, status=status, problem="Later.", lost=lost, pause_s=1
    )


def failed(call_id: str, usage: Usage, status: int | None = None) -> ev.ModelFailed:
    return ev.ModelFailed(call_id=call_id, auxiliary=False, status=status, problem="No.", usage=usage)


def test_answered_calls_are_counted_by_model() -> None:
    """Tokens by kind; a call without a known price costs nothing that is known."""
    bench = Bench()
    used = Usage(input_tokens=7, output_tokens=5, cache_read_input_tokens=3, model_calls=1, attempts=1)
    bench.does(requested("a"), finished("a", model="big", usage=used, cost_usd=0.25))
    bench.does(requested("b"), finished("b", model="big", usage=used, cost_usd=0.25))
    bench.does(requested("c"), finished("c", model="new", usage=used, cost_usd=None))
    found = bench.found
    assert found["harness_model_calls_total", "big"] == 2
    assert found["harness_model_cost_dollars_total", "big"] == 0.5
    assert found["harness_model_cost_dollars_total", "new"] == 0
    tokens = [found["harness_model_tokens_total", "big", kind] for kind in ("input", "output", "cache_read")]
    assert tokens == [14, 10, 6]


def test_what_the_service_refused_is_counted_by_its_status() -> None:
    """Those that were repeated, and those that were given up."""
    bench = Bench()
    bench.does(requested("a"), retried("a"), retried("a", status=None), failed("a", Usage(attempts=3), 529))
    found = bench.found
    assert found["harness_model_retries_total", "429"] == found["harness_model_retries_total", "none"] == 1
    assert found["harness_model_failures_total", "529"] == 1
    assert found["harness_model_unattributed_calls_total",] == 0


def test_calls_without_a_known_use_are_counted_once() -> None:
    """An attempt that was lost, and a call that was on the wire when its agent run was ended."""
    bench = Bench()
    bench.does(requested("a"), retried("a", lost=True), failed("a", Usage(attempts=2, unattributed_calls=2)))
    assert bench.found["harness_model_unattributed_calls_total",] == 2
    bench.does(requested("b"), ev.AgentRunInterrupted(reason="It was stopped.", work_s=1))
    assert bench.found["harness_model_unattributed_calls_total",] == 3
    # The gateway reads on: it was not lost after all, and a counter does not go back.
    bench.does(finished("b"))
    bench.start()
    bench.does(requested("c"), ev.AgentRunInterrupted(reason="It was stopped.", work_s=1))
    assert bench.found["harness_model_unattributed_calls_total",] == 3


def test_calls_that_a_killed_worker_left_are_counted_by_who_takes_them_up() -> None:
    """What was known before is not counted again."""
    bench = Bench()
    bench.does(requested("a"), ev.AgentRunInterrupted(reason="It was stopped.", work_s=1))
    bench.start()
    bench.does(requested("b"))
    bench.counting = Counting()
    bench.add(RESUMED)
    bench.start()
    assert bench.found["harness_model_unattributed_calls_total",] == 1


def test_agent_runs_are_at_work_until_they_end_or_their_session_is_left() -> None:
    """Also when the session's lease was lost, and no event says that they have ended."""
    bench = Bench()
    assert bench.found["harness_agent_runs_at_work",] == 1
    bench.does(ev.AgentRunFinished(outcome=Outcome(status="failed", problem="No."), work_s=1))
    assert bench.found["harness_agent_runs_at_work",] == 0
    bench = Bench()
    bench.leaves("lease_lost")
    found = bench.found
    assert found["harness_agent_runs_at_work",] == 0
    assert found["harness_sessions_left_total", "lease_lost"] == 1
    assert found["harness_sessions_left_total", "done"] == 0


def test_claims_are_counted_with_their_waits() -> None:
    """So that one sees how long sessions wait for a worker."""
    bench = Bench()
    for waited_s in (0.2, 100.0):
        bench.counting.hear(
            Worked(
                event="session.claimed", session_id=SESSION, tenant="t", status="queued", waited_s=waited_s
            )
        )
    found = bench.found
    assert found["harness_sessions_claimed_total",] == found["harness_session_wait_seconds_count",] == 2
    assert found["harness_session_wait_seconds_bucket", "60"] == 1
