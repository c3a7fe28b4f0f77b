"""Granting a tenant to a role, and taking it back."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from harness.errors import BadInput, RoleRefused
from harness.store.database import Database
from harness.store.embedded import EmbeddedServer
from harness.store.migrate import FOLDER, migrate
from harness.store.queries import trusted
from harness.store.sessions import Sessions
from harness.store.tenant_roles import grant, revoke
from tests.cli.hand_made import keep, worked
from tests.kit.plain_roles import as_role, plain_role


@pytest.fixture
def role(postgres: EmbeddedServer) -> Iterator[str]:
    """A plain role, made before the database that grants to it and dropped after it."""
    with plain_role(postgres.dsn) as name:
        yield name


async def seen(dsn: str, tenant: str) -> list[str]:
    """The ids of a tenant's sessions, as the role of the DSN sees them."""
    async with await Database.open(dsn) as database:
        return [row.session_id for row in await Sessions(database, tenant).newest(10)]


async def test_a_role_works_for_each_tenant_it_was_granted(role: str, database: Database) -> None:
    """One or several, granted once or twice; what is revoked is gone, and with the last one all rights."""
    ids = {tenant: await keep(database, worked(), tenant=tenant, status="done") for tenant in ("a", "b")}
    dsn = as_role(database.dsn, role)
    for tenant in ("a", "b", "a"):
        await grant(database, tenant, role)
    assert {tenant: await seen(dsn, tenant) for tenant in ids} == {"a": [ids["a"]], "b": [ids["b"]]}
    await revoke(database, "b", role)
    assert {tenant: await seen(dsn, tenant) for tenant in ids} == {"a": [ids["a"]], "b": []}
    await revoke(database, "a", role)
    with pytest.raises(RoleRefused, match=r"does not let the role of the DSN do this.*harness tenants grant"):
        await seen(dsn, "a")
    with psycopg.connect(database.dsn) as owner:
        left = owner.execute(
            "select count(*) from pg_class where relacl::text like %s", (f"%{role}%",)
        ).fetchone()
    assert left == (0,)


async def test_a_tenant_is_known_once_it_is_granted(role: str, database: Database) -> None:
    """Its first session may come from the role, which makes no tenants."""
    await grant(database, "new", role)
    async with await Database.open(as_role(database.dsn, role)) as own:
        session_id = await keep(own, worked(), tenant="new", status="done")
        with pytest.raises(RoleRefused, match=r"row-level security.*--tenant"):
            await keep(own, worked(), tenant="other", status="done")
    assert await seen(database.dsn, "new") == [session_id]
    assert await database.all("select name from tenant where name = 'other'") == []


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ("superuser", "may become, a superuser"),
        ("login bypassrls", "BYPASSRLS"),
        ("login createrole", "CREATEROLE"),
        ("login replication", "REPLICATION"),
        ("login in role pg_read_server_files", "files of the server"),
        ("login in role {owner}", "may become, a superuser"),
        ("login in role {unbound}", "BYPASSRLS"),
        ("login in role {keeper}", "may become, the owner of the tables"),
        ("login noinherit in role {keeper}", "may become, the owner of the tables"),
    ],
)
async def test_a_role_that_policies_do_not_hold_back_is_refused(
    postgres: EmbeddedServer, empty_dsn: str, options: str, says: str
) -> None:
    """Whether it is such a role, or only may become one; nothing is granted."""
    with (
        plain_role(postgres.dsn) as keeper,
        plain_role(postgres.dsn, "bypassrls") as unbound,
        psycopg.connect(empty_dsn, autocommit=True) as owner,
    ):
        who = owner.execute("select current_user").fetchall()[0][0]
        owner.execute(f"grant create on schema public to {keeper}".encode())
        await migrate(as_role(empty_dsn, keeper))
        filled = options.format(owner=who, unbound=unbound, keeper=keeper)
        with plain_role(postgres.dsn, filled) as name:
            async with await Database.open(empty_dsn) as database:
                with pytest.raises(BadInput, match=says):
                    await grant(database, "acme", name)
                assert await database.all("select * from tenant_role") == []
                assert await database.all("select * from tenant") == []
        owner.execute(f"drop owned by {keeper} cascade".encode())


