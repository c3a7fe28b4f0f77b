"""Runs commands as processes of their own."""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.__main__ import main
from tests.kit.processes import clean_env

ROOT = Path(__file__).resolve().parents[2]

NO_MODEL = "http://127.0.0.1:9"

TIMEOUT_S = 90.0

_FORKS = multiprocessing.get_context("forkserver")
# Python's start and the imports are most of a short command: they are made once, in a process that forks.
_FORKS.set_forkserver_preload(["tests.cli.processes", "harness.cli.run"])


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
        return run_forked(args, cwd, env)


def run_forked(args: tuple[str, ...], cwd: Path, env: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """Run a command in a fork of a process that has imported the harness, with nothing else of the test's."""
    with tempfile.TemporaryDirectory(prefix="harness-test-") as folder:
        out, err = Path(folder, "out"), Path(folder, "err")
        process = _FORKS.Process(target=_command, args=(args, str(cwd), dict(env), str(out), str(err)))
        process.start()
        process.join(TIMEOUT_S)
        if process.exitcode is None:
            process.kill()
            process.join()
            raise subprocess.TimeoutExpired(list(args), TIMEOUT_S, out.read_text(), err.read_text())
        return subprocess.CompletedProcess(list(args), process.exitcode, out.read_text(), err.read_text())


def _command(args: tuple[str, ...], cwd: str, env: dict[str, str], out: str, err: str) -> None:
    for path, number in ((out, 1), (err, 2)):
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(file, number)
        os.close(file)
    os.environ.clear()
    os.environ.update(env)
    os.chdir(cwd)
    tempfile.tempdir = None  # TMPDIR is another one now
    sys.exit(main(args))
