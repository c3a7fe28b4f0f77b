"""CrewAI: `python -m benchmarks.comparison.peers.crew_ai start|resume GIVEN`.

A crew of a lead, which may delegate, and of its coworkers. An agent of CrewAI can be in one conversation at
a time: of two tasks that are delegated to one coworker at once, one fails, or both are mixed up. So there are
as many coworkers as there are subjects. `resume` goes on from the newest checkpoint, if there is one: they
are written when a task of the crew ends, and what a lead delegates is no task of the crew.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

from crewai import LLM, Agent, CheckpointConfig, Crew, Task
from crewai.tools import BaseTool

from benchmarks.comparison.work import ABOUT_LOOK, LEAD, MODEL, Given, look

REQUEST_S = 30.0
RETRIES = 10


class Look(BaseTool):
    """The tool of a researcher. It has to be a class of a module, or no checkpoint can bring it back."""

    name: str = "look"
    description: str = ABOUT_LOOK
    told: str

    async def _run(self, subject: str, step: int) -> str:
        given = Given.read(self.told)
        async with asyncio.timeout(given.work.tool_s):
            return await look(given, subject, step)


def crew(given: Given) -> Crew:
    """Put the crew together."""
    lead = Agent(
        role="lead", goal="A report on every subject", backstory=LEAD, llm=model(), allow_delegation=True
    )
    researchers = [
        Agent(
            role=f"researcher {number}",
            goal="What there is to find",
            backstory=given.work.researcher,
            llm=model(),
            tools=[Look(told=given.json())],
            max_iter=given.work.max_steps,
        )
        for number in range(given.work.subjects)
    ]
    task = Task(description=given.work.question, expected_output="The report.", agent=lead)
    checkpoint = CheckpointConfig(location=str(checkpoints(given)))
    return Crew(agents=[lead, *researchers], tasks=[task], checkpoint=checkpoint)


def model() -> LLM:
    """CrewAI's own client; it reads from the environment where the API is."""
    return LLM(model=f"anthropic/{MODEL}", timeout=REQUEST_S, max_retries=RETRIES)


def checkpoints(given: Given) -> Path:
    """Where they are kept."""
    return Path(given.folder) / "checkpoints"


def main(given: Given, resume: bool) -> str:
    """Do the work, or go on with it."""
    kept = sorted(checkpoints(given).rglob("*.json"), key=lambda file: file.stat().st_mtime_ns)
    begun = Crew.from_checkpoint(CheckpointConfig(restore_from=kept[-1])) if resume and kept else crew(given)
    return str(begun.kickoff().raw)


if __name__ == "__main__":
    way, told = sys.argv[1:]
    print(json.dumps({"report": main(Given.read(told), way == "resume")}))
