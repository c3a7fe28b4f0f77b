"""`harness init`: a folder becomes a project."""

from __future__ import annotations

from pathlib import Path

import click

from harness.bundles.scaffold import init_project
from harness.cli.options import Common, common
from harness.cli.output import answer, answer_json


@click.command("init")
@click.argument("folder", type=click.Path(path_type=Path), required=False)
@common
def init(common: Common, folder: Path | None) -> int:
    """Make FOLDER (by default the current one) a project.

    It gets a harness.toml with every setting in it, the folders subagents, prompts and hooks, and flows with
    an example. Nothing is overwritten.
    """
    target = folder or common.project or Path.cwd()
    written = init_project(target)
    if common.as_json:
        answer_json({"folder": str(target.absolute()), "written": [str(path) for path in written]})
        return 0
    for path in written:
        answer(f"wrote {path}")
    answer("Next: harness agents new NAME, harness flows show example, or edit harness.toml.")
    return 0
