// litz for browsers: exactly once, in order, over wires that break. See docs/browser.md and litz.d.ts.
import { LitzError, concat, fromUtf8, pack, protocolError, toUtf8 } from "./bytes.js";
import { isDest } from "./fields.js";
import { nameOf } from "./halves.js";
import { Inbox } from "./inbox.js";
import { LATENCY, LIMITS, RELIABLE, REPLY } from "./lanes.js";
import { Peer } from "./peer.js";
import { claims, derivedId, ed25519, sha256, sharedKey } from "./proofs.js";
import { WebSocketWire } from "./wires.js";

const DEFAULTS = {
  ...LIMITS, sessionKept: 120, pingAfter: 5, deadAfter: 5, handshakeTimeout: 5, dialTimeout: 10, closeTimeout: 2.5,
  backoffBase: 0.05, backoffCap: 5, stableAfter: 10, maxDests: 64, maxRequests: 4096, maxWaiting: 16384, prefer: ["webrtc", "websocket"],
};
const CANCEL = 4;

export const PayloadType = { RPC_RELIABLE: 0, RPC_SIGNAL: 1, STREAM_RELIABLE: 2, STREAM_LATENCY_FIRST: 3 };

function soonInBrowser() {
  const waiting = [];
  const { port1, port2 } = new MessageChannel();
  port1.onmessage = () => waiting.shift()();
  return (callback) => {
    waiting.push(callback);
    port2.postMessage(0);
  };
}

// What the machine gives: time in seconds, timers, chance. Tests give their own.
const machine = () => ({
  now: () => performance.now() / 1000,
  started: () => BigInt(Math.round((performance.timeOrigin + performance.now()) * 1e6)),
  timer: (callback, seconds) => {
    const timer = setTimeout(callback, seconds * 1000);
    return () => clearTimeout(timer);
  },
  soon: globalThis.setImmediate ?? soonInBrowser(),
  random: Math.random,
  randomBytes: (size) => crypto.getRandomValues(new Uint8Array(size)),
  token: () => Math.floor(Math.random() * Number.MAX_SAFE_INTEGER),
});

const asBytes = (data) => {
  if (typeof data === "string") return toUtf8(data);
  if (Array.isArray(data)) return concat(data.map(asBytes));
  // A copy: it is kept until it is acknowledged, and the caller may change its own.
  if (data instanceof ArrayBuffer) return new Uint8Array(data.slice(0));
  if (ArrayBuffer.isView(data)) return new Uint8Array(data.buffer.slice(data.byteOffset, data.byteOffset + data.byteLength));
  throw new LitzError("usage", "data is text, an ArrayBuffer, a view of one, or an array of these");
};

export class Litz extends EventTarget {
  constructor({ id, url, peers = {}, auth = claims, wires = {}, webrtc = {}, env, ...limits }) {
    super();
    if (!isDest(id)) throw new LitzError("usage", "an id is 1 to 255 bytes of text without spaces");
    this.id = id;
    this.env = env ?? machine();
    this.limits = { ...DEFAULTS, ...limits };
    this.urls = url === undefined ? [] : [url].flat();
    this.endpoints = new Map(Object.entries(peers).map(([dest, urls]) => [dest, [urls].flat()]));
    this.wires = { websocket: (...given) => new WebSocketWire(...given), ...wires };
    this.topics = new Map(); // internal messages: topic -> called with (peer, data)
    this.settings = webrtc;
    const random = new DataView(this.env.randomBytes(16).buffer);
    this.incarnation = { started: this.env.started(), random: random.getBigUint64(0) };
    this.node = {
      id, auth, incarnation: this.incarnation, limits: { max_frame: 1 << 20, max_message: this.limits.maxMessage },
    };
    this.halves = 0n;
    this.peers = new Map();
    this.sessions = new Map(); // dest -> the number of the next session
    this.inbox = new Inbox(this);
    this.requests = new Map();
    this.nextRequest = random.getBigUint64(8) >> 12n;
    this.isClosed = false;
    this.#watch();
  }

  // -- for its peers

  newHalf() {
    return { ...this.incarnation, counter: ++this.halves };
  }

  sessionNumber(dest) {
    return this.sessions.get(dest) ?? 1;
  }

  dial(kind, url, owner, peer) {
    return this.wires[kind](url, owner, peer);
  }

  // Loads what speaks WebRTC, when the first node comes along that does. Whether it can be used.
  async webRtc(features) {
    if (!this.settings || !features.includes("webrtc") || !globalThis.RTCPeerConnection || !globalThis.crypto.subtle) return false;
    this.loading ??= import("./litz_webrtc.js").then(({ install }) => install(this));
    try {
      await this.loading;
      return true;
    } catch {
      this.loading = null; // it could not be fetched: the next wire asks again
      return false;
    }
  }

