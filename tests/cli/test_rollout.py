"""`harness rollout` at the command line: begun, shown, promoted and taken back by name."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from harness.cli.rollout import one_meant
from harness.content import builtin_root
from harness.errors import BadInput
from harness.rollout import Bounds, Rollout, RolloutStatus
from tests.cli.processes import run_process

BEGAN = datetime(2026, 1, 1, tzinfo=UTC)


def rollout(id: str, name: str, status: RolloutStatus) -> Rollout:
    return Rollout(
        id=id,
        kind="bundle",
        name=name,
        old_version="a",
        new_version="b",
        percent=10,
        tenants=None,
        bounds=Bounds(),
        status=status,
        reason=None,
        started_at=BEGAN,
        ended_at=None,
    )


ALL = [
    rollout("1111-1", "lead", "running"),
    rollout("2222-2", "writer", "promoted"),
    rollout("3333-3", "writer", "promoted"),
    rollout("4444-4", "lead", "promoted"),
    rollout("5555-5", "scout", "aborted"),
]
ENDING: tuple[RolloutStatus, ...] = ("running", "promoted")


@pytest.mark.parametrize(
    ("name", "meant"),
    [(None, "1111-1"), ("lead", "1111-1"), ("writer", "2222-2"), ("3333", "3333-3"), ("4444-4", "4444-4")],
)
def test_a_rollout_is_meant_by_its_name_or_id(name: str | None, meant: str) -> None:
    """A running one before a promoted one, and the newest of those."""
    assert one_meant(ALL, name, ENDING).id == meant


@pytest.mark.parametrize("name", ["scout", "55", "2", "nobody", ""])
def test_what_has_ended_or_is_not_there_is_not_meant(name: str) -> None:
    """Nor by a piece of an id that is too short to be one."""
    with pytest.raises(BadInput, match=f"no rollout of '{name}' that is running or promoted"):
        one_meant(ALL, name, ENDING)


def test_two_that_run_have_to_be_told_apart() -> None:
    """By their names."""
    both = [rollout("6666", "scout", "running"), *ALL]
    with pytest.raises(BadInput, match="More than one"):
        one_meant(both, None, ENDING)
    assert one_meant(both, "scout", ("running",)).id == "6666"


def test_a_rollout_from_its_beginning_to_its_end(dsn: str, tmp_path: Path) -> None:
    """With a sentence at each step, and a table of both versions."""
    new = tmp_path / "researcher"
    shutil.copytree(builtin_root() / "subagents" / "researcher", new)
    with (new / "AGENT.md").open("a") as file:
        file.write("Be brief.\n")

    def said(*args: str, code: int = 0) -> str:
        ended: Any = run_process("rollout", *args, dsn=dsn, cwd=tmp_path)
        assert ended.returncode == code, ended.stderr
        return str(ended.stdout or ended.stderr)

    assert "no rollouts yet" in said("status")
    assert "of the bundle researcher, running: " in said("start", "researcher", "--percent", "12.5")
    assert "running already" in said("start", "researcher", code=2)
    shown = said("status")
    assert "for 12.5 % of the sessions" in shown
    assert "too early to tell" in shown
    assert [line.split()[0] for line in shown.splitlines()[1:4]] == ["version", "old", "new"]
    assert "researcher is promoted" in said("promote")
    assert "in force already" in said("start", "researcher", code=2)
    assert "promoted: " in said("status")
    assert "researcher is aborted" in said("abort", "researcher")
    assert "aborted by a person" in said("status")
