"""A session as real ones are: written by hand, killed once, with all that a page about it has to show.

sample = sample_session()
page_data(sample.book.events, sample.book.state, sample.spans, sources=texts.SOURCES)
"""

from __future__ import annotations

from dataclasses import dataclass

from harness import events as ev
from harness.store.database import Database, Json
from harness.tracing.span import Span
from tests.cli.hand_made import FLOW, keep
from tests.kit import sample_texts as texts
from tests.kit.journals import Book
from tests.kit.scribe import Agent, Scribe, content

OPUS, SONNET = "claude-opus-5-5", "claude-sonnet-5-5"
SEARCH, READ = "mcp__corpus__search", "mcp__corpus__read"

TAKEN_UP_AT = 8_412.0
"""Seconds after the beginning: nobody came for more than two hours."""

CANARY = "</script><img src=x onerror=\"document.title='owned'\"><!-- <script>document.title='owned'</script>"
"""What a page must show and never run."""


@dataclass(frozen=True)
class Sample:
    """A session's journal and its spans."""

    book: Book
    spans: list[Span]


def sample_session(session_id: str | None = None) -> Sample:
    """A lead, two rounds of delegation, a kill and a long wait, errors, a cache, retries and a gate."""
    scribe = Scribe(**({"session_id": session_id} if session_id else {}), flow=FLOW)
    lead = scribe.run("lead", None, "q0", texts.QUESTION)
    lead.start(0.2, scribe.root)
    lead.chat(OPUS, 7.4)
    researchers = [
        scribe.run("researcher", lead, f"q0/1.{n}", about, lead.at)
        for n, about in enumerate(texts.TASKS[:3], start=1)
    ]
    round_1 = lead.delegate([each.task for each in researchers])
    for n, each in enumerate(researchers):
        each.start(lead.at + 0.3 + 0.2 * n, round_1)
        _research(each, turns=6 - n % 2, seed=n)
    _report_back(researchers[0])
    open_call = researchers[1].chat(SONNET, 9.0, cut_off=True)

    killed_at = max(each.at for each in researchers) + 2.5
    open_steps = [step for step in scribe.steps if step.status == "open" and step is not scribe.root]
    for step in open_steps:
        step.end(killed_at, "interrupted", problem="Its process has died.")
    assert open_call in open_steps
    resumed = scribe.note(TAKEN_UP_AT, ev.SessionResumed(token=2, host="desk", pid=4711))
    reason = "Nobody was at work on the session."
    scribe.step(scribe.root, None, "wait", "wait", resumed, killed_at, reason=reason).end(TAKEN_UP_AT)

    lead.span = scribe.step(
        scribe.root, lead.run_id, "agent_run", "invoke_agent lead", resumed, TAKEN_UP_AT, agent="lead"
    )
    again = scribe.step(
        lead.span,
        lead.run_id,
        "delegation",
        "execute_tool delegate",
        resumed,
        TAKEN_UP_AT,
        **round_1.attributes,
    )
    again.attributes.pop("problem")
    for n, each in enumerate(researchers[1:]):
        each.start(TAKEN_UP_AT + 0.8 + 0.2 * n, again, recovered=True)
        _research(each, turns=4 - n, seed=3 + n)
        _report_back(each)
    lead.wake(max(each.at for each in researchers) + 0.2, again, [each.about for each in researchers])
    lead.chat(OPUS, 8.9, retries=2)

    intervals = scribe.run("researcher", lead, "q0/2.1", texts.TASKS[3], lead.at)
    checker = scribe.run("fact_checker", lead, "q0/2.2", texts.CHECK, lead.at)
    round_2 = lead.delegate([intervals.task, checker.task])
    intervals.start(lead.at + 0.4, round_2)
    _research(intervals, turns=6, seed=5)
    _gated(scribe, intervals)
    checker.start(lead.at + 0.6, round_2)
    for n in range(4):
        checker.chat(SONNET, 2.6 + 0.4 * n)
        checker.tool(READ, {"source": f"S{n + 1}", "offset": 1200 * n}, 0.09, texts.hits("quote", n))
    checker.chat(SONNET, 3.1, last=True)
    checker.finish(
        {"checked": 4, "doubtful": ["S5"]}, needs_help="The notes of the outer reef are a fragment."
    )
    lead.wake(max(intervals.at, checker.at) + 0.2, round_2, [texts.TASKS[3], texts.CHECK])
    lead.chat(OPUS, 16.3, last=True, output={"content": [{"type": "text", "text": texts.REPORT}]})
    lead.finish({"report": texts.REPORT})
    scribe.note(
        lead.at + 0.1,
        ev.SessionFinished(status="done", report=texts.REPORT, problem=None, citations=texts.CITATIONS),
    )
    scribe.root.end(lead.at + 0.1, output=content(texts.REPORT), citations=texts.CITATIONS)
    return Sample(scribe.book(), scribe.spans())


