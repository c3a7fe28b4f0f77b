"""The example of a bundle in Python: it runs offline, and a model that calls its tool gets its answer."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.checkout import ROOT
from tests.kit.processes import clean_env
from tests.kit.script import Reply, Request, text, tool_use
from tests.kit.scripted_api import ScriptedProcess, scripted_process

EXAMPLE = "examples/python_bundle.py"
CHANGE = "mcp__arithmetic__change"


def statistician(request: Request) -> Reply:
    """Play the statistician: compute a change from zero, then a real one, and tell what came of it."""
    done = request.tool_results(CHANGE)
    if len(done) < 2:
        return Reply([tool_use(CHANGE, {"before": len(done) * 60, "after": 30})])
    return Reply([text("# Answer\n\n" + " ".join(result.text for result in done))])


@pytest.fixture
def api(home: Path) -> Iterator[ScriptedProcess]:
    """The played model."""
    with scripted_process("tests.test_examples:statistician", home / "calls.jsonl") as played:
        yield played


def test_the_bundle_uses_its_own_tool(home: Path, api: ScriptedProcess) -> None:
    """The tool computes, and what it cannot do goes to the agent in words."""
    said = _run(home, api.base_url)
    assert "-50.0%" in said
    assert "A change from zero has no share" in said


def test_the_bundle_is_rehearsed_offline(home: Path) -> None:
    """Without a key it searches the documents and says that no model was used."""
    said = _run(home, "http://127.0.0.1:9", "--offline")
    assert "no language model was used" in said
    assert "lease_ttl_s" in said


def _run(home: Path, base_url: str, *options: str) -> str:
    ended = subprocess.run(
        [sys.executable, EXAMPLE, *options],
        cwd=ROOT,
        env=clean_env(home, base_url, HARNESS_HOME=str(home / "harness")),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout
