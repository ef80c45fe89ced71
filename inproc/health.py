"""The health checker's handle where nothing can fail."""

from __future__ import annotations

from litz.manager import HealthCheckHandle


class NothingToCheck(HealthCheckHandle):
    """Stands for a health checker where nothing can fail."""

    async def stop(self) -> None:
        return
