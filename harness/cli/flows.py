"""`harness flows`: the flows there are, what is wrong with one, and a picture of it."""

from __future__ import annotations

import click
from rich.table import Table

from harness.bundles.lint import lint
from harness.bundles.load import load_bundles
from harness.cli.options import TEXT, Common, common
from harness.cli.output import answer, answer_json, draw
from harness.cli.stderr import refuse
from harness.errors import BadFlow
from harness.flow import FLOWS, Flow, bundles_of
from harness.flow.draw import mermaid, tree
from harness.flow.read import find_flow, project_flows, read_flow
from harness.records import Record
from harness.wiring import warnings, wire


class FlowView(Record):
    """A flow as the list shows it; `origin` is its file, None for a built-in one."""

    name: str
    description: str
    origin: str | None


@click.group("flows", invoke_without_command=True)
@common
@click.pass_context
def flows(context: click.Context, common: Common) -> int:
    """List the flows: the built-in ones and those in the project's folder flows/, which come first."""
    if context.invoked_subcommand is not None:
        return 0
    own = {name: read_flow(file, common.folder) for name, file in project_flows(common.folder).items()}
    views = [_view(flow) for flow in {**FLOWS, **own}.values()]
    if common.as_json:
        answer_json({"flows": views})
        return 0
    made = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim", expand=True)
    made.add_column("flow", no_wrap=True)
    made.add_column("what it does", ratio=1)
    for view in views:
        made.add_row(view.name if view.origin is None else f"{view.name} *", view.description)
    draw(made)
    if own:
        answer(f"* from the project {common.folder}")
    return 0


@flows.command("check")
@click.argument("flow", metavar="FILE_OR_NAME", type=TEXT)
@common
def flows_check(common: Common, flow: str) -> int:
    """Hold a flow against its agents, as `harness run` does, and say all that is wrong with it.

    Ends with 2 when it cannot be run; with --json its problems are on stdout all the same.
    """
    problems: tuple[str, ...] = ()
    doubtful: list[str] = []
    bundles = load_bundles(common.folder)
    try:
        found = find_flow(flow, common.folder)
        doubtful = warnings(found, bundles)
        wire(found, bundles)
        used = {name: bundles[name] for name in bundles_of(found.flow)}
        wrong = lint(used, servers=common.settings.mcp_servers)
        problems = tuple(f"{each.bundle}: {each.message}" for each in wrong if each.level == "error")
    except BadFlow as bad:
        problems = bad.problems
    if common.as_json:
        answer_json({"flow": flow, "problems": problems, "warnings": doubtful})
        return 2 if problems else 0
    for problem in problems:
        refuse(problem)
    if problems:
        return 2
    for doubt in doubtful:
        answer(f"warning: {doubt}")
    answer(f"{flow} can be run.")
    return 0


@flows.command("show")
@click.argument("flow", metavar="FILE_OR_NAME", type=TEXT)
@click.option("--mermaid", "as_mermaid", is_flag=True, help="Draw it as a Mermaid flowchart.")
@common
def flows_show(common: Common, flow: str, as_mermaid: bool) -> int:
    """Draw a flow as a tree, with where each agent's input comes from."""
    wired = wire(find_flow(flow, common.folder), load_bundles(common.folder))
    if common.as_json:
        answer_json({**_view(wired).model_dump(), "tree": tree(wired), "mermaid": mermaid(wired)})
    else:
        answer(mermaid(wired) if as_mermaid else tree(wired))
    return 0


def _view(flow: Flow) -> FlowView:
    origin = str(flow.origin) if flow.origin else None
    return FlowView(name=flow.name, description=flow.description, origin=origin)
