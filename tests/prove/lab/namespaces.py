"""Network namespaces of a test: made, joined, disturbed, and gone at its end.

with Lab() as lab:
    a, b = lab.namespace("a"), lab.namespace("b")
    lab.join(a, "10.91.0.1/24", b, "10.91.0.2/24")
    Worker(..., prefix=a.prefix)
"""

from __future__ import annotations

import itertools
import os
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from tests.conftest import not_run
from tests.prove.lab.tools import need, run

_labs = itertools.count(1)


@dataclass(eq=False)
class Namespace:
    """A host of the lab. `name` is that of `ip netns`."""

    name: str
    ip: str
    iptables: str
    devices: int = field(default=0)

    @property
    def prefix(self) -> tuple[str, ...]:
        """What a command is preceded by to run in here; it stays one process."""
        return (self.ip, "netns", "exec", self.name)

    def run(self, *command: str) -> str:
        """Run a program in here, to its end."""
        return run(*self.prefix, *command)

    def configure(self, *command: str) -> str:
        """`ip` in here: `configure("route", "add", ...)`."""
        return run(self.ip, "-n", self.name, *command)

    def route(self, network: str, via: str) -> None:
        """Reach `network` through the host `via`."""
        self.configure("route", "add", network, "via", via)

    def forward(self, on: bool) -> None:
        """Whether it passes on packets between its networks."""
        self.run("sysctl", "-q", "-w", f"net.ipv4.ip_forward={int(on)}")

    def change_address(self, device: str, new: str) -> None:
        """Give up all addresses of a device and take another, as a laptop does that changes networks. Established
        connections of the old address hang: nobody tells the peers."""
        self.configure("addr", "flush", "dev", device)
        self.configure("addr", "add", new, "dev", device)

    def drop(self, *match: str) -> None:
        """Silently drop what comes in and matches (`iptables -A INPUT ... -j DROP`), until `heal`."""
        run(*self.prefix, self.iptables, "-w", "-A", "INPUT", *match, "-j", "DROP")

    def deafen(self, address: str) -> None:
        """One-way partition: nothing of `address` comes in; what is sent there arrives."""
        self.drop("-s", address)

    def block_udp(self) -> None:
        """No UDP in or out, as in many offices. Who sends is refused nothing: it goes nowhere."""
        self.drop("-p", "udp")
        run(*self.prefix, self.iptables, "-w", "-A", "OUTPUT", "-p", "udp", "-j", "DROP")

    def heal(self) -> None:
        """Undo `drop`, `deafen` and `block_udp`."""
        run(*self.prefix, self.iptables, "-w", "-F")


class Lab:
    """All namespaces of one test. Names carry this process's id, so that labs never meet."""

    def __init__(self) -> None:
        if os.uname().sysname != "Linux" or os.geteuid() != 0:
            not_run("network namespaces need root on Linux")
        self._ip = need("ip", "network")
        self._iptables = need("iptables", "network")
        self._stem = f"litz{os.getpid()}x{next(_labs)}"
        self._namespaces: list[Namespace] = []
        self._links = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Remove them, and so every device in them. Processes in them must have ended."""
        for each in self._namespaces:
            with suppress(RuntimeError):
                run(self._ip, "netns", "del", each.name)

    def namespace(self, name: str) -> Namespace:
        """A new host without any network but its loopback."""
        made = Namespace(f"{self._stem}{name}", self._ip, self._iptables)
        try:
            run(self._ip, "netns", "add", made.name)
        except RuntimeError as error:
            not_run(f"no network namespace can be made here: {error}")
        self._namespaces.append(made)
        made.configure("link", "set", "lo", "up")
        return made

    def join(self, one: Namespace, address: str, other: Namespace, other_address: str) -> tuple[str, str]:
        """A cable between two hosts, with an address (10.1.0.1/24) at each end. Returns the devices' names."""
        self._links += 1
        devices = (f"v{self._links}a", f"v{self._links}b")
        run(
            *(self._ip, "link", "add", devices[0], "netns", one.name, "type", "veth"),
            *("peer", "name", devices[1], "netns", other.name),
        )
        for host, device, at in ((one, devices[0], address), (other, devices[1], other_address)):
            host.configure("addr", "add", at, "dev", device)
            host.configure("link", "set", device, "up")
        return devices
