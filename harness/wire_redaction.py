"""What was on the wire, without its secrets: requests and answers of the Messages API, streams too."""

from __future__ import annotations

import json
from typing import Any

from harness.redaction import Redactor
from harness.wire import StreamReader, stream_of


def redacted_body(body: bytes, redactor: Redactor, message: dict[str, Any] | None = None) -> bytes:
    """Give a body without secrets: its very bytes when there are none.

    In a stream a secret may be parted among many events, so that it is looked for in the message they make
    together; if there is one, that message is written as a stream again. `message` is all that the body
    holds, if it has been parsed already: one without secrets spares parsing the body.
    """
    if message is not None and redactor.value(message) == message:
        return body
    reader = StreamReader()
    reader.feed(body)
    if (streamed := reader.message) is not None:
        clean = redactor.value(streamed)
        return body if clean == streamed else b"".join(stream_of(clean))
    try:
        given = json.loads(body)
    except ValueError:
        text = body.decode(errors="replace")
        clean_text = redactor.text(text)
        return body if clean_text == text else clean_text.encode()
    clean = redactor.value(given)
    return body if clean == given else json.dumps(clean).encode()
