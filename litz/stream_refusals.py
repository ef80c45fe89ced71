"""What who opens a stream is told when it is refused: one text for all managers."""

from __future__ import annotations

from litz.errors import StreamRefusedError
from litz.stream_port import Refusal, Refused


def refused_error(dest: str, service: str, refused: Refused) -> StreamRefusedError:
    """The error of `open_stream` and `open_pipe`. What the peer said of the reason becomes one printable line."""
    said = "".join(character if character.isprintable() else " " for character in refused.reason)
    cure = {
        Refusal.REFUSED: "it has no such service, or not for this node: see to its listen_streams and its rights",
        Refusal.BUSY: "a limit is reached: try again later"
        if refused.retry_after is None
        else f"a limit is reached: try again in {refused.retry_after:g} s",
        Refusal.REJECTED: "the service itself said no",
        Refusal.UNSUPPORTED: "it does not speak streams: upgrade it",
    }.get(refused.why, f"why={refused.why}")
    text = f"{dest} did not open a stream to {service!r}: {cure}" + (f" ({said})" if said else "")
    return StreamRefusedError(text, why=int(refused.why), retry_after=refused.retry_after)
