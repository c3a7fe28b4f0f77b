"""The envelope between agents, and the rules of every record."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import ValidationError

from harness.messages import MESSAGE_VERSION, Message
from harness.records import Limits, NeedsHelp, Outcome, Usage

FIELDS: dict[str, Any] = {
    "id": "1",
    "kind": "task",
    "source": "person",
    "payload": {"question": "Why?"},
    "schema_name": "question",
    "trace_id": "t",
}


def test_a_message_is_for_anybody_unless_it_says_for_whom() -> None:
    """The destination is "any", the version the current one, and it answers nothing."""
    message = Message(**FIELDS)
    assert (message.destination, message.version, message.in_reply_to) == ("any", MESSAGE_VERSION, None)


@pytest.mark.parametrize("payload", [{"a": [1, None, "é\ud83d\x00"]}, "text", 7, None, []])
def test_a_message_survives_json(payload: Any) -> None:
    """Whatever JSON can hold comes back as it was."""
    message = Message(**(FIELDS | {"payload": payload}))
    assert Message.model_validate(json.loads(json.dumps(message.model_dump()))) == message


@pytest.mark.parametrize("missing", FIELDS)
def test_nothing_of_a_message_may_be_missing(missing: str) -> None:
    """No untyped or unaddressed text passes between agents."""
    with pytest.raises(ValidationError, match=missing):
        Message(**{name: value for name, value in FIELDS.items() if name != missing})


@pytest.mark.parametrize(
    ("name", "value"), [("kind", "shout"), ("version", 0), ("colour", "red"), ("payload", ...)]
)
def test_a_wrong_field_is_refused(name: str, value: Any) -> None:
    """Unknown kinds, versions and fields do not pass."""
    given = {key: value for key, value in FIELDS.items() if key != "payload"} if value is ... else FIELDS
    with pytest.raises(ValidationError, match=name):
        Message(**(given if value is ... else given | {name: value}))


def test_records_cannot_be_changed() -> None:
    """What crossed a border stays as it was sent."""
    message = Message(**FIELDS)
    with pytest.raises(ValidationError, match="frozen"):
        message.source = "somebody else"


def test_usage_adds_up_field_by_field() -> None:
    """No field is forgotten in a sum, and all kinds of tokens are in the total."""
    one = Usage(**{name: n for n, name in enumerate(Usage.model_fields, start=1)})
    assert (one + one).model_dump() == {name: 2 * n for name, n in one.model_dump().items()}
    assert one + Usage() == one
    assert one.total_tokens == 1 + 2 + 3 + 4


def test_limits_are_positive() -> None:
    """Zero is no limit anybody can work with."""
    for name in Limits.model_fields:
        with pytest.raises(ValidationError, match="greater than"):
            Limits(**{name: 0})


def test_an_outcome_says_how_it_ended() -> None:
    """A call for help carries its reason, of which there is a fixed list."""
    outcome = Outcome(status="needs_help", help=NeedsHelp(reason="cost", findings="a part"))
    assert Outcome.model_validate_json(outcome.model_dump_json()) == outcome
    with pytest.raises(ValidationError, match="reason"):
        NeedsHelp(reason="bored")  # type: ignore[arg-type]
