"""The page `/tab` of `litz up` in a real Chromium: messages, a file with its sha256 checked, wires cut and healed, and
nothing on it that its own policy forbids, at 360 and at 1,280 pixels."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from hashlib import sha256
from pathlib import Path

import pytest

from tests.browser.chromium import Page, chromium
from tests.integration.cli_process import environment

pytestmark = pytest.mark.prove

SIZE = 20 << 20
SNAPSHOT = "litz.snapshot().find((each) => each.dest === 'bob')"
DROP = """(() => {
  const bytes = new Uint8Array(%d).map((_, index) => (index * 31) >> 2);
  const transfer = new DataTransfer();
  transfer.items.add(new File([bytes], '../holiday pictures.tar'));
  dispatchEvent(new DragEvent('drop', { dataTransfer: transfer, cancelable: true }));
})()"""


@asynccontextmanager
async def litz_up(folder: Path) -> AsyncIterator[str]:
    """A node that takes files, and where its page is."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "outproc.cli", "up", "--id", "bob", "--listen", "ws://127.0.0.1:0"),
        *("--serve", "echo", "--serve", "recv", "--dir", str(folder)),
        stdin=DEVNULL,
        stderr=PIPE,
        env=environment(folder),
    )
    assert process.stderr is not None
    reading: asyncio.Task[bytes] | None = None
    try:
        async with asyncio.timeout(120):
            said = ""
            while not (found := re.search(r"for browsers: (\S+)", said)):
                line = await process.stderr.readline()
                assert line, said
                said += line.decode()
        reading = asyncio.create_task(process.stderr.read())
        yield found[1]
    finally:
        with suppress(ProcessLookupError):
            process.terminate()
        await process.wait()
        if reading is not None:
            await reading


async def text_of(page: Page, name: str) -> str:
    return str(await page.evaluate(f"document.getElementById('{name}').innerText"))


def hash_of_only(folder: Path, pattern: str) -> str:
    (path,) = folder.glob(pattern)
    return sha256(path.read_bytes()).hexdigest()


@pytest.mark.limit(600)
async def test_a_person_talks_sends_a_file_and_cuts_a_wire(tmp_path: Path) -> None:
    async with litz_up(tmp_path) as url, chromium() as browser:
        page = await browser.open(url)
        await page.until(f"{SNAPSHOT}?.state === 'connected'", "the wire")
        for width, height in ((360, 740), (1280, 800)):
            await page.size(width, height)
            assert await page.evaluate("document.documentElement.scrollWidth") <= width, "it scrolls sideways"
            picture = os.environ.get("LITZ_SCREENSHOTS")
            if picture:
                (Path(picture) / f"tab-{width}.png").write_bytes(await page.screenshot())

        await page.evaluate(
            "(document.getElementById('text').value = 'are you there?', document.getElementById('ask').click())"
        )
        await page.until("/bob answered\\s+are you there/.test(document.getElementById('log').innerText)", "the answer")
        await page.evaluate("(document.getElementById('text').value = 'good', document.getElementById('send').click())")
        await page.until("/number 1, processed/.test(document.getElementById('log').innerText)", "the confirmation")

        await page.evaluate(DROP % SIZE)
        shown: list[float] = []
        for _ in range(4):
            await asyncio.sleep(0.1)
            shown.append(float(await page.evaluate("document.querySelector('#transfers progress').value")))
            await page.evaluate("document.querySelector('#wires button').click()")
        await page.until("/sha256/.test(document.getElementById('transfers').innerText)", "the file", 240)
        assert shown == sorted(shown)
        await page.until("/healed in/.test(document.getElementById('events').innerText)", "the healing")
        expected = sha256(bytes((index * 31 >> 2) & 255 for index in range(SIZE))).hexdigest()
        assert expected in await text_of(page, "transfers")
        assert hash_of_only(tmp_path, "*.tar") == expected

        # A reload is a new life with the same id.
        before = await text_of(page, "id")
        await page.reload()
        await page.until(f"{SNAPSHOT}?.state === 'connected'", "the wire of the next life")
        assert await text_of(page, "id") == before
        assert page.errors == []
