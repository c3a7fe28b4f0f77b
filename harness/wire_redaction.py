"""What was on the wire, without its secrets: requests and answers of the Messages API, streams too."""

from __future__ import annotations

import json
from typing import Any

from harness.redaction import Redactor
from harness.thinking import redacted, without_thinking
from harness.wire import StreamReader, stream_of


def redacted_body(
    body: bytes, redactor: Redactor, message: dict[str, Any] | None = None, *, again: bool = False
) -> bytes:
    """Give a body without secrets, and without thinking that holds one: its very bytes when there are none.

    In a stream a secret may be parted among many events, so that it is looked for in the message they make
    together; if there is one, that message is written as a stream again. `message` is all that the body
    holds, if it has been parsed already: one without secrets spares parsing the body. An answer that is to be
    given `again` loses all its thinking: a resume puts other words before it than it was thought after.
    """

    def clean(value: Any) -> Any:
        found = redacted(value, redactor)
        return without_thinking(found) if again and isinstance(found, dict) else found

    if message is not None and clean(message) == message:
        return body
    reader = StreamReader()
    reader.feed(body)
    if (streamed := reader.message) is not None:
        told = clean(streamed)
        return body if told == streamed else b"".join(stream_of(told))
    try:
        given = json.loads(body)
    except ValueError:
        text = body.decode(errors="replace")
        clean_text = redactor.text(text)
        return body if clean_text == text else clean_text.encode()
    told = clean(given)
    return body if told == given else json.dumps(told).encode()
