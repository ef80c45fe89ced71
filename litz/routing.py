"""One manager over two: peers in this process by reference, all others through bytes."""

from __future__ import annotations

from abc import abstractmethod

from litz.manager import TransportManager


class LocalTransportManager(TransportManager):
    """A manager for peers in this process; it can tell which they are."""

    @abstractmethod
    def reaches(self, dest: str) -> bool:
        """Whether `dest` is in this process now. Any thread."""
