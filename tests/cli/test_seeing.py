"""`harness show --spans` and `--checkpoints`, and `harness report`: in a terminal, in a pipe, as a file."""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
from datetime import timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from harness.cli.show_spans import as_of, spans_table
from harness.store.database import Database
from tests.cli.hand_made import keep, worked
from tests.cli.processes import run_process
from tests.kit.sample_session import Sample, keep_sample, sample_session


@pytest.fixture(scope="module")
def sample() -> Sample:
    """The sample session."""
    return sample_session()


async def ran(*args: str, dsn: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run a command that succeeds."""
    place = {"cwd": cwd} if cwd else {}
    ended: subprocess.CompletedProcess[str] = await asyncio.to_thread(
        run_process,
        *args,
        dsn=dsn,
        **place,  # type: ignore[arg-type]
    )
    assert ended.returncode == 0, ended.stderr
    return ended


def lines_of(text: str) -> list[dict[str, Any]]:
    """JSON lines."""
    return [json.loads(line) for line in text.splitlines()]


@pytest.mark.parametrize("width", [60, 80, 140, 200])
def test_the_spans_fit_any_terminal(sample: Sample, width: int) -> None:
    """One line each, with when, how long, how it ended and what it used; names are what is cut."""
    console = Console(width=width, record=True, file=StringIO(), markup=False)
    console.print(spans_table(sample.spans, sample.book.state, width))
    lines = [line.rstrip() for line in console.export_text().splitlines()]
    assert len(lines) == 1 + len(sample.spans)
    assert max(map(len, lines)) <= width
    (gate,) = [line for line in lines if "gate citations" in line][:1]
    assert gate.split()[-1] in ("ok", "✓")
    chat = next(line for line in lines if "claude-opus-5-5" in line or "claude-op…" in line)
    assert chat.split()[-1].startswith("$0.0")
    assert "7.4 s" in chat


async def test_spans_are_shown_as_a_tree(dsn: str, database: Database, sample: Sample) -> None:
    """In a pipe each line is whole: who called what, with what was special about it."""
    session_id = await keep_sample(database, sample)
    text = (await ran("show", session_id, "--spans", dsn=dsn)).stdout
    for pattern in (
        r"^turn of research +0:00 +2:2\d:\d\d +✓ ok",
        r"^├ lead +0:00 +37\.5 s +↯ interrupted",
        r"^│├ claude-opus-5-5 +0:00 +7\.4 s +✓ ok +4\.1k +\$0\.02",
        r"^│└ delegate ",
        r"corpus search \(cached\)",
        r"corpus read .* ✗ error",
        r"claude-opus-5-5 \(2 retries\)",
        r"^├ wait +0:3\d +2:19:\d\d",
        r"fact_checker 2\.2 .* ! needs help",
    ):
        assert re.search(pattern, text, re.MULTILINE), pattern
    assert "\x1b" not in text


async def test_spans_as_json_are_whole(dsn: str, database: Database, sample: Sample) -> None:
    """One object a line, as they are stored, with what went in and came out."""
    session_id = await keep_sample(database, sample)
    found = lines_of((await ran("show", session_id, "--spans", "--json", dsn=dsn)).stdout)
    assert {each["span_id"]: each["attributes"] for each in found} == {
        span.span_id: span.attributes for span in sample.spans
    }


def test_spans_can_be_seen_as_they_were(sample: Sample) -> None:
    """What ended later was open then, and what began later was not there."""
    event = sample.book.events[29]
    then = as_of(sample.spans, event.seq, event.recorded_at)
    assert {span.status for span in then} == {"open", "ok"}
    assert max(span.seq for span in then) <= event.seq
    assert all(span.ended_at is None or span.ended_at <= event.recorded_at for span in then)
    whole = as_of(sample.spans, 10**6, sample.book.events[-1].recorded_at + timedelta(seconds=1))
    assert whole == sample.spans


async def test_a_session_that_nobody_advances_stands_still(
    dsn: str, database: Database, sample: Sample
) -> None:
    """Looked back at, an agent run has worked up to that event and not up to now."""
    session_id = await keep_sample(database, sample)
    document = json.loads((await ran("show", session_id, "--at", "120", "--json", dsn=dsn)).stdout)
    running = [run for run in document["agent_runs"] if run["status"] == "running"]
    assert running
    assert all(run["work_s"] < 60 for run in running)
    text = (await ran("show", session_id, "--at", "120", dsn=dsn)).stdout
    assert text.startswith(f"Session {session_id}: running after event 120\n")


async def test_every_checkpoint_is_shown_with_the_commands(dsn: str, database: Database) -> None:
    """A person sees all of them; a program gets the commands of each."""
    session_id = await keep(database, worked(), status="done")
    text = (await ran("show", session_id, "--checkpoints", dsn=dsn)).stdout
    points = lines_of((await ran("show", session_id, "--checkpoints", "--json", dsn=dsn)).stdout)
    *lines, _, fork, resume = text.splitlines()
    assert [int(line.split()[0]) for line in lines] == [point["seq"] for point in points]
    assert fork.endswith(f"harness fork {session_id} --at SEQ")
    assert resume.endswith(f"harness resume {session_id} --at SEQ")
    assert points[3]["fork"] == f"harness fork {session_id} --at {points[3]['seq']}"
    assert points[3]["resume"] == f"harness resume {session_id} --at {points[3]['seq']}"


async def test_a_session_without_spans_says_so(dsn: str, database: Database, tmp_path: Path) -> None:
    """Nothing on stdout for a program to stumble over; the page is written all the same."""
    session_id = await keep(database, worked(), status="done")
    await database.run("DELETE FROM span WHERE session_id = %(id)s", {"id": session_id})
    for flags in ((), ("--json",)):
        shown = await ran("show", session_id, "--spans", *flags, dsn=dsn)
        assert shown.stdout == ""
        assert "No spans were kept" in shown.stderr
    written = await ran("report", session_id, "--html", "r.html", dsn=dsn, cwd=tmp_path)
    assert "No spans were kept" in written.stdout
    assert "Tides turn twice a day" in (tmp_path / "r.html").read_text("utf-8")


async def test_the_page_is_written_at_once(
    dsn: str, database: Database, sample: Sample, tmp_path: Path
) -> None:
    """It says where; a second time it needs --force; nothing else is left in the folder."""
    session_id = await keep_sample(database, sample)
    said = await ran("report", session_id[:8], "--html", "r.html", dsn=dsn, cwd=tmp_path)
    assert said.stdout == "The page is in r.html; open it in a browser.\n"
    page = (tmp_path / "r.html").read_text("utf-8")
    assert f'"fork":"harness fork {session_id}"' in page
    assert '"kills":1' in page
    refused = await asyncio.to_thread(
        run_process, "report", session_id, "--html", "r.html", dsn=dsn, cwd=tmp_path
    )
    assert (refused.returncode, refused.stdout) == (2, "")
    again = await ran("report", session_id, "--html", "r.html", "--force", "--json", dsn=dsn, cwd=tmp_path)
    assert json.loads(again.stdout) == {
        "session_id": session_id,
        "html": str(tmp_path / "r.html"),
        "spans": len(sample.spans),
    }
    assert os.listdir(tmp_path) == ["r.html"]
