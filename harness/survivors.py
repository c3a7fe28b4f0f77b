"""What a dead process may have left behind: a CLI that still runs, and folders on disk."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import psutil

from harness.attempt import sweep
from harness.log_fields import about
from harness.state import RunState
from harness.store.lease import Holder, process_alive

log = logging.getLogger(__name__)


def end_survivor(run: RunState) -> None:
    """End a CLI of this run that outlived its parent, with all it started, and sweep dead attempts' folders.

    Only a process of this machine and this boot whose start time is the one in the journal is touched.
    """
    _end_left_behind([Path(folder) for folder in run.folders])
    cli, here = run.cli, Holder.here()
    same_machine = cli is not None and (cli.host, cli.boot_id) == (here.host, here.boot_id)
    if cli is not None and same_machine and process_alive(cli.pid, cli.process_started):
        named = about("survivor_ended", agent_run_id=run.id, pid=cli.pid)
        log.warning("ending the CLI %d that outlived its harness", cli.pid, extra=named)
        with suppress(psutil.NoSuchProcess):
            _end(psutil.Process(cli.pid))
    for folder in run.folders:
        if Path(folder).exists():
            _end_unnamed(Path(folder), run.claude_session_id or "")
            sweep(Path(folder), run.claude_session_id)


def _end_left_behind(folders: Sequence[Path]) -> None:
    """End what a killed CLI has started, a shell for example: it works in the folders of its attempt."""
    for process in psutil.process_iter(["environ"]) if folders else ():
        with suppress(psutil.NoSuchProcess):
            place = (process.info["environ"] or {}).get("TMPDIR")
            if place and any(Path(place).is_relative_to(folder) for folder in folders):
                named = about("survivor_ended", pid=process.pid)
                log.warning("ending the process %d that outlived its CLI", process.pid, extra=named)
                process.kill()


def _end_unnamed(folder: Path, claude_session_id: str) -> None:
    """End a CLI that was started just before its parent died, too early to be in the journal.

    The launcher left its process id; that it is the one is told by the Claude session on its command line.
    """
    with suppress(OSError, ValueError, psutil.Error):
        process = psutil.Process(int((folder / "pid").read_text()))
        if claude_session_id and any(claude_session_id in argument for argument in process.cmdline()):
            _end(process)


def _end(root: psutil.Process) -> None:
    for process in (*root.children(recursive=True), root):
        process.kill()
