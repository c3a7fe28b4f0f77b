"""Each doubt the lint has, and that it has none about what is sound."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import BaseModel, Field, create_model

from harness.bundles.bundle import Bundle, Task
from harness.bundles.lint import Finding, lint, lint_flow
from harness.bundles.load import load_bundle, load_bundles
from harness.bundles.scaffold import new_bundle
from harness.flow import Agent, AnyNode, Flow, Supervisor, Team
from harness.flow.read import find_flow
from harness.records import Limits
from harness.tools import Tool, ToolContext, Toolset
from tests.checkout import ROOT


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


def findings(*bundles: Bundle, **sizes: int | None) -> list[Finding]:
    """Lint these bundles."""
    return lint({bundle.name: bundle for bundle in bundles}, sizes)


def said(*bundles: Bundle, **sizes: int | None) -> list[str]:
    """Lint these bundles, and give the lines a person reads."""
    return [str(finding) for finding in findings(*bundles, **sizes)]


def said_of(node: AnyNode, bundles: dict[str, Bundle]) -> list[str]:
    """Lint a flow, and give the lines a person reads."""
    return [str(finding) for finding in lint_flow(Flow(name="dig", flow=node), bundles)]


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


MISSING = "is missing; a reader of the one-pager needs it."
NO_ROLE = "is no real role; say what it is, as one would of a colleague."


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"name": ""}, f"name {MISSING}"),
        ({"role": ""}, f"role {MISSING}"),
        ({"description": ""}, f"description {MISSING}"),
        ({"tools": ()}, f"tools {MISSING}"),
        ({"input": Task}, "inputs are missing; give it an input schema of its own."),
        ({"input": Nothing}, "inputs are missing; give it an input schema of its own."),
        ({"output": Nothing}, "outputs are missing; its output schema has no fields."),
        (
            {"limits": Limits()},
            "termination is missing; set max_steps, max_cost_usd or timeout_s under limits.",
        ),
        ({"role": "Helper"}, f"role 'Helper' {NO_ROLE}"),
        ({"role": "AI-agent"}, f"role 'AI-agent' {NO_ROLE}"),
        ({"role": "my general assistant"}, f"role 'my general assistant' {NO_ROLE}"),
        ({"name": "helper"}, f"name 'helper' {NO_ROLE}"),
        ({"name": "agent"}, f"name 'agent' {NO_ROLE}"),
        ({"name": "assistant"}, f"name 'assistant' {NO_ROLE}"),
        ({"name": "worker1"}, f"name 'worker1' {NO_ROLE}"),
        ({"name": "sub_agent-2"}, f"name 'sub_agent-2' {NO_ROLE}"),
    ],
)
def test_a_gap_in_the_one_pager_is_a_warning(changed: dict[str, object], says: str) -> None:
    """Name, role, description, inputs, outputs, tools and termination are all there, and mean something."""
    name = changed.get("name", "geologist") or "(unnamed)"
    assert said(replace(sound(), **changed)) == [f"warning: {name}: {says}"]  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["travel_agent", "worker_safety_inspector", "task_planner", "agent_smith"])
def test_a_role_may_have_such_a_word_in_it(name: str) -> None:
    """Only a name made of nothing else says nothing."""
    assert said(sound(name)) == []


def test_one_limit_is_a_termination() -> None:
    """Any one of the three limits ends a run."""
    for limits in (Limits(max_steps=1), Limits(max_cost_usd=1), Limits(timeout_s=1)):
        assert said(sound(limits=limits)) == []


def test_more_than_ten_tools_is_an_error() -> None:
    """Ten tools pass, eleven do not; tools of the bundle's own count each."""
    ten = tuple(f"tool{number}" for number in range(10))
    refused = ["error: geologist: has 11 tools, and 10 are the most; split it into two agents."]
    assert said(sound(tools=ten)) == []
    assert said(sound(tools=(*ten, "one_more"))) == refused
    assert said(sound(tools=("corpus",), toolsets=(toolset(10),))) == refused


def test_more_than_fifteen_tools_in_sight_is_a_warning() -> None:
    """A toolset counts with all it offers."""
    bundle = sound(tools=("corpus", "papers"))
    assert said(bundle, corpus=2, papers=13) == []
    assert said(bundle, corpus=2, papers=14) == [
        "warning: geologist: has 16 tools in sight; with more than 15 the choice suffers."
    ]


def test_an_mcp_server_counts_as_unknown_and_is_named() -> None:
    """How many tools it offers is nowhere to be read, so it is said that it was not counted."""
    note = (
        "note: geologist: the MCP server 'papers' is counted as one tool, as how many it offers is known "
        "only when it runs; keep it and the others within 15."
    )
    assert said(sound(tools=("corpus", "papers")), corpus=2, papers=None) == [note]
    assert said(sound(tools=("corpus", "papers")), corpus=15, papers=None) == [
        "warning: geologist: has at least 16 tools in sight; with more than 15 the choice suffers.",
        note,
    ]


