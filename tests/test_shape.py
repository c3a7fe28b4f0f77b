"""The shape of the code: who may know whom, how long a file may be, and what is said in one place only."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import click

from harness.__main__ import cli
from tests.checkout import ROOT, files

LONGEST = 360
"""Lines of a source file."""

LAYERS: dict[str, tuple[str, ...]] = {
    "words": (
        "backoff",
        "beside",
        "errors",
        "log_fields",
        "messages",
        "outbound",
        "process_times",
        "quotes",
        "records",
        "redaction",
        "strict_yaml",
        "tags",
        "thinking",
        "wire",
        "wire_redaction",
        "wording",
    ),
    "content": (
        "citations",
        "content",
        "flow",
        "known_secrets",
        "packing",
        "pricing",
        "prompts",
        "sections",
        "settings",
        "settings_reference",
    ),
    "journal": (
        "audit",
        "branch",
        "ending",
        "event_log",
        "events",
        "limits",
        "liveness",
        "mailbox",
        "plan",
        "progress",
        "resume",
        "rollout",
        "state",
        "stopping",
        "stops",
        "tracing",
        "transcript",
    ),
    "store": ("crashpoints", "store"),
    "export": ("export",),
    "agents": (
        "bundles",
        "corpus",
        "delegation",
        "edits",
        "help",
        "hook_chain",
        "hooks",
        "offers",
        "results",
        "routing",
        "strict_schema",
        "tool_cache",
        "tools",
        "toolserver",
        "toolsets",
        "wiring",
    ),
    "model": ("attempt", "claude", "gateway", "launch_slots", "mcp_servers", "mcp_start", "offline"),
    "agent run": (
        "agent_run",
        "answering",
        "briefing",
        "conclusion",
        "context",
        "decision_forms",
        "direct",
        "router",
        "survivors",
        "toolbelt",
    ),
    "session": ("engine", "session"),
    "library": (
        "beginning",
        "candidate",
        "forking",
        "housekeeping",
        "library",
        "metrics",
        "page",
        "permit",
        "replay",
        "request",
        "resumable",
        "rolling_out",
        "starting",
        "steering",
        "taking_up",
        "versions",
        "watching",
        "worker",
    ),
    "command line": ("__main__", "cli"),
}
"""From the lowest to the highest: a file imports from its own layer and from those before it."""


def _modules() -> dict[str, Path]:
    """Give every module of the package by its dotted name."""
    paths = sorted((ROOT / "harness").rglob("*.py"))
    names = (".".join(path.relative_to(ROOT).with_suffix("").parts) for path in paths)
    return dict(zip((name.removesuffix(".__init__") for name in names), paths, strict=True))


MODULES = _modules()


def test_no_source_file_is_long() -> None:
    """One concept a file; what grows beyond it is two."""
    sources = [
        path
        for folder in ("harness", "hooks", "subagents", "examples")
        for path in (ROOT / folder).rglob("*.py")
    ]
    lines = {path.relative_to(ROOT).as_posix(): len(path.read_text("utf-8").splitlines()) for path in sources}
    assert {name: count for name, count in lines.items() if count > LONGEST} == {}


def test_every_file_has_its_layer() -> None:
    """A new file or folder of the package is given a place before it is used."""
    placed = [name for layer in LAYERS.values() for name in layer]
    assert len(placed) == len(set(placed))
    assert set(placed) == {_room(module) for module in MODULES if module != "harness"}


def test_imports_go_one_way() -> None:
    """No file imports from a layer above its own, not even for type checkers or within a function."""
    height = {name: level for level, layer in enumerate(LAYERS.values()) for name in layer}
    upwards = [
        f"{module} imports {name}"
        for module, path in MODULES.items()
        if module != "harness"
        for name in _own_imports(path)
        if name == "harness" or height[_room(name)] > height[_room(module)]
    ]
    assert upwards == []


def test_no_imports_run_in_a_circle() -> None:
    """Within a layer, too, of two files only one knows the other; a circle raises and is named."""
    order = TopologicalSorter({module: _own_imports(path) - {module} for module, path in MODULES.items()})
    assert set(order.static_order()) == set(MODULES)


def test_content_imports_only_the_harness_and_the_standard_library() -> None:
    """A user's hooks and bundles stand in the same place and can do no less; schemas are pydantic's."""
    allowed = {*sys.stdlib_module_names, "harness", "pydantic"}
    foreign = {
        path.relative_to(ROOT).as_posix(): strangers
        for folder in ("hooks", "subagents")
        for path in (ROOT / folder).rglob("*.py")
        if (strangers := {name.split(".")[0] for name in _imports(path)} - allowed)
    }
    assert foreign == {}


def test_nothing_imports_content_by_name() -> None:
    """It is found by convention; an application of somebody else's may have a package called hooks."""
    static = [
        module
        for module, path in MODULES.items()
        if {name.split(".")[0] for name in _imports(path)} & {"hooks", "prompts", "subagents"}
    ]
    assert static == []