async def test_a_role_that_may_create_objects_is_refused(role: str, database: Database) -> None:
    """A function of its own among the tables would be called by the service's statements."""
    await database.run("grant create on schema public to public")
    with pytest.raises(BadInput, match="revoke create on schema public from public"):
        await grant(database, "acme", role)
    await database.run("revoke create on schema public from public")
    await database.run(trusted(f"grant create on database {_name_of(database)} to public"))
    with pytest.raises(BadInput, match="revoke create on database NAME from public"):
        await grant(database, "acme", role)
    await database.run(trusted(f"revoke create on database {_name_of(database)} from public"))
    await grant(database, "acme", role)


def _name_of(database: Database) -> str:
    return str(conninfo_to_dict(database.dsn)["dbname"])


async def test_a_role_that_is_not_there_is_named_with_the_way_to_make_it(database: Database) -> None:
    """A misspelt name, or one that is still to be made; nothing is granted."""
    with pytest.raises(BadInput, match=r"no role 'nobody_yet'.*create role nobody_yet login"):
        await grant(database, "acme", "nobody_yet")
    with pytest.raises(BadInput, match="'nobody_yet' was not granted the tenant 'acme'"):
        await revoke(database, "acme", "nobody_yet")


async def test_only_the_owner_grants(role: str, database: Database) -> None:
    """A tenant's role can neither give away its tenant nor take another one."""
    await grant(database, "acme", role)
    async with await Database.open(as_role(database.dsn, role)) as own:
        for act in (grant, revoke):
            with pytest.raises(RoleRefused):
                await act(own, "beta", role)


async def test_names_are_names_whatever_they_hold(postgres: EmbeddedServer, dsn: str) -> None:
    """A role's name is quoted in what is executed for it."""
    odd = 'x"; drop table score; --'
    quoted = '"x""; drop table score; --"'
    with psycopg.connect(postgres.dsn, autocommit=True) as server:
        server.execute(f"create role {quoted} login".encode())
    try:
        async with await Database.open(dsn) as database:
            await grant(database, "acme", odd)
            await revoke(database, "acme", odd)
            assert await database.all("select * from score") == []
    finally:
        with psycopg.connect(dsn, autocommit=True) as connection:
            connection.execute(f"drop owned by {quoted}".encode())
            connection.execute(f"drop role {quoted}".encode())


async def test_a_role_opens_a_store_that_is_up_to_date_and_migrates_none(
    role: str, empty_dsn: str, tmp_path: Path
) -> None:
    """It looks and finds nothing to do; what is missing is for the owner, and new tables come with rights."""
    older = tmp_path / "older"
    older.mkdir()
    for path in FOLDER.glob("00*.sql"):
        (older / path.name).write_text(path.read_text("utf-8"), "utf-8")
    newer = tmp_path / "newer"
    newer.mkdir()
    for path in older.iterdir():
        (newer / path.name).write_text(path.read_text("utf-8"), "utf-8")
    number = len(list(older.iterdir())) + 1
    (newer / f"{number:04}_more.sql").write_text(
        "drop table recording; create table recording (n int);", "utf-8"
    )
    dsn = as_role(empty_dsn, role)
    with pytest.raises(RoleRefused, match=r"lacks the migration 0001_ground.* the owner of the tables"):
        await migrate(dsn, older)
    await migrate(empty_dsn, older)
    async with await Database.open(empty_dsn) as database:
        await grant(database, "acme", role)
    assert await migrate(dsn, older) == []
    with pytest.raises(RoleRefused, match=f"lacks the migration {number:04}_more"):
        await migrate(dsn, newer)
    await migrate(empty_dsn, newer)
    assert await migrate(dsn, newer) == []
    with psycopg.connect(make_conninfo(dsn)) as connection:
        assert connection.execute("select * from recording").fetchall() == []
    with psycopg.connect(empty_dsn, autocommit=True) as owner:
        owner.execute(f"drop owned by {role}".encode())
