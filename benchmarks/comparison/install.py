"""Virtual environments of the peers: pinned, made when they are needed, and again when a pin changes."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from benchmarks.places import ROOT

_PLACE = ROOT / "build" / "peers"
_PINS = Path(__file__).parent / "peers"


class NotInstalled(Exception):
    """A peer's environment cannot be made."""


@dataclass(frozen=True)
class Environment:
    """A virtual environment with what one of the files of pins names."""

    name: str

    def python(self) -> Path:
        """Its interpreter; it is made when there is none.

        Raises:
            NotInstalled: it cannot be.
        """
        pins = _PINS / f"{self.name}.txt"
        key = hashlib.sha256(pins.read_bytes() + sys.version.encode()).hexdigest()[:12]
        place = _PLACE / f"{self.name}-{key}"
        python = place / "bin" / "python"
        done = place / "installed"
        if not done.exists():
            shutil.rmtree(place, ignore_errors=True)
            print(
                f"Installing {self.name} and what it needs into {place.relative_to(ROOT)} ...",
                file=sys.stderr,
            )
            _run(sys.executable, "-m", "venv", str(place))
            _run(str(python), "-m", "pip", "install", "-q", "-r", str(pins))
            done.touch()
        return python

    def version(self, package: str) -> str:
        """The version of a package in it."""
        asked = f"from importlib.metadata import version; print(version({package!r}))"
        return subprocess.run(
            [str(self.python()), "-c", asked], check=True, capture_output=True, text=True
        ).stdout.strip()


LANGGRAPH = Environment("langgraph")
CREWAI = Environment("crewai")


def _run(*command: str) -> None:
    ended = subprocess.run(command, stdin=subprocess.DEVNULL, check=False)
    if ended.returncode != 0:
        raise NotInstalled(
            f"A peer cannot be installed: {' '.join(command)} ended with {ended.returncode}; "
            "mend what it says above."
        )