def test_one_file_reads_the_environment() -> None:
    """What can be set is set in one place; the script that starts a server only hands on, and adds."""
    assert _naming("environ", "environb", "getenv") == ["harness.mcp_start", "harness.settings"]


def test_one_file_drives_the_sdk_client() -> None:
    """One way to start and to end an agent's process."""
    assert _naming("ClaudeSDKClient") == ["harness.claude"]


def test_one_file_reads_the_sdk_hook_dicts() -> None:
    """One place turns whatever goes wrong in a hook into a denial."""
    assert _naming("HookInput") == ["harness.hook_chain"]


def test_sql_is_written_in_the_store_only() -> None:
    """A string that begins like a statement is one."""
    statement = re.compile(
        r"\s*(?:select\s.+\sfrom\s|select\s+\w+\(|insert\s+into\s|update\s+\w+\s+set\s|delete\s+from\s"
        r"|(?:create|alter|drop)\s+(?:table|index|database|schema)\s|truncate\s|listen\s|notify\s)",
        re.IGNORECASE | re.DOTALL,
    )
    assert statement.match("update session set head = 1")
    elsewhere = [
        f"{module}: {node.value[:60]}"
        for module, path in MODULES.items()
        if not module.startswith("harness.store")
        for node in ast.walk(_tree(path))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and statement.match(node.value)
    ]
    assert elsewhere == []


def test_every_command_has_help_and_stands_in_the_readme() -> None:
    """A newcomer finds each command, and each of its options says what it does."""
    readme = (ROOT / "README.md").read_text("utf-8")
    for words, command in _commands(cli, "harness"):
        assert command.help, f"{words} has no help"
        assert f"`{words}" in readme, f"{words} is not in the README"
        for parameter in command.params:
            described = not isinstance(parameter, click.Option) or parameter.help
            assert described, f"{words}: {parameter.name} has no help"


def test_no_file_knows_this_machine() -> None:
    """No registry's address, nobody's home folder, nothing that is there on one machine only."""
    # Written in parts, so that this file does not hold what it looks for.
    hosts = ("py" + "pi.org", "python" + "hosted.org", "npm" + "js.org", "npm" + "js.com")
    folders = ("wo" + "rk", "ro" + "ot", "opt/" + "(?:pypi|wheels)")
    unwanted = re.compile(
        rf"(?:{'|'.join(map(re.escape, hosts))})|(?<![\w.<>}}/-])/(?:{'|'.join(folders)})(?![\w-])"
    )
    found = {
        f"{path.relative_to(ROOT)}: {match.group()}"
        for path in files()
        for match in unwanted.finditer(path.read_text("utf-8", errors="replace"))
    }
    assert found == set()


def _commands(group: click.Group, words: str) -> Iterator[tuple[str, click.Command]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        yield f"{words} {name}", command
        if isinstance(command, click.Group):
            yield from _commands(command, f"{words} {name}")


def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"), str(path))


def _imports(path: Path) -> Iterator[str]:
    for node in ast.walk(_tree(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path} has a relative import"
            for alias in node.names:
                below = f"{node.module}.{alias.name}"
                yield below if below in MODULES else str(node.module)


def _own_imports(path: Path) -> set[str]:
    return {name for name in _imports(path) if name.split(".")[0] == "harness"}


def _room(module: str) -> str:
    """Give the file or folder of the package that a module stands in."""
    return module.split(".")[1]


def _naming(*names: str) -> list[str]:
    """Give the modules whose code, comments and docstrings left out, uses one of these names."""
    using = []
    for module, path in MODULES.items():
        for node in ast.walk(_tree(path)):
            used = {getattr(node, field, None) for field in ("id", "attr", "name")}
            if used & set(names) and module not in using:
                using.append(module)
    return using
