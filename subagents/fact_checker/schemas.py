"""What the fact checker takes and gives. The descriptions are read by the agents on both sides."""

from typing import Literal

from pydantic import Field

from harness.records import Record


class Citation(Record):
    """Words of a document."""

    source: str = Field(min_length=1, description="The document's label, like S3.")
    quote: str = Field(min_length=1, description="Words of the document, copied letter for letter.")


class Claim(Record):
    """A statement to check."""

    statement: str = Field(min_length=1, description="The claim, understandable on its own.")
    citations: list[Citation] = Field(default_factory=list, description="The words it is said to rest on.")


class Input(Record):
    """Claims to check."""

    claims: list[Claim] = Field(description="The claims, one statement each; none where nothing was found.")


class Verdict(Record):
    """What became of one claim."""

    statement: str = Field(min_length=1, description="The claim, unchanged.")
    verdict: Literal["supported", "refuted", "not_found", "cannot_tell"] = Field(
        description="cannot_tell when it could not be checked; refuted only when the documents say otherwise."
    )
    reason: str = Field(min_length=1, description="Why, in one or two sentences.")
    citations: list[Citation] = Field(default_factory=list, description="The words that decided it.")


class Output(Record):
    """The verdicts, one for each claim, in the order given."""

    verdicts: list[Verdict] = Field(description="One verdict for each claim.")
