"""Both proofs of one wire: this node's authenticator as it serves that wire, and the judgement of the peer.

The judgement is the authenticator's (who is it?) and `authorize`'s (may it?). What the peer has shown first is kept, so
that it can be judged again while the wire is up.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from dataclasses import replace
from typing import TYPE_CHECKING

from litz.errors import HandshakeError, LitzError
from litz.wire import Wire
from outproc.handshake import Acceptor, Initiator, NeedsVerification
from outproc.handshake import Link as HandshakeLink
from outproc.security.channel import Channel, bound, to_prepare
from outproc.security.sealing import seal_need

if TYPE_CHECKING:
    from outproc.local_node import LocalNode


class WireProof:
    """Of one wire; `dest` is who was dialled, None if the wire came in. Raises what `seal_need` raises."""

    def __init__(self, node: LocalNode, wire: Wire, dest: str | None) -> None:
        self._node = node
        self._dest = dest
        channel = Channel(wire.kind, dest, wire.secure, wire.peer_certificates)
        self._authenticator = authenticator = bound(node.authenticator, channel)
        need = seal_need(wire, authenticator, node.options.seal)
        self._link = HandshakeLink(wire.kind, wire.channel_binding, need)
        self._first: NeedsVerification | None = None
        self._peer = ""
        self.outdated = False
        """Whether keys or rights were looked at again since the judgement began: then nothing is joined by it."""

    def machine(self) -> Initiator | Acceptor:
        """The handshake of the wire."""
        node, entropy = self._node, self._node.environment.entropy
        ours = node.handshake_node
        if ours.authenticator is not self._authenticator:
            ours = replace(ours, authenticator=self._authenticator)
        if self._dest is not None:
            return Initiator(ours, self._dest, self._link, entropy)
        return Acceptor(ours, self._link, entropy)

    @property
    def prepared(self) -> bool:
        """Whether the handshake can begin."""
        return to_prepare(self._authenticator) is None

    async def prepare(self) -> LitzError | None:
        """Get ready for the handshake. Returns why that failed."""
        prepares = to_prepare(self._authenticator)
        return await self._in_time(prepares.prepare(), "this node's own proof", "prepare") if prepares else None

    async def judge(self, step: NeedsVerification, *, stranger: bool) -> LitzError | None:
        """Whether the proof holds; and, with the first one, whether the peer may. Returns why not."""
        return await self._in_time(self._judge(step, stranger), "the proof", "verify")

    async def _judge(self, step: NeedsVerification, stranger: bool) -> None:
        self._peer = step.peer_id
        if stranger:
            await self._node.strangers.turn()
        await self._verify(step)
        if self._first is None:
            await self._node.rights.admit(step.peer_id)
            self._first = step

    async def _verify(self, step: NeedsVerification) -> None:
        await self._authenticator.verify(step.peer_id, step.credential, step.transcript, step.proof, step.role)

    def outdate(self, dest: str | None) -> None:
        """Keys or rights of `dest`, None: of anybody, may be others from now on."""
        self.outdated |= bool(self._peer) and dest in (None, self._peer)

    async def judge_again(self) -> LitzError | None:
        """Whether what the peer has shown first still proves its id. Returns why not."""
        if self._first is None:
            return None
        return await self._in_time(self._verify(self._first), "the proof", "verify")

    async def _in_time(self, work: Awaitable[None], what: str, verb: str) -> LitzError | None:
        # The deadline of the whole handshake (or the owner, later) may cancel this before.
        try:
            async with asyncio.timeout(self._node.options.handshake_timeout):
                await work
        except TimeoutError:
            return HandshakeError(f"{what} took too long to {verb}")
        except LitzError as error:
            return error
        except Exception as error:
            # Neither authenticators nor `authorize` are ours: whatever they raise, it costs this wire and nothing else.
            return HandshakeError(f"no verdict on {what}: {error!r}")
        return None
