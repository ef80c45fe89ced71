// The receiving end of one reliable lane: R5 (bind), R6 (receive), R9 (acks), R10 (credit), and reassembly.
import { protocolError } from "./bytes.js";
import { ACK, CREDIT, sum } from "./frames.js";

// A message that comes in pieces. Its memory grows with what is here, not with what was announced.
class Reassembly {
  constructor(total) {
    this.total = total;
    this.got = 0;
    this.buffer = new Uint8Array(0);
  }
  // The message once it is whole.
  add(piece) {
    const needed = this.got + piece.length;
    if (needed > this.buffer.length) {
      const grown = new Uint8Array(Math.min(this.total, Math.max(needed, 2 * this.got)));
      grown.set(this.buffer);
      this.buffer = grown;
    }
    this.buffer.set(piece, this.got);
    this.got = needed;
    return needed === this.total ? this.buffer : null;
  }
}

export class ReceiveLane {
  // `credit`: {granted, charged, consumed} of the session, null for lanes that are exempt.
  constructor(lane, limits, credit) {
    this.lane = lane;
    this.limits = limits;
    this.credit = credit;
    this.number = 0; // of the entry expected next, of which `offset` bytes are here
    this.epoch = 0;
    this.wire = null;
    this.partial = null;
    this.finished = false;
    this.processed = 0;
    this.chargedMessages = 0;
    this.chargedSize = 0;
    this.consumedMessages = 0;
    this.consumedSize = 0;
    this.grantedMessages = limits.windowMessages;
    this.grantedSize = limits.windowSize;
    this.duplicates = 0;
    this.ackNowBelow = 0; // the peer waits for news of every entry below
    this.unackedMessages = 0;
    this.unackedSize = 0;
  }

  get offset() {
    return this.partial ? this.partial.got : 0;
  }

  // "taken", "old" (drop it) or "fault" (the wire lost or reordered something) for a record that starts there.
  place(wire, epoch, number, offset) {
    if (epoch < this.epoch || (epoch === this.epoch && wire !== this.wire)) return "old";
    if (number > this.number || (number === this.number && offset > this.offset)) return "fault";
    this.epoch = epoch;
    this.wire = wire;
    return "taken";
  }

  // A batch that `place` took: the messages that became whole, as {number, body, kind, id}.
  take(batch) {
    let { bodies, offset, correlations } = batch;
    const behind = this.number - batch.number;
    this.unackedSize += sum(bodies.map((body) => body.length));
    this.unackedMessages += bodies.length;
    this.duplicates += Math.min(behind, bodies.length);
    if (behind >= bodies.length) return [];
    if (behind) {
      bodies = bodies.slice(behind);
      correlations = correlations && correlations.slice(behind);
      offset = 0;
    }
    const surplus = this.offset - offset;
    if (surplus) {
      if (bodies.length === 1 && batch.remaining && surplus >= bodies[0].length) return [];
      bodies = [bodies[0].subarray(surplus), ...bodies.slice(1)];
    }
    return this.#put(bodies, correlations, batch.remaining);
  }

  #put(bodies, correlations, remaining) {
    const sizes = bodies.map((body) => body.length);
    sizes[sizes.length - 1] += remaining;
    // All is checked before anything changes: a bad piece costs the wire, not what came before it.
    if (this.partial && this.partial.got + sizes[0] !== this.partial.total) throw protocolError("a piece that does not fit");
    this.#charge(this.partial ? sizes.slice(1) : sizes);
    const whole = [];
    bodies.forEach((body, index) => {
      this.partial ??= new Reassembly(sizes[index]);
      const message = this.partial.add(body);
      if (!message) return;
      const [kind, id] = correlations ? correlations[index] : [0, 0];
      whole.push({ number: this.number, body: message, kind, id });
      this.number += 1;
      this.partial = null;
    });
    return whole;
  }

  #charge(sizes) {
    if (!sizes.length) return;
    const size = sum(sizes);
    const { credit, limits } = this;
    if (this.finished) throw protocolError("a message after the end of its lane");
    if (sizes.some((each) => each > limits.maxMessage)) throw protocolError("a message over the limit");
    if (
      this.chargedMessages + sizes.length > this.grantedMessages ||
      this.chargedSize + size > this.grantedSize ||
      (credit && credit.charged + size > credit.granted)
    ) {
      throw protocolError("more was sent than granted");
    }
    this.chargedMessages += sizes.length;
    this.chargedSize += size;
    if (credit) credit.charged += size;
  }

  // The gap that is news, or null.
  takeSkip({ first, last, reason }) {
    if (last < this.number) return null;
    if (this.finished || this.partial) throw protocolError("a gap inside a message, or after the end of its lane");
    first = this.number;
    this.number = last + 1;
    this.unackedMessages += 1;
    return { lane: this.lane, first, last, reason };
  }

  takeFin({ number }) {
    if (number < this.number) return;
    if (this.partial) throw protocolError("a lane ended inside a message");
    this.number = number + 1;
    this.finished = true;
    this.unackedMessages += 1;
  }

  // The consumer is done with one message, and with all below `processed`. Whether the grant must go out at once.
  consumed(size, processed) {
    const { credit, limits } = this;
    this.consumedMessages += 1;
    this.consumedSize += size;
    this.processed = Math.max(this.processed, processed);
    if (credit) credit.consumed += size;
    return (
      (this.consumedMessages + limits.windowMessages - this.grantedMessages) * 2 >= limits.windowMessages ||
      (this.consumedSize + limits.windowSize - this.grantedSize) * 2 >= limits.windowSize ||
      (!!credit && (credit.consumed + limits.sessionWindow - credit.granted) * 2 >= limits.sessionWindow)
    );
  }

  // The CREDIT to announce now: what was consumed plus one window. To state it is to grant it.
  grant() {
    this.grantedMessages = Math.max(this.grantedMessages, this.consumedMessages + this.limits.windowMessages);
    this.grantedSize = Math.max(this.grantedSize, this.consumedSize + this.limits.windowSize);
    return { type: CREDIT, lane: this.lane, messages: this.grantedMessages, size: this.grantedSize };
  }

  // Where it stands.
  position() {
    return { type: ACK, lane: this.lane, received: this.number, offset: this.offset, processed: this.processed, durable: 0 };
  }

  ack() {
    this.unackedMessages = this.unackedSize = 0;
    return this.position();
  }
}
