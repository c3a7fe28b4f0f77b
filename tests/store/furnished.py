"""Two tenants with a row of each in every table that holds what is theirs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import psycopg

from harness.store.database import Database
from tests.cli.hand_made import keep, worked

RATES = frozenset({"rate_limit", "rate_call", "rate_share"})
"""Tables that only the service's own processes read and write."""

WITHOUT_TENANTS = frozenset({"schema_migration", "tenant_role"}) | RATES
"""Tables without a policy: a plain role may read migrations, and nothing of the others."""

_REST = """
with own as (
    insert into document (tenant, sha256, title, length)
    values (%(tenant)s, 'same', 'Tides', 4) returning id
), passages as (
    insert into passage (document, number, start, title, heading, text)
    select id, 1, 0, 'Tides', '', 'tide' from own
), linked as (
    insert into session_document (session_id, number, document, locator)
    select %(id)s, 1, id, 'tides.md' from own
), kept as (
    insert into kept_response (session_id, agent_run_id, conversation, call_id, content_type, body)
    values (%(id)s, gen_random_uuid(), 'c', gen_random_uuid(), 'text', '')
), answered as (
    insert into tool_answer (tenant, tool, version, input_hash, answer, kept_until)
    values (%(tenant)s, 'look', '1', 'h', '"secret"', 'infinity')
), scored as (
    insert into score (id, session_id, name, value) values (gen_random_uuid(), %(id)s, 'quality', '1')
), recorded as (
    insert into recording (session_id, agent_run_id, path, auxiliary, number, attempt, status,
                           request_headers, request, response_headers, content_type, response)
    values (%(id)s, gen_random_uuid(), 'q0', false, 1, 1, 200, '{}', '', '{}', 'text', '')
), told as (
    insert into transcript (scope, claude_session_id, uuid, type, entry)
    values (%(id)s, 'c', 'u', 'user', '{}')
), kept_version as (
    insert into bundle_version (tenant, name, version, files) values (%(tenant)s, 'analyst', 'kept', '{}')
    returning name
), used as (
    insert into session_bundle (session_id, tenant, name, version)
    select %(id)s, %(tenant)s, 'analyst', 'kept' from kept_version
), rollouts as (
    insert into rollout (id, kind, name, old_version, new_version, content, percent, bounds, tenants)
    values (gen_random_uuid(), 'bundle', %(tenant)s, 'v', 'w', '{}', 10, '{}', array[%(tenant)s]) returning id
), arms as (
    insert into rollout_session (rollout_id, session_id, arm) select id, %(id)s, 'old' from rollouts
), accounts as (
    insert into account (tenant, day) values (%(tenant)s, current_date)
), reserved as (
    insert into reservation (id, session_id, token, tenant, day, model, tokens)
    values (gen_random_uuid(), %(id)s, 1, %(tenant)s, current_date, 'm', 1)
), spent as (
    insert into spending (tenant, day, model) values (%(tenant)s, current_date, 'm')
)
insert into result (session_id, reference, body) values (%(id)s, 'r', 'whole')
"""


@dataclass(frozen=True)
class Furnished:
    """A tenant's finished session, and where its rows stand in each table."""

    tenant: str
    session_id: str
    rows: Mapping[str, frozenset[str]]


async def furnish(database: Database, tenant: str, before: Mapping[str, frozenset[str]]) -> Furnished:
    """Give a tenant a row of everything; `before` are the rows that were there."""
    session_id = await keep(database, worked(), tenant=tenant, status="done")
    async with await psycopg.AsyncConnection.connect(database.dsn) as connection:
        await connection.execute(_REST.encode(), {"tenant": tenant, "id": session_id})
    now = rows_of(database.dsn)
    return Furnished(tenant, session_id, {name: now[name] - before.get(name, frozenset()) for name in now})


def tables(dsn: str) -> list[str]:
    """Every table of the schema."""
    with psycopg.connect(dsn) as connection:
        found = connection.execute("select tablename from pg_tables where schemaname = current_schema()")
        return sorted(row[0] for row in found)


def rows_of(dsn: str) -> dict[str, frozenset[str]]:
    """Where the rows of each table stand that holds tenants' data, as far as this role sees them."""
    with psycopg.connect(dsn) as connection:
        return {
            name: frozenset(row[0] for row in connection.execute(f"select ctid::text from {name}".encode()))
            for name in tables(dsn)
            if name not in WITHOUT_TENANTS
        }
