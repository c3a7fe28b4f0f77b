"""The comparison's part on checkpoints, where no peer has to be installed for it."""

from __future__ import annotations

import psycopg

from benchmarks.comparison.checkpoints import bare_steps, harness_steps, series_of
from benchmarks.comparison.meter import Look, Meter, Taken, message
from harness.store.embedded import EmbeddedServer
from tests.kit.databases import fresh_database

MARKS = (2, 4)
STEP = ["model.requested", "model.finished", "tool.requested", "tool.finished"]


def test_a_step_of_the_harness_is_a_model_call_and_a_tool_call(postgres: EmbeddedServer) -> None:
    """Each step commits its four events, their spans, and the transcript; the meter looks at each mark."""
    with fresh_database(postgres.dsn, "template1") as dsn:
        taken = harness_steps(dsn, MARKS)
        with psycopg.connect(dsn) as connection:
            rows = connection.execute("select kind from event order by seq").fetchall()
            ended = "select count(*) from span where ended_at is not null and kind in ('model', 'tool')"
            spans = connection.execute(ended).fetchone()
            entries = connection.execute("select count(*) from transcript").fetchone()
    kinds = [kind for (kind,) in rows]
    assert kinds[kinds.index(STEP[0]) :] == STEP * MARKS[-1]
    assert (spans, entries) == ((2 * MARKS[-1],), (3 * MARKS[-1],))
    assert_taken(taken)


def test_the_bare_store_keeps_the_same_entries(postgres: EmbeddedServer) -> None:
    """What is measured of the bare SDK is the same transcript as the harness's."""
    with fresh_database(postgres.dsn, "template1") as dsn:
        taken = bare_steps(dsn, MARKS)
        with psycopg.connect(dsn) as connection:
            entries = connection.execute("select entry from entry order by n").fetchall()
    said = [entry["message"]["content"][0] for (entry,) in entries if entry["type"] == "assistant"][::2]
    assert [block["text"] for block in said] == [message(number) for number in range(MARKS[-1])]
    assert_taken(taken)


async def test_what_the_meter_itself_does_is_no_step(dsn: str) -> None:
    """Steps that write nothing hold nothing, and what was taken is read back as it was."""
    async with Meter.on(dsn, (1, 2)) as meter:
        await meter.stepped()
        await meter.stepped()
    assert [look.held for look in meter.taken.looks] == [0, 0]
    assert Taken.read(meter.taken.json()) == meter.taken


def test_the_growth_is_the_exponent() -> None:
    """A system that stores everything again in each step grows with the square, another one linearly."""
    steps = [0.001] * 100
    square = Taken(steps, steps, [Look(10, 100, 100), Look(100, 10_000, 1000)])
    found = {each.figure: each.median for each in series_of("peer", [square], (10, 100))}
    assert round(found["growth of bytes held"], 6) == 2
    assert round(found["growth of bytes logged"], 6) == 1
    assert round(found["growth of a step's time"], 6) == 0


def assert_taken(taken: Taken) -> None:
    assert len(taken.seconds) == len(taken.cpu) == MARKS[-1]
    first, last = taken.looks
    assert (first.step, last.step) == MARKS
    assert 0 < first.held <= last.held
    assert 0 < first.logged < last.logged
