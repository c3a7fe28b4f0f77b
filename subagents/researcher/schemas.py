"""What the researcher takes and gives. The descriptions are read by the agents on both sides."""

from pydantic import Field

from harness.records import Record


class Input(Record):
    """A task from the lead. It has to be complete: the researcher sees nothing else."""

    objective: str = Field(min_length=1, description="The one thing to find out.")
    questions: list[str] = Field(default_factory=list, description="The key questions it breaks into.")
    background: str = Field(default="", description="Why it is asked, and how it fits into the whole.")
    expected_output: str = Field(
        default="", description="What the answer should contain, and in what detail."
    )
    sources: str = Field(default="", description="Where to begin, what counts as reliable, what to avoid.")
    scope: str = Field(default="", description="What is left out, and how much effort this is worth.")


class Citation(Record):
    """Words of a document."""

    source: str = Field(min_length=1, description="The document's label, like S3.")
    quote: str = Field(min_length=1, description="Words of the document, copied letter for letter.")


class Finding(Record):
    """One statement that can be checked against its citations."""

    statement: str = Field(min_length=1, description="What the documents say, in one or two sentences.")
    citations: list[Citation] = Field(min_length=1, description="The words it rests on.")


class Output(Record):
    """What was found."""

    summary: str = Field(min_length=1, description="The result in two to five sentences.")
    findings: list[Finding] = Field(description="Checkable statements, the most important first.")
    conflicts: list[str] = Field(
        default_factory=list, description="Contradictions between documents: who says what, with labels."
    )
    not_found: list[str] = Field(default_factory=list, description="What was looked for and not found.")
