"""`harness export` and `harness import`: a session as one file, from one database to another."""

from __future__ import annotations

from pathlib import Path

import click

from harness.cli import words
from harness.cli.options import Common, Out, common
from harness.cli.output import answer, answer_json
from harness.cli.signals import run_whole
from harness.store.open import open_store
from harness.store.session_file import SessionReader
from harness.store.sessions import Sessions, check_given
from harness.store.transfer import export_session, import_session


@click.command("export")
@click.argument("session_id")
@click.option(
    "--out", "path", type=click.Path(path_type=Path), help="The file; by default ID.session.gz here."
)
@click.option("--force", is_flag=True, help="Let --out overwrite the file.")
@common
def export(common: Common, session_id: str, path: Path | None, force: bool) -> int:
    """Write all that is kept of a session into one file, to import it into another database.

    SESSION_ID is its id, or the first characters of it. It may be at work meanwhile: the file has it as it
    is at one moment.
    """
    given = check_given(session_id)
    if path is not None:
        Out(path, force).check()

    async def work() -> int:
        settings = common.settings
        async with open_store(settings) as database:
            whole = await Sessions(database, settings.tenant).find(given)
            place = path or Path(f"{words.short(whole)}.session.gz")
            with Out(place, force).opened() as file:
                done = await export_session(database, whole, file)
        size = place.stat().st_size
        if common.as_json:
            answer_json(done.model_dump() | {"file": str(place.absolute()), "bytes": size})
        else:
            events = words.number(done.events, "event")
            answer(f"Session {whole} is in {place}: {events}, {words.size(size)}.")
            if done.at_work:
                answer("It is at work; the file has it as it was at that event.")
        return 0

    return run_whole(work())


@click.command("import")
@click.argument("file", type=click.Path(path_type=Path))
@common
def import_(common: Common, file: Path) -> int:
    """Make the session of a FILE that `harness export` wrote, as one of this tenant.

    It can then be shown, resumed, forked and replayed as where it comes from.
    """
    given = SessionReader(file)

    async def work() -> int:
        settings = common.settings
        async with open_store(settings) as database:
            done = await import_session(database, settings.tenant, given)
            row = await Sessions(database, settings.tenant).row(done.session_id)
        if common.as_json:
            answer_json(done.model_dump() | {"status": row.status})
        else:
            answer(f"Session {done.session_id} is here: {words.number(done.events, 'event')}, {row.status}.")
            answer(f"See it, or go on, with: {common.command('show', done.session_id)}")
        return 0

    return run_whole(work())
