"""How long to wait before something that failed is tried again."""

from __future__ import annotations

import random

_DOUBLINGS = 64
"""More of them make no pause longer, only a number too large."""


def pause_s(attempt: int, first_s: float, longest_s: float) -> float:
    """Seconds to wait after the failed attempt of this number, counted from 1.

    They double from `first_s` up to `longest_s`, and are cut by up to a half at random, so that those who
    failed together do not come back together.
    """
    grown: float = first_s * 2.0 ** min(attempt - 1, _DOUBLINGS)
    return random.uniform(0.5, 1.0) * min(grown, longest_s)
