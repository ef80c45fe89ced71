// All there is for one dest: its session, the wires in it, dialling, and both directions of traffic.
//
// Everything that happens arms one turn; the turn looks at all state again, so nothing depends on what woke it.
import { LitzError, concat, protocolError, toUtf8 } from "./bytes.js";
import { Gate, decideOk, sameHalf } from "./halves.js";
import { INTERNAL, LATENCY, RELIABLE, REPLY } from "./lanes.js";
import { Link } from "./link.js";
import { Session } from "./session.js";

const MAX_REJOINS = 4;
const COME_BACK = 1;
const SLOW = 30;
const STOP = ["replaced", "stopped"];
const LEVELS = { received: "base", processed: "processed", durable: "durable" };
const LEAVES = ["", "duplicate", "displaced", "closing"];

export class Peer {
  constructor(litz, dest, endpoints) {
    this.litz = litz;
    this.dest = dest;
    this.limits = litz.limits;
    this.gate = new Gate();
    this.session = new Session(litz.newHalf(), this.limits, litz.sessionNumber(dest));
    this.links = []; // those in the session
    this.slots = [];
    for (const { kind, url } of endpoints) this.addSlot(kind, url);
    this.queues = new Map([...RELIABLE, LATENCY, INTERNAL].map((lane) => [lane, []])); // senders that wait for space
    this.confirms = new Map(RELIABLE.map((lane) => [lane, { received: [], processed: [], durable: [] }]));
    this.waiting = []; // those who wait for a wire
    this.closed = false;
    this.wireless = litz.env.now(); // since when there is no wire, null while there is one
    this.excused = 0;
    this.cancelTimer = null;
    this.timerAt = Infinity;
    this.armed = false;
    this.farewell = null;
    this.arm();
  }

  addSlot(kind, url) {
    this.slots.push({ kind, url, link: null, due: 0, attempt: 0, dials: 0, state: "idle", error: null });
  }

  get state() {
    if (this.closed) return "closed";
    if (this.links.length) return "connected";
    return this.session.theirs ? "detached" : "connecting";
  }

  emit(type, detail) {
    this.litz.emit(type, { dest: this.dest, ...detail });
  }

  // -- turns

  arm() {
    if (this.armed || this.closed) return;
    this.armed = true;
    this.litz.env.soon(() => this.turn());
  }

  turn() {
    this.armed = false;
    if (this.closed) return;
    const now = this.litz.env.now();
    let next = this.dialDue(now);
    for (const slot of this.slots) {
      if (slot.link) next = Math.min(next, slot.link.check(now, this.excused));
    }
    this.admit();
    if (this.write(now)) next = Math.min(next, now + 0.01); // a wire is full: ask again, the browser does not tell
    if (this.wireless !== null && this.session.theirs) {
      const expiry = this.wireless + this.limits.sessionKept;
      if (now >= expiry) this.endSession("expired", "no wire for " + this.limits.sessionKept + " s", null);
      else next = Math.min(next, expiry);
    }
    const { due } = this.session;
    if (due !== null) next = Math.min(next, due > now ? due : now + this.limits.ackDelay);
    this.sleep(next, now);
  }

  sleep(until, now) {
    if (this.closed || this.armed) return;
    this.cancelTimer?.();
    this.timerAt = until;
    this.cancelTimer = until === Infinity ? null : this.litz.env.timer(() => this.woke(), Math.max(0, until - now));
  }

  woke() {
    const now = this.litz.env.now();
    // What the peer sent may lie unread: a late loop condemns nobody.
    if (now > this.timerAt + 0.5) this.excused = now + 1;
    this.cancelTimer = null;
    if (!this.armed) this.turn();
  }

  // -- dialling

  // Dial what is not up, whatever the backoff says.
  retry() {
    for (const slot of this.slots) {
      if (!slot.link) Object.assign(slot, { state: "idle", due: 0, attempt: 0 });
    }
    this.arm();
  }

  dialDue(now) {
    let next = Infinity;
    for (const slot of this.slots) {
      if (slot.link || slot.state === "stopped" || slot.state === "yielded") continue;
      if (slot.kind === "webrtc" && !this.links.length) continue; // its signaling needs a wire
      if (slot.due > now) {
        next = Math.min(next, slot.due);
        continue;
      }
      slot.dials += 1;
      slot.state = "dialling";
      try {
        slot.link = new Link(this, slot);
        next = Math.min(next, slot.link.deadline);
      } catch (error) {
        this.cool(slot, error, now);
        next = Math.min(next, slot.due);
      }
    }
    return next;
  }

