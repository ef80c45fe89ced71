"""The logger given to `websockets`: silent, because frames and headers may hold secrets and wires are many.

What happens to a wire is told by its loss, and by the events of the manager.
"""

import logging
from typing import Final

QUIET: Final = logging.Logger("litz.wires.websocket", level=logging.CRITICAL + 1)
"""Not in the tree of loggers: no configuration can make it speak."""
