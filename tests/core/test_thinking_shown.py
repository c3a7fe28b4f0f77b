"""What of its thinking a resumed CLI is shown, by the transcript alone."""

from __future__ import annotations

from typing import Any

import pytest

from harness.redaction import FAILED, REDACTED
from harness.transcript import REDACTION, as_it_was, view_for_cli


def entry(name: str, kind: str, *content: str, **more: Any) -> dict[str, Any]:
    """An entry that hangs on the one before it in the alphabet; content is a text, or "~" and a thought."""
    parent = None if name == "a" else chr(ord(name) - 1)
    blocks = [
        {"type": "thinking", "thinking": text[1:], "signature": "c2lnbmVk"}
        if text.startswith("~")
        else {"type": "text", "text": text}
        for text in content
    ]
    message = {"role": kind, "content": blocks}
    return {"type": kind, "uuid": name, "parentUuid": parent, "message": message} | more


def told(entries: list[Any]) -> list[tuple[str, str | None, list[str]]]:
    """Each entry: itself, its parent, and the types of its blocks."""
    return [
        (each["uuid"], each["parentUuid"], [block["type"] for block in each["message"]["content"]])
        for each in entries
    ]


@pytest.mark.parametrize("placeholder", [REDACTED, FAILED])
def test_a_transcript_of_an_older_version_is_known_by_its_placeholders(placeholder: str) -> None:
    """It has no marks, and its thinking was redacted under its signature."""
    transcript = [
        entry("a", "user", "Why?"),
        entry("b", "assistant", "~first"),
        entry("c", "assistant", f"~second {placeholder}"),
        entry("d", "assistant", "~third", "So."),
    ]
    assert told(view_for_cli(transcript)) == [
        ("a", None, ["text"]),
        ("b", "a", ["thinking"]),
        ("d", "b", ["text"]),
    ]


def test_a_chain_of_vanished_entries_is_mended() -> None:
    """Whatever hangs on several of them hangs on the first parent that is there."""
    transcript = [
        entry("a", "user", "Why?", **{REDACTION: True}),
        entry("b", "assistant", "~one"),
        entry("c", "assistant", "~two"),
        entry("d", "user", "Go on."),
        entry("e", "assistant", "~three", "Three."),
    ]
    assert told(view_for_cli(transcript)) == [
        ("a", None, ["text"]),
        ("d", "a", ["text"]),
        ("e", "d", ["text"]),
    ]
    assert transcript[0][REDACTION], "what is stored is not altered"


def test_what_a_mark_says_counts_and_is_not_shown() -> None:
    """A placeholder that the model itself was shown binds as any other text does."""
    transcript = [
        entry("a", "user", REDACTED, **{REDACTION: False}),
        entry("b", "assistant", "~one", "One."),
    ]
    (first, second) = as_it_was(transcript)
    assert REDACTION not in first
    assert second == transcript[1]


def test_redaction_behind_the_last_thinking_takes_nothing_away() -> None:
    """It was thought without it."""
    transcript = [entry("a", "assistant", "~one"), entry("b", "user", "It is.", **{REDACTION: True})]
    assert told(as_it_was(transcript)) == [("a", None, ["thinking"]), ("b", "a", ["text"])]
