"""Prompts: placeholders, overriding, and what each built-in one promises its reader."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.content import prompt_files
from harness.errors import BadSettings
from harness.prompts import render

VALUES = {
    "lead": {"prompt": "You lead.", "agents": "- researcher"},
    "question": {"sources": "S1 a.txt", "question": "Why?"},
    "task": {"task": '{"objective": "x"}'},
    "follow_up": {"question": "And then?"},
    "last_turn": {"reason": "The 20 steps are used up."},
    "little_left": {"left": "3 of 20 steps"},
    "fix": {"problem": "The second citation does not hold."},
    "granted": {"answer": "Look in the annex."},
    "help_answered": {"answer": "It is the second one."},
    "router": {"charter": "Answer from the documents.", "members": "- researcher: finds things out"},
    "delegation_joined": {},
    "resume": {},
}


def project(folder: Path, name: str, text: str) -> Path:
    """Make a project with one prompt of its own."""
    (folder / "prompts").mkdir()
    (folder / "prompts" / f"{name}.md").write_text(text)
    return folder


@pytest.mark.parametrize("name", VALUES)
def test_every_built_in_prompt_renders_with_its_values(name: str) -> None:
    """The values stand in the text, and no placeholder is left."""
    text = render(name, None, **VALUES[name])
    assert "{{" not in text
    for value in VALUES[name].values():
        assert value in text


def test_no_built_in_prompt_is_left_out() -> None:
    """This file knows every prompt that ships."""
    assert prompt_files(None).keys() == VALUES.keys()


@pytest.mark.parametrize(
    ("name", "tag"), [("question", "question"), ("task", "task"), ("follow_up", "question")]
)
def test_what_varies_stands_last_and_tagged(name: str, tag: str) -> None:
    """Two calls share everything up to what differs: the beginning can come from the prompt cache."""
    text = render(name, None, **VALUES[name])
    value = VALUES[name][tag]
    assert text.endswith(f"<{tag}>\n{value}\n</{tag}>")
    other = render(name, None, **(VALUES[name] | {tag: "something else"}))
    shared = text.index(value)
    assert other[:shared] == text[:shared]


def test_the_lead_is_told_its_agents_last() -> None:
    """Its own instructions come first, the list of agents ends the prompt."""
    text = render("lead", None, prompt="You lead.", agents="- researcher: finds")
    assert text.startswith("You lead.\n")
    assert text.endswith("- researcher: finds")


def test_a_project_overrides_a_prompt(tmp_path: Path) -> None:
    """Its file is used instead; the other prompts stay."""
    project(tmp_path, "task", "Do {{ task }}!\n")
    assert render("task", tmp_path, task="it") == "Do it!"
    assert render("resume", tmp_path) == render("resume", None)


def test_values_are_put_in_once(tmp_path: Path) -> None:
    """A value that looks like a placeholder, or like a group reference, is left as it is."""
    project(tmp_path, "task", "{{task}} {{task}}")
    assert render("task", tmp_path, task=r"{{task}} \1") == r"{{task}} \1 {{task}} \1"


def test_a_missing_value_is_an_error(tmp_path: Path) -> None:
    """The sentence names the file, the placeholder and what there is."""
    project(tmp_path, "task", "{{task}} for {{person}}")
    with pytest.raises(
        BadSettings, match=r"task\.md has the placeholder \{\{person\}\}.* may use: \{\{task\}\}\."
    ):
        render("task", tmp_path, task="it")


def test_an_unused_value_is_an_error(tmp_path: Path) -> None:
    """A prompt that drops what it should carry is refused."""
    project(tmp_path, "task", "Do something.")
    with pytest.raises(BadSettings, match=r"task\.md lacks the placeholder \{\{task\}\}"):
        render("task", tmp_path, task="it")


def test_an_unknown_prompt_is_an_error() -> None:
    """The nearest one is named."""
    with pytest.raises(BadSettings, match=r"no prompt 'quesion' \(did you mean 'question'\?\); add it as"):
        render("quesion", None)


def test_a_prompt_that_is_no_text_is_an_error(tmp_path: Path) -> None:
    """Bytes that are not UTF-8 are named as such."""
    (tmp_path / "prompts").mkdir()
    (tmp_path / "prompts" / "task.md").write_bytes(b"\xff")
    with pytest.raises(BadSettings, match=r"task\.md cannot be read as UTF-8 text"):
        render("task", tmp_path, task="it")
