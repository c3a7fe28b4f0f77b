"""Writes down a session that nobody ran: its events and its spans, by a clock of its own.

    scribe = Scribe()
    lead = scribe.run("lead", None, "q0", QUESTION)
    lead.start(0.1); lead.chat(OPUS, 5.2); lead.finish()
    book, spans = scribe.book(), scribe.spans()

Agents write side by side, each at its own time; what happened first comes first in the journal.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from harness import events as ev
from harness.messages import Message
from harness.pricing import cost_usd as price
from harness.records import Limits, NeedsHelp, Outcome, Usage, derived_id
from harness.state import fold
from harness.tracing.span import Content, Span, SpanKind, SpanStatus, span_id, trace_id
from tests.kit import sample_texts as texts
from tests.kit.journals import Book, created

BEGAN = datetime(2026, 3, 3, 9, 30, tzinfo=UTC)
SESSION = "ac34c244-8e0c-49f9-a2dd-461fd99b445f"
LONGEST = 4_000
"""Characters that a span keeps of an input or output."""


def content(value: Any, longest: int = LONGEST) -> dict[str, Any]:
    """What a span keeps of an input or output."""
    is_json = not isinstance(value, str)
    text = json.dumps(value, ensure_ascii=False) if is_json else value
    return Content(
        text=text[:longest],
        chars=len(text),
        sha256=hashlib.sha256(text.encode("utf-8", "replace")).hexdigest(),
        cut=len(text) > longest,
        json_text=is_json,
    ).model_dump()


@dataclass
class _Noted:
    at: float
    payload: ev.AnyPayload
    run_id: str | None


@dataclass
class Step:
    """A span while it is written; `event` opened it."""

    id: str
    parent: str | None
    run_id: str | None
    kind: SpanKind
    name: str
    event: _Noted
    at: float
    ended: float | None = None
    status: SpanStatus = "open"
    attributes: dict[str, Any] = field(default_factory=dict)

    def end(self, at: float, status: SpanStatus = "ok", **attributes: Any) -> None:
        """End it."""
        self.ended, self.status = at, status
        self.attributes |= {name: value for name, value in attributes.items() if value is not None}


class Scribe:
    """One session; `flow` is its flow, and its question the sample's."""

    def __init__(self, session_id: str = SESSION, **given: Any) -> None:
        self.session_id = session_id
        self._noted: list[_Noted] = []
        self.steps: list[Step] = []
        fields = {"question": texts.QUESTION, "upstream": "live", "flow_name": "research", "sources": 5}
        born = self.note(0.0, created(**{**fields, **given}))
        asked = {"flow": "research", "upstream": "live", "input": content(texts.QUESTION)}
        self.root = self.step(None, None, "turn", "invoke_workflow research", born, 0.0, **asked)

    def note(self, at: float, payload: ev.AnyPayload, run_id: str | None = None) -> _Noted:
        """Write down an event."""
        noted = _Noted(at, payload, run_id)
        self._noted.append(noted)
        return noted

    def step(
        self,
        parent: Step | None,
        run_id: str | None,
        kind: SpanKind,
        name: str,
        event: _Noted,
        at: float,
        **attributes: Any,
    ) -> Step:
        """Open a span."""
        id = span_id(self.session_id, kind, str(len(self.steps)))
        made = Step(
            id, parent.id if parent else None, run_id, kind, name, event, at, attributes=dict(attributes)
        )
        self.steps.append(made)
        return made

    def run(
        self, agent: str, parent: Agent | None, path: str, about: str, at: float = 0.0, **given: Any
    ) -> Agent:
        """Bring an agent run into the journal."""
        run_id = derived_id(self.session_id, path)
        parent_id = parent.run_id if parent else None
        task = Message(
            id=derived_id(run_id, "task"),
            kind="task",
            source=parent_id or "person",
            destination=agent,
            payload={"objective": about} if parent else {"question": about},
            schema_name=f"{agent}.input",
            trace_id=trace_id(self.session_id),
        )
        made = ev.AgentRunCreated(
            agent=agent,
            bundle_version="5c1f0a9be2d4",
            parent_id=parent_id,
            path=path,
            task=task,
            limits=Limits(max_steps=30),
            **given,
        )
        self.note(at, made, run_id)
        return Agent(self, run_id, agent, about, task)

    def book(self) -> Book:
        """The journal."""
        book = Book(session_id=self.session_id)
        for noted in self._ordered():
            event = book.add(noted.payload, noted.run_id)
            book.events[-1] = event.model_copy(update={"recorded_at": BEGAN + timedelta(seconds=noted.at)})
        book.state = fold(self.session_id, book.events)
        return book

    def spans(self) -> list[Span]:
        """The spans, in the order of their starts."""
        seqs = {id(noted): seq for seq, noted in enumerate(self._ordered(), start=1)}
        return [
            Span(
                session_id=self.session_id,
                span_id=step.id,
                parent_span_id=step.parent,
                agent_run_id=step.run_id,
                kind=step.kind,
                name=step.name,
                seq=seqs[id(step.event)],
                started_at=BEGAN + timedelta(seconds=step.at),
                ended_at=None if step.ended is None else BEGAN + timedelta(seconds=step.ended),
                status=step.status,
                attributes=step.attributes,
            )
            for step in sorted(self.steps, key=lambda step: step.at)
        ]

    def _ordered(self) -> list[_Noted]:
        return sorted(self._noted, key=lambda noted: noted.at)


