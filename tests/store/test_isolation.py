"""Row-level security: what a tenant's plain role can do with SQL written by hand."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from dataclasses import dataclass

import psycopg
import pytest

from harness.store.database import Database
from harness.store.embedded import EmbeddedServer
from harness.store.tenant_roles import grant
from tests.kit.plain_roles import as_role, plain_role
from tests.store.furnished import WITHOUT_TENANTS, Furnished, furnish, rows_of, tables

DEFINERS = {"own_tenants"}
"""Functions that run with the rights of the owner of the tables: each of these was thought through."""

DENIED = psycopg.errors.InsufficientPrivilege


@dataclass(frozen=True)
class World:
    """Two furnished tenants, and a plain role of the first one."""

    dsn: str
    role: str
    own: Furnished
    other: Furnished

    @property
    def role_dsn(self) -> str:
        return as_role(self.dsn, self.role)


@pytest.fixture
def role(postgres: EmbeddedServer) -> Iterator[str]:
    """A plain role."""
    with plain_role(postgres.dsn) as name:
        yield name


@pytest.fixture
async def world(role: str, database: Database) -> World:
    """A database with two tenants."""
    other = await furnish(database, "beta", {})
    own = await furnish(database, "acme", rows_of(database.dsn))
    await grant(database, "acme", role)
    return World(database.dsn, role, own, other)


def test_every_table_has_a_policy_or_holds_nothing_of_tenants(dsn: str) -> None:
    """A table that a migration brings is not forgotten: it is protected, or it stands on the list."""
    with psycopg.connect(dsn) as connection:
        found = connection.execute(
            "select relname from pg_class join pg_policy on polrelid = pg_class.oid"
            " where relnamespace = current_schema()::regnamespace"
            " and relrowsecurity and polcmd = '*' and polpermissive"
        )
        protected = {row[0] for row in found}
    assert set(tables(dsn)) - protected == WITHOUT_TENANTS
    assert not protected & WITHOUT_TENANTS


def test_nothing_lends_the_owners_rights_by_accident(dsn: str) -> None:
    """A view reads as its owner unless it says otherwise, and so does a function that says so."""
    with psycopg.connect(dsn) as connection:
        views = connection.execute(
            "select relname from pg_class where relnamespace = current_schema()::regnamespace"
            " and relkind in ('v', 'm') and not coalesce(reloptions @> '{security_invoker=true}', false)"
        ).fetchall()
        definers = connection.execute(
            "select proname from pg_proc where prosecdef and pronamespace = current_schema()::regnamespace"
        ).fetchall()
    assert views == []
    assert {row[0] for row in definers} == DEFINERS


def test_a_role_sees_all_rows_of_its_tenant_and_no_other(world: World) -> None:
    """In every table; the owner goes on seeing both."""
    everything = rows_of(world.dsn)
    assert all(world.own.rows[name] and world.other.rows[name] for name in everything), "furnish every table"
    assert rows_of(world.role_dsn) == world.own.rows


def test_a_role_without_a_tenant_sees_nothing(world: World, postgres: EmbeddedServer) -> None:
    """Rights on a table do not suffice, and a tenant cannot be named by a role that was not granted it."""
    with plain_role(postgres.dsn) as stranger, psycopg.connect(world.dsn, autocommit=True) as owner:
        with psycopg.connect(as_role(world.dsn, stranger)) as connection, pytest.raises(DENIED):
            connection.execute("select from session")
        owner.execute(f"grant select on all tables in schema public to {stranger}".encode())
        assert not any(rows_of(as_role(world.dsn, stranger)).values())
        owner.execute(f"drop owned by {stranger}".encode())


def test_no_statement_changes_or_removes_another_tenants_row(world: World) -> None:
    """Updates and deletes of whole tables, where they are allowed, touch the role's own rows alone."""
    with psycopg.connect(world.role_dsn) as connection:
        for name, own in world.own.rows.items():
            column = _columns(world.dsn, name)[0]
            for statement in (f"update {name} set {column} = {column}", f"delete from {name}"):
                try:
                    with connection.transaction(force_rollback=True):
                        touched = connection.execute(statement.encode()).rowcount
                except DENIED:
                    continue
                assert touched <= len(own), statement
        connection.rollback()
    after = rows_of(world.dsn)
    assert all(rows <= after[name] for name, rows in world.other.rows.items())


