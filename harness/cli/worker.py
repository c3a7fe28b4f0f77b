"""`harness worker`: a process that advances submitted sessions."""

from __future__ import annotations

import socket
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import click

from harness.cli import words
from harness.cli.options import Common, common
from harness.cli.output import answer_json
from harness.cli.signals import Interrupts, run
from harness.cli.stderr import say

if TYPE_CHECKING:
    from harness.library import Harness
    from harness.worker import Worked


@click.command("worker")
@click.option(
    "--concurrency",
    type=click.IntRange(1, 1000),
    help="Sessions at work at the same time; by default as the settings say.",
)
@click.option(
    "--queues", metavar="NAME,NAME", help="Whose sessions it takes; by default as the settings say."
)
@click.option(
    "--metrics-port",
    type=click.IntRange(0, 65535),
    metavar="PORT",
    help="Serve metrics for Prometheus at this port of worker.metrics_host, the loopback address by default.",
)
@click.option("--until-empty", is_flag=True, help="End when no session is due or at work any more.")
@common
def worker(
    common: Common, concurrency: int | None, queues: str | None, metrics_port: int | None, until_empty: bool
) -> int:
    """Advance submitted sessions of all tenants, as many at a time as --concurrency says.

    SIGTERM or Ctrl-C drains it: nothing is taken up any more, and what is at work is handed back to the queue
    at its next checkpoint.
    """
    names = None if queues is None else [name.strip() for name in queues.split(",")]
    if names is not None and not all(names):
        raise click.UsageError("--queues has an empty name; write it as NAME,NAME")

    async def work(interrupts: Interrupts) -> int:
        async with common.harness() as harness, AsyncExitStack() as stack:
            at = _listening(harness, metrics_port, stack)
            made = await harness.worker(concurrency=concurrency, queues=names)
            made.listen(answer_json if common.as_json else _say)
            if at is not None:
                from harness.metrics.serving import serving  # here, for workers without metrics

                await stack.enter_async_context(serving(at, made, await harness.database(), harness.settings))
            interrupts.notice = "Handing the sessions back at their next checkpoint ..."
            with interrupts.calling(made.drain):
                say("Waiting for sessions.")
                await made.run(until_empty=until_empty)
        return 0

    return run(work)


def _listening(harness: Harness, port: int | None, stack: AsyncExitStack) -> socket.socket | None:
    """Take the address of the metrics, before anything is opened that a taken one would leave behind."""
    told = harness.settings.worker
    port = told.metrics_port if port is None else port
    if port is None:
        return None
    from harness.metrics.serving import listen

    at = stack.enter_context(listen(told.metrics_host, port))
    say(f"Metrics are at http://{told.metrics_host}:{at.getsockname()[1]}/metrics.")
    return at


def _say(worked: Worked) -> None:
    problem = f": {worked.problem}" if worked.problem else ""
    verb = "takes up" if worked.event == "session.claimed" else "leaves"
    standing = worked.status.replace("_", " ")
    whose = f" of {worked.tenant}" if worked.tenant else ""
    say(f"{verb} {words.short(worked.session_id)}{whose}, {standing}{problem}")
