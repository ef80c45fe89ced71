"""The records of a file transfer, read back, and everything else refused.

Also of `outproc.cli.incoming_file`, which writes them to the disk.
"""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outproc.cli.file_records import (
    Header,
    Kind,
    RecordError,
    Trailer,
    chunk_record,
    is_record,
    read_body,
    read_chunk,
    read_record,
    record,
)
from outproc.cli.incoming_file import IncomingFile, TransferError

ID = bytes(range(16))


def test_records_come_back() -> None:
    found = read_record(record(Kind.HEADER, ID, Header(name="a", size=None)))
    assert (found.kind, found.transfer, read_body(Header, found.body)) == (Kind.HEADER, ID, Header(name="a"))
    found = read_record(b"".join(chunk_record(ID, 1 << 40, b"data")))
    assert [*map(bytes, read_chunk(found.body)[1:])] == [b"data"]
    assert read_chunk(found.body)[0] == 1 << 40
    assert is_record(record(Kind.VERDICT, ID))
    assert not is_record(b"hello")


@pytest.mark.parametrize("data", [b"", b"LZF1", b"LZF1\x09" + ID, b"XXXX\x01" + ID])
def test_what_is_no_record_is_refused(data: bytes) -> None:
    with pytest.raises(RecordError):
        read_record(data)


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"[]",
        b'{"size": 1}',
        b'{"size": -1, "sha256": "' + b"0" * 64 + b'"}',
        b'{"size": "1", "sha256": "' + b"0" * 64 + b'"}',
        b'{"size": 1, "sha256": "' + b"G" * 64 + b'"}',
        b'{"size": 1, "sha256": "' + b"0" * 64 + b'\\n"}',
        b'{"size": 99999999999999999999, "sha256": "' + b"0" * 64 + b'"}',
    ],
)
def test_bad_trailers_are_refused(text: bytes) -> None:
    with pytest.raises(RecordError):
        read_body(Trailer, text)


@given(st.binary(max_size=200))
def test_no_bytes_do_more_than_a_record_error(data: bytes) -> None:
    for attempt in (data, b"LZF1" + data):
        try:
            found = read_record(attempt)
            if found.kind is Kind.CHUNK:
                read_chunk(found.body)
            else:
                read_body(Trailer, found.body)
        except RecordError:
            continue


def receive(folder: Path, chunks: list[tuple[int, bytes]], *, size: int | None = None, name: str = "a") -> IncomingFile:
    file = IncomingFile(folder, ID, Header(name=name, size=size))
    file.open()
    for offset, data in chunks:
        file.write(offset, memoryview(data))
    return file


def trailer(content: bytes) -> Trailer:
    return Trailer(size=len(content), sha256=sha256(content).hexdigest())


def test_a_file_gets_its_name_at_the_end_and_is_numbered(tmp_path: Path) -> None:
    for name in ("a", "a (1)"):
        file = receive(tmp_path, [(0, b"one"), (3, b"two"), (3, b"two")], size=6)
        assert [path.name for path in tmp_path.glob(".litz*")] == [f".litz-{ID.hex()}.part"]
        assert not (tmp_path / name).exists()
        assert file.finish(trailer(b"onetwo"))[0] == tmp_path / name
        assert (tmp_path / name).read_bytes() == b"onetwo"
        file.discard()
    assert len(list(tmp_path.iterdir())) == 2


def test_without_hard_links_nothing_is_overwritten_either(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_self: Path, _target: Path) -> None:
        raise PermissionError(1, "no hard links here")

    monkeypatch.setattr(Path, "hardlink_to", refuse)
    (tmp_path / "a").write_bytes(b"old")
    assert receive(tmp_path, [(0, b"new")]).finish(trailer(b"new"))[0].name == "a (1)"
    assert ((tmp_path / "a").read_bytes(), (tmp_path / "a (1)").read_bytes()) == (b"old", b"new")
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize(
    ("chunks", "size"),
    [([(1, b"x")], None), ([(0, b"ab"), (1, b"bc")], None), ([(0, b"abc")], 2), ([(0, b"ab"), (3, b"d")], 4)],
)
def test_chunks_that_do_not_fit_are_refused(chunks: list[tuple[int, bytes]], size: int | None, tmp_path: Path) -> None:
    file = IncomingFile(tmp_path, ID, Header(name="a", size=size))
    file.open()
    with pytest.raises(TransferError):
        for offset, data in chunks:
            file.write(offset, memoryview(data))
    file.discard()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "wrong", [trailer(b"twoone"), Trailer(size=7, sha256=sha256(b"onetwo").hexdigest()), trailer(b"")]
)
def test_a_file_that_differs_never_gets_its_name(wrong: Trailer, tmp_path: Path) -> None:
    file = receive(tmp_path, [(0, b"onetwo")])
    with pytest.raises(TransferError):
        file.finish(wrong)
    file.discard()
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_does_not_fit_on_the_disk_is_refused_at_once(tmp_path: Path) -> None:
    with pytest.raises(TransferError, match="are free at the receiver"):
        IncomingFile(tmp_path, ID, Header(name="a", size=1 << 60)).open()
    assert list(tmp_path.iterdir()) == []


def test_who_fails_to_begin_does_not_remove_the_file_of_another(tmp_path: Path) -> None:
    """The ids of transfers are their senders' choice."""
    first = receive(tmp_path, [(0, b"one")])
    second = IncomingFile(tmp_path, ID, Header(name="b"))
    with pytest.raises(FileExistsError):
        second.open()
    second.discard()
    assert first.finish(trailer(b"one"))[0].read_bytes() == b"one"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_a_file_that_was_given_up_before_it_was_made_is_not_made(tmp_path: Path) -> None:
    file = IncomingFile(tmp_path, ID, Header(name="a"))
    file.discard()
    file.open()
    file.write(0, memoryview(b"late"))
    assert list(tmp_path.iterdir()) == []
