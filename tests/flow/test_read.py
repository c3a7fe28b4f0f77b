"""Flows from files: what a file says is the tree it says, and a bad file is named with its field."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.bundles.load import load_bundles
from harness.errors import BadFlow
from harness.flow import (
    FLOWS,
    Agent,
    BestEffort,
    Blackboard,
    FanOut,
    Flow,
    Gate,
    Lead,
    Pipeline,
    Quorum,
    Seat,
    StateField,
    Supervisor,
)
from harness.flow.read import find_flow, project_flows, read_flow
from harness.records import Limits
from harness.wiring import warnings, wire
from tests.checkout import ROOT


def write(folder: Path, **files: str) -> None:
    """Write files, each named by its key: `a_yaml` is a.yaml, and those of flows/ begin with `flows_`."""
    for key, text in files.items():
        stem, _, suffix = key.rpartition("_")
        place = folder / "flows" if stem.startswith("flows_") else folder
        place.mkdir(exist_ok=True)
        (place / f"{stem.removeprefix('flows_')}.{suffix}").write_text(text, "utf-8")


def test_a_file_is_the_tree_it_says(tmp_path: Path) -> None:
    """Every pattern, with what can be said about it."""
    write(
        tmp_path,
        all_yaml="""
description: Everything.
state:
  notes: {kind: list, reducer: append, writers: [scout]}
flow:
  pattern: pipeline
  stages:
    - researcher
    - pattern: fan_out
      name: checks
      policy: {kind: quorum, n: 1}
      branches:
        - {agent: fact_checker, take: {claims: previous.findings}}
        - agent: researcher
          name: scout
          write: {notes: conflicts}
          gate: {verifier: judge, fixes: 1}
          limits: {max_steps: 3}
      merge: {agent: lead, members: [researcher], pattern: lead}
    - {pattern: fan_out, policy: best_effort, branches: [analyst]}
    - {pattern: supervisor, members: [analyst], charter: Be quick., max_decisions: 3}
    - pattern: blackboard
      goal: [notes]
      seats:
        - analyst
        - {member: researcher, reads: [notes]}
""",
    )
    read = read_flow(tmp_path / "all.yaml", None)
    scout = Agent(
        agent="researcher",
        name="scout",
        write={"notes": "conflicts"},
        gate=Gate(verifier="judge", fixes=1),
        limits=Limits(max_steps=3),
    )
    assert read == Flow(
        name="all",
        description="Everything.",
        state={"notes": StateField(kind="list", reducer="append", writers=("scout",))},
        flow=Pipeline(
            stages=(
                "researcher",
                FanOut(
                    name="checks",
                    policy=Quorum(n=1),
                    branches=(Agent(agent="fact_checker", take={"claims": "previous.findings"}), scout),
                    merge=Lead(members=("researcher",)),
                ),
                FanOut(policy=BestEffort(), branches=("analyst",)),
                Supervisor(members=("analyst",), charter="Be quick.", max_decisions=3),
                Blackboard(
                    goal=("notes",),
                    seats=(Seat(member="analyst"), Seat(member="researcher", reads=("notes",))),
                ),
            )
        ),
        origin=tmp_path / "all.yaml",
    )


def test_toml_says_the_same(tmp_path: Path) -> None:
    """Both formats have the same keys."""
    write(
        tmp_path,
        a_yaml="name: a\nflow: {pattern: pipeline, stages: [researcher, {agent: analyst, name: b}]}\n",
        a_toml='name = "a"\n[flow]\npattern = "pipeline"\n'
        'stages = ["researcher", {agent = "analyst", name = "b"}]\n',
    )
    yaml, toml = (read_flow(tmp_path / f"a.{suffix}", None) for suffix in ("yaml", "toml"))
    assert yaml.flow == toml.flow
    assert toml.origin == tmp_path / "a.toml"


def test_a_bundle_alone_is_a_flow(tmp_path: Path) -> None:
    """Its name stands for an agent at the root, too."""
    write(tmp_path, one_yaml="flow: analyst\n")
    assert read_flow(tmp_path / "one.yaml", None).flow == Agent(agent="analyst")


def test_a_project_has_flows_by_name(tmp_path: Path) -> None:
    """They come before the built-in ones, and what is no flow is left alone."""
    write(tmp_path, flows_research_yaml="flow: analyst\n", flows_mine_toml='flow = "lead"\n')
    (tmp_path / "flows" / "README.md").write_text("x")
    assert set(project_flows(tmp_path)) == {"research", "mine"}
    assert find_flow("research", tmp_path).flow == Agent(agent="analyst")
    assert find_flow("research", None) == FLOWS["research"]
    assert find_flow("single", tmp_path) == FLOWS["single"]
    with pytest.raises(
        BadFlow, match=r"no flow named 'mien'; choose one of mine, research, single \(did you"
    ):
        find_flow("mien", tmp_path)


def test_another_flow_is_included(tmp_path: Path) -> None:
    """Its tree and its state come in; beside `use` it can be named and told what to take."""
    write(
        tmp_path,
        outer_yaml="""
