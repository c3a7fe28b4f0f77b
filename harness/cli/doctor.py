"""`harness doctor`: whether everything a session needs is there and works."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import click

from harness.bundles.lint import lint
from harness.cli import words
from harness.cli.finding import find_session
from harness.cli.options import Common, common
from harness.cli.output import answer, answer_json
from harness.cli.signals import run_whole
from harness.errors import BadInput, HarnessError
from harness.export.langfuse import auth_check
from harness.records import Record
from harness.settings import Settings
from harness.store.database import place
from harness.store.migrate import check
from harness.store.open import open_store
from harness.store.sessions import check_given

if TYPE_CHECKING:
    from harness.library import Harness

_CLI_ANSWERS_S = 30


class Check(Record):
    """One thing that was looked at. `remedy` says what to do about a problem."""

    check: str
    ok: bool
    detail: str
    remedy: str | None = None


@click.command("doctor")
@click.option("--session", "session_id", metavar="ID", help="Check that this session's record is whole.")
@common
def doctor(common: Common, session_id: str | None) -> int:
    """Check the project, the Claude CLI, the keys, the database, and that hooks really stop a tool.

    It calls no model. It ends with 1 when something is wrong.
    """
    if session_id is not None:
        check_given(session_id)

    async def work() -> int:
        found: list[Check] = []
        async for each in _checks(common) if session_id is None else _record(common, session_id):
            found.append(each)
            if not common.as_json:
                answer(_line(each))
        ok = all(each.ok for each in found)
        if common.as_json:
            answer_json({"ok": ok, "checks": found})
        return 0 if ok else 1

    return run_whole(work())


def _line(found: Check) -> str:
    line = f"{'ok     ' if found.ok else 'PROBLEM'}  {found.check:<10}  {words.one_line(found.detail)}"
    return f"{line}\n{'':>21}remedy: {found.remedy}" if found.remedy else line


async def _checks(common: Common) -> AsyncIterator[Check]:
    try:
        harness = common.harness()
    except BadInput as problem:
        yield Check(
            check="project", ok=False, detail=str(problem), remedy="mend that, then ask the doctor again"
        )
        return
    yield _project(harness)
    yield await asyncio.to_thread(_claude_cli)
    yield _key(harness.settings)
    yield await _database(harness.settings)
    if (found := await auth_check(harness.settings)) is not None:
        yield Check(check="langfuse", **found.model_dump())
    yield await _hooks(harness.settings)


async def _record(common: Common, session_id: str) -> AsyncIterator[Check]:
    """Hold a session's journal against its transcripts and name what is missing."""
    from harness.store.record import read_record

    async with common.harness() as harness:
        found = await find_session(harness, session_id)
        record = await read_record(await harness.database(), found)
    state = record.state
    for gap in record.gaps:
        name = f"{state.runs[gap.agent_run_id].agent} {gap.agent_run_id[:8]}"
        yield Check(check="record", ok=False, detail=f"{name}: {gap.what}")
    if not record.gaps:
        usage = state.usage
        events = words.number(len(record.journal), "event")
        detail = (
            f"{events}, {words.number(usage.model_calls, 'model call')} and "
            f"their transcripts agree; {usage.unattributed_calls} unattributed"
        )
        yield Check(check="record", ok=True, detail=detail)


def _project(harness: Harness) -> Check:
    errors = [
        each for each in lint(harness.bundles, servers=harness.settings.mcp_servers) if each.level == "error"
    ]
    if errors:
        detail = f"{errors[0].bundle}: {errors[0].message}"
        return Check(check="project", ok=False, detail=detail, remedy="look at: harness agents lint")
    agents = words.number(len(harness.bundles), "agent")
    hooks = words.number(len(harness.hooks), "hook")
    return Check(check="project", ok=True, detail=f"{harness.project}: {agents}, {hooks}")


def _claude_cli() -> Check:
    from harness.attempt import bundled_cli  # here, because importing the SDK takes a second

    path = bundled_cli()
    try:
        told = subprocess.run(
            [path, "--version"],
            capture_output=True,
            text=True,
            timeout=_CLI_ANSWERS_S,
            check=True,
            env={"HOME": "/nonexistent", "PATH": "/usr/bin:/bin"},
        )
    except (OSError, subprocess.SubprocessError) as problem:
        return Check(
            check="Claude CLI",
            ok=False,
            detail=f"{path} does not run: {problem}",
            remedy="install claude-agent-sdk again, in its version for this machine",
        )
    return Check(check="Claude CLI", ok=True, detail=f"{told.stdout.strip()}, {path}")


def _key(settings: Settings) -> Check:
    if settings.upstream.api_key is None:
        detail = "no ANTHROPIC_API_KEY: only --offline and --direct work until you set it"
    else:
        detail = f"there is one, for {settings.upstream.base_url}"
    return Check(check="key", ok=True, detail=detail)


async def _database(settings: Settings) -> Check:
    try:
        if settings.dsn is None:
            async with open_store(settings):
                return Check(
                    check="database",
                    ok=True,
                    detail=f"embedded Postgres in {settings.home}, schema up to date",
                )
        dsn = settings.dsn.get_secret_value()
        pending = (await check(dsn)).pending
    except HarnessError as problem:
        remedy = "mend that, or leave the DSN out" if settings.dsn else "mend that, or give a DSN with --dsn"
        return Check(check="database", ok=False, detail=str(problem), remedy=remedy)
    if pending:
        detail = f"{place(dsn)} lacks {words.number(len(pending), 'migration')}"
        return Check(check="database", ok=False, detail=detail, remedy="run: harness db migrate")
    return Check(check="database", ok=True, detail=f"{place(dsn)}, schema up to date")


async def _hooks(settings: Settings) -> Check:
    from harness.cli.probe import probe  # here, because importing the SDK takes a second

    problem = await probe(settings)
    if problem:
        remedy = "do not run agents with tools that change things; install the pinned claude-agent-sdk"
        return Check(check="hooks", ok=False, detail=problem, remedy=remedy)
    return Check(
        check="hooks", ok=True, detail="a tool call that a hook denied did not run; the allowed one did"
    )