  cool(slot, error, now, well = false) {
    slot.error = error;
    slot.link = null;
    const stopped = STOP.includes(error.code) || (error.name === "SyntaxError");
    slot.state = stopped ? "stopped" : "cooling";
    let delay = error.retryAfter ?? (["unauthenticated", "incompatible"].includes(error.code) ? SLOW : 0);
    if (well) {
      // At once, but for one that breaks again and again although it answers: eight times, then twice a second.
      slot.attempt = 0;
      slot.spent = Math.max(slot.spent ?? 0, now) + 0.5;
      delay = Math.max(delay, slot.spent - now - 4);
    } else {
      // A path that is not there is not there for long: a data channel is tried again more rarely.
      const rarely = slot.kind === "webrtc" ? 20 : 1;
      const { backoffBase, backoffCap } = this.limits;
      delay += this.litz.env.random() * rarely * Math.min(backoffCap, backoffBase * 2 ** slot.attempt);
      slot.attempt += 1;
      this.emit("connectfailed", { url: slot.url, error, retryIn: stopped ? null : delay });
    }
    slot.due = now + delay;
    if (this.slots.every((each) => each.kind === "webrtc" || (!each.link && each.attempt))) this.failWaiting(error);
  }

  failWaiting(error) {
    const failure = new LitzError("unreachable", `cannot reach ${this.dest}: ${error.message}`, { cause: error });
    for (const waiter of this.waiting.splice(0)) waiter.reject(failure);
  }

  // -- the handshake

  async step(link, said) {
    const now = this.litz.env.now();
    if (said.type === "proved") {
      const entry = this.gate.decide(link.shake.peer.incarnation, this.links.length, now);
      if (entry === "busy" || entry === "replaced") {
        for (const each of this.links) each.probe(now);
        link.send(await link.shake.refuse(entry, entry === "busy" ? COME_BACK : 0, "a newer process uses this id"));
        return link.close(new LitzError("busy", this.dest + ": an older process answers", { retryAfter: COME_BACK }));
      }
      const { theirs } = this.session;
      if (entry === "after-end") this.endSession("peer restarted", "its clock went back", null);
      else if (theirs && (theirs.started < this.gate.current.started || (theirs.started === this.gate.current.started && theirs.random < this.gate.current.random))) {
        this.endSession("peer restarted", "a new incarnation", null);
      }
      await this.join(link, false);
    } else if (said.type === "ok") this.joined(link, said);
    else if (said.type === "mismatch") await this.mismatched(link, said);
    else if (said.type === "refuse") this.refused(link, said);
  }

  async join(link, again) {
    link.rejoins += 1;
    for (;;) {
      const { session } = this;
      const { theirs } = session;
      const { frame, sent } = await link.shake.join(session.mine, theirs, session.terms());
      if (link.dead || this.closed) return;
      if (session !== this.session || theirs !== session.theirs) continue; // it was renewed while this was signed
      sent();
      link.send(frame);
      if (theirs && !again) {
        // Both sides know this pair: data may follow at once, so that a resume costs one round trip (R1).
        session.join(link, link.maxFrame, null);
        this.bindLanes();
      }
      return;
    }
  }

  // Whether the link leads to a life of the peer that is over: a newer one has come since its handshake.
  outlived(link) {
    if (sameHalf({ ...this.gate.current, counter: 0n }, { ...link.shake.peer.incarnation, counter: 0n })) return false;
    link.close(new LitzError("stale", "a life of the peer answered that is over"));
    return true;
  }

  joined(link, said) {
    const now = this.litz.env.now();
    let { session } = this;
    if (this.outlived(link)) return;
    const action = decideOk(session.mine, session.theirs, said.mine, said.yours, this.gate.remembered);
    if (action !== "stale") this.gate.note(said.mine);
    if (action === "renew") {
      session.leave(link, now);
      this.endSession("unknown to peer", "the peer discarded it", null);
    }
    if (action !== "pair" && action !== "resume") {
      return link.close(new LitzError("stale", this.dest + " answered for a session that is over; dialling again"));
    }
    ({ session } = this);
    if (action === "pair") {
      session.complete(said.mine);
      this.emit("sessionstarted", { session: session.index, verified: link.shake.peer.verified });
    }
    try {
      session.join(link, link.maxFrame, said.terms);
    } catch (error) {
      return link.close(error);
    }
    this.settle(RELIABLE);
    this.enter(link, now);
  }

