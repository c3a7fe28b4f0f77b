"""What the tenant's ledger is told of a model call that is paid for: attempt by attempt."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from harness.pricing import Most, Price, most
from harness.records import Usage
from harness.state import SessionState
from harness.store.ledger import Entry, Lost, Reservation, Used


@dataclass(frozen=True)
class Charge:
    """The reservation that covers an attempt, and how many attempts of its call were lost before it."""

    reservation: Reservation
    lost_before: int = 0

    @classmethod
    def of(
        cls, state: SessionState, request: Mapping[str, Any], body: bytes, prices: Mapping[str, Price]
    ) -> Charge | None:
        """Reserve the most that a call can use; None when nobody pays for the calls of its session."""
        if state.created is None or state.created.upstream != "live":
            return None
        bound = most(request, len(body), prices)
        model = str(request.get("model", ""))
        return cls(Reservation(state.tenant, model, bound.tokens, bound.usd))

    @property
    def begins(self) -> Entry:
        """It is reserved."""
        return Entry(begins=self.reservation)

    def another(self) -> tuple[Charge, Entry]:
        """Give the attempt up as lost, and reserve as much again for the next one."""
        lost = self.reservation
        again = Reservation(lost.tenant, lost.model, lost.tokens, lost.usd)
        return Charge(again, self.lost_before + 1), Entry(ended=Lost(lost.id), begins=again)

    def instead(self, bound: Most, model: str, lost: bool) -> tuple[Charge, Entry]:
        """Give the attempt up, as lost or as one that cost nothing, and reserve for one of another model."""
        given_up = self.reservation
        again = Reservation(given_up.tenant, model, bound.tokens, bound.usd)
        ended = Lost(given_up.id) if lost else Used(given_up.id, given_up.model, answered=False)
        return Charge(again, self.lost_before + lost), Entry(ended=ended, begins=again)

    def answered(self, model: str, usage: Usage | None, usd: float | None) -> Entry:
        """An answer came; without its usage what it used is lost."""
        if usage is None:
            return Entry(ended=Lost(self.reservation.id))
        return Entry(ended=Used(self.reservation.id, model, usage.total_tokens, usd))

    def failed(self, lost: int) -> Entry:
        """No answer came. Of the whole call `lost` attempts may have cost, this one among them or not."""
        if lost > self.lost_before:
            return Entry(ended=Lost(self.reservation.id))
        return Entry(ended=Used(self.reservation.id, self.reservation.model, answered=False))
