"""A finding as a Markdown table: a line for each figure and place, a column for each system."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from math import floor, log10
from string import ascii_lowercase

from benchmarks.comparison.figures import Cannot, Finding, Results, Series
from benchmarks.rows import spread

Place = tuple[str, float | str]
"""A figure, and where it was measured."""

ABOUT = (
    "Written by `python -m benchmarks.comparison --save` from the samples in this folder. What is measured, "
    "by which rules, and what the figures say stands in [the benchmarks](../benchmarks.md)."
)

_SCALES: Mapping[str, Sequence[tuple[str, float]]] = {
    "s": (("µs", 1e-6), ("ms", 1e-3), ("s", 1.0), ("min", 60.0), ("h", 3600.0)),
    "ms": (("µs", 1e-3), ("ms", 1.0), ("s", 1e3), ("min", 6e4)),
    "bytes": (("bytes", 1.0), ("kB", 1e3), ("MB", 1e6), ("GB", 1e9)),
    "MB": (("kB", 1e-3), ("MB", 1.0), ("GB", 1e3)),
    "share": (("%", 0.01),),
}
"""For a unit, what else it can be told in, from small to large; any other is told as it is."""


def described(results: Results) -> str:
    """Everything that a run found, as Markdown."""
    finding = results.finding
    configured = [f"- {name}: {how}." for name, how in finding.configurations.items()]
    return "\n\n".join([_where(results), markdown(finding), "\n".join(configured)]).rstrip()


def page(all_results: Sequence[Results]) -> str:
    """What several runs found, with their plots, as a Markdown page that lies beside them."""
    told = ["# The harness beside its peers", ABOUT]
    configured: dict[str, list[str]] = {}
    for results in all_results:
        finding = results.finding
        title, *rest = paragraphs(finding)
        told += [title, f"![{finding.title}]({finding.part}.svg)", *rest, _where(results)]
        for name, how in finding.configurations.items():
            ways = configured.setdefault(name, [])
            ways += [how] if how not in ways else []
    told.append("## How the systems are set up")
    told.append("\n".join(f"- {name}: {how}." for name, ways in configured.items() for how in ways))
    return "\n\n".join(told) + "\n"


def _where(results: Results) -> str:
    where, (before, after) = results.where, results.load
    versions = ", ".join(f"{name} {version}" for name, version in where.versions.items())
    commit = f" at {where.commit}" if where.commit else ""
    return (
        f"`{results.command}`{commit}, {where.date}, on {where.machine}; load {before:.1f} before, "
        f"{after:.1f} after. {versions}."
    )


def markdown(finding: Finding) -> str:
    """A finding as Markdown."""
    return "\n\n".join(paragraphs(finding))


def paragraphs(finding: Finding) -> list[str]:
    """A finding's title, what was done, its table, and what has to be known to read it."""
    first, *others = finding.systems
    seeded = "" if finding.seed is None else f" Seed {finding.seed}."
    ratios = f" Ratios are those of medians: {first} over the system to the left." if others else ""
    said = f"{finding.about}{seeded} {_samples(finding)}{ratios}"
    reasons = _marks(finding.cannot)
    told = [f"## {finding.title}", said, _table(finding, reasons)]
    if reasons:
        told.append("\n".join(f"- ({mark}) {system}: {why}" for (system, why), mark in reasons.items()))
    if finding.notes:
        told.append("\n".join(f"- {note}" for note in finding.notes))
    return told


def places(finding: Finding) -> list[Place]:
    """The lines of its table, in the order in which they first came."""
    cells: Iterable[Series | Cannot] = (*finding.series, *finding.cannot)
    found = list(dict.fromkeys((cell.figure, cell.at) for cell in cells))
    measured = {series.figure for series in finding.series}
    # A system that cannot anywhere has no line of its own where others could somewhere.
    anywhere = {(cell.figure, cell.at) for cell in finding.series}
    return [place for place in found if place in anywhere or place[1] != "" or place[0] not in measured]


