// The other side for tests: a node that accepts wires, made of litz.js's own session, and of rules R1 to R4 as
// docs/protocol.md and docs/handshake.md state them for acceptors. Ids are claims.
import { concat, fromUtf8, toUtf8 } from "../../../outproc/node/web/src/bytes.js";
import { readFields, showBytes, showHalf, showTerms } from "../../../outproc/node/web/src/fields.js";
import { compareHalves, sameHalf } from "../../../outproc/node/web/src/halves.js";
import { LATENCY, LIMITS, RELIABLE, REPLY } from "../../../outproc/node/web/src/lanes.js";
import { Session } from "../../../outproc/node/web/src/session.js";

const NO_PROOF = Uint8Array.of(10);
const big = (half) => half && Object.fromEntries(Object.entries(half).map(([name, value]) => [name, BigInt(value)]));
const keyOf = (mine, yours) => JSON.stringify([showHalf(mine), showHalf(yours)]);

export class Acceptor {
  // `world` gives now(), at(time, callback) and note(kind); `record` hears of what is received and of ends.
  constructor(world, id, { started, limits = {}, record }) {
    Object.assign(this, { world, id, record });
    this.limits = { ...LIMITS, ...limits };
    this.incarnation = { started, random: BigInt(world.integer(1 << 30)) };
    this.counter = 0n;
    this.index = 0;
    this.finals = new Map(); // of ended pairs, by their halves
    this.highest = null; // half of the peer
    this.stopped = false;
    this.waiting = []; // {message, session}: received, not consumed
    this.links = new Set();
    this.renew();
  }

  renew() {
    this.session = new Session({ ...this.incarnation, counter: ++this.counter }, this.limits, ++this.index);
  }

  stop() {
    this.stopped = true;
    for (const link of this.links) link.wire.close();
  }

  accept(wire) {
    const link = { wire, joins: 0, joined: false };
    this.links.add(link);
    wire.onframe = (bytes) => {
      link.heard = this.world.now();
      if (!this.stopped) this.frame(link, bytes);
    };
    wire.onclose = () => this.drop(link);
    link.heard = this.world.now();
    this.listen(link);
  }

  // The tab pings over silence: a wire on which nothing comes is dead.
  listen(link) {
    if (!this.links.has(link)) return;
    if (this.world.now() >= link.heard + 6) this.drop(link);
    else this.world.at(link.heard + 6, () => this.listen(link));
  }

  drop(link) {
    this.links.delete(link);
    link.wire.close();
    this.session.leave(link, this.world.now());
    this.rebind();
    this.arm();
  }

  say(link, object, proof = true) {
    const body = toUtf8(JSON.stringify(object));
    link.wire.send(proof ? concat([body, NO_PROOF]) : body);
  }

  frame(link, bytes) {
    if (bytes[0] !== 0x7b) return this.binary(link, bytes);
    const said = JSON.parse(fromUtf8(bytes).split("\n")[0]);
    if (said.type === "hello") return this.challenge(link, said);
    if (said.type === "join") return this.join(link, said);
    this.world.note("refused by dialler: " + said.code);
    return this.drop(link);
  }

  challenge(link, hello) {
    link.peer = hello;
    this.say(link, {
      type: "challenge", version: 1, acceptor: this.id, nonce: showBytes(new Uint8Array(32)), incarnation: showHalf(this.incarnation),
      auth: { method: "none", credential: "" }, bound: false, x25519: null,
      limits: { max_frame: String(this.limits.maxFrame ?? 1 << 20), max_message: String(this.limits.maxMessage) }, features: [],
    });
  }

