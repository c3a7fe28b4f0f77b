"""Sessions that are left to workers, by somebody who may know less than their journals."""

from __future__ import annotations

import pytest

from harness import steering
from harness.beginning import Place
from harness.errors import NotResumable
from harness.library import Harness
from harness.settings import from_environment
from harness.state import fold
from harness.store.database import Database
from harness.store.journal import read_events
from harness.taking_up import Wishes
from tests.cli.hand_made import keep, worked


async def test_a_session_that_has_just_ended_is_not_handed_over(dsn: str, database: Database) -> None:
    """It was at work when it was looked at, and its end stays the last that its journal says."""
    session_id = await keep(database, worked(bundles={}), status="done")
    events = await read_events(database, session_id)
    behind = fold(session_id, events[:4])
    async with Harness(settings=from_environment(None, {"dsn": dsn}, {})) as harness:
        with pytest.raises(NotResumable, match="has ended already"):
            await steering.hand_over(harness._tools, database, behind, Wishes(), Place.at("default", 0))
    assert await read_events(database, session_id) == events
