"""One GiB crosses while its wire is cut every second, in bounded memory at both ends."""

from __future__ import annotations

import asyncio
from hashlib import file_digest
from pathlib import Path
from random import Random

import pytest

from tests.integration.cli_process import Litz
from tests.prove.fault_proxy import FaultProxy

SIZE = 1 << 30
MOST_MEMORY = 160 << 20
"""Bytes resident at the peak. The interpreter and its libraries take about 60 MiB; a log holds 4, a window 16."""


def make_file(path: Path) -> str:
    """Holes with random content between them, so that no two places are alike and the disk holds little."""
    rng = Random(1)
    with path.open("w+b") as file:
        for offset in range(0, SIZE, 8 << 20):
            file.seek(offset + rng.randrange(1 << 20))
            file.write(rng.randbytes(64 << 10))
        file.truncate(SIZE)
        file.seek(0)
        return file_digest(file, "sha256").hexdigest()


def peak(pid: int) -> int:
    """Highest resident memory so far, in bytes; 0 when the process is gone."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) << 10 for line in lines if line.startswith("VmHWM")), 0)


@pytest.mark.prove
@pytest.mark.limit(1800)
async def test_a_gibibyte_while_its_wire_is_cut_every_second(tmp_path: Path) -> None:
    incoming = tmp_path / "incoming"
    incoming.mkdir()
    digest = await asyncio.to_thread(make_file, tmp_path / "big")
    with Litz(tmp_path, "recv", "--listen", "ws://127.0.0.1:0", "--dir", incoming) as recv:
        port = int((await asyncio.to_thread(recv.hear, r"--to ws://127\.0\.0\.1:(\d+)"))[1])
        async with FaultProxy("127.0.0.1", port, seed=1) as proxy:
            with Litz(tmp_path, "send", "big", "recv", "--to", f"ws://127.0.0.1:{proxy.port}") as send:
                peaks = {"send": 0, "recv": 0}
                began = asyncio.get_running_loop().time()
                next_cut = began + 1
                while send.process.poll() is None:
                    await asyncio.sleep(0.1)
                    for name, process in (("send", send.process), ("recv", recv.process)):
                        peaks[name] = max(peaks[name], peak(process.pid))
                    if asyncio.get_running_loop().time() >= next_cut:
                        next_cut += 1
                        for link in list(proxy.links.values()):
                            proxy.reset(link)
                seconds = asyncio.get_running_loop().time() - began
                assert send.wait() == 0, send.text
            assert recv.wait() == 0, recv.text
            cuts = proxy.counts["reset"]
    print(f"1 GiB in {seconds:.1f} s, {cuts} cuts, peaks { ({name: size >> 20 for name, size in peaks.items()}) } MiB")
    assert digest in send.text
    with (incoming / "big").open("rb") as file:
        assert file_digest(file, "sha256").hexdigest() == digest
    assert cuts >= 5
    assert max(peaks.values()) < MOST_MEMORY, peaks
    (incoming / "big").unlink()
