"""What the writer takes. It answers with the report, in Markdown. The names are those others give by."""

from typing import Any, Literal

from pydantic import Field

from harness.records import Record


class Citation(Record):
    """Words of a document."""

    source: str = Field(min_length=1, description="The document's label, like S3.")
    quote: str = Field(default="", description="Words of the document, copied letter for letter.")


class Finding(Record):
    """One statement with the words it rests on."""

    statement: str = Field(min_length=1, description="What the documents say.")
    citations: list[Citation] = Field(default_factory=list, description="The words it rests on.")


class Verdict(Finding):
    """What a check made of one statement."""

    verdict: Literal["supported", "refuted", "not_found", "cannot_tell"] = Field(
        description="cannot_tell where it could not be checked."
    )
    reason: str = Field(default="", description="Why, in one or two sentences.")


class Result(Record):
    """What one of several agents has brought."""

    source: str = Field(min_length=1, description="Whose it is.")
    status: str = Field(description="done, or why there is no output.")
    output: Any = Field(default=None, description="What it gave: findings, verdicts, or a report as `text`.")
    problem: str | None = Field(default=None, description="What went wrong.")


class Input(Record):
    """The question, and everything found so far. The writer sees nothing else."""

    question: str = Field(min_length=1, description="The question the report answers.")
    findings: list[Finding] = Field(default_factory=list, description="What was found, with quotes.")
    verdicts: list[Verdict] = Field(default_factory=list, description="What a check made of it.")
    conflicts: list[str] = Field(default_factory=list, description="Contradictions between documents.")
    not_found: list[str] = Field(default_factory=list, description="What was looked for and not found.")
    results: list[Result] = Field(default_factory=list, description="What several agents have brought.")
    notes: str = Field(default="", description="Anything else to go by, for instance for whom it is.")
