"""Children with a clean environment, look-ups in the process table, and waiting with a deadline."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import claude_agent_sdk
import psutil

T = TypeVar("T")

API_KEY = "sk-ant-test-dummy"
CLI = Path(claude_agent_sdk.__file__).parent / "_bundled" / "claude"


def clean_env(home: Path, base_url: str, **extra: str) -> dict[str, str]:
    """Build a child's whole environment: nothing is inherited, and `base_url` is the only model it can reach.

    Makes `home` with an own CLAUDE_CONFIG_DIR and TMPDIR inside. `extra` adds to or replaces what is built.
    """
    config, temporary = home / "claude", home / "tmp"
    for folder in (config, temporary):
        folder.mkdir(parents=True, exist_ok=True)
    return {
        "PATH": f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin",
        "HOME": str(home),
        "CLAUDE_CONFIG_DIR": str(config),
        "TMPDIR": str(temporary),
        "ANTHROPIC_API_KEY": API_KEY,
        "ANTHROPIC_BASE_URL": base_url,
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        "LANG": "C.UTF-8",
        **extra,
    }


def tree(pid: int) -> list[psutil.Process]:
    """List a process's descendants that are alive, or none if it is gone."""
    try:
        found = psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []
    return [process for process in found if alive(process)]


def clis(pid: int) -> list[psutil.Process]:
    """List the descendants of a process that run the bundled CLI."""
    return [process for process in tree(pid) if _runs_cli(process)]


def clis_using(base_url: str) -> list[psutil.Process]:
    """List all processes that run the bundled CLI against this base URL: also orphans of a dead parent."""
    return [
        p for p in psutil.process_iter() if _runs_cli(p) and _variable(p, "ANTHROPIC_BASE_URL") == base_url
    ]


def alive(process: psutil.Process) -> bool:
    """Say whether a process runs; a zombie does not."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def kill(*processes: psutil.Process) -> None:
    """Kill processes with SIGKILL and wait until they are gone; those already gone are fine."""
    for process in processes:
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue
    psutil.wait_procs(list(processes), timeout=10)


def kill_tree(pid: int) -> None:
    """Kill a process and all its descendants with SIGKILL."""
    try:
        top = psutil.Process(pid)
    except psutil.NoSuchProcess:
        return
    kill(top, *tree(pid))


async def until(condition: Callable[[], T], what: str, *, timeout_s: float = 20.0) -> T:
    """Wait until `condition` gives something true and return it; fail with `what` at the deadline."""
    deadline = time.monotonic() + timeout_s
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"Waited {timeout_s:g} s in vain: {what}.")
        await asyncio.sleep(0.02)
    return value


def until_sync(condition: Callable[[], T], what: str, *, timeout_s: float = 20.0) -> T:
    """Wait like `until`, in a test without an event loop."""
    deadline = time.monotonic() + timeout_s
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"Waited {timeout_s:g} s in vain: {what}.")
        time.sleep(0.02)
    return value


def _runs_cli(process: psutil.Process) -> bool:
    try:
        return alive(process) and Path(process.exe()) == CLI
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return False


def _variable(process: psutil.Process, name: str) -> str:
    try:
        return process.environ().get(name, "")
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return ""
