"""One seed for a whole test run, the same in each of its processes, printed at its start."""

from __future__ import annotations

import os
import random
import zlib
from functools import cache


@cache
def run_seed() -> int:
    """The seed of this run: HARNESS_TEST_SEED, or a new one."""
    given = os.environ.get("HARNESS_TEST_SEED")
    if given:
        return int(given)
    shared = os.environ.get("PYTEST_XDIST_TESTRUNUID")
    return zlib.crc32(shared.encode()) % 10**6 if shared else random.SystemRandom().randrange(10**6)
