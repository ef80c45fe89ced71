"""Makes docs/vectors/handshake.json from the machines. Run as a module to write the file anew:

python -m tests.unit.outproc_handshake.handshake_vectors
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from outproc.handshake import (
    Acceptor,
    AcceptorStep,
    DiallerStep,
    Entropy,
    Initiator,
    LanePosition,
    Link,
    NeedsVerification,
    Node,
    unproved_refusal,
)
from outproc.security import Authenticator, Ed25519Authenticator, NoAuthenticator, SealNeed, SharedKeyAuthenticator
from outproc.security.sealing import Sealer, SealKeys
from outproc.session.identity import Half
from tests.unit.outproc_handshake.handshake_kit import (
    ALICE,
    ALICE_KEY,
    ALICE_LIFE,
    BOB,
    BOB_KEY,
    BOB_LIFE,
    TERMS,
    check,
    known_bytes,
    node,
)

PATH = Path(__file__).parents[3] / "docs" / "vectors" / "handshake.json"
SECRET = b"sixteen bytes, or more of them"


def make() -> dict[str, Any]:
    """All vectors, as the file holds them."""
    public = {name: Ed25519Authenticator(key).public_key for name, key in (("alice", ALICE_KEY), ("bob", BOB_KEY))}
    return {
        "about": "litz handshake, version 1; see docs/handshake.md. Binary values are in hexadecimal.",
        "cases": [
            _Case("claims", NoAuthenticator(), NoAuthenticator(), need=SealNeed.NEVER).story(),
            _Case(
                "ed25519, sealed",
                Ed25519Authenticator(ALICE_KEY, {"bob": public["bob"]}),
                Ed25519Authenticator(BOB_KEY, {"alice": public["alice"]}),
                need=SealNeed.REQUIRE,
                secrets={"dialler_private_key": ALICE_KEY.hex(), "acceptor_private_key": BOB_KEY.hex()},
            ).story(),
            _Case(
                "shared key, bound to its channel",
                SharedKeyAuthenticator(SECRET),
                SharedKeyAuthenticator(SECRET),
                need=SealNeed.OFFER,
                binding=b"what both ends know of their TLS connection",
                secrets={"shared_secret": SECRET.hex()},
            ).story(),
        ],
        "rekey": _rekey(),
        "refusals_without_proof": [
            unproved_refusal("incompatible", versions=(1,)).decode(),
            unproved_refusal("busy", retry_after=0.25).decode(),
            unproved_refusal("unauthenticated", reason="I am not the dest you want").decode(),
        ],
        "refused_as_hello": [bad.hex() for bad in _bad_hellos()],
    }


class _Case:
    """One wire between alice, who dials, and bob, with everything that is said on it."""

    def __init__(
        self,
        name: str,
        alice: Authenticator,
        bob: Authenticator,
        *,
        need: SealNeed,
        binding: bytes | None = None,
        secrets: dict[str, str] | None = None,
    ) -> None:
        link = Link("memory", binding, need)
        self._drawn: dict[str, list[str]] = {"dialler": [], "acceptor": []}
        self.auth: dict[str, Authenticator] = {"dialler": alice, "acceptor": bob}
        self.dialler = Initiator(node("alice", alice), "bob", link, self._entropy("dialler"))
        self.acceptor = Acceptor(node("bob", bob), link, self._entropy("acceptor"))
        self.frames: list[dict[str, Any]] = []
        self.keys: SealKeys | None = None
        self.out: dict[str, Any] = {
            "name": name,
            "method": alice.method,
            "dialler": _node_json(node("alice", alice)),
            "acceptor": _node_json(node("bob", bob)),
            "kind": link.kind,
            "channel_binding": binding.hex() if binding is not None else None,
            "seal": need.value,
            **(secrets or {}),
        }

    def _entropy(self, side: str) -> Entropy:
        source = known_bytes(side)

        def draw(size: int) -> bytes:
            drawn = source(size)
            self._drawn[side].append(drawn.hex())
            return drawn

        return draw

    def story(self) -> dict[str, Any]:
        challenge = self._to_acceptor(self.dialler.hello())
        self._to_dialler(challenge.frame)  # type: ignore[union-attr]  # HELLO is answered with it
        stale = Half(BOB_LIFE, 6)
        self._to_acceptor(self.dialler.join(ALICE, stale, TERMS))
        final = (LanePosition(lane=0, number=40, offset=0, processed=39, durable=0),)
        self._to_dialler(self.acceptor.mismatch(stale, ALICE, final, partial=True, reason="discarded"))
        higher = Half(ALICE_LIFE, 2)
        self._to_acceptor(self.dialler.join(higher, None, TERMS))
        self._to_dialler(self.acceptor.ok(BOB, higher, TERMS))
        self._to_acceptor(self.dialler.refuse("duplicate", reason="another wire stays"))
        keys = None
        if self.keys is not None:
            keys = {"dialler_to_acceptor": self.keys.send.hex(), "acceptor_to_dialler": self.keys.receive.hex()}
        return {**self.out, "entropy": self._drawn, "frames": self.frames, "keys": keys, "sealed": self._sealed()}

    def _to_acceptor(self, frame: bytes) -> AcceptorStep:
        step = self.acceptor.receive(frame)
        self._note("dialler", frame, step)
        if isinstance(step, NeedsVerification):
            check(self.auth["acceptor"], step)
            return self.acceptor.verified()
        return step

    def _to_dialler(self, frame: bytes) -> DiallerStep:
        step = self.dialler.receive(frame)
        self._note("acceptor", frame, step)
        if isinstance(step, NeedsVerification):
            self.keys = step.seal or self.keys
            check(self.auth["dialler"], step)
            return self.dialler.verified()
        return step

    def _note(self, side: str, frame: bytes, step: DiallerStep | AcceptorStep) -> None:
        covered = step.transcript.hex() if isinstance(step, NeedsVerification) else None
        self.frames.append({"from": side, "frame": frame.decode(), "proof_covers": covered})

    def _sealed(self) -> list[dict[str, str]]:
        """Every frame after CHALLENGE, as it looks on the wire."""
        if self.keys is None:
            return []
        sealers = {"dialler": Sealer(self.keys.send), "acceptor": Sealer(self.keys.receive)}
        return [
            {"from": entry["from"], "sealed": sealers[entry["from"]].seal([entry["frame"].encode()]).hex()}
            for entry in self.frames[2:]
        ]


def _node_json(described: Node) -> dict[str, Any]:
    return {
        "id": described.id,
        "incarnation": {"started": str(described.incarnation.started), "random": str(described.incarnation.random)},
        "limits": described.limits.model_dump(mode="json"),
        "features": list(described.features),
        "versions": list(described.versions),
        "credential": described.authenticator.credential().hex(),
    }


def _rekey() -> dict[str, Any]:
    key = bytes(range(32))
    sealer = Sealer(key, rekey_after=1)
    first, second = sealer.seal([b"last under the first key"]), sealer.seal([b"first under the second"])
    return {
        "about": "With a key change after one frame instead of 2^20.",
        "key": key.hex(),
        "frames": [first.hex(), second.hex()],
        "plain": [b"last under the first key".hex(), b"first under the second".hex()],
    }


def _bad_hellos() -> list[bytes]:
    link = Link("memory")
    hello = Initiator(node("alice"), "bob", link, known_bytes("dialler")).hello()
    return [
        hello[:-1],
        b" " + hello,
        hello.replace(b'"bob"', b'"bob\xff"'),
        hello.replace(b'"bound":false', b'"bound":false,"bound":false'),
        hello.replace(b'"bound":false', b'"bound":NaN'),
        hello.replace(b'"random":"', b'"random":"99999999999999'),
        hello.replace(b'"random":"', b'"random":"0'),
        hello.replace(b'"versions":[1]', b'"versions":[1.0]'),
        hello.replace(b'"features":["one"]', b'"features":[[[[[[]]]]]]'),
        hello + b"\n",
    ]


if __name__ == "__main__":
    PATH.write_text(json.dumps(make(), indent=1) + "\n")
