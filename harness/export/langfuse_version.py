"""What a Langfuse server makes of spans and scores, by its version.

Least versions are those that Langfuse names for its own clients, which send the same:
https://langfuse.com/self-hosting/upgrade/versioning and
https://langfuse.com/docs/observability/sdk/upgrade-path/python-v4-to-v5; that of the types of steps is the
first release whose code reads them.
"""

from __future__ import annotations

import re

from harness.records import Record

Version = tuple[int, int, int]

SCORE_LISTS: Version = (4, 59, 0)
"""Takes scores in lists, with the time at which they were given."""

SPANS_AT_ONCE: Version = (4, 0, 0)
"""Heeds the header `x-langfuse-ingestion-version: 4`: spans are shown as they come."""

STEP_TYPES: Version = (3, 100, 0)
"""Tells agents, tools, chains and evaluators from plain spans."""

OWN_ATTRIBUTES: Version = (3, 63, 0)
"""Reads Langfuse's own attributes of spans: sessions, users, names, usage, costs. The least that will do."""

SPANS: Version = (3, 22, 0)
"""Takes spans at all."""

_VERSION = re.compile(r"\s*v?(\d{1,9})\.(\d{1,9})(?:\.(\d{1,9}))?(?![\d.])", re.IGNORECASE | re.ASCII)


class Fitness(Record):
    """What a server does less than the newest, each in a clause; `remedy` when that is too little."""

    lacks: tuple[str, ...] = ()
    remedy: str | None = None


def fitness(said: str) -> Fitness:
    """Judge a server by the version that it says it has; a release candidate counts as its release."""
    version = parsed(said)
    if version is None:
        return Fitness(lacks=(f"which is no version known here (wanted is {dotted(SCORE_LISTS)} or newer)",))
    lacks: list[str] = []
    if version < SPANS:
        lacks.append(f"it takes no spans (from {dotted(SPANS)} on)")
    elif version < OWN_ATTRIBUTES:
        lacks.append(
            "it does not read the names, users, sessions and costs of spans "
            f"(from {dotted(OWN_ATTRIBUTES)} on)"
        )
    elif version < STEP_TYPES:
        lacks.append(f"agents, tools and gates are plain spans there (typed from {dotted(STEP_TYPES)} on)")
    if SPANS <= version < SPANS_AT_ONCE:
        lacks.append(f"spans take its older path (the newer one from {dotted(SPANS_AT_ONCE)} on)")
    if version < SCORE_LISTS:
        lacks.append(
            "scores go one by one, and are dated when they arrive "
            f"(when they were given from {dotted(SCORE_LISTS)} on)"
        )
    least, best = dotted(OWN_ATTRIBUTES), dotted(SCORE_LISTS)
    remedy = f"update that server to {best}, or at least to {least}" if version < OWN_ATTRIBUTES else None
    return Fitness(lacks=tuple(lacks), remedy=remedy)


def parsed(said: str) -> Version | None:
    """Read "4.59.0", "v4.60" or "4.59.0-rc.1"; None when it is no version."""
    found = _VERSION.match(said)
    return (int(found[1]), int(found[2]), int(found[3] or 0)) if found else None


def dotted(version: Version) -> str:
    """Write a version as people do."""
    return ".".join(map(str, version))
