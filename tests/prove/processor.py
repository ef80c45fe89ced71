"""What a busy machine adds to a measurement: the time in which this thread could run and another one had the processor.

The law that latency bounds are held to is that of the code; a machine with other work adds to it what the kernel counts
here, and only that is subtracted. A loop that is late because it has much to do itself is not excused.
"""

from __future__ import annotations

import os
from types import TracebackType
from typing import Self


class ProcessorWait:
    """Reads how long the thread that entered it has waited for a processor.

    with ProcessorWait() as wait:
        begun, before = perf_counter(), wait.seconds
        ...
        took = perf_counter() - begun - (wait.seconds - before)
    """

    def __init__(self) -> None:
        self._descriptor = -1

    def __enter__(self) -> Self:
        self._descriptor = os.open("/proc/thread-self/schedstat", os.O_RDONLY)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        os.close(self._descriptor)

    @property
    def seconds(self) -> float:
        """In all since the thread began."""
        return int(os.pread(self._descriptor, 64, 0).split()[1]) / 1e9
