"""Errors that peers make happen, told to the loop's exception handler now and then."""

from __future__ import annotations

import asyncio

from litz.seldom import Seldom


def tell_seldom(loop: asyncio.AbstractEventLoop, seldom: Seldom, peer: str, error: BaseException, what: str) -> None:
    """`peer` made `error` happen in what somebody gave us: say `what` of it, unless `seldom` leaves that out."""
    more = seldom.words(loop.time(), peer, error)
    if more is not None:
        loop.call_exception_handler({"message": f"litz: {what}{more}", "exception": error})
