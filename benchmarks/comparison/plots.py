"""A finding as a picture: a panel for each figure, the harness in a strong colour, the others in quiet ones.

The same finding gives the same bytes. Text stays text, on white, so that it reads in light and in dark pages.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count
from math import ceil
from pathlib import Path
from textwrap import wrap
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

from benchmarks.comparison.figures import Cannot, Finding, Series
from benchmarks.comparison.tables import at, label, places, scale, short
from benchmarks.rows import spread

INK, QUIET, RULE = "#1f2328", "#656d76", "#d8dee4"
STRONG = "#d1410c"
OTHERS = ("#3d6a8a", "#7a9a3a", "#8d6aa8", "#b0913a", "#5f7f7a")
MARKERS = "osD^vP"
USUAL = ("bare SDK", "deepagents", "CrewAI", "bare sessions")
"""Those that look the same in every picture; others get what is left."""

WIDTH, ACROSS, PANEL_HEIGHT, ROW_HEIGHT = 10.0, 3, 2.5, 0.36
"""Inches of the picture, panels beside one another, and inches of a panel with lines and of a row of dots."""

LETTER = 0.087
"""About how wide a bold letter is, in inches."""

DECADE = 10
"""How far apart values have to be for a logarithmic axis."""

_STYLE = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 9,
    "svg.fonttype": "none",
    "svg.hashsalt": "benchmarks.comparison",
    "axes.edgecolor": RULE,
    "axes.labelcolor": QUIET,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "grid.color": RULE,
    "grid.linewidth": 0.6,
    "text.color": INK,
    "xtick.color": QUIET,
    "ytick.color": QUIET,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
}


def draw(finding: Finding, file: Path) -> None:
    """Draw a finding into an SVG file."""
    figures = list(dict.fromkeys(figure for figure, _ in places(finding)))
    across = ceil(len(figures) / ceil(len(figures) / ACROSS))
    rows = [figures[start : start + across] for start in range(0, len(figures), across)]
    heights = [max(_height(finding, figure) for figure in row) for row in rows]
    keyed = not all(_dotted(finding, figure) for figure in figures)
    with mpl.rc_context(_STYLE):
        above, between = 0.95 if keyed else 0.65, 0.85
        height = above + sum(heights) + between * len(rows) - 0.1
        picture = Figure(figsize=(WIDTH, height), facecolor="white")
        picture.text(0.2 / WIDTH, 1 - 0.34 / height, finding.title, size=12, weight="bold", va="baseline")
        if keyed:
            _legend(picture, finding, 1 - 0.52 / height)
        top = above
        for row, tall in zip(rows, heights, strict=True):
            for column, figure in enumerate(row):
                _panel(picture, finding, figure, column, across, top + 0.22, tall)
            top += tall + between
        picture.savefig(file, format="svg", metadata={"Date": None, "Creator": None})


def _panel(
    picture: Figure, finding: Finding, figure: str, column: int, across: int, top: float, tall: float
) -> None:
    """One figure, `top` inches from the picture's top and `tall` inches high."""
    height = float(picture.get_figheight())
    share = (WIDTH - 0.4) / across
    dotted = _dotted(finding, figure)
    left = 0.2 + column * share + (_margin(finding, figure) if dotted else 0.75)
    right = 0.2 + (column + 1) * share - (0.75 if dotted else 0.3)
    shape = (left / WIDTH, 1 - (top + tall) / height, (right - left) / WIDTH, tall / height)
    axes = picture.add_axes(shape)
    series = [each for each in finding.series if each.figure == figure]
    unit = scale(series[0].unit, [_typical(series)]) if series else ("", 1.0)
    (_dots if dotted else _lines)(axes, finding, figure, unit)
    named = "$" if unit[0] == "USD" else unit[0]
    heading = f"{figure}, {named}" if named and named not in figure.split() else figure
    x = (0.2 + column * share) / WIDTH
    for number, line in enumerate(reversed(wrap(heading, int((share - 0.15) / LETTER)))):
        picture.text(x, 1 - (top - 0.14 - 0.16 * number) / height, line, weight="bold", va="baseline")
    if not dotted and (away := _without(finding, figure)):
        said = f"cannot: {', '.join(away)}"
        picture.text(x, 1 - (top + 0.02) / height, said, size=8, style="italic", color=QUIET, va="baseline")


