"""Which documents a tool's answer has shown to an agent."""

from __future__ import annotations

import json
import re
from typing import Any

_SHOWING = ("mcp__corpus__", "mcp__web__")
_LABEL = re.compile(r'\\?"source\\?":\s*\\?"(S\d+)\\?"')


def labels_in(tool: str, result: Any) -> tuple[str, ...]:
    """Give the labels of the documents in a tool's answer, in order; also when the answer was cut."""
    if not tool.startswith(_SHOWING):
        return ()
    text = result if isinstance(result, str) else json.dumps(result, default=str)
    return tuple(dict.fromkeys(_LABEL.findall(text)))
