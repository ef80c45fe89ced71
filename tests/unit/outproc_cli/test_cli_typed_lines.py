"""Standard input as lines, from pipes and files, and that its reader ends."""

from __future__ import annotations

import asyncio
import os
import threading
from pathlib import Path

from outproc.cli.typed_lines import AHEAD, MAX_LINE, TypedLines


async def lines_of(data: bytes, folder: Path) -> list[str]:
    file = folder / "lines"
    file.write_bytes(data)
    with file.open("rb") as opened:
        async with TypedLines(opened.fileno()) as lines:
            return [line async for line in lines]


async def test_lines_of_a_file_also_the_last_and_the_odd_ones(tmp_path: Path) -> None:
    assert await lines_of(b"", tmp_path) == []
    assert await lines_of(b"one\r\n\ntwo\nthree", tmp_path) == ["one", "", "two", "three"]
    assert await lines_of("f\u00fcr\n\xff".encode("latin-1"), tmp_path) == [
        "f\N{REPLACEMENT CHARACTER}r",
        "\N{REPLACEMENT CHARACTER}",
    ]
    long = await lines_of(b"x" * (3 * MAX_LINE + 7), tmp_path)
    assert "".join(long) == "x" * (3 * MAX_LINE + 7)
    assert all(len(each) <= 2 * MAX_LINE for each in long)
    for letters in ("x\u00e9", "\u20ac", "xx\U0001f600"):
        long = await lines_of((letters * MAX_LINE).encode(), tmp_path)
        assert "".join(long) == letters * MAX_LINE, "no character is cut in two"
    many = await lines_of(b"".join(b"%d\n" % number for number in range(5000)), tmp_path)
    assert many == [str(number) for number in range(5000)]


async def test_a_pipe_is_read_as_it_comes_and_no_further_ahead_than_allowed() -> None:
    out, into = os.pipe()
    try:
        async with TypedLines(out) as lines:
            os.write(into, b"one\ntw")
            assert await anext(lines) == "one"
            os.write(into, b"o\n" + b"x\n" * (3 * AHEAD))
            assert await anext(lines) == "two"
            assert os.get_blocking(out), "whoever shares the pipe would be surprised"
            await asyncio.sleep(0)
        # Left in the middle, with a full thread: it is gone all the same.
        assert not [each for each in threading.enumerate() if "typed lines" in each.name]
    finally:
        os.close(out)
        os.close(into)


async def test_one_that_waits_for_input_ends_when_it_is_left() -> None:
    out, into = os.pipe()
    try:
        async with TypedLines(out):
            await asyncio.sleep(0)
        assert not [each for each in threading.enumerate() if "typed lines" in each.name]
    finally:
        os.close(out)
        os.close(into)
