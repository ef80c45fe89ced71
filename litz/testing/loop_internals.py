"""Which parts of asyncio's loop `SimLoop` relies on, checked when it is imported."""

from __future__ import annotations

import asyncio
import sys
from collections import deque
from typing import Any, Final

FORBIDDEN_VERBS: Final = (
    "run_in_executor",
    "set_default_executor",
    "getaddrinfo",
    "getnameinfo",
    "create_connection",
    "create_server",
    "create_unix_connection",
    "create_unix_server",
    "create_datagram_endpoint",
    "connect_accepted_socket",
    "connect_read_pipe",
    "connect_write_pipe",
    "subprocess_exec",
    "subprocess_shell",
    "start_tls",
    "sendfile",
    "sock_accept",
    "sock_connect",
    "sock_recv",
    "sock_recv_into",
    "sock_recvfrom",
    "sock_recvfrom_into",
    "sock_sendall",
    "sock_sendto",
    "sock_sendfile",
    "add_reader",
    "remove_reader",
    "add_writer",
    "remove_writer",
    "add_signal_handler",
    "remove_signal_handler",
)
"""Verbs of a loop that a simulation refuses: what they wait for cannot be replayed."""


class UnknownPythonError(ImportError):
    """This Python's asyncio is not built as `SimLoop` expects."""


def check_loop_internals(base: type[Any] = asyncio.BaseEventLoop) -> None:
    """Raise `UnknownPythonError` unless asyncio's loop has the inside that `SimLoop` was written for.

    Read in CPython 3.11, 3.12 and 3.13: `run_forever` calls `_run_once` until `_stopping`; `call_soon`
    appends to the deque `_ready`; a timer tells `_timer_handle_cancelled` of its loop when it is cancelled.
    """
    wrong = [
        f"{base.__name__}.{caller} does not use {name}"
        for caller, name in (
            ("run_forever", "_run_once"),
            ("run_forever", "_stopping"),
            ("_call_soon", "_ready"),
            ("stop", "_stopping"),
        )
        if name not in _names_used(base, caller)
    ]
    wrong += [
        f"{base.__name__} has no {name}"
        for name in ("_timer_handle_cancelled", "_write_to_self", "_check_closed", "set_task_factory")
        if not hasattr(base, name)
    ]
    if not wrong:
        loop = base()
        wrong += [
            f"a loop has no usable {name}"
            for name, kind in (("_ready", deque), ("_stopping", bool), ("_asyncgens", object))
            if not isinstance(getattr(loop, name, None), kind)
        ]
        loop.close()
    wrong += [
        f"asyncio.{handle.__name__} has no {name}"
        for handle, name in (
            (asyncio.Handle, "_run"),
            (asyncio.Handle, "_cancelled"),
            (asyncio.TimerHandle, "_scheduled"),
        )
        if not hasattr(handle, name)
    ]
    if wrong:
        raise UnknownPythonError(
            f"litz.testing.SimLoop does not know the asyncio of Python {sys.version.split()[0]} "
            f"({'; '.join(wrong)}); run simulations on Python 3.11, 3.12 or 3.13"
        )


def _names_used(base: type[Any], method: str) -> tuple[str, ...]:
    code = getattr(getattr(base, method, None), "__code__", None)
    return code.co_names if code is not None else ()
