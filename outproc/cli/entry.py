"""What the `litz` script calls: Ctrl-C ends it without a word from the first moment on, also while it still loads."""

from __future__ import annotations

INTERRUPTED = 130


def main() -> int:
    """Load the command and run it."""
    try:
        from outproc.cli.main import main as command

        return command()
    except KeyboardInterrupt:
        return INTERRUPTED
