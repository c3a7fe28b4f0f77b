"""How the two halves of the content are found, and how its Python is loaded."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from harness.content import (
    KINDS,
    builtin_root,
    bundle_entries,
    find_project,
    folders,
    hook_files,
    is_builtin,
    load_python,
    prompt_files,
)
from harness.errors import BadBundle, HarnessError


def test_the_project_is_the_nearest_folder_with_a_settings_file(tmp_path: Path) -> None:
    """Found upwards; the nearest wins."""
    inner = tmp_path / "outer" / "inner"
    (inner / "deep" / "deeper").mkdir(parents=True)
    (tmp_path / "outer" / "harness.toml").touch()
    assert find_project(inner / "deep" / "deeper") == (tmp_path / "outer").resolve()
    (inner / "harness.toml").touch()
    assert find_project(inner / "deep" / "deeper") == inner.resolve()


def test_without_a_settings_file_the_folder_itself_is_the_project(tmp_path: Path) -> None:
    """A person need not have made a project; a folder named like the file is no settings file."""
    (tmp_path / "harness.toml").mkdir()
    (tmp_path / "deep").mkdir()
    assert find_project(tmp_path / "deep") == (tmp_path / "deep").resolve()


def test_a_wheel_has_its_content_inside_the_package(tmp_path: Path) -> None:
    """What is installed beside the package, under the same names, is somebody else's."""
    package = tmp_path / "site-packages" / "harness"
    for kind in KINDS:
        (package / "_builtin" / kind).mkdir(parents=True)
        (tmp_path / "site-packages" / kind).mkdir()
    assert builtin_root(package) == package / "_builtin"


def test_a_checkout_has_its_content_beside_the_package(tmp_path: Path) -> None:
    """In an editable install the top-level folders are the built-in half."""
    for kind in KINDS:
        (tmp_path / kind).mkdir()
    assert builtin_root(tmp_path / "harness") == tmp_path


def test_a_broken_installation_is_named(tmp_path: Path) -> None:
    """Without content there is one sentence with the remedy."""
    with pytest.raises(HarnessError, match="has no built-in content; install subagent-harness again"):
        builtin_root(tmp_path / "harness")


def test_the_two_halves_in_order(tmp_path: Path) -> None:
    """The built-in folder first, the project's second, and only what exists."""
    assert folders("subagents", tmp_path) == folders("subagents", None)
    (tmp_path / "subagents").mkdir()
    assert folders("subagents", tmp_path) == (builtin_root() / "subagents", tmp_path.resolve() / "subagents")
    assert folders("subagents", builtin_root()) == (builtin_root() / "subagents",)


def test_files_of_the_project_take_the_place_of_namesakes(tmp_path: Path) -> None:
    """By name; what is new is added."""
    (tmp_path / "prompts").mkdir()
    for name in ("task.md", "own.md", "README.md", "_draft.md", "notes.txt"):
        (tmp_path / "prompts" / name).write_text("x")
    files = prompt_files(tmp_path)
    assert files["task"] == tmp_path.resolve() / "prompts" / "task.md"
    assert files.keys() == prompt_files(None).keys() | {"own"}
    assert files["lead"] == builtin_root() / "prompts" / "lead.md"


def test_hook_files_are_python_files(tmp_path: Path) -> None:
    """Hooks are listed by name; private files and packages are not hooks."""
    (tmp_path / "hooks" / "package.py").mkdir(parents=True)
    for name in ("gate.py", "_shared.py", "__init__.py", "README.md", "notes.txt"):
        (tmp_path / "hooks" / name).touch()
    files = hook_files(tmp_path)
    assert files["gate"] == tmp_path.resolve() / "hooks" / "gate.py"
    assert files.keys() == hook_files(None).keys() | {"gate"}


def test_bundle_entries_are_folders_and_single_files(tmp_path: Path) -> None:
    """Sorted, without what is hidden, private or a README."""
    for name in ("b", "_private", ".hidden"):
        (tmp_path / name).mkdir()
    for name in ("a.md", "README.md", "notes.txt"):
        (tmp_path / name).touch()
    assert [path.name for path in bundle_entries(tmp_path)] == ["a.md", "b"]


def test_what_is_built_in_is_known(tmp_path: Path) -> None:
    """A file of the built-in half is told from a person's."""
    assert is_builtin(builtin_root() / "prompts" / "lead.md")
    assert not is_builtin(builtin_root() / "pyproject.toml")
    assert not is_builtin(tmp_path / "prompts" / "lead.md")


def test_python_is_loaded_afresh_each_time(tmp_path: Path) -> None:
    """An edit within the same second, of the same length, is seen; nothing is written beside the file."""
    file = tmp_path / "schemas.py"
    file.write_text("x = 1\n")
    assert load_python(file, BadBundle).x == 1
    file.write_text("x = 2\n")
    assert load_python(file, BadBundle).x == 2
    assert [path.name for path in tmp_path.iterdir()] == ["schemas.py"]


def test_a_persons_python_is_compiled_on_its_own_terms(tmp_path: Path) -> None:
    """The loader's own `from __future__` does not reach into the file."""
    file = tmp_path / "tools.py"
    file.write_text("def run(age: int): ...\n")
    assert load_python(file, BadBundle).run.__annotations__ == {"age": int}


def test_python_that_fails_leaves_no_module_behind(tmp_path: Path) -> None:
    """The sentence has the line in the person's file, also when library code raised."""
    file = tmp_path / "schemas.py"
    file.write_text("import json\n\njson.loads('{')\n")
    before = set(sys.modules)
    with pytest.raises(BadBundle, match=r"schemas\.py, line 3, does not load; mend it: JSONDecodeError: "):
        load_python(file, BadBundle)
    assert not {name for name in set(sys.modules) - before if name.startswith("_harness")}


def test_an_exit_in_a_persons_file_is_not_swallowed(tmp_path: Path) -> None:
    """Leaving the process is not an error of the file."""
    file = tmp_path / "schemas.py"
    file.write_text("raise SystemExit(3)\n")
    with pytest.raises(SystemExit):
        load_python(file, BadBundle)
