"""A tiny loop in place of the CLI and the harness: documents in memory, tools, subagents in turn."""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from harness.offline.policy import respond
from harness.offline.rules import refusal
from harness.offline.words import terms

VERSION = {"anthropic-version": "2023-06-01"}
NOTICE = "no language model was used"
SOURCE_LINE = re.compile(r'^\[(\d+)\] (S\d+), ([^\n]*?)(?:: "(.*)")?$', re.MULTILINE)
REMINDER = (
    "<system-reminder>\nToday's date is 2026-11-22. What is the time? Write reports well.\n</system-reminder>"
)
TEXT = {"type": "string"}
CITATION = {
    "type": "object",
    "properties": {"source": TEXT, "quote": TEXT},
    "required": ["source", "quote"],
    "additionalProperties": False,
}
CLAIM: dict[str, Any] = {
    "type": "object",
    "properties": {"statement": TEXT, "citations": {"type": "array", "items": {"$ref": "#/$defs/Citation"}}},
    "required": ["statement", "citations"],
    "additionalProperties": False,
}
TEXTS = {"type": "array", "items": TEXT}
RESEARCHER_OUTPUT = {
    "type": "object",
    "properties": {
        "summary": TEXT,
        "findings": {"type": "array", "items": CLAIM},
        "conflicts": TEXTS,
        "not_found": TEXTS,
    },
    "required": ["summary", "findings"],
    "additionalProperties": False,
    "$defs": {"Citation": CITATION},
}
VERDICT = {
    "type": "object",
    "properties": {
        **CLAIM["properties"],
        "verdict": {"enum": ["supported", "refuted", "not_found", "cannot_tell"]},
        "reason": TEXT,
    },
    "required": ["statement", "verdict", "reason", "citations"],
    "additionalProperties": False,
}
CHECKER_OUTPUT = {
    "type": "object",
    "properties": {"verdicts": {"type": "array", "items": VERDICT}},
    "required": ["verdicts"],
    "additionalProperties": False,
    "$defs": {"Citation": CITATION},
}


def tool(name: str, schema: Mapping[str, Any] | None = None, description: str = "") -> dict[str, Any]:
    return {"name": name, "description": description, "input_schema": schema or {"type": "object"}}


CORPUS_TOOLS = [tool("mcp__corpus__search"), tool("mcp__corpus__read")]
DELEGATE = tool(
    "mcp__harness__delegate", description="Bundles: `researcher` (finds), `fact_checker` (checks)."
)


@dataclass
class Corpus:
    """Documents by locator; sources are labelled S1, S2 ... as they first appear in a result."""

    documents: Mapping[str, str]
    passage: int = 700
    labels: dict[str, str] = field(default_factory=dict)
    broken: Callable[[str, Mapping[str, Any]], str | None] = lambda name, given: None

    def __post_init__(self) -> None:
        self._passages = [
            (locator, offset, text, Counter(terms(text)))
            for locator, document in self.documents.items()
            for offset, text in _cut(document, self.passage)
        ]
        self._spread = Counter(word for *_, words in self._passages for word in words)

    def label(self, locator: str) -> str:
        return self.labels.setdefault(locator, f"S{len(self.labels) + 1}")

    def text_of(self, label: str) -> str:
        return next(self.documents[locator] for locator, own in self.labels.items() if own == label)

    def call(self, name: str, given: Mapping[str, Any]) -> tuple[str, bool]:
        problem = self.broken(name, given)
        if problem is not None:
            return problem, True
        if name == "mcp__corpus__search":
            return json.dumps(self._search(str(given["query"]), int(given["limit"]))), False
        return json.dumps(self._read(str(given["source"]), int(given["offset"]), int(given["length"]))), False

    def _search(self, query: str, limit: int) -> dict[str, Any]:
        wanted = set(terms(query))
        scored = []
        for number, (locator, offset, text, words) in enumerate(self._passages):
            score = sum(
                math.log(1 + len(self._passages) / self._spread[word]) * words[word] / (words[word] + 1)
                for word in wanted
                if words[word]
            )
            if score:
                scored.append((-score, number, locator, offset, text))
        scored.sort()
        hits = [
            {"source": self.label(locator), "title": _title(self.documents[locator]), "locator": locator}
            | {"passage": number, "offset": offset, "text": text, "score": -score}
            for score, number, locator, offset, text in scored[:limit]
        ]
        return {"query": query, "total": len(scored), "hits": hits}

    def _read(self, source: str, offset: int, length: int) -> dict[str, Any]:
        locator = next(locator for locator, own in self.labels.items() if own == source)
        document = self.documents[locator]
        end = min(len(document), offset + length)
        return {
            "source": source,
            "title": _title(document),
            "locator": locator,
            "offset": offset,
            "text": document[offset:end],
            "next_offset": end if end < len(document) else None,
            "length": len(document),
        }


