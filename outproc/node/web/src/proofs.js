// Authenticators: how this node proves its id, and what it believes of its peer's (docs/handshake.md, Proofs).
import { LitzError, concat, fromBase64, toBase64, toUtf8 } from "./bytes.js";

const ZERO = new Uint8Array(1);
const BASE32 = "abcdefghijklmnopqrstuvwxyz234567";

const statement = (method, role, transcript) =>
  concat([toUtf8("litz proof 1"), ZERO, toUtf8(role), ZERO, toUtf8(method), ZERO, transcript]);

const same = (left, right) => left.length === right.length && left.every((byte, index) => byte === right[index]);

export const sha256 = async (data) => new Uint8Array(await crypto.subtle.digest("SHA-256", data));

// Ids are claims. For loopback, where the node asks for no proof.
export const claims = {
  method: "none",
  proves: "nothing",
  credential: () => new Uint8Array(0),
  prove: async () => new Uint8Array(0),
  async verify(peer, credential, transcript, proof) {
    if (proof.length) throw new LitzError("unauthenticated", peer + " sent a proof where none is wanted");
  },
};

// Proves membership of the group that shares `secret`: at least 16 random bytes, text counts as UTF-8.
export async function sharedKey(secret) {
  const raw = typeof secret === "string" ? toUtf8(secret) : secret;
  if (raw.length < 16) throw new LitzError("usage", "a shared secret has at least 16 random bytes");
  const base = await crypto.subtle.importKey("raw", raw, "HKDF", false, ["deriveKey"]);
  const derived = { name: "HKDF", hash: "SHA-256", salt: new Uint8Array(0), info: toUtf8("litz shared key 1") };
  const key = await crypto.subtle.deriveKey(derived, base, { name: "HMAC", hash: "SHA-256", length: 256 }, false, ["sign", "verify"]);
  return {
    method: "shared-key",
    proves: "group",
    credential: () => new Uint8Array(0),
    prove: async (transcript, role) => new Uint8Array(await crypto.subtle.sign("HMAC", key, statement("shared-key", role, transcript))),
    async verify(peer, credential, transcript, proof, role) {
      if (!(await crypto.subtle.verify("HMAC", key, proof, statement("shared-key", role, transcript)))) {
        throw new LitzError("unauthenticated", peer + " did not prove that it knows the shared secret; give both the same one");
      }
    },
  };
}

// The id that an Ed25519 public key (32 bytes) proves by itself.
export async function derivedId(publicKey) {
  const hash = (await sha256(publicKey)).subarray(0, 20);
  let bits = "";
  for (const byte of hash) bits += byte.toString(2).padStart(8, "0");
  return "ed25519:" + bits.match(/.{5}/g).map((five) => BASE32[parseInt(five, 2)]).join("");
}

const keyBytes = (key) => (typeof key === "string" ? fromBase64(key.replace(/^ed25519-public:/, "")) : key);

// Proves this node by an Ed25519 CryptoKeyPair (WebCrypto), and peers by the public keys in `trusted`: {id: key or
// [keys]}, bytes or text "ed25519-public:...". An id that is derived from its key needs no entry.
export async function ed25519({ privateKey, publicKey }, trusted = {}) {
  const shown = new Uint8Array(await crypto.subtle.exportKey("raw", publicKey));
  return {
    method: "ed25519",
    proves: "id",
    id: await derivedId(shown),
    credential: () => shown,
    prove: async (transcript, role) => new Uint8Array(await crypto.subtle.sign("Ed25519", privateKey, statement("ed25519", role, transcript))),
    async verify(peer, credential, transcript, proof, role) {
      let good = false;
      try {
        const key = await crypto.subtle.importKey("raw", credential, "Ed25519", false, ["verify"]);
        good = await crypto.subtle.verify("Ed25519", key, proof, statement("ed25519", role, transcript));
      } catch {
        good = false;
      }
      if (!good) throw new LitzError("unauthenticated", peer + " did not prove that it has the key it shows");
      const own = Object.hasOwn(trusted, peer) ? [trusted[peer]].flat() : [];
      const known = peer === (await derivedId(credential)) || own.some((key) => same(keyBytes(key) ?? ZERO, credential));
      if (!known) throw new LitzError("unauthenticated", `the key ed25519-public:${toBase64(credential)} is not trusted for ${peer}`);
    },
  };
}
