"""`harness agents`: the bundles there are, what is doubtful about them, and a first version of a new one."""

from __future__ import annotations

import click
from rich.table import Table
from rich.text import Text

from harness.bundles.bundle import Bundle
from harness.bundles.lint import Sizes, lint, lint_flow
from harness.bundles.load import load_bundles
from harness.bundles.scaffold import new_bundle
from harness.cli import words
from harness.cli.options import TEXT, Common, common
from harness.cli.output import answer, answer_json, draw
from harness.content import is_builtin
from harness.flow.read import find_flow
from harness.records import Limits, Record
from harness.settings import Settings


class AgentView(Record):
    """A bundle as the list shows it; `origin` is its file, None for a built-in one."""

    name: str
    role: str
    description: str
    model: str
    tools: tuple[str, ...]
    limits: Limits
    one_pager: str
    version: str
    origin: str | None


@click.group("agents", invoke_without_command=True)
@common
@click.pass_context
def agents(context: click.Context, common: Common) -> int:
    """List the agents: the built-in ones and those of the project, which come first."""
    if context.invoked_subcommand is not None:
        return 0
    settings = common.settings
    views = [_view(bundle, settings) for bundle in load_bundles(common.folder).values()]
    if common.as_json:
        answer_json({"agents": views})
        return 0
    made = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim", expand=True)
    for heading in ("agent", "model", "tools", "limits"):
        made.add_column(heading, no_wrap=True)
    made.add_column("what it is for", ratio=1)
    for view in views:
        name = view.name if view.origin is None else f"{view.name} *"
        tools = Text("\n".join(view.tools) or "-")
        made.add_row(name, view.model, tools, _limits(view.limits), view.description)
    draw(made)
    if any(view.origin for view in views):
        answer(f"* from the project {common.folder}")
    return 0


@agents.command("lint")
@click.option("--flow", metavar="FILE_OR_NAME", type=TEXT, help="Examine this flow and its agents alone.")
@common
def agents_lint(common: Common, flow: str | None) -> int:
    """Examine the agents: too many tools, overlaps, missing parts. Ends with 2 when one cannot be used."""
    bundles, sizes = load_bundles(common.folder), _sizes(common.settings)
    servers = common.settings.mcp_servers
    found = lint(bundles, sizes, servers)
    if flow is not None:
        found = lint_flow(find_flow(flow, common.folder), bundles, sizes, servers)
    if common.as_json:
        rows = [{"level": each.level, "agent": each.bundle, "message": each.message} for each in found]
        answer_json({"findings": rows})
    else:
        for each in found:
            answer(str(each))
        errors, warned = (sum(each.level == level for each in found) for level in ("error", "warning"))
        answer(f"{words.number(errors, 'error')}, {words.number(warned, 'warning')}.")
    return 2 if any(each.level == "error" for each in found) else 0


def _sizes(settings: Settings) -> Sizes:
    from harness.toolbelt import TOOLSETS  # here, because importing the SDK takes a second

    known = {name: len(toolset.tools) for name, toolset in TOOLSETS.items()}
    return {**dict.fromkeys(settings.mcp_servers), **known}


@agents.command("new")
@click.argument("name")
@common
def agents_new(common: Common, name: str) -> int:
    """Write the first version of an agent NAME into the project's folder subagents/."""
    folder = new_bundle(name, common.folder)
    if common.as_json:
        answer_json({"agent": name, "folder": str(folder)})
    else:
        answer(f"{folder} has AGENT.md and schemas.py; edit them, then try: harness agents lint")
    return 0


def _view(bundle: Bundle, settings: Settings) -> AgentView:
    own = bundle.origin is not None and not is_builtin(bundle.origin)
    return AgentView(
        name=bundle.name,
        role=bundle.role,
        description=bundle.description,
        model=settings.models.named(bundle.model),
        tools=(*bundle.tools, *(toolset.name for toolset in bundle.toolsets)),
        limits=bundle.limits,
        one_pager=bundle.one_pager,
        version=bundle.version,
        origin=str(bundle.origin) if own else None,
    )


def _limits(limits: Limits) -> str:
    parts = [
        f"{limits.max_steps} steps" if limits.max_steps else "",
        words.dollars(limits.max_cost_usd) if limits.max_cost_usd else "",
        words.clock(limits.timeout_s) if limits.timeout_s else "",
    ]
    return "\n".join(filter(None, parts)) or "-"
