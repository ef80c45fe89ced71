// The sending end of one reliable lane: its log, R5 (bind), R7 (resume), R9 (acks), R10 (credit).
import { clamp, protocolError } from "./bytes.js";
import { BATCH } from "./frames.js";

const BATCH_SIZE = 28;
const SMALLEST_PIECE = 16;
const CUT_FROM = 16 << 10; // smaller messages go whole into the next frame

export class SendLane {
  // `credit`: {limit, used} of the session, null for lanes that are exempt.
  constructor(lane, limits, credit) {
    this.lane = lane;
    this.limits = limits;
    this.credit = credit;
    this.log = []; // entries {body, kind, id} from number `base` on; what was sent is kept until it is acknowledged
    this.base = 0;
    this.size = 0;
    this.epoch = 0;
    this.wire = null;
    this.cursor = 0; // the next number to send, of which `offset` bytes are sent
    this.offset = 0;
    this.highWater = 0; // the first number of which no byte was ever handed to a wire
    this.ackedOffset = 0; // bytes of entry `base` that the peer has
    this.processed = 0;
    this.durable = 0;
    this.creditMessages = 0;
    this.creditSize = 0;
    this.chargedMessages = 0;
    this.chargedSize = 0;
    this.ackWanted = 0; // somebody waits for the ack of every entry below
    this.blocked = false;
    this.replayed = 0;
  }

  get next() {
    return this.base + this.log.length;
  }

  fits(size) {
    const { log, limits } = this;
    return log.length < limits.logMessages && (this.size + size <= limits.logSize || !log.length);
  }

  append(entry) {
    this.log.push(entry);
    this.size += entry.body.length;
    return this.next - 1;
  }

  // Send on `wire` from now on, from the highest ack (R5).
  bind(wire, epoch) {
    this.wire = wire;
    this.epoch = epoch;
    this.cursor = this.base;
    this.offset = this.ackedOffset;
  }

  // Take an ack; old ones change nothing. Whether something is new.
  acknowledge({ received, offset, processed, durable }) {
    if (received > this.highWater || (received === this.highWater && offset)) throw protocolError("an ack of what was never sent");
    let news = false;
    if (received > this.base || (received === this.base && offset > this.ackedOffset)) {
      if (offset && offset >= this.log[received - this.base].body.length) throw protocolError("an ack past a message");
      for (const entry of this.log.splice(0, received - this.base)) this.size -= entry.body.length;
      this.base = received;
      this.ackedOffset = offset;
      if (this.cursor < received || (this.cursor === received && this.offset < offset)) {
        this.cursor = received;
        this.offset = offset;
      }
      news = true;
    }
    if (processed > this.processed || durable > this.durable) news = true;
    this.processed = Math.max(this.processed, processed);
    this.durable = Math.max(this.durable, durable);
    return news;
  }

  allow({ messages, size }) {
    this.creditMessages = Math.max(this.creditMessages, clamp(messages));
    this.creditSize = Math.max(this.creditSize, clamp(size));
  }

  // Whether to ask for an ack at once (R9).
  get ackNow() {
    return (
      this.blocked ||
      (this.base < this.ackWanted && this.ackWanted <= this.highWater) ||
      this.size * 2 >= this.limits.logSize ||
      this.log.length * 2 >= this.limits.logMessages
    );
  }

  // Push a BATCH of what comes next to `records`, within `budget` bytes. Returns the bytes used.
  fill(records, budget) {
    this.blocked = false;
    const number = this.cursor;
    const offset = this.offset;
    const correlated = !!this.log[number - this.base]?.kind;
    const bodies = [];
    const correlations = [];
    let room = budget - BATCH_SIZE;
    let remaining = 0;
    while (this.cursor < this.next && bodies.length < this.limits.batchMessages && !remaining) {
      const { body, kind, id } = this.log[this.cursor - this.base];
      if (correlated !== !!kind) break; // a column is for all of a batch
      let piece = this.offset ? body.subarray(this.offset) : body;
      const column = correlated ? 13 : 4;
      if (piece.length + column > room) {
        const part = room - column;
        if (part < SMALLEST_PIECE || (bodies.length && piece.length < CUT_FROM)) break;
        remaining = piece.length - part;
        piece = piece.subarray(0, part);
      }
      if (this.cursor >= this.highWater) {
        if (!this.#charge(body.length)) {
          remaining = 0;
          break;
        }
        this.highWater = this.cursor + 1;
      } else if (!this.offset) {
        this.replayed += 1;
      }
      room -= piece.length + column;
      bodies.push(piece);
      correlations.push([kind, id]);
      if (remaining) this.offset = body.length - remaining;
      else {
        this.cursor += 1;
        this.offset = 0;
      }
    }
    if (!bodies.length) return 0;
    records.push({
      type: BATCH, lane: this.lane, epoch: this.epoch, number, offset, remaining, bodies,
      correlations: correlated ? correlations : null, keys: null,
    });
    return budget - room;
  }

  // Each message is charged whole at its first byte, once (R10).
  #charge(size) {
    const { credit } = this;
    if (
      this.chargedMessages >= this.creditMessages ||
      this.chargedSize + size > this.creditSize ||
      (credit && credit.used + size > credit.limit)
    ) {
      this.blocked = true;
      return false;
    }
    this.chargedMessages += 1;
    this.chargedSize += size;
    if (credit) credit.used += size;
    return true;
  }

  // What the session's end leaves open, as [number, outcome]. `final`: the peer's final position, null if unknown.
  unconfirmed(final) {
    const confirmed = final === null ? this.base : Math.max(this.base, Math.min(clamp(final), this.highWater));
    return this.log
      .map((_, index) => this.base + index)
      .filter((number) => number >= confirmed)
      .map((number) => [number, final === null && number < this.highWater ? "unknown" : "never accepted"]);
  }
}