def _title(document: str) -> str:
    return document.strip().split("\n", 1)[0].strip("# ")


def _cut(document: str, length: int) -> list[tuple[int, str]]:
    """Cut a document into passages at paragraph ends, with their offsets."""
    passages: list[tuple[int, str]] = []
    start = 0
    for paragraph in re.finditer(r"\n\s*\n|\Z", document):
        if paragraph.start() - start >= length or paragraph.start() == len(document):
            if document[start : paragraph.start()].strip():
                passages.append((start, document[start : paragraph.start()]))
            start = paragraph.end()
    return passages


@dataclass
class Played:
    """One agent's whole conversation."""

    messages: list[dict[str, Any]]
    tools: list[dict[str, Any]]
    text: str = ""
    output: Any = None
    turns: int = 0
    subagents: list[Played] = field(default_factory=list)

    def request(self) -> dict[str, Any]:
        return {
            "model": "some-model",
            "max_tokens": 32000,
            "system": [{"type": "text", "text": "You are an agent. Write up when steps are nearly used up."}],
            "messages": self.messages,
            "tools": self.tools,
            "stream": True,
        }

    def calls(self, name: str) -> list[dict[str, Any]]:
        return [
            block["input"]
            for message in self.messages
            if message["role"] == "assistant"
            for block in message["content"]
            if block["type"] == "tool_use" and block["name"] == name
        ]


class NotEnded(AssertionError):
    """An agent went on for more turns than it was given."""


def asked(prompt: str, tools: list[dict[str, Any]]) -> Played:
    """Begin a conversation as the CLI does: reminders first, then the prompt."""
    blocks = [{"type": "text", "text": REMINDER}, {"type": "text", "text": prompt}]
    return Played(messages=[{"role": "user", "content": blocks}], tools=tools)


def play(agent: Played, corpus: Corpus, *, most_turns: int = 12) -> Played:
    """Let the policy play an agent to its end; delegated tasks are played in turn."""
    agent.text, agent.output = "", None
    for _ in range(most_turns):
        refused = refusal(agent.request(), 0, VERSION)
        assert refused is None, refused
        message = respond(agent.request())
        assert message == respond(json.loads(json.dumps(agent.request()))), (
            "the same request got another answer"
        )
        agent.turns += 1
        agent.messages.append({"role": "assistant", "content": message["content"]})
        calls = [block for block in message["content"] if block["type"] == "tool_use"]
        if not calls:
            agent.text = message["content"][-1]["text"]
            return agent
        results = []
        for call in calls:
            if call["name"] == "StructuredOutput":
                agent.output = call["input"]
                return agent
            text, failed = _run(agent, call, corpus)
            results.append(
                {"type": "tool_result", "tool_use_id": call["id"], "is_error": failed}
                | {"content": [{"type": "text", "text": f"{text}\n\n{REMINDER}"}]}
            )
        agent.messages.append({"role": "user", "content": results})
    raise NotEnded(f"no end after {most_turns} turns")


def _run(agent: Played, call: Mapping[str, Any], corpus: Corpus) -> tuple[str, bool]:
    if call["name"] != "mcp__harness__delegate":
        return corpus.call(call["name"], call["input"])
    problem = corpus.broken(call["name"], call["input"])
    if problem is not None:
        return problem, True
    results = []
    for number, task in enumerate(call["input"]["tasks"]):
        problem = corpus.broken(task["to"], task["input"])
        if problem is not None:
            results.append({"task": number, "to": task["to"], "status": "failed", "problem": problem})
            continue
        schema = CHECKER_OUTPUT if task["to"] == "fact_checker" else RESEARCHER_OUTPUT
        tools = [*CORPUS_TOOLS, tool("StructuredOutput", schema)]
        subagent = play(asked(f"<task>\n{json.dumps(task['input'])}\n</task>", tools), corpus)
        agent.subagents.append(subagent)
        results.append({"task": number, "to": task["to"], "status": "done", "output": subagent.output})
    return json.dumps(results), False


def ask_lead(question: str, corpus: Corpus, tools: list[dict[str, Any]] | None = None) -> Played:
    """Put a question to a lead and play the whole session."""
    return play(asked(f"<question>{question}</question>", tools or [DELEGATE]), corpus)


def play_one_turn(agent: Played, corpus: Corpus) -> None:
    """Play one turn of an agent and give it the results of its calls."""
    try:
        play(agent, corpus, most_turns=1)
    except NotEnded:
        return
    raise AssertionError("the agent ended in its first turn")


def folded(text: str) -> str:
    """Give a text with every run of white space as one space."""
    return " ".join(text.split())


def sources(report: str) -> dict[int, tuple[str, str]]:
    """Give the label and the quote for each number under Sources."""
    _, _, listed = report.rpartition("## Sources\n")
    return {int(number): (label, quote) for number, label, _, quote in SOURCE_LINE.findall(listed)}
