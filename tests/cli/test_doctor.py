"""`harness doctor`: what is wrong comes with a remedy, and hooks are really tried."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from harness.cli.probe import probe
from harness.hook_chain import HookChain
from harness.settings import Settings
from tests.cli.processes import NO_MODEL
from tests.kit.langfuse_api import VERSION, LangfuseApi, variables
from tests.kit.processes import clean_env
from tests.kit.sdk import isolate


async def examined(home: Path, dsn: str, **extra: str) -> tuple[int, dict[str, dict[str, Any]]]:
    """Run the doctor in a folder; give its exit code and its checks by name."""
    env = clean_env(home, NO_MODEL, HARNESS_HOME=str(home / "data"), HARNESS_DSN=dsn, **extra)
    ended = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "harness", "doctor", "--json"],
        cwd=home,
        env=env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert ended.stderr == ""
    document = json.loads(ended.stdout)
    assert document["ok"] == (ended.returncode == 0)
    return ended.returncode, {each["check"]: each for each in document["checks"]}


async def test_a_sound_installation_is_found_sound(home: Path, dsn: str) -> None:
    """Project, CLI, key, database and hooks are all looked at; no key is told and never printed."""
    code, checks = await examined(home, dsn, ANTHROPIC_API_KEY="sk-ant-never-shown")
    assert code == 0
    assert list(checks) == ["project", "Claude CLI", "key", "database", "hooks"]
    assert all(each["ok"] and each["remedy"] is None for each in checks.values())
    assert "never-shown" not in str(checks)


async def test_what_is_wrong_comes_with_a_remedy(home: Path, empty_dsn: str) -> None:
    """A database without its schema ends the examination with 1, and says which command mends it."""
    code, checks = await examined(home, empty_dsn)
    assert code == 1
    assert not checks["database"]["ok"]
    assert checks["database"]["remedy"] == "run: harness db migrate"
    assert checks["hooks"]["ok"], "one fault hides no other check"


async def test_a_project_that_does_not_load_is_a_finding(home: Path, dsn: str) -> None:
    """The doctor names the broken file instead of refusing to examine."""
    (home / "harness.toml").write_text("tenant =")
    code, checks = await examined(home, dsn)
    assert code == 1
    assert "harness.toml is not valid TOML" in checks["project"]["detail"]
    assert checks["project"]["remedy"]


async def test_langfuse_is_examined_when_it_is_set_up(home: Path, dsn: str) -> None:
    """A sound one is named with its project; half a pair of keys is a fault with a remedy."""
    async with LangfuseApi() as api:
        code, checks = await examined(home, dsn, **variables(api.url))
        assert code == 0
        assert checks["langfuse"]["detail"] == f"project 'Research' at {api.url}, version {VERSION}"
        code, checks = await examined(home, dsn, LANGFUSE_PUBLIC_KEY="pk-lf", LANGFUSE_BASE_URL=api.url)
    assert code == 1
    assert "LANGFUSE_SECRET_KEY is not set" in checks["langfuse"]["detail"]
    assert checks["langfuse"]["remedy"]
    assert checks["hooks"]["ok"], "one fault hides no other check"


async def test_hooks_that_never_fire_are_noticed(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the CLI did not call the hook, the denied command would run: the probe says so."""
    isolate(monkeypatch, home, NO_MODEL)
    monkeypatch.setattr(HookChain, "matchers", lambda self: {})
    assert await probe(Settings()) == "of two tool calls 0 reached a hook"


async def test_a_denial_that_is_not_heeded_is_noticed(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If a hook's denial got lost on its way, the command has run: the probe says so."""
    isolate(monkeypatch, home, NO_MODEL)
    heeded = HookChain._before_tool

    async def lost(self: HookChain, *given: Any) -> Any:
        await heeded(self, *given)
        return {}

    monkeypatch.setattr(HookChain, "_before_tool", lost)
    assert await probe(Settings()) == "a tool call that a hook denied ran all the same"
