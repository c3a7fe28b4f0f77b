"""Staged rollout, decided from numbers alone: which session gets the new version, and when it has failed.

A rollout takes sessions from an old version of a bundle or a flow to a new one. Nothing here knows a
database: the same session gets the same answer in every process.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from pydantic import Field

from harness.records import Record

Kind = Literal["bundle", "flow"]
Arm = Literal["old", "new"]
RolloutStatus = Literal["running", "promoted", "aborted"]

_EPSILON = 1e-9


class Bounds(Record):
    """How much worse than the old version the new one may be.

    Rates are shares from 0 to 1, and what may be added to the old one's; the cost is a factor. Nothing is
    decided before `min_sessions` have ended with each version.
    """

    min_sessions: int = Field(default=20, ge=1)
    max_failure_rate: float = Field(default=0.1, ge=0, le=1)
    max_gate_rate: float = Field(default=0.2, ge=0, le=1)
    max_cost_ratio: float = Field(default=1.5, gt=0)


class Rollout(Record):
    """One rollout. `percent` of the sessions of `tenants`, or of all tenants, begin with the new version."""

    id: str
    kind: Kind
    name: str
    old_version: str
    new_version: str
    percent: float = Field(ge=0, le=100)
    tenants: tuple[str, ...] | None
    bounds: Bounds
    status: RolloutStatus
    reason: str | None
    started_at: datetime
    ended_at: datetime | None


class Tally(Record):
    """The sessions of one arm.

    `ended` are those that came to an outcome of their own, `failed` those of them without an answer (failed,
    or in need of help); cancelled ones count as begun only. `passed` and `sent_back` are what came of the
    agents' answers at their gates; `abstained` is how often a gate had no opinion. `cost_usd` is the sum over
    the `priced` ones.
    """

    begun: int = 0
    ended: int = 0
    failed: int = 0
    passed: int = 0
    sent_back: int = 0
    abstained: int = 0
    priced: int = 0
    cost_usd: float = 0.0

    @property
    def failure_rate(self) -> float | None:
        """Which share of the ended sessions has no answer."""
        return self.failed / self.ended if self.ended else None

    @property
    def gate_rate(self) -> float | None:
        """Which share of the agents' answers was sent back."""
        return self.sent_back / self.answers if self.answers else None

    @property
    def answers(self) -> int:
        """The answers that came to a gate."""
        return self.passed + self.sent_back

    @property
    def mean_usd(self) -> float | None:
        """What an ended session costs on average, in US dollars."""
        return self.cost_usd / self.priced if self.priced else None


@dataclass(frozen=True)
class Choice:
    """The version that a session begins with.

    `source` is the rollout that holds it, None where it is what lies on disk. `arms` says by rollout on which
    side the session is counted.
    """

    version: str
    source: str | None = None
    arms: dict[str, Arm] = field(default_factory=dict)


def arm(rollout: Rollout, session_id: str, tenant: str) -> Arm:
    """Say which version a session gets: by a hash, so that it is the same in every process."""
    if rollout.tenants is not None and tenant not in rollout.tenants:
        return "old"
    return "new" if share(rollout.id, session_id) * 100 < rollout.percent else "old"


def share(rollout_id: str, session_id: str) -> float:
    """Give a session its place among all in a rollout: evenly spread, from 0 to less than 1."""
    hashed = hashlib.sha256(f"{rollout_id}:{session_id}".encode()).digest()
    return int.from_bytes(hashed[:6], "big") / 2**48


def in_force(kind: Kind, name: str, version: str, rollouts: Iterable[Rollout]) -> Choice:
    """Say which version stands in for the one on disk: promotions are followed in their order."""
    about_it = [each for each in rollouts if (each.kind, each.name) == (kind, name)]
    ours = [each for each in about_it if each.status == "promoted"]
    found = Choice(version)
    for each in sorted(ours, key=lambda each: each.ended_at or each.started_at):
        if each.old_version == found.version:
            found = Choice(each.new_version, None if each.new_version == version else each.id)
    return found


def choose(
    kind: Kind, name: str, version: str, rollouts: Sequence[Rollout], session_id: str, tenant: str
) -> Choice:
    """Say with which version a session begins where `version` lies on disk."""
    standing = in_force(kind, name, version, rollouts)
    for each in rollouts:
        if each.status != "running" or (each.kind, each.name) != (kind, name):
            continue
        if each.old_version == standing.version:
            side = arm(each, session_id, tenant)
            arms: dict[str, Arm] = {each.id: side}
            if side == "new":
                return Choice(each.new_version, each.id, arms)
            return Choice(standing.version, standing.source, arms)
    return standing


def crossed(new: Tally, old: Tally, bounds: Bounds) -> str | None:
    """Say in a sentence which limit the new version has crossed, with the numbers of both; None: none yet."""
    if min(new.ended, old.ended) < bounds.min_sessions:
        return None
    if _above(new.failure_rate, old.failure_rate, bounds.max_failure_rate):
        return (
            f"With the new version {new.failed} of {new.ended} sessions failed "
            f"({_percent(new.failure_rate)} %), with the old one {old.failed} of {old.ended} "
            f"({_percent(old.failure_rate)} %); the limit is {_percent(bounds.max_failure_rate)} points more."
        )
    if _above(new.gate_rate, old.gate_rate, bounds.max_gate_rate):
        return (
            f"With the new version gates sent back {new.sent_back} of {new.answers} answers "
            f"({_percent(new.gate_rate)} %), with the old one {old.sent_back} of {old.answers} "
            f"({_percent(old.gate_rate)} %); the limit is {_percent(bounds.max_gate_rate)} points more."
        )
    ratio = bounds.max_cost_ratio
    if new.mean_usd and old.mean_usd and new.mean_usd > old.mean_usd * ratio + _EPSILON:
        return (
            f"With the new version a session costs ${new.mean_usd:.4f}, "
            f"with the old one ${old.mean_usd:.4f}; the limit is {ratio:g} times as much."
        )
    return None


def _above(new: float | None, old: float | None, limit: float) -> bool:
    return new is not None and old is not None and new > old + limit + _EPSILON


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share * 100:.3g}"
