"""The command `harness`: finds a command, and turns what goes wrong into a sentence and an exit code.

0 done, 1 failed, 2 bad input (nothing on stdout), 3 suspended or needs help, 130 interrupted.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Sequence

import click

from harness.cli import logs
from harness.cli.lazy import LazyGroup
from harness.cli.stderr import refuse
from harness.errors import HarnessError

COMMANDS = {
    "run": ("harness.cli.run", "Ask a question and get a report with citations."),
    "resume": ("harness.cli.resume", "Go on with a session from its last checkpoint."),
    "submit": ("harness.cli.submit", "Leave a question to the workers."),
    "worker": ("harness.cli.worker", "Advance submitted sessions in this process."),
    "metrics": ("harness.cli.metrics", "Show how the queue stands, as Prometheus reads it."),
    "wait": ("harness.cli.follow", "Wait until sessions have ended."),
    "tail": ("harness.cli.follow", "Follow a session live, from any machine."),
    "pause": ("harness.cli.sessions", "Stop a session at its next checkpoint, until it is resumed."),
    "fork": ("harness.cli.fork", "Begin a new session from any point of an old one."),
    "ask": ("harness.cli.resume", "Ask on in a session that is done, with all that it has read."),
    "cancel": ("harness.cli.sessions", "Stop a session for good."),
    "replay": ("harness.cli.replay", "Run a recorded session again without a model, up to the first change."),
    "sessions": ("harness.cli.sessions", "List the sessions, the newest first."),
    "show": ("harness.cli.show", "Show a session: agent runs, spans, checkpoints, usage, report."),
    "report": ("harness.cli.report", "Write a session as a page to open in a browser."),
    "score": ("harness.cli.score", "Say what you think of a session, as a number or a word."),
    "trace": (
        "harness.cli.trace",
        "See whether spans have reached their receiver, send them, or write them out.",
    ),
    "tenants": ("harness.cli.tenants", "Say what each tenant may use, and see what it has used."),
    "export": ("harness.cli.transfer", "Write a session into one file."),
    "import": ("harness.cli.transfer", "Make a session from such a file, also in another database."),
    "prune": ("harness.cli.prune", "Delete old sessions, and what nobody uses any more."),
    "agents": ("harness.cli.agents", "List the agents, examine them, or begin a new one."),
    "flows": ("harness.cli.flows", "List the flows, check one, or draw it."),
    "rollout": ("harness.cli.rollout", "Give a new version of an agent or a flow to some sessions first."),
    "init": ("harness.cli.init", "Make a folder a project with settings, agents, prompts and hooks."),
    "db": ("harness.cli.db", "Look after the database."),
    "doctor": ("harness.cli.doctor", "Check that everything a session needs is there and works."),
}
"""Each command with the module that defines it, and what it does in a sentence."""


@click.group("harness", cls=LazyGroup, commands_in=COMMANDS, invoke_without_command=True)
@click.version_option(package_name="subagent-harness", message="%(package)s %(version)s")
@click.pass_context
def cli(context: click.Context) -> int:
    """Research with subagents that survives being killed.

    A lead agent splits your question into tasks for subagents and writes a report with citations. Every step
    is committed to Postgres first, so a session that dies goes on with `harness resume`.
    """
    if context.invoked_subcommand is None:
        click.echo(context.get_help())
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and give its exit code."""
    logs.to_stderr()
    try:
        return int(cli.main(arguments, prog_name="harness", standalone_mode=False) or 0)
    except click.UsageError as problem:
        path = problem.ctx.command_path if problem.ctx else "harness"
        said = problem.format_message().rstrip(".").replace(". (Did you", " (did you")
        said = said.replace(". Did you", "; did you")
        return refuse(f"{said}{'' if said.endswith('?') else '.'} Try '{path} --help'.")
    except (click.ClickException, HarnessError) as problem:
        return refuse(str(problem))
    except (click.Abort, KeyboardInterrupt, asyncio.CancelledError):
        click.echo("Interrupted.", err=True)
        return 130
    except BrokenPipeError:
        # Nobody reads stdout any more; what is still buffered must not raise again when Python ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


if __name__ == "__main__":
    sys.exit(main())