  enter(link, now) {
    if (link.up) return;
    link.up = true;
    this.links.push(link);
    this.wireless = null;
    link.slot.state = "up";
    this.emit("wireup", { kind: link.slot.kind, url: link.url });
    for (const waiter of this.waiting.splice(0)) waiter.resolve();
    this.litz.webRtc(link.shake.peer.features).then((usable) => {
      if (!usable || this.slots.some((each) => each.kind === "webrtc")) return;
      this.addSlot("webrtc", "webrtc:" + this.dest);
      this.arm();
    });
    link.probe(now); // measures the round trip, and its answer proves the wire
    this.bindLanes();
    this.arm();
  }

  async mismatched(link, said) {
    this.leave(link, "the peer does not know the session");
    if (this.outlived(link)) return; // of the session with the newer life it knows nothing (R13)
    // It names the pair that was meant; only that one ends, if it is still the current one (R3).
    if (sameHalf(this.session.mine, said.yours) && sameHalf(this.session.theirs, said.mine)) {
      this.endSession("unknown to peer", said.reason || "no such session", said.final && { positions: said.final, partial: said.partial });
    }
    if (link.rejoins >= MAX_REJOINS) return link.close(new LitzError("stale", "no agreement on a session over this wire"));
    await this.join(link, true);
  }

  refused(link, { code, reason, retryAfter }) {
    if (code === "duplicate") link.dismissed = 1;
    link.close(new LitzError(code, `${this.dest} refused the wire (${code}): ${reason}`, code === "busy" ? { retryAfter } : {}));
    if (code !== "replaced") return;
    // Gone for good: nobody redials, so nothing may wait here.
    for (const slot of this.slots) slot.state = slot.link ? slot.state : "stopped";
    this.finish("replaced", "a newer process uses the id " + this.litz.id);
  }

  // -- wires

  // The link is out of the session, dead or not.
  leave(link, cause) {
    const was = link.up;
    link.up = false;
    link.deadline = this.litz.env.now() + this.limits.handshakeTimeout;
    this.session.leave(link, this.litz.env.now());
    if (was) {
      this.links = this.links.filter((each) => each !== link);
      this.emit("wiredown", { kind: link.slot.kind, url: link.url, cause, wiresLeft: this.links.length });
      if (!this.links.length) this.wireless = this.litz.env.now();
    }
    this.bindLanes();
    this.arm();
  }

  // The wire is dead. Called once.
  gone(link, error) {
    const { slot } = link;
    const now = this.litz.env.now();
    const well = link.proved || (link.up && now >= link.since + this.limits.stableAfter);
    this.leave(link, error.message);
    if (this.closed) return;
    if (slot.link === link) {
      if (link.dismissed === 1) Object.assign(slot, { link: null, state: "yielded", error });
      else this.cool(slot, error, now, well && error.retryAfter === undefined && !STOP.includes(error.code));
    }
    for (const each of this.slots) {
      // What yielded to a wire that is gone is due again.
      if (each.state === "yielded" && !this.links.some((other) => other.slot.kind === each.kind)) each.state = "cooling";
    }
    if (error.code === "protocol") this.emit("violation", { url: link.url, error });
    if (!this.links.length && this.farewell) this.farewell(null);
    this.arm();
  }

  rank(link) {
    const rank = this.limits.prefer.indexOf(link.slot.kind);
    return rank < 0 ? this.limits.prefer.length : rank;
  }

  // Give each lane without a wire the best there is; and move what is on a worse kind, once the better has answered.
  bindLanes() {
    const { session } = this;
    if (!session.theirs || session.ended) return;
    const joined = [...session.wires.keys()];
    const sorted = joined.filter((link) => link.proved || !joined.some((each) => each.proved)).sort((a, b) => this.rank(a) - this.rank(b));
    const [best] = sorted;
    if (!best) return;
    for (const lane of [...session.send.keys(), LATENCY]) {
      const current = session.laneWire(lane);
      if (current && this.rank(current) <= this.rank(best)) continue;
      session.bind(lane, best);
      this.emit("lanemoved", { lane, kind: best.slot.kind, url: best.url });
    }
  }

