"""A process of its own that uses the embedded server of a home folder, to be killed at will."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Any, Self

SCRIPT = """
import json, os, signal, sys, time
from dataclasses import replace
from pathlib import Path
from harness.errors import HarnessError
from harness.store.embedded import EmbeddedServer, status
from harness.store.postmaster import Postmaster

def say(**what):
    print(json.dumps(what), flush=True)

def launch_and_die(postmaster, binaries):
    # The program stops itself before it becomes the server.
    program = home / "stopping" / "postgres"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\\nkill -STOP $$\\nexec {binaries.postgres} "$@"\\n')
    program.chmod(0o755)
    server = launch(postmaster, replace(binaries, folder=program.parent))
    while " T " not in Path(f"/proc/{server.pid}/stat").read_text():
        time.sleep(0.01)
    say(pid=server.pid)
    os.kill(os.getpid(), signal.SIGKILL)

home = Path(sys.argv[1])
if "--dies-launching" in sys.argv:
    launch, Postmaster._launch = Postmaster._launch, launch_and_die
if "--uid" in sys.argv:
    # Only now: the interpreter itself may lie where that account cannot go.
    uid = int(sys.argv[sys.argv.index("--uid") + 1])
    os.setgroups([]), os.setgid(uid), os.setuid(uid)
try:
    with EmbeddedServer.acquire(home) as server:
        child = os.fork() if "--fork" in sys.argv else None
        if child == 0:
            os.close(0), os.close(1)
            os.execv("/bin/sleep", ["sleep", "60"]) if "--exec" in sys.argv else time.sleep(60)
            os._exit(0)
        say(dsn=server.dsn, pid=status(home).pid, child=child)
        sys.stdin.readline()
except HarnessError as error:
    say(refused=type(error).__name__, message=str(error))
except KeyboardInterrupt:
    say(interrupted=True)
"""


class PostgresUser:
    """Starts at once; `answer()` waits for the server, `leave()` gives it back; the context kills it."""

    def __init__(self, home: Path, *options: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", SCRIPT, str(home), *options],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd="/",
            env={"PATH": "/usr/bin:/bin", "HOME": str(home), "ANTHROPIC_API_KEY": "sk-ant-test-dummy"},
            start_new_session=True,
        )
        self.pid = self.process.pid

    def answer(self) -> dict[str, Any]:
        """Give what the process says next: `dsn` and the server's `pid`, or `refused` and `message`."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, f"The user of the server ended with {self.process.wait()} and said nothing."
        answer: dict[str, Any] = json.loads(line)
        return answer

    def leave(self) -> None:
        """End it in an orderly way: it releases its share."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        assert self.process.wait(timeout=30) == 0

    def kill(self) -> None:
        """End it with SIGKILL."""
        self.process.kill()
        self.process.wait()

    def interrupt(self) -> None:
        """Do what Ctrl-C does: SIGINT to its whole process group."""
        os.killpg(self.pid, signal.SIGINT)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe is not None
            pipe.close()
