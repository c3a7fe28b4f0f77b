"""Drawing: every node of a flow is in the picture, under its name and in its place."""

from __future__ import annotations

import re

import pytest

from harness.flow import (
    FLOWS,
    Agent,
    AnyNode,
    BestEffort,
    Blackboard,
    FanOut,
    Flow,
    Gate,
    Handoff,
    Lead,
    Pipeline,
    Quorum,
    Seat,
    StateField,
    Supervisor,
    Team,
    label,
    walk,
)
from harness.flow.draw import mermaid, tree

CHECKER = Agent(agent="checker", take={"claims": "previous.findings"}, gate=Gate(verifier="judge", fixes=1))

EVERYTHING = Flow(
    name="everything",
    description="Every pattern.",
    state={"notes": StateField(kind="list", reducer="append", writers=("scout",))},
    flow=Pipeline(
        name="all",
        stages=(
            FanOut(
                name="checks",
                policy=Quorum(n=1),
                branches=(CHECKER, Agent(agent="researcher", name="scout", write={"notes": "findings"})),
                merge="editor",
            ),
            Lead(name="head", agent="writer", members=("researcher",)),
            Supervisor(members=("clerk", Team(name="crew", description="A group.", members=("hand",)))),
            Handoff(members=("first", "second"), start="second"),
            Blackboard(seats=(Seat(member="reader", reads=("notes",)),), goal=("notes",)),
        ),
    ),
)


def test_the_tree_shows_who_works_and_on_what() -> None:
    """Stages are numbered, and each node has what it takes, writes and is checked by below it."""
    assert (
        tree(EVERYTHING)
        == """\
everything: Every pattern.
   state.notes: list, append, written by scout
└─ all (pipeline)
   ├─ 1. checks (fan-out, quorum of 1)
   │  ├─ checker
   │  │     claims <- previous.findings
   │  │     checked by judge, at most 1 fix
   │  ├─ scout (researcher)
   │  │     state.notes <- findings
   │  └─ merge: editor
   ├─ 2. head (lead, writer)
   │  └─ researcher
   ├─ 3. supervisor (at most 12 decisions)
   │  ├─ clerk
   │  └─ crew (team, at most 12 decisions)
   │     └─ hand
   ├─ 4. handoff (at most 8 hops)
   │  │  starts with second
   │  ├─ first
   │  └─ second
   └─ 5. blackboard (until notes, at most 10 rounds)
      │  reader reads notes
      └─ reader"""
    )


@pytest.mark.parametrize("flow", [EVERYTHING, *FLOWS.values()], ids=lambda flow: flow.name)
def test_the_chart_has_every_node_once_and_no_loose_end(flow: Flow) -> None:
    """What opens is closed, and each arrow leads from and to something that is drawn."""
    chart = mermaid(flow)
    assert chart.startswith("flowchart TD\n")
    drawn = re.findall(r"^\s*(?:subgraph )?(\w+)[\[{]", chart, re.MULTILINE)
    assert len(drawn) == len(set(drawn))
    assert len(re.findall(r"^\s*subgraph ", chart, re.MULTILINE)) == len(
        re.findall(r"^\s*end$", chart, re.MULTILINE)
    )
    for source, target in re.findall(r"^  (\w+) -[.-]*>(?:\|\"[^\"]*\"\|)? (\w+)$", chart, re.MULTILINE):
        assert {source, target} <= set(drawn)
    for _, node in walk(flow.flow):
        assert chart.count(f'["{label(node)}') >= 1, label(node)


@pytest.mark.parametrize(
    ("node", "arrows"),
    [
        (Pipeline(stages=("a", "b", "c")), ["n_0 --> n_1", "n_1 --> n_2"]),
        (FanOut(branches=("a", "b"), merge="c"), ["n_0 --> n_2", "n_1 --> n_2"]),
        (FanOut(branches=("a", "b"), policy=BestEffort()), []),
        (Lead(members=("a",)), ['n_lead -->|"tasks"| n_0']),
        (Supervisor(members=("a",)), ["n_router --> n_0", "n_0 -.-> n_router"]),
        (Agent(agent="a", gate=Gate(verifier="v")), ['n -.->|"checked"| n_gate']),
        (
            Handoff(members=("a", "b")),
            ['n_0 -.->|"handoff_to"| n_1', 'n_1 -.->|"handoff_to"| n_0'],
        ),
    ],
)
def test_the_arrows_say_what_follows_what(node: AnyNode, arrows: list[str]) -> None:
    """Each pattern has arrows of its own; branches side by side have none among them."""
    lines = mermaid(Flow(name="x", flow=node)).splitlines()
    assert [line.strip() for line in lines if "->" in line] == arrows


def test_words_that_mermaid_reads_are_written_as_text() -> None:
    """A quotation mark in a name of somebody's bundle does not end the label."""
    chart = mermaid(Flow(name="x", flow=Agent(agent='a "b" | c')))
    assert 'n["a #quot;b#quot; | c"]' in chart