def _lines(axes: Any, finding: Finding, figure: str, unit: tuple[str, float]) -> None:
    """Medians over the places that are numbers, joined, with their spread."""
    where: set[float] = set()
    values: list[float] = []
    for number, system in reversed(list(enumerate(finding.systems))):
        own = [each for each in finding.series if (each.system, each.figure) == (system, figure)]
        own.sort(key=lambda each: float(each.at))
        if not own:
            continue
        x = [float(each.at) for each in own]
        low, middle, high = zip(*(_scaled(each, unit) for each in own), strict=True)
        (colour, marker), strong = _look(finding, number), number == 0
        axes.fill_between(x, low, high, color=colour, alpha=0.14, linewidth=0)
        axes.plot(
            x,
            middle,
            color=colour,
            marker=marker,
            markersize=5 if strong else 4,
            linewidth=2.2 if strong else 1.3,
            clip_on=False,
            zorder=5 if strong else 3,
        )
        where.update(x)
        values += [*low, *high]
    _numbered(axes, sorted(where), finding.axis)
    axes.grid(axis="y")
    axes.set_axisbelow(True)
    axes.spines["left"].set_visible(False)
    if min(values) > 0 and max(values) / min(values) > 3 * DECADE:
        axes.set_yscale("log")
        axes.yaxis.set_minor_locator(NullLocator())
    else:
        axes.set_ylim(0, max(values) * 1.08 or 1)
        axes.yaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]))
    # After the scale, which brings a formatter of its own.
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.7g}"))


def _numbered(axes: Any, where: Sequence[float], axis: str) -> None:
    if where[0] > 0 and where[-1] / where[0] >= DECADE:
        axes.set_xscale("log")
    axes.xaxis.set_major_locator(FixedLocator(where))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: label(value)))
    axes.set_xlabel(axis, loc="right", size=8)


def _dots(axes: Any, finding: Finding, figure: str, unit: tuple[str, float]) -> None:
    """A row for each system, and for each place if there are several: its median, its spread, its number."""
    rows = _rows(finding, figure)
    values = [v for *_, cell in rows if isinstance(cell, Series) for v in _scaled(cell, unit)]
    most = max(values, default=1.0) or 1.0
    decades = min(values, default=0.0) > 0 and most / min(values) > 3 * DECADE
    start = min(values) / 2 if decades else 0.0
    for y, (number, _, cell) in enumerate(rows):
        if cell is None:
            continue
        if isinstance(cell, Cannot):
            axes.text(start, y, "cannot", color=QUIET, style="italic", va="center", size=8)
            continue
        (colour, marker), strong = _look(finding, number), number == 0
        axes.axhline(y, color=RULE, linewidth=0.6, zorder=0)
        low, middle, high = _scaled(cell, unit)
        axes.plot([low, high], [y, y], color=colour, alpha=0.35, linewidth=5, solid_capstyle="butt")
        axes.plot([middle], [y], color=colour, marker=marker, markersize=7 if strong else 5.5, clip_on=False)
        number_told = f"${short(middle)}" if unit[0] == "USD" else short(middle)
        axes.annotate(
            number_told,
            (1, y),
            xycoords=("axes fraction", "data"),
            xytext=(6, 0),
            textcoords="offset points",
            va="center",
            color=colour if strong else INK,
            weight="bold" if strong else "normal",
            annotation_clip=False,
        )
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_yticks(range(len(rows)), [name for _, name, _ in rows], color=INK)
    for text, (number, _, cell) in zip(axes.get_yticklabels(), rows, strict=True):
        if cell is None:
            text.set_color(QUIET)
            text.set_fontweight("bold")
        elif number == 0:
            text.set_color(STRONG)
            text.set_fontweight("bold")
    axes.spines["left"].set_visible(False)
    if decades:
        axes.set_xscale("log")
        axes.xaxis.set_minor_locator(NullLocator())
        axes.set_xlim(start, most * 1.3)
    else:
        whole = 1 / unit[1]
        axes.set_xlim(0, whole if unit[0] == "%" and most <= whole else most * 1.05)
        axes.xaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 2.5, 5, 10]))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.7g}"))
    axes.tick_params(axis="x", labelsize=8)
    axes.tick_params(axis="y", pad=8)


