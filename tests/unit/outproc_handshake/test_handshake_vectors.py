"""docs/vectors/handshake.json, in both directions: our machines make exactly these frames and accept them, and
what docs/handshake.md says, written down here again with nothing but the standard library, makes them too."""

from __future__ import annotations

import hashlib
import hmac
import json
from base64 import urlsafe_b64decode
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from litz.errors import ProtocolError
from outproc.handshake import Acceptor, Initiator, Link, NeedsVerification
from outproc.handshake.codec import encode_body, parse, split
from outproc.security import (
    Authenticator,
    Ed25519Authenticator,
    NoAuthenticator,
    SealNeed,
    SharedKeyAuthenticator,
)
from outproc.security.sealing import Opener
from tests.unit.outproc_handshake import handshake_vectors
from tests.unit.outproc_handshake.handshake_kit import check, known_bytes, node

VECTORS: dict[str, Any] = json.loads(handshake_vectors.PATH.read_text())
CASES = pytest.mark.parametrize("case", VECTORS["cases"], ids=lambda case: case["name"])


def test_our_machines_make_exactly_these() -> None:
    assert handshake_vectors.make() == VECTORS


def authenticators(case: dict[str, Any]) -> dict[str, Authenticator]:
    """Those of both sides, from the secrets in the file."""
    if case["method"] == "ed25519":
        public = {side: bytes.fromhex(case[side]["credential"]) for side in ("dialler", "acceptor")}
        return {
            "dialler": Ed25519Authenticator(bytes.fromhex(case["dialler_private_key"]), {"bob": public["acceptor"]}),
            "acceptor": Ed25519Authenticator(bytes.fromhex(case["acceptor_private_key"]), {"alice": public["dialler"]}),
        }
    if case["method"] == "shared-key":
        return dict.fromkeys(("dialler", "acceptor"), SharedKeyAuthenticator(bytes.fromhex(case["shared_secret"])))
    return dict.fromkeys(("dialler", "acceptor"), NoAuthenticator())


@CASES
def test_our_machines_accept_these(case: dict[str, Any]) -> None:
    """Each side with a peer that plays the file, frame by frame."""
    binding = bytes.fromhex(case["channel_binding"]) if case["channel_binding"] is not None else None
    link = Link(case["kind"], binding, SealNeed(case["seal"]))
    auth = authenticators(case)
    acceptor = Acceptor(node("bob", auth["acceptor"]), link, known_bytes("acceptor"))
    dialler = Initiator(node("alice", auth["dialler"]), "bob", link, known_bytes("dialler"))
    assert dialler.hello() == case["frames"][0]["frame"].encode()
    for entry in case["frames"]:
        frame = entry["frame"].encode()
        parsed = parse(split(frame))
        assert encode_body(parsed.value) == parsed.body  # every field was understood
        to_acceptor = entry["from"] == "dialler"
        machine: Acceptor | Initiator = acceptor if to_acceptor else dialler
        step = machine.receive(frame)
        if isinstance(step, NeedsVerification):
            assert step.transcript.hex() == entry["proof_covers"]
            check(auth["acceptor" if to_acceptor else "dialler"], step)
            machine.verified()
        _answer_like_the_file(acceptor, dialler, case, entry)


def _answer_like_the_file(acceptor: Acceptor, dialler: Initiator, case: dict[str, Any], entry: dict[str, Any]) -> None:
    at = case["frames"].index(entry) + 1
    if at == len(case["frames"]):
        return
    following = case["frames"][at]["frame"].encode()
    value: Any = parse(split(following)).value
    match value.type:
        case "join":
            made = dialler.join(value.mine, value.yours, value.terms)
        case "ok":
            made = acceptor.ok(value.mine, value.yours, value.terms)
        case "mismatch":
            made = acceptor.mismatch(value.mine, value.yours, value.final, partial=value.partial, reason=value.reason)
        case "refuse":
            made = dialler.refuse(value.code, reason=value.reason)
        case _:
            return  # CHALLENGE was made by receiving HELLO
    assert made == following


def absorb(transcript: bytes, label: bytes, data: bytes) -> bytes:
    return hashlib.sha256(transcript + bytes([len(label)]) + label + len(data).to_bytes(8, "little") + data).digest()


