"""What the intake takes and gives. `handoff_to` names members of the handoff that it stands in."""

from typing import Literal

from pydantic import Field

from harness.records import Record


class Input(Record):
    """A person's question."""

    question: str = Field(min_length=1, description="The question, as it was asked.")
    background: str = Field(default="", description="Who asks, and what for, if that is known.")


class Output(Record):
    """Who takes the question, and what it comes down to."""

    handoff_to: Literal["analyst", "inquiry"] = Field(
        description="analyst for a plain question; inquiry for one of several parts or sides."
    )
    question: str = Field(min_length=1, description="The question, letter for letter.")
    questions: list[str] = Field(min_length=1, max_length=5, description="What it comes down to.")
    reason: str = Field(min_length=1, description="What decided it, in one sentence.")
