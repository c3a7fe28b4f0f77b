"""The public surface: what `import harness` offers, and what it costs."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import harness
from harness import errors
from tests.kit.processes import clean_env

ROOT = Path(__file__).parents[1]


def test_every_public_name_can_be_imported() -> None:
    """No name of `__all__` is stale or listed twice."""
    assert len(harness.__all__) == len(set(harness.__all__))
    for name in harness.__all__:
        assert getattr(harness, name) is not None


def test_what_can_be_imported_is_what_is_listed() -> None:
    """Type checkers see the same names as the running program, from the same places."""
    seen_by_checkers = {
        alias.name: node.module
        for node in ast.walk(ast.parse(Path(harness.__file__).read_text("utf-8")))
        if isinstance(node, ast.ImportFrom) and node.module not in ("__future__", "typing", "importlib")
        for alias in node.names
    }
    imported = {name: place for place, names in vars(harness)["_PLACES"].items() for name in names}
    assert imported == seen_by_checkers
    assert imported.keys() == set(harness.__all__)


def test_an_unknown_name_is_an_attribute_error() -> None:
    """As for any module, so that `hasattr` and `from harness import ...` say what is wrong."""
    with pytest.raises(AttributeError, match="no attribute 'Harnes'"):
        harness.Harnes  # type: ignore[attr-defined]  # noqa: B018


def test_the_public_errors_are_the_branches_of_the_tree() -> None:
    """What a program can tell apart without reaching into the package."""
    public = {value for name in harness.__all__ if isinstance(value := getattr(harness, name), type)}
    branches = {errors.HarnessError, *errors.HarnessError.__subclasses__()}
    assert {branch for branch in branches if branch.__module__ == "harness.errors"} <= public


def test_importing_the_package_does_not_import_the_sdk(tmp_path: Path) -> None:
    """The SDK takes a second to import, which `harness --help` need not wait for."""
    code = "import sys, harness; print('claude_agent_sdk' in sys.modules, 'pydantic' in sys.modules)"
    ended = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=clean_env(tmp_path, "http://127.0.0.1:9"),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert ended.stdout.split() == ["False", "False"]
