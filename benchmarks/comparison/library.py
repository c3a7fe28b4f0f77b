"""Work for the harness's own agents: documents on so many subjects, each of them several pages of prose.

A page says one fact, and says it under the name of its subject, so that it is found by searching for that.
"""

from __future__ import annotations

import re
from pathlib import Path
from random import Random

from benchmarks.comparison.work import Given, Work, fact

PAGE_BYTES = 6_000
FOLDER = "documents"

FACT = re.compile(r"(topic-\d+-\d+), step (\d+): ([0-9a-f]{8})")

MEMBERS = ("first", "second", "third", "fourth")
"""The researchers of the supervised crew; the writer is its fifth member."""

_CREW = """\
name: crew
description: Four researchers and a writer under a supervisor.
flow:
  pattern: supervisor
  max_decisions: 20
  members:
{members}
    - writer
"""

_WORDS = (
    "water",
    "north",
    "harbour",
    "keel",
    "signal",
    "weather",
    "chart",
    "season",
    "depth",
    "sailor",
    "coast",
)


def stated(subject: str, step: int) -> str:
    """A page's fact, as it stands there."""
    return f"{subject}, step {step}: {fact(subject, step)}"


def label_of(work: Work, subject: str, step: int) -> str:
    """The label under which a session knows a page: they are numbered in the order of their names."""
    return f"S{work.names.index(subject) * work.steps + step + 1}"


def facts_of(work: Work) -> set[str]:
    """All that is to be found."""
    return {stated(subject, step) for subject in work.names for step in range(work.steps)}


def facts_in(text: str) -> dict[tuple[str, int], str]:
    """The facts that a text states, by subject and step."""
    return {(subject, int(step)): said for subject, step, said in FACT.findall(text)}


def make_library(given: Given) -> None:
    """Write the documents, the crew's flow and limits that let all of it work side by side."""
    folder, work = Path(given.folder), given.work
    documents = folder / FOLDER
    documents.mkdir()
    for number, subject in enumerate(work.names):
        for step in range(work.steps):
            words = Random(f"{subject} {step}").choices(_WORDS, k=PAGE_BYTES // 7)
            prose = " ".join(words)[: PAGE_BYTES - 80]
            said = f"# {subject}, page {step}\n\n{stated(subject, step)}. {prose}.\n"
            (documents / f"{number:02d}-{step}.md").write_text(said)
    members = "\n".join(f"    - {{agent: researcher, name: {name}}}" for name in MEMBERS)
    (folder / "crew.yaml").write_text(_CREW.format(members=members))
    (folder / "harness.toml").write_text(f"[limits]\nmax_concurrent = {work.subjects}\n")
