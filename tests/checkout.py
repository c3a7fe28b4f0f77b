"""The checkout under test: its folder, and the files that are or would be committed."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def files() -> list[Path]:
    """Give every tracked file, and every new one that is not ignored; without git, what is not hidden."""
    if not (ROOT / ".git").exists():
        return [path for path in ROOT.rglob("*") if path.is_file() and not _is_private(path)]
    listed = subprocess.run(
        ["git", "-c", "safe.directory=*", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
        timeout=60,
    )
    paths = (ROOT / name for name in listed.stdout.decode().split("\0") if name)
    return sorted({path for path in paths if path.is_file()})


def copy(target: Path) -> Path:
    """Lay a clean copy of the checkout into a new folder."""
    for path in files():
        place = target / path.relative_to(ROOT)
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, place)
    return target


def _is_private(path: Path) -> bool:
    parts = path.relative_to(ROOT).parts
    return parts[0] != ".ci" and any(part.startswith(".") or part == "__pycache__" for part in parts)
