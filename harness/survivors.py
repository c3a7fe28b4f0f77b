"""What a dead process may have left behind: a CLI that still runs, and folders on disk."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import psutil

from harness.attempt import sweep
from harness.log_fields import about
from harness.state import RunState
from harness.store.lease import Holder, process_alive

log = logging.getLogger(__name__)


def end_survivor(run: RunState, own: Path) -> None:
    """End a CLI of this run that outlived its parent, with all it started, and sweep dead attempts' folders.

    Only a process of this machine and this boot whose start time is the one in the journal is touched, and
    only what works or lies in the session's `own` folder: whoever writes a journal can name others in it.
    """
    folders = [folder for folder in map(Path, run.folders) if folder.resolve().parent == own.resolve()]
    _end_left_behind(folders)
    cli, here = run.cli, Holder.here()
    same_machine = cli is not None and (cli.host, cli.boot_id) == (here.host, here.boot_id)
    if cli is not None and same_machine and process_alive(cli.pid, cli.process_started):
        with suppress(psutil.Error):
            process = psutil.Process(cli.pid)
            if _works_in(process.as_dict(["environ"])["environ"], [own]):
                named = about("survivor_ended", agent_run_id=run.id, pid=cli.pid)
                log.warning("ending the CLI %d that outlived its harness", cli.pid, extra=named)
                _end(process)
    claude_session_id = _as_id(run.claude_session_id)
    for folder in folders:
        if folder.exists():
            _end_unnamed(folder, claude_session_id or "")
            sweep(folder, claude_session_id)


def _end_left_behind(folders: Sequence[Path]) -> None:
    """End what a killed CLI has started, a shell for example: it works in the folders of its attempt."""
    for process in psutil.process_iter(["environ"]) if folders else ():
        with suppress(psutil.NoSuchProcess):
            if _works_in(process.info["environ"], folders):
                named = about("survivor_ended", pid=process.pid)
                log.warning("ending the process %d that outlived its CLI", process.pid, extra=named)
                process.kill()


def _works_in(variables: Mapping[str, str] | None, folders: Sequence[Path]) -> bool:
    place = (variables or {}).get("TMPDIR")
    if not place:
        return False
    return any(Path(place).resolve().is_relative_to(folder.resolve()) for folder in folders)


def _as_id(claude_session_id: str | None) -> str | None:
    """The id, if it is one: files are looked for by it."""
    with suppress(ValueError, TypeError):
        return str(uuid.UUID(claude_session_id))
    return None


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
