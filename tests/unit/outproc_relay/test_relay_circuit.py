"""One end of a circuit keeps to its credit, ends after all that was written, and refuses what was not granted.

Covers `outproc.wires.relay.circuit`.
"""

from __future__ import annotations

import pytest

from litz.errors import ProtocolError
from outproc.wires.relay.circuit import WINDOW, Circuit
from outproc.wires.relay.messages import MAX_FRAME, OVERHEAD, Close, CloseCode, Data, Window, decode


def said(circuit: Circuit) -> list[object]:
    messages: list[object] = []
    while circuit.cost() is not None:
        message = decode(memoryview(b"".join(circuit.next_bulk())))
        messages.append(bytes(message.frame) if isinstance(message, Data) else message)
        circuit.posted()
    return messages


def test_nothing_is_sent_above_the_credit_and_the_end_comes_last() -> None:
    circuit = Circuit(3)
    for frame in (b"one", b"two"):
        circuit.write([frame], 3)
    circuit.finish()
    assert circuit.queued == 6
    assert said(circuit) == []
    circuit.allow(3 + OVERHEAD)
    circuit.allow(0)
    assert said(circuit) == [b"one"]
    circuit.allow(2 * (3 + OVERHEAD))
    assert said(circuit) == [b"two", Close(3, CloseCode.DONE, "")]
    assert (circuit.over, circuit.queued) == (True, 0)


def test_an_abort_drops_what_waits() -> None:
    circuit = Circuit(3)
    circuit.write([b"one"], 3)
    circuit.abort()
    assert said(circuit) == [Close(3, CloseCode.ABORTED, "")]


def test_what_is_consumed_is_granted_anew_a_quarter_at_a_time() -> None:
    circuit = Circuit(3)
    grants = 0
    for _ in range(200):
        circuit.take(MAX_FRAME)
        if circuit.consume(MAX_FRAME):
            window = decode(memoryview(circuit.next_window()))
            assert window == Window(3, circuit.consumed + WINDOW)
            grants += 1
    assert 45 <= grants <= 50


def test_more_than_was_granted_is_a_violation() -> None:
    circuit = Circuit(3)
    with pytest.raises(ProtocolError, match="than it was granted"):
        for _ in range(WINDOW // MAX_FRAME + 1):
            circuit.take(MAX_FRAME)
