// The dialler's side of the handshake of one wire (docs/handshake.md). Never sealed: a browser has no ChaCha20.
import { LitzError, concat, fromBase64, fromUtf8, pack, protocolError, toBase64, toUtf8 } from "./bytes.js";
import { readFields, showBytes, showHalf, showTerms } from "./fields.js";
import { sameHalf, incarnationOf } from "./halves.js";
import { parseObject } from "./json.js";
import { sha256 } from "./proofs.js";

const MAX_FRAME = 16384;
const MAX_PROOF = 6144;
const LINE_FEED = 10;

export const startTranscript = () => sha256(toUtf8("litz handshake 1"));

export const absorb = (transcript, label, data) =>
  sha256(concat([transcript, pack("1", label.length), toUtf8(label), pack("8", data.length), data]));

function split(frame) {
  if (frame.length > MAX_FRAME) throw protocolError("a handshake frame that is too large");
  const end = frame.indexOf(LINE_FEED);
  if (end < 0) return { body: frame, proof: null };
  const trailer = frame.subarray(end + 1);
  const proof = trailer.every((byte) => byte < 128) ? fromBase64(fromUtf8(trailer)) : undefined;
  if (!proof || proof.length > MAX_PROOF) throw protocolError("a proof that is no base64url");
  return { body: frame.subarray(0, end), proof };
}

const withProof = (body, proof) => concat([body, Uint8Array.of(LINE_FEED), toUtf8(toBase64(proof))]);

export class Handshake {
  // `node`: {id, incarnation, auth, limits: {max_frame, max_message}}. `nonce`: 32 random bytes, never used twice.
  constructor(node, dest, kind, nonce) {
    this.node = node;
    this.dest = dest;
    this.kind = kind;
    this.nonce = nonce;
    this.state = "new"; // challenge, proved, joining, joined, closed: what it waits for, or is
    this.joins = 0;
    this.transcripts = new Map(); // after the last two JOINs
    this.peer = null;
    this.binding = null; // of the channel, where it has one
  }

  // What proofs cover costs hashes, and where nothing is proved nobody looks at it.
  async #absorb(transcript, label, data) {
    return this.node.auth.proves === "nothing" ? transcript : absorb(transcript, label, data);
  }

  hello() {
    const { id, incarnation, auth, limits } = this.node;
    this.state = "challenge";
    this.first = toUtf8(JSON.stringify({
      type: "hello", versions: [1], dialler: id, dest: this.dest, nonce: showBytes(this.nonce),
      incarnation: showHalf(incarnation), auth: { method: auth.method, credential: showBytes(auth.credential()) },
      kind: this.kind, bound: !!this.binding, seal: "never", x25519: null, limits: showHalf(limits), features: this.node.features ?? [],
    }));
    return this.first;
  }

  // One frame that starts with "{". Returns {type: "proved" | "ok" | "mismatch" | "refuse" | "outdated", ...fields}.
  // Throws a LitzError, after which the wire is to be closed.
  async receive(frame) {
    const { body, proof } = split(frame);
    const said = readFields(parseObject(body));
    if (said.type === "refuse") return this.#refused(said, body, proof);
    if (said.type === "challenge" && this.state === "challenge") return this.#challenged(said, body, proof);
    const asked = this.state === "joining" || (this.state === "joined" && said.type === "mismatch");
    if (!asked || said.type === "challenge" || !proof) throw protocolError(said.type + " frame out of turn");
    if (said.join < this.joins && this.transcripts.has(said.join)) return { type: "outdated" };
    if (said.join !== this.joins) throw protocolError(said.type + " frame for another JOIN");
    if (said.type === "ok" && !sameHalf(incarnationOf(said.mine), this.peer.incarnation)) throw protocolError("a half of another life");
    await this.#verify(said.type, body, proof, said.join);
    this.state = said.type === "ok" ? "joined" : "proved";
    return said;
  }

  async #challenged(said, body, proof) {
    const { node, dest } = this;
    if (said.version !== 1) throw new LitzError("incompatible", dest + " chose a version that was not offered");
    if (said.acceptor !== dest) throw new LitzError("unauthenticated", `dialled ${dest} and reached ${said.acceptor}; correct its URL`);
    if (said.auth.method !== node.auth.method) {
      throw new LitzError("unauthenticated", `${dest} proves itself by ${said.auth.method} and this tab by ${node.auth.method}; give both the same`);
    }
    if (!proof || said.x25519) throw protocolError("challenge");
    let transcript = node.auth.proves === "nothing" ? body : await startTranscript();
    transcript = await this.#absorb(transcript, "hello", this.first);
    transcript = await this.#absorb(transcript, "challenge", body);
    transcript = await this.#absorb(transcript, "binding", said.bound && this.binding ? this.binding : new Uint8Array(0));
    await node.auth.verify(dest, said.auth.credential, transcript, proof, "acceptor");
    this.credential = said.auth.credential;
    this.base = await this.#absorb(transcript, "proof", proof);
    this.peer = { id: dest, incarnation: said.incarnation, limits: said.limits, features: said.features, verified: node.auth.proves !== "nothing" };
    this.state = "proved";
    return { type: "proved" };
  }

  async #refused(said, body, proof) {
    const after = said.retry_after_ms / 1000;
    if (!proof) {
      // Nothing that stops a node from redialling is believed without proof.
      if (this.state !== "challenge" && this.state !== "joining") throw protocolError("a refusal without proof");
      if (!["incompatible", "busy", "unauthenticated"].includes(said.code)) throw protocolError("a refusal that needs a proof");
      throw new LitzError(said.code, `${this.dest} refused the wire (${said.code}): ${said.reason}`, { retryAfter: Math.min(after, 60) });
    }
    if ((this.state !== "joining" && this.state !== "joined") || !this.transcripts.has(said.join)) throw protocolError("a refusal out of turn");
    await this.#verify("refuse", body, proof, said.join);
    this.state = "closed";
    return { ...said, retryAfter: after };
  }

  async #verify(label, body, proof, join) {
    const transcript = await this.#absorb(this.transcripts.get(join), label, body);
    await this.node.auth.verify(this.dest, this.credential, transcript, proof, "acceptor");
  }

  // A JOIN as {frame, sent()}: call `sent` in the turn in which the frame is written.
  async join(mine, yours, terms) {
    const join = this.joins + 1;
    const body = toUtf8(JSON.stringify({ type: "join", join, mine: showHalf(mine), yours: showHalf(yours), terms: showTerms(terms) }));
    let frame = body;
    let transcript = await this.#absorb(join === 1 ? this.base : this.joined, "join", body);
    if (join === 1) {
      const proof = await this.node.auth.prove(transcript, "dialler");
      frame = withProof(body, proof);
      transcript = await this.#absorb(transcript, "proof", proof);
    }
    const sent = () => {
      if (join === 1) this.joined = transcript;
      this.transcripts.delete(join - 2);
      this.transcripts.set(join, transcript);
      this.joins = join;
      this.state = "joining";
    };
    return { frame, sent };
  }

  // The frame that ends this wire and says why, with proof: "busy", "stale", "replaced" or "duplicate".
  async refuse(code, retryAfter, reason) {
    const said = { type: "refuse", code, join: this.joins, versions: [], retry_after_ms: retryAfter * 1000, reason };
    const body = toUtf8(JSON.stringify(said));
    const transcript = await this.#absorb(this.transcripts.get(this.joins) ?? this.base, "refuse", body);
    return withProof(body, await this.node.auth.prove(transcript, "dialler"));
  }
}