def _rows(finding: Finding, figure: str) -> list[tuple[int, str, Series | Cannot | None]]:
    """The rows of a panel of dots: the system's number, the row's name, and its cell, None for a heading."""
    where = [place for place in places(finding) if place[0] == figure]
    rows: list[tuple[int, str, Series | Cannot | None]] = []
    for place in where:
        if len(where) > 1:
            rows.append((-1, label(place[1]), None))
        for number, system in enumerate(finding.systems):
            if (cell := at(finding, system, place)) is not None:
                rows.append((number, system, cell))
    return rows


def _without(finding: Finding, figure: str) -> list[str]:
    """The systems that have no samples of a figure anywhere, and a reason for it."""
    own = [each.system for each in finding.cannot if each.figure == figure]
    measured = {each.system for each in finding.series if each.figure == figure}
    return [system for system in finding.systems if system in own and system not in measured]


def _legend(picture: Figure, finding: Finding, y: float) -> None:
    keys = []
    for number, system in enumerate(finding.systems):
        colour, marker = _look(finding, number)
        width = 1.3 if number else 2.2
        keys.append(Line2D([], [], color=colour, marker=marker, markersize=5, linewidth=width, label=system))
    made = picture.legend(
        handles=keys,
        loc="upper left",
        bbox_to_anchor=(0.16 / WIDTH, y),
        ncols=len(keys),
        frameon=False,
        borderpad=0,
        handlelength=1.6,
        columnspacing=1.8,
        fontsize=9,
    )
    made.get_texts()[0].set_color(STRONG)
    made.get_texts()[0].set_fontweight("bold")


def _dotted(finding: Finding, figure: str) -> bool:
    """Whether its places are no axis: only one, or words."""
    where = {each.at for each in finding.series if each.figure == figure}
    return len(where) < 2 or any(isinstance(each, str) for each in where)


def _height(finding: Finding, figure: str) -> float:
    return ROW_HEIGHT * len(_rows(finding, figure)) if _dotted(finding, figure) else PANEL_HEIGHT


def _margin(finding: Finding, figure: str) -> float:
    """Inches that the names of a panel's rows need."""
    return 0.2 + LETTER * max(len(name) for _, name, _ in _rows(finding, figure))


def _scaled(series: Series, unit: tuple[str, float]) -> tuple[float, float, float]:
    low, middle, high = spread(series.samples)
    return low / unit[1], middle / unit[1], high / unit[1]


def _typical(series: Sequence[Series]) -> float:
    """The largest median: what a panel's axis has to reach."""
    return max(abs(each.median) for each in series)


def _look(finding: Finding, number: int) -> tuple[str, str]:
    """The colour and the marker of a system, by its number in the finding."""
    if number == 0:
        return STRONG, MARKERS[0]
    own = finding.systems[1:]
    taken = {system: USUAL.index(system) for system in own if system in USUAL}
    left = (place for place in count() if place not in taken.values())
    place = (taken | {system: next(left) for system in own if system not in taken})[own[number - 1]]
    return OTHERS[place % len(OTHERS)], MARKERS[1 + place % (len(MARKERS) - 1)]
