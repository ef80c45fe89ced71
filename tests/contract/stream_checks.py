"""All checks of the contract of streams."""

from __future__ import annotations

from typing import Final

from litz.testing.manager_case import Check, starts_threads
from litz.testing.manager_stream_ends import STREAM_END_CHECKS
from litz.testing.manager_stream_services import STREAM_SERVICE_CHECKS
from litz.testing.manager_streams import STREAM_CHECKS

ALL_STREAM_CHECKS: Final[tuple[Check, ...]] = (*STREAM_CHECKS, *STREAM_END_CHECKS, *STREAM_SERVICE_CHECKS)
VIRTUAL_STREAM_CHECKS: Final[tuple[Check, ...]] = tuple(
    check for check in ALL_STREAM_CHECKS if not starts_threads(check)
)