def at(finding: Finding, system: str, place: Place) -> Series | Cannot | None:
    """What a system has in a line: its samples, why it has none, or nothing at all."""
    own: Iterable[Series | Cannot] = (*finding.series, *finding.cannot)
    own = [cell for cell in own if cell.system == system and cell.figure == place[0]]
    anywhere = next((cell for cell in own if isinstance(cell, Cannot) and cell.at == ""), None)
    return next((cell for cell in own if cell.at == place[1]), anywhere)


def scale(unit: str, medians: Iterable[float]) -> tuple[str, float]:
    """The unit in which such figures are told, and how much of the given one it is."""
    steps = _SCALES.get(unit, ((unit, 1.0),))
    smallest = min((abs(value) for value in medians if value), default=0.0)
    return next(
        (step for step in reversed(steps) if smallest >= step[1]), steps[0] if smallest else (unit, 1.0)
    )


def short(value: float) -> str:
    """A number with three significant digits; whole ones below a thousand without a point."""
    if value == round(value) and abs(value) < 1000:
        return f"{value:.0f}"
    rounded = float(f"{value:.3g}")
    return f"{rounded:,.{max(0, 2 - floor(log10(abs(rounded))))}f}"


def told(value: float, unit: str) -> str:
    """A number of three significant digits with its unit."""
    if unit == "USD":
        return f"${short(value)}"
    return f"{short(value)} {unit}".rstrip()


def ratio(own: Series, other: Series) -> str:
    """How many times as much the one is as the other, or nothing where the other is 0."""
    return short(own.median / other.median) if other.median else ""


def label(place: float | str) -> str:
    """A place as it is written."""
    return place if isinstance(place, str) else short(place) if place % 1 else f"{place:,.0f}"


def _table(finding: Finding, reasons: Mapping[tuple[str, str], str]) -> str:
    lines = places(finding)
    placed = any(place != "" for _, place in lines)
    first, *others = finding.systems
    heads = [
        "",
        *([finding.axis] if placed else []),
        first,
        *(head for each in others for head in (each, "ratio")),
    ]
    rows = [heads, ["---"] * (1 + placed) + ["---:"] * (len(heads) - 1 - placed)]
    for line in lines:
        cells = {system: at(finding, system, line) for system in finding.systems}
        measured = [cell for cell in cells.values() if isinstance(cell, Series)]
        unit = scale(measured[0].unit if measured else "", [cell.median for cell in measured])
        row = [line[0], *([label(line[1])] if placed else []), _cell(cells[first], unit, reasons)]
        for other in others:
            row += [_cell(cells[other], unit, reasons), _ratio(cells[first], cells[other])]
        rows.append(row)
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _cell(
    cell: Series | Cannot | None, unit: tuple[str, float], reasons: Mapping[tuple[str, str], str]
) -> str:
    if cell is None:
        return ""
    if isinstance(cell, Cannot):
        return f"cannot ({reasons[cell.system, cell.reason]})"
    name, size = unit
    low, middle, high = (value / size for value in spread(cell.samples))
    around = f" ({short(low)} to {short(high)})" if short(low) != short(high) else ""
    return f"{told(middle, name)}{around}"


def _ratio(own: Series | Cannot | None, other: Series | Cannot | None) -> str:
    return ratio(own, other) if isinstance(own, Series) and isinstance(other, Series) else ""


def _marks(cannot: Sequence[Cannot]) -> dict[tuple[str, str], str]:
    reasons = dict.fromkeys((cell.system, cell.reason) for cell in cannot)
    return dict(zip(reasons, _letters(), strict=False))


def _letters() -> Iterator[str]:
    for number in range(len(ascii_lowercase) ** 2):
        before, last = divmod(number, len(ascii_lowercase))
        yield (ascii_lowercase[before - 1] if before else "") + ascii_lowercase[last]


def _samples(finding: Finding) -> str:
    # One sample is a sum over all runs.
    counts = sorted({len(series.samples) for series in finding.series} - {1})
    if not counts:
        return "One sample of each."
    many = f"{counts[0]:,}" if len(counts) == 1 else f"{counts[0]:,} to {counts[-1]:,}"
    return f"Medians of {many} samples, with the 5th to 95th percentile."
