// The offering side of docs/signaling.md: asks a node for a WebRTC connection, over the session that stands. A tab only
// offers; it does not announce that it could answer.
import { LitzError, concat, fromUtf8, pack, toUtf8 } from "./bytes.js";
import { nameOf } from "./halves.js";
import { sha256 } from "./proofs.js";

const TOPIC = "webrtc";
const MAX_WAITING = 16;
const NEVER = 3600000;
const ENVELOPE = { body: "string", proof: "string" };

const toText = (bytes) => btoa(String.fromCharCode(...bytes));
const fromText = (text) => Uint8Array.from(atob(text), (char) => char.charCodeAt(0));

// All SHA-256 fingerprints that a description names: the connection may use any of them, so all must be one.
export const fingerprintsOf = (sdp) => [...new Set([...sdp.matchAll(/^a=fingerprint:(\S+) (\S+)/gm)].map(([, hash, print]) => `${hash} ${print}`.toUpperCase()))];

export class Signaling {
  constructor(litz) {
    this.litz = litz;
    this.asked = new Map(); // attempt -> {peer, session, resolve, reject}
    this.waiting = 0;
    this.reading = Promise.resolve();
    litz.topics.set(TOPIC, (peer, data) => {
      if (this.waiting >= MAX_WAITING) return;
      this.waiting += 1;
      // What cannot be read, or is not proved, is dropped without an answer.
      this.reading = this.reading.then(() => this.#read(peer, data)).catch(() => {}).then(() => (this.waiting -= 1));
    });
  }

  #statement(sender, dest, credential, body) {
    const parts = [toUtf8(TOPIC), toUtf8(sender), toUtf8(dest), credential, toUtf8(body)];
    return sha256(concat([toUtf8("litz port 1\0"), ...parts.flatMap((part) => [pack("8", part.length), part])]));
  }

  async #post(peer, attempt, fields) {
    const { session, dest } = peer;
    const { id, node } = this.litz;
    const body = JSON.stringify({ version: 1, sender: id, dest, session: nameOf(session.mine, session.theirs), attempt, ...fields });
    let proof = "";
    if (node.auth.proves !== "nothing") {
      const credential = node.auth.credential();
      const made = await node.auth.prove(await this.#statement(id, dest, credential, body), "dialler");
      proof = toText(concat([pack("2", credential.length), credential, made]));
    }
    if (session === peer.session) peer.tell(TOPIC, toUtf8(JSON.stringify({ body, proof })));
  }

  async #read(peer, data) {
    const { id, node } = this.litz;
    const { session, dest } = peer;
    const envelope = JSON.parse(fromUtf8(data));
    for (const name in { ...ENVELOPE, ...envelope }) if (typeof envelope[name] !== ENVELOPE[name]) return;
    if (node.auth.proves !== "nothing") {
      const proof = fromText(envelope.proof);
      const end = 2 + proof[0] + 256 * proof[1];
      const credential = proof.subarray(2, end);
      await node.auth.verify(dest, credential, await this.#statement(dest, id, credential, envelope.body), proof.subarray(end), "dialler");
    }
    const said = JSON.parse(envelope.body);
    if (said.version !== 1 || said.sender !== dest || said.dest !== id || said.session !== nameOf(session.mine, session.theirs)) return;
    const asked = this.asked.get(said.attempt);
    if (said.type === "offer") await this.#post(peer, said.attempt, { type: "refuse", reason: "busy", retry_after_ms: NEVER });
    else if (!asked || asked.peer !== peer) return;
    else if (said.type === "refuse") asked.reject(new LitzError("busy", `${dest} refused a data channel: ${said.reason}`, { retryAfter: Math.min(300, said.retry_after_ms / 1000) || 0 }));
    else if (said.type === "answer") {
      const prints = fingerprintsOf(said.sdp);
      if (said.sdp.length > 16384 || prints.length !== 1 || prints[0] !== "SHA-256 " + said.fingerprint) asked.reject(new LitzError("unauthenticated", dest + " signed another fingerprint"));
      else asked.resolve(said);
    }
  }

  // Offer, and resolve with the answer. Whoever gives up before calls `withdraw`.
  async ask(peer, attempt, sdp) {
    const [print, ...more] = fingerprintsOf(sdp);
    if (!print?.startsWith("SHA-256 ") || more.length) throw new LitzError("wire", "this browser has no certificate that can be signed");
    const answer = new Promise((resolve, reject) => this.asked.set(attempt, { peer, resolve, reject }));
    answer.catch(() => {});
    try {
      await this.#post(peer, attempt, { type: "offer", expires: Math.floor(Date.now() / 1000) + 30, fingerprint: print.slice(8), sdp });
      return await answer;
    } finally {
      this.asked.delete(attempt);
    }
  }

  withdraw(peer, attempt) {
    if (peer.session.theirs && !peer.closed) this.#post(peer, attempt, { type: "withdraw" }).catch(() => {});
  }

  ended(dest) {
    for (const { peer, reject } of this.asked.values()) if (peer.dest === dest) reject(new LitzError("wire", "the session ended"));
  }
}
