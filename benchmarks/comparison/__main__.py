"""Run the comparison: `python -m benchmarks.comparison [--short] [--seed N] [--save FOLDER] [PART ...]`.

It installs the peers, runs the parts one after another on one embedded server, and prints a table for each.
With `--save` each part also leaves its samples and a plot as soon as it has ended, and what the folder then
holds becomes a page, its README.md; `--draw` makes page and plots again, and measures nothing.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import NoReturn

from pydantic import ValidationError

from benchmarks.comparison import install
from benchmarks.comparison.figures import Part, Results, Where
from benchmarks.comparison.parts import PARTS
from benchmarks.comparison.tables import described, page
from harness.store.embedded import EmbeddedServer
from tests.kit.homes import new_home

SEED = 7
COMMAND = "python -m benchmarks.comparison"


def main(words: Sequence[str] | None = None) -> None:
    arguments = _Parser(prog=COMMAND, description="Compare the harness with its peers.")
    names = [part.name for part in PARTS]
    arguments.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(names)}; all by default")
    arguments.add_argument("--short", action="store_true", help="few and small samples: proves that it works")
    arguments.add_argument("--seed", type=int, default=SEED, help=f"what chance begins with ({SEED})")
    arguments.add_argument("--save", type=Path, metavar="FOLDER", help="where samples and plots go")
    arguments.add_argument("--draw", type=Path, metavar="FOLDER", help="only draw again what was saved there")
    given = arguments.parse_args(words)
    if unknown := [name for name in given.parts if name not in names]:
        arguments.error(f"There is no part '{unknown[0]}'; choose from {', '.join(names)}.")
    if (given.save or given.draw) and find_spec("matplotlib") is None:
        arguments.error('Plots need matplotlib; install it with pip install -e ".[bench]".')
    if given.draw:
        if given.save or given.short:
            arguments.error("--draw measures nothing; leave the other options out.")
        _print_all(_drawn(arguments, given.draw, given.parts or names))
        return
    if given.save:
        try:
            given.save.mkdir(parents=True, exist_ok=True)
        except OSError as problem:
            arguments.error(f"The folder {given.save} cannot be made: {problem.strerror}; name another.")
    chosen = [part for part in PARTS if part.name in (given.parts or names)]
    try:
        _print_all(_measured(chosen, given.short, given.seed, given.save))
    except install.NotInstalled as problem:
        arguments.error(str(problem))


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one sentence."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{message}\n")


def _measured(parts: Sequence[Part], short: bool, seed: int, save: Path | None) -> Iterator[Results]:
    for environment in (install.LANGGRAPH, install.CREWAI):
        environment.python()
    where = Where.here()
    told = " --short" if short else ""
    with new_home() as home, EmbeddedServer.acquire(home) as server:
        for part in parts:
            began, before = time.monotonic(), os.getloadavg()[0]
            finding = part.measure(short, seed, server.dsn)
            command = f"{COMMAND}{told} --seed {seed} {part.name}"
            load = (before, os.getloadavg()[0])
            results = Results(command=command, where=where, load=load, finding=finding)
            print(f"{part.name}: measured in {time.monotonic() - began:.0f} s", file=sys.stderr)
            if save is not None:
                (save / f"{part.name}.json").write_text(results.model_dump_json(indent=1) + "\n")
                _draw(results, save)
                _write_page(save)
            yield results


def _drawn(arguments: _Parser, folder: Path, names: Sequence[str]) -> Iterator[Results]:
    files = [file for name in names if (file := folder / f"{name}.json").exists()]
    if not files:
        arguments.error(f"Nothing is saved in {folder}; measure first, with --save {folder}.")
    for file in files:
        try:
            results = Results.model_validate_json(file.read_text())
        except ValidationError:
            arguments.error(f"The file {file} does not hold results of this version; measure again.")
        _draw(results, folder)
        yield results
    _write_page(folder)


def _draw(results: Results, folder: Path) -> None:
    # Only here: without matplotlib there are still tables.
    from benchmarks.comparison.plots import draw

    draw(results.finding, folder / f"{results.finding.part}.svg")


def _write_page(folder: Path) -> None:
    files = [file for part in PARTS if (file := folder / f"{part.name}.json").exists()]
    try:
        found = [Results.model_validate_json(file.read_text()) for file in files]
    except ValidationError as problem:
        # What was measured is saved, and hours of it are not lost over a page that can be written again.
        print(f"{folder / 'README.md'} is not written: {problem}", file=sys.stderr)
        return
    (folder / "README.md").write_text(page(found))


def _print_all(found: Iterator[Results]) -> None:
    for results in found:
        print(described(results), end="\n\n", flush=True)


if __name__ == "__main__":
    main()
