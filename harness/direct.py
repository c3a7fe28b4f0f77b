"""Model calls that do not pass the gateway: counted from the transcript, after they have been made.

What is lost against the gateway: a call's checkpoint comes after it, a budget stops the next tool and the
next process but not the next call, attempts and time to first token are unknown, and the CLI's own small
calls are not seen.
"""

from __future__ import annotations

from collections.abc import Sequence

from harness import events as ev
from harness.context import RunView
from harness.gateway.bodies import counts_of
from harness.pricing import cost_usd, costs_usd
from harness.records import Usage, derived_id
from harness.store.transcripts import Entry
from harness.tracing.chat import Answered
from harness.tracing.describe import Shown


class TranscriptMeter:
    """Commits each model message of one agent run once, when the transcript shows that it has ended."""

    def __init__(self, view: RunView) -> None:
        self._view = view
        self._seen: set[str] = set()

    async def __call__(self, entries: Sequence[Entry]) -> None:
        """Count the messages among new entries; several entries may belong to one message."""
        for entry in entries:
            message = entry.get("message") or {}
            if entry.get("type") != "assistant" or not message.get("stop_reason"):
                continue
            # What the CLI says in the model's name was never asked of a model.
            invented = entry.get("isApiErrorMessage") or message.get("model") == "<synthetic>"
            if message.get("id") and message["id"] not in self._seen and not invented:
                self._seen.add(message["id"])
                await self._count(message)

    async def _count(self, message: Entry) -> None:
        view = self._view
        counts = counts_of(message.get("usage"))
        usage = Usage(**(counts or {}), model_calls=1, attempts=1, unattributed_calls=int(counts is None))
        model = str(message.get("model") or "")
        await view.record(
            ev.ModelFinished(
                call_id=derived_id(view.run_id, message["id"]),
                auxiliary=False,
                model=model,
                message_id=message["id"],
                stop_reason=message["stop_reason"],
                usage=usage,
                cost_usd=cost_usd(model, usage, view.settings.price_table),
                first_token_s=None,
            ),
            shown=Shown(
                output=Answered(message.get("content")),
                facts={"costs": costs_usd(model, usage, view.settings.price_table)},
            ),
        )
