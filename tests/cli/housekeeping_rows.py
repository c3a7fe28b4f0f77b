"""What people get wrong with pruning, exporting and importing; see `bad_rows`."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path

from tests.cli.bad_rows import FINISHED, FOREIGN, UNKNOWN, Row, empty_folder, write


def _exported(**given: object) -> Callable[[Path], None]:
    """A file that begins as `harness export` does, with these changes, and then ends."""
    header = {
        "format": "harness session",
        "version": 1,
        "schema_version": 1,
        "session_id": FINISHED,
        "tenant": "default",
        "events": 3,
        "exported_at": "2026-01-01T00:00:00Z",
    }
    return write("it.gz", gzip.compress(json.dumps(header | given).encode() + b"\n"))


_KEEPING = write("harness.toml", "[housekeeping]\nkeep_days = 30\n")

HOUSEKEEPING = (
    Row("prune and nobody to ask", ("prune", "--older-than", "30d"), ("--yes", "--dry-run")),
    Row("prune by the settings, nobody to ask", ("prune",), ("--yes",), prepare=_KEEPING),
    Row("prune in json, nobody to ask", ("prune", "--older-than", "30d", "--json"), ("--yes",)),
    Row("prune of no age", ("prune", "--yes"), ("--older-than 30d", "housekeeping.keep_days")),
    Row("prune by status alone", ("prune", "--yes", "--status", "suspended"), ("--older-than 30d",)),
    Row("age without a unit", ("prune", "--older-than", "30", "--yes"), ("'30' is no age", "30d")),
    Row("age in words", ("prune", "--older-than", "last year", "--yes"), ("'last year' is no age",)),
    Row("age beyond time", ("prune", "--older-than", "999999w", "--yes"), ("'999999w' is no age",)),
    Row("prune of no status", ("prune", "--older-than", "1d", "--yes", "--status", "old"), ("'old'", "done")),
    Row(
        "settings keep for no days",
        ("prune", "--yes"),
        ("harness.toml", "housekeeping.keep_days"),
        prepare=write("harness.toml", "[housekeeping]\nkeep_days = 0\n"),
    ),
    Row("export of no id", ("export", "zebra"), ("'zebra' is no session id", "harness sessions")),
    Row("export an unknown session", ("export", UNKNOWN), ("no session", "harness sessions"), "main"),
    Row("export another tenant's", ("export", FOREIGN), ("no session",), "main"),
    Row(
        "export over a file",
        ("export", FINISHED, "--out", "a"),
        ("exists", "--force"),
        prepare=write("a", ""),
    ),
    Row("export a session nowhere", ("export", FINISHED, "--out", "no/a"), ("no folder", "make it first")),
    Row(
        "export over its own file",
        ("export", FINISHED),
        ("aaaa0000.session.gz exists", "--force"),
        "main",
        prepare=write("aaaa0000.session.gz", ""),
    ),
    Row("import no file", ("import", "gone.gz"), ("gone.gz cannot be read", "correct the path")),
    Row("import a folder", ("import", "here"), ("here cannot be read",), prepare=empty_folder("here")),
    Row("import a text", ("import", "it.gz"), ("no session that",), prepare=write("it.gz", "# Notes")),
    Row("import another gzip", ("import", "it.gz"), ("broken",), prepare=write("it.gz", gzip.compress(b"x"))),
    Row(
        "import a newer version", ("import", "it.gz"), ("version 2", "upgrade"), prepare=_exported(version=2)
    ),
    Row(
        "import from a newer store",
        ("import", "it.gz"),
        ("newer version", "upgrade"),
        "main",
        prepare=_exported(schema_version=999, session_id=UNKNOWN),
    ),
    Row(
        "import half a file",
        ("import", "it.gz"),
        ("its end is missing", "export the session again"),
        "main",
        prepare=_exported(session_id=UNKNOWN),
    ),
    Row(
        "import what is there",
        ("import", "it.gz"),
        (f"{FINISHED} is there already", "harness show"),
        "main",
        prepare=_exported(),
    ),
    Row(
        "import what somebody else has",
        ("import", "it.gz"),
        ("somebody else's",),
        "main",
        prepare=_exported(session_id=FOREIGN),
    ),
)
