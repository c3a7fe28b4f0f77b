"""A real, headless Chromium, driven over the WebDriver protocol.

    async with browser() as chromium:
        await chromium.open(file.as_uri())
        assert await chromium.run("return document.title") == "..."

It needs Debian's packages chromium and chromium-driver, or Chrome with its chromedriver, on the PATH.
"""

from __future__ import annotations

import asyncio
import base64
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

from tests.kit.processes import clean_env, kill, tree

_CHROMIUMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
_STARTED_S = 30.0


class BrowserMissing(AssertionError):
    """The tests of the page need a browser; without one they fail."""


class Browser:
    """One window. A command that the driver refuses is an AssertionError with what it said."""

    def __init__(self, http: aiohttp.ClientSession, url: str) -> None:
        self._http = http
        self._url = url

    async def open(self, address: str) -> None:
        """Load an address, from new, and wait until it is loaded."""
        await self._post("url", {"url": "about:blank"})
        await self._post("url", {"url": address})

    async def run(self, script: str, *args: Any) -> Any:
        """Run a function's body in the page and give what it returns; a promise is waited for."""
        return await self._post("execute/sync", {"script": script, "args": args})

    async def until(self, condition: str, what: str, timeout_s: float = 15.0) -> Any:
        """Wait until an expression is something true, and give it."""
        deadline = asyncio.get_running_loop().time() + timeout_s
        while not (value := await self.run(f"return {condition}")):
            if asyncio.get_running_loop().time() > deadline:
                raise AssertionError(f"Waited {timeout_s:g} s in vain: {what}.")
            await asyncio.sleep(0.05)
        return value

    async def press(self, *keys: str) -> None:
        """Press keys, one after the other, where the focus is; WebDriver's codes name special ones."""
        actions = [{"type": kind, "value": key} for key in keys for kind in ("keyDown", "keyUp")]
        await self._post("actions", {"actions": [{"type": "key", "id": "keys", "actions": actions}]})

    async def looks(self, *, scheme: str = "light", width: int = 1400, height: int = 900) -> None:
        """Choose the colour scheme and the size of the window."""
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        await self.devtools("Emulation.setEmulatedMedia", {"features": features})
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        await self.devtools("Emulation.setDeviceMetricsOverride", size)

    async def devtools(self, command: str, params: dict[str, Any]) -> Any:
        """Send a command of the DevTools protocol."""
        return await self._post("goog/cdp/execute", {"cmd": command, "params": params})

    async def problems(self) -> list[str]:
        """Give what the console has said of errors since it was asked last: of scripts, of the policy."""
        entries = await self._post("se/log", {"type": "browser"})
        return [entry["message"] for entry in entries if entry["level"] in ("SEVERE", "WARNING")]

    async def picture(self, file: Path) -> None:
        """Save what the window shows as a PNG."""
        async with self._http.get(f"{self._url}/screenshot") as answer:
            value = (await answer.json())["value"]
        await asyncio.to_thread(file.write_bytes, base64.b64decode(value))

    async def _post(self, command: str, body: dict[str, Any]) -> Any:
        return await _value(self._http, f"{self._url}/{command}", body)


@asynccontextmanager
async def browser() -> AsyncIterator[Browser]:
    """Start a browser with a profile of its own; it is ended and its profile removed afterwards.

    Raises:
        BrowserMissing: there is none on this machine.
    """
    driver, binary = shutil.which("chromedriver"), next(filter(None, map(shutil.which, _CHROMIUMS)), None)
    if driver is None or binary is None:
        raise BrowserMissing(
            "The page is tested in a real browser: install one with: apt install chromium chromium-driver"
        )
    with tempfile.TemporaryDirectory(prefix="harness-browser-", ignore_cleanup_errors=True) as folder:
        process = await asyncio.create_subprocess_exec(
            driver,
            "--port=0",
            env=clean_env(Path(folder), "http://127.0.0.1:9"),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
        try:
            async with asyncio.timeout(_STARTED_S):
                url = await _address(process)
            async with aiohttp.ClientSession() as http:
                options = {"binary": binary, "args": [*_FLAGS, f"--user-data-dir={folder}/profile"]}
                wanted = {"goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"}}
                opened = await _value(
                    http, f"{url}/session", {"capabilities": {"alwaysMatch": wanted}}, timeout_s=60
                )
                session = f"{url}/session/{opened['sessionId']}"
                try:
                    yield Browser(http, session)
                finally:
                    async with http.delete(session) as answer:
                        await answer.read()
        finally:
            kill(*tree(process.pid))
            process.kill()
            await process.wait()


async def _address(process: asyncio.subprocess.Process) -> str:
    """Read on which port of loopback the driver listens."""
    assert process.stdout is not None
    async for line in process.stdout:
        words = line.decode().split()
        if "successfully" in words:
            return f"http://127.0.0.1:{words[-1].rstrip('.')}"
    raise AssertionError("chromedriver has ended before it listened.")


async def _value(http: aiohttp.ClientSession, url: str, body: dict[str, Any], timeout_s: float = 60) -> Any:
    async with http.post(url, json=body, timeout=aiohttp.ClientTimeout(total=timeout_s)) as answer:
        value = (await answer.json())["value"]
        assert answer.status == 200, f"{url.rsplit('/', 1)[-1]}: {value['message']}"
        return value
