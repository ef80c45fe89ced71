"""What happens most on a data channel of wrtc, by a shorter way: messages that came, and bytes that were sent.

The library tells both as any other event: it makes an event object, plans who gets it, and looks what it keeps alive.
With much data that costs as much as all that litz does. Here the two are handed on directly, and all others go their
usual way. Private names of wrtc 0.1 are used; where they are missing the usual way does for all.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import webrtc

if TYPE_CHECKING:
    from webrtc.utils.loops import LoopState

NEEDED: Final = ("_deliver", "_native_obj", "_changes_activity")
NATIVE_NEEDED: Final = ("_decreaseBufferedAmount",)

Message = Callable[[Any], None]
Low = Callable[[], None]

_takers: Final[dict[int, tuple[Message, Low]]] = {}
"""By the id of the channel, which whoever took it over keeps until `let_go`."""


class DirectChannel(webrtc.RTCDataChannel):
    """A channel that was taken over. It has no attributes of its own, so that a channel can become one."""

    __slots__ = ()

    def _deliver(self, state: LoopState, name: str, args: tuple[Any, ...], *, primary: bool = True) -> None:
        # "_sent" says that the library gave so much to SCTP, and by that whether it is time for `bufferedamountlow`.
        taker = _takers.get(id(self)) if name in {"message", "_sent"} else None
        if taker is None:
            super()._deliver(state, name, args, primary=primary)
        elif name == "message":
            taker[0](args[0])
        elif self._native_obj._decreaseBufferedAmount(args[0]):
            taker[1]()


def take_over(channel: webrtc.RTCDataChannel, message: Message, low: Low) -> None:
    """Have `message` called with each message of `channel`, as `str` or bytes, and `low` when the bytes buffered have
    fallen to the threshold; until `let_go`, which must be called."""
    native = channel._native_obj if hasattr(channel, "_native_obj") else None
    if all(hasattr(channel, name) for name in NEEDED) and all(hasattr(native, name) for name in NATIVE_NEEDED):
        _takers[id(channel)] = (message, low)
        channel.__class__ = DirectChannel
    else:
        channel.on("message", lambda event: message(event.data))
        channel.on("bufferedamountlow", lambda event: low())


def let_go(channel: webrtc.RTCDataChannel) -> None:
    """What comes now is of no interest any more."""
    _takers.pop(id(channel), None)
