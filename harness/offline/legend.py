"""The names of documents, carried in prose: a researcher's summary tells them to the lead."""

from __future__ import annotations

import re
from collections.abc import Mapping

_BEGIN = "Documents: "
_ENTRY = re.compile(r"(\S+) = (.+?)(?=; \S+ = |\.?\s*$)")


def legend(names: Mapping[str, str]) -> str:
    """Give a sentence that names each document: "Documents: S1 = Title; S2 = Title."."""
    entries = "; ".join(f"{source} = {name}" for source, name in names.items())
    return f"{_BEGIN}{entries}." if entries else ""


def read_legend(summary: str) -> dict[str, str]:
    """Give the names that a summary tells by its legend; empty when it has none."""
    _, found, entries = summary.rpartition(_BEGIN)
    return dict(_ENTRY.findall(entries)) if found else {}
