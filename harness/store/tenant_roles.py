"""Plain roles of Postgres that act for a tenant: what they may do is granted here, on which rows is policy.

A role that policies do not hold back is refused, and so is one that could become such a role.
"""

from __future__ import annotations

from harness.errors import BadInput
from harness.store.database import Connection, Database
from harness.store.queries import queries, trusted

_SQL = queries("tenant_roles")

_TOO_MUCH = {
    "superuser": "is, or may become, a superuser",
    "unbound": "is, or may become, a role with BYPASSRLS",
    "owner": "is, or may become, the owner of the tables or of the database",
    "makes_roles": "has, or may get, CREATEROLE, with which it can take on other roles",
    "replicates": "has, or may get, REPLICATION, with which it can copy the whole database",
    "reaches_files": "may read or write files of the server, or run programs there",
}
"""By what is found of a role: why it cannot be kept to one tenant."""


async def grant(database: Database, tenant: str, role: str) -> None:
    """Let a role of Postgres work for a tenant, and on nothing else; again it does no harm.

    A tenant that has had no session yet is made known, as its first session would.

    Raises:
        BadInput: there is no such role, or policies would not hold it back.
        RoleRefused: `database` is not opened as the owner of the tables.
    """
    async with database.transaction() as connection:
        await _check(connection, role)
        await connection.run(_SQL["known_tenant"], {"tenant": tenant})
        await connection.run(_SQL["add"], {"role": role, "tenant": tenant})
        await give_rights(connection, role)


async def revoke(database: Database, tenant: str, role: str) -> None:
    """Take a tenant from a role again; with its last tenant it loses all its rights.

    Raises:
        BadInput: the role was not granted this tenant.
        RoleRefused: `database` is not opened as the owner of the tables.
    """
    given = {"role": role, "tenant": tenant}
    async with database.transaction() as connection:
        if not await connection.run(_SQL["remove"], given):
            raise BadInput(
                f"The role '{role}' was not granted the tenant '{tenant}'; give both as they were granted."
            )
        left = await connection.one(_SQL["granted"], {"role": role})
        if left is not None and not left["still"]:
            for row in await connection.all(_SQL["revocations"], {"role": role}):
                await connection.run(trusted(row["revoke"]))


async def give_rights(connection: Connection, role: str | None = None) -> None:
    """Give all roles of tenants, or one, the rights they need: a migration may have brought tables."""
    kept = await connection.one(_SQL["is_kept"])
    if kept is not None and kept["kept"]:
        for row in await connection.all(_SQL["grants"], {"role": role}):
            await connection.run(trusted(row["grant"]))


async def _check(connection: Connection, role: str) -> None:
    found = await connection.one(_SQL["examine"], {"role": role})
    if found is None:
        raise BadInput(f"There is no role '{role}' in this Postgres; make one with: create role {role} login")
    for what, why in _TOO_MUCH.items():
        if found[what]:
            raise BadInput(
                f"The role '{role}' {why}, and could see every tenant's sessions; "
                "grant a plain role, made with: create role NAME login"
            )
    if found["creates"] or found["makes_schemas"]:
        where = "schema public" if found["creates"] else "database NAME"
        raise BadInput(
            f"The role '{role}' may create objects that stand in for the tables and what they need; "
            f"take that away first, for instance with: revoke create on {where} from public"
        )
