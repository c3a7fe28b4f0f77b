"""What agent runs have used, summed up so that it can be told apart who paid for it."""

from __future__ import annotations

from dataclasses import dataclass, field

from harness.records import Usage


@dataclass(frozen=True)
class Spent:
    """Usage, and its cost in US dollars at list prices; `unpriced` calls are not in the cost."""

    usage: Usage = field(default_factory=Usage)
    known_usd: float = 0.0
    unpriced: int = 0

    @property
    def cost_usd(self) -> float | None:
        """The cost; None when a model without a known price was used."""
        return None if self.unpriced else self.known_usd

    def __add__(self, other: Spent) -> Spent:
        """Add part by part."""
        usd, unpriced = self.known_usd + other.known_usd, self.unpriced + other.unpriced
        return Spent(self.usage + other.usage, usd, unpriced)

    def __sub__(self, other: Spent) -> Spent:
        """Take away part by part."""
        usd, unpriced = self.known_usd - other.known_usd, self.unpriced - other.unpriced
        return Spent(self.usage - other.usage, max(0.0, usd), unpriced)
