"""What the pages show is what the code does: their examples load, their links lead somewhere."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from importlib.metadata import distributions
from pathlib import Path
from typing import Any, get_args

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from harness.bundles.lint import lint
from harness.bundles.load import load_bundles
from harness.content import KINDS, folders
from harness.events import AnyPayload
from harness.flow.read import find_flow, project_flows
from harness.hook_chain import load_hooks
from harness.hooks import BeforeTool, Deny
from harness.settings import Settings, from_environment
from harness.tools import ToolContext, ToolProblem
from harness.wiring import warnings, wire
from tests.checkout import ROOT

PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])

_FILE = re.compile(r"^`([\w/.]+)`[^\n]*:\n\n```\w+\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\((?!https?:)([^)#]+)(?:#([^)]*))?\)")
_ROW = re.compile(r"^\| `([\w.]+)`", re.MULTILINE)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project made of every file that the pages show."""
    for page in PAGES:
        for name, text in _FILE.findall(page.read_text("utf-8")):
            file = tmp_path / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, "utf-8")
    return tmp_path


@dataclass
class Call:
    """A tool call as the journal's fold has it."""

    tool: str


@dataclass
class Standing:
    """As much of a `harness.hooks.Run` as the shown hooks ask for."""

    settings: Settings
    tools: dict[str, Call]

    @property
    def run(self) -> Standing:
        return self


def before(tool: str) -> BeforeTool:
    return BeforeTool(tool_use_id="toolu_1", tool=tool, input={}, replay="unsafe")


async def test_the_hooks_that_are_shown_do_what_is_said_of_them(project: Path) -> None:
    """They load beside the built-in ones, and refuse what they say they refuse."""
    (settings,) = (
        text
        for kind, text in _BLOCK.findall((ROOT / "docs/hooks.md").read_text("utf-8"))
        if kind == "toml" and tomllib.loads(text)
    )
    (project / "harness.toml").write_text(settings)
    read: Any = Standing(
        from_environment(project, environ={}), {str(n): Call("mcp__corpus__read") for n in range(8)}
    )
    hooks = {hook.name: hook for hook in load_hooks(project, read.settings)}
    no_shell, few_reads = hooks["no_shell"].before_tool, hooks["few_reads"].before_tool
    assert no_shell is not None
    assert few_reads is not None
    assert isinstance(await no_shell(before("Bash"), read), Deny)
    assert await no_shell(before("Read"), read) is None
    assert isinstance(await few_reads(before("mcp__corpus__read"), read), Deny)
    read.tools.popitem()
    assert await few_reads(before("mcp__corpus__read"), read) is None


async def test_the_bundles_that_are_shown_load_and_their_tool_computes(project: Path) -> None:
    """Nothing about them is doubtful, and the tool answers or says what is wrong."""
    bundles = load_bundles(project)
    shown = {name: bundles[name] for name in ("statistician", "translator")}
    said = [finding for finding in lint(shown) if finding.bundle == "statistician"]
    assert said == []
    (toolset,) = shown["statistician"].toolsets
    (tool,) = toolset.tools
    assert shown["statistician"].replay[toolset.qualified(tool)] == "read_only"
    context = ToolContext("session", "tenant", "run", database=None)  # type: ignore[arg-type]
    assert await tool.run(context, tool.input(before=80, after=100)) == "+25.0%"
    with pytest.raises(ToolProblem):
        await tool.run(context, tool.input(before=0, after=1))


def test_the_flows_that_are_shown_can_be_run(project: Path) -> None:
    """Each is read by its name and holds against the built-in bundles, without a doubt."""
    bundles = load_bundles(None)
    shown = project_flows(project)
    assert {"claims", "board"} <= shown.keys()
    for name in shown:
        flow = find_flow(name, project)
        assert wire(flow, bundles)
        assert warnings(flow, bundles) == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page: Path) -> None:
    """To a file of the checkout, and to a heading in it."""
    for target, heading in _LINK.findall(page.read_text("utf-8")):
        file = (page.parent / target).resolve()
        assert file.exists(), f"{page.name} links to {target}"
        if heading:
            assert heading in _anchors(file), f"{page.name} links to {target}#{heading}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_file_named_is_there(page: Path) -> None:
    """A page that speaks of a file of the checkout does not outlive it."""
    named = re.findall(r"`((?:harness|tests|examples|benchmarks|\.ci)/[\w/.]*)`", page.read_text("utf-8"))
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_every_built_in_hook_and_bundle_is_described() -> None:
    """A new one is not forgotten, and one that is gone is not praised."""
    for kind, page in (("hooks", "docs/hooks.md"), ("subagents", "docs/bundles.md")):
        assert kind in KINDS
        (folder,) = folders(kind, None)
        names = {path.stem for path in folder.iterdir() if not path.name.startswith(("_", ".", "README"))}
        assert names <= set(_ROW.findall((ROOT / page).read_text("utf-8"))), page


def test_every_event_named_is_one() -> None:
    """The page on resuming speaks of events that exist."""
    (union, *_) = get_args(AnyPayload)
    kinds = {member.model_fields["kind"].default for member in get_args(union)}
    named = set(re.findall(r"`((?:session|agent_run|model|tool|delegation)\.\w+)`", _text("docs/resume.md")))
    assert named
    assert named <= kinds


def test_every_dependency_is_justified() -> None:
    """Whatever is installed has a line of its own, and no line is left of what is gone."""
    wanted = {requirement.name.lower() for requirement in _requirements()} | {"hatchling"}
    justified = re.findall(r"^\| `([\w-]+)`", _text("docs/dependencies.md").lower(), re.MULTILINE)
    assert sorted(justified) == sorted(wanted)


def test_every_dependency_is_pinned_for_newcomers() -> None:
    """A release of somebody else's tomorrow does not break the command lines of the README."""
    pins = _pins()
    for requirement in _requirements():
        assert pins[canonicalize_name(requirement.name)] in requirement.specifier, requirement


def test_no_pin_needs_a_later_python() -> None:
    """The first Python 3.11 is enough: systems that people use still have an early one."""
    for distribution in distributions():
        if _pins().get(canonicalize_name(distribution.name)) == distribution.version:
            wanted = str(distribution.metadata.json.get("requires_python", ""))
            assert "3.11.0" in SpecifierSet(wanted), f"{distribution.name} needs Python {wanted}"


def test_the_architecture_names_every_part() -> None:
    """The page on the code knows each file and folder of the package."""
    page = _text("docs/architecture.md")
    parts = {path.name for path in (ROOT / "harness").iterdir() if not path.name.startswith("__")}
    parts -= {"py.typed", "_builtin"}
    missing = {name for name in parts if f"`{name.removesuffix('.py')}" not in page}
    assert missing == set()


def _requirements() -> list[Requirement]:
    """Give what the project asks for, with all its extras."""
    project = tomllib.loads(_text("pyproject.toml"))["project"]
    lists = [project["dependencies"], *project["optional-dependencies"].values()]
    found = [Requirement(entry) for entries in lists for entry in entries]
    return [requirement for requirement in found if requirement.name != project["name"]]


def _pins() -> dict[str, str]:
    """Give the versions of constraints.txt by package."""
    lines = [line for line in _text("constraints.txt").splitlines() if not line.startswith("#")]
    return {canonicalize_name(name): version for name, _, version in (line.partition("==") for line in lines)}


def _text(name: str) -> str:
    return (ROOT / name).read_text("utf-8")


def _anchors(file: Path) -> set[str]:
    """Give the anchors of a page's headings, as code hosts make them."""
    headings = re.findall(r"^#+ (.+)$", file.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
