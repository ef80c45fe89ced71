"""Records of one DTLS connection, sealed and opened by as few calls as OpenSSL needs.

pyOpenSSL's own methods allocate, wrap and check anew for each; with 1,200 bytes a record that costs twice what the
cipher does. Private names of pyOpenSSL are used; where they are missing its methods do.
"""

from __future__ import annotations

from typing import Any, Final

from OpenSSL import SSL

LARGEST: Final = 2048
"""Bytes of the largest record that is taken or made."""

_lib: Any = getattr(SSL, "_lib", None)
_ffi: Any = getattr(SSL, "_ffi", None)
NEEDED: Final = ("_ssl", "_into_ssl", "_from_ssl", "_raise_ssl_error")
LIB_NEEDED: Final = ("SSL_read", "SSL_write", "BIO_read", "BIO_write")


class Records:
    """Of a connection on memory buffers whose handshake is over. Both methods raise `SSL.Error`."""

    def __init__(self, connection: SSL.Connection) -> None:
        self._connection: Any = connection
        self._direct = all(hasattr(connection, name) for name in NEEDED) and all(
            hasattr(_lib, name) for name in LIB_NEEDED
        )
        # Its own: OpenSSL is called without the lock of the interpreter, and each loop may have its thread.
        self._room: Any = _ffi.new("char[]", LARGEST) if self._direct else None

    def seal(self, data: bytes) -> bytes:
        """The record that carries `data`."""
        connection = self._connection
        if not self._direct:
            connection.send(data)
            return bytes(connection.bio_read(LARGEST))
        result = _lib.SSL_write(connection._ssl, data, len(data))
        if result <= 0:
            connection._raise_ssl_error(connection._ssl, result)
        return self._taken(_lib.BIO_read(connection._from_ssl, self._room, LARGEST))

    def open(self, record: bytes) -> bytes:
        """What a record carries. Raises also for a replay, and for one that is not of this peer."""
        connection = self._connection
        if not self._direct:
            connection.bio_write(record)
            return bytes(connection.recv(LARGEST))
        _lib.BIO_write(connection._into_ssl, record, len(record))
        result = _lib.SSL_read(connection._ssl, self._room, LARGEST)
        if result <= 0:
            connection._raise_ssl_error(connection._ssl, result)
        return self._taken(result)

    def _taken(self, size: int) -> bytes:
        if size <= 0:
            raise SSL.WantReadError
        return bytes(_ffi.buffer(self._room, size))
