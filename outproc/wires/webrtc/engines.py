"""Which WebRTC library carries the wires: one is always there, the other is many times faster."""

from __future__ import annotations

import importlib.util
from typing import Final, Literal

from outproc.wires.webrtc.engine import Engine

EngineName = Literal["auto", "aiortc", "wrtc"]
"""auto    wrtc where it is installed and can be loaded, and no addresses to bind were named; else aiortc
aiortc  pure Python, a dependency of litz
wrtc    libwebrtc, installed by `pip install 'litz[fast]'`; binds all interfaces, and only tells of those named

Both ends choose by themselves: each engine talks to the other, and to browsers."""

CURE: Final = "pip install 'litz[fast]'"


def make_engine(name: EngineName = "auto", *, chosen_addresses: bool = False) -> Engine:
    """A new engine; loads its library. `chosen_addresses` says that the user named the addresses to bind.

    Raises ImportError, naming the cure, when a library that was asked for by name is not installed or not one that
    litz knows. docs/webrtc-engines.md compares them."""
    if name == "wrtc":
        return _wrtc()
    if name == "auto" and not chosen_addresses and importlib.util.find_spec("wrtc") is not None:
        try:
            return _wrtc()
        except ImportError:
            # Installed for another system, or a version that litz does not know; the one that is always there works.
            pass
    return _aiortc()


def _wrtc() -> Engine:
    try:
        from outproc.wires.webrtc.wrtc_engine import WrtcEngine
    except ImportError as error:
        raise ImportError(f'the engine "wrtc" cannot be loaded ({error}): {CURE}') from error
    return WrtcEngine()


def _aiortc() -> Engine:
    from outproc.wires.webrtc.aiortc_engine import AiortcEngine

    return AiortcEngine()