def test_no_row_can_be_put_among_another_tenants(world: World) -> None:
    """A copy of another tenant's row is refused in every table, before a key can tell that it is there."""
    with psycopg.connect(world.dsn) as owner, psycopg.connect(world.role_dsn, autocommit=True) as connection:
        for name, rows in world.other.rows.items():
            columns = ", ".join(_columns(world.dsn, name))
            (row,) = owner.execute(
                f"select to_json(t)::text from {name} t where ctid = %s::tid".encode(), (min(rows),)
            ).fetchall()
            with pytest.raises(DENIED):
                connection.execute(
                    f"insert into {name} ({columns}) "
                    f"select {columns} from json_populate_record(null::{name}, %s)".encode(),
                    row,
                )


REFUSED = {
    "move a session to another tenant": "update session set tenant = 'beta'",
    "claim to be a worker that nobody can read": """update session set holder = '{{"host": "x"}}'""",
    "claim to be two workers": (
        """update session set holder = '{{"host": "x", "boot_id": "b", "pid": 1, "pid": "y"}}'"""
    ),
    "come to be due when no calendar goes so far": "update session set due_at = 'infinity'",
    "be seen before time began": "update session set seen_at = '-infinity'",
    "hold a lease for ever": "update session set lease_until = 'infinity'",
    "begin a session for another tenant": (
        "insert into session (id, tenant, flow, question, status) "
        "values (gen_random_uuid(), 'beta', 'f', 'q', 'running')"
    ),
    "write into another's journal": (
        "insert into event (session_id, seq, id, kind, version, token, payload) "
        "values ('{other}', 999, gen_random_uuid(), 'session.asked', 1, 1, '{{}}')"
    ),
    "rewrite its own journal": "update event set payload = '{{}}'",
    "cut its own journal": "delete from event",
    "link another's document": (
        "insert into session_document (session_id, number, document, locator) "
        "values ('{own}', 9, {document}, 'x')"
    ),
    "use another's version": (
        "insert into session_bundle (session_id, tenant, name, version) "
        "values ('{own}', 'beta', 'other', 'kept')"
    ),
    "raise its limits": "update tenant set daily_usd = null",
    "begin without limits": "insert into tenant (name, max_sessions) values ('acme', 99)",
    "make a tenant": "insert into tenant (name) values ('gamma')",
    "see who is granted what": "select * from tenant_role",
    "grant itself a tenant": "insert into tenant_role (role, tenant) values (current_user, 'beta')",
    "switch policies off for itself": "set row_security = off; select * from session",
    "switch policies off": "alter table session disable row level security",
    "drop a policy": "drop policy own on session",
    "add a policy": "create policy mine on session using (true)",
    "put another function in place": (
        "create or replace function own_tenants() returns setof text language sql as 'select ''beta'''"
    ),
    "become the owner": "set role {owner}",
    "empty a table": "truncate score",
    "hear of each row": (
        "create trigger t after insert on event execute function suppress_redundant_updates_trigger()"
    ),
    "apply a migration": "insert into schema_migration (version, name, sha256) values (9999, 'x', 'x')",
    "serve itself first": "update tenant set served_at = '-infinity'",
}


@pytest.mark.parametrize("statement", REFUSED.values(), ids=REFUSED.keys())
def test_what_a_role_may_not_do_is_refused(world: World, statement: str) -> None:
    """Each fails as a whole, whatever rows it would meet."""
    with psycopg.connect(world.dsn) as owner:
        (document,) = owner.execute("select id from document where tenant = 'beta'").fetchall()
    given = {"own": world.own.session_id, "other": world.other.session_id, "document": document[0]}
    with psycopg.connect(world.role_dsn) as connection, pytest.raises(psycopg.Error) as refused:
        connection.execute(statement.format(**given, owner=_owner(world.dsn)).encode())
    assert refused.value.sqlstate == DENIED.sqlstate, refused.value


UNTOUCHED = {
    "steal a lease": (
        "update session set token = token + 1, holder = '{{}}', lease_until = 'infinity' where id = '{other}'"
    ),
    "stop a session": "update session set stop_requested = 'cancel' where id = '{other}'",
    "queue a session": "update session set due_at = now(), priority = 9 where tenant = 'beta'",
    "take a session": "update session set tenant = 'acme' where tenant = 'beta'",
    "drop what was begun": "delete from session where id = '{own}'",
    "forget an answer": "delete from kept_response where session_id = '{other}'",
    "read a journal": "select * from event where session_id = '{other}'",
    "read a document": "select * from passage where text @@ 'tide' and document = {document}",
    "read a transcript": "select * from transcript where scope = '{other}'",
    "read limits": "select * from tenant where name = 'beta'",
    "read through statistics": "select * from pg_stats where tablename in ('event', 'session', 'passage')",
}


