"""The hub: which managers of this process can reach each other. Thread-safe, explicit, never global."""

from __future__ import annotations

import asyncio
import itertools
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from litz.errors import ManagerStateError
from litz.events import EndReason

if TYPE_CHECKING:
    from inproc.node import Node


@dataclass(frozen=True, slots=True)
class Goodbye:
    """Who ended the link meant to; to be back after `returning_in` seconds, or (None) not by itself."""

    returning_in: float | None = None


class Link:
    """One session between two nodes (or of a node with itself). Once ended it stays ended.

    `lock` is held for two short things: to take messages of the other thread's backlog, and to end. So a
    message was either taken or belongs to the sender's list of losses, never both.
    """

    __slots__ = ("ended", "lock", "nodes", "numbers", "said", "same_loop", "why")

    def __init__(self, first: Node, second: Node) -> None:
        self.nodes = (first, second)
        self.same_loop = first.loop is second.loop
        self.lock = threading.Lock()
        self.ended = False
        self.why: tuple[Node | None, EndReason | None, str] = (None, None, "")
        self.said: Goodbye | None = None
        self.numbers = itertools.count(1)  # of streams

    def other(self, node: Node) -> Node:
        first, second = self.nodes
        return second if first is node else first

    def reason_for(self, node: Node) -> tuple[EndReason, str]:
        """Why it ended, as `node` sees it."""
        closer, reason, detail = self.why
        if reason is not None:
            return reason, detail
        return (EndReason.CLOSED_HERE if closer is node else EndReason.CLOSED_BY_PEER), detail


class Hub:
    """A meeting place for the managers of one process: `InprocTransportManager(local_id, hub)`.

    Managers on one hub find each other by id, whatever loop or thread they live in. An id is held by one
    living manager at a time. Thread-safe. `max_nodes` managers at once.
    """

    def __init__(self, *, max_nodes: int = 65_536) -> None:
        if max_nodes < 1:
            raise ValueError("a hub has room for at least one manager")
        self._max_nodes = max_nodes
        self._lock = threading.Lock()
        self._nodes: dict[str, Node] = {}
        self._links: dict[tuple[str, str], Link] = {}
        self._waiting: dict[str, dict[Node, None]] = {}
        self._incarnations = itertools.count(1)

    @property
    def node_count(self) -> int:
        """How many managers are on it now."""
        return len(self._nodes)

    def has(self, local_id: str) -> bool:
        """Whether a manager with this id is on the hub now."""
        return local_id in self._nodes

    def leaves(self, local_id: str) -> str | None:
        """Why the manager with this id leaves; None: it does not, or is not here."""
        node = self._nodes.get(local_id)
        leaving = node.leaving if node is not None else None
        return (leaving.reason or "no reason given") if leaving is not None else None

    def __repr__(self) -> str:
        return f"<hub: {len(self._nodes)} nodes, {len(self._links)} sessions>"

    # -- for nodes; any thread ----------------------------------------------------------------------------

    def join(self, node: Node) -> int:
        """Enter `node`; returns its incarnation. Those who wait for its id are told."""
        with self._lock:
            old = self._nodes.get(node.local_id)
            if old is not None and not old.loop.is_closed():
                raise ManagerStateError(
                    f"{node.local_id!r} is on this hub already; close that manager first, or use another id"
                )
        if old is not None:
            self.evict(old, EndReason.PEER_RESTARTED, "its event loop was closed without aclose")
        with self._lock:
            if len(self._nodes) >= self._max_nodes:
                raise ManagerStateError(f"this hub is full with {self._max_nodes} managers; raise max_nodes")
            if self._nodes.setdefault(node.local_id, node) is not node:
                raise ManagerStateError(f"{node.local_id!r} is on this hub already; use another id")
            # Before anybody in another thread can find it.
            node.incarnation = incarnation = next(self._incarnations)
            waiting = self._waiting.pop(node.local_id, {})
        for waiter in waiting:
            post(waiter.loop, waiter.peer_appeared, node.local_id)
        return incarnation

    def leave(self, node: Node) -> list[Link]:
        """Take `node` off: no link with it is made any more. Returns those it has, for the caller to end; it
        may not have heard of all of them yet."""
        with self._lock:
            links = list(node.links)
            if self._nodes.get(node.local_id) is node:
                del self._nodes[node.local_id]
            for dest in list(self._waiting):
                self._waiting[dest].pop(node, None)
                if not self._waiting[dest]:
                    del self._waiting[dest]
        return links

    def connect(self, node: Node, dest: str, *, wait: bool) -> tuple[Link | None, bool]:
        """The link of `node` with `dest`, and whether it is new. None: nobody there; with `wait`,
        `node.peer_appeared(dest)` will be called (in the loop of `node`) when somebody comes."""
        with self._lock:
            other = self._nodes.get(dest)
            entered = self._nodes.get(node.local_id) is node
            if other is None or not entered:
                if wait and entered:
                    self._waiting.setdefault(dest, {})[node] = None
                return None, False
            key = _pair(node.local_id, dest)
            link = self._links.get(key)
            if link is not None:
                return link, False
            link = self._links[key] = Link(node, other)
            node.links[link] = other.links[link] = None
            return link, True

    def stop_waiting(self, node: Node, dest: str) -> None:
        with self._lock:
            waiting = self._waiting.get(dest)
            if waiting is not None:
                waiting.pop(node, None)
                if not waiting:
                    del self._waiting[dest]

    def end(
        self,
        link: Link,
        closer: Node | None,
        reason: EndReason | None = None,
        detail: str = "",
        said: Goodbye | None = None,
    ) -> bool:
        """End `link`; False if it had ended. `said`: it is by intention. The caller tells the nodes."""
        with link.lock:
            if link.ended:
                return False
            link.why = (closer, reason, detail)
            link.said = said
            link.ended = True
        key = _pair(link.nodes[0].local_id, link.nodes[1].local_id)
        with self._lock:
            if self._links.get(key) is link:
                del self._links[key]
            for node in link.nodes:
                node.links.pop(link, None)
        return True

    def evict(self, node: Node, reason: EndReason, detail: str) -> None:
        """`node` cannot close itself any more (its loop is closed): end its links for it."""
        for link in self.leave(node):
            if self.end(link, None, reason, detail):
                other = link.other(node)
                if other is not node:
                    post(other.loop, other.detach, link)


def _pair(first: str, second: str) -> tuple[str, str]:
    return (first, second) if first <= second else (second, first)


def post(loop: asyncio.AbstractEventLoop, call: Callable[..., object], *arguments: Any) -> bool:
    """Call in the thread of `loop`, soon and in order. False: that loop is closed."""
    try:
        loop.call_soon_threadsafe(call, *arguments)
    except RuntimeError:
        return False
    return True
