"""A small web server on loopback, in a process of its own: good pages, bad ones and redirects.

By hand: `python -m tests.toolsets.pages`.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web

from tests.corpus.documents import pdf
from tests.kit.processes import clean_env

ROOT = Path(__file__).resolve().parents[2]

TIDES = """<!doctype html><html><head><title>On tides</title><script>nothing()</script></head>
<body><h1>Tides</h1><p>The tide turns twice a day.</p>{rest}<!-- {number} --></body></html>"""

_asked: dict[str, int] = {}


@dataclass(frozen=True)
class Pages:
    """Where the server listens."""

    base_url: str

    def url(self, path: str) -> str:
        """Give the address of a page."""
        return f"{self.base_url}/{path}"

    def asked(self, path: str) -> int:
        """How often a page was asked for."""
        with urllib.request.urlopen(self.url(f"asked/{path}")) as answer:
            return int(answer.read())


@contextlib.contextmanager
def serving() -> Iterator[Pages]:
    """Run the server in a process that ends with the block."""
    with tempfile.TemporaryDirectory() as home:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.toolsets.pages"],
            cwd=ROOT,
            env=clean_env(Path(home), "http://127.0.0.1:9"),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            assert process.stdout is not None
            base_url = process.stdout.readline().strip()
            assert base_url, "the web server did not start; its error is on stderr"
            yield Pages(base_url)
        finally:
            process.kill()
            process.communicate()


async def _answer(request: web.Request) -> web.StreamResponse:
    path = request.path.removeprefix("/")
    number = _asked[path] = _asked.get(path, 0) + 1
    match path.split("/"):
        case ["asked", *about]:
            return web.Response(text=str(_asked.get("/".join(about), 0)))
        case ["tides"]:
            return web.Response(text=TIDES.format(rest="", number=number), content_type="text/html")
        case ["long"]:
            rest = "".join(f"<p>Paragraph {n} of many.</p>" for n in range(500))
            return web.Response(text=TIDES.format(rest=rest, number=number), content_type="text/html")
        case ["latin"]:
            body = "Ebbe für Fähren".encode("latin-1")
            return web.Response(body=body, content_type="text/plain", charset="iso-8859-1")
        case ["almanac"]:
            return web.Response(
                body=pdf(["High water is at noon."], title="Almanac"), content_type="application/pdf"
            )
        case ["notes.md"]:
            return web.Response(text="# Notes\n\nRopes.\n")
        case ["data"]:
            return web.json_response({"high": "noon"})
        case ["unnamed"]:
            body = b"<!doctype html><head><title>Unnamed</title></head><p>Sails.</p>"
            return web.Response(body=body, content_type="application/octet-stream")
        case ["chart.png"]:
            return web.Response(body=b"\x89PNG\r\n", content_type="image/png")
        case ["empty"]:
            return web.Response(text="<script>draw()</script>", content_type="text/html")
        case ["broken.pdf"]:
            return web.Response(body=b"%PDF-1.7 nothing", content_type="application/pdf")
        case ["large"]:
            return web.Response(body=b"x" * 200_000)
        case ["bomb"]:
            response = web.Response(body=b"x" * 200_000, content_type="text/plain")
            response.enable_compression(web.ContentCoding.gzip)
            return response
        case ["endless"]:
            return await _endless(request)
        case ["slow"]:
            await asyncio.sleep(60)
            return web.Response()
        case ["status", code]:
            return web.Response(status=int(code), text="No.")
        case ["busy"]:
            return web.Response(status=200 if number > 2 else 503, text="At last.")
        case ["hangup"]:
            assert request.transport is not None
            request.transport.close()
            return web.Response()
        case ["hop", left]:
            further = "/tides" if left == "0" else f"/hop/{int(left) - 1}"
            return web.Response(status=302, headers={"Location": further})
        case ["to"]:
            return web.Response(status=307, headers={"Location": request.query["url"]})
        case _:
            return web.Response(status=404, text="No such page.")


async def _endless(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    with contextlib.suppress(ConnectionResetError):
        while True:
            await response.write(b"x" * 65536)
    return response


async def main() -> None:
    """Serve until the process that started this one ends."""
    app = web.Application()
    app.router.add_get("/{tail:.*}", _answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    print(f"http://{host}:{port}", flush=True)
    parent = os.getppid()
    while os.getppid() == parent:  # noqa: ASYNC110  (nothing tells of a parent's end)
        await asyncio.sleep(0.2)


if __name__ == "__main__":
    asyncio.run(main())
