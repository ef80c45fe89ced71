"""How the nodes of one seed prove who they are, and which of their wires are sealed."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Literal

from outproc.security import Authenticator, Ed25519Authenticator, NoAuthenticator, SharedKeyAuthenticator

SealPolicy = Literal["auto", "always", "never"]


@dataclass(frozen=True, slots=True)
class Proofs:
    """method        "none", "ed25519" or "shared-key"
    secure_kinds  kinds of wire that protect themselves
    sealed_kinds  kinds of wire that must be sealed between every two nodes
    seal          the policy of each node
    """

    seed: int
    names: tuple[str, ...]
    method: str
    secure_kinds: frozenset[str]
    sealed_kinds: frozenset[str]
    seal: dict[str, SealPolicy]

    @property
    def verified(self) -> bool:
        """Whether the ids of senders are more than claims."""
        return self.method != "none"

    def authenticator(self, name: str) -> Authenticator:
        """What the true node of that name has."""
        match self.method:
            case "ed25519":
                public = {other: Ed25519Authenticator(self._key(other)).public_key for other in self.names}
                return Ed25519Authenticator(self._key(name), public)
            case "shared-key":
                return SharedKeyAuthenticator(f"the secret of seed {self.seed}")
            case _:
                return NoAuthenticator()

    def forged(self, name: str, rng: Random) -> Authenticator:
        """What somebody has who has not the key of `name`: a key of its own, the wrong secret, or nothing."""
        if rng.random() < 0.2:
            return NoAuthenticator()
        if self.method == "ed25519":
            public = {other: Ed25519Authenticator(self._key(other)).public_key for other in self.names}
            return Ed25519Authenticator(Random(f"no key of {name}").randbytes(32), public)
        return SharedKeyAuthenticator("a guess at the secret")

    def _key(self, name: str) -> bytes:
        return Random(f"key of {name} in {self.seed}").randbytes(32)


def draw_proofs(rng: Random, names: tuple[str, ...], kinds: tuple[str, ...], seed: int) -> Proofs:
    """No proofs in six of ten seeds, since much of what the sniffer sees is hidden by sealing."""
    method = rng.choice(("none", "none", "none", "ed25519", "shared-key"))
    if method == "none":
        return Proofs(seed, names, method, frozenset(kinds), frozenset(), dict.fromkeys(names, "auto"))
    secure = frozenset(kind for kind in kinds if rng.random() < 0.5)
    seal: dict[str, SealPolicy] = {name: rng.choice(("auto", "auto", "always")) for name in names}
    if all(policy == "auto" for policy in seal.values()) and rng.random() < 0.3 and len(secure) == len(kinds):
        seal[names[0]] = "never"
    always = list(seal.values()).count("always") >= len(names) - 1
    sealed = [kind for kind in kinds if kind not in secure or always]
    return Proofs(seed, names, method, secure, frozenset(sealed), seal)
