"""Kept versions in the store: each content once for each tenant, and given back as it was."""

from __future__ import annotations

from harness.packing import Packed
from harness.store.database import Database
from harness.store.versions import keep_versions, kept_versions
from tests.kit.sessions import new_session

ONE, OTHER = Packed.of({"x/AGENT.md": b"one\x00"}), Packed.of({"x/AGENT.md": b"\xff"})


async def stored(database: Database) -> int:
    return len(await database.all("SELECT FROM bundle_version"))


async def test_a_version_is_kept_once_and_given_back(database: Database) -> None:
    """Texts with NUL and bytes that are no text, too; what is not kept is left out."""
    await keep_versions(database, "t", await new_session(database), {("x", "v2"): OTHER, ("y", "v1"): ONE})
    await keep_versions(database, "t", await new_session(database), {("x", "v1"): ONE})
    assert await stored(database) == 3
    assert await kept_versions(database, "t", {"x": "v1"}) == {"x": ONE}
    assert await kept_versions(database, "t", {"x": "v2", "y": "v2"}) == {"x": OTHER}
    assert await kept_versions(database, "t", {}) == {}


async def test_what_is_kept_stays_what_it_was(database: Database) -> None:
    """Other files under the same version change nothing."""
    await keep_versions(database, "t", await new_session(database), {("x", "v1"): ONE})
    await keep_versions(database, "t", await new_session(database), {("x", "v1"): OTHER})
    assert await kept_versions(database, "t", {"x": "v1"}) == {"x": ONE}


async def test_no_tenant_gets_what_another_has_kept(database: Database) -> None:
    """The files hold code: nobody may put it under a version of somebody else's."""
    await keep_versions(database, "other", await new_session(database), {("x", "v1"): OTHER})
    assert await kept_versions(database, "t", {"x": "v1"}) == {}
    await keep_versions(database, "t", await new_session(database), {("x", "v1"): ONE})
    assert await kept_versions(database, "t", {"x": "v1"}) == {"x": ONE}
    assert await kept_versions(database, "other", {"x": "v1"}) == {"x": OTHER}
