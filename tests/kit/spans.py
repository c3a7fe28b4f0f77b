"""Spans that nobody's work has left: made by hand, and put into the store as the journal would.

sheet = research()                       # a lead, two researchers, a gate: what a session looks like
await keep(database, sheet)
spans = await read_spans(database, sheet.session_id)
"""

from __future__ import annotations

import hashlib
import json
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

from harness.records import Usage
from harness.store.database import Database, Json
from harness.store.lease import Holder
from harness.store.queries import queries
from harness.store.spans import Ended
from harness.tracing.span import Content, Span, SpanKind, SpanStatus, span_id

BEGAN = datetime(2026, 1, 1, 12, tzinfo=UTC)

_JOURNAL = queries("journal")

_INSERT = """
insert into span (session_id, span_id, parent_span_id, agent_run_id, kind, name, seq, started_at, ended_at,
                  status, opened, closed)
values (%(session_id)s, %(span_id)s, %(parent_span_id)s, %(agent_run_id)s, %(kind)s, %(name)s, %(seq)s,
        %(started_at)s, %(ended_at)s, %(status)s, %(opened)s, %(closed)s)
"""


def content(text: str, *, json_text: bool = False, kept: bool = True, chat: bool = False) -> dict[str, Any]:
    """What a span says of an input or output."""
    sha256 = hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()
    made = Content(
        text=text if kept else None,
        chars=len(text),
        sha256=sha256,
        json_text=json_text,
        chat_bytes=196_608 if chat else None,
    )
    return made.model_dump()


def asked(text: str) -> dict[str, Any]:
    """What a model call says of its input: one question."""
    chat = {"messages": [{"role": "user", "content": text}], "tools": []}
    return content(json.dumps(chat), json_text=True, chat=True)


def answered(text: str) -> dict[str, Any]:
    """What a model call says of its output."""
    return content(json.dumps({"role": "assistant", "content": text}), json_text=True, chat=True)


class Sheet:
    """The spans of one session, in the order in which they begin, one second apart."""

    def __init__(
        self, session_id: str | None = None, *, tenant: str = "default", flow: str = "research"
    ) -> None:
        self.session_id = session_id or str(uuid.uuid4())
        self.tenant = tenant
        self.flow = flow
        self.spans: list[Span] = []
        self.root = self.turn("Why?", "It is so.")

    def add(
        self,
        kind: SpanKind,
        name: str,
        parent: Span | None = None,
        *,
        status: SpanStatus = "ok",
        seconds: float = 0.5,
        run: str | None = None,
        top: bool = False,
        **attributes: Any,
    ) -> Span:
        """Add a span below another one, the newest turn if none is named; `run` is its agent run's id."""
        number = len(self.spans) + 1
        began = BEGAN + timedelta(seconds=number)
        root = None if top else self.root.span_id
        made = Span(
            session_id=self.session_id,
            span_id=span_id(self.session_id, kind, str(number)),
            parent_span_id=parent.span_id if parent else root,
            agent_run_id=run or (parent.agent_run_id if parent else None),
            kind=kind,
            name=name,
            seq=number,
            started_at=began,
            ended_at=None if status == "open" else began + timedelta(seconds=seconds),
            status=status,
            attributes=attributes,
        )
        self.spans.append(made)
        return made

    def turn(self, question: str, answer: str, **given: Any) -> Span:
        """Add a turn, which stands at the top."""
        about: dict[str, Any] = {"flow": self.flow, "upstream": "live", "input": content(question)}
        name = f"invoke_workflow {self.flow}"
        made = self.add("turn", name, top=True, seconds=30, output=content(answer), **(about | given))
        self.root = made
        return made

    def agent(self, name: str, parent: Span | None = None, **given: Any) -> Span:
        """Add an agent run with a run id of its own."""
        about: dict[str, Any] = {
            "agent": name,
            "bundle": name,
            "bundle_version": f"{name}-v1",
            "attempt": 1,
            "path": name,
        }
        return self.add("agent_run", f"invoke_agent {name}", parent, run=str(uuid.uuid4()), **(about | given))

    def chat(self, parent: Span, model: str = "claude-sonnet-5-5", **given: Any) -> Span:
        """Add a model call with an output of 20 tokens and an input of 100, 30 of them from the cache."""
        used = Usage(
            input_tokens=60,
            cache_read_input_tokens=30,
            cache_creation_input_tokens=10,
            output_tokens=20,
            model_calls=1,
            attempts=1,
        )
        about: dict[str, Any] = {
            "model": model,
            "request_model": model,
            "message_id": f"msg_{len(self.spans)}",
            "stop_reason": "tool_use",
            "usage": used.model_dump(),
            "cost_usd": 0.002,
            "first_token_s": 0.25,
            "parameters": {"max_tokens": 32_000, "stream": True},
            "input": asked("Why?"),
            "output": answered("Because."),
        }
        return self.add("model", f"chat {model}", parent, **(about | given))

    def search(self, parent: Span, **given: Any) -> Span:
        """Add a tool call."""
        about = {
            "tool": "mcp__corpus__search",
            "tool_use_id": f"toolu_{len(self.spans)}",
            "replay": "read_only",
            "input": content('{"query": "tides"}', json_text=True),
            "output": content("Two passages."),
        }
        return self.add("tool", "execute_tool mcp__corpus__search", parent, **(about | given))

    def ended(self) -> list[Ended]:
        """What an exporter takes of it."""
        return [
            Ended(span, self.tenant, self.flow, (self.flow,))
            for span in self.spans
            if span.ended_at is not None
        ]


