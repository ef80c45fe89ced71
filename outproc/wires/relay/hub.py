"""The hub's side of relaying: connects nodes that it has sessions with. The topic `relay`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from litz.node_port import NodePort
from litz.seldom import Seldom
from litz.told_seldom import tell_seldom
from outproc.relay_options import RelayOptions
from outproc.wires.relay.messages import FROM_HUB, CloseCode, Open, RefuseCode, decode
from outproc.wires.relay.switch import Switch, SwitchLimits
from outproc.wires.relay.wire import KIND

_UNREACHABLE = (RefuseCode.UNREACHABLE, "no such node here")
"""Unknown and forbidden look the same."""


class RelayHub:
    """See the module. A `PortSubscriber`."""

    def __init__(self, port: NodePort, loop: asyncio.AbstractEventLoop, options: RelayOptions) -> None:
        self._port = port
        self._loop = loop
        self._allow: Callable[[str, str], bool] | None = options.allow_relay
        self._seldom = Seldom()
        self.switch = Switch(
            SwitchLimits(
                max_circuits=options.max_circuits,
                max_circuits_per_peer=options.max_circuits_per_peer,
                max_circuits_per_pair=options.max_circuits_per_pair,
                window=options.window,
                max_buffered=options.max_buffered,
            )
        )

    def received(self, sender: str, data: memoryview) -> None:
        """A node said something."""
        message = decode(data)
        if isinstance(message, Open):
            self.switch.open(sender, message, self._judge(sender, message.name))
        else:
            self.switch.receive(sender, message)
        self._pump()

    def _judge(self, sender: str, dest: str) -> tuple[RefuseCode, str] | None:
        if dest in (sender, self._port.local_id) or not self._port.session_name(dest):
            return _UNREACHABLE
        if not self._allowed(sender, dest):
            return _UNREACHABLE
        if self._is_relayed(sender) or self._is_relayed(dest):
            return RefuseCode.NESTED, "the hub itself reaches it through a relay"
        return None

    def _allowed(self, sender: str, dest: str) -> bool:
        if self._allow is None:
            return True
        try:
            return self._allow(sender, dest)
        except Exception as error:
            # It is the user's; who cannot be judged is not relayed. A peer asks as often as it likes.
            tell_seldom(self._loop, self._seldom, sender, error, "an error in allow_relay")
            return False

    def _is_relayed(self, peer: str) -> bool:
        """Whether all the wires there are to `peer` go through other hubs."""
        kinds = self._port.kinds(peer)
        return bool(kinds) and all(kind == KIND for kind in kinds)

    def session_began(self, dest: str) -> None:
        """Nothing is open yet."""

    def session_ended(self, dest: str) -> None:
        """Whoever was connected to it is told."""
        self.switch.session_ended(dest)
        self._pump()

    def wires_changed(self, dest: str) -> None:
        """A node that is reached only through other hubs is not relayed for: relays do not nest."""
        if self._is_relayed(dest):
            self.switch.cut(dest, CloseCode.CUT, "the hub itself reaches it through a relay")
            self._pump()

    def writable(self, dest: str) -> None:
        """The internal lanes to a node take more."""
        self._post(dest)
        self._pump()

    def _pump(self) -> None:
        while due := self.switch.take_due():
            for peer in due:
                self._post(peer)

    def _post(self, peer: str) -> None:
        switch, port = self.switch, self._port
        while (signal := switch.next_signal(peer)) is not None and port.post(peer, FROM_HUB, signal):
            switch.signal_posted(peer)
        while (bulk := switch.next_bulk(peer)) is not None and port.post(peer, FROM_HUB, bulk, bulk=True):
            switch.bulk_posted(peer)
