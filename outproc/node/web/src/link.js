// One wire and its handshake, and the signs of its life. Late news of a dead wire touches nobody: who hears of a link
// compares it by identity.
import { LitzError, protocolError } from "./bytes.js";
import { Handshake } from "./handshake.js";

const HELD = 4 << 20; // bytes of frames that may wait while a proof is verified
const BRACE = 0x7b;

export class Link {
  constructor(peer, slot) {
    const { env, node } = peer.litz;
    this.peer = peer;
    this.slot = slot;
    this.url = slot.url;
    this.since = this.heardAt = env.now();
    this.deadline = this.since + peer.limits.dialTimeout;
    this.up = false; // in the session
    this.dead = false;
    this.proved = false; // it carried an answer of the peer
    this.dismissed = 0;
    this.rejoins = 0;
    this.pinged = null; // when the ping that is not answered went out
    this.token = null;
    this.roundTrip = null;
    this.bytesIn = this.bytesOut = 0;
    this.queue = [];
    this.second = {}; // stands for its second channel
    this.held = 0;
    this.busy = false;
    this.shake = new Handshake(node, peer.dest, slot.kind, env.randomBytes(32));
    this.wire = peer.litz.dial(slot.kind, slot.url, this, peer);
  }

  // -- what the wire tells

  opened() {
    this.deadline = this.peer.litz.env.now() + this.peer.limits.handshakeTimeout;
    this.shake.binding = this.wire.binding ?? null;
    this.send(this.shake.hello());
  }

  frame(bytes, channel = 0) {
    if (this.dead) return;
    this.heardAt = this.peer.litz.env.now();
    this.waiting = false;
    this.bytesIn += bytes.length;
    this.held += bytes.length;
    if (this.busy && this.held > HELD) return this.close(protocolError("the peer flooded the wire during its handshake"));
    this.queue.push({ bytes, channel });
    this.#work();
  }

  writable() {
    this.peer.arm();
  }

  closed(reason, error) {
    if (this.dead) return;
    // What the peer said last may be why it closed: that is looked at first.
    this.queue.push({ error: error ?? new LitzError("wire", this.url + ": " + reason) });
    this.#work();
  }

  #work() {
    while (this.queue.length && !this.busy && !this.dead) {
      const { bytes, channel, error } = this.queue.shift();
      if (error) return this.close(error);
      this.held -= bytes.length;
      if (bytes[0] !== BRACE) this.peer.frame(this, bytes, channel ? this.second : this);
      else {
        this.busy = true;
        this.#shake(bytes).catch((failure) => this.close(failure)).finally(() => {
          this.busy = false;
          this.#work();
        });
      }
    }
  }

  async #shake(bytes) {
    const said = await this.shake.receive(bytes);
    if (!this.dead) await this.peer.step(this, said);
  }

  // -- what its peer does

  send(bytes) {
    if (this.dead) return;
    this.bytesOut += bytes.length;
    try {
      this.wire.send(bytes);
    } catch (error) {
      this.closed(error.message);
    }
  }

  close(error) {
    if (this.dead) return;
    this.dead = true;
    this.wire.close();
    this.peer.gone(this, error ?? new LitzError("wire", "closed here"));
  }

  get writeable() {
    return !this.dead && this.wire.writable;
  }

  get maxFrame() {
    return Math.min(this.wire.maxFrame, Number(this.shake.peer.limits.max_frame));
  }

  // Doubt it now: the machine woke, or went online.
  probe(now) {
    if (!this.up || this.waiting) return;
    this.token = this.peer.litz.env.token();
    this.pinged = now;
    this.waiting = true;
    this.peer.session.ping(this, this.token);
    this.peer.arm();
  }

  // Looks at its life; returns when to look again. `excused`: before that moment our own loop was late.
  check(now, excused) {
    const { pingAfter, deadAfter } = this.peer.limits;
    if (!this.up) {
      if (now < this.deadline) return this.deadline;
      this.close(new LitzError("timeout", this.url + ": no wire and handshake in time"));
      return Infinity;
    }
    if (!this.waiting && now >= this.heardAt + pingAfter) this.probe(now);
    if (!this.waiting) return this.heardAt + pingAfter;
    const dead = Math.max(this.pinged + deadAfter, excused);
    if (now < dead) return dead;
    this.close(new LitzError("timeout", this.url + ": silent, no answer to a ping"));
    return Infinity;
  }

  // The pong of `token` came. Whether it answers the latest ping.
  pong(token, now) {
    if (token !== this.token) return false;
    this.token = null;
    const measured = now - this.pinged;
    this.roundTrip = this.roundTrip === null ? measured : this.roundTrip + (measured - this.roundTrip) / 8;
    return true;
  }
}