  join(link, join) {
    const mine = big(join.mine);
    const yours = big(join.yours);
    this.session.leave(link, this.world.now());
    link.joined = false;
    const known = this.session.theirs ?? this.highest;
    if (known && compareHalves(mine, known) < 0) {
      this.world.note("stale");
      this.say(link, { type: "refuse", code: "stale", join: join.join, versions: [], retry_after_ms: 0, reason: "" });
      return this.drop(link);
    }
    if (!this.highest || compareHalves(mine, this.highest) > 0) this.highest = mine;
    let never = false;
    if (this.session.theirs && compareHalves(mine, this.session.theirs) > 0) {
      never = sameHalf(yours, this.session.mine);
      this.end("discarded by peer", null, link);
    }
    if (yours && !sameHalf(yours, this.session.mine)) {
      this.world.note("mismatch");
      const final = this.finals.get(keyOf(yours, mine)) ?? (never ? [] : null);
      // Every other answer has room for two lanes only, and says that it names not all.
      const named = yours.counter % 2n && final ? final.slice(0, 2) : final;
      const partial = !!final && named.length < final.length;
      if (partial) this.world.note("mismatch names not all");
      const positions = named && showTerms({ positions: named, log: {}, credit: [], sessionCredit: 0 }).positions;
      return this.say(link, { type: "mismatch", join: join.join, mine: join.yours, yours: join.mine, final: positions, partial, reason: "no such session" });
    }
    this.world.note(this.session.theirs ? "resume" : "pair");
    if (!this.session.theirs) {
      this.session.complete(mine);
      this.record.paired(this, this.session);
    }
    const terms = readFields({ type: "ok", join: 1, mine: join.mine, yours: join.mine, terms: join.terms }).terms;
    try {
      this.session.join(link, Math.min(link.wire.maxFrame, Number(link.peer.limits.max_frame)), terms);
    } catch (error) {
      this.record.violation("at acceptor: " + error.message);
      return this.drop(link);
    }
    link.joined = true;
    this.session.ping(link, 1n);
    this.say(link, { type: "ok", join: join.join, mine: showHalf(this.session.mine), yours: join.mine, terms: showTerms(this.session.terms()) });
    this.rebind();
    this.arm();
    return undefined;
  }

  rebind() {
    if (!this.session.theirs || this.session.ended) return;
    const wires = [...this.session.wires.keys()];
    for (const lane of [...RELIABLE, LATENCY]) {
      if (!this.session.laneWire(lane) && wires.length) this.session.bind(lane, this.world.pick(wires));
    }
  }

  binary(link, bytes) {
    const { session } = this;
    if (!link.joined) return;
    let brought;
    try {
      brought = session.receive(link, bytes, this.world.now());
    } catch (error) {
      this.record.violation("at acceptor: " + error.message);
      return this.drop(link);
    }
    if (brought.error || brought.fault) this.record.violation("at acceptor: " + (brought.error?.message ?? brought.fault));
    for (const message of brought.messages) {
      this.record.received(this, session, message);
      if (message.lane === REPLY) session.consumed(message, this.world.now());
      else if (message.lane !== LATENCY) this.waiting.push({ message, session });
    }
    if (brought.end) {
      this.world.note("goodbye");
      if (brought.end.type === 0x40) link.wire.send(session.farewell("", true));
      this.end("goodbye", brought.end, null);
    }
    this.arm();
  }

  consume(count) {
    for (const { message, session } of this.waiting.splice(0, count)) {
      if (session === this.session) session.consumed(message, this.world.now());
    }
    this.arm();
  }

  // Whether the message was taken.
  send(lane, body) {
    const sending = this.session.send.get(lane);
    if (this.stopped || !this.session.theirs || this.session.final || !sending.fits(body.length)) return false;
    this.record.sent(this, this.session, lane, sending.append({ body, kind: 0, id: 0 }), body);
    this.arm();
    return true;
  }

  // End the session, as a node that expired or discards it; `keep` is a link that lives on.
  end(reason, finals, keep) {
    const { session } = this;
    if (session.theirs) this.finals.set(keyOf(session.mine, session.theirs), session.finals());
    const lost = session.end(finals);
    this.record.ended(this, session, lost, reason);
    this.renew();
    for (const link of [...this.links]) if (link !== keep && link.joined) this.drop(link);
  }

  forgetFinals() {
    this.finals.clear();
  }

  arm() {
    if (this.armed) return;
    this.armed = true;
    this.world.at(this.world.now(), () => this.turn());
  }

  turn() {
    this.armed = false;
    if (this.stopped) return;
    const now = this.world.now();
    for (const link of [...this.session.wires.keys()]) {
      let frame;
      while (link.wire.writable && (frame = this.session.nextFrame(link, now))) link.wire.send(frame);
    }
    const { due } = this.session;
    const full = [...this.session.wires.keys()].some((link) => !link.wire.writable);
    const next = Math.min(due === null ? Infinity : due > now ? due : now + this.limits.ackDelay, full ? now + 0.01 : Infinity);
    this.cancel?.();
    this.cancel = next === Infinity ? null : this.world.at(next, () => this.arm());
  }
}
