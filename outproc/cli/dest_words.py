"""How a dest stands, in words: what `litz status`, `litz events` and `litz chat` say of it."""

from __future__ import annotations

import time

from litz.event_words import printable, span


def standing(
    *, cause: str = "", retry_in: float | None = None, cold: bool = False, given_up: bool = False, draining: str = ""
) -> str:
    """Why there is no better news, and what is done about it. "": there is nothing to say."""
    said = [printable(f"it is leaving ({draining})" if draining else ""), printable(cause)]
    if given_up:
        said.append("given up: not dialled by itself any more")
    elif cold:
        said.append("cold: only probed now and then")
    if retry_in is not None:
        said.append(f"next attempt in {span(retry_in)}")
    return "; ".join(filter(None, said))


def clock_text(at: float, now: float) -> str:
    """A moment by the wall clock, in local time; with its day if that is not today."""
    moment, today = time.localtime(at), time.localtime(now)
    same_day = moment[:3] == today[:3]
    return time.strftime("%H:%M:%S" if same_day else "%m-%d %H:%M:%S", moment)


def times_text(times: int, at: float, until: float) -> str:
    """How often something happened; "" if it was once."""
    return f"{times} times in {span(max(0.0, until - at))}" if times > 1 else ""
