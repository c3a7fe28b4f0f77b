"""Spans that an exporter has taken, until each of them is settled."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from harness.errors import StoreError, StoreUnavailable
from harness.export.parcels import Parcel
from harness.export.receiver import Receiver, Verdict
from harness.store.spans import Ended, Outbox
from harness.tracing.span import Span

log = logging.getLogger(__name__)

_GIVE_BACK_S = 2.0
_AGAIN_S = 0.5


class Load:
    """What `Outbox.take` gave. It is held for half of the time that the outbox allows, and no longer."""

    def __init__(self, outbox: Outbox, taken: Sequence[Ended]) -> None:
        self._outbox = outbox
        self._until = time.monotonic() + outbox.hold_s / 2
        self._held = {_key(each.span): each.span for each in taken}
        self._doubtful: set[tuple[str, str]] = set()

    @property
    def fresh(self) -> bool:
        """Whether nobody else can have taken these spans by now."""
        return time.monotonic() < self._until

    async def post(self, receiver: Receiver, pile: Sequence[Parcel], body: bytes) -> Verdict:
        """Post some of them; should this be cut off, the receiver may have them."""
        self._doubtful = {_key(parcel.span) for parcel in pile}
        verdict = await receiver.post(body)
        if verdict.kind == "partly" and verdict.refused >= len(pile):
            for parcel in pile:
                await self.refuse(parcel.span, verdict.problem or "The receiver refused it without a reason.")
        elif verdict.kind in ("taken", "partly"):
            # Of several it is not told which ones were refused; sending them again would double the others.
            await self._note_sent([parcel.span for parcel in pile])
        if not verdict.doubtful:
            self._doubtful = set()
        return verdict

    async def _note_sent(self, spans: Sequence[Span]) -> None:
        """Insist: what the receiver has and the store does not know of is sent again."""
        while True:
            try:
                await self._outbox.sent(spans)
                break
            except StoreUnavailable:
                if not self.fresh:
                    raise
                await asyncio.sleep(_AGAIN_S)
        self._settled(spans)

    async def refuse(self, span: Span, problem: str) -> None:
        """Settle a span that will never be taken."""
        await self._outbox.refuse(span, problem)
        self._settled([span])

    async def give_back(self) -> None:
        """Let anybody take what is not settled."""
        doubtful = [span for key, span in self._held.items() if key in self._doubtful]
        untouched = [span for key, span in self._held.items() if key not in self._doubtful]
        for spans, doubt in ((doubtful, True), (untouched, False)):
            if spans:
                await self._outbox.later(spans, doubtful=doubt)

    def _settled(self, spans: Sequence[Span]) -> None:
        for span in spans:
            del self._held[_key(span)]


@asynccontextmanager
async def loaded(outbox: Outbox, limit: int) -> AsyncIterator[tuple[Load, list[Ended]]]:
    """Take spans for this block, and give back at its end what it has not settled."""
    taken = await outbox.take(limit)
    load = Load(outbox, taken)
    try:
        yield load, taken
    finally:
        try:
            async with asyncio.timeout(_GIVE_BACK_S):
                await load.give_back()
        except (StoreError, TimeoutError) as problem:
            log.debug("spans come back by themselves in %g s: %s", outbox.hold_s, problem)


def _key(span: Span) -> tuple[str, str]:
    return span.session_id, span.span_id