  // -- traffic

  frame(link, bytes, via) {
    const { litz, session } = this;
    const now = litz.env.now();
    let brought;
    try {
      brought = session.receive(link, bytes, now, via);
    } catch (error) {
      return link.close(error);
    }
    for (const message of brought.messages) {
      if (message.lane === REPLY) {
        litz.answered(this.dest, message);
        session.consumed(message, now);
      } else if (message.lane >= INTERNAL) {
        session.consumed(message, now);
        if (!this.told(message.body)) brought.error ??= protocolError("an internal message");
      } else litz.inbox.put(this, session, message, link.shake.peer.verified);
    }
    for (const gap of brought.gaps) this.emit("skipped", gap);
    for (const token of brought.pongs) {
      const { pinged } = link;
      if (link.pong(token, now)) {
        this.gate.answered(pinged);
        this.provedWell(link);
      }
    }
    if (brought.acked.length) {
      this.provedWell(link);
      this.settle(brought.acked);
    }
    if (brought.end) return this.endedByPeer(link, brought.end);
    if (brought.leave) {
      link.dismissed = brought.leave;
      const name = LEAVES[brought.leave];
      link.close(new LitzError("dismissed", "dismissed as " + name, brought.leave === 2 ? { retryAfter: this.limits.backoffCap } : {}));
    }
    if (brought.fault || brought.error) {
      link.close(brought.error ?? new LitzError("protocol", brought.fault));
      if (session.faults >= this.limits.maxFaults && session === this.session) this.endSession("peer broke the rules", brought.fault, null);
    }
    this.arm();
  }

  provedWell(link) {
    if (link.proved || !link.up) return;
    link.proved = true;
    link.slot.attempt = 0;
    this.bindLanes();
  }

  // Hand frames to the wires while they take them. Whether some wire is full.
  write(now) {
    const { session } = this;
    let full = false;
    for (const link of [...session.wires.keys()]) {
      for (;;) {
        if (!link.writeable) {
          full = full || !link.dead;
          break;
        }
        const frame = session.nextFrame(link, now);
        if (!frame) break;
        link.send(frame);
      }
    }
    return full;
  }

  // An internal message came. Whether it is one.
  told(body) {
    const size = body[0];
    const topic = new TextDecoder().decode(body.subarray(1, 1 + size));
    if (!/^[a-z0-9.-]{1,32}$/.test(topic) || topic.length !== size) return false;
    this.litz.topics.get(topic)?.(this, body.subarray(1 + size));
    return true;
  }

  // Send an internal message to who listens to the topic there.
  tell(topic, data) {
    const name = toUtf8(topic);
    this.post(INTERNAL, { body: concat([Uint8Array.of(name.length), name, data]), kind: 0, id: 0 }, () => {});
  }

  // A message of the inbox was consumed.
  consumed(session, message) {
    if (session !== this.session || message.lane === LATENCY) return;
    session.consumed(message, this.litz.env.now());
    this.arm();
  }

  // -- sending

  // Accept a message: calls `done(error, receipt)` once, in the order of calls for each lane.
  post(lane, entry, done) {
    const waiter = { entry, done };
    const queue = this.queues.get(lane);
    if (queue.length >= this.limits.maxWaiting) {
      done(new LitzError("backpressure", `${queue.length} sends to ${this.dest} wait already; await them`));
      return waiter;
    }
    queue.push(waiter);
    this.admit();
    this.arm();
    return waiter;
  }

  // The sender gave up before its message was accepted. False: it was accepted.
  withdraw(lane, waiter) {
    const queue = this.queues.get(lane);
    const at = queue.indexOf(waiter);
    if (at >= 0) queue.splice(at, 1);
    return at >= 0;
  }

  admit() {
    const { session } = this;
    if (!session.theirs || session.final || session.ended) return;
    for (const [lane, queue] of this.queues) {
      const sending = queue.length && lane !== LATENCY ? session.sendLane(lane) : null;
      while (queue.length) {
        const { entry, done } = queue[0];
        const size = entry.body.length;
        if (sending && !sending.fits(size)) {
          sending.ackWanted = sending.next;
          break;
        }
        queue.shift();
        if (size > this.maxMessage) {
          done(new LitzError("too-large", `a message of ${size} bytes, and ${this.dest} takes ${this.maxMessage}; cut it into several`));
          continue;
        }
        try {
          const number = sending ? sending.append(entry) : session.appendLossy(entry.body);
          if (sending && !sending.wire) this.bindLanes();
          done(null, { dest: this.dest, session: session.index, lane, number });
        } catch (error) {
          done(error);
        }
      }
    }
  }

