"""What people get wrong with rollouts; see `bad_rows`."""

from __future__ import annotations

from tests.cli.bad_rows import CHANGED, Row, write

_AGENT = "---\ndescription: Reads.\noutput: markdown\n---\nRead.\n"
_START = ("rollout", "start")

ROLLOUTS = (
    Row("rollout of nothing", _START, ("FOLDER_OR_FILE", "Try 'harness rollout start --help'")),
    Row("rollout of what is not there", (*_START, "gone"), ("no file or folder gone", "bundle's folder")),
    Row(
        "rollout of something else",
        (*_START, "notes.txt"),
        ("neither a bundle nor a flow",),
        prepare=write("notes.txt", "x"),
    ),
    Row(
        "rollout of an agent nobody has",
        (*_START, "new/geologist"),
        ("no bundle geologist", "choose one of .*researcher"),
        prepare=write("new/geologist/AGENT.md", _AGENT),
    ),
    Row(
        "rollout of a broken agent",
        (*_START, "new/researcher"),
        ("AGENT.md", "front matter"),
        prepare=write("new/researcher/AGENT.md", "You are mine.\n"),
    ),
    Row(
        "rollout of a broken flow",
        (*_START, "research.yaml"),
        ("research.yaml", "flow"),
        prepare=write("research.yaml", "flow: {pattern: circle}\n"),
    ),
    Row(
        "rollout of a flow nobody has",
        (*_START, "mine.yaml"),
        ("no flow mine", "choose one of research, single"),
        prepare=write("mine.yaml", "flow: analyst\n"),
    ),
    Row(
        "rollout of a flow without its agents",
        (*_START, "single.yaml"),
        ("single.yaml", "geologist"),
        "main",
        prepare=write("single.yaml", "flow: geologist\n"),
    ),
    Row(
        "rollout of an agent that does not fit",
        (*_START, "new/analyst"),
        ("aim",),
        "main",
        prepare=write(
            "new/analyst/AGENT.md",
            "---\ndescription: Reads.\noutput: markdown\n"
            "input_schema: {type: object, properties: {aim: {type: number}}, required: [aim]}\n---\nRead.\n",
        ),
    ),
    Row("rollout to nobody", (*_START, "x", "--percent", "0"), ("--percent", "0<x<=100")),
    Row("rollout to nan", (*_START, "x", "--percent", "nan"), ("--percent", "no finite number")),
    Row("rollout to no tenant", (*_START, "x", "--for-tenant", " "), ("--for-tenant is empty",)),
    Row("rollout without sessions", (*_START, "x", "--min-sessions", "0"), ("--min-sessions", "x>=1")),
    Row("rollout's failure rate", (*_START, "x", "--max-failure-rate", "20"), ("--max-failure", "0<=x<=1")),
    Row("rollout's gate rate", (*_START, "x", "--max-gate-rate", "-1"), ("--max-gate-rate", "0<=x<=1")),
    Row("rollout's cost", (*_START, "x", "--max-cost-ratio", "0"), ("--max-cost-ratio", "x>0")),
    Row("promote nothing", ("rollout", "promote"), ("no rollout that is running", "rollout status"), "main"),
    Row("promote another", ("rollout", "promote", "x"), ("no rollout of 'x' that is running",), "main"),
    Row("abort nothing", ("rollout", "abort"), ("no rollout that is running", "rollout status"), "main"),
    Row("abort another", ("rollout", "abort", "x"), ("'x' that is running or promoted",), "main"),
    Row(
        "bundle that is another, and not kept",
        ("resume", CHANGED),
        ("another version of the bundle analyst", "as it was"),
        "main",
    ),
)
