"""The files of bundles by their versions, kept for the sessions that began with them."""

from __future__ import annotations

from collections.abc import Mapping

from harness.packing import Packed
from harness.store.database import Database, Json
from harness.store.queries import queries

_SQL = queries("versions")

Version = tuple[str, str]
"""A bundle's name and its version."""


async def keep_versions(
    database: Database, tenant: str, session_id: str, versions: Mapping[Version, Packed]
) -> None:
    """Keep the files of these versions for a session; what a tenant has kept already is not sent again."""
    named = [{"name": name, "version": version} for name, version in versions]
    given = {"tenant": tenant, "session_id": session_id, "versions": Json(named)}
    for row in await database.all(_SQL["not_kept"], given):
        packed = versions[row["name"], row["version"]]
        await database.run(_SQL["keep"], {"tenant": tenant, **row, "files": Json(packed.model_dump())})
    if versions:
        await database.run(_SQL["keep_for"], given)


async def kept_versions(database: Database, tenant: str, versions: Mapping[str, str]) -> dict[str, Packed]:
    """Give the files of these versions, by the bundle's name, as far as they are kept."""
    given = Json([{"name": name, "version": version} for name, version in versions.items()])
    rows = await database.all(_SQL["kept"], {"tenant": tenant, "versions": given})
    return {row["name"]: Packed.model_validate(row["files"]) for row in rows}
