"""A headless Chromium that tests drive by its DevTools protocol (https://chromedevtools.github.io/devtools-protocol/)."""

from __future__ import annotations

import asyncio
import base64
import json
import shutil
import tempfile
from asyncio.subprocess import DEVNULL, Process
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import aiohttp

from tests.prove.lab.tools import need

_FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-default-apps",
    "--disable-background-timer-throttling",
    "--disable-renderer-backgrounding",
    "--disable-backgrounding-occluded-windows",
    "--remote-debugging-port=0",
)
PATIENCE = 120.0


def chromium_path() -> str:
    """Where Chromium is; ends the test where there is none and none can be installed."""
    return shutil.which("chromium-browser") or shutil.which("google-chrome") or need("chromium", "chromium")


class JavaScriptError(Exception):
    """What was evaluated threw."""


class Page:
    """One tab. `errors` are uncaught exceptions and errors on its console."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._calls: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._number = 0
        self._reader = asyncio.create_task(self._read())
        self.loaded = asyncio.Event()
        self.errors: list[str] = []
        self.on_report: Callable[[str], None] = self.errors.append
        """Called with what the page says by the binding `report` (Runtime.addBinding)."""

    async def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """One command of the DevTools protocol."""
        self._number += 1
        answer = self._calls[self._number] = asyncio.get_running_loop().create_future()
        await self._socket.send_str(json.dumps({"id": self._number, "method": method, "params": parameters}))
        async with asyncio.timeout(PATIENCE * 2):
            said = await answer
        if "error" in said:
            raise JavaScriptError(f"{method}: {said['error']}")
        result: dict[str, Any] = said["result"]
        return result

    async def _read(self) -> None:
        async for message in self._socket:
            said = json.loads(message.data)
            if "id" in said:
                self._calls.pop(said["id"]).set_result(said)
            elif said["method"] == "Page.loadEventFired":
                self.loaded.set()
            elif said["method"] == "Runtime.bindingCalled":
                self.on_report(said["params"]["payload"])
            elif said["method"] == "Runtime.exceptionThrown":
                self.errors.append(str(said["params"]["exceptionDetails"]))
            elif said["method"] == "Log.entryAdded" and said["params"]["entry"]["level"] == "error":
                self.errors.append(str(said["params"]["entry"]))
        for call in self._calls.values():
            call.set_exception(JavaScriptError("the tab is gone"))
            call.exception()

    async def go(self, url: str) -> None:
        """Load a page."""
        self.loaded.clear()
        await self.call("Page.navigate", url=url)
        async with asyncio.timeout(PATIENCE):
            await self.loaded.wait()

    async def reload(self) -> None:
        """As a person does."""
        self.loaded.clear()
        await self.call("Page.reload")
        async with asyncio.timeout(PATIENCE):
            await self.loaded.wait()

    async def evaluate(self, expression: str) -> Any:
        """The value of a JavaScript expression, awaited if it is a promise. Raises `JavaScriptError`."""
        said = await self.call("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in said:
            raise JavaScriptError(str(said["exceptionDetails"]))
        return said["result"].get("value")

    async def until(self, condition: str, what: str, patience: float = PATIENCE) -> None:
        """Wait until a JavaScript expression is true."""
        end = asyncio.get_running_loop().time() + patience
        while not await self.evaluate(f"Boolean({condition})"):
            assert asyncio.get_running_loop().time() < end, f"waited in vain for: {what}"
            await asyncio.sleep(0.05)

    async def size(self, width: int, height: int) -> None:
        """The size of the window in CSS pixels."""
        await self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600
        )

    async def screenshot(self) -> bytes:
        """All of the page as PNG."""
        said = await self.call("Page.captureScreenshot", format="png", captureBeyondViewport=True)
        return base64.b64decode(said["data"])

    async def close(self) -> None:
        await self._socket.close()
        await self._reader


class Browser:
    """A running Chromium."""

    def __init__(self, port: int, http: aiohttp.ClientSession) -> None:
        self._base = f"http://127.0.0.1:{port}"
        self._http = http
        self._pages: list[Page] = []

    async def open(self, url: str, *, before: str = "") -> Page:
        """Open a page in a new tab; `before` is JavaScript that runs first in every document of it."""
        async with self._http.put(f"{self._base}/json/new?about:blank") as answer:
            target = json.loads(await answer.text())
        page = Page(await self._http.ws_connect(target["webSocketDebuggerUrl"], max_msg_size=0))
        self._pages.append(page)
        for domain in ("Page", "Runtime", "Log", "Network"):
            await page.call(f"{domain}.enable")
        if before:
            await page.call("Page.addScriptToEvaluateOnNewDocument", source=before)
        await page.go(url)
        return page

    async def close(self) -> None:
        for page in self._pages:
            await page.close()


@asynccontextmanager
async def chromium(flags: Sequence[str] = ()) -> AsyncIterator[Browser]:
    """A Chromium with a profile of its own, which is gone at the end."""
    path = chromium_path()
    with tempfile.TemporaryDirectory(prefix="lz-chromium-", ignore_cleanup_errors=True) as profile:
        command = [path, *_FLAGS, f"--user-data-dir={profile}", *flags, "about:blank"]
        process = await asyncio.create_subprocess_exec(
            *command, stdin=DEVNULL, stdout=DEVNULL, stderr=DEVNULL, start_new_session=True
        )
        try:
            async with aiohttp.ClientSession() as http:
                browser = Browser(await _port(Path(profile) / "DevToolsActivePort", process), http)
                try:
                    yield browser
                finally:
                    await browser.close()
        finally:
            with suppress(ProcessLookupError):
                process.terminate()
            try:
                async with asyncio.timeout(10):
                    await process.wait()
            except TimeoutError:
                process.kill()
                await process.wait()


async def _port(file: Path, process: Process) -> int:
    end = asyncio.get_running_loop().time() + PATIENCE
    while asyncio.get_running_loop().time() < end:
        assert process.returncode is None, f"Chromium ended with {process.returncode}"
        port = _read_port(file)
        if port is not None:
            return port
        await asyncio.sleep(0.05)
    raise AssertionError("Chromium did not begin to listen")


def _read_port(file: Path) -> int | None:
    text = file.read_text().split() if file.exists() else []
    return int(text[0]) if text else None
