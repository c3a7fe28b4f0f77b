"""The list of tables that export, import and prune go by: none is missing, and the tests try each."""

from __future__ import annotations

from pathlib import Path

from harness.store.database import Database
from harness.store.tables import SESSION_TABLES, read_columns
from tests.kit.whole_sessions import rows_by_table, whole_session

NAMING = """
select distinct relname from pg_class
  join pg_attribute on attrelid = pg_class.oid and attnum > 0
 where relkind in ('r', 'p') and relnamespace = 'public'::regnamespace
   and (attname in ('session_id', 'scope')
        or exists (select from pg_constraint
                    where contype = 'f' and conrelid = pg_class.oid
                      and confrelid in ('session'::regclass, 'document'::regclass)))
"""
"""The tables that name a session, or refer to one or to a document."""


async def test_every_table_that_names_a_session_is_in_the_list(database: Database) -> None:
    """A new one is exported and pruned with the others, or said to be neither, before it is used."""
    found = {row["relname"] for row in await database.all(NAMING)}
    assert found | {"session", "document", "bundle_version"} == {table.name for table in SESSION_TABLES}


async def test_each_table_refers_only_to_those_before_it(database: Database) -> None:
    """So that rows can be made in this order, and deleted in the other."""
    order = [table.name for table in SESSION_TABLES]
    rows = await database.all(
        "SELECT conrelid::regclass::text AS child, confrelid::regclass::text AS parent "
        "FROM pg_constraint WHERE contype = 'f'"
    )
    backwards = [row for row in rows if row["child"] in order and row["parent"] in order]
    assert backwards
    assert [row for row in backwards if order.index(row["parent"]) > order.index(row["child"])] == []


async def test_the_tests_try_every_table(database: Database, dsn: str, tmp_path: Path) -> None:
    """The session that is pruned, exported and imported in tests has a row in each."""
    session_id = await whole_session(database, tmp_path)
    assert [name for name, rows in rows_by_table(dsn, session_id).items() if not rows] == []


async def test_computed_columns_are_left_out_and_identities_known(database: Database) -> None:
    """What the database computes or gives out itself is not carried into another one."""
    async with database.transaction() as connection:
        columns = await read_columns(connection)
    assert "words" not in {each.name for each in columns["passage"]}
    assert "label" not in {each.name for each in columns["session_document"]}
    identities = {(name, each.name) for name in columns for each in columns[name] if each.identity}
    assert identities == {("transcript", "seq"), ("document", "id")}
