"""Findings as tables: every figure and place has its line, and what cannot be says why."""

from __future__ import annotations

import pytest

from benchmarks.comparison.figures import Cannot, Finding, Series
from benchmarks.comparison.tables import markdown, scale, short


def _series(system: str, figure: str, unit: str, *samples: float, at: float | str = "") -> Series:
    return Series(system=system, figure=figure, unit=unit, samples=samples, at=at)


def _finding(*series: Series, cannot: tuple[Cannot, ...] = ()) -> Finding:
    return Finding(
        part="waste",
        title="What it wastes",
        about="It was killed.",
        systems=("harness", "peer"),
        series=series,
        cannot=cannot,
        axis="subagents",
        notes=("A note.",),
        seed=7,
    )


def _cells(text: str) -> list[list[str]]:
    """The cells of the table in a text, without its second line."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return [rows[0], *rows[2:]]


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (0, "0"),
        (5, "5"),
        (999, "999"),
        (0.01234, "0.0123"),
        (1.5, "1.50"),
        (9.996, "10.0"),
        (52_812, "52,800"),
        (-2.345, "-2.35"),
    ],
)
def test_numbers_have_three_significant_digits(value: float, said: str) -> None:
    """Whole numbers below a thousand are told whole."""
    assert short(value) == said


def test_a_unit_is_chosen_so_that_the_smallest_median_is_at_least_one() -> None:
    """One line has one unit, whatever its systems differ by; a unit that is not known is left alone."""
    assert scale("s", [0.014, 3.0]) == ("ms", 1e-3)
    assert scale("bytes", [2_000, 9_000_000]) == ("kB", 1e3)
    assert scale("share", [0.5])[0] == "%"
    assert scale("tokens", [52_000]) == ("tokens", 1.0)
    assert scale("s", [0.0]) == ("s", 1.0)


def test_a_line_has_medians_spreads_and_the_ratio() -> None:
    """The ratio is that of the medians, the first system over the other."""
    text = markdown(_finding(_series("harness", "lost", "s", 1, 2, 3), _series("peer", "lost", "s", 8, 8, 8)))
    assert _cells(text) == [
        ["", "harness", "peer", "ratio"],
        ["lost", "2 s (1.10 to 2.90)", "8 s", "0.250"],
    ]
    assert "Seed 7. Medians of 3 samples" in text
    assert "- A note." in text


def test_each_place_has_a_line_of_its_own() -> None:
    """With a column that says what it counts."""
    series = [_series(system, "wall", "s", at, at=at) for at in (1, 1_000) for system in ("harness", "peer")]
    assert [row[:3] for row in _cells(markdown(_finding(*series)))] == [
        ["", "subagents", "harness"],
        ["wall", "1", "1 s"],
        ["wall", "1,000", "16.7 min"],
    ]


def test_what_cannot_be_is_marked_and_explained() -> None:
    """At one place, or everywhere; the same reason has the same mark, and no ratio is made up."""
    cannot = (
        Cannot(system="peer", figure="wall", reason="It has no such thing.", at=4),
        Cannot(system="peer", figure="lost", reason="It has no such thing."),
    )
    series = [_series("harness", figure, "s", 1, at=at) for figure in ("wall", "lost") for at in (1, 4)]
    text = markdown(_finding(*series, _series("peer", "wall", "s", 2, at=1), cannot=cannot))
    assert [row[0:2] + row[3:] for row in _cells(text)[1:]] == [
        ["wall", "1", "2 s", "0.500"],
        ["wall", "4", "cannot (a)", ""],
        ["lost", "1", "cannot (a)", ""],
        ["lost", "4", "cannot (a)", ""],
    ]
    assert "- (a) peer: It has no such thing." in text


def test_a_ratio_to_nothing_is_left_out() -> None:
    """A peer that wastes nothing is not divided by."""
    text = markdown(_finding(_series("harness", "lost", "s", 1), _series("peer", "lost", "s", 0)))
    assert _cells(text)[1] == ["lost", "1 s", "0 s", ""]


def test_a_figure_that_nobody_has_is_still_shown() -> None:
    """A finding without samples says what could not be."""
    cannot = (Cannot(system="peer", figure="lost", reason="It cannot."),)
    assert _cells(markdown(_finding(cannot=cannot)))[1] == ["lost", "", "cannot (a)", ""]