flow:
  pattern: pipeline
  stages:
    - {use: parts/inner.yaml, take: {objective: question}}
    - {use: research, name: again}
    - use: mine
""",
        flows_mine_yaml="flow: analyst\n",
    )
    (tmp_path / "parts").mkdir()
    write(
        tmp_path / "parts",
        inner_yaml="""
description: Looks twice.
state: {notes: {kind: list}}
flow: {pattern: pipeline, stages: [researcher, {use: deepest.yaml}]}
""",
        deepest_yaml="flow: {pattern: fan_out, branches: [nobody]}\n",
    )
    read = read_flow(tmp_path / "outer.yaml", tmp_path)
    deepest = FanOut(name="deepest", branches=("nobody",))
    inner = Pipeline(
        name="inner",
        description="Looks twice.",
        stages=("researcher", deepest),
        take={"objective": "question"},
    )
    again = FLOWS["research"].flow.model_copy(
        update={"name": "again", "description": FLOWS["research"].description}
    )
    assert read.flow == Pipeline(stages=(inner, again, "analyst"))
    assert read.state == {"notes": StateField(kind="list")}
    assert read.file_of("stages.0/stages.1/branches.0") == (tmp_path / "parts/deepest.yaml", "branches.0")
    assert read.file_of("stages.0/stages.0") == (tmp_path / "parts/inner.yaml", "stages.0")
    assert read.file_of("stages.1/members.0") == (tmp_path / "outer.yaml", "stages.1/members.0")
    with pytest.raises(BadFlow) as refused:
        wire(read, load_bundles(None))
    said = refused.value.problems
    assert any(
        f"{tmp_path}/parts/deepest.yaml: branches.0.agent: there is no bundle" in each for each in said
    )


BAD: dict[str, tuple[dict[str, str], str]] = {
    "no such file": ({}, "There is no flow file "),
    "broken YAML": ({"a_yaml": "flow:\n  - [x\n"}, "a.yaml, line 3: this is not valid YAML"),
    "a key twice": (
        {"a_yaml": "flow: x\nflow: y\n"},
        "a.yaml, line 2: this is not valid YAML: 'flow' is given",
    ),
    "no mapping": ({"a_yaml": "- x\n"}, "a.yaml: a flow should be 'key: value' lines"),
    "empty": ({"a_yaml": ""}, "a.yaml: a flow should be 'key: value' lines"),
    "no flow": ({"a_yaml": "name: a\n"}, "a.yaml: flow: is required"),
    "unknown key": (
        {"a_yaml": "descripton: x\nflow: x\n"},
        "descripton: is not known (did you mean 'description'?)",
    ),
    "name no text": ({"a_yaml": "name: [x]\nflow: x\n"}, "a.yaml: name: should be a valid string"),
    "state no mapping": (
        {"a_yaml": "state: x\nflow: x\n"},
        "a.yaml: state: should be an object of keys and values",
    ),
    "state of no kind": (
        {"a_yaml": "state: {x: {kind: txt}}\nflow: x\n"},
        "a.yaml: state.x.kind: should be 'text', 'number'",
    ),
    "unknown reducer": (
        {"a_yaml": "state: {x: {kind: text, reducer: join}}\nflow: x\n"},
        "a.yaml: state.x.reducer: should be 'replace', 'append'",
    ),
    "node no node": (
        {"a_yaml": "flow: 12\n"},
        "a.yaml: flow: should be a bundle's name or a node with a pattern",
    ),
    "no pattern": (
        {"a_yaml": "flow: {members: [x]}\n"},
        "a.yaml: flow.pattern: is required; write one of agent, lead",
    ),
    "unknown pattern": (
        {"a_yaml": "flow: {pattern: pipline, stages: [x]}\n"},
        "a.yaml: flow.pattern: 'pipline' is no pattern (did you mean 'pipeline'?)",
    ),
    "pattern no text": ({"a_yaml": "flow: {pattern: [x]}\n"}, "a.yaml: flow.pattern: '['x']' is no pattern"),
    "no stages": ({"a_yaml": "flow: {pattern: pipeline}\n"}, "a.yaml: flow.stages: is required"),
    "stages empty": ({"a_yaml": "flow: {pattern: pipeline, stages: []}\n"}, "a.yaml: flow.stages: is empty"),
    "stages no list": (
        {"a_yaml": "flow: {pattern: pipeline, stages: x}\n"},
        "a.yaml: flow.stages: should be a list (got 'x')",
    ),
    "key of no pattern": (
        {"a_yaml": "flow: {pattern: pipeline, stages: [x, {agent: y, taek: {}}]}\n"},
        "a.yaml: stages.1.taek: is not known (did you mean 'take'?)",
    ),
    "name of no form": (
        {"a_yaml": "flow: {agent: x, name: My Agent}\n"},
        "a.yaml: flow.name: String should match pattern",
    ),
    "take no text": (
        {"a_yaml": "flow: {pattern: fan_out, branches: [{agent: x, take: {y: 1}}]}\n"},
        "a.yaml: branches.0.take.y: should be a valid string (got 1)",
    ),
    "unknown policy": (
        {"a_yaml": "flow: {pattern: fan_out, branches: [x], policy: best_efort}\n"},
        "a.yaml: flow.policy: 'best_efort' is no policy (did you mean 'best_effort'?)",
    ),
    "quorum of none": (
        {"a_yaml": "flow: {pattern: fan_out, branches: [x], policy: {kind: quorum, n: 0}}\n"},
        "a.yaml: flow.policy.n: should be greater than or equal to 1 (got 0)",
    ),
    "too many fixes": (
        {"a_yaml": "flow: {agent: x, gate: {verifier: y, fixes: 99}}\n"},
        "a.yaml: flow.gate.fixes: should be less than or equal to 10 (got 99)",
    ),
    "a team without a description": (
        {"a_yaml": "flow: {pattern: team, name: t, members: [x]}\n"},
        "a.yaml: flow.description: is required",
    ),
    "a seat's slip": (
        {"a_yaml": "flow: {pattern: blackboard, seats: [{member: {agent: x, nam: y}, reads: [z]}]}\n"},
        "a.yaml: seats.0.nam: is not known (did you mean 'name'?)",
    ),
    "a seat's other slip": (
        {"a_yaml": "flow: {pattern: blackboard, seats: [{member: x, red: [z]}]}\n"},
        "a.yaml: seats.0.red: is not known (did you mean 'reads'?)",
    ),
    "an unknown flow included": (
        {"a_yaml": "flow: {pattern: pipeline, stages: [{use: reserch}]}\n"},
        "a.yaml: stages.0.use: There is no flow named 'reserch'; choose one of research, single",
    ),
    "a missing file included": ({"a_yaml": "flow: {use: b.yaml}\n"}, "There is no flow file "),
    "use of no name": (
        {"a_yaml": "flow: {use: [b]}\n"},
        "a.yaml: flow.use: should be the name of a flow or a file",
    ),
    "a key beside use": (
        {"a_yaml": "flow: {use: research, members: [x]}\n"},
        "a.yaml: flow.members: cannot stand beside 'use'",
    ),
    "a flow that includes itself": (
        {"a_yaml": "flow: {use: b.yaml}\n", "b_yaml": "flow: {pattern: pipeline, stages: [{use: a.yaml}]}\n"},
        "b.yaml: stages.0.use: includes itself: a.yaml > b.yaml > a.yaml",
    ),
    "a bad file included": (
        {"a_yaml": "flow: {use: b.yaml}\n", "b_yaml": "flow: {pattern: lead}\n"},
        "b.yaml: flow.members: is required",
    ),
    "state declared in two ways": (
        {
            "a_yaml": "state: {x: {kind: list}}\nflow: {use: b.yaml}\n",
            "b_yaml": "state: {x: {kind: text}}\nflow: y\n",
        },
        "a.yaml: state.x: is declared otherwise in ",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_file_is_refused_with_its_own_sentence(case: str, tmp_path: Path) -> None:
    """The one sentence names the file and the field."""
    files, says = BAD[case]
    write(tmp_path, **files)
    with pytest.raises(BadFlow) as refused:
        read_flow(tmp_path / "a.yaml", tmp_path)
    (problem,) = refused.value.problems
    assert says in problem
    assert str(tmp_path) in problem
    assert "\n" not in problem


def test_broken_toml_and_bytes_are_named(tmp_path: Path) -> None:
    """TOML says where it is broken; what is no text is said to be none."""
    write(tmp_path, a_toml="flow = \n")
    with pytest.raises(BadFlow, match=r"a\.toml: this is not valid TOML: .*line 1"):
        read_flow(tmp_path / "a.toml", None)
    (tmp_path / "b.yaml").write_bytes(b"\xff\xfe\xff")
    with pytest.raises(BadFlow, match=r"b\.yaml cannot be read as UTF-8 text"):
        read_flow(tmp_path / "b.yaml", None)
    (tmp_path / "c.yaml").mkdir()
    with pytest.raises(BadFlow, match=r"c\.yaml cannot be read: "):
        read_flow(tmp_path / "c.yaml", None)


def test_all_problems_of_all_files_are_told_at_once(tmp_path: Path) -> None:
    """An unknown key at the top hides nothing below it, nor does one file another."""
    write(
        tmp_path,
        a_yaml="nam: a\nflow: {pattern: pipeline, stages: [{agent: x, b: 1}, {use: b.yaml}, {use: none}]}\n",
        b_yaml="flow: {pattern: lead, limits: {max_steps: 0}, members: [3]}\n",
    )
    with pytest.raises(BadFlow) as refused:
        read_flow(tmp_path / "a.yaml", None)
    assert [problem.removeprefix(f"{tmp_path}/").split(": ")[:2] for problem in refused.value.problems] == [
        ["a.yaml", "nam"],
        ["a.yaml", "stages.0.b"],
        ["b.yaml", "members.0"],
        ["b.yaml", "flow.limits.max_steps"],
        ["a.yaml", "stages.2.use"],
    ]


def test_two_files_of_one_name_are_refused(tmp_path: Path) -> None:
    """Nobody could say which one is meant; nor may a flow have another name than its file."""
    write(tmp_path, flows_a_yaml="flow: x\n", flows_a_toml='flow = "x"\n')
    with pytest.raises(BadFlow, match=r"a\.yaml: name: 'a' is taken by .*a\.toml; rename one"):
        find_flow("a", tmp_path)
    (tmp_path / "flows" / "a.toml").unlink()
    write(tmp_path, flows_a_yaml="name: b\nflow: x\n")
    with pytest.raises(BadFlow, match=r"a\.yaml: name: 'b' should be the file's name, 'a'"):
        find_flow("a", tmp_path)


@pytest.mark.parametrize("file", sorted((ROOT / "examples" / "flows").iterdir()), ids=lambda file: file.name)
def test_the_examples_check_clean(file: Path) -> None:
    """They run over the built-in bundles, and nothing about them is doubtful."""
    bundles = load_bundles(None)
    assert wire(read_flow(file, None), bundles).description
    assert warnings(read_flow(file, None), bundles) == []
