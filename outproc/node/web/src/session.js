// One session: its lanes, the wires that joined it, and the frames between. No clock, no I/O.
//
// The caller acts in the same turn: after `receive`, after an append and when `due` has come it asks `nextFrame` for
// each wire that takes more; when a wire dies it calls `leave`, and then binds the lanes without a wire to another.
import { LitzError, clamp, protocolError } from "./bytes.js";
import { ACK, BATCH, CLOSED, CREDIT, FIN, GOODBYE, LEAVE, LOSSY, PING, PONG, SESSION_CREDIT, SKIP, decodeFrame, encodeFrame } from "./frames.js";
import { tagOf } from "./halves.js";
import { INTERNAL_LIMITS, LATENCY, PRIORITY, RELIABLE, SHARING } from "./lanes.js";
import { ReceiveLane } from "./receive_lane.js";
import { SendLane } from "./send_lane.js";

const MAX_PONGS = 4;
const CONTROL_SIZE = 36; // the largest control record: an ACK
const HEADER_SIZE = 8;
const LOSSY_SIZE = 64;
const FORGIVEN = 60; // seconds

export class Session {
  // `mine`: our half, never used before. `index` counts the sessions with this peer.
  constructor(mine, limits, index) {
    this.mine = mine;
    this.limits = limits;
    this.index = index;
    this.theirs = null;
    this.tag = 0;
    this.ended = false;
    this.final = false; // final positions were stated: no more data, either way (R4)
    this.wires = new Map(); // wire -> {maxFrame, early, pings, pongs, lastFirst}
    this.sendCredit = { limit: 0, used: 0 };
    this.receiveCredit = { granted: limits.sessionWindow, charged: 0, consumed: 0 };
    this.send = new Map();
    this.receiveLanes = new Map();
    for (const lane of RELIABLE) {
      const exempt = PRIORITY.includes(lane);
      this.send.set(lane, new SendLane(lane, limits, exempt ? null : this.sendCredit));
      this.receiveLanes.set(lane, new ReceiveLane(lane, limits, exempt ? null : this.receiveCredit));
    }
    this.lossy = { wire: null, queue: [], next: 0, expected: 0, dropped: 0, lost: 0 };
    this.unsentAcks = new Set();
    this.unsentCredits = new Set();
    this.unsentSessionCredit = false;
    this.ackDue = null;
    this.peerLog = { messages: 1, bytes: 1 };
    this.faults = 0;
    this.violatedAt = 0;
    this.heard = null; // the wire that carried a frame last: control goes there, a silent one may be half open
    this.epoch = 0;
  }

  complete(theirs) {
    this.theirs = theirs;
    this.tag = tagOf(this.mine, theirs);
  }

  // What a JOIN states. Stating a grant grants it.
  terms() {
    const lanes = [...this.receiveLanes.values()];
    return {
      positions: this.finals(),
      log: { messages: this.limits.logMessages, bytes: this.limits.logSize },
      credit: lanes.map((lane) => lane.grant()),
      sessionCredit: this.#grant(),
    };
  }

  finals() {
    return [...this.receiveLanes.values()].map((lane) => lane.position());
  }

