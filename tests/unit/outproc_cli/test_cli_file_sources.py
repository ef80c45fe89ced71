"""What FILE and --name mean, and what is read of it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from outproc.cli.file_records import CHUNK_SIZE, Header
from outproc.cli.file_sources import FileSource, Source, source_of
from outproc.cli.outcome import UsageError


async def content(source: Source) -> list[int]:
    try:
        return [len(chunk) async for chunk in source.chunks()]
    finally:
        source.close()


async def test_a_file_is_read_in_chunks_from_where_it_stands(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes(CHUNK_SIZE + 5))
    source = source_of(str(path), None)
    assert (source.name, source.size) == ("file", CHUNK_SIZE + 5)
    assert await content(source) == [CHUNK_SIZE, 5]
    with path.open("rb") as file:
        file.seek(CHUNK_SIZE)
        source = FileSource(file, "rest")
        assert source.size == 5
        assert await content(source) == [5]


async def test_a_device_that_has_nothing_to_wait_for_is_read_to_its_end() -> None:
    """`litz send - </dev/null`, as under cron: libuv aborted the process, because no poll takes that device."""
    source = FileSource(os.fdopen(os.open(os.devnull, os.O_RDONLY), "rb"), "stdin")
    assert source.size is None
    assert await content(source) == []


def test_a_named_pipe_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UsageError, match="pipe it into: litz send -"):
        source_of(str(tmp_path / "pipe"), None)


@pytest.mark.parametrize("given", ["of the file", "by --name"])
def test_a_name_that_is_no_utf8_can_be_told(given: str, tmp_path: Path) -> None:
    odd = os.fsdecode(b"b\xff.bin")
    path = tmp_path / (odd if given == "of the file" else "file")
    path.write_bytes(b"")
    source = source_of(str(path), odd if given == "by --name" else None)
    source.close()
    assert Header.model_validate_json(Header(name=source.name).model_dump_json()).name == "b\ufffd.bin"


def test_a_name_that_is_too_long_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(UsageError, match="at most 4096"):
        source_of(str(tmp_path / "file"), "x" * 4097)
