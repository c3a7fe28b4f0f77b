"""What is doubtful about a set of bundles, though each of them loads."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations
from types import MappingProxyType
from typing import Literal

from harness.bundles.bundle import Bundle, Task
from harness.bundles.describe import fields_of
from harness.content import is_builtin

MAX_TOOLS = 10
MAX_IN_SIGHT = 15
MAX_SHARED = 3
ALIKE = 0.8
"""Above this share in common (Jaccard index), two sets of tools or inputs count as the same."""

NO_ROLES = frozenset(
    {"agent", "ai", "ai agent", "assistant", "bot", "general assistant", "helper", "subagent", "worker"}
)
"""Words that give nobody a part."""


@dataclass(frozen=True)
class Finding:
    """One doubt about one bundle (or the first of two). An error is refused, a warning is said."""

    level: Literal["error", "warning"]
    bundle: str
    message: str


def lint(bundles: Mapping[str, Bundle], sizes: Mapping[str, int] = MappingProxyType({})) -> list[Finding]:
    """Examine bundles one by one and against one another; errors come first.

    `sizes` says how many tools a named toolset or MCP server offers; one that is not in it counts as one.
    """
    found = [finding for bundle in bundles.values() for finding in _alone(bundle, sizes)]
    found += _shared(bundles)
    found += _overlapping(bundles)
    return sorted(found, key=lambda finding: (finding.level, finding.bundle))


def _alone(bundle: Bundle, sizes: Mapping[str, int]) -> Iterator[Finding]:
    def finding(message: str, level: Literal["error", "warning"] = "warning") -> Finding:
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
        if says.lower().replace("_", " ").replace("-", " ") in NO_ROLES:
            yield finding(f"{field} '{says}' is no real role; say what it is, as one would of a colleague.")
    own = {toolset.name: len(toolset.tools) for toolset in bundle.toolsets}
    granted = {tool: 1 for tool in bundle.tools} | own
    if (count := sum(granted.values())) > MAX_TOOLS:
        yield finding(f"has {count} tools, and {MAX_TOOLS} are the most; split it into two agents.", "error")
    in_sight = sum((granted | {tool: sizes[tool] for tool in bundle.tools if tool in sizes} | own).values())
    if in_sight > MAX_IN_SIGHT:
        yield finding(f"has {in_sight} tools in sight; with more than {MAX_IN_SIGHT} the choice suffers.")


def _shared(bundles: Mapping[str, Bundle]) -> Iterator[Finding]:
    """Built-in bundles are left out: their common tool only reads."""
    users: dict[str, list[str]] = {}
    for bundle in bundles.values():
        if bundle.origin is None or not is_builtin(bundle.origin):
            for tool in bundle.tools:
                users.setdefault(tool, []).append(bundle.name)
    for tool, names in users.items():
        if len(names) > MAX_SHARED:
            yield Finding(
                "warning",
                names[0],
                f"tool '{tool}' is shared by {len(names)} agents ({', '.join(names)}); give it fewer owners.",
            )


def _overlapping(bundles: Mapping[str, Bundle]) -> Iterator[Finding]:
    """A lead is compared with leads only: what it does with the same tools is to delegate."""
    for one, other in combinations(bundles.values(), 2):
        same_kind = (one.model == "lead") == (other.model == "lead")
        if (
            same_kind
            and _alike(_tools(one), _tools(other))
            and _alike(fields_of(one.input), fields_of(other.input))
        ):
            yield Finding(
                "warning",
                one.name,
                f"overlaps with '{other.name}' in tools and inputs; merge them, or tell them apart.",
            )


def _tools(bundle: Bundle) -> frozenset[str]:
    return frozenset({*bundle.tools, *(toolset.name for toolset in bundle.toolsets)})


def _alike(one: frozenset[str], other: frozenset[str]) -> bool:
    return bool(one | other) and len(one & other) / len(one | other) >= ALIKE
