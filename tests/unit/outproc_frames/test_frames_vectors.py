"""The vectors another language checks itself with hold for this implementation, in both directions."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from litz.errors import ProtocolError
from litz.message import Buffer
from outproc.frames.decode import decode_frame
from outproc.frames.encode import encode_record, frame_header
from outproc.frames.records import (
    Ack,
    Batch,
    Closed,
    Correlation,
    Credit,
    Fin,
    Goodbye,
    Leave,
    Lossy,
    Ping,
    Pong,
    Position,
    Record,
    SessionCredit,
    Skip,
)
from outproc.session.identity import Half, Incarnation
from outproc.session.limits import SessionLimits
from outproc.session.session import Session

VECTORS = json.loads((Path(__file__).parents[3] / "docs/vectors/frames.json").read_text("utf-8"))
JSON = dict[str, Any]


def ack_of(value: JSON) -> Ack:
    received = Position(int(value["received"]), value["offset"])
    return Ack(value["lane"], received, int(value["processed"]), int(value["durable"]))


def correlations_of(value: JSON) -> list[Correlation] | None:
    pairs = value["correlations"]
    return None if pairs is None else [(kind, int(ident)) for kind, ident in pairs]


def batch_of(value: JSON) -> Batch:
    return Batch(
        value["lane"],
        value["epoch"],
        int(value["number"]),
        value["offset"],
        value["remaining"],
        [bytes.fromhex(body) for body in value["bodies"]],
        correlations_of(value),
        value["keys"],
        [(int(session), int(number)) for session, number in value["origins"]] if value.get("origins") else None,
    )


def lossy_of(value: JSON) -> Lossy:
    bodies = [bytes.fromhex(body) for body in value["bodies"]]
    return Lossy(value["lane"], int(value["number"]), bodies, correlations_of(value), value["keys"])


def goodbye_of(value: JSON) -> Goodbye:
    return Goodbye(value["reason"], value["detail"], [ack_of(each) for each in value["positions"]], value["partial"])


def closed_of(value: JSON) -> Closed:
    return Closed(value["reason"], value["detail"], [ack_of(each) for each in value["positions"]], value["partial"])


def skip_of(value: JSON) -> Skip:
    return Skip(value["reason"], value["lane"], value["epoch"], int(value["first"]), int(value["last"]))


READERS: dict[str, Callable[[JSON], Record]] = {
    "batch": batch_of,
    "lossy": lossy_of,
    "skip": skip_of,
    "fin": lambda value: Fin(value["lane"], value["epoch"], int(value["number"])),
    "ack": ack_of,
    "credit": lambda value: Credit(value["lane"], int(value["messages"]), int(value["size"])),
    "session_credit": lambda value: SessionCredit(int(value["size"])),
    "ping": lambda value: Ping(int(value["token"])),
    "pong": lambda value: Pong(int(value["token"])),
    "goodbye": goodbye_of,
    "closed": closed_of,
    "leave": lambda value: Leave(value["reason"]),
}


def records_of(vector: JSON) -> list[Record]:
    return [READERS[value["type"]](value) for value in vector["records"]]


@pytest.mark.parametrize("vector", VECTORS["good"] + VECTORS["good_origins"], ids=lambda vector: vector["name"])
def test_good_vector(vector: JSON) -> None:
    frame = bytes.fromhex(vector["hex"])
    records = records_of(vector)
    assert decode_frame(frame) == (vector["flags"], vector["tag"], records)
    out: list[Buffer] = [frame_header(vector["tag"], ack_now=vector["flags"] == 1)]
    sizes = [encode_record(out, record) for record in records]
    encoded = b"".join(out)
    assert sum(sizes) == len(encoded) - len(frame_header(0))
    assert (encoded == frame) is vector["canonical"]


@pytest.mark.parametrize("vector", VECTORS["bad"] + VECTORS["bad_origins"], ids=lambda vector: vector["name"])
def test_bad_vector(vector: JSON) -> None:
    with pytest.raises(ProtocolError):
        decode_frame(bytes.fromhex(vector["hex"]))


def test_every_record_type_has_a_good_vector() -> None:
    assert {value["type"] for vector in VECTORS["good"] for value in vector["records"]} == set(READERS)


@pytest.mark.parametrize("vector", VECTORS["tags"], ids=lambda vector: vector["text"])
def test_tag_of_a_pair(vector: JSON) -> None:
    halves = [
        Half(Incarnation(int(half["started"]), int(half["random"])), int(half["counter"])) for half in vector["halves"]
    ]
    for mine, yours in (halves, halves[::-1]):
        session = Session(mine, SessionLimits())
        session.complete(yours)
        assert session.tag == vector["tag"]
