"""Runs a command with a longest line of 1 MiB between the CLI and the harness: `-m tests.e2e.short_lines
PYTHON -m harness ...`, so that what is too long for it need not be of a hundred megabytes."""

from __future__ import annotations

import sys

import harness.claude
from harness.__main__ import main

if __name__ == "__main__":
    harness.claude.LONGEST_LINE = 1 << 20
    del sys.argv[1:4]
    sys.exit(main())
