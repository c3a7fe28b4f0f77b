"""What traces are found by: from the settings and the command line into every span that is sent."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.store.database import Database
from harness.store.spans import Outbox, read_ended
from tests.cli.processes import document, run_process


@pytest.fixture
def project(tmp_path: Path) -> str:
    """A project whose sessions have a tag."""
    (tmp_path / "harness.toml").write_text('[tracing]\ntags = ["nightly"]\n')
    return str(tmp_path)


async def test_a_session_has_the_tags_it_was_given(dsn: str, database: Database, project: str) -> None:
    """Its flow, the way to the model, those of the settings and its own, each once; a fork has them too."""
    given = ("--offline", "--tag", "mine", "--tag", "nightly", "--project", project)
    asked = await document("submit", "Why?", "--flow", "single", *given, dsn=dsn)
    fork = await document("fork", asked["session_id"], "--at", "1", "--project", project, dsn=dsn)
    for number, each in enumerate((asked, fork)):
        run_process("cancel", each["session_id"], dsn=dsn)
        marked = ("single", "offline", "nightly", "mine", *(["fork"] * number))
        ended = await read_ended(database, each["session_id"])
        assert [(row.span.kind, row.tags) for row in ended if row.span.kind == "turn"] == [("turn", marked)]
        taken = await Outbox(database, "default", each["session_id"]).take(100)
        assert {row.tags for row in taken} == {marked}


@pytest.mark.parametrize("tag", ["", "x" * 201, "two\nlines", " spaced "])
def test_a_tag_that_no_receiver_shows_is_refused(dsn: str, tag: str) -> None:
    """Before anything is created, with what a tag is."""
    told = run_process("submit", "Why?", "--offline", "--tag", tag, dsn=dsn)
    assert told.returncode == 2
    assert "should be a text of up to 200 characters on one line" in told.stderr
    assert told.stdout == ""
