"""The key ring: which public keys may prove which id. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from hmac import compare_digest

from litz.dest import validate_dest
from outproc.security.key_text import DERIVED_PREFIX, derived_id, parse_public_key


class KeyRing:
    """Ids and the public keys that may prove them. Several keys for one id let a key be replaced without a gap.

    Keys are given as 32 bytes or in their one-line form. Raises ValueError for what is neither, and for a derived
    id with a key that is not its own. May be changed at any time; it counts from the next handshake on.
    """

    def __init__(self, trusted: Mapping[str, str | bytes | Iterable[str | bytes]] | None = None) -> None:
        self._keys: dict[str, tuple[bytes, ...]] = {}
        for peer_id, keys in (trusted or {}).items():
            for key in (keys,) if isinstance(keys, str | bytes) else keys:
                self.trust(peer_id, key)

    def trust(self, peer_id: str, key: str | bytes) -> None:
        """Let `key` prove `peer_id`, besides the keys that already may."""
        validate_dest(peer_id)
        public_key = parse_public_key(key) if isinstance(key, str) else key
        own_id = derived_id(public_key)  # checks the length as well
        if peer_id.startswith(DERIVED_PREFIX) and peer_id != own_id:
            raise ValueError(f"the id {peer_id!r} belongs to another key; the id of this one is {own_id!r}")
        known = self._keys.get(peer_id, ())
        if public_key not in known:
            self._keys[peer_id] = (*known, public_key)

    def become(self, other: KeyRing) -> None:
        """Trust exactly what `other` trusts. Wires that are up stay up until `reauthorize`."""
        self._keys = dict(other._keys)

    def forget(self, peer_id: str) -> None:
        """No key proves `peer_id` any more. Unknown ids are fine. Wires that are up stay up until
        `reauthorize`."""
        self._keys.pop(peer_id, None)

    def trusts(self, peer_id: str, public_key: bytes) -> bool:
        """Whether `public_key` may prove `peer_id`."""
        found = False
        for key in self._keys.get(peer_id, ()):
            found |= compare_digest(key, public_key)
        return found

    def __contains__(self, peer_id: object) -> bool:
        return peer_id in self._keys

    def __iter__(self) -> Iterator[str]:
        return iter(self._keys)

    def __len__(self) -> int:
        return len(self._keys)

    def __repr__(self) -> str:
        return f"<key ring of {len(self)} ids>"
