"""The folders of one attempt: what a CLI process writes on disk, made for it and swept after it."""

from __future__ import annotations

import math
import os
import shlex
import shutil
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import claude_agent_sdk

CLI_RETRIES = "1"
"""The second try counts as one of the gateway's. There is no third, so an orphan is soon gone."""

CALL_TIMEOUT_S = 3600
"""Seconds after which a client of the gateway gives a call up, which may wait for the rate limit there."""

MCP_TOKENS = "1000000000"
"""Above every result there is: the CLI would put a longer one into a file of its own, and we cut it."""


_WAITS_S = 1800
"""Beside its silence a call may wait for the rate limit, and between attempts."""


@dataclass(frozen=True)
class AttemptFolder:
    """Its own config, temporary and launcher files; the workspace is the session's and stays."""

    root: Path
    workspace: Path

    @property
    def config(self) -> Path:
        """The CLI's configuration folder."""
        return self.root / "config"

    @property
    def temporary(self) -> Path:
        """The CLI's and its tools' temporary folder."""
        return self.root / "tmp"

    @property
    def launcher(self) -> Path:
        """The script that starts the CLI."""
        return self.root / "claude"

    @property
    def pid_file(self) -> Path:
        """Where the launcher leaves the CLI's process id."""
        return self.root / "pid"

    @property
    def prompt(self) -> Path:
        """The system prompt."""
        return self.root / "prompt.md"

    @property
    def servers(self) -> Path:
        """The MCP servers outside of the harness, as the CLI reads them."""
        return self.root / "mcp.json"


def session_folder(home: Path, session_id: str) -> Path:
    """Where everything lies that a session has on disk."""
    return home / "sessions" / session_id


def make(home: Path, session_id: str, run_id: str, attempt: int) -> AttemptFolder:
    """Make the folders of an attempt."""
    session = session_folder(home, session_id)
    folder = AttemptFolder(session / f"{run_id}-{attempt}", session / "workspace")
    for path in (folder.config, folder.temporary, folder.workspace):
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
    return folder


def environment(
    folder: AttemptFolder, gateway: tuple[str, str] | None, model: str, silent_s: float = 0.0
) -> dict[str, str]:
    """What the CLI is told. Behind the gateway (base URL, token) it knows nothing else of the outside.

    `model` is the one that it uses for everything; `silent_s` is how long the gateway lets a call be silent.
    """
    told = {
        "TMPDIR": str(folder.temporary),
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        "CLAUDE_AGENT_SDK_DISABLE_BUILTIN_AGENTS": "1",
        # A command in the background dies with its CLI, and its call has ended before it.
        "CLAUDE_CODE_DISABLE_BACKGROUND_TASKS": "1",
        "BASH_DEFAULT_TIMEOUT_MS": "600000",
        "MAX_MCP_OUTPUT_TOKENS": MCP_TOKENS,
        # After some turns without a text it asks for a word to the user, which ends in a report that is none.
        "CLAUDE_CODE_SILENT_TURN_REMINDER": "0",
        # A call that is silent is for the harness to end. The CLI's own three watchdogs end one after 5
        # minutes, at most 30, and an event `ping` holds the first off 30 times in a row and no longer.
        "CLAUDE_ENABLE_STREAM_WATCHDOG": "0",
        "CLAUDE_ENABLE_BYTE_WATCHDOG": "0",
        "API_FORCE_IDLE_TIMEOUT": "0",
    }
    if gateway is not None:
        base_url, token = gateway
        told |= {
            "ANTHROPIC_BASE_URL": base_url,
            "ANTHROPIC_API_KEY": token,
            "CLAUDE_CONFIG_DIR": str(folder.config),
            "CLAUDE_CODE_MAX_RETRIES": CLI_RETRIES,
            "API_TIMEOUT_MS": str(1000 * max(CALL_TIMEOUT_S, math.ceil(silent_s) + _WAITS_S)),
            # No other model than the run's own: not for what the CLI asks beside its steps, not after a
            # refusal, and not in the place of an older model.
            "ANTHROPIC_SMALL_FAST_MODEL": model,
            "CLAUDE_CODE_DISABLE_REFUSAL_FALLBACK": "1",
            "CLAUDE_CODE_DISABLE_LEGACY_MODEL_REMAP": "1",
        }
    return told


def write_private(file: Path, text: str) -> None:
    """Write a file of an attempt that only its owner can read, from its first moment on."""
    file.unlink(missing_ok=True)
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as into:
        into.write(text)


def write_launcher(folder: AttemptFolder, dropped: Iterable[str]) -> None:
    """Write the script that starts the CLI without the `dropped` variables.

    The SDK hands its own whole environment to the CLI, so this is where what must not be seen is taken out.
    """
    unset = " ".join(f"-u {shlex.quote(name)}" for name in dropped)
    folder.launcher.write_text(
        "#!/bin/sh\n"
        f"echo $$ > {shlex.quote(str(folder.pid_file))}\n"
        f'exec env {unset} {shlex.quote(str(bundled_cli()))} "$@"\n'
    )
    folder.launcher.chmod(0o700)


def sweep(folder: Path, claude_session_id: str | None) -> None:
    """Remove an attempt's folders, and the transcript the SDK laid out for its resume."""
    shutil.rmtree(folder, ignore_errors=True)
    if claude_session_id is None:
        return
    for path in Path(tempfile.gettempdir()).glob(f"claude-resume-*/projects/*/{claude_session_id}.jsonl"):
        shutil.rmtree(path.parents[2], ignore_errors=True)


def sweep_session(home: Path, session_id: str) -> None:
    """Remove a session's folders where nothing is in them; another process may be at work in the others."""
    session = session_folder(home, session_id)
    for path in (session / "workspace", session):
        if path.is_dir() and not any(path.iterdir()):
            path.rmdir()


def remove_session(home: Path, session_id: str) -> bool:
    """Remove all that a session has on this machine's disk, and tell whether there was any."""
    session = home / "sessions" / session_id
    if not session.exists():
        return False
    shutil.rmtree(session, ignore_errors=True)
    return True


def bundled_cli() -> Path:
    """The CLI that the SDK ships."""
    return Path(claude_agent_sdk.__file__).parent / "_bundled" / "claude"
