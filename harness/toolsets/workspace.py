"""The folder whose files agents may see, and nothing outside of it.

Out of sight are names that begin with a dot (`.env`, `.git`), the settings file, which may hold a DSN, and
the harness's own home. A link counts as what it leads to.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from fnmatch import fnmatch
from itertools import islice
from pathlib import Path

from harness.content import SETTINGS_FILE
from harness.tools import InvalidInput, ToolContext, ToolProblem

MOST_WALKED = 20_000
"""Files that are looked at below a folder, at most."""


class Workspace:
    """What is in sight below a root. Paths go in and out relative to it, with `/` between names."""

    def __init__(self, root: Path, home: Path) -> None:
        self._root = root.resolve()
        home = home.resolve()
        self._home = None if self._root.is_relative_to(home) else home

    @classmethod
    def of(cls, context: ToolContext) -> Workspace:
        """Give the workspace of a session: the folder in the settings, else the project folder.

        Raises:
            ToolProblem: there is none.
        """
        root = context.settings.workspace or context.project
        if root is None or not root.is_dir():
            raise ToolProblem("There is no workspace folder here; work without files.")
        return cls(root, context.settings.home)

    def find(self, given: str) -> Path:
        """Give the real path of a file or folder.

        Raises:
            InvalidInput: it is not in the workspace, out of sight, or not there.
        """
        try:
            real = (self._root / given).resolve()
        except (OSError, RuntimeError, ValueError) as problem:  # too long, links in a circle, a NUL
            raise InvalidInput(f"'{given[:200]}' is no path that can be used.") from problem
        if not real.is_relative_to(self._root):
            raise InvalidInput(f"'{given}' leads out of the workspace; name files inside of it.")
        # One answer for both, so that nothing can be learned of what is out of sight.
        if not self._in_sight(real) or not os.path.exists(real):
            raise InvalidInput(f"There is no '{given}' in the workspace; list shows what there is.")
        return real

    def name(self, path: Path) -> str:
        """Give a path as agents say it."""
        return path.relative_to(self._root).as_posix()

    def entries(self, folder: Path) -> list[Path]:
        """Give what stands in a folder, by name, without what is out of sight."""
        return [path for path in sorted(folder.iterdir()) if self._shown(path)]

    def files(self, below: Path, pattern: str) -> Iterator[Path]:
        """Give the files below a folder, or the one file, whose name or path fits a pattern such as `*.md`.

        Linked folders are not entered. Of very many files only the first are looked at.
        """
        for path in [below] if below.is_file() else islice(self._walk(below), MOST_WALKED):
            if fnmatch(path.name, pattern) or fnmatch(self.name(path), pattern):
                yield path

    def _walk(self, below: Path) -> Iterator[Path]:
        for folder, folders, names in os.walk(below):
            folders[:] = sorted(name for name in folders if self._shown(Path(folder, name)))
            yield from (path for name in sorted(names) if self._shown(path := Path(folder, name)))

    def _shown(self, path: Path) -> bool:
        """Whether an entry is in sight, under its own name and under that of what it leads to."""
        try:
            real = path.resolve()
        except (OSError, RuntimeError):
            return False
        usable = real.is_file() or real.is_dir()
        return usable and not path.name.startswith(".") and self._in_sight(real)

    def _in_sight(self, real: Path) -> bool:
        if not real.is_relative_to(self._root):
            return False
        if self._home is not None and real.is_relative_to(self._home):
            return False
        names = real.relative_to(self._root).parts
        return not any(name.startswith(".") or name == SETTINGS_FILE for name in names)
