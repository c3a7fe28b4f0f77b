"""`harness report`: a session as one HTML page."""

from __future__ import annotations

from pathlib import Path

import click

from harness.cli.options import Common, Out, common
from harness.cli.output import answer, answer_json
from harness.cli.signals import run_whole
from harness.corpus.corpus import Corpus
from harness.errors import BadInput
from harness.page.data import page_data
from harness.page.render import render
from harness.state import fold
from harness.store.journal import read_events
from harness.store.open import open_store
from harness.store.sessions import Sessions, check_given
from harness.store.spans import read_spans


@click.command("report")
@click.argument("session_id")
@click.option("--html", type=click.Path(path_type=Path), metavar="FILE", help="The page to write.")
@click.option("--force", is_flag=True, help="Let --html overwrite the file.")
@common
def report(common: Common, session_id: str, html: Path | None, force: bool) -> int:
    """Write a session as one HTML page: its report, timeline, usage, messages and checkpoints.

    SESSION_ID is its id, or the first characters of it. The page holds all that it shows and needs no
    network.
    """
    given = check_given(session_id)
    if html is None:
        raise BadInput(
            f"Name the page to write: harness report {given} --html FILE; "
            f"in the terminal the report stands at the end of: harness show {given}"
        )
    out = Out(html, force, option="--html")
    out.check()
    place = html.absolute()

    async def work() -> int:
        settings = common.settings
        async with open_store(settings) as database:
            whole = await Sessions(database, settings.tenant).find(given)
            journal = await read_events(database, whole)
            spans = await read_spans(database, whole)
            sources = await Corpus(database).sources(whole)
        data = page_data(
            journal,
            fold(whole, journal),
            spans,
            sources=sources,
            resume=common.command("resume", whole),
            fork=common.command("fork", whole),
        )
        out.write(render(data))
        if common.as_json:
            answer_json({"session_id": whole, "html": str(place), "spans": len(spans)})
        else:
            answer(f"The page is in {html}; open it in a browser.")
            for note in data.notes:
                answer(note)
        return 0

    return run_whole(work())