  emit(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }

  forget(peer) {
    this.sessions.set(peer.dest, peer.session.index);
    if (this.peers.get(peer.dest) === peer) this.peers.delete(peer.dest);
  }

  // -- the browser around it

  #watch() {
    const target = globalThis;
    if (!target.addEventListener || !target.document) return;
    this.stopWatching = new AbortController();
    const { signal } = this.stopWatching;
    const wake = () => this.wake();
    for (const type of ["online", "offline", "pageshow", "focus"]) target.addEventListener(type, wake, { signal });
    target.document.addEventListener("visibilitychange", wake, { signal });
    // A page that will not come back says goodbye: its peers learn at once what it has, and what it has not.
    target.addEventListener("pagehide", (event) => event.persisted || this.close({ wait: false }), { signal });
  }

  // The network or the machine changed: doubt each wire, dial at once what is not up.
  wake() {
    for (const peer of this.peers.values()) {
      for (const link of peer.links) link.probe(this.env.now());
      peer.retry();
    }
  }

  // -- what users call

  // Dials `dest` if need be. Resolves when a wire is up, rejects when each URL has failed once; it is dialled on.
  async connect(dest) {
    const peer = this.#peer(dest);
    if (peer.links.length) return;
    await new Promise((resolve, reject) => {
      peer.waiting.push({ resolve, reject });
      peer.retry();
    });
  }

  #peer(dest) {
    if (this.isClosed) throw new LitzError("closed", "this Litz is closed");
    let peer = this.peers.get(dest);
    if (peer) return peer;
    if (!isDest(dest)) throw new LitzError("usage", "a dest is 1 to 255 bytes of text without spaces");
    const urls = this.endpoints.get(dest) ?? this.urls;
    if (!urls.length) throw new LitzError("unknown-dest", `no URL is known for ${dest}; name it in peers`);
    if (this.peers.size >= this.limits.maxDests) throw new LitzError("usage", "too many dests; close one");
    const endpoints = urls.map((each) => ({ kind: each.split(":")[0].replace(/^wss?$/, "websocket"), url: each }));
    for (const { kind, url } of endpoints) {
      if (!Object.hasOwn(this.wires, kind)) throw new LitzError("usage", "no kind of wire for the URL " + url);
    }
    peer = new Peer(this, dest, endpoints);
    this.peers.set(dest, peer);
    return peer;
  }

  // Accepted into the log when it resolves, with the receipt. `confirm`: "received", "processed" or "durable" waits for
  // that. `signal` aborts a send that is not accepted yet.
  async send(dest, data, { payloadType = 0, confirm, signal } = {}) {
    if (![0, 1, 2, 3].includes(payloadType)) throw new LitzError("usage", "no such payload type");
    const receipt = await this.#post(dest, payloadType, asBytes(data), 0, 0, signal);
    if (confirm && payloadType !== LATENCY) {
      await new Promise((resolve, reject) => {
        const peer = this.peers.get(dest);
        const done = (error) => (error ? reject(Object.assign(error, { receipt })) : resolve());
        if (peer) peer.confirm(receipt, confirm, done);
        else done(new LitzError("session-ended", "the session ended", { outcome: "unknown" }));
      });
    }
    return receipt;
  }

  #post(dest, lane, body, kind, id, signal, accepted) {
    const { maxMessage } = this.limits;
    return new Promise((resolve, reject) => {
      signal?.throwIfAborted();
      if (body.length > maxMessage) throw new LitzError("too-large", `a message has at most ${maxMessage} bytes; cut it into several`);
      const peer = this.#peer(dest);
      const abort = () => peer.withdraw(lane, waiter) && reject(signal.reason);
      const waiter = peer.post(lane, { body, kind, id }, (error, receipt) => {
        signal?.removeEventListener("abort", abort);
        if (error) return reject(error);
        accepted?.();
        return resolve(receipt);
      });
      signal?.addEventListener("abort", abort, { once: true });
    });
  }

  // Sends a request and resolves with its reply (bytes). `timeout` in seconds; giving up tells the peer.
  async request(dest, data, { timeout = 60, signal } = {}) {
    if (this.requests.size >= this.limits.maxRequests) throw new LitzError("backpressure", "too many requests wait for their reply");
    const id = this.nextRequest++;
    const body = asBytes(data);
    const given = new AbortController();
    const abort = () => given.abort(signal.reason);
    if (signal?.aborted) abort();
    signal?.addEventListener("abort", abort, { once: true });
    const late = () => given.abort(new LitzError("timeout", `no reply from ${dest} within ${timeout} s; it may have run`));
    const cancelTimer = this.env.timer(late, timeout);
    try {
      return await new Promise((resolve, reject) => {
        const waiting = { dest, resolve, reject, accepted: false };
        this.requests.set(String(id), waiting);
        given.signal.addEventListener("abort", () => {
          reject(given.signal.reason);
          if (this.requests.delete(String(id))) this.#cancel(dest, id);
        });
        const accepted = () => (waiting.accepted = true);
        this.#post(dest, 0, body, 1, id, given.signal, accepted).catch((error) => {
          this.requests.delete(String(id));
          reject(error);
        });
      });
    } finally {
      cancelTimer();
      signal?.removeEventListener("abort", abort);
    }
  }

  #cancel(dest, id) {
    const peer = this.peers.get(dest);
    if (peer?.session.theirs) peer.post(REPLY, { body: new Uint8Array(0), kind: CANCEL, id }, () => {});
  }

  async reply({ peer, session, raw }, kind, data) {
    if (raw.kind !== 1) throw new LitzError("usage", peer.dest + " does not wait for an answer to this message");
    if (peer.session !== session || peer.closed) return;
    await new Promise((resolve) => {
      peer.post(REPLY, { body: asBytes(data ?? ""), kind, id: raw.id }, resolve);
    });
  }

  // An entry of the reply lane came.
  answered(dest, { kind, id, body }) {
    if (kind === CANCEL) return this.emit("cancelled", { dest, request: id });
    const waiting = this.requests.get(String(id));
    if (!waiting || waiting.dest !== dest) return undefined; // late, doubled, or not for whom it is
    this.requests.delete(String(id));
    if (kind === 2) return waiting.resolve(body);
    const [name, ...text] = new TextDecoder().decode(body).split("\0");
    return waiting.reject(new LitzError("remote", text.join("\0") || name, { remote: name }));
  }

  sessionEnded(dest, reason) {
    this.signaling?.ended(dest);
    for (const [id, waiting] of this.requests) {
      if (waiting.dest !== dest || !waiting.accepted) continue;
      this.requests.delete(id);
      waiting.reject(new LitzError("session-ended", `the session with ${dest} ended before its reply (${reason}); it may have run`));
    }
  }

  // All messages, in order per sender and payload type. One consumer at a time; asking for the next one says that the
  // last is processed.
  messages() {
    return this.inbox.messages();
  }

  snapshot() {
    return [...this.peers.values()].map((peer) => ({
      dest: peer.dest,
      state: peer.state,
      session: peer.session.index,
      wires: peer.slots.map((slot) => ({
        kind: slot.kind,
        url: slot.url,
        state: slot.state,
        dials: slot.dials,
        roundTrip: slot.link?.roundTrip ?? null,
        bytesIn: slot.link?.bytesIn ?? 0,
        bytesOut: slot.link?.bytesOut ?? 0,
        lanes: RELIABLE.filter((lane) => slot.link && peer.session.laneWire(lane) === slot.link),
        error: slot.error?.message ?? "",
      })),
      lanes: RELIABLE.map((lane) => peer.session.send.get(lane)).map((lane) => ({
        lane: lane.lane, next: lane.next, received: lane.base, receivedOffset: lane.ackedOffset,
        processed: lane.processed, durable: lane.durable, replayed: lane.replayed, waiting: peer.queues.get(lane.lane).length,
      })),
    }));
  }

  // Cut the live wires of one kind (default: all), as a broken network would. They heal.
  cut(dest, kind) {
    for (const link of [...(this.peers.get(dest)?.links ?? [])]) {
      if (!kind || link.slot.kind === kind) {
        link.wire.abort?.();
        link.close(new LitzError("wire", "cut by hand"));
      }
    }
  }

  // Says goodbye to all. `wait: false` does not wait for their answers.
  async close({ wait = true } = {}) {
    this.isClosed = true;
    this.stopWatching?.abort();
    const closing = [...this.peers.values()].map((peer) => peer.close(wait ? this.limits.closeTimeout : 0));
    await Promise.all(closing);
    this.inbox.end();
  }
}

// For litz_webrtc.js, and nobody else.
export const kit = { LitzError, concat, fromUtf8, nameOf, pack, protocolError, sha256, toUtf8 };

export { LitzError, claims, derivedId, ed25519, sharedKey };
