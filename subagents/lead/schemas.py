"""What the lead takes. It answers with the report, in Markdown."""

from pydantic import Field

from harness.records import Record


class Input(Record):
    """A person's question."""

    question: str = Field(min_length=1, description="The question to answer.")