  #grant() {
    const credit = this.receiveCredit;
    return (credit.granted = Math.max(credit.granted, credit.consumed + this.limits.sessionWindow));
  }

  // Take a proved wire in, with the terms of the peer; null when it resumes ahead of the answer. Throws "protocol".
  // Ping it then: before it has answered it takes `early` bytes of data, because the peer may have to hold them (R1).
  join(wire, maxFrame, terms) {
    if (terms) {
      for (const position of terms.positions) this.#lane(this.send, position).acknowledge(position);
      for (const credit of terms.credit) this.#lane(this.send, credit).allow(credit);
      this.sendCredit.limit = Math.max(this.sendCredit.limit, clamp(terms.sessionCredit));
      this.peerLog = { messages: Math.max(1, clamp(terms.log.messages)), bytes: Math.max(1, clamp(terms.log.bytes)) };
    }
    if (!this.wires.has(wire)) this.wires.set(wire, { maxFrame, early: this.limits.earlySize, pings: [], pongs: [], lastFirst: LATENCY });
  }

  leave(wire, now) {
    if (!this.wires.delete(wire)) return;
    for (const lane of [...this.send.values(), ...this.receiveLanes.values(), this.lossy]) {
      if (lane.wire === wire) lane.wire = null;
    }
    if (this.heard === wire) this.heard = null;
    // Whatever it carried may be lost: all control is unsent again (R8).
    for (const lane of this.receiveLanes.keys()) {
      this.unsentAcks.add(lane);
      this.unsentCredits.add(lane);
    }
    this.unsentSessionCredit = true;
    this.#news(now + this.limits.ackDelay);
  }

  bind(lane, wire) {
    if (lane === LATENCY) this.lossy.wire = wire;
    else this.send.get(lane).bind(wire, ++this.epoch);
  }

  laneWire(lane) {
    return lane === LATENCY ? this.lossy.wire : this.send.get(lane)?.wire;
  }

  #news(by) {
    if (this.ackDue === null || by < this.ackDue) this.ackDue = by;
  }

  #lane(lanes, { lane }) {
    if (lanes.has(lane)) return lanes.get(lane);
    const limits = INTERNAL_LIMITS.get(lane);
    if (!limits) throw protocolError("there is no lane " + lane);
    const made = new (lanes === this.send ? SendLane : ReceiveLane)(lane, limits, null);
    if (lanes === this.send) made.allow({ messages: limits.windowMessages, size: limits.windowSize });
    lanes.set(lane, made);
    return made;
  }

  sendLane(lane) {
    return this.#lane(this.send, { lane });
  }

  // `via` is the channel of a wire that has several without order between them.
  //
  // What one frame brought: {messages, gaps, acked, pongs, end, leave, fault, error}. What is in it is valid also
  // with `fault` or `error`, for which the wire is to be closed. Throws for what cannot be decoded.
  receive(wire, bytes, now, via = wire) {
    const { flags, tag, records } = decodeFrame(bytes);
    const brought = { messages: [], gaps: [], acked: [], pongs: [], end: null, leave: 0, fault: "", error: null };
    const joined = this.wires.get(wire);
    if (!joined || tag !== this.tag || this.ended) return brought;
    this.heard = wire;
    try {
      for (const record of records) this.#take(via, joined, record, brought, now, flags & 1);
    } catch (error) {
      brought.error = error; // what came before the bad record was taken, so it is delivered
      if (!brought.fault) this.#violated(now);
    }
    return brought;
  }

  // Violations add up; after a good minute they are forgiven.
  #violated(now) {
    if (now > this.violatedAt + FORGIVEN) this.faults = 0;
    this.violatedAt = now;
    this.faults += 1;
  }

  #take(wire, joined, record, brought, now, ackNow) {
    const { type } = record;
    if (type === BATCH || type === SKIP || type === FIN) {
      if (!this.final) this.#takeData(wire, record, brought, now, ackNow);
    } else if (type === LOSSY) {
      if (record.lane !== LATENCY) throw protocolError("not a latency-first lane");
      if (!this.final) this.#takeLossy(record, brought);
    } else if (type === ACK) {
      if (this.#lane(this.send, record).acknowledge(record)) brought.acked.push(record.lane);
    } else if (type === CREDIT) this.#lane(this.send, record).allow(record);
    else if (type === SESSION_CREDIT) this.sendCredit.limit = Math.max(this.sendCredit.limit, clamp(record.size));
    else if (type === PING) joined.pongs = [...joined.pongs, record.token].slice(-MAX_PONGS);
    else if (type === PONG) {
      brought.pongs.push(record.token);
      joined.early = Infinity;
    }
    else if (type === LEAVE) brought.leave = record.reason;
    else brought.end = record;
  }

  #takeData(wire, record, brought, now, ackNow) {
    const lane = this.#lane(this.receiveLanes, record);
    const verdict = lane.place(wire, record.epoch, record.type === SKIP ? record.first : record.number, record.offset ?? 0);
    if (verdict === "fault") {
      // What follows in this frame is too high as well: it is one fault of one wire.
      if (!brought.fault) this.#violated(now);
      brought.fault = "a lane jumped";
    }
    if (verdict !== "taken") return;
    if (record.type === BATCH) {
      for (const message of lane.take(record)) brought.messages.push({ lane: lane.lane, ...message });
    } else if (record.type === SKIP) {
      const gap = lane.takeSkip(record);
      if (gap) brought.gaps.push(gap);
    } else lane.takeFin(record);
    if (ackNow) lane.ackNowBelow = lane.number;
    const urgent = ackNow || lane.unackedSize * 4 >= this.peerLog.bytes || lane.unackedMessages * 4 >= this.peerLog.messages;
    this.unsentAcks.add(lane.lane);
    this.#news(urgent ? now : now + this.limits.ackDelay);
  }

  #takeLossy({ number, bodies }, brought) {
    const { lossy } = this;
    if (bodies.some((body) => body.length > this.limits.maxMessage)) throw protocolError("a message over the limit");
    lossy.lost += Math.max(0, number - lossy.expected);
    bodies.forEach((body, index) => {
      if (number + index < lossy.expected) return;
      lossy.expected = number + index + 1;
      brought.messages.push({ lane: LATENCY, number: number + index, body: body.slice(), kind: 0, id: 0 });
    });
  }

  // The consumer is done with a message of a reliable lane.
  consumed({ lane, number, body }, now) {
    const receiving = this.receiveLanes.get(lane);
    const asked = receiving.processed < receiving.ackNowBelow;
    const urgent = receiving.consumed(body.length, number + 1);
    this.unsentCredits.add(lane);
    this.unsentAcks.add(lane);
    if (receiving.credit) this.unsentSessionCredit = true;
    this.#news(asked || urgent ? now : now + this.limits.ackDelay);
  }

  // Queue a message of the latency-first lane; the oldest unsent goes when there are too many. Returns its number.
  appendLossy(body) {
    const { lossy } = this;
    if (body.length > this.limits.frameSize - LOSSY_SIZE) throw new LitzError("too-large", "a latency-first message is one frame at most");
    lossy.queue.push({ number: lossy.next, body });
    if (lossy.queue.length > this.limits.lossyMessages) this.#dropLossy();
    return lossy.next++;
  }

  #dropLossy() {
    this.lossy.queue.shift();
    this.lossy.dropped += 1;
  }

  // When `nextFrame` must be asked although nothing else happens; null: never.
  get due() {
    return this.wires.size && !this.final ? this.ackDue : null;
  }

  ping(wire, token) {
    const joined = this.wires.get(wire);
    if (joined) joined.pings = [...joined.pings, token].slice(-MAX_PONGS);
  }

  // The next frame for `wire`, null if there is nothing for it now. Signals first; control rides on every frame,
  // and goes alone when it is due.
  nextFrame(wire, now) {
    const joined = this.wires.get(wire);
    if (!joined || this.ended || this.final) return null;
    const largest = joined.maxFrame - HEADER_SIZE;
    let budget = Math.min(joined.maxFrame, this.limits.frameSize) - HEADER_SIZE;
    const records = [
      ...joined.pongs.splice(0).map((token) => ({ type: PONG, token })),
      ...joined.pings.splice(0).map((token) => ({ type: PING, token })),
    ];
    const speaks = !this.heard || this.heard === wire;
    const alone = records.length > 0 || (speaks && this.ackDue !== null && this.ackDue <= now);
    const data = [];
    budget -= records.length * CONTROL_SIZE;
    const room = speaks ? Math.min(budget >> 1, (this.unsentAcks.size + this.unsentCredits.size + 1) * CONTROL_SIZE) : 0;
    budget -= room;
    const [ackNow, used] = this.#fill(wire, joined, data, Math.min(budget, joined.early), largest);
    joined.early -= used;
    if (!data.length && !alone) return null;
    records.push(...this.#control(room));
    return encodeFrame(this.tag, ackNow, [...records, ...data]);
  }

  // The control records that fit into `room` bytes, with the values of this moment.
  #control(room) {
    const records = [];
    const fits = () => (room -= CONTROL_SIZE) >= 0;
    for (const lane of this.unsentAcks) {
      if (fits()) records.push(this.receiveLanes.get(lane).ack());
      if (room >= 0) this.unsentAcks.delete(lane);
    }
    for (const lane of this.unsentCredits) {
      if (fits()) records.push(this.receiveLanes.get(lane).grant());
      if (room >= 0) this.unsentCredits.delete(lane);
    }
    if (this.unsentSessionCredit && fits()) {
      records.push({ type: SESSION_CREDIT, size: this.#grant() });
      this.unsentSessionCredit = false;
    }
    if (!this.unsentAcks.size && !this.unsentCredits.size && !this.unsentSessionCredit) this.ackDue = null;
    return records;
  }

  #fill(wire, joined, data, budget, largest) {
    const after = SHARING.indexOf(joined.lastFirst) + 1;
    let ackNow = false;
    let filled = 0;
    let shared = false;
    for (const number of [...PRIORITY, ...SHARING.slice(after), ...SHARING.slice(0, after)]) {
      if (this.laneWire(number) !== wire) continue;
      const lane = this.send.get(number);
      const used = lane ? lane.fill(data, budget) : this.#fillLossy(data, budget, largest);
      if (!used) continue;
      budget -= used;
      filled += used;
      if (lane && lane.ackNow) ackNow = true;
      if (!shared && SHARING.includes(number)) {
        shared = true;
        joined.lastFirst = number; // only what was sent moves the turn
      }
    }
    return [ackNow, filled];
  }

  #fillLossy(data, budget, largest) {
    const { queue } = this.lossy;
    let used = 0;
    while (queue.length) {
      const { number, body } = queue[0];
      const size = body.length + LOSSY_SIZE;
      if (size > largest) {
        this.#dropLossy(); // it could never go on this wire
        continue;
      }
      if (used + size > budget) break;
      queue.shift();
      used += size;
      data.push({ type: LOSSY, lane: LATENCY, number, bodies: [body], correlations: null, keys: null });
    }
    return used;
  }

  // The frame that ends the session; from now on no data is taken nor sent (R4). Then `end` with the peer's finals.
  farewell(detail, answer) {
    this.final = true;
    const type = answer ? CLOSED : GOODBYE;
    return encodeFrame(this.tag, false, [{ type, reason: 0, detail, positions: this.finals(), partial: false }]);
  }

  // The session is over. Returns [lane, number, outcome] of each message not confirmed. `finals`: null, or the
  // positions that the peer stated as final; `partial`: not of all lanes, and of the others nothing is known.
  end(finals) {
    this.ended = true;
    this.wires.clear();
    return RELIABLE.flatMap((number) => {
      const lane = this.send.get(number);
      const stated = finals?.positions.find((each) => each.lane === lane.lane);
      const final = stated ? stated.received : finals && !finals.partial ? lane.base : null;
      return lane.unconfirmed(final).map(([number, outcome]) => [lane.lane, number, outcome]);
    });
  }
}
