"""What is told on stderr holds no secret, before there are settings and after."""

from __future__ import annotations

import logging

import pytest

from harness.cli import logs, stderr
from harness.cli.stderr import refuse, say
from harness.redaction import Redactor
from tests.cli.processes import run_process

KNOWN = "Quiet-Heron-41x77"


@pytest.fixture(autouse=True)
def nothing_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a process that has said nothing yet."""
    monkeypatch.setattr(stderr, "_redactor", None)


def test_the_environment_is_known_from_the_start(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A wrong command line may hold what a variable holds, or a DSN."""
    monkeypatch.setenv("MY_SERVICE_TOKEN", KNOWN)
    assert refuse(f"'{KNOWN}' and postgres://me:hunter2@db/x\nare wrong.") == 2
    say()
    assert capsys.readouterr().err == "Error: '[REDACTED]' and postgres://me:[REDACTED]@db/x are wrong.\n\n"


def test_the_settings_are_known_later(capsys: pytest.CaptureFixture[str]) -> None:
    """As soon as they have been read, for what is said and for what is logged."""
    stderr.redact_with(Redactor([KNOWN]))
    say(f"It is {KNOWN}.")
    logs._STDERR.emit(logging.makeLogRecord({"msg": "It is %s.", "args": (KNOWN,), "levelname": "WARNING"}))
    assert capsys.readouterr().err == "It is [REDACTED].\nWARNING: It is [REDACTED].\n"


@pytest.mark.parametrize("flags", [(), ("--debug",)])
def test_a_dsn_that_cannot_be_reached_keeps_its_password(flags: tuple[str, ...]) -> None:
    """Whatever the driver says of it, also in what --debug shows."""
    dsn = f"host=127.0.0.1 port=9 user=me password={KNOWN} dbname=x connect_timeout=2"
    ended = run_process("sessions", "--dsn", dsn, *flags)
    assert ended.returncode == 2
    assert "127.0.0.1" in ended.stderr
    assert KNOWN not in ended.stderr + ended.stdout


def test_a_fault_of_the_harness_tells_no_secret(capsys: pytest.CaptureFixture[str]) -> None:
    """In a sentence, or in the traceback that --debug shows."""
    stderr.redact_with(Redactor([KNOWN]))
    try:
        raise RuntimeError(f"cannot log in with {KNOWN}")
    except RuntimeError as problem:
        logs._tell_bug(RuntimeError, problem, None)
        logs._tell_all(RuntimeError, problem, problem.__traceback__)
    told = capsys.readouterr().err
    assert "(RuntimeError: cannot log in with [REDACTED])" in told
    assert "Traceback" in told
    assert KNOWN not in told
