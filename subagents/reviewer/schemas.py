"""What the reviewer takes and gives: the form of every verifier that a gate can name."""

from typing import Any, Literal

from pydantic import Field

from harness.records import Record


class Input(Record):
    """An answer, and the task it was given to."""

    task: dict[str, Any] = Field(description="The task, as its agent got it.")
    output: dict[str, Any] | str = Field(description="The answer: typed output, or a report in Markdown.")


class Output(Record):
    """The verdict."""

    verdict: Literal["pass", "fix", "abstain"] = Field(
        description="abstain when it could not be judged; fix only for a fault that was seen."
    )
    problem: str = Field(default="", description="What has to be mended, or why it could not be judged.")