  get maxMessage() {
    const link = [...this.session.wires.keys()][0] ?? this.links[0];
    if (link) this.peerMaxMessage = Number(link.shake.peer.limits.max_message);
    return this.peerMaxMessage ?? this.limits.maxMessage;
  }

  // Call `done(error)` when the receipt is confirmed at that level.
  confirm({ session, lane, number }, level, done) {
    const sending = this.session.send.get(lane);
    if (session !== this.session.index || this.closed) return done(new LitzError("session-ended", "the session ended", { outcome: "unknown" }));
    if (sending[LEVELS[level]] > number) return done(null);
    this.confirms.get(lane)[level].push({ number, done });
    sending.ackWanted = Math.max(sending.ackWanted, number + 1);
    this.arm();
  }

  // These lanes have news for those who wait for a confirmation.
  settle(lanes) {
    for (const lane of lanes) {
      const sending = this.session.send.get(lane);
      const waiters = this.confirms.get(lane) ?? {};
      for (const level in waiters) {
        while (waiters[level].length && waiters[level][0].number < sending[LEVELS[level]]) waiters[level].shift().done(null);
      }
    }
    this.litz.emit("progress", { dest: this.dest });
  }

  // -- the end

  endedByPeer(link, end) {
    if (this.farewell) return this.farewell(end);
    if (end.type === 0x41) return undefined; // a CLOSED that nobody waits for
    link.send(this.session.farewell("", true));
    return this.finish("closed by peer", end.detail || "no reason given", end);
  }

  // End the session loudly and begin a new one. A wire that is to live on must have left it before.
  endSession(reason, detail, finals) {
    const ended = this.session;
    const lost = ended.end(finals).map(([lane, number, outcome]) => ({
      receipt: { dest: this.dest, session: ended.index, lane, number }, outcome,
    }));
    const outcomes = new Map(lost.map((each) => [each.receipt.lane + "/" + each.receipt.number, each.outcome]));
    this.session = new Session(this.litz.newHalf(), this.limits, ended.index + 1);
    for (const [lane, waiters] of this.confirms) {
      const final = finals?.positions.find((each) => each.lane === lane);
      for (const level in LEVELS) {
        for (const { number, done } of waiters[level].splice(0)) {
          const stated = final && (level === "received" ? final.received : final[level]);
          const outcome = outcomes.get(lane + "/" + number) ?? (stated > number ? null : "unknown");
          done(outcome && new LitzError("session-ended", `the session with ${this.dest} ended: ${reason}`, { outcome }));
        }
      }
    }
    this.litz.sessionEnded(this.dest, reason);
    this.wireless = this.litz.env.now();
    if (ended.theirs) this.emit("sessionended", { session: ended.index, reason, detail, lost });
    for (const link of this.links.splice(0)) {
      link.up = false;
      this.emit("wiredown", { kind: link.slot.kind, url: link.url, cause: reason, wiresLeft: this.links.length });
      link.close(new LitzError("wire", reason));
    }
    this.arm();
  }

  // End for good.
  finish(reason, detail, finals = null) {
    if (this.closed) return;
    this.closed = true;
    this.cancelTimer?.();
    this.endSession(reason, detail, finals);
    this.litz.forget(this);
    for (const slot of this.slots) slot.link?.close();
    const error = new LitzError(reason === "replaced" ? "replaced" : "closed", `${this.dest}: ${reason} (${detail})`);
    for (const queue of this.queues.values()) for (const { done } of queue.splice(0)) done(error);
    for (const waiter of this.waiting.splice(0)) waiter.reject(error);
  }

  // Say goodbye, wait for the answer for `seconds`, end for good.
  async close(seconds) {
    if (this.closed) return;
    let finals = null;
    if (this.links.length && !this.session.final) {
      const bytes = this.session.farewell("", false);
      for (const link of this.links) link.send(bytes);
      if (seconds) {
        finals = await new Promise((resolve) => {
          this.farewell = resolve;
          this.litz.env.timer(() => resolve(null), seconds);
        });
      }
    }
    this.finish("closed here", "closed", finals);
  }
}