@pytest.mark.parametrize("statement", UNTOUCHED.values(), ids=UNTOUCHED.keys())
def test_what_is_not_its_own_is_not_there(world: World, statement: str) -> None:
    """A statement that names another tenant's rows finds none, and says nothing else."""
    with psycopg.connect(world.dsn, autocommit=True) as owner:
        (document,) = owner.execute("select id from document where tenant = 'beta'").fetchall()
        owner.execute("analyze event, session, passage")
    given = {"own": world.own.session_id, "other": world.other.session_id, "document": document[0]}
    with psycopg.connect(world.role_dsn) as connection:
        assert connection.execute(statement.format(**given).encode()).rowcount == 0


def test_a_table_of_its_own_does_not_stand_in_for_the_list_of_roles(world: World) -> None:
    """Names in policies and in their function are bound; a temporary table comes first only by name."""
    with psycopg.connect(world.role_dsn) as connection:
        connection.execute("create temp table tenant_role as select current_user as role, 'beta' as tenant")
        connection.execute(
            f"create temp view session as select '{world.other.session_id}'::uuid as id".encode()
        )
        connection.execute("set search_path = pg_temp, public")
        seen = connection.execute("select distinct session_id::text from public.event").fetchall()
    assert seen == [(world.own.session_id,)]


def test_a_function_of_its_own_is_shown_no_row_of_others(world: World) -> None:
    """Postgres asks the policy first, however cheap the condition says it is."""
    heard: list[str] = []
    with psycopg.connect(world.role_dsn) as connection:
        connection.add_notice_handler(lambda notice: heard.append(str(notice.message_primary)))
        connection.execute(
            "create function pg_temp.tell(told text) returns boolean language plpgsql cost 0.0001"
            " as $$ begin raise notice '%', told; return true; end $$"
        )
        connection.execute("select from session where pg_temp.tell(id::text)")
        connection.execute("update session set queue = queue where pg_temp.tell(id::text)")
        connection.rollback()
    assert heard == [world.own.session_id] * 2


def test_a_role_that_is_set_counts_as_the_one_at_work(world: World, postgres: EmbeddedServer) -> None:
    """A web application logs in once and sets the role of the tenant it serves; by itself it sees nothing."""
    with (
        plain_role(postgres.dsn, f"login noinherit in role {world.role}") as web,
        psycopg.connect(as_role(world.dsn, web)) as connection,
    ):
        with pytest.raises(DENIED), connection.transaction():
            connection.execute("select id from session")
        connection.execute(f"set local role {world.role}".encode())
        assert connection.execute("select id::text from session").fetchall() == [(world.own.session_id,)]


def test_a_transcript_under_a_name_of_its_own_is_nobodys(world: World) -> None:
    """A scope that is no session's id neither shows nor makes a statement fail, which would show it."""
    with psycopg.connect(world.dsn) as owner:
        owner.execute(
            "insert into transcript (scope, claude_session_id, entry) values ('/home/beta', 'c', '{}')"
        )
    assert rows_of(world.role_dsn)["transcript"] == world.own.rows["transcript"]


def test_a_new_key_tells_nothing_of_an_old_one(world: World) -> None:
    """To take a session's id that another tenant has is refused like an id that is free, by its tenant."""
    said = []
    for id in (world.other.session_id, str(uuid.uuid4())):
        with psycopg.connect(world.role_dsn) as connection, pytest.raises(DENIED) as refused:
            connection.execute(
                "insert into result (session_id, reference, body) values (%s, 'r', %s)", (id, json.dumps({}))
            )
        said.append(str(refused.value))
    assert said[0] == said[1]


def test_no_right_is_given_that_policies_do_not_hold_back(world: World) -> None:
    """Whoever may empty a table, refer to it or hear of its rows passes by all policies."""
    with psycopg.connect(world.role_dsn) as connection:
        for name in tables(world.dsn):
            (row,) = connection.execute(
                "select has_table_privilege(%s, 'truncate, references, trigger')", (name,)
            )
            assert row == (False,), name


def _columns(dsn: str, table: str) -> list[str]:
    """The columns of a table that a statement gives values to."""
    with psycopg.connect(dsn) as connection:
        found = connection.execute(
            "select attname from pg_attribute where attrelid = %s::regclass and attnum > 0"
            " and not attisdropped and attgenerated = '' and attidentity = '' order by attnum",
            (table,),
        )
        return [row[0] for row in found]


def _owner(dsn: str) -> str:
    with psycopg.connect(dsn) as connection:
        (row,) = connection.execute("select current_user").fetchall()
        return str(row[0])
