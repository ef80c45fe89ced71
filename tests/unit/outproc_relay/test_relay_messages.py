"""What nodes and hubs say to each other is read back as it was written, and anything else is refused.

Covers `outproc.wires.relay.messages`.
"""

from __future__ import annotations

import contextlib
from random import Random

import pytest

from litz.errors import ProtocolError
from outproc.wires.relay.messages import (
    MAX_FRAME,
    Accept,
    Close,
    CloseCode,
    Data,
    Message,
    Open,
    Refuse,
    RefuseCode,
    Window,
    decode,
    encode_accept,
    encode_close,
    encode_data,
    encode_open,
    encode_refuse,
    encode_window,
)

SAID: list[tuple[bytes, str, Message]] = [
    (encode_open(7, 300, "bob"), "0100000007000000 2c01000000000000 626f62", Open(7, 300, "bob")),
    (encode_accept(1 << 31, 5), "0200000000000080 0500000000000000", Accept(1 << 31, 5)),
    (encode_refuse(7, RefuseCode.BUSY, "full"), "0302000007000000 66756c6c", Refuse(7, RefuseCode.BUSY, "full")),
    (b"".join(encode_data(7, [b"fra", b"me"])), "0400000007000000 6672616d65", Data(7, memoryview(b"frame"))),
    (encode_close(7, CloseCode.FAR_ENDED, "gone"), "0502000007000000 676f6e65", Close(7, CloseCode.FAR_ENDED, "gone")),
    (encode_window(7, 1 << 40), "0600000007000000 0000000000010000", Window(7, 1 << 40)),
]


@pytest.mark.parametrize(("written", "text", "meant"), SAID, ids=lambda each: type(each).__name__)
def test_each_is_these_bytes_and_comes_back(written: bytes, text: str, meant: Message) -> None:
    assert written == bytes.fromhex(text)
    assert decode(memoryview(written)) == meant


@pytest.mark.parametrize(
    "bad",
    [
        "",
        "01000000070000",
        "0100010007000000 2c01000000000000 626f62",  # reserved
        "0101000007000000 2c01000000000000 626f62",  # a code where there is none
        "0100000007000000 2c01000000000000",  # no name
        "0100000007000000 2c01000000000000 6120",  # a space in it
        "0100000007000000 2c01000000000000 ff",
        "0100000007000000 2c010000000000",
        "0200000007000000 050000000000000000",  # one byte left over
        "0600000007000000 0000000000000080",  # 2^63
        "0300000007000000",  # code 0
        "0309000007000000",
        "0509000007000000",
        "0500000007000000 ff",
        "0400000007000000",  # an empty frame
        "0000000007000000",
        "0700000007000000",
    ],
)
def test_anything_else_is_refused(bad: str) -> None:
    with pytest.raises(ProtocolError):
        decode(memoryview(bytes.fromhex(bad)))


def test_long_things_are_cut_or_refused() -> None:
    assert len(encode_close(1, CloseCode.DONE, "ü" * 400)) == 8 + 254
    decode(memoryview(encode_close(1, CloseCode.DONE, "ü" * 400)))
    with pytest.raises(ProtocolError):
        decode(memoryview(encode_close(1, CloseCode.DONE)[:8] + b"x" * 256))
    with pytest.raises(ProtocolError):
        decode(memoryview(b"".join(encode_data(1, [bytes(MAX_FRAME + 1)]))))
    assert decode(memoryview(b"".join(encode_data(1, [bytes(MAX_FRAME)])))) == Data(1, memoryview(bytes(MAX_FRAME)))


def test_a_hostile_text_is_shown_harmlessly() -> None:
    close = decode(memoryview(encode_close(1, CloseCode.DONE, "\x1b[31mred")))
    assert isinstance(close, Close) and close.text.isprintable()


def test_noise_is_refused_or_read_but_never_an_accident() -> None:
    rng = Random(3)
    for _ in range(5_000):
        written = bytearray(rng.choice(SAID)[0])
        for _ in range(rng.randint(1, 3)):
            written[rng.randrange(len(written))] = rng.randrange(256)
        with contextlib.suppress(ProtocolError):
            decode(memoryview(bytes(written[: rng.randint(0, len(written))])))
