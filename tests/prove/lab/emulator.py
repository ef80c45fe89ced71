"""A bad link between two namespaces, in a process of its own: two TUN devices, and user space between them.

It stands for `tc netem`, which not every kernel has, and is seeded. About 50 Mbit/s.

    Worker("tests.prove.lab.emulator:serve", namespaces=[a.name, b.name], addresses=["10.88.0.1/24", "10.88.0.2/24"],
           seed=7)
    await emulator.control.call("weather", delay=0.025, loss=0.02)       # both directions, or way=0 (from the first)

The devices are called `tun0`. A `change_address` on one of them changes nothing here: packets pass as they are.
"""

from __future__ import annotations

import asyncio
import ctypes
import fcntl
import os
import struct
import subprocess
from pathlib import Path
from random import Random
from typing import Any, Final

from tests.prove.control import Control
from tests.prove.lab.impairment import Direction, Weather

DEVICE: Final = "tun0"
MTU: Final = 1400

_TUNSETIFF: Final = 0x400454CA
_IFF_TUN: Final = 0x0001
_IFF_NO_PI: Final = 0x1000
_CLONE_NEWNET: Final = 0x40000000
_NETNS: Final = Path("/run/netns")


def open_tun(namespace: str) -> int:
    """A TUN device in a namespace; its descriptor. This thread is back in its own namespace afterwards."""
    libc = ctypes.CDLL(None, use_errno=True)

    def enter(path: Path) -> None:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            if libc.setns(descriptor, _CLONE_NEWNET) != 0:
                raise OSError(ctypes.get_errno(), f"cannot enter {path}")
        finally:
            os.close(descriptor)

    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        enter(_NETNS / namespace)
        device = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        fcntl.ioctl(device, _TUNSETIFF, struct.pack("16sH22x", DEVICE.encode(), _IFF_TUN | _IFF_NO_PI))
        return device
    finally:
        enter(Path(f"/proc/self/fd/{home}"))
        os.close(home)


class Emulator:
    """Both directions of the link. `way` 0 is from the first namespace to the second."""

    def __init__(self, devices: tuple[int, int], seed: int) -> None:
        self._loop = asyncio.get_running_loop()
        self._devices = devices
        self._ways = tuple(Direction(Random(f"{seed} {way}")) for way in (0, 1))
        self._timers: list[asyncio.TimerHandle | None] = [None, None]
        for way, device in enumerate(devices):
            self._loop.add_reader(device, self._read, way)

    def close(self) -> None:
        """The devices vanish with their descriptors."""
        for way, device in enumerate(self._devices):
            self._loop.remove_reader(device)
            timer = self._timers[way]
            if timer is not None:
                timer.cancel()
            os.close(device)

    def _read(self, way: int) -> None:
        for _ in range(64):
            try:
                packet = os.read(self._devices[way], 65_536)
            except BlockingIOError:
                break
            self._ways[way].feed(packet, self._loop.time())
        self._pass(way)

    def _pass(self, way: int) -> None:
        direction, timer = self._ways[way], self._timers[way]
        for packet in direction.take(self._loop.time()):
            try:
                os.write(self._devices[1 - way], packet)
            except OSError:
                direction.counts["refused"] += 1  # the device is down, or its queue is full
        if timer is not None:
            timer.cancel()
        due = direction.next_due
        self._timers[way] = self._loop.call_at(due, self._pass, way) if due is not None else None

    async def weather(self, way: int | None = None, **values: Any) -> None:
        """How bad it is from now on, in one direction or both. What is under way already arrives as it was to."""
        for each in (0, 1) if way is None else (way,):
            self._ways[each].weather = Weather(**values)

    async def counts(self) -> list[dict[str, int]]:
        """What happened so far, by direction."""
        return [dict(each.counts) for each in self._ways]


async def serve(control: Control, *, namespaces: list[str], addresses: list[str], seed: int, ip: str = "ip") -> None:
    """Make the link and run it until the control socket closes."""
    first, second = (open_tun(each) for each in namespaces)
    emulator = Emulator((first, second), seed)
    try:
        for namespace, address in zip(namespaces, addresses, strict=True):
            for command in (
                ("addr", "add", address, "dev", DEVICE),
                ("link", "set", DEVICE, "mtu", str(MTU)),
                ("link", "set", DEVICE, "up"),
            ):
                subprocess.run([ip, "-n", namespace, *command], check=True, timeout=120)  # noqa: ASYNC221 - not begun yet
        control.commands["weather"] = emulator.weather
        control.commands["counts"] = emulator.counts
        control.emit("ready")
        await control.gone()
    finally:
        emulator.close()
