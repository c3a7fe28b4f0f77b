"""What a span keeps of an input or an output: all of it, its beginning, its size and hash, or nothing."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any, Literal

from harness.sections import Tracing
from harness.tracing.span import Content

Capture = Literal["full", "metadata", "none"]


@dataclass(frozen=True)
class Keeper:
    """Decides what is kept of content; `max_chars` is the longest text kept whole."""

    capture: Capture = "full"
    max_chars: int = 32_000

    def keep(self, value: Any) -> dict[str, Any] | None:
        """Give a value as a `Content`, ready to be stored; None when nothing is to be kept of it."""
        if value is None or self.capture == "none":
            return None
        plain = isinstance(value, str)
        text = value if plain else json.dumps(value, ensure_ascii=False, default=str)
        whole = self.capture == "full"
        return Content(
            text=text[: self.max_chars] if whole else None,
            chars=len(text),
            sha256=hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest(),
            cut=whole and len(text) > self.max_chars,
            json_text=not plain,
        ).model_dump()


def keeper(tracing: Tracing) -> Keeper | None:
    """The keeper that the settings ask for; None when no spans are wanted."""
    return Keeper(tracing.capture, tracing.max_chars) if tracing.enabled else None
