"""Named SQL: how files are read, and that ours are well-formed."""

from __future__ import annotations

import pytest

from harness.store.queries import FOLDER, parse, queries


def test_a_block_is_its_statement_without_comments() -> None:
    """A name, its description and comments between the lines are not sent, so a % in them is harmless."""
    found = parse(
        "-- What this file is about.\n\n"
        "-- name: first\n-- 100% of it.\nSELECT 1\n  -- in between 5%\nFROM t;\n\n"
        "-- name: second\nSELECT %(x)s -- kept\n",
        "sample",
    )
    assert dict(found) == {"first": "SELECT 1\nFROM t", "second": "SELECT %(x)s -- kept"}


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("SELECT 1;\n-- name: late\nSELECT 2", "before its first"),
        ("-- name: a\nSELECT 1\n-- name: a\nSELECT 2", "'a' is used twice"),
        ("-- name: a\n-- only words\n-- name: b\nSELECT 2", "'a' is empty"),
    ],
)
def test_a_malformed_file_is_refused(text: str, complaint: str) -> None:
    """A slip in a query file fails when it is loaded, not when the statement is first needed."""
    with pytest.raises(ValueError, match=complaint):
        parse(text, "sample")


def test_an_unknown_area_is_an_error() -> None:
    """Asking for a file that is not there does not give an empty mapping."""
    with pytest.raises(FileNotFoundError):
        queries("no_such_area")


def test_the_shipped_files_load_and_cannot_be_changed() -> None:
    """Every query file of the package is well-formed, and what is given out is read-only."""
    areas = sorted(path.stem for path in FOLDER.glob("*.sql"))
    assert areas
    for area in areas:
        found = queries(area)
        assert found
        assert queries(area) is found
        with pytest.raises(TypeError):
            found["other"] = "SELECT 1"  # type: ignore[index]
