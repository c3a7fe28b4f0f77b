"""The work as a project of the harness: a lead, a researcher with its tool, and the flow of the two."""

from __future__ import annotations

import json
from pathlib import Path

from benchmarks.comparison.work import ABOUT_LOOK, ABOUT_RESEARCHER, LEAD, MODEL, Given

_LEAD = f"""\
---
name: chief
description: Hands subjects out and reports.
model: {MODEL}
output: markdown
---
{LEAD}
"""

_RESEARCHER = """\
---
name: researcher
description: {about}
model: {model}
tools: [desk]
limits: {{max_steps: {max_steps}}}
---
{prompt}
"""

_SCHEMAS = '''from harness.records import Record


class Input(Record):
    """What to look up."""

    objective: str


class Output(Record):
    """What there is."""

    finding: str
'''

_TOOLS = '''from harness.records import Record
from harness.tools import Tool, ToolContext, Toolset

from benchmarks.comparison.work import Given, look

GIVEN = Given.read({given!r})


class Look(Record):
    """Which subject, and which step."""

    subject: str
    step: int


async def run(context: ToolContext, given: Look) -> str:
    return await look(GIVEN, given.subject, given.step)


TOOLSET = Toolset("desk", (Tool("look", {about!r}, Look, run, "read_only", timeout_s={timeout_s}),))
'''


def session_id(given: Given) -> str | None:
    """The id of the session that was begun, which a run says first; None when it was killed before."""
    for said in sorted(Path(given.folder).glob("*.out")):
        first, whole, _ = said.read_text().partition("\n")
        if whole:
            found: str | None = json.loads(first).get("session_id")
            return found
    return None


def make_project(given: Given) -> None:
    """Write the project into the work's folder."""
    folder, work = Path(given.folder), given.work
    researcher = _RESEARCHER.format(
        about=ABOUT_RESEARCHER, model=MODEL, prompt=work.researcher, max_steps=work.max_steps
    )
    tools = _TOOLS.format(given=given.json(), about=ABOUT_LOOK, timeout_s=work.tool_s)
    for name, files in {
        "chief": {"AGENT.md": _LEAD},
        "researcher": {"AGENT.md": researcher, "schemas.py": _SCHEMAS, "tools.py": tools},
    }.items():
        (folder / "subagents" / name).mkdir(parents=True)
        for file, text in files.items():
            (folder / "subagents" / name / file).write_text(text)
    (folder / "crew.yaml").write_text("flow: {pattern: lead, agent: chief, members: [researcher]}\n")
    (folder / "harness.toml").write_text(
        f"[limits]\nmax_concurrent = {work.subjects}\nmax_delegations = {3 * work.subjects}\n"
    )