@dataclass
class Agent:
    """One agent run at work: `at` is its own time, `span` the one it works in."""

    scribe: Scribe
    run_id: str
    name: str
    about: str
    task: Message
    at: float = 0.0
    span: Step | None = None
    attempt: int = 0
    turn: int = 0
    usage: Usage = field(default_factory=Usage)
    cost_usd: float = 0.0
    since: float = 0.0

    def start(self, at: float, parent: Step, *, recovered: bool = False) -> None:
        """Begin to work, or go on."""
        self.attempt += 1
        self.at = self.since = at
        noted = self._note(
            ev.AgentRunStarted(
                attempt=self.attempt,
                entry="prompt" if self.attempt > 1 else "fresh",
                recovered=recovered,
                claude_session_id=str(uuid.uuid5(uuid.NAMESPACE_OID, self.run_id)),
                folder="",
            )
        )
        self.span = self.scribe.step(
            parent,
            self.run_id,
            "agent_run",
            f"invoke_agent {self.name}",
            noted,
            at,
            agent=self.name,
            attempt=self.attempt,
            bundle_version="5c1f0a9be2d4",
            input=content(self.task.payload),
        )

    def chat(
        self,
        model: str,
        took: float,
        *,
        retries: int = 0,
        last: bool = False,
        cut_off: bool = False,
        output: Any = None,
    ) -> Step:
        """Call a model; `cut_off` leaves the call without an end."""
        call_id = f"{self.run_id}-{self.turn}"
        asked = texts.request(model, self.about, self.turn)
        requested = ev.ModelRequested(
            call_id=call_id, request_hash=call_id, ordinal=0, auxiliary=False, model=model
        )
        noted = self._note(requested)
        step = self.scribe.step(
            self.span,
            self.run_id,
            "model",
            f"chat {model}",
            noted,
            self.at,
            model=model,
            call_id=call_id,
            ordinal=0,
            input=content(asked),
        )
        if cut_off:
            return step
        tries = [
            {"status": 529, "problem": "Overloaded", "lost": False, "pause_s": 1.5} for _ in range(retries)
        ]
        for _ in tries:
            self.scribe.note(
                self.at + 0.4,
                ev.ModelRetried(
                    call_id=call_id,
                    auxiliary=False,
                    status=529,
                    problem="Overloaded",
                    lost=False,
                    pause_s=1.5,
                ),
                self.run_id,
            )
        used = Usage(
            input_tokens=40 + 13 * self.turn,
            output_tokens=180 + 61 * (self.turn % 5),
            cache_read_input_tokens=4_100 * self.turn,
            cache_creation_input_tokens=3_900 + 350 * self.turn,
            model_calls=1,
            attempts=1 + retries,
        )
        cost = price(model, used)
        self.at += took
        self.turn += 1
        self.usage += used
        self.cost_usd += cost or 0.0
        answered = output if output is not None else texts.response(self.turn, last)
        self._note(
            ev.ModelFinished(
                call_id=call_id,
                auxiliary=False,
                model=model,
                message_id=f"msg_{call_id[:8]}{self.turn}",
                stop_reason="end_turn" if last else "tool_use",
                usage=used,
                cost_usd=cost,
                first_token_s=0.62,
            )
        )
        step.end(
            self.at,
            output=content(answered),
            usage=used.model_dump(),
            cost_usd=cost,
            first_token_s=0.62,
            stop_reason="end_turn" if last else "tool_use",
            retries=tries or None,
        )
        return step

    def tool(
        self,
        tool: str,
        input: dict[str, Any],
        took: float,
        result: Any = "",
        *,
        error: str | None = None,
        cached: bool = False,
    ) -> Step:
        """Call a tool."""
        self.at += 0.05
        tool_use_id = f"toolu_{self.run_id[:8]}_{self.at:.2f}"
        noted = self._note(
            ev.ToolRequested(
                tool_use_id=tool_use_id, tool=tool, input=input, call_id=None, replay="read_only"
            )
        )
        step = self.scribe.step(
            self.span,
            self.run_id,
            "tool",
            f"execute_tool {tool}",
            noted,
            self.at,
            tool=tool,
            tool_use_id=tool_use_id,
            replay="read_only",
            input=content(input),
        )
        self.at += took
        self._note(
            ev.ToolFinished(
                tool_use_id=tool_use_id,
                tool=tool,
                error=error,
                cached=cached,
                sources=() if error else ("S1",),
            )
        )
        step.end(
            self.at,
            "error" if error else "ok",
            output=None if error else content(result),
            problem=error,
            cached=cached or None,
        )
        self.at += 0.03
        return step

    def delegate(self, tasks: list[Message]) -> Step:
        """Hand out tasks and go to sleep."""
        self.at += 0.05
        tool_use_id = f"toolu_{self.run_id[:8]}_{self.at:.2f}"
        noted = self._note(ev.DelegationRequested(tool_use_id=tool_use_id, call_id=None, tasks=tuple(tasks)))
        step = self.scribe.step(
            self.span,
            self.run_id,
            "delegation",
            "execute_tool delegate",
            noted,
            self.at,
            tool_use_id=tool_use_id,
            tasks=[{"id": task.id, "to": task.destination} for task in tasks],
            input=content([{"to": task.destination, "input": task.payload} for task in tasks]),
        )
        self.at += 0.1
        self._note(ev.AgentRunSuspended(tool_use_id=tool_use_id, work_s=self.at - self.since))
        return step

    def wake(self, at: float, delegation: Step, results: Any) -> None:
        """Get the results of a delegation, in the process that goes on."""
        self.attempt += 1
        self.at = self.since = at
        started = ev.AgentRunStarted(
            attempt=self.attempt,
            entry="refire",
            recovered=False,
            claude_session_id=str(uuid.uuid5(uuid.NAMESPACE_OID, self.run_id)),
            folder="",
        )
        self._note(started)
        self.at += 0.4
        tool_use_id = delegation.attributes["tool_use_id"]
        self._note(ev.ToolFinished(tool_use_id=tool_use_id, tool="mcp__harness__delegate"))
        delegation.end(self.at, output=content(results))

    def finish(self, output: Any, *, needs_help: str | None = None, suspended: bool = False) -> None:
        """End the agent run."""
        outcome = Outcome(status="done", output=output)
        if needs_help:
            outcome = Outcome(
                status="needs_help",
                output=output,
                problem=needs_help,
                help=NeedsHelp(reason="blocked", findings="", missing=needs_help),
            )
        result = Message(
            id=derived_id(self.run_id, "result"),
            kind="result",
            source=self.run_id,
            destination=self.task.source,
            payload=output,
            schema_name=f"{self.name}.output",
            trace_id=self.task.trace_id,
            in_reply_to=self.task.id,
        )
        work_s = 0.0 if suspended else self.at - self.since
        self._note(ev.AgentRunFinished(outcome=outcome, work_s=work_s, result=result))
        assert self.span is not None, "it has started"
        self.span.end(
            self.at,
            "needs_help" if needs_help else "ok",
            output=content(output),
            problem=needs_help,
            usage=self.usage.model_dump(),
            cost_usd=round(self.cost_usd, 6),
            attempts=self.attempt,
        )

    def _note(self, payload: ev.AnyPayload) -> _Noted:
        return self.scribe.note(self.at, payload, self.run_id)
