"""Mutants of rights: what tokens and certificates prove, whom `authorize` lets in, and who is dropped."""

from __future__ import annotations

from tests.simulation.mutants.mutant import Edit, Mutant

RIGHTS_RUN = "tests.simulation.rights.run:run_seed"
RIGHTS_STREAMS = "tests.simulation.rights.run:run_streams"
SESSION = "outproc.streams.session_streams"
TOKENS = "outproc.security.tokens"
MTLS = "outproc.security.mutual_tls"
WIRE_PROOF = "outproc.wire_proof"
RIGHTS = "outproc.rights"
REAUTHORIZE = "outproc.reauthorize"


def _mutant(name: str, module: str, old: str, new: str, *killers: str) -> Mutant:
    return Mutant(name, "P8", (Edit(module, old, new),), killers, RIGHTS_RUN)


def _of_streams(name: str, module: str, old: str, new: str) -> Mutant:
    return Mutant(name, "P8", (Edit(module, old, new),), ("places", "service"), RIGHTS_STREAMS)


RIGHTS_MUTANTS = (
    _mutant("token-of-another-subject", TOKENS, "if claims.subject != peer_id:", "if False:", "verdict"),
    _mutant(
        "token-for-another-audience",
        TOKENS,
        "if not {self.local_id, self.group} & {*claims.audience}:",
        "if False:",
        "verdict",
    ),
    _mutant("token-without-its-key", TOKENS, "        if claims.key is None:", "        if True:", "verdict"),
    _mutant(
        "signature-of-a-token-not-looked-at",
        TOKENS,
        "        except (ValueError, InvalidSignature):\n",
        "        except InvalidSignature:\n            return\n        except ValueError:\n",
        "verdict",
    ),
    _mutant(
        "proof-of-a-token-fits-any-handshake",
        TOKENS,
        "return statement(role, self.method, transcript) + ",
        "return statement(role, self.method, bytes(32)) + ",
        "verdict",
    ),
    _mutant(
        "proof-of-a-token-fits-any-role",
        TOKENS,
        "return statement(role, self.method, transcript) + ",
        "return statement(Role.DIALLER, self.method, transcript) + ",
        "verdict",
    ),
    _mutant("bearer-always-allowed", TOKENS, " or not self._owner.allow_bearer:", ":", "verdict"),
    _mutant("bearer-token-of-an-acceptor", TOKENS, "if role is Role.ACCEPTOR or not ", "if not ", "verdict"),
    _mutant("bearer-in-the-clear", TOKENS, "        if not self._channel.secure:\n", "        if False:\n", "verdict"),
    _mutant(
        "bearer-for-others-too",
        TOKENS,
        "if claims.audience != (self._owner.local_id,):",
        "if self._owner.local_id not in claims.audience:",
        "verdict",
    ),
    _mutant("certificate-of-another-id", MTLS, "        if peer_id not in ids:", "        if not ids:", "verdict"),
    _mutant("expired-certificate", MTLS, "<= certificate.not_valid_after_utc:", ":", "verdict"),
    _mutant(
        "authority-not-looked-at",
        MTLS,
        "if self._authorities is not None and self._authorities.isdisjoint",
        "if self._authorities is not None and not self._authorities and set",
        "verdict",
    ),
    _mutant(
        "certificates-of-another-handshake",
        MTLS,
        "if not compare_digest(proof, self.prove(transcript, role)):",
        "if not proof:",
        "verdict",
    ),
    _mutant(
        "authorize-not-asked",
        WIRE_PROOF,
        "            await self._node.rights.admit(step.peer_id)\n",
        "",
        "forbidden-out",
        "service",
    ),
    _mutant(
        "authorize-asked-beside",
        WIRE_PROOF,
        "            await self._node.rights.admit(step.peer_id)\n",
        "            if not self._node.rights.standing(step.peer_id):\n"
        "                await self._node.rights.admit(step.peer_id)\n",
        "forbidden-out",
        "service",
    ),
    _mutant(
        "anything-true-allows",
        RIGHTS,
        "            verdict = await verdict\n        return verdict is True\n",
        "            verdict = await verdict\n        return bool(verdict)\n",
        "forbidden-out",
    ),
    _mutant(
        "service-not-asked-for",
        RIGHTS,
        'if not await self._ask(peer, service, "use")]',
        "if False]",
        "service",
    ),
    _mutant(
        "service-refused-for-ever",
        RIGHTS,
        "        self.denied.pop(peer, None)\n",
        "",
        "service",
    ),
    _mutant(
        "refused-service-served",
        "outproc.internal_traffic",
        "if subscriber is None or (self.denied and topic in self.denied.get(dest, ())):",
        "if subscriber is None:",
        "service",
    ),
    _mutant(
        "forbidden-stays-when-looked-at",
        REAUTHORIZE,
        "    except ForbiddenError as error:\n        if not transport.closing:",
        "    except ForbiddenError as error:\n        if transport.closing:",
        "forbidden-out",
    ),
    _of_streams(
        "goes-for-one-that-may-not-come",
        SESSION,
        "        entry = self.table.offered(word)\n",
        "        self._make_room()\n        entry = self.table.offered(word)\n",
    ),
    _of_streams(
        "withdrawn-offer-is-rejected",
        SESSION,
        "self.turn_down(side, refused)\n        else:",
        "side.give_up(code, reason)\n        else:",
    ),
    _of_streams(
        "rights-of-streams-without-a-wire",
        REAUTHORIZE,
        "if transport.links or node.streams.holds(transport):",
        "if transport.links:",
    ),
)
