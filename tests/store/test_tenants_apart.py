"""What the service itself keeps apart, who sees all rows: documents, results, outboxes, forged journals."""

from __future__ import annotations

import subprocess
import sys
import uuid
from dataclasses import replace
from pathlib import Path

import pytest

from harness import events as ev
from harness.corpus.collect import collect
from harness.corpus.corpus import Corpus
from harness.corpus.tools import CORPUS
from harness.errors import NoSuchSession, StoreError
from harness.gateway.replay import read_recorded
from harness.process_times import started_at
from harness.replay import replay_report
from harness.results import READ_RESULT
from harness.state import RunState
from harness.store.database import Database
from harness.store.journal import load_state
from harness.store.lease import Holder
from harness.store.queries import queries
from harness.store.spans import Outbox
from harness.survivors import end_survivor
from harness.tools import Tool, ToolContext, ToolProblem
from tests.cli.hand_made import keep, worked
from tests.kit.journals import Book

SECRET = "The tide at Beta turns at four.\n"


async def answer(tool: Tool, context: ToolContext, **given: object) -> str:
    """What an agent is told: the tool's answer, or its problem."""
    try:
        return str(await tool.run(context, tool.input.model_validate(given)))
    except ToolProblem as problem:
        return str(problem)


async def two_tenants(database: Database, folder: Path) -> dict[str, ToolContext]:
    """Sessions of two tenants: both have read one file, and one of them a second and a long result."""
    contexts = {}
    for tenant, texts in {"acme": ["Both know this.\n"], "beta": ["Both know this.\n", SECRET]}.items():
        session_id = await keep(database, worked(), tenant=tenant, status="done")
        place = folder / tenant
        place.mkdir()
        for number, text in enumerate(texts):
            (place / f"{number}.md").write_text(text, "utf-8")
        await Corpus(database).ingest(session_id, tenant, collect([place]))
        contexts[tenant] = ToolContext(session_id, tenant, "run", database)
    given = {"session_id": contexts["beta"].session_id, "reference": "r1", "body": SECRET}
    await database.run(queries("results")["keep_result"], given)
    return contexts


async def test_an_agent_reaches_no_document_and_no_result_of_another_session(
    database: Database, tmp_path: Path
) -> None:
    """By label, by search and by reference: another session's is not there, and the answers say no more."""
    contexts = await two_tenants(database, tmp_path)
    search, read = CORPUS.tools
    asks: list[tuple[Tool, dict[str, object], dict[str, object]]] = [
        (read, {"source": "S2"}, {"source": "S9"}),
        (search, {"query": "tide Beta four"}, {"query": "tide Beta five"}),
        (READ_RESULT, {"reference": "r1"}, {"reference": "r9"}),
    ]
    for tool, there, nowhere in asks:
        assert "at Beta turns" in await answer(tool, contexts["beta"], **there)
        told = await answer(tool, contexts["acme"], **there)
        other = await answer(tool, contexts["acme"], **nowhere)
        assert told == other.replace(str(*nowhere.values()), str(*there.values()))


async def test_a_document_is_known_to_its_tenant_only(database: Database, tmp_path: Path) -> None:
    """What another tenant has read is read again: nothing tells that it is there."""
    await two_tenants(database, tmp_path)
    for tenant, known in {"acme": False, "beta": True, "new": False}.items():
        (loaded,) = await Corpus(database).load(tenant, collect([tmp_path / "beta" / "1.md"]))
        assert (loaded.document is None) == known
    rows = await database.all("select tenant from document group by sha256, tenant having count(*) > 1")
    assert rows == []
    assert len(await database.all("select from document")) == 3


async def test_an_outbox_holds_its_tenants_spans_only(database: Database) -> None:
    """Also when it is asked for a session by its id."""
    foreign = await keep(database, worked(), tenant="beta", status="done")
    assert await Outbox(database, "acme", foreign).take(10) == []
    assert await Outbox(database, "acme").take(10) == []
    assert await Outbox(database, "beta", foreign).take(10) != []


async def test_a_journal_that_names_another_tenant_is_refused(database: Database) -> None:
    """A tenant that writes its own journal with SQL gets neither another's cache nor its budget by that."""
    session_id = await keep(database, worked(), tenant="beta", status="done")
    await database.run("insert into tenant (name) values ('acme')")
    await database.run("update session set tenant = 'acme' where id = %(id)s", {"id": session_id})
    with pytest.raises(StoreError, match="names the tenant 'beta' and its row 'acme'"):
        await load_state(database, session_id, "acme")
    with pytest.raises(NoSuchSession):
        await load_state(database, session_id, "beta")


def test_a_session_is_created_once() -> None:
    """A second creation further down its journal cannot give it to another tenant."""
    book: Book = worked()
    created = book.state.created
    assert created is not None
    book.add(created.model_copy(update={"tenant": "beta"}))
    assert book.state.tenant == created.tenant != "beta"


async def test_a_replay_of_another_tenants_session_finds_none(database: Database) -> None:
    """A journal may name any session as the recorded one; its answers go to its own tenant only."""
    foreign = await keep(database, worked(), tenant="beta", status="done")
    forged = await keep(database, worked(replays=foreign, upstream="replay"), tenant="acme", status="done")
    said = []
    for recorded in (foreign, str(uuid.uuid4())):
        with pytest.raises(NoSuchSession) as refused:
            await read_recorded(database, recorded, "acme")
        said.append(str(refused.value).replace(recorded, "ID"))
    assert said[0] == said[1]
    with pytest.raises(NoSuchSession):
        await replay_report(database, await load_state(database, forged, "acme"))
    assert (await read_recorded(database, foreign, "beta")).state.id == foreign


def test_a_journal_names_neither_folders_nor_processes_of_others(tmp_path: Path) -> None:
    """A worker sweeps and ends only what lies and works in the session's own folder."""
    own, other = tmp_path / "sessions" / "own", tmp_path / "sessions" / "other"
    processes = [_asleep(folder / "run-1") for folder in (own, other)]
    mine, theirs = processes
    try:
        forged = [str(other / "run-1"), str(other), str(tmp_path), f"{own}/..", "/"]
        end_survivor(_run(theirs, forged), own)
        assert [process.poll() for process in processes] == [None, None]
        assert (other / "run-1").exists()
        end_survivor(_run(mine, [str(own / "run-1")]), own)
        assert mine.wait(10) != 0
        assert theirs.poll() is None
        assert not (own / "run-1").exists()
    finally:
        for process in processes:
            process.kill()
            process.wait()


def _asleep(folder: Path) -> subprocess.Popen[bytes]:
    """A process that works in a folder, as a CLI does."""
    folder.mkdir(parents=True)
    return subprocess.Popen(
        [sys.executable, "-c", "import time; time.sleep(60)"], env={"TMPDIR": str(folder / "tmp")}
    )


def _run(process: subprocess.Popen[bytes], folders: list[str]) -> RunState:
    """An agent run whose journal names this process and these folders."""
    here = Holder.here()
    cli = ev.CliStarted(
        attempt=1,
        host=here.host,
        boot_id=here.boot_id,
        pid=process.pid,
        process_started=started_at(process.pid),
    )
    run = next(iter(worked().state.runs.values()))
    return replace(run, cli=cli, folders=folders)
