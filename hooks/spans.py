"""A tool call's end, with its place in the trace and what the agent has read by it. Never stops a run."""

import hashlib
import json
from datetime import UTC, datetime

from harness.corpus.labels import labels_in
from harness.events import Span, ToolFinished, span_id
from harness.hooks import AfterTool, Hook, Run


async def finish(call: AfterTool, run: Run) -> None:
    """Commit how the call ended."""
    text = call.result if isinstance(call.result, str) else json.dumps(call.result, default=str)
    known = run.run.tools.get(call.tool_use_id)
    session = run.state.id
    await run.record(
        ToolFinished(
            tool_use_id=call.tool_use_id,
            tool=call.tool,
            error=call.error,
            result_hash=hashlib.sha256(text.encode(errors="replace")).hexdigest(),
            result_chars=len(text),
            sources=labels_in(call.tool, call.result) if call.error is None else (),
            cached=call.cached,
        ),
        span=Span(
            trace_id=run.state.trace_id,
            span_id=span_id(session, "tool", call.tool_use_id),
            parent_span_id=span_id(session, "agent_run", run.run.id),
            started_at=known.requested_at if known else None,
            ended_at=datetime.now(UTC),
        ),
    )


HOOK = Hook(name="spans", order=90, on_failure="ignore", after_tool=finish)
