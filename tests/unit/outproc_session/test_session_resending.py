"""What an ended session leaves to the next one: which messages, in which order, and how they are marked."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from litz.events import DropReason, Outcome
from litz.payload import REPLY_LANE, PayloadType
from litz.requests import Correlation
from outproc.frames.records import Ack, Position
from outproc.session.identity import Half, Incarnation
from outproc.session.limits import SessionLimits
from outproc.session.log import EntryDetail, Parts
from outproc.session.resending import MAX_RESENDS, Carried, carry, marked
from outproc.session.session import Session
from outproc.session.tombstones import Finals

RPC = int(PayloadType.RPC_RELIABLE)
ASKING = EntryDetail((Correlation.REQUEST, 9))


def session(counter: int) -> Session:
    return Session(Half(Incarnation(7, 7), counter), SessionLimits())


def sent(ended: Session, count: int, transmitted: int, *, lane: int = RPC) -> None:
    """`count` messages were appended, the first `transmitted` handed to a wire."""
    send_lane = ended.send_lanes[lane]
    for number in range(count):
        send_lane.append(b"%d" % number)
    send_lane.high_water = transmitted


def ended_and_carried(ended: Session, following: Session, *, markable: bool = True) -> Carried:
    return carry(ended, following, ended.end(None), markable=markable)


def contents(following: Session, lane: int = RPC) -> list[tuple[object, EntryDetail | None]]:
    log = following.send_lanes[lane].log
    return [log.message(number) for number in log.messages()]


def test_what_may_have_come_bears_its_origin_and_what_surely_has_not_is_new() -> None:
    old, new = session(3), session(4)
    sent(old, 4, 3)
    old.send_lanes[RPC].acknowledge(Ack(RPC, Position(1, 0), 0, 0))
    carried = ended_and_carried(old, new)
    assert contents(new) == [
        (b"1", EntryDetail(origin=(3, 1), resent=1)),
        (b"2", EntryDetail(origin=(3, 2), resent=1)),
        (b"3", None),
    ]
    assert carried.lost == []
    assert carried.again == {RPC: {1: 0, 2: 1, 3: 2}}
    assert [outcome for _, _, outcome in carried.resent] == [Outcome.UNKNOWN, Outcome.UNKNOWN, Outcome.NEVER_ACCEPTED]
    assert marked(new) == {RPC: [0, 1]}


def test_an_origin_is_kept_over_sessions_and_the_outcome_stays_unknown() -> None:
    """Also if the session in between surely did not take it."""
    first, second, third = session(3), session(4), session(5)
    sent(first, 1, 1)
    ended_and_carried(first, second)
    unconfirmed = second.end(Finals({}))
    assert unconfirmed == [(RPC, 0, Outcome.UNKNOWN)]
    carry(second, third, unconfirmed, markable=True)
    assert contents(third) == [(b"0", EntryDetail(origin=(3, 0), resent=1))]
    third.send_lanes[RPC].high_water = 1
    fourth = session(6)
    ended_and_carried(third, fourth)
    assert contents(fourth) == [(b"0", EntryDetail(origin=(3, 0), resent=2))]


def test_requests_replies_and_what_the_peer_could_not_be_told_are_lost() -> None:
    old, new = session(3), session(4)
    lane = old.send_lanes[RPC]
    lane.append(b"plain")
    lane.append(b"?", ASKING)
    lane.append(b"new")
    lane.high_water = 2
    old.send_lanes[REPLY_LANE].append(b"!", EntryDetail((Correlation.REPLY, 1)))
    carried = ended_and_carried(old, new, markable=False)
    assert [(lane, number) for lane, number, _ in carried.lost] == [(REPLY_LANE, 0), (RPC, 0), (RPC, 1)]
    assert contents(new) == [(b"new", None)]


def test_keys_and_bodies_of_several_buffers_go_along_and_dropped_ones_do_not() -> None:
    old, new = session(3), session(4)
    lane, body = old.send_lanes[RPC], Parts((b"a", b"b"))
    lane.append(b"dropped")
    lane.append(body, EntryDetail(key="k"))
    lane.discard(0, DropReason.OLDEST)
    ended_and_carried(old, new)
    assert contents(new) == [(body, EntryDetail(key="k"))]
    assert new.send_lanes[RPC].log.has_parts
    assert new.send_lanes[RPC].log.latest == {"k": 0}


def test_after_so_many_tries_it_is_lost() -> None:
    old = session(1)
    sent(old, 1, 1)
    for counter in range(2, MAX_RESENDS + 2):
        new = session(counter)
        assert ended_and_carried(old, new).lost == []
        new.send_lanes[RPC].high_water = 1
        old = new
    last = session(MAX_RESENDS + 2)
    assert ended_and_carried(old, last).lost == [(RPC, 0, Outcome.UNKNOWN)]
    assert contents(last) == []


@given(st.integers(0, 8), st.data())
def test_order_and_size_are_kept_whatever_was_sent_and_acknowledged(count: int, data: st.DataObject) -> None:
    transmitted = data.draw(st.integers(0, count))
    acked = data.draw(st.integers(0, transmitted))
    old, new = session(3), session(4)
    sent(old, count, transmitted)
    old.send_lanes[RPC].acknowledge(Ack(RPC, Position(acked, 0), 0, 0))
    carried = ended_and_carried(old, new)
    assert [body for body, _ in contents(new)] == [b"%d" % number for number in range(acked, count)]
    assert new.send_lanes[RPC].log.size == sum(len(b"%d" % number) for number in range(acked, count))
    assert len(carried.resent) == count - acked
