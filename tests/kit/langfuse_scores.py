"""Langfuse's rules for scores, by the version of its server.

A server before 4.59.0 takes one score a request, an object, and dates it when it comes. From 4.59.0 on it
takes a list, tells the good from the bad, and dates a score as it says; the object of older clients it still
takes. What a score has to be is the same in all of them (`PostScoresBody` of 3.22.0 to 4.16.0). None limits
a comment or a name, but a name may not be empty.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

from harness.export.langfuse_version import SCORE_LISTS, parsed

Score = dict[str, Any]

_HEX = re.compile(r"[0-9a-f]{32}")

_VALUES: dict[object, Callable[[object], bool]] = {
    "NUMERIC": lambda value: _number(value),
    "CATEGORICAL": lambda value: isinstance(value, str),
    "BOOLEAN": lambda value: _number(value) and value in (0, 1),
    "TEXT": lambda value: isinstance(value, str) and 1 <= len(value) <= 500,
    None: lambda value: _number(value) or isinstance(value, str),
}


class ScoreBook:
    """The scores that a server of this version has taken, in the order in which they came.

    `rejects` and `refuses` are names of scores that it rejects within a list that it takes, or refuses with a
    400.
    """

    def __init__(self, version: str) -> None:
        self.lists = (parsed(version) or SCORE_LISTS) >= SCORE_LISTS
        self.taken: dict[tuple[str, str, str], Score] = {}
        self.rejects: set[str] = set()
        self.refuses: set[str] = set()

    def post(self, body: Any) -> tuple[int, Any]:
        """Take what was posted, and give the answer: a status and JSON."""
        if isinstance(body, list) and not self.lists:
            return 400, _unfit("Invalid input: expected object, received array")
        given = body if isinstance(body, list) else [body]
        if self.refuses & {score.get("name") for score in given}:
            return 400, {"message": "Invalid request data"}
        wrong = [next(problems(score), None) or self._rejected(score) for score in given]
        if not isinstance(body, list):
            if wrong[0]:
                return 400, _unfit(wrong[0])
            return 200, {"id": self._keep(body)["id"]}
        for score, problem in zip(given, wrong, strict=True):
            if not problem:
                self._keep(score)
        errors = [{"message": problem} for problem in wrong if problem]
        if not errors:
            return 202, {"message": "Accepted"}
        return 207, {"accepted": len(given) - len(errors), "rejected": len(errors), "errors": errors}

    def _rejected(self, score: Score) -> str | None:
        return f"Bad score {score['name']}" if score["name"] in self.rejects else None

    def _keep(self, score: Score) -> Score:
        """A score that has the id, the name and the day of another one takes its place."""
        if not self.lists:
            first = next((each for each in self.taken.values() if each["id"] == score["id"]), None)
            came = first["timestamp"] if first else datetime.now(UTC).isoformat()
            score = {**score, "timestamp": came}
        self.taken[score["id"], score["name"], score["timestamp"][:10]] = score
        return score


def problems(score: Any) -> Iterator[str]:
    """Say what a server of any version finds wrong with a score."""
    if not isinstance(score, dict):
        yield f"Invalid input: expected object, received {type(score).__name__}"
        return
    if not (isinstance(score.get("name"), str) and score["name"]):
        yield "name: String must contain at least 1 character"
    kind = score.get("dataType")
    if kind not in _VALUES:
        yield f"dataType: Invalid discriminator value {kind}"
    elif not _VALUES[kind](score.get("value")):
        yield f"value: Invalid input for {kind}"
    subjects = [name for name in ("traceId", "sessionId", "datasetRunId") if score.get(name)]
    if len(subjects) != 1 or (score.get("observationId") and subjects != ["traceId"]):
        yield "Provide exactly one of the following: traceId, sessionId or datasetRunId"
    # Not a rule of Langfuse, which takes any text: but no other id is that of a trace of OpenTelemetry.
    elif subjects == ["traceId"] and not _HEX.fullmatch(score["traceId"]):
        yield "traceId: is no trace's"
    for name in ("id", "comment", "environment", "observationId"):
        if not isinstance(score.get(name), str | None):
            yield f"{name}: expected string"


def _number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _unfit(problem: str) -> dict[str, Any]:
    issue = {"code": "invalid_type", "path": [], "message": problem}
    return {"message": "Invalid request data", "error": [issue]}
