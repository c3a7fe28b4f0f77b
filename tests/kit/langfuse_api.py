"""A Langfuse on loopback: its health, the project of its keys, and scores, which it remembers as it does.

    async with LangfuseApi() as api:
        settings = settings_for(api.url)
        ...
        api.mode = "500"           # what it answers from now on
        assert [score["value"] for score in api.scores.values()] == ["good"]

The forms of requests and answers are those of Langfuse's own client, version 5.
"""

from __future__ import annotations

import asyncio
from base64 import b64encode
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Literal, Self

from aiohttp import web

from harness.settings import Settings, from_environment

PUBLIC_KEY, SECRET_KEY = "pk-lf-test", "sk-lf-test-secret"

Mode = Literal["ok", "401", "429", "500", "hang", "page", "json", "moved", "no_project"]

_KEYS = "Basic " + b64encode(f"{PUBLIC_KEY}:{SECRET_KEY}".encode()).decode()


class LangfuseApi:
    """The server. `asked` are the paths in the order of the requests.

    `rejects` and `refuses` are names of scores: rejected within an accepted batch, or with a 400.
    """

    def __init__(self, mode: Mode = "ok") -> None:
        self.mode: Mode = mode
        self.asked: list[str] = []
        self.scores: dict[tuple[str, str, str], dict[str, Any]] = {}
        self.rejects: set[str] = set()
        self.refuses: set[str] = set()
        self.retry_after: str | None = None
        self.url = ""
        self._runner: web.AppRunner | None = None
        self._stopping = asyncio.Event()

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
            return web.json_response({"status": "OK", "version": "4.1.0"})
        if self.mode in ("401", "429", "500"):
            return web.json_response({"message": "Not now."}, status=int(self.mode), headers=headers)
        if request.headers.get("Authorization") != _KEYS:
            return web.json_response({"message": "Invalid credentials"}, status=401)
        match request.method, request.path:
            case "GET", "/api/public/projects":
                return self._projects()
            case "POST", "/api/public/scores":
                return self._take(await request.json())
        return web.json_response({"message": "Not found"}, status=404)

    def _projects(self) -> web.Response:
        project = {
            "id": "project-1",
            "name": "Research",
            "organization": {"id": "organization-1", "name": "Us"},
            "metadata": {},
        }
        return web.json_response({"data": [] if self.mode == "no_project" else [project]})

    def _take(self, batch: list[dict[str, Any]]) -> web.Response:
        if self.refuses & {score["name"] for score in batch}:
            return web.json_response({"message": "Invalid request data"}, status=400)
        taken = [score for score in batch if score["name"] not in self.rejects]
        for score in taken:
            assert _sound(score), score
            # A score is known by its id, its name and its day; one that has these takes the other's place.
            self.scores[score["id"], score["name"], score["timestamp"][:10]] = score
        if rejected := len(batch) - len(taken):
            errors = [{"message": f"Bad score {n}"} for n in range(rejected)]
            said = {"accepted": len(taken), "rejected": rejected, "errors": errors}
            return web.json_response(said, status=207)
        return web.json_response({"message": "Accepted"}, status=202)


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


def _sound(score: dict[str, Any]) -> bool:
    fits = {"NUMERIC": (int, float), "CATEGORICAL": (str,)}[score["dataType"]]
    return isinstance(score["value"], fits) and len(score["traceId"]) == 32
