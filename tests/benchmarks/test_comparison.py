"""The comparison's command and its arithmetic; the parts themselves are run with `--short`."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.comparison.__main__ import main
from benchmarks.comparison.figures import Finding, Results, Series, Where
from benchmarks.comparison.members import crossings
from benchmarks.comparison.parts import PARTS


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nothing"], "There is no part 'nothing'; choose from "),
        (["--seed", "x"], "argument --seed: invalid int value"),
        (["--unknown"], "unrecognized arguments"),
    ],
)
def test_bad_input_is_one_sentence(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 2, and nothing is begun."""
    with pytest.raises(SystemExit) as ended:
        main(words)
    printed = capsys.readouterr()
    assert ended.value.code == 2
    assert printed.err.startswith(said)
    assert printed.err.count("\n") == 1
    assert printed.out == ""


def test_every_part_has_a_name_of_its_own() -> None:
    """Files are named by it."""
    names = [part.name for part in PARTS]
    assert len(names) == len(set(names))


def test_results_are_read_back_as_they_were_saved(tmp_path: Path) -> None:
    """Places that are numbers stay numbers, so that a plot keeps its axis."""
    series = Series(system="harness", figure="wall", unit="s", samples=(1.0, 2.0), at=10)
    named = series.model_copy(update={"at": "10"})
    finding = Finding(
        part="x", title="X", about="It ran.", systems=("harness",), series=(series, named), axis="entries"
    )
    where = Where(machine="one", date="2026-11-23", versions={"Python": "3.11"})
    results = Results(command="run", where=where, load=(0.1, 0.2), finding=finding)
    (tmp_path / "x.json").write_text(results.model_dump_json())
    assert Results.model_validate_json((tmp_path / "x.json").read_text()) == results


def test_crossings_lie_where_the_lines_meet() -> None:
    """On straight lines between medians; without one it says who has less throughout."""

    def line(system: str, *medians: float) -> list[Series]:
        places = zip((1, 3, 6), medians, strict=True)
        return [Series(system=system, figure="tokens", unit="", samples=(m,), at=at) for at, m in places]

    series = [
        *line("lead", 20, 40, 70),
        *line("one", 10, 50, 90),
        *line("cheap", 1, 2, 3),
        *line("dear", 99, 99, 99),
    ]
    assert list(crossings(series)) == [
        "tokens, lead against one: less from 2.0 subjects on.",
        "tokens, lead against cheap: more at every size.",
        "tokens, lead against dear: less at every size.",
    ]
