"""What the page is told agrees with the journal, to the token, with spans and without."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given

from harness import events as ev
from harness.page.data import NO_SPANS, kills, page_data
from harness.page.records import PageData, Share
from harness.records import Usage
from harness.tracing.outline import outline
from tests.kit import sample_texts as texts
from tests.kit.journals import CASES, SEEDS, Book, Case, Simulator, created, printing_seeds
from tests.kit.sample_session import Sample, sample_session
from tests.page.conftest import told


@pytest.fixture(scope="module")
def sample() -> Sample:
    """The sample session."""
    return sample_session()


@pytest.fixture(scope="module")
def data(sample: Sample) -> PageData:
    """What its page is told."""
    return told(sample)


def total(rows: tuple[Share, ...]) -> Usage:
    """The sum of a table."""
    return sum((row.usage for row in rows), Usage())


def test_the_sample_has_all_that_a_page_has_to_show(sample: Sample, data: PageData) -> None:
    """Whoever tests with it tries every kind of trouble."""
    assert len(sample.spans) >= 110
    assert {"turn", "agent_run", "model", "tool", "delegation", "gate", "wait"} == {
        span.kind for span in sample.spans
    }
    assert {"ok", "error", "interrupted", "needs_help"} == {span.status for span in sample.spans}
    assert {"cached", "retried"} <= {mark for span in data.spans for mark in span.marks}
    assert len(data.by_model) == 2
    assert data.facts.kills == 1


def test_tables_sum_up_to_the_session(sample: Sample, data: PageData) -> None:
    """Agents and models are two cuts through the same usage and cost."""
    state = sample.book.state
    for rows in (data.by_agent, data.by_model):
        assert total(rows) == state.usage == data.facts.usage
        assert sum(row.cost_usd or 0 for row in rows) == pytest.approx(state.cost_usd)
    assert sum((row.usage for row in data.agents), Usage()) == state.usage
    assert sum(row.count for row in data.by_agent) == len(state.runs)
    assert data.facts.usage.unattributed_calls == 1, "the call that the kill cut off"


@printing_seeds
@given(CASES, SEEDS)
def test_tables_sum_up_whatever_happened(case: Case, seed: int) -> None:
    """Also with kills in between, and at any point of the journal."""
    random = Random(seed)
    whole = Simulator(case, random).finish(kill=0.1)
    book = whole.upto(random.randint(1, len(whole.events)))
    data = page_data(book.events, book.state, [])
    assert total(data.by_agent) == total(data.by_model) == book.state.usage
    assert len(data.agents) == len(book.state.runs)


def test_a_model_without_a_price_makes_no_cost_of_zero() -> None:
    """What is not known stays unknown, in the table and in the sum."""
    book = Simulator(Case(rounds=(("done",),)), Random(1)).finish()
    run_id = next(iter(book.state.runs))
    call = ev.ModelFinished(
        call_id="x",
        auxiliary=False,
        model="other",
        message_id=None,
        stop_reason=None,
        usage=Usage(output_tokens=1, model_calls=1, attempts=1),
        cost_usd=None,
        first_token_s=None,
    )
    book.add(call, run_id)
    data = page_data(book.events, book.state, [])
    assert data.facts.cost_usd is None
    assert {row.name: row.cost_usd is None for row in data.by_model} == {"m": False, "other": True}


def test_every_span_has_its_place(sample: Sample) -> None:
    """Each once, its parent before it; one whose parent is not there stands at the top."""
    lines = outline(sample.spans)
    assert sorted(line.span.span_id for line in lines) == sorted(span.span_id for span in sample.spans)
    seen: set[str | None] = {None}
    for line in lines:
        assert line.span.parent_span_id in seen
        seen.add(line.span.span_id)
    (root,) = [line for line in lines if not line.depth]
    orphans = [span for span in sample.spans if span != root.span]
    assert sum(not line.depth for line in outline(orphans)) == sum(
        span.parent_span_id == root.span.span_id for span in orphans
    )


def test_every_checkpoint_leads_to_its_span(sample: Sample, data: PageData) -> None:
    """They are the events that were committed before a call, in their order."""
    kinds = ("model.requested", "tool.requested", "delegation.requested", "delegation.joined")
    expected = [event.seq for event in sample.book.events if event.payload.kind in kinds]
    assert [point.seq for point in data.checkpoints] == expected
    spans = {span.id: span for span in data.spans}
    for point in data.checkpoints:
        assert point.span is not None
        assert spans[point.span].seq == point.seq
        assert spans[point.span].kind == point.kind


def test_citations_carry_their_verdicts(data: PageData) -> None:
    """The one that failed says why; each has its document's title and place."""
    assert [row.verdict for row in data.citations] == ["holds"] * 4 + ["fails"]
    assert data.citations[4].reason == "The quote does not stand in S5 word for word."
    assert data.citations[3].locator == "https://example.org/heatwaves?from=1985&to=2020"


def test_one_of_two_quotes_that_fails_is_told_at_its_line() -> None:
    """The check takes a line's quotes apart, and names the one."""
    sample = sample_session()
    sample.book.state.report = 'So it is [1].\n\n## Sources\n\n[1] S1, Title: "the one" and "the other"\n'
    reason = {"citation": '[1] S1: "the other"', "reason": "It does not stand there."}
    sample.book.state.citations = {"checked": 2, "failed": [reason]}
    (row,) = told(sample).citations
    assert (row.verdict, row.reason) == ("fails", "It does not stand there.")


def test_kills_are_told_from_clean_stops() -> None:
    """A session that was suspended or had ended before it went on was not killed."""
    resumed = ev.SessionResumed(token=2, host="h", pid=1)
    book = Book()
    book.add(created())
    assert kills(book.events) == 0
    book.add(resumed)
    book.add(resumed)
    assert kills(book.events) == 2
    book.add(ev.SessionSuspended(reason="It was stopped."))
    book.add(resumed)
    book.add(ev.SessionFinished(status="done", report="r", problem=None))
    book.add(resumed)
    book.add(ev.SessionAsked(question="And?"))
    assert kills(book.events) == 2


def test_without_spans_all_else_is_there_and_it_is_said(sample: Sample, data: PageData) -> None:
    """An old session, or one whose spans were not kept."""
    bare = page_data(sample.book.events, sample.book.state, [], sources=texts.SOURCES, now=data.facts.made_at)
    assert bare.notes == (NO_SPANS,)
    assert data.notes == ()
    for name in ("report", "citations", "agents", "by_agent", "by_model", "messages"):
        assert getattr(bare, name) == getattr(data, name)
    assert [point.seq for point in bare.checkpoints] == [point.seq for point in data.checkpoints]


def test_messages_name_agents_and_not_ids(sample: Sample, data: PageData) -> None:
    """Each message once, from the person's question to the lead's report."""
    assert (data.messages[0].source, data.messages[0].destination) == ("person", "lead")
    parties = {message.source for message in data.messages}
    assert "researcher 1.1" in parties
    assert not parties & sample.book.state.runs.keys()
