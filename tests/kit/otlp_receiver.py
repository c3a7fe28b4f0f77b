"""A receiver of traces on loopback that holds spans to Langfuse's rules, as strictly as its newest server.

    with OtlpReceiver() as receiver:
        ... start a harness with receiver.environment() ...
        assert receiver.violations == []
        assert ("chat claude-sonnet-5-5", "invoke_agent researcher") in receiver.tree()

It serves from threads of its own, so that tests and processes of any kind can post to it. What it does next
can be changed at any time: `receiver.mode = "503"`.
"""

from __future__ import annotations

import base64
import gzip
import json
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Literal, Self

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from tests.kit.langfuse.rules import of_span
from tests.kit.seen import Seen, all_seen

Mode = Literal[
    "ok",  # takes what follows the rules
    "partial",  # takes it, and says that the last span of each post was refused
    "slow",  # takes it after a while
    "hang",  # never answers, and takes nothing
    "reset",  # cuts the connection, and takes nothing
    "lost",  # takes it, and cuts the connection before it answers
    "html",  # answers 200 with a page, as a proxy does that wants a login
    "400",
    "401",
    "404",
    "413",
    "429",
    "500",
    "503",
]

PUBLIC_KEY = "pk-lf-test"
SECRET_KEY = "sk-lf-test"
LANGFUSE_PATH = "/api/public/otel/v1/traces"
OTLP_PATH = "/v1/traces"


@dataclass(frozen=True)
class Post:
    """A request: its path, headers and body before compression, its spans, and what was answered."""

    path: str
    headers: Mapping[str, str]
    body: bytes
    spans: tuple[Seen, ...]
    answered: int | None


class OtlpReceiver:
    """Serves while in its block. `spans` are those it has taken; `posts` all that came."""

    def __init__(self, *, most_spans: int | None = None, poison: Iterable[str] = ()) -> None:
        self.mode: Mode = "ok"
        self.retry_after: str | None = None
        self.most_spans = most_spans
        self.poison = set(poison)
        self.slow_s = 0.5
        self.spans: list[Seen] = []
        self.posts: list[Post] = []
        self.violations: list[str] = []
        self._lock = threading.Lock()
        self._released = threading.Event()
        self._server = _Server(("127.0.0.1", 0), _handler(self))
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """Stop listening: connections are refused from now on."""
        self._released.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def base_url(self) -> str:
        """What LANGFUSE_BASE_URL or `tracing.otlp_url` is set to."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def environment(self) -> dict[str, str]:
        """The variables that make a process export here."""
        return {
            "LANGFUSE_PUBLIC_KEY": PUBLIC_KEY,
            "LANGFUSE_SECRET_KEY": SECRET_KEY,
            "LANGFUSE_BASE_URL": self.base_url,
        }

    def tree(self) -> Counter[tuple[str, str | None]]:
        """Count the spans taken by (name, parent's name); a root's parent is None, a missing one "?"."""
        names = {span.span_id: span.name for span in self.spans}
        return Counter(
            (span.name, names.get(span.parent_id, "?") if span.parent_id else None) for span in self.spans
        )

    def roots(self) -> list[Seen]:
        """The spans without a parent."""
        return [span for span in self.spans if not span.parent_id]

    def missing_parents(self) -> set[str]:
        """The ids that spans name as their parents and that have not come."""
        return {span.parent_id for span in self.spans if span.parent_id} - {
            span.span_id for span in self.spans
        }

    def usage(self) -> Counter[str]:
        """The tokens of all spans, by Langfuse's names."""
        return sum((Counter(span.usage) for span in self.spans), Counter())

    def ids(self) -> list[str]:
        """The ids of the spans taken, in the order in which they came."""
        return [span.span_id for span in self.spans]

    def raw(self) -> bytes:
        """All that was ever posted, headers too: to look for what should not be there."""
        return b"\n".join(json.dumps(dict(post.headers)).encode() + post.body for post in self.posts)

    def take(self, path: str, headers: Mapping[str, str], body: bytes) -> int | None:
        """Judge a post, and give the status of the answer, None for none."""
        spans = all_seen(body)
        with self._lock:
            answered = self._judge(path, headers, spans)
            self.posts.append(Post(path, headers, body, spans, answered))
        return answered

    def wait(self) -> None:
        """Do what the mode wants before an answer."""
        if self.mode == "slow":
            time.sleep(self.slow_s)
        if self.mode == "hang":
            self._released.wait()

    def _judge(self, path: str, headers: Mapping[str, str], spans: tuple[Seen, ...]) -> int | None:
        if self.mode.isdigit():
            return int(self.mode)
        if self.mode in ("hang", "reset"):
            return None
        if self.mode == "html":
            return 200
        if path not in (LANGFUSE_PATH, OTLP_PATH):
            return 404
        if path == LANGFUSE_PATH:
            keys = base64.b64encode(f"{PUBLIC_KEY}:{SECRET_KEY}".encode()).decode()
            if headers.get("authorization") != f"Basic {keys}":
                return 401
            if headers.get("x-langfuse-ingestion-version") != "4":
                return self._violated("x-langfuse-ingestion-version is missing")
        if self.most_spans is not None and len(spans) > self.most_spans:
            return 413
        if any(span.name in self.poison for span in spans):
            return 400
        broken = [problem for span in spans for problem in self._problems(span)]
        if broken:
            return self._violated(*broken)
        self.spans += spans[:-1] if self.mode == "partial" else spans
        return None if self.mode == "lost" else 200

    def _problems(self, span: Seen) -> Iterable[str]:
        about = span.attributes
        if span.span_id in self.ids():
            yield f"{span.name} {span.span_id} came again"
        if not (about.get("langfuse.session.id") and about.get("session.id")):
            yield f"{span.name} has no session id"
        yield from of_span(span)

    def _violated(self, *problems: str) -> int:
        self.violations += problems
        return 400


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False


def _handler(receiver: OtlpReceiver) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            if body and self.headers.get("content-encoding") == "gzip":
                body = gzip.decompress(body)
            headers = {name.lower(): value for name, value in self.headers.items()}
            status = receiver.take(self.path, headers, body)
            receiver.wait()
            if status is None:
                # With a linger of 0 closing is a reset.
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self.close_connection = True
                return
            self._answer(status)

        def _answer(self, status: int) -> None:
            answer = ExportTraceServiceResponse()
            kind = "application/x-protobuf"
            if receiver.mode == "partial":
                answer.partial_success.rejected_spans = 1
                answer.partial_success.error_message = "One span is too old."
            sent = answer.SerializeToString()
            if status != 200 or receiver.mode == "html":
                kind = "text/html" if receiver.mode == "html" else "text/plain"
                sent = b"Please log in." if receiver.mode == "html" else f"scripted {status}".encode()
            self.send_response(status)
            self.send_header("content-type", kind)
            self.send_header("content-length", str(len(sent)))
            if receiver.retry_after is not None:
                self.send_header("retry-after", receiver.retry_after)
            self.end_headers()
            self.wfile.write(sent)

        def log_message(self, format: str, *args: Any) -> None:
            return None

    return Handler
