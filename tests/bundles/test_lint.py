"""Each doubt the lint has, and that it has none about what is sound."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import BaseModel, Field, create_model

from harness.bundles.bundle import Bundle, Task
from harness.bundles.lint import Finding, lint
from harness.bundles.load import load_bundle, load_bundles
from harness.bundles.scaffold import new_bundle
from harness.records import Limits
from harness.tools import Tool, ToolContext, Toolset


class Strata(BaseModel):
    """An input of its own."""

    area: str


class Nothing(BaseModel):
    """A schema without fields."""


def sound(name: str = "geologist", number: int = 0, **changed: object) -> Bundle:
    """Give a bundle nobody can object to; `number` makes its tools and inputs unlike those of others."""
    bundle = Bundle.define(
        name=name,
        role="field geologist",
        description="Reads strata.",
        prompt="You read strata.",
        input=create_model("Input", **{f"area{number}": (str, Field(description="Where."))}),  # type: ignore[call-overload]
        output=Strata,
        tools=[f"tool{number}"],
        limits=Limits(max_steps=5),
    )
    return replace(bundle, **changed)  # type: ignore[arg-type]


def findings(*bundles: Bundle, **sizes: int) -> list[Finding]:
    """Lint these bundles."""
    return lint({bundle.name: bundle for bundle in bundles}, sizes)


async def run(context: ToolContext, task: Task) -> str:
    """Answer as a tool."""
    return f"{context.tenant} {task.objective}"


def toolset(count: int) -> Toolset:
    """Give a toolset of so many tools."""
    return Toolset("dating", tuple(Tool(f"tool{number}", "Dates.", Task, run) for number in range(count)))


def test_a_sound_bundle_gives_no_findings() -> None:
    """The ground the other tests vary is clean."""
    assert findings(sound()) == []


def test_built_in_bundles_are_clean() -> None:
    """What ships gives no findings."""
    assert lint(load_bundles(None)) == []


def test_a_new_bundle_beside_the_built_in_ones_is_clean(tmp_path: Path) -> None:
    """What `agents new` writes gives a newcomer no warnings."""
    new_bundle("geologist", tmp_path)
    assert lint(load_bundles(tmp_path)) == []


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"name": ""}, "name is missing"),
        ({"role": ""}, "role is missing"),
        ({"description": ""}, "description is missing"),
        ({"input": Task}, "inputs are missing"),
        ({"input": Nothing}, "inputs are missing"),
        ({"output": Nothing}, "outputs are missing"),
        ({"tools": ()}, "tools is missing"),
        ({"limits": Limits()}, "termination is missing"),
        ({"role": "Helper"}, "role 'Helper' is no real role"),
        ({"role": "AI-agent"}, "role 'AI-agent' is no real role"),
        ({"name": "assistant"}, "name 'assistant' is no real role"),
    ],
)
def test_a_gap_in_the_one_pager_is_a_warning(changed: dict[str, object], says: str) -> None:
    """Name, role, description, inputs, outputs, tools and termination are all there, and mean something."""
    [finding] = findings(replace(sound(), **changed))  # type: ignore[arg-type]
    assert finding.level == "warning"
    assert finding.bundle == (changed.get("name", "geologist") or "(unnamed)")
    assert says in finding.message


def test_one_limit_is_a_termination() -> None:
    """Any one of the three limits ends a run."""
    for limits in (Limits(max_steps=1), Limits(max_cost_usd=1), Limits(timeout_s=1)):
        assert findings(sound(limits=limits)) == []


def test_more_than_ten_tools_is_an_error() -> None:
    """Ten tools pass, eleven do not; tools of the bundle's own count each."""
    ten = tuple(f"tool{number}" for number in range(10))
    assert findings(sound(tools=ten)) == []
    [finding] = findings(sound(tools=(*ten, "one_more")))
    assert finding.level == "error"
    assert "has 11 tools" in finding.message
    [finding] = findings(sound(tools=("corpus",), toolsets=(toolset(10),)))
    assert finding.level == "error"


def test_more_than_fifteen_tools_in_sight_is_a_warning() -> None:
    """A server counts with all it offers."""
    bundle = sound(tools=("corpus", "papers"))
    assert findings(bundle, corpus=2, papers=13) == []
    [finding] = findings(bundle, corpus=2, papers=14)
    assert (finding.level, finding.message.split(";")[0]) == ("warning", "has 16 tools in sight")


def test_a_tool_of_more_than_three_agents_is_a_warning() -> None:
    """Three may share a tool, four are too many."""
    three = [sound(f"geologist{number}", number, tools=(f"own{number}", "drill")) for number in range(3)]
    assert findings(*three) == []
    [finding] = findings(*three, sound("fourth", 4, tools=("own4", "drill")))
    assert finding.level == "warning"
    assert (
        "tool 'drill' is shared by 4 agents (geologist0, geologist1, geologist2, fourth)" in finding.message
    )


def test_same_tools_and_same_inputs_is_a_warning() -> None:
    """Two agents that differ in neither should be one; a difference in either is enough."""
    [finding] = findings(sound("one"), sound("two"))
    assert (finding.level, finding.bundle) == ("warning", "one")
    assert "overlaps with 'two' in tools and inputs; merge them" in finding.message
    assert findings(sound("one"), sound("two", tools=("other",))) == []
    assert findings(sound("one"), sound("two", input=Strata)) == []


def test_a_lead_is_not_compared_with_those_it_leads() -> None:
    """A lead and a worker may have the same tools and inputs; two leads may not."""
    assert findings(sound("one", model="lead"), sound("two")) == []
    assert len(findings(sound("one", model="lead"), sound("two", model="lead"))) == 1


def test_errors_come_first() -> None:
    """Whatever the order of the bundles, what is refused is said before what is doubtful."""
    crowded = sound("zoologist", 1, tools=tuple(f"t{number}" for number in range(11)))
    assert [finding.level for finding in findings(sound(role=""), crowded)] == ["error", "warning"]


def test_a_claude_code_file_is_told_what_it_lacks(tmp_path: Path) -> None:
    """Such a file loads, and the lint says what to add."""
    file = tmp_path / "reviewer.md"
    file.write_text("---\nname: reviewer\ndescription: Reviews code.\ntools: Read\n---\nYou review code.\n")
    bundle = load_bundle(file)
    words = {finding.message.split(" ")[0] for finding in lint({bundle.name: bundle})}
    assert words == {"role", "inputs", "termination"}
