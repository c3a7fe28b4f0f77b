"""Can the sessions that are kept still be resumed? Asked of each deletion, within its transaction.

Postgres counts what a transaction deletes and changes. If that is what was to go, and nothing else, all other
sessions are as they were, and so is whatever a resume reads of them. If not, because of a trigger or a slip,
those that have not ended are compared row for row, and where they differ they are read as a resume does it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, LiteralString

from harness.errors import PruneRefused, StoreError, StoreUnavailable
from harness.resume import StartFresh, resume_point
from harness.state import SessionState
from harness.store.database import Connection, Database
from harness.store.prunable import ENDED_LIST, read_origins
from harness.store.queries import queries
from harness.store.record import SessionRecord, read_record
from harness.store.recordings import count_recorded
from harness.store.tables import OWN, versions
from harness.transcript import has_call

_SQL = queries("housekeeping")

Rows = Mapping[str, tuple[int, int]]
"""Of one session, by table: how many rows there are, and a number that tells which."""


Touched = Counter[tuple[str, str]]
"""How many rows of each table have been deleted, and how many changed, by (table, which of both)."""


async def touched(connection: Connection) -> Touched:
    """Give what Postgres has counted on this connection, which may be more than this transaction's."""
    rows = await connection.all(_SQL["touched"])
    return Counter({(row["table"], what): row[what] for row in rows for what in ("deleted", "changed")})


async def prove_kept(
    connection: Connection,
    database: Database,
    began: Touched,
    deleted: Mapping[str, int],
    leaving: Collection[str],
) -> None:
    """Prove that nothing else has gone than the rows `deleted`, by table, of the sessions that are `leaving`.

    `began` is what had been touched when the transaction began. `connection` sees what was deleted as gone,
    `database` does not yet.

    Raises:
        PruneRefused: a session that is kept and has not ended cannot go on as it could before.
    """
    expected = Counter({(table, "deleted"): count for table, count in deleted.items()})
    # Counters are equal when they agree on all that is not zero.
    if await touched(connection) - began != expected:
        await _compare(connection, database, leaving)
    elif deleted.get("recording"):
        for replay, origin in (await read_origins(connection)).items():
            if origin in leaving and replay not in leaving:
                raise _refusal(replay, f"it replays session {origin}")


async def _compare(connection: Connection, database: Database, leaving: Collection[str]) -> None:
    """Hold the sessions that have not ended as they would stand against how they stand."""
    going = await database.all(_SQL["not_ended"], {"ended": ENDED_LIST})
    origins = await read_origins(database)
    kept = [row["id"] for row in going if row["id"] not in leaving]
    before, after = await _rows(database, kept, origins), await _rows(connection, kept, origins)
    at_work = {row["id"] for row in going if row["leased"]}
    for session_id in kept:
        if before[session_id] == after[session_id]:
            continue
        fewer = _fewer(before[session_id], after[session_id], at_work=session_id in at_work)
        harm = [f"it lacks rows of {name}" for name in fewer]
        if not harm:
            known = await faults(database, session_id, at_work=session_id in at_work)
            found = await faults(connection, session_id, at_work=session_id in at_work)
            harm = [each for each in found if each not in known]
        if harm:
            raise _refusal(session_id, harm[0])


def _refusal(session_id: str, harm: str) -> PruneRefused:
    return PruneRefused(
        f"Pruning would harm session {session_id}, which is kept ({harm}), so this batch was put back; "
        f"look at it with: harness doctor --session {session_id}"
    )


async def _rows(
    database: Connection | Database, ids: Sequence[str], origins: Mapping[str, str]
) -> Mapping[str, Rows]:
    """Tell which rows sessions live on: their own, their documents' and, of a replay, its origin's calls."""
    found: dict[str, dict[str, tuple[int, int]]] = {session_id: {} for session_id in ids}
    given = {"ids": list(ids)}
    statements: dict[str, LiteralString] = {table.name: versions(table) for table in OWN}
    statements["passage"] = _SQL["passage_versions"]
    for name, statement in statements.items():
        for row in await database.all(statement, given):
            found[row["session_id"]][name] = row["rows"], int(row["versions"])
    recordings = {
        row["session_id"]: (row["rows"], int(row["versions"]))
        for row in await database.all(_SQL["recording_versions"], {"ids": sorted(set(origins.values()))})
    }
    for replay, origin in origins.items():
        if origin in recordings and replay in found:
            found[replay]["recording of its origin"] = recordings[origin]
    return found


async def faults(database: Database | Connection, session_id: str, *, at_work: bool = False) -> list[str]:
    """Say what keeps a session from going on where it stopped; of one `at_work` the parts need not agree."""
    try:
        record = await read_record(database, session_id)
    except StoreUnavailable:
        raise
    except (StoreError, LookupError, ValueError) as problem:
        return [f"its journal cannot be read: {problem}"]
    if record.state.created is None:
        return ["its journal has no beginning"]
    found = [] if at_work else [gap.what for gap in record.gaps]
    found += _lost_work(record)
    found += _lost_documents(
        record.state, await database.all(_SQL["documents_whole"], {"session_id": session_id})
    )
    origin = record.state.replays
    if origin is not None and not await count_recorded(database, origin):
        found.append(f"the recording of session {origin}, which it replays, is gone")
    return found


def _lost_work(record: SessionRecord) -> Iterable[str]:
    """What agent runs that can go on do not find in their conversations."""
    for run in record.state.runs.values():
        if run.final or run.claude_session_id is None:
            continue
        entries = record.transcripts[run.claude_session_id]
        waiting = run.waiting_on
        if waiting is not None and not has_call(entries, waiting.tool_use_id):
            yield f"the call that {run.agent} sleeps for is not in its transcript"
        elif run.steps and isinstance(resume_point(run, entries), StartFresh):
            yield f"{run.agent} would have to start anew"


def _lost_documents(state: SessionState, rows: Sequence[Mapping[str, Any]]) -> Iterable[str]:
    assert state.created is not None, "it was looked at first"
    if len(rows) < state.created.sources:
        yield f"it has {len(rows)} of the {state.created.sources} documents it began with"
    there = {row["label"] for row in rows}
    yield from (f"the source {label} was read and is gone" for label in sorted(state.read - there))
    yield from (
        f"the text of the source {row['label']} is not whole" for row in rows if row["there"] != row["length"]
    )


def _fewer(before: Rows, after: Rows, *, at_work: bool) -> Iterable[str]:
    """The tables of which a session has fewer rows; at work it forgets responses by itself."""
    for table, (count, _) in before.items():
        if after.get(table, (0, 0))[0] < count and not (at_work and table == "kept_response"):
            yield table
