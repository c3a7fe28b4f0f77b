"""What is doubtful about a set of bundles, or about a flow over them, though each of them loads."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations
from types import MappingProxyType
from typing import Literal

from harness.bundles.bundle import Bundle, Task
from harness.bundles.describe import fields_of
from harness.bundles.granted import unknown_tools
from harness.content import is_builtin
from harness.errors import BadFlow
from harness.flow import Flow, bundles_of, walk
from harness.wiring import warnings, wire
from harness.wiring.problem import Problem

MAX_TOOLS = 10
MAX_IN_SIGHT = 15
MAX_SHARED = 3
ALIKE = 0.8
"""Above this share in common (Jaccard index), two sets of tools or inputs count as the same."""
TELLING = 3
"""So many tools or inputs in common say something by themselves; fewer only together."""

NO_ROLES = frozenset(
    {"agent", "ai", "assistant", "bot", "claude", "general", "generic", "helper", "llm", "main", "my", "sub"}
    | {"subagent", "subtask", "task", "the", "worker"}
)
"""Words that give nobody a part; a name made of nothing else is no role, with a number or without."""

Level = Literal["error", "warning", "note"]
_LEVELS: tuple[Level, ...] = ("error", "warning", "note")

Sizes = Mapping[str, int | None]
"""How many tools a named toolset offers; None for an MCP server, which tells only when it runs."""


@dataclass(frozen=True)
class Finding:
    """One doubt about one bundle (or the first of two); `bundle` is None where it is about the flow.

    An error is refused, a warning is said, a note says what could not be examined.
    """

    level: Level
    bundle: str | None
    message: str

    def __str__(self) -> str:
        """Give it on one line."""
        return ": ".join(part for part in (self.level, self.bundle, self.message) if part)


def lint(
    bundles: Mapping[str, Bundle],
    sizes: Sizes = MappingProxyType({}),
    servers: Collection[str] | None = None,
) -> list[Finding]:
    """Examine bundles one by one and against one another; errors come first.

    A tool's name that is not in `sizes` counts as one tool. Those the harness adds itself are not counted.
    `servers` are the MCP servers of the settings; without them nobody can say which tools there are not.
    """
    found = [finding for bundle in bundles.values() for finding in _alone(bundle, sizes)]
    for bundle in bundles.values() if servers is not None else ():
        found += [Finding("error", bundle.name, f"{says}.") for says in unknown_tools(bundle, servers or ())]
    found += _shared(bundles)
    found += _overlapping(bundles)
    return _sorted(found)


def lint_flow(
    flow: Flow,
    bundles: Mapping[str, Bundle],
    sizes: Sizes = MappingProxyType({}),
    servers: Collection[str] | None = None,
) -> list[Finding]:
    """Examine a flow and the bundles that it uses; errors come first."""
    used = {name: bundles[name] for name in bundles_of(flow.flow) if name in bundles}
    found = lint(used, sizes, servers)
    found += [Finding("warning", None, doubt) for doubt in (*_nameless(flow), *warnings(flow, bundles))]
    try:
        wire(flow, bundles)
    except BadFlow as bad:
        found += [Finding("error", None, problem) for problem in bad.problems]
    return _sorted(found)


def _sorted(found: Iterable[Finding]) -> list[Finding]:
    return sorted(found, key=lambda finding: (_LEVELS.index(finding.level), finding.bundle or ""))


def _alone(bundle: Bundle, sizes: Sizes) -> Iterator[Finding]:
    def finding(message: str, level: Level = "warning") -> Finding:
        return Finding(level, bundle.name or "(unnamed)", message)

    for field, says in (
        ("name", bundle.name),
        ("role", bundle.role),
        ("description", bundle.description),
        ("tools", bundle.tools or bundle.toolsets),
    ):
        if not says:
            yield finding(f"{field} is missing; a reader of the one-pager needs it.")
    if bundle.input is Task or not fields_of(bundle.input):
        yield finding("inputs are missing; give it an input schema of its own.")
    if bundle.output is not None and not fields_of(bundle.output):
        yield finding("outputs are missing; its output schema has no fields.")
    if bundle.limits.max_steps is bundle.limits.max_cost_usd is bundle.limits.timeout_s is None:
        yield finding("termination is missing; set max_steps, max_cost_usd or timeout_s under limits.")
    for field, says in (("name", bundle.name), ("role", bundle.role)):
        if _is_no_role(says):
            yield finding(f"{field} '{says}' is no real role; say what it is, as one would of a colleague.")
    yield from _counted(bundle, sizes)


def _counted(bundle: Bundle, sizes: Sizes) -> Iterator[Finding]:
    own = {toolset.name: len(toolset.tools) for toolset in bundle.toolsets}
    granted = dict.fromkeys(bundle.tools, 1) | own
    if (count := sum(granted.values())) > MAX_TOOLS:
        says = f"has {count} tools, and {MAX_TOOLS} are the most; split it into two agents."
        yield Finding("error", bundle.name, says)
    servers = [tool for tool in bundle.tools if tool not in own and sizes.get(tool, 1) is None]
    in_sight = sum(({tool: sizes.get(tool) or 1 for tool in bundle.tools} | own).values())
    if in_sight > MAX_IN_SIGHT:
        least = "at least " if servers else ""
        says = f"has {least}{in_sight} tools in sight; with more than {MAX_IN_SIGHT} the choice suffers."
        yield Finding("warning", bundle.name, says)
    for server in servers:
        says = (
            f"the MCP server '{server}' is counted as one tool, as how many it offers is known only when it "
            f"runs; keep it and the others within {MAX_IN_SIGHT}."
        )
        yield Finding("note", bundle.name, says)


def _is_no_role(says: str) -> bool:
    """Whether a name or a role has no word that says what somebody does: "worker1", "AI-agent"."""
    return set(re.split(r"[\W\d_]+", says.lower())) - {""} <= NO_ROLES if says else False


def _nameless(flow: Flow) -> Iterator[str]:
    """What a router or a lead reads of a node is its name."""
    for address, node in walk(flow.flow):
        if node.name and _is_no_role(node.name):
            says = f"'{node.name}' is no real role; say what it is, as one would of a colleague"
            yield Problem(address, "name", says).sentence(flow)


def _shared(bundles: Mapping[str, Bundle]) -> Iterator[Finding]:
    """Built-in bundles are left out: their common tool only reads."""
    users: dict[str, list[str]] = {}
    for bundle in bundles.values():
        if bundle.origin is None or not is_builtin(bundle.origin):
            for tool in bundle.tools:
                users.setdefault(tool, []).append(bundle.name)
    for tool, names in users.items():
        if len(names) > MAX_SHARED:
            says = (
                f"tool '{tool}' is shared by {len(names)} agents ({', '.join(names)}); give it fewer owners."
            )
            yield Finding("warning", names[0], says)


def _overlapping(bundles: Mapping[str, Bundle]) -> Iterator[Finding]:
    """A lead is compared with leads only: what it does with the same tools is to delegate."""
    for one, other in combinations(bundles.values(), 2):
        if (one.model == "lead") != (other.model == "lead"):
            continue
        tools = _alike(_tools(one), _tools(other))
        inputs = _alike(fields_of(one.input), fields_of(other.input))
        if tools and inputs:
            says = f"overlaps with '{other.name}' in tools and inputs; merge them, or tell them apart."
        elif len(tools) >= TELLING:
            shown = ", ".join(sorted(tools))
            says = f"has the same tools as '{other.name}' ({shown}); merge them, or give each its own."
        elif len(inputs) >= TELLING:
            shown = ", ".join(sorted(inputs))
            says = (
                f"takes the same inputs as '{other.name}' ({shown}); merge them, or tell their tasks apart."
            )
        else:
            continue
        yield Finding("warning", one.name, says)


def _tools(bundle: Bundle) -> frozenset[str]:
    return frozenset({*bundle.tools, *(toolset.name for toolset in bundle.toolsets)})


def _alike(one: frozenset[str], other: frozenset[str]) -> frozenset[str]:
    """What two sets have in common, if they are nearly the same; else nothing."""
    common = one & other
    return common if common and len(common) / len(one | other) >= ALIKE else frozenset()
