"""Delivering while a session is at work: nothing without a receiver, all with one, and no long wait."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from harness.export import exporting as module
from harness.export.exporting import exporting
from harness.library import Harness
from harness.progress import Result, SessionStarted
from harness.settings import Settings, from_environment
from harness.store.database import Database
from harness.store.spans import standing
from tests.checkout import ROOT
from tests.export.conftest import Ship
from tests.kit.otlp_receiver import OtlpReceiver
from tests.kit.processes import clean_env, until
from tests.kit.spans import Sheet, keep, keep_spans, research


async def test_a_session_at_work_delivers_its_own_spans(
    database: Database, receiver: OtlpReceiver, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    """What it has left at its end has arrived when the block ends; another session's spans stay."""
    mine, other = research(), research()
    await keep(database, mine, other)
    async with exporting(settings, database, mine.session_id):
        await until(lambda: len(receiver.spans) == len(mine.spans), "spans arrive during the work")
        late = mine.add("wait", "wait")
        await keep_spans(database, late)
    assert receiver.ids().count(late.span_id) == 1
    assert len(receiver.spans) == len(mine.spans)
    assert receiver.violations == []
    assert caplog.records == []


async def test_the_end_does_not_wait_for_a_receiver_that_hangs(
    database: Database,
    receiver: OtlpReceiver,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The last spans get bounded time; what is left is said with the command that sends it, and is free."""
    monkeypatch.setattr(module, "LAST_S", 0.3)
    sheet = research()
    await keep(database, sheet)
    receiver.mode = "hang"
    async with exporting(settings, database, sheet.session_id):
        await until(lambda: receiver.posts, "the receiver is asked")
    assert caplog.messages == [
        f"Spans that are kept and not sent yet: {len(sheet.spans)}; "
        f"run: harness trace flush {sheet.session_id}"
    ]
    left = await standing(database, "default")
    assert (left.waiting, left.held) == (len(sheet.spans), 0)


async def test_what_goes_wrong_in_the_work_is_not_changed(
    database: Database, receiver: OtlpReceiver, settings: Settings
) -> None:
    """An error of the session is the session's, and its spans are delivered all the same."""
    sheet = research()
    await keep(database, sheet)
    with pytest.raises(LookupError, match="the work"):
        async with exporting(settings, database, sheet.session_id):
            raise LookupError("the work")
    assert len(receiver.spans) == len(sheet.spans)


@pytest.mark.parametrize("off", [{}, {"tracing.export": False}, {"tracing.enabled": False}])
async def test_without_a_receiver_nothing_happens(
    database: Database, receiver: OtlpReceiver, caplog: pytest.LogCaptureFixture, off: dict[str, object]
) -> None:
    """No keys, or switched off: no request, no line in the log, and no task."""
    environ = receiver.environment() if off else {}
    settings = from_environment(options=off, environ=environ)
    sheet = research()
    await keep(database, sheet)
    async with exporting(settings, database, sheet.session_id):
        assert not [task for task in asyncio.all_tasks() if task.get_name().startswith("export")]
    assert (receiver.posts, caplog.records) == ([], [])


def test_who_exports_nothing_imports_nothing_for_it() -> None:
    """A session without a receiver does not pay for OpenTelemetry."""
    code = (
        "import sys, harness.session, harness.cli.trace; "
        "print([name for name in sys.modules if name.startswith(('google.protobuf', 'opentelemetry.proto'))])"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert ended.stdout == "[]\n"


@pytest.mark.timeout(60)
async def test_a_real_session_exports_around_its_work(home: Path, dsn: str, receiver: OtlpReceiver) -> None:
    """What has ended by its result has arrived when its iteration ends; the result comes before."""
    (home / "notes.md").write_text("# Tides\n\nTides turn twice a day because the earth turns below them.\n")
    settings = from_environment(home, {"dsn": dsn, "home": home / "data"}, receiver.environment())
    async with Harness(project=home, settings=settings) as harness:
        session = await harness.start(
            "How often do tides turn?", sources=[home / "notes.md"], flow="single", upstream="offline"
        )
        made = Sheet(session.id)
        async for line in session:
            match line:
                case SessionStarted():
                    await keep_spans(await harness.database(), *made.spans)
                case Result():
                    last = made.add("wait", "handmade")
                    await keep_spans(await harness.database(), last)
                case _:
                    pass
    assert {span.span_id for span in made.spans} <= set(receiver.ids())
    assert receiver.violations == []


async def test_an_exporter_killed_while_it_posts_gives_its_spans_back(
    home: Path, dsn: str, database: Database, receiver: OtlpReceiver, shipping: Ship
) -> None:
    """After the hold another one delivers all of them, each once, and knows which may be double."""
    sheet = research()
    await keep(database, sheet)
    receiver.mode = "hang"
    command = [sys.executable, "-m", "tests.export.dying_exporter", dsn, "2"]
    environment = clean_env(home, "http://127.0.0.1:9", **receiver.environment())
    process = await asyncio.create_subprocess_exec(*command, cwd=ROOT, env=environment)
    try:
        await until(lambda: receiver.posts, "it posts")
    finally:
        process.kill()
        await process.wait()
    receiver.mode = "ok"
    async with shipping() as shipper:
        work = asyncio.create_task(shipper.run())
        await until(lambda: len(receiver.spans) == len(sheet.spans), "another one delivers them")
        work.cancel()
        await asyncio.wait({work})
    assert receiver.violations == []
    assert receiver.missing_parents() == set()
