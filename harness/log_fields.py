"""What a log record says besides its sentence: a stable name of what happened, and whose it is.

log.warning("hook %s failed: %s", name, problem, extra=about("hook_failed", hook=name))
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any

SESSION_ID: ContextVar[str | None] = ContextVar("the session this task is at work on", default=None)


def about(event: str, **fields: object) -> dict[str, Any]:
    """Give the `extra` of a log call. `event` is what programs look for: it stays when the sentence changes.

    `fields` are `session_id`, `agent_run_id`, `span_id` and `seq` where they are known, and a few more.
    """
    return {"event": f"log.{event}", "fields": {"session_id": SESSION_ID.get(), **fields}}
