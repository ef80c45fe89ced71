"""Sealed frames: what opens, what does not, and which wires are sealed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from litz.errors import ProtocolError, UnauthenticatedError
from outproc.security import (
    Authenticator,
    NoAuthenticator,
    Role,
    SealKeys,
    SealNeed,
    SealPolicy,
    SharedKeyAuthenticator,
    seal_need,
)
from outproc.security.sealing import OVERHEAD, Exchange, Opener, Sealer
from outproc.wires.memory import MemoryWire

KEY = bytes(range(32))
THERE = SealKeys(send=b"a" * 32, receive=b"b" * 32)
BACK = SealKeys(send=b"b" * 32, receive=b"a" * 32)
SHARED = SharedKeyAuthenticator(b"0123456789abcdef")


# -- sealer and opener --------------------------------------------------------------------------------


@given(st.lists(st.lists(st.binary(max_size=40), min_size=1, max_size=4), max_size=12))
def test_what_was_sealed_opens_in_order(frames: list[list[bytes]]) -> None:
    sealer, opener = Sealer(KEY, rekey_after=5), Opener(KEY, rekey_after=5)
    for buffers in frames:
        sealed = sealer.seal(buffers)
        assert len(sealed) == sum(map(len, buffers)) + OVERHEAD
        assert opener.open(sealed) == b"".join(buffers)


def test_buffers_of_every_kind_are_sealed() -> None:
    frame = Sealer(KEY).seal([b"ab", bytearray(b"cd"), memoryview(b"ef")])
    assert Opener(KEY).open(frame) == b"abcdef"
    assert Opener(KEY).open(Sealer(KEY).seal([memoryview(b"ef")])) == b"ef"


def test_equal_frames_look_different() -> None:
    sealer = Sealer(KEY)
    assert sealer.seal([b"x"]) != sealer.seal([b"x"])


@pytest.mark.parametrize("at", [0, 1, 5, 10, 20])
def test_a_changed_frame_does_not_open(at: int) -> None:
    frame = bytearray(Sealer(KEY).seal([b"hello"]))
    frame[at] ^= 1
    with pytest.raises(ProtocolError, match="changed, replayed, lost or reordered"):
        Opener(KEY).open(bytes(frame))


@pytest.mark.parametrize("size", range(OVERHEAD + 1))
def test_a_cut_frame_does_not_open(size: int) -> None:
    with pytest.raises(ProtocolError):
        Opener(KEY).open(Sealer(KEY).seal([b"hello"])[:size])


def test_replayed_reordered_and_missing_frames_do_not_open() -> None:
    sealer = Sealer(KEY)
    first, second, third = (sealer.seal([b"same"]) for _ in range(3))
    for order in ([first, first], [second], [first, third], [first, second, first]):
        opener = Opener(KEY)
        with pytest.raises(ProtocolError):
            for frame in order:
                opener.open(frame)


def test_a_frame_sent_back_does_not_open() -> None:
    with pytest.raises(ProtocolError):
        Opener(THERE.receive).open(Sealer(THERE.send).seal([b"x"]))


def test_the_key_changes_at_the_same_frame_on_both_sides() -> None:
    sealer, opener = Sealer(KEY, rekey_after=2), Opener(KEY, rekey_after=2)
    frames = [sealer.seal([b"x"]) for _ in range(6)]
    assert [opener.open(frame) for frame in frames] == [b"x"] * 6
    assert len(set(frames)) == 6
    unchanging = Opener(KEY)
    unchanging.open(frames[0])
    unchanging.open(frames[1])
    with pytest.raises(ProtocolError):
        unchanging.open(frames[2])


def test_nothing_secret_is_shown() -> None:
    shown = repr((Sealer(KEY), Opener(KEY), SealKeys(KEY, KEY)))
    assert repr(KEY)[2:20] not in shown
    assert KEY.hex() not in shown


# -- the exchange -------------------------------------------------------------------------------------


def test_both_sides_get_the_same_keys_crossed_and_only_with_the_same_transcript() -> None:
    dialler, acceptor = Exchange(lambda n: b"d" * n), Exchange(lambda n: b"a" * n)
    there = dialler.keys(acceptor.public, b"t" * 32, Role.DIALLER)
    back = acceptor.keys(dialler.public, b"t" * 32, Role.ACCEPTOR)
    assert (there.send, there.receive) == (back.receive, back.send)
    assert there.send != there.receive
    other = acceptor.keys(dialler.public, b"u" * 32, Role.ACCEPTOR)
    assert not {other.send, other.receive} & {there.send, there.receive}


def test_a_key_without_contribution_is_refused() -> None:
    with pytest.raises(ProtocolError, match="not usable"):
        Exchange(lambda n: b"d" * n).keys(bytes(32), b"t" * 32, Role.DIALLER)


# -- whether to seal ----------------------------------------------------------------------------------


class FakeWire(MemoryWire):
    """A wire of which only its properties matter."""

    def __init__(self, *, secure: bool, ordered: bool = True, reliable: bool = True) -> None:
        self.kind = "fake"
        self.secure, self.ordered, self.reliable = secure, ordered, reliable

    def __repr__(self) -> str:
        return "<fake wire>"


@pytest.mark.parametrize(
    ("authenticator", "secure", "policy", "need"),
    [
        (SHARED, False, "auto", SealNeed.REQUIRE),
        (SHARED, True, "auto", SealNeed.OFFER),
        (SHARED, True, "always", SealNeed.REQUIRE),
        (SHARED, False, "never", SealNeed.NEVER),
        (None, False, "auto", SealNeed.NEVER),
        (NoAuthenticator(), False, "auto", SealNeed.NEVER),
        (None, True, "never", SealNeed.NEVER),
    ],
)
def test_the_policy(authenticator: Authenticator | None, secure: bool, policy: SealPolicy, need: SealNeed) -> None:
    wire = FakeWire(secure=secure)
    assert seal_need(wire, authenticator, policy) is need


def test_always_needs_an_authenticator() -> None:
    with pytest.raises(ValueError, match="sealing needs an authenticator; give one"):
        seal_need(FakeWire(secure=True), None, "always")


@pytest.mark.parametrize(("ordered", "reliable"), [(False, True), (True, False)])
def test_a_wire_that_cannot_be_sealed(ordered: bool, reliable: bool) -> None:
    with pytest.raises(UnauthenticatedError, match="use a protected kind of wire"):
        seal_need(FakeWire(secure=False, ordered=ordered, reliable=reliable), SHARED)
    protected = FakeWire(secure=True, ordered=ordered, reliable=reliable)
    assert seal_need(protected, SHARED) is SealNeed.NEVER
