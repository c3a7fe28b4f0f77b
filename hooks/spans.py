"""A tool call's end, with its place in the trace and what the agent has read by it. Never stops a run."""

import hashlib
import json

from harness.corpus.labels import labels_in
from harness.events import ToolFinished
from harness.hooks import AfterTool, Hook, Run, Shown


async def finish(call: AfterTool, run: Run) -> None:
    """Commit how the call ended."""
    text = call.result if isinstance(call.result, str) else json.dumps(call.result, default=str)
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
        shown=Shown(input=dict(call.input), output=call.result),
    )


HOOK = Hook(name="spans", order=90, on_failure="ignore", after_tool=finish)
