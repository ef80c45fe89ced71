"""How the messages of a stream become entries of its carrier: as bytes, as the objects they are, or through a codec."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

from litz.errors import MessageTooLargeError, PayloadError
from litz.stream_codec import Assembler, Nothing, begin
from litz.turns import payload_size

Begun = tuple[Any, int, "Iterator[tuple[Any, int]] | None"]
"""The first entry of a message, its size, and the others if there are any."""


class StreamForm(Protocol):
    """One stream's way from messages to entries and back. Keeps what has come of a message that is not whole."""

    @property
    def sized(self) -> bool:
        """Whether an entry that was received says its size by `len`."""

    @property
    def incomplete(self) -> bool:
        """Whether a message has begun and is not whole."""

    def begin(self, data: Any) -> Begun:
        """The entries of one message. Raises `PayloadError`, `MessageTooLargeError`."""

    def take(self, entry: Any) -> Any:
        """The message that an entry completes, else `litz.stream_codec.NOTHING`. Any exception ends the stream."""


class AsBytes:
    """For carriers of bytes: see `litz.stream_codec`."""

    __slots__ = ("_assembler", "_max", "take")

    sized = True

    def __init__(self, max_message: int) -> None:
        self._max = max_message
        self._assembler = Assembler(max_message)
        self.take = self._assembler.take

    @property
    def incomplete(self) -> bool:
        return self._assembler.incomplete

    def begin(self, data: Any) -> Begun:
        return begin(data, self._max)


class AsObjects:
    """For carriers of objects: the receiver gets the very object. Only what says its size is checked."""

    __slots__ = ("_max",)

    sized = False
    incomplete = False

    def __init__(self, max_message: int) -> None:
        self._max = max_message

    def begin(self, data: Any) -> Begun:
        size = payload_size(data)
        if size > self._max:
            raise MessageTooLargeError(
                f"a message of {size} bytes is over max_message of this stream ({self._max}); "
                f"cut it into several, or raise StreamOptions.max_message on both sides"
            )
        return data, size, None

    def take(self, entry: Any) -> Any:
        size = payload_size(entry)
        if size > self._max:
            raise MessageTooLargeError(
                f"the peer sends a message of {size} bytes, over max_message of this stream ({self._max}); "
                f"raise StreamOptions.max_message here, or cut it there"
            )
        return entry


class ObjectCodec(Protocol):
    """Turns objects into what a carrier of bytes takes, and back."""

    def encode(self, data: Any) -> Any: ...

    def decode(self, data: Any) -> Any: ...


class Through:
    """Any objects, through a codec, over another form."""

    __slots__ = ("_codec", "_form")

    def __init__(self, codec: ObjectCodec, form: StreamForm) -> None:
        self._codec = codec
        self._form = form

    @property
    def sized(self) -> bool:
        return self._form.sized

    @property
    def incomplete(self) -> bool:
        return self._form.incomplete

    def begin(self, data: Any) -> Begun:
        return self._form.begin(self._codec.encode(data))

    def take(self, entry: Any) -> Any:
        data = self._form.take(entry)
        if type(data) is Nothing:
            return data
        try:
            return self._codec.decode(data)
        except Exception as error:
            raise PayloadError("a message of this stream cannot be decoded") from error
