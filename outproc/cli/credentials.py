"""What a node of the command line proves itself with, and how that is read again while it runs.

`--mtls`, `--token-file` and their like; `--key` and `--shared-key-file` are in `node_options`.
"""

from __future__ import annotations

import argparse
import asyncio
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from litz.wire import WireBuilder
from outproc.cli.node_options import authenticator_of, config_dir
from outproc.cli.outcome import UsageError
from outproc.cli.tls_options import builders_of, builders_with, check_certificate
from outproc.rights import Authorize
from outproc.security.authenticator import Authenticator
from outproc.security.ed25519 import Ed25519Authenticator
from outproc.security.key_file_error import KeyFileError
from outproc.security.secret_file import read_secret_file

if TYPE_CHECKING:
    from outproc.security.jwt_verifier import JwtVerifier
    from outproc.security.mutual_tls import MutualTlsAuthenticator
    from outproc.security.tls_files import TlsFiles
    from outproc.security.tokens import TokenAuthenticator

Change = Callable[[], None]


def add_proof_options(parser: argparse.ArgumentParser) -> None:
    """`--mtls`, `--token-file`, `--token-authority`, `--token-algorithm`, `--token-issuer`, `--bearer`."""
    parser.add_argument(
        "--mtls",
        action="store_true",
        help="prove ids by TLS: --cert names this node (URI:litz:ID) and --ca signs everybody's; with --key or "
        "--shared-key-file too, those prove ids on other wires",
    )
    parser.add_argument(
        "--token-file", type=Path, metavar="FILE", help="prove this node by the token (JWT) in FILE; read at each dial"
    )
    parser.add_argument(
        "--token-authority", type=Path, metavar="FILE", help="the public key (PEM) of whoever signs tokens"
    )
    parser.add_argument(
        "--token-algorithm", default="EdDSA", metavar="NAME", help="how tokens are signed (default: EdDSA)"
    )
    parser.add_argument("--token-issuer", metavar="ISS", help="the issuer that tokens must name")
    parser.add_argument(
        "--bearer", action="store_true", help="take tokens of diallers that name no key, where the channel is protected"
    )


def add_allow_option(parser: argparse.ArgumentParser) -> None:
    """`--allow`."""
    parser.add_argument(
        "--allow",
        action="append",
        metavar="ID",
        help="let in only this id, of those that prove theirs; repeatable",
    )


def authorize_of(arguments: argparse.Namespace) -> Authorize | None:
    """What `--allow` asks for."""
    if arguments.allow is None:
        return None
    allowed = frozenset(arguments.allow)
    return lambda peer, what, verb: peer in allowed


class Credentials:
    """What the options ask for. Raises `UsageError`, `KeyFileError` that names the option or file."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self._arguments = arguments
        self._verifier: JwtVerifier | None = None
        self._mtls: MutualTlsAuthenticator | None = None
        if getattr(arguments, "cert", None) is not None and not arguments.mtls and not hasattr(arguments, "listen"):
            raise UsageError("--cert is shown to who is dialled only with --mtls; give that too, or leave --cert out")
        self.tls = _tls_of(arguments)
        second = self._tokens() if arguments.token_file is not None else authenticator_of(arguments)
        self._second = second
        self.authenticator: Authenticator | None = second
        if arguments.mtls:
            if self.tls is None or arguments.cert is None or arguments.ca is None:
                raise UsageError("--mtls needs --cert FILE (this node's certificate) and --ca FILE (who signs them)")
            from outproc.security.mutual_tls import MutualTlsAuthenticator

            self._mtls = MutualTlsAuthenticator(authorities=self.tls.authorities, otherwise=second)
            self.authenticator = self._mtls

    def _tokens(self) -> TokenAuthenticator:
        from outproc.security.jwt_verifier import JwtVerifier
        from outproc.security.keys import load_key
        from outproc.security.tokens import MAX_TOKEN, TokenAuthenticator

        arguments = self._arguments
        if arguments.shared_key_file is not None or arguments.trust is not None:
            raise UsageError("give either --token-file, or --trust, or --shared-key-file")
        if arguments.id is None or arguments.token_authority is None:
            raise UsageError("--token-file needs --id ID, which the token names, and --token-authority FILE")
        try:
            self._verifier = JwtVerifier(
                _pem(arguments.token_authority), algorithm=arguments.token_algorithm, issuer=arguments.token_issuer
            )
        except (ValueError, ImportError) as error:
            raise UsageError(f"--token-authority {arguments.token_authority}: {error}") from error
        read_secret_file(arguments.token_file, "token", MAX_TOKEN)

        async def fetch(audience: str) -> str:
            return await asyncio.to_thread(read_secret_file, arguments.token_file, "token", MAX_TOKEN)

        key = load_key(arguments.key) if arguments.key is not None else None
        return TokenAuthenticator(arguments.id, self._verifier, fetch, private_key=key, allow_bearer=arguments.bearer)

    def builders(self) -> list[WireBuilder] | None:
        """The wire builders to use; None: all that are installed."""
        # A certificate that is for listening only is not shown where this node dials.
        return builders_with(self.tls.client_context) if self.tls and self._mtls else builders_of(self._arguments)

    def server_context(self) -> ssl.SSLContext | None:
        """What `wss://` ports use."""
        return self.tls.server_context() if self.tls is not None else None

    async def reload(self) -> bool:
        """Read all files again and use what is new. Returns whether anything may be. If one of them cannot be used all
        stays as it was, and `KeyFileError` says which."""
        changes = await asyncio.to_thread(self._read)
        for change in changes:
            change()
        return bool(changes)

    def _read(self) -> list[Change]:
        arguments, second, changes = self._arguments, self._second, list[Change]()
        if isinstance(second, Ed25519Authenticator):
            from outproc.security.keys import load_key, load_trust

            key, ring = load_key(arguments.key), load_trust(arguments.trust or config_dir() / "trust")
            changes += [lambda: second.use_key(key), lambda: second.ring.become(ring)]
        if self._verifier is not None:
            changes.append(self._new_authority(self._verifier))
        if self.tls is not None:
            changes.append(self._new_certificates(self.tls))
        return changes

    def _new_authority(self, verifier: JwtVerifier) -> Change:
        from outproc.security.jwt_verifier import JwtVerifier

        path = self._arguments.token_authority
        pem = _pem(path)
        try:
            JwtVerifier(pem, algorithm=self._arguments.token_algorithm)
        except ValueError as error:
            raise KeyFileError(f"{path}: {error}") from None
        return lambda: verifier.use(pem)

    def _new_certificates(self, tls: TlsFiles) -> Change:
        material, mtls = tls.read(), self._mtls

        def change() -> None:
            tls.use(material)
            if mtls is not None:
                mtls.trust_only(material.authorities)

        return change


def _tls_of(arguments: argparse.Namespace) -> TlsFiles | None:
    cert, key, ca = (getattr(arguments, name, None) for name in ("cert", "cert_key", "ca"))
    secure = [url for url in getattr(arguments, "listen", None) or () if url.startswith("wss:")]
    if cert is None or not (arguments.mtls or secure):
        return None
    check_certificate(cert, key, [*secure, "--mtls"][0])
    if not arguments.mtls:
        ca = None
    from outproc.security.tls_files import TlsFiles

    return TlsFiles(cert, key, ca)


def _pem(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise KeyFileError(f"cannot read {path}: {error.strerror}") from error
