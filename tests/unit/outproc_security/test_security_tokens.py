"""Tokens: what is verified of them, what is refused, and that nothing shows one.

Covers `outproc.security.tokens`, `outproc.security.jwt_verifier`, `outproc.security.channel`.
"""

from __future__ import annotations

import asyncio
import hmac
from base64 import urlsafe_b64encode
from collections.abc import Callable
from functools import partial

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from litz.errors import UnauthenticatedError
from outproc.security import Authenticator, Channel, Claims, JwtVerifier, PerWire, Prepares, Role, TokenAuthenticator
from outproc.security.channel import bound
from tests.integration.identities import issuer_key, node_key, public_pem, secret_pem, token, tokens, verifier

TO_BOB = Channel("websocket", "bob", secure=True)
FROM_ALICE = Channel("websocket", None, secure=True)
PLAIN_TO_BOB = Channel("websocket", "bob", secure=False)
PLAIN_FROM_ALICE = Channel("websocket", None, secure=False)
SCRIPT = bytes(range(32))
AUDIENCES = ("bob", "litz")


async def shown(by: TokenAuthenticator, channel: Channel = TO_BOB, transcript: bytes = SCRIPT) -> bytes:
    """What a dialler shows to bob."""
    wire = bound(by, channel)
    assert isinstance(wire, Prepares)
    await wire.prepare()
    assert wire.credential() == b"", "a token is said before the acceptor has proved itself"
    return wire.prove(transcript, Role.DIALLER)


async def judged(
    proof: bytes,
    by: TokenAuthenticator,
    channel: Channel = FROM_ALICE,
    *,
    peer: str = "alice",
    transcript: bytes = SCRIPT,
) -> None:
    await bound(by, channel).verify(peer, b"", transcript, proof, Role.DIALLER)


# -- the verifier -------------------------------------------------------------------------------------------


def test_what_a_good_token_says() -> None:
    holder = node_key("alice")
    claims = verifier()(token("alice", ["x", "bob"], holder=holder), AUDIENCES)
    assert claims == Claims("alice", ("x", "bob"), holder.public_key().public_bytes_raw())
    assert verifier()(token("alice", "bob"), AUDIENCES).key is None


def mutilated(text: str) -> str:
    head, body, signature = text.split(".")
    return f"{head}.{body[:-2]}{'AA' if body[-2:] != 'AA' else 'BB'}.{signature}"


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda: token("alice", "bob", expires_in=-120), "expired signature"),
        (lambda: token("alice", "bob", nbf=9_999_999_999), "immature signature"),
        (lambda: token("alice", "carol"), "invalid audience"),
        (lambda: token("alice", "bob", aud=None), "missing required claim"),
        (lambda: token("alice", "bob", exp=None), "missing required claim"),
        (lambda: token("alice", "bob", sub=None), "missing required claim"),
        (lambda: token("alice", "bob", iss="https://other.example"), "invalid issuer"),
        (lambda: token("alice", "bob", key=secret_pem(Ed25519PrivateKey.generate())), "invalid signature"),
        (lambda: token("alice", "bob", key="", algorithm="none"), "invalid algorithm"),
        (lambda: mutilated(token("alice", "bob")), "refused"),
        (lambda: token("alice", "bob", headers={"crit": ["b64"], "b64": True}), "crit|invalid|refused"),
        (lambda: "a.b.c", "decode"),
        (lambda: "no token", "decode"),
        (lambda: token("alice", "bob", cnf={"jkt": "x"}), "cnf holds no Ed25519 key"),
        (lambda: token("alice", "bob", cnf="x"), "cnf holds no Ed25519 key"),
        (lambda: token("alice", "bob", cnf={"jwk": {"kty": "OKP", "crv": "Ed25519", "x": "AA"}}), "cnf holds no"),
    ],
)
def test_bad_tokens_are_refused_and_not_quoted(make: Callable[[], str], why: str) -> None:
    text = make()
    with pytest.raises(UnauthenticatedError, match=why) as caught:
        verifier()(text, AUDIENCES)
    assert text not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_secret_made_of_the_public_key_is_no_signature() -> None:
    """Algorithm confusion (RFC 8725, section 2.1): PyJWT itself refuses to sign so, an attacker does not."""

    def b64(raw: bytes) -> str:
        return urlsafe_b64encode(raw).rstrip(b"=").decode()

    honest = token("alice", "bob")
    covered = b64(b'{"alg":"HS256","typ":"JWT"}') + "." + honest.split(".")[1]
    signature = hmac.digest(public_pem(issuer_key()), covered.encode(), "sha256")
    with pytest.raises(UnauthenticatedError, match="invalid algorithm"):
        verifier()(f"{covered}.{b64(signature)}", AUDIENCES)


