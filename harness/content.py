"""Where what people write lives: the folders `subagents/`, `prompts/` and `hooks/`, found by convention.

There are two halves. The built-in half travels inside the installed package, or is the checkout's own
folders in an editable install. The user's half is the same three folders in the project folder. What a user
adds stands beside what is built in; what has the name of a built-in one takes its place. A project's folder
`flows/` is found in the same way; the flows built in are code.

Names that begin with "." or "_", and each folder's README.md, are nobody's content.
"""

from __future__ import annotations

import hashlib
import sys
import traceback
from collections.abc import Collection, Iterator
from pathlib import Path
from types import ModuleType
from typing import Literal

from harness.errors import BadInput, HarnessError

Kind = Literal["subagents", "prompts", "hooks"]
KINDS: tuple[Kind, ...] = ("subagents", "prompts", "hooks")

SETTINGS_FILE = "harness.toml"
"""The file that makes a folder a project."""

_PACKAGE = Path(__file__).resolve().parent


def find_project(start: Path) -> Path:
    """Give the nearest folder with a settings file, from `start` upwards; else `start` itself."""
    start = start.resolve()
    return next((folder for folder in (start, *start.parents) if (folder / SETTINGS_FILE).is_file()), start)


def builtin_root(package: Path = _PACKAGE) -> Path:
    """Give the folder that holds the built-in half.

    Raises:
        HarnessError: the installation lost its content.
    """
    for root in (package / "_builtin", package.parent):
        if all((root / kind).is_dir() for kind in ("subagents", "prompts")):
            return root
    raise HarnessError(
        f"The installation at {package} has no built-in content; install subagent-harness again."
    )


def is_builtin(path: Path) -> bool:
    """Say whether a file or folder belongs to the built-in half."""
    return any(path.resolve().is_relative_to(builtin_root() / kind) for kind in KINDS)


def folders(kind: Kind, project: Path | None) -> tuple[Path, ...]:
    """Give the folders of a kind that exist, the built-in one first.

    `project` is the project folder; without one there is only the built-in half. A project that is the
    checkout itself has one half, not two.
    """
    roots = [builtin_root()]
    if project is not None and project.resolve() not in roots:
        roots.append(project.resolve())
    return tuple(folder for folder in (root / kind for root in roots) if folder.is_dir())


def bundle_entries(folder: Path) -> tuple[Path, ...]:
    """Give what stands for a bundle in one `subagents/` folder, sorted: folders and single .md files."""
    return tuple(path for path in _entries(folder) if path.is_dir() or path.suffix == ".md")


def prompt_files(project: Path | None) -> dict[str, Path]:
    """Give every prompt file by name; the project's take the place of built-in ones."""
    return _by_name("prompts", project, ".md")


def hook_files(project: Path | None) -> dict[str, Path]:
    """Give every hook file by name; the project's take the place of built-in ones."""
    return _by_name("hooks", project, ".py")


def flow_files(project: Path | None, suffixes: Collection[str]) -> tuple[Path, ...]:
    """Give the files with these suffixes in the project's folder flows/, sorted."""
    folder = project / "flows" if project else None
    if folder is None or not folder.is_dir():
        return ()
    return tuple(path for path in _entries(folder) if path.suffix in suffixes and path.is_file())


def load_python(path: Path, refusal: type[BadInput]) -> ModuleType:
    """Run a Python file of a content folder as a private module of its own.

    It is not importable by name, so any number of bundles may each have a `schemas.py`, and nothing is
    written beside it. Two loads of one file give two modules.

    Raises:
        BadInput: of the class `refusal`, with file and line, whatever the file raised.
    """
    name = f"_harness_content_{hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:16]}"
    module = ModuleType(name)
    module.__file__ = str(path)
    sys.modules[name] = module  # pydantic and inspect look a class's module up by its name
    try:
        code = compile(path.read_bytes(), str(path), "exec", dont_inherit=True)
        exec(code, module.__dict__)
    except Exception as error:  # a person's file may raise anything; it becomes one sentence, never silence
        del sys.modules[name]
        words = (str(error).splitlines() or [""])[0]
        raise refusal(
            f"{_place(path, error)} does not load; mend it: {type(error).__name__}: {words}."
        ) from error
    return module


def _place(path: Path, error: Exception) -> str:
    line = error.lineno if isinstance(error, SyntaxError) and error.filename == str(path) else None
    for frame in traceback.extract_tb(error.__traceback__):
        line = frame.lineno if frame.filename == str(path) else line
    return f"{path}, line {line}," if line else f"{path}"


def _entries(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        if not path.name.startswith((".", "_")) and path.name != "README.md":
            yield path


def _by_name(kind: Kind, project: Path | None, suffix: str) -> dict[str, Path]:
    return {
        path.stem: path
        for folder in folders(kind, project)
        for path in _entries(folder)
        if path.suffix == suffix and path.is_file()
    }
