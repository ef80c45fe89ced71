"""A handle bound to one dest, for any manager."""

from __future__ import annotations

from typing import Any

from litz.events import LostReceipt
from litz.manager import Confirm, MessageStream, Peer, TransportManager, WhenDown
from litz.message import Receipt
from litz.payload import PayloadType
from litz.stream_opening import OpeningStream
from litz.stream_options import StreamOptions


class BoundPeer(Peer):
    """The verbs of a manager, bound to one dest."""

    __slots__ = ("_dest", "_manager")

    def __init__(self, manager: TransportManager, dest: str) -> None:
        self._manager = manager
        self._dest = dest

    @property
    def dest(self) -> str:
        return self._dest

    async def send(
        self,
        data: Any,
        *,
        payload_type: PayloadType = PayloadType.RPC_RELIABLE,
        confirm: Confirm | None = None,
        key: str | None = None,
        when_down: WhenDown | None = None,
        timeout: float | None = None,
        reopen: bool = False,
    ) -> Receipt:
        return await self._manager.send(
            self._dest,
            data,
            payload_type=payload_type,
            confirm=confirm,
            key=key,
            when_down=when_down,
            timeout=timeout,
            reopen=reopen,
        )

    def send_nowait(
        self,
        data: Any,
        *,
        payload_type: PayloadType = PayloadType.RPC_RELIABLE,
        key: str | None = None,
        reopen: bool = False,
    ) -> Receipt:
        return self._manager.send_nowait(self._dest, data, payload_type=payload_type, key=key, reopen=reopen)

    async def request(
        self, data: Any, *, timeout: float | None = None, when_down: WhenDown | None = None, reopen: bool = False
    ) -> Any:
        return await self._manager.request(self._dest, data, timeout=timeout, when_down=when_down, reopen=reopen)

    async def drain(self, *, timeout: float | None = None) -> tuple[LostReceipt, ...]:
        return await self._manager.drain(self._dest, timeout=timeout)

    def messages(self) -> MessageStream:
        return self._manager.messages(sender=self._dest)

    def open_stream(
        self,
        service: str,
        *,
        metadata: bytes = b"",
        options: StreamOptions | None = None,
        timeout: float | None = None,
        reopen: bool = False,
    ) -> OpeningStream:
        return self._manager.open_stream(
            self._dest, service, metadata=metadata, options=options, timeout=timeout, reopen=reopen
        )

    def _pipes(self) -> tuple[TransportManager, str]:
        return self._manager, self._dest

    def __repr__(self) -> str:
        return f"<peer {self._dest} of {self._manager.local_id}>"
