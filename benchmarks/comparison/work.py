"""The work that every system does: a lead hands subjects out, each is looked up step by step, and it reports.

It needs the standard library only, for the peers' programs import it in environments of their own.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

LEAD = "You lead research. Hand each subject to a researcher, then report what they found."
RESEARCHER = "You research one subject. Look it up step by step, then say what you found."
ABOUT_RESEARCHER = "Researches one subject."
ABOUT_LOOK = "Look a subject up, one step at a time."
"""What systems tell the model of the lead, of a researcher and of its only tool, `look(subject, step)`."""

MODEL = "claude-sonnet-4-5"

SUBJECT = re.compile(r"\btopic-\d+-\d+\b")
FOUND = re.compile(r"\[(topic-\d+-\d+): ([0-9a-f ]+)\]")


@dataclass(frozen=True)
class Work:
    """One question: its number, how many subjects it has, and how many times each is looked up.

    `slow` subjects' tools hang when they are first called; `tool_s` is the deadline that systems give a tool.
    """

    number: int = 0
    subjects: int = 6
    steps: int = 5
    slow: tuple[str, ...] = ()
    tool_s: float = 10.0

    @property
    def names(self) -> list[str]:
        """The subjects."""
        return [f"topic-{self.number}-{each}" for each in range(self.subjects)]

    @property
    def question(self) -> str:
        """What a person asks."""
        return f"Report on {', '.join(self.names)}."

    @property
    def researcher(self) -> str:
        """The prompt of a researcher, which says how often it looks."""
        return f"{RESEARCHER} There are {self.steps} steps."

    @property
    def report(self) -> str:
        """The only right answer."""
        return reported({name: [fact(name, step) for step in range(self.steps)] for name in self.names})

    @property
    def max_steps(self) -> int:
        """The limit that systems set for a researcher's model calls, where they can."""
        return 2 * self.steps + 6

    @property
    def model_calls(self) -> int:
        """How often the model is asked, if nothing goes wrong and researchers are handed out in one go."""
        return 2 + self.subjects * (self.steps + 1)


@dataclass(frozen=True)
class Given:
    """What a program is told: the work, a folder of its own, a database, and its own id in there."""

    work: Work
    folder: str
    dsn: str = ""
    id: str = ""

    def json(self) -> str:
        """Write it as the program's argument."""
        return json.dumps(asdict(self))

    @classmethod
    def read(cls, text: str) -> Self:
        """Read the program's argument."""
        found: dict[str, Any] = json.loads(text)
        work = found.pop("work")
        return cls(Work(**{**work, "slow": tuple(work["slow"])}), **found)


def fact(subject: str, step: int) -> str:
    """What there is to see: eight characters that nobody can guess."""
    return hashlib.sha256(f"{subject} {step}".encode()).hexdigest()[:8]


def finding(subject: str, facts: list[str]) -> str:
    """What a researcher says of its subject."""
    return f"[{subject}: {' '.join(facts)}]"


def reported(found: dict[str, list[str]]) -> str:
    """What the lead says of all subjects."""
    return "# Report\n\n" + "\n".join(finding(name, found[name]) for name in sorted(found))


async def look(given: Given, subject: str, step: int) -> str:
    """Look a subject up; the first look at a slow one never ends."""
    seen = Path(given.folder) / f"{subject}.seen"
    if subject in given.work.slow and not seen.exists():
        seen.touch()
        await asyncio.Event().wait()
    return f"{subject}, step {step}: {fact(subject, step)}"