def test_a_tool_of_more_than_three_agents_is_a_warning() -> None:
    """Three may share a tool, four are too many."""
    three = [sound(f"geologist{number}", number, tools=(f"own{number}", "drill")) for number in range(3)]
    assert said(*three) == []
    assert said(*three, sound("fourth", 4, tools=("own4", "drill"))) == [
        "warning: geologist0: tool 'drill' is shared by 4 agents (geologist0, geologist1, geologist2, "
        "fourth); give it fewer owners."
    ]


def test_same_tools_and_same_inputs_is_a_warning() -> None:
    """Two agents that differ in neither should be one; a difference in either is enough for few of them."""
    assert said(sound("one"), sound("two")) == [
        "warning: one: overlaps with 'two' in tools and inputs; merge them, or tell them apart."
    ]
    assert said(sound("one"), sound("two", tools=("other",))) == []
    assert said(sound("one"), sound("two", input=Strata)) == []


def test_three_tools_in_common_and_hardly_another_is_a_warning() -> None:
    """So many say something by themselves; two do not, and neither do three among many."""
    tools = ("drill", "map", "scale")
    assert said(sound("one", 1, tools=tools), sound("two", 2, tools=tools)) == [
        "warning: one: has the same tools as 'two' (drill, map, scale); merge them, or give each its own."
    ]
    assert said(sound("one", 1, tools=tools[:2]), sound("two", 2, tools=tools[:2])) == []
    assert said(sound("one", 1, tools=(*tools, "x", "y")), sound("two", 2, tools=tools)) == []


def test_three_inputs_in_common_and_hardly_another_is_a_warning() -> None:
    """Two agents that are given the same things are probably given the same tasks."""
    site = create_model("Site", area=(str, ...), depth=(str, ...), rock=(str, ...))
    wider = create_model("Wider", __base__=site, a=(str, ...), b=(str, ...))
    assert said(sound("one", 1, input=site), sound("two", 2, input=site)) == [
        "warning: one: takes the same inputs as 'two' (area, depth, rock); merge them, or tell their tasks "
        "apart."
    ]
    assert said(sound("one", 1, input=site), sound("two", 2, input=wider)) == []


def test_a_lead_is_not_compared_with_those_it_leads() -> None:
    """A lead and a worker may have the same tools and inputs; two leads may not."""
    assert said(sound("one", model="lead"), sound("two")) == []
    assert len(said(sound("one", model="lead"), sound("two", model="lead"))) == 1


def test_many_members_under_one_supervisor_or_team_is_a_warning() -> None:
    """Eight can be steered, nine are told to be grouped."""
    crew = {f"geologist{number}": sound(f"geologist{number}", number) for number in range(9)}
    eight, nine = (tuple(list(crew)[:count]) for count in (8, 9))
    assert said_of(Supervisor(members=eight), crew) == []
    for group in (Supervisor(members=nine), Team(name="survey", description="Surveys.", members=nine)):
        assert said_of(group, crew) == [
            "warning: The flow 'dig': flow.members: 9 members under one supervisor; group them into teams."
        ]


@pytest.mark.parametrize(
    ("depth", "says"),
    [
        (2, []),
        (
            3,
            [
                "warning: The flow 'dig': members.0/members.0: supervisors are nested 3 deep; 2 are easier "
                "to steer."
            ],
        ),
        (
            4,
            [
                "error: The flow 'dig': members.0/members.0/members.0: this is the 4th supervisor within "
                "another, and 3 are the most; make it flatter.",
                "warning: The flow 'dig': members.0/members.0: supervisors are nested 3 deep; 2 are easier "
                "to steer.",
            ],
        ),
    ],
)
def test_supervisors_within_supervisors_are_doubtful_and_then_refused(depth: int, says: list[str]) -> None:
    """Two levels pass, the third is a warning, the fourth an error."""
    node: AnyNode = Agent(agent="geologist")
    for number in range(depth):
        node = Team(name=f"survey{number}", description="Surveys.", members=(node,))
    assert said_of(node, {"geologist": sound()}) == says


def test_a_node_by_a_name_that_is_no_role_is_a_warning() -> None:
    """The name is what a router knows it by."""
    node = Supervisor(members=(Agent(agent="geologist", name="worker2"),))
    assert said_of(node, {"geologist": sound()}) == [
        "warning: The flow 'dig': members.0.name: 'worker2' is no real role; say what it is, as one would of "
        "a colleague."
    ]


def test_only_the_agents_of_a_flow_are_examined_with_it() -> None:
    """What else the project holds does not matter to it, and one that is not there is said with the rest."""
    bundles = {"geologist": sound(role=""), "helper": sound("helper", 1)}
    flow = Supervisor(members=("geologist", "digger"))
    assert said_of(flow, bundles) == [
        "error: The flow 'dig': members.1.agent: there is no bundle 'digger'; there are geologist, helper.",
        f"warning: geologist: role {MISSING}",
    ]


def test_the_example_flows_are_clean() -> None:
    """What is shown gives no findings."""
    bundles = load_bundles(None)
    examples = sorted((ROOT / "examples" / "flows").iterdir())
    assert len(examples) >= 6
    for file in examples:
        assert lint_flow(find_flow(str(file), None), bundles) == [], file.name


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
