"""What bad peers do: each misdeed is one function of a `RawPeer`, and must cost it its wire."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from random import Random

from outproc.frames.records import (
    Ack,
    Batch,
    Credit,
    Fin,
    Lossy,
    Position,
)
from outproc.session.identity import Half
from tests.integration.outproc_raw_peer import TERMS, RawPeer, raw_node, raw_peer

Misdeed = Callable[[RawPeer], Awaitable[None]]


BIG = 1 << 62


# -- before the proof ------------------------------------------------------------------------------------


async def garbage(peer: RawPeer) -> None:
    await peer.send(Random(1).randbytes(5000))


async def text(peer: RawPeer) -> None:
    await peer.send("hello?")


async def empty(peer: RawPeer) -> None:
    await peer.send(b"")


async def huge_json(peer: RawPeer) -> None:
    await peer.send(b'{"type":"hello","x":"' + b"x" * 900_000 + b'"}')


async def deep_json(peer: RawPeer) -> None:
    await peer.send(b'{"type":' * 3000)


async def many_fields(peer: RawPeer) -> None:
    await peer.send(json.dumps({"type": "hello"} | {f"f{n}": n for n in range(900)}).encode())


async def hello_then_garbage(peer: RawPeer) -> None:
    await peer.send(peer.machine.hello())
    await peer.send(b"\x01\x02\x03")


async def hello_twice(peer: RawPeer) -> None:
    hello = peer.machine.hello()
    await peer.send(hello)
    await peer.send(hello)


async def join_before_hello(peer: RawPeer) -> None:
    await peer.prove()
    join = peer.machine.join(peer.session.mine, None, TERMS)
    async with raw_peer(f"ws://127.0.0.1:{peer.socket.remote_address[1]}", "b") as other:
        await other.send(join)
        await other.gone()
    await peer.send(b"{}")


async def binary_before_the_handshake(peer: RawPeer) -> None:
    await peer.records(Batch(0, 1, 0, 0, 0, [b"let me in"]), tag=0)


async def binary_between_proof_and_join(peer: RawPeer) -> None:
    await peer.prove()
    await peer.records(Batch(0, 1, 0, 0, 0, [b"let me in"]), tag=0)


async def ok_from_a_dialler(peer: RawPeer) -> None:
    await peer.prove()
    await peer.send(json.dumps({"type": "ok", "join": 1}).encode())


async def another_half_than_its_own(peer: RawPeer) -> None:
    await peer.prove()
    foreign = Half(raw_node("x", born=5).incarnation, 1)
    good = peer.machine.join(peer.session.mine, None, TERMS)
    await peer.send(good.replace(str(peer.session.mine).encode(), str(foreign).encode(), 1) + b"x")


async def silence(peer: RawPeer) -> None:
    """Half open: nothing at all, until the handshake deadline."""


async def silence_after_the_proof(peer: RawPeer) -> None:
    await peer.prove()


async def an_id_that_is_no_id(peer: RawPeer) -> None:
    hello = peer.machine.hello()
    good = json.dumps(peer.node.id).encode()
    assert good in hello
    await peer.send(hello.replace(good, b'"mal lory"'))


BEFORE: tuple[Misdeed, ...] = (
    garbage,
    text,
    empty,
    huge_json,
    deep_json,
    many_fields,
    hello_then_garbage,
    hello_twice,
    join_before_hello,
    binary_before_the_handshake,
    binary_between_proof_and_join,
    ok_from_a_dialler,
    another_half_than_its_own,
    silence,
    silence_after_the_proof,
    an_id_that_is_no_id,
)


# -- in a session ----------------------------------------------------------------------------------------


async def raw_garbage(peer: RawPeer) -> None:
    await peer.send(Random(2).randbytes(3000))


async def cut_record(peer: RawPeer) -> None:
    await peer.send(b"\x01\x00\x00\x00" + peer.session.tag.to_bytes(4, "little") + b"\x10\x00\x00\x00\x01")


async def unknown_lane(peer: RawPeer) -> None:
    await peer.records(Batch(77, 1, 0, 0, 0, [b"?"]))


async def ack_of_what_was_never_sent(peer: RawPeer) -> None:
    await peer.records(Ack(0, Position(1000, 0), 0, 0))


async def ack_far_beyond(peer: RawPeer) -> None:
    await peer.records(Ack(1, Position(BIG, 0), BIG, BIG))


async def ack_of_unknown_lane(peer: RawPeer) -> None:
    await peer.records(Ack(99, Position(0, 0), 0, 0))


async def credit_for_unknown_lane(peer: RawPeer) -> None:
    await peer.records(Credit(99, 1, 1))


async def credit_overrun(peer: RawPeer) -> None:
    """More messages than the window takes, which nobody consumes."""
    for start in range(0, 60_000, 1000):
        await peer.records(Batch(0, 1, start, 0, 0, [b""] * 1000))


async def credit_overrun_in_bytes(peer: RawPeer) -> None:
    for number in range(64):
        await peer.records(Batch(2, 1, number, 0, 0, [bytes(900_000)]))


async def a_message_over_the_limit(peer: RawPeer) -> None:
    for part in range(40):
        await peer.records(Batch(0, 1, 0, part * 1_000_000, 1 << 30, [bytes(1_000_000)]))


async def jump(peer: RawPeer) -> None:
    await peer.records(Batch(0, 1, 500, 0, 0, [b"too far"]))


async def skip_backwards(peer: RawPeer) -> None:
    await peer.send(
        b"\x01\x00\x00\x00"
        + peer.session.tag.to_bytes(4, "little")
        + bytes.fromhex("11010000 00000000 01000000 0900000000000000 0300000000000000".replace(" ", ""))
    )


async def data_after_fin(peer: RawPeer) -> None:
    await peer.records(Fin(0, 1, 0))
    await peer.records(Batch(0, 1, 1, 0, 0, [b"more"]))


async def lossy_on_a_reliable_lane(peer: RawPeer) -> None:
    await peer.records(Lossy(0, 0, [b"?"]))


async def an_origin_in_a_session_to_come(peer: RawPeer) -> None:
    await peer.records(Batch(0, 1, 0, 0, 0, [b"sent later"], origins=[(2**40, 0)]))


async def hello_again(peer: RawPeer) -> None:
    await peer.send(b'{"type":"hello"}')


async def text_in_the_session(peer: RawPeer) -> None:
    await peer.send("now something different")


WITHIN: tuple[Misdeed, ...] = (
    raw_garbage,
    cut_record,
    unknown_lane,
    ack_of_what_was_never_sent,
    ack_far_beyond,
    ack_of_unknown_lane,
    credit_for_unknown_lane,
    credit_overrun,
    credit_overrun_in_bytes,
    a_message_over_the_limit,
    an_origin_in_a_session_to_come,
    jump,
    skip_backwards,
    data_after_fin,
    lossy_on_a_reliable_lane,
    hello_again,
    text_in_the_session,
)
