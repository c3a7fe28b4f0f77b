"""Several paths after one `--sources`."""

from __future__ import annotations

import pytest

from harness.cli.asking import spread_sources

TAKES = {"--sources", "--flow", "--out"}


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("Q --sources a", "Q --sources a"),
        ("Q --sources a b c --offline", "Q --sources a --sources b --sources c --offline"),
        ("Q --sources a --sources b", "Q --sources a --sources b"),
        ("--sources a Q", "--sources a Q"),
        ("--flow single Q --sources a b", "--flow single Q --sources a --sources b"),
        ("--sources a Q --sources b c", "--sources a Q --sources b --sources c"),
        ("Q --offline --out f --sources a b", "Q --offline --out f --sources a --sources b"),
        ("Q --sources=a --offline", "Q --sources=a --offline"),
        ("Q --sources a b --flow single", "Q --sources a --sources b --flow single"),
    ],
)
def test_paths_are_told_from_the_question(given: str, meant: str) -> None:
    """Each path gets the option before it, and the question stays the question."""
    assert spread_sources(given.split(), TAKES) == meant.split()