def test_clocks_may_differ_a_little() -> None:
    late = token("alice", "bob", expires_in=-10)
    assert verifier()(late, AUDIENCES).subject == "alice"
    with pytest.raises(UnauthenticatedError, match="expired"):
        verifier(leeway=0)(late, AUDIENCES)


@pytest.mark.parametrize(
    ("keys", "algorithm", "why"),
    [
        (public_pem(issuer_key()), "none", "algorithm is one of"),
        (public_pem(issuer_key()), "HS256", "secret of 32 bytes"),
        (b"short", "HS256", "secret of 32 bytes"),
        (public_pem(issuer_key()), "RS256", "another kind of key"),
        (secret_pem(issuer_key()), "EdDSA", "public key in PEM"),
        (b"nothing", "EdDSA", "public key in PEM"),
    ],
)
def test_keys_that_do_not_fit_the_algorithm(keys: bytes, algorithm: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        JwtVerifier(keys, algorithm=algorithm)


def test_keys_are_replaced_without_a_gap() -> None:
    old, new = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
    by = JwtVerifier({"1": public_pem(old)}, algorithm="EdDSA")
    by_old = token("alice", "bob", key=secret_pem(old), headers={"kid": "1"})
    by_new = token("alice", "bob", key=secret_pem(new), headers={"kid": "2"})
    with pytest.raises(UnauthenticatedError, match="not known here"):
        by(by_new, AUDIENCES)
    with pytest.raises(ValueError, match="public key in PEM"):
        by.use({"2": b"damaged"})
    assert by(by_old, AUDIENCES).subject == "alice", "a bad new key was taken"
    by.use({"1": public_pem(old), "2": public_pem(new)})
    assert by(by_old, AUDIENCES) == by(by_new, AUDIENCES)
    by.use({"2": public_pem(new)})
    with pytest.raises(UnauthenticatedError, match="not known here"):
        by(by_old, AUDIENCES)


# -- the authenticator --------------------------------------------------------------------------------------


async def test_a_token_whose_key_signs_is_good_on_any_channel() -> None:
    for to, came in ((TO_BOB, FROM_ALICE), (PLAIN_TO_BOB, PLAIN_FROM_ALICE)):
        await judged(await shown(tokens("alice"), to), tokens("bob"), came)


async def test_somebody_elses_token_is_of_no_use() -> None:
    stolen = token("alice", "bob", holder=node_key("alice"))
    with pytest.raises(UnauthenticatedError, match="holds the key its token names"):
        await judged(await shown(tokens("thief", lambda _: stolen)), tokens("bob"))


async def test_a_proof_is_for_one_handshake_one_role_and_one_id() -> None:
    proof = await shown(tokens("alice"))
    with pytest.raises(UnauthenticatedError, match="holds the key"):
        await judged(proof, tokens("bob"), transcript=bytes(32))
    with pytest.raises(UnauthenticatedError, match="made out to 'alice'"):
        await judged(proof, tokens("bob"), peer="carol")
    with pytest.raises(UnauthenticatedError, match="invalid audience"):
        await judged(proof, tokens("carol"))
    token_bytes, signature = proof[2:-64], proof[-64:]
    with pytest.raises(UnauthenticatedError, match="holds the key"):
        await bound(tokens("bob"), TO_BOB).verify("alice", token_bytes, SCRIPT, signature, Role.ACCEPTOR)


@pytest.mark.parametrize("proof", [b"", b"\0", b"\0\0", b"\xff\xff" + b"x" * 80, b"\3\0\xff\xff\xff" + b"x" * 64])
async def test_what_is_no_proof_is_refused(proof: bytes) -> None:
    with pytest.raises(UnauthenticatedError):
        await judged(proof, tokens("bob"))


async def test_a_bearer_token_only_where_allowed_and_for_nobody_else() -> None:
    bearer = tokens("alice", bearer=True)
    proof = await shown(bearer)
    with pytest.raises(UnauthenticatedError, match="names no key"):
        await judged(proof, tokens("bob"))
    takes = tokens("bob", allow_bearer=True)
    await judged(proof, takes)
    with pytest.raises(UnauthenticatedError, match="channel that does not protect it"):
        await judged(proof, takes, PLAIN_FROM_ALICE)
    with pytest.raises(UnauthenticatedError, match="does not protect itself"):
        await shown(bearer, PLAIN_TO_BOB)
    for audience in ("litz", ["bob", "carol"]):
        spread = tokens("alice", partial(lambda to, _: token("alice", to), audience), bearer=True)
        with pytest.raises(UnauthenticatedError, match="not for 'bob' alone"):
            await judged(await shown(spread), takes)


async def test_an_acceptor_never_shows_a_bearer_token() -> None:
    wire = bound(tokens("bob", bearer=True), FROM_ALICE)
    assert isinstance(wire, Prepares)
    assert not wire.prepared()
    with pytest.raises(UnauthenticatedError, match="can dial only"):
        await wire.prepare()
    text = token("bob", "alice").encode()
    with pytest.raises(UnauthenticatedError, match="names no key"):
        await bound(tokens("alice", allow_bearer=True), TO_BOB).verify("bob", text, SCRIPT, b"", Role.ACCEPTOR)


async def test_the_token_for_strangers_is_fetched_once_and_again_before_it_ends() -> None:
    clock = [1_000_000.0]
    asked: list[str] = []

    def make(audience: str) -> str:
        asked.append(audience)
        return token("bob", audience, holder=node_key("bob"), exp=clock[0] + 100)

    by = tokens("bob", make, wall=lambda: clock[0])
    wires = [bound(by, FROM_ALICE) for _ in range(100)]
    await asyncio.gather(*(wire.prepare() for wire in wires if isinstance(wire, Prepares)))
    assert asked == ["litz"]
    assert all(isinstance(wire, Prepares) and wire.prepared() for wire in wires)
    clock[0] += 71
    assert not any(isinstance(wire, Prepares) and wire.prepared() for wire in wires)
    await by.refresh()
    assert asked == ["litz", "litz"]


async def test_a_token_is_verified_once_a_wire_and_again_when_it_is_judged_again() -> None:
    calls: list[str] = []
    good = verifier()

    async def counted(text: str, audiences: object) -> Claims:
        calls.append(text)
        return good(text, AUDIENCES)

    async def never(audience: str) -> str:
        raise AssertionError

    wire = bound(TokenAuthenticator("bob", counted, never, private_key=bytes(32)), FROM_ALICE)
    by = tokens("alice")
    for transcript, verified in ((SCRIPT, 1), (bytes(32), 1), (SCRIPT, 2)):
        sender = bound(by, TO_BOB)
        if not calls:
            text = token("alice", "bob", holder=node_key("alice")).encode()
        proof = len(text).to_bytes(2, "little") + text + by.sign(transcript, Role.DIALLER, text)
        await wire.verify("alice", sender.credential(), transcript, proof, Role.DIALLER)
        assert len(calls) == verified


async def test_errors_of_callbacks_show_their_class_and_nothing_else() -> None:
    secret = "eyJhbGciOi-secret"

    async def fetch(audience: str) -> str:
        raise RuntimeError(f"bad answer: {secret}")

    def verify(text: str, audiences: object) -> Claims:
        raise RuntimeError(f"what is {text}")

    by = TokenAuthenticator("bob", verify, fetch, private_key=bytes(32))
    with pytest.raises(UnauthenticatedError, match="the callback raised RuntimeError") as caught:
        await by.refresh()
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__
    with pytest.raises(UnauthenticatedError, match="the verifier raised RuntimeError") as caught:
        await judged(await shown(tokens("alice")), by)
    assert "eyJ" not in str(caught.value)


@pytest.mark.parametrize("answer", ["", "ünï", "x" * 5000, None, b"bytes"])
async def test_a_callback_that_gives_no_token_is_told(answer: object) -> None:
    async def fetch(audience: str) -> str:
        return answer  # type: ignore[return-value]  # what a callback may do wrong

    with pytest.raises(UnauthenticatedError, match="gave no token"):
        await TokenAuthenticator("bob", verifier(), fetch).refresh()


def test_they_are_authenticators_and_show_no_secret() -> None:
    by = tokens("alice")
    assert isinstance(by, Authenticator)
    assert isinstance(by, PerWire)
    assert repr(by) == "<tokens of alice, held by a key>"
    assert repr(verifier()) == "<JWT verifier, EdDSA, 1 keys>"
    assert "secret" not in repr(JwtVerifier(b"secret" * 8, algorithm="HS256"))