def _research(agent: Agent, *, turns: int, seed: int) -> None:
    for turn in range(turns):
        agent.chat(SONNET, 2.1 + ((seed * 7 + turn * 5) % 11) / 4)
        query = texts.QUERIES[(seed + turn) % len(texts.QUERIES)]
        if (seed + turn) % 4 == 3:
            agent.tool(
                READ,
                {"source": "S9"},
                0.2,
                error="There is no source S9; the session has S1, S2, S3, S4, S5.",
            )
        else:
            agent.tool(
                SEARCH,
                {"query": query, "limit": 8},
                0.12,
                texts.hits(query, seed + turn),
                cached=(seed + turn) % 5 == 4,
            )
        if turn % 2:
            agent.tool(READ, {"source": f"S{1 + turn}"}, 0.31, _long_text(seed))


def _long_text(seed: int) -> str:
    return f"Page {seed}. {CANARY}\n" + "Cover, depth and structure were measured at each station. " * 160


def _report_back(agent: Agent) -> None:
    agent.chat(SONNET, 4.4, last=True)
    agent.finish({"answer": "Depth, structure and grazing told them apart.", "sources": ["S1", "S2"]})


def _gated(scribe: Scribe, agent: Agent) -> None:
    """Answer twice: the gate sends the first answer back."""
    for number, verdict in enumerate(("fix", "pass")):
        agent.chat(SONNET, 3.3, last=True)
        answer = {"answer": "The interval fell from 27 years to about six.", "sources": ["S4"]}
        answered = scribe.note(
            agent.at, ev.AgentRunAnswered(output=answer, work_s=agent.at - agent.since), agent.run_id
        )
        gate = scribe.step(
            agent.span, agent.run_id, "gate", "gate citations", answered, agent.at, by="verifier"
        )
        verifier = scribe.run(
            "verifier", agent, f"q0/2.1/v{number + 1}", "Does the answer follow?", agent.at, role="verifier"
        )
        verifier.start(agent.at + 0.2, gate)
        verifier.chat(SONNET, 2.2, last=True)
        verifier.finish({"verdict": verdict})
        agent.at = agent.since = verifier.at + 0.1
        problem = "The quote of S4 is not word for word; give it as it stands." if verdict == "fix" else None
        judged = ev.GateDecided(
            by="verifier", verdict="fix" if verdict == "fix" else "pass", problem=problem, work_s=0.0
        )
        scribe.note(agent.at, judged, agent.run_id)
        gate.end(agent.at, verdict=verdict, problem=problem)
    agent.finish(answer)


def large_session(spans: int = 5_000, session_id: str | None = None) -> Sample:
    """A lead with many researchers that take many turns: about as many spans as asked for."""
    scribe = Scribe(**({"session_id": session_id} if session_id else {}), flow=FLOW)
    lead = scribe.run("lead", None, "q0", texts.QUESTION)
    lead.start(0.2, scribe.root)
    lead.chat(OPUS, 7.4)
    crew = 20
    team = [scribe.run("researcher", lead, f"q0/1.{n + 1}", texts.TASKS[n % 4], lead.at) for n in range(crew)]
    delegation = lead.delegate([each.task for each in team])
    for n, each in enumerate(team):
        each.start(lead.at + 0.3 + (n // 4) * 240.0, delegation)
        for turn in range((spans - 30) // crew // 2):
            each.chat(SONNET, 1.4 + (n + turn) % 5 / 3, retries=turn % 40 == 39)
            query = texts.QUERIES[turn % len(texts.QUERIES)]
            found = texts.hits(query, turn)
            each.tool(
                SEARCH, {"query": query}, 0.1, found, error="Postgres was away." if turn % 50 == 49 else None
            )
        _report_back(each)
    lead.wake(max(each.at for each in team) + 0.2, delegation, "All have answered.")
    lead.chat(OPUS, 12.0, last=True)
    return Sample(scribe.book(), scribe.spans())


async def keep_sample(database: Database, sample: Sample, *, tenant: str = "default") -> str:
    """Store a sample as the engine would have, with its own times."""
    session_id = await keep(database, sample.book, tenant=tenant)
    status = sample.book.state.status
    given = {"id": session_id, "status": status}
    await database.run("UPDATE session SET status = %(status)s WHERE id = %(id)s", given)
    await database.run("DELETE FROM span WHERE session_id = %(id)s", given)
    for event in sample.book.events:
        await database.run(
            "UPDATE event SET recorded_at = %(at)s WHERE session_id = %(id)s AND seq = %(seq)s",
            {"id": session_id, "seq": event.seq, "at": event.recorded_at},
        )
    for span in sample.spans:
        row = span.model_dump(exclude={"attributes"}) | {"opened": Json(span.attributes)}
        await database.run(_INSERT, row)
    return session_id


_INSERT = """
INSERT INTO span (session_id, span_id, parent_span_id, agent_run_id, kind, name, seq, started_at, ended_at,
                  status, opened)
VALUES (%(session_id)s, %(span_id)s, %(parent_span_id)s, %(agent_run_id)s, %(kind)s, %(name)s, %(seq)s,
        %(started_at)s, %(ended_at)s, %(status)s, %(opened)s)
"""
