"""Runs commands as processes of their own."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from tests.kit.processes import clean_env

ROOT = Path(__file__).resolve().parents[2]

NO_MODEL = "http://127.0.0.1:9"


async def document(*args: str, dsn: str, **extra: str) -> dict[str, Any]:
    """Give the one JSON document that a command prints."""
    result = await asyncio.to_thread(run_process, *args, "--json", dsn=dsn, cwd=ROOT, **extra)
    assert result.returncode == 0, result.stderr
    assert result.stdout.count("\n") == 1
    parsed: dict[str, Any] = json.loads(result.stdout)
    return parsed


def run_process(
    *args: str, dsn: str | None = None, cwd: Path = ROOT, **extra: str
) -> subprocess.CompletedProcess[str]:
    """Run a command as a process of its own, with a home of its own unless `extra` names one."""
    with tempfile.TemporaryDirectory(prefix="harness-test-") as scratch:
        env = clean_env(Path(scratch), NO_MODEL, HARNESS_HOME=f"{scratch}/data")
        env |= extra | ({"HARNESS_DSN": dsn} if dsn else {})
        return subprocess.run(
            [sys.executable, "-m", "harness", *args],
            cwd=cwd,
            env=env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
        )
