"""A Messages API request read as a conversation: what is asked, what was called, what came back.

Nothing outside the request is known, and nothing in it is trusted to have the right shape.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from harness.offline.shapes import read_json

_REMINDER = re.compile(r"<system-reminder>.*?(?:</system-reminder>|\Z)", re.DOTALL)
_QUESTION = re.compile(r"<question>(.*?)(?:</question>|\Z)", re.DOTALL)
_TASK = re.compile(r"<task\b[^>]*>(.*?)(?:</task>|\Z)", re.DOTALL)
_LISTED = re.compile(r"^[-*\s]*(\w*\d+): (\S.*?)(?: \([^()]*\))?$", re.MULTILINE)
_HURRY = re.compile(
    r"steps? (?:are|is) (?:nearly|almost|all)?\s*(?:used up|spent|exhausted)|no (?:more )?tools (?:are )?"
    r"(?:left|available|offered)|last (?:step|turn)|(?:budget|time) (?:is|has been) (?:nearly |almost )?"
    r"(?:spent|used up|over)|write up (?:now|at once|what)",
    re.IGNORECASE,
)
_ASKS = re.compile(
    r"\?\s*$|^(?:what|how|why|when|where|who|which|compare|explain|describe|list|tell|find|summari[sz]e|show)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class ToolUse:
    """A call to make."""

    name: str
    input: dict[str, Any]


@dataclass(frozen=True)
class Call:
    """A call that was made, and the text of its result; `result` is None while there is none."""

    name: str
    input: Mapping[str, Any]
    result: str | None = None
    failed: bool = False

    @property
    def data(self) -> Any:
        """The result's JSON; None when it failed or holds none."""
        return None if self.failed or self.result is None else read_json(self.result)


@dataclass(frozen=True)
class Conversation:
    """A request as its reader understands it.

    `question` is what is asked now, `task` the typed input it came with. `calls` were made since it was
    asked, `earlier` before. `names` are the titles of documents by their labels, as the messages list them.
    `hurried` says that the answer has to be written at once, `is_job` that the question or task stands in
    the harness's own tags: then it is research, and not, say, the request for a title.
    """

    tools: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    question: str = ""
    task: Mapping[str, Any] | None = None
    calls: tuple[Call, ...] = ()
    earlier: tuple[Call, ...] = ()
    names: Mapping[str, str] = field(default_factory=dict)
    hurried: bool = False
    is_job: bool = False

    @property
    def all_calls(self) -> tuple[Call, ...]:
        """Every call of the conversation, oldest first."""
        return self.earlier + self.calls

    def made(self, tool: str) -> list[Call]:
        """Give the calls of one tool since the question was asked."""
        return [call for call in self.calls if call.name == tool]


def read_conversation(request: Mapping[str, Any]) -> Conversation:
    """Read a request's body; whatever has an unknown shape is passed over."""
    tools = {tool["name"]: tool for tool in _dicts(request.get("tools")) if isinstance(tool.get("name"), str)}
    messages = _dicts(request.get("messages"))
    asked_at, question, task = _find_question(messages)
    texts = [text for message in messages for text in _texts(message)]
    calls = list(_calls(messages))
    return Conversation(
        tools=tools,
        question=question,
        task=task,
        calls=tuple(call for at, call in calls if at >= asked_at),
        earlier=tuple(call for at, call in calls if at < asked_at),
        names=_names(messages),
        is_job=any("<question>" in text or _TASK.search(text) for text in texts),
        hurried=not tools or any(_HURRY.search(note) for note in _notes(messages[asked_at + 1 :])),
    )


def plain(text: str) -> str:
    """Give a text without the reminders that the CLI adds to it."""
    return _REMINDER.sub("", text).strip()


def _find_question(messages: Sequence[Mapping[str, Any]]) -> tuple[int, str, Mapping[str, Any] | None]:
    """Find the last thing asked: in tags if there are any, else the first text and the follow-ups."""
    best: tuple[int, str, Mapping[str, Any] | None] = (0, "", None)
    for at, message in enumerate(messages):
        if message.get("role") != "user":
            continue
        text = plain("\n\n".join(_texts(message)))
        tagged, task = _QUESTION.findall(text), _TASK.findall(text)
        if task:
            given = read_json(task[-1])
            typed = given if isinstance(given, dict) else {"objective": task[-1].strip()}
            best = (at, tagged[-1].strip() if tagged else _objective(typed), typed)
        elif tagged:
            best = (at, tagged[-1].strip(), None)
        elif text and (not best[1] or (_ASKS.search(text) and _follows_an_answer(messages, at))):
            best = (at, text, None)
    return best


def _names(messages: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Read the list of documents that stands before a question, one line each: "S1: Title (path)"."""
    texts = [text for message in messages for text in _texts(message) if message.get("role") == "user"]
    before = [text.partition("<question>")[0] for text in texts if "<question>" in text]
    return {label: title for text in before for label, title in _LISTED.findall(plain(text))}


def _objective(task: Mapping[str, Any]) -> str:
    """Give the text of a typed input that says what is wanted: a field named so, or its first text."""
    for name in ("objective", "question", "query", "topic", "task", "request", "instruction"):
        if isinstance(task.get(name), str) and task[name].strip():
            return str(task[name]).strip()
    return next((value.strip() for value in task.values() if isinstance(value, str) and value.strip()), "")


def _follows_an_answer(messages: Sequence[Mapping[str, Any]], at: int) -> bool:
    """Whether the message before ended a turn: the assistant spoke and called nothing."""
    before = messages[at - 1] if at else {}
    own = _blocks(messages[at])
    return (
        before.get("role") == "assistant"
        and not any(block.get("type") == "tool_use" for block in _blocks(before))
        and not any(block.get("type") == "tool_result" for block in own)
    )


def _calls(messages: Sequence[Mapping[str, Any]]) -> Iterator[tuple[int, Call]]:
    results = {
        block["tool_use_id"]: block
        for message in messages
        for block in _blocks(message)
        if block.get("type") == "tool_result" and isinstance(block.get("tool_use_id"), str)
    }
    for at, message in enumerate(messages):
        for block in _blocks(message):
            if block.get("type") != "tool_use" or not isinstance(block.get("name"), str):
                continue
            given = block.get("input")
            result = results.get(block["id"]) if isinstance(block.get("id"), str) else None
            yield (
                at,
                Call(
                    name=block["name"],
                    input=given if isinstance(given, dict) else {},
                    result=None if result is None else _result_text(result),
                    failed=result is None or bool(result.get("is_error")),
                ),
            )


def _notes(messages: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Give what the harness or the CLI said, in texts of its own or after a tool's result."""
    for message in messages:
        if message.get("role") == "user":
            yield from _texts(message)
            for block in _blocks(message):
                if block.get("type") == "tool_result":
                    yield from _REMINDER.findall(_result_text(block)[-2000:])


def _texts(message: Mapping[str, Any]) -> list[str]:
    return [block["text"] for block in _blocks(message) if isinstance(block.get("text"), str)]


def _result_text(block: Mapping[str, Any]) -> str:
    content = block.get("content")
    return content if isinstance(content, str) else "\n".join(_texts({"content": content}))


def _blocks(message: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    content = message.get("content")
    return [{"type": "text", "text": content}] if isinstance(content, str) else _dicts(content)


def _dicts(values: object) -> list[Mapping[str, Any]]:
    return [value for value in values if isinstance(value, dict)] if isinstance(values, (list, tuple)) else []
