"""Proofs drawn at random, good and bad in every way, and whether an authenticator may take them."""

from __future__ import annotations

import datetime
from collections import Counter
from dataclasses import dataclass
from functools import cache
from random import Random

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from litz.errors import UnauthenticatedError
from outproc.security import Authenticator, Channel, Claims, MutualTlsAuthenticator, Role, TokenAuthenticator
from outproc.security.channel import bound
from tests.integration.identities import Authority
from tests.simulation.rights.invariants import RightsError

ME = "b"
PEERS = ("a", "c")
GOOD, WRONG = bytes(range(32)), bytes(32)


def key_of(name: str) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(name.encode().ljust(32, b"."))


async def token_verdict(rng: Random, hits: Counter[str]) -> None:
    """One token, shown to b as somebody."""
    claimed, subject = rng.choice(PEERS), rng.choice(PEERS)
    audience = rng.choice(((ME,), ("litz",), (ME, "c"), ("c",), ("litz", "c")))
    holder = rng.choice(("a", "c", None))
    signer = rng.choice((holder, holder, "mallory"))
    role = rng.choice((Role.DIALLER, Role.DIALLER, Role.ACCEPTOR))
    transcript, spoken_as = rng.choice((GOOD, GOOD, WRONG)), rng.choice((role, role, *Role))
    secure, allow = rng.random() < 0.5, rng.random() < 0.5
    key = key_of(holder).public_key().public_bytes_raw() if holder is not None else None

    async def fetch(audience: str) -> str:
        return "token"

    by = TokenAuthenticator(ME, lambda *_: Claims(subject, audience, key), fetch, allow_bearer=allow)
    shows = TokenAuthenticator(
        claimed, lambda *_: Claims("", ()), fetch, private_key=key_of(signer) if signer else None
    )
    signature = shows.sign(transcript, spoken_as, b"token")
    came = Channel("websocket", claimed if role is Role.ACCEPTOR else None, secure)
    if role is Role.DIALLER:
        credential, proof = b"", (5).to_bytes(2, "little") + b"token" + signature
    else:
        credential, proof = b"token", signature
    holds = holder is not None and signer == holder and transcript == GOOD and spoken_as is role
    bearer = holder is None and role is Role.DIALLER and allow and secure and audience == (ME,)
    right = claimed == subject and bool({ME, "litz"} & {*audience}) and (holds or bearer)
    await judge(bound(by, came), claimed, credential, proof, role, right=right, hits=hits, what=f"token {holder}")


@dataclass(frozen=True, slots=True)
class Shown:
    """A certificate, as it comes out of TLS."""

    ids: tuple[str, ...]
    known: bool
    expired: bool
    chain: tuple[bytes, ...]


@cache
def certificates() -> tuple[tuple[Shown, ...], bytes]:
    """Made once a process: their bytes are chance, what is decided by them is not."""
    ours, theirs = Authority("known"), Authority("not known")
    made = []
    for ids in (("a",), ("c",), ("a", "c"), ()):
        for authority in (ours, theirs):
            for days in (1, -1):
                pem, _ = authority.issue(*ids, days=days)
                chain = (_der(pem), _der(authority.pem))
                made.append(Shown(ids, authority is ours, days < 0, chain))
    return tuple(made), ours.pem


def _der(pem: bytes) -> bytes:
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import Encoding

    certificate = x509.load_pem_x509_certificate(pem)
    assert certificate.not_valid_before_utc < datetime.datetime.now(datetime.UTC)
    return certificate.public_bytes(Encoding.DER)


async def certificate_verdict(rng: Random, hits: Counter[str]) -> None:
    """One wire with a certificate or without, whose peer says that it is somebody."""
    shown, known = certificates()
    claimed, certificate = rng.choice(PEERS), rng.choice(shown)
    present, pinned = rng.random() < 0.8, rng.random() < 0.7
    role, transcript = rng.choice((*Role,)), rng.choice((GOOD, GOOD, WRONG))
    by = MutualTlsAuthenticator(authorities=known if pinned else None)
    came = Channel("websocket", None, secure=True, certificates=certificate.chain if present else ())
    proof = bound(MutualTlsAuthenticator(), came).prove(transcript, role)
    right = (
        present
        and claimed in certificate.ids
        and not certificate.expired
        and (certificate.known or not pinned)
        and transcript == GOOD
    )
    await judge(bound(by, came), claimed, b"", proof, role, right=right, hits=hits, what="certificate")


async def judge(
    by: Authenticator,
    peer: str,
    credential: bytes,
    proof: bytes,
    role: Role,
    *,
    right: bool,
    hits: Counter[str],
    what: str,
) -> None:
    """Raises RightsError unless `by` takes exactly what is right."""
    try:
        await by.verify(peer, credential, GOOD, proof, role)
    except UnauthenticatedError:
        taken = False
    else:
        taken = True
    hits[f"{what} {'taken' if taken else 'refused'}"] += 1
    if taken != right:
        raise RightsError("verdict", f"{by!r} {'took' if taken else 'refused'} a proof of {peer} ({what}, {role})")
