"""The oldest Postgres that is promised, as Debian 12 has it: of its package only the programs are used."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.store import binaries
from harness.store.migrate import OLDEST_SERVER

PROGRAMS = Path(f"/usr/lib/postgresql/{OLDEST_SERVER}/bin")


def use_oldest_postgres(patch: pytest.MonkeyPatch) -> None:
    """Let this process make its databases with the oldest Postgres; with none there, it can make none.

    Commands that are given such a database, or a home that holds one, run it on that Postgres, too.
    """
    patch.setattr(binaries, "WHEEL", "none")
    patch.setattr(binaries, "SYSTEM_FOLDERS", (str(PROGRAMS),))
