"""An agent's call for help: one typed tool, whose call ends the process until somebody has answered."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Field, ValidationError

from harness.records import NeedsHelp

NEED_HELP = "mcp__harness__need_help"

DESCRIPTION = (
    "Say that you cannot finish with what you have: you are stuck, you lack something that no tool of yours "
    "gives, or only the person can decide. Your work so far is kept. If you are given an answer, it comes as "
    "the result of this call, and you go on. Do not use it for what you can settle yourself."
)


class Call(BaseModel):
    """The input of `need_help`."""

    reason: Literal["blocked", "question"] = Field(
        description="blocked: something is missing. question: somebody has to decide or tell you something."
    )
    missing: str = Field(min_length=1, description="What you need, or the question, in a sentence or two.")
    findings: str = Field(default="", description="What you have found so far, with its sources.")


def read(value: Any) -> NeedsHelp | str:
    """Read a call's input; a text says what is wrong with it."""
    try:
        call = Call.model_validate(value)
    except ValidationError as problem:
        first = problem.errors()[0]
        return f"{'.'.join(str(part) for part in first['loc']) or 'input'}: {first['msg']}."
    return NeedsHelp(reason=call.reason, findings=call.findings, missing=call.missing)
