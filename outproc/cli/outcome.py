"""How the command ends: exit codes, and errors as one line that names the cure."""

from __future__ import annotations

import errno
from typing import Final

from litz.errors import InsecureListenError, InvalidDestError, InvalidEndpointError, LitzError
from outproc.security.key_file_error import KeyFileError

DONE: Final = 0
"""All that was asked for is done and verified."""
FAILED: Final = 1
"""It was tried and did not work, or the verdict is bad."""
USAGE: Final = 2
"""It was not tried: an argument, a key file or an address is wrong."""
INTERRUPTED: Final = 130
"""Ctrl-C or SIGTERM came before it was done."""

EXIT_CODES: Final = (
    "exit codes: 0 done and verified; 1 failed; 2 wrong usage, key file or address; 130 interrupted before the end"
)


class UsageError(Exception):
    """An argument is wrong; the text says how to put it right."""


class CommandError(Exception):
    """The command failed; the text says why, and what to do."""


def code_of(error: BaseException) -> int:
    """The exit code for an error that ended a command."""
    wrong_usage = (UsageError, KeyFileError, InvalidDestError, InvalidEndpointError, InsecureListenError)
    return USAGE if isinstance(error, wrong_usage) else FAILED


def text_of(error: BaseException) -> str:
    """One line for people. Errors of the library name cures in terms of its API; those of the command come here."""
    if isinstance(error, InsecureListenError):
        what = str(error).partition("; pass ")[0]
        return f"{what}; give --key FILE and --trust FILE, or --shared-key-file FILE, or listen on 127.0.0.1"
    if isinstance(error, LitzError | UsageError | CommandError):
        return str(error).replace(
            "give WebSocketWireBuilder(ssl=...) a context that trusts its authority",
            "give --ca FILE with its authority",
        )
    if isinstance(error, OSError) and error.strerror:
        text = f"{error.strerror}: {error.filename}" if error.filename else error.strerror
        taken = error.errno == errno.EADDRINUSE
        return f"{text}; choose another --listen URL (port 0 picks a free one)" if taken else text
    return f"{type(error).__name__}: {error}"
