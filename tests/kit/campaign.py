"""Which of many like cases are run each time; the others wait for `-m campaign`."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

import pytest


def cases(named: Mapping[str, Any] | Iterable[str], quick: Collection[str]) -> list[Any]:
    """Make a test's parameters of named values, or of names that are the values.

    A tuple is the values of several of the test's arguments.

    Raises:
        ValueError: a quick one is not there.
    """
    named = named if isinstance(named, Mapping) else {name: name for name in named}
    if missing := set(quick) - set(named):
        raise ValueError(f"There is no case {', '.join(sorted(missing))}.")
    return [
        pytest.param(
            *(value if isinstance(value, tuple) else (value,)),
            id=name,
            marks=() if name in quick else pytest.mark.campaign,
        )
        for name, value in named.items()
    ]