def research(session_id: str | None = None, **given: Any) -> Sheet:
    """A lead with two researchers, of whom one failed, a verifier, a second turn: 15 spans, 4 model calls."""
    sheet = Sheet(session_id, **given)
    lead = sheet.agent("lead", usage=Usage(output_tokens=80).model_dump(), cost_usd=0.008)
    sheet.chat(lead, "claude-opus-5-5")
    delegation = sheet.add(
        "delegation",
        "execute_tool delegate",
        lead,
        tool_use_id="toolu_d",
        tasks=[{"id": "1", "to": "researcher"}],
        input=content('[{"to": "researcher", "input": {"objective": "tides"}}]', json_text=True),
    )
    for status in ("ok", "error"):
        problem = {"problem": "The search was down."} if status == "error" else {}
        researcher = sheet.agent("researcher", delegation, status=status, **problem)
        sheet.chat(researcher)
        sheet.search(researcher, status=status, **problem)
    gate = sheet.add("gate", "gate researcher", lead, by="verifier", verdict="pass")
    sheet.chat(sheet.agent("verifier", gate))
    sheet.add("wait", "wait", status="suspended", reason="A question.", problem="It was stopped.")
    sheet.turn("And then?", "That is all.", usage=Usage(output_tokens=80).model_dump(), cost_usd=0.008)
    return sheet


def many(count: int, *, chars: int = 20, **given: Any) -> Sheet:
    """A root and model calls under it: `count` spans in all, with so many characters in each output."""
    sheet = Sheet(**given)
    for number in range(count - 1):
        sheet.chat(sheet.root, output=answered(f"{number} " + "x" * chars))
    return sheet


async def keep(database: Database, *sheets: Sheet) -> None:
    """Store sessions and their spans."""
    for sheet in sheets:
        row = {
            "id": sheet.session_id,
            "tenant": sheet.tenant,
            "flow": sheet.flow,
            "question": "Why?",
            "ttl": 1,
        }
        await database.run(_JOURNAL["create_session"], {**row, "holder": Json(Holder.here().model_dump())})
        # A session without events was never begun, and nobody finds it.
        begun = {"id": sheet.session_id, "head": len(sheet.spans)}
        await database.run("update session set head = %(head)s where id = %(id)s", begun)
        await keep_spans(database, *sheet.spans)


async def keep_spans(database: Database, *spans: Span) -> None:
    """Store spans of a session that is there."""
    await database.run_many(_INSERT, [_row(span) for span in spans])


def _row(span: Span) -> dict[str, Any]:
    late = {name: value for name, value in span.attributes.items() if name in ("output", "usage", "problem")}
    early = {name: value for name, value in span.attributes.items() if name not in late}
    plain = span.model_dump(exclude={"attributes"})
    return {**plain, "opened": Json(early), "closed": Json(late) if span.ended_at else None}
