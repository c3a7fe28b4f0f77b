"""A Langfuse on loopback: its health, the project of its keys, spans and scores, which it keeps as it does.

    async with LangfuseApi() as api:
        settings = settings_for(api.url)
        ...
        api.mode = "500"           # what it answers from now on
        assert [score["value"] for score in api.scores.values()] == ["good"]

The forms of requests and answers are those of Langfuse's own client, version 5. An older server is had by its
version: `LangfuseApi(version="4.16.0")` (tests/kit/langfuse_scores.py says what it does with scores).
"""

from __future__ import annotations

import asyncio
from base64 import b64encode
from collections.abc import Mapping
from types import TracebackType
from typing import Literal, Self

from aiohttp import web

from harness.settings import Settings, from_environment
from tests.kit.langfuse_scores import Score, ScoreBook
from tests.kit.langfuse_shown import observations, scores, trace
from tests.kit.seen import Seen, all_seen

VERSION = "4.62.1"
"""The newest server; which one matters to nobody."""

PUBLIC_KEY, SECRET_KEY = "pk-lf-test", "sk-lf-test-secret"

Mode = Literal["ok", "401", "429", "500", "hang", "page", "json", "moved", "no_project"]

_KEYS = "Basic " + b64encode(f"{PUBLIC_KEY}:{SECRET_KEY}".encode()).decode()


class LangfuseApi:
    """The server. `asked` are the paths in the order of the requests, `then` its mode after the next scores.

    `spans` are those that it has taken. With `events_only` it serves no traces, as servers of version 4 may.
    """

    def __init__(self, mode: Mode = "ok", version: str = VERSION) -> None:
        self.mode: Mode = mode
        self.then: Mode | None = None
        self.version = version
        self.asked: list[str] = []
        self.book = ScoreBook(version)
        self.spans: dict[str, Seen] = {}
        self.events_only = False
        self.retry_after: str | None = None
        self.url = ""
        self._runner: web.AppRunner | None = None
        self._stopping = asyncio.Event()

    @property
    def scores(self) -> dict[tuple[str, str, str], Score]:
        """The scores it has, by id, name and day."""
        return self.book.taken

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        """Listen; after a stop on the same port again."""
        self._stopping.clear()
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._answer)
        self._runner = web.AppRunner(app, shutdown_timeout=0)
        await self._runner.setup()
        port = int(self.url.rpartition(":")[2]) if self.url else 0
        await web.TCPSite(self._runner, "127.0.0.1", port, reuse_address=True).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"

    async def stop(self) -> None:
        """Refuse connections from now on."""
        self._stopping.set()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _answer(self, request: web.Request) -> web.Response:
        self.asked.append(request.path)
        headers = {"Retry-After": self.retry_after} if self.retry_after else {}
        match self.mode:
            case "hang":
                await self._stopping.wait()
            case "page":
                return web.Response(text="<html>It works!</html>", content_type="text/html")
            case "json":
                return web.json_response({"hello": "world"})
            case "moved":
                return web.Response(status=301, headers={"Location": "https://langfuse.example.com/"})
        if request.path == "/api/public/health":
            return web.json_response({"status": "OK", "version": self.version})
        if self.mode in ("401", "429", "500"):
            return web.json_response({"message": "Not now."}, status=int(self.mode), headers=headers)
        if request.headers.get("Authorization") != _KEYS:
            return web.json_response({"message": "Invalid credentials"}, status=401)
        match request.method, request.path:
            case "GET", "/api/public/projects":
                return self._projects()
            case "POST", "/api/public/scores":
                status, answer = self.book.post(await request.json())
                self.mode = self.then or self.mode
                return web.json_response(answer, status=status)
            case "POST", "/api/public/otel/v1/traces":
                # The body was unpacked on its way here.
                self.spans |= {span.span_id: span for span in all_seen(await request.read())}
                return web.Response(content_type="application/x-protobuf")
            case "GET", "/api/public/v2/observations":
                return web.json_response(observations(self.spans.values(), request.query))
            case "GET", "/api/public/v3/scores":
                return web.json_response(scores(self.scores.values(), request.query))
            case "GET", path if path.startswith("/api/public/traces/") and not self.events_only:
                if (found := trace(self.spans.values(), request.path.rpartition("/")[2])) is not None:
                    return web.json_response(found)
        missing = "This endpoint is not available in events_only mode" if self.events_only else "Not found"
        return web.json_response({"message": missing}, status=404)

    def _projects(self) -> web.Response:
        project = {
            "id": "project-1",
            "name": "Research",
            "organization": {"id": "organization-1", "name": "Us"},
            "metadata": {},
        }
        return web.json_response({"data": [] if self.mode == "no_project" else [project]})


def settings_for(url: str, options: Mapping[str, object] | None = None) -> Settings:
    """Settings with the keys of the server at this address, and nothing of this process's environment."""
    return from_environment(None, options, variables(url))


def variables(url: str) -> dict[str, str]:
    """The environment that names the server at this address and its keys."""
    return {
        "LANGFUSE_PUBLIC_KEY": PUBLIC_KEY,
        "LANGFUSE_SECRET_KEY": SECRET_KEY,
        "LANGFUSE_BASE_URL": url,
    }
