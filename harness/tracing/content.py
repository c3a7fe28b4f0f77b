"""What a span keeps of an input or an output: all of it, its beginning, its size and hash, or nothing."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any, Literal

from harness.redaction import Redactor
from harness.sections import Tracing
from harness.tracing.blocks import dumps
from harness.tracing.chat import Answered, Asked, answer_of, chat_of
from harness.tracing.fitting import fit_answer, fit_chat
from harness.tracing.span import Content

BESIDE = 4_000
"""Bytes that are kept free for all else that the span of a model call says."""

Capture = Literal["full", "metadata", "none"]


@dataclass(frozen=True)
class Fitted:
    """A part of a chat without secrets, in as many bytes as it may take; `cut` if something is missing."""

    text: str
    cut: bool


@dataclass(frozen=True)
class Keeper:
    """Decides what is kept of content.

    `max_chars` is the longest text kept whole. `max_chat_bytes` is what the span of a model call takes at
    most, with what it says of its conversation under all names of attributes together.
    """

    capture: Capture = "full"
    max_chars: int = 32_000
    max_chat_bytes: int = 131_072

    @property
    def _for_chat(self) -> int:
        return self.max_chat_bytes - BESIDE

    def clean(self, value: Any, redactor: Redactor) -> Any:
        """Take the secrets out of a value, before anything of it is cut, for `keep`."""
        if self.capture == "none":
            return None
        # Each is exported under two names. An input is kept before its output is known: the output has a
        # quarter of the half to itself.
        half = self._for_chat // 2
        match value:
            case Asked():
                most = half * 3 // 4
                said, cut = fit_chat(chat_of(value, most, redactor.value), most)
                return Fitted(dumps(said), cut)
            case Answered():
                said, cut = fit_answer(answer_of(value, redactor.value), half // 4)
                return Fitted(dumps(said), cut)
            case _:
                return redactor.value(value)

    def keep(self, value: Any) -> dict[str, Any] | None:
        """Give a clean value as a `Content`, ready to be stored; None when nothing is to be kept of it."""
        if value is None or self.capture == "none":
            return None
        full = self.capture == "full"
        if isinstance(value, Fitted):
            text, kept, cut = value.text, value.text, value.cut
        else:
            text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
            kept, cut = text[: self.max_chars], len(text) > self.max_chars
        content = Content(
            text=kept if full else None,
            chars=len(text),
            sha256=hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest(),
            cut=full and cut,
            json_text=not isinstance(value, str),
            chat_bytes=self._for_chat if isinstance(value, Fitted) else None,
        )
        return content.model_dump(exclude=None if isinstance(value, Fitted) else {"chat_bytes"})


def keeper(tracing: Tracing) -> Keeper | None:
    """The keeper that the settings ask for; None when no spans are wanted."""
    if not tracing.enabled:
        return None
    return Keeper(tracing.capture, tracing.max_chars, tracing.max_chat_bytes)