def decode(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


def transcripts(case: dict[str, Any]) -> tuple[list[bytes | None], bytes]:
    """By the text of docs/handshake.md: what each frame's proof covers, and the salt of the sealing keys."""
    covers: list[bytes | None] = []
    current = hashlib.sha256(b"litz handshake 1").digest()
    first_join = latest_join = salt = b""
    for entry in case["frames"]:
        body, line_feed, proof = entry["frame"].encode().partition(b"\n")
        kind = json.loads(body)["type"]
        if kind == "hello":
            current = absorb(current, b"hello", body)
            covers.append(None)
        elif kind == "challenge":
            bound = json.loads(body)["bound"] and json.loads(case["frames"][0]["frame"])["bound"]
            binding = bytes.fromhex(case["channel_binding"]) if bound else b""
            current = absorb(absorb(current, b"challenge", body), b"binding", binding)
            covers.append(current)
            salt = absorb(current, b"proof", decode(proof.decode()))
        elif kind == "join" and not first_join:
            covers.append(absorb(salt, b"join", body))
            first_join = latest_join = absorb(covers[-1] or b"", b"proof", decode(proof.decode()))
        elif kind == "join":
            latest_join = absorb(first_join, b"join", body)
            covers.append(None)
            assert not line_feed
        else:
            covers.append(absorb(latest_join, kind.encode(), body))
    return covers, salt


@CASES
def test_the_document_says_what_proofs_cover(case: dict[str, Any]) -> None:
    covers, _ = transcripts(case)
    assert [entry["proof_covers"] for entry in case["frames"]] == [each.hex() if each else None for each in covers]


@CASES
def test_the_document_says_how_proofs_are_made(case: dict[str, Any]) -> None:
    checked = 0
    for entry, covered in zip(case["frames"], transcripts(case)[0], strict=True):
        if covered is None:
            continue
        checked += 1
        proof = decode(entry["frame"].partition("\n")[2])
        method = case["method"].encode()
        said = b"litz proof 1\0" + entry["from"].encode() + b"\0" + method + b"\0" + covered
        if case["method"] == "ed25519":
            public = bytes.fromhex(case[entry["from"]]["credential"])
            Ed25519PublicKey.from_public_bytes(public).verify(proof, said)
        elif case["method"] == "shared-key":
            key = hkdf(bytes.fromhex(case["shared_secret"]), bytes(32), b"litz shared key 1")
            assert proof == hmac.digest(key, said, "sha256")
        else:
            assert proof == b""
    assert checked == 5


def hkdf(secret: bytes, salt: bytes, info: bytes) -> bytes:
    """HKDF-SHA256 (RFC 5869) of 32 bytes."""
    return expand(hmac.digest(salt, secret, "sha256"), info)


def expand(key: bytes, info: bytes) -> bytes:
    return hmac.digest(key, info + b"\x01", "sha256")


@CASES
def test_the_document_says_how_frames_are_sealed(case: dict[str, Any]) -> None:
    if case["keys"] is None:
        assert case["sealed"] == []
        return
    private = X25519PrivateKey.from_private_bytes(bytes.fromhex(case["entropy"]["dialler"][1]))
    theirs = decode(json.loads(case["frames"][1]["frame"].partition("\n")[0])["x25519"])
    shared = private.exchange(X25519PublicKey.from_public_bytes(theirs))
    _, salt = transcripts(case)
    keys = {
        "dialler": hkdf(shared, salt, b"litz seal 1 dialler to acceptor"),
        "acceptor": hkdf(shared, salt, b"litz seal 1 acceptor to dialler"),
    }
    assert case["keys"] == {
        "dialler_to_acceptor": keys["dialler"].hex(),
        "acceptor_to_dialler": keys["acceptor"].hex(),
    }
    counters = {"dialler": 0, "acceptor": 0}
    for entry, sealed in zip(case["frames"][2:], case["sealed"], strict=True):
        side = entry["from"]
        nonce = bytes(4) + counters[side].to_bytes(8, "little")
        counters[side] += 1
        frame = bytes.fromhex(sealed["sealed"])
        assert ChaCha20Poly1305(keys[side]).decrypt(nonce, frame, None) == entry["frame"].encode()


def test_the_document_says_how_the_key_changes() -> None:
    vector = VECTORS["rekey"]
    key = bytes.fromhex(vector["key"])
    following = expand(key, b"litz rekey 1")
    frames = [bytes.fromhex(frame) for frame in vector["frames"]]
    plain = [bytes.fromhex(text) for text in vector["plain"]]
    for each, frame, wanted in zip((key, following), frames, plain, strict=True):
        assert ChaCha20Poly1305(each).decrypt(bytes(12), frame, None) == wanted
    opener = Opener(key, rekey_after=1)
    assert [opener.open(frame) for frame in frames] == plain


@pytest.mark.parametrize("frame", VECTORS["refused_as_hello"])
def test_what_is_no_hello_is_refused(frame: str) -> None:
    with pytest.raises(ProtocolError):
        Acceptor(node("bob"), Link("memory"), known_bytes("b")).receive(bytes.fromhex(frame))


def test_the_refused_differ_from_a_good_one() -> None:
    """A vector that lost its fault would be refused for nothing, or not at all."""
    hello = VECTORS["cases"][0]["frames"][0]["frame"].encode().hex()
    assert hello not in VECTORS["refused_as_hello"]
    assert len(set(VECTORS["refused_as_hello"])) == len(VECTORS["refused_as_hello"])
