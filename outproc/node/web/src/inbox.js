// What came and was not consumed yet: signals first, else in the order of arrival. One consumer: a message counts as
// processed when the next one is asked for, or the loop is left.
import { LitzError, fromUtf8 } from "./bytes.js";
import { LATENCY, SIGNAL } from "./lanes.js";

export class Message {
  constructor(litz, peer, session, raw, verified) {
    this.sender = peer.dest;
    this.data = raw.body;
    this.payloadType = raw.lane;
    this.number = raw.number;
    this.session = session.index;
    this.verified = verified;
    this.isRequest = raw.kind === 1;
    this.source = { litz, peer, session, raw };
  }
  text() {
    return fromUtf8(this.data);
  }
  // Answer a request. To a peer whose session is over an answer has nowhere to go, and is dropped.
  reply(data) {
    return this.source.litz.reply(this.source, 2, data);
  }
  fail(error) {
    return this.source.litz.reply(this.source, 3, `${error.name}\0${error.message}`.slice(0, 8192));
  }
}

export class Inbox {
  constructor(litz) {
    this.litz = litz;
    this.first = [];
    this.rest = [];
    this.lossy = 0;
    this.wake = null;
    this.taken = false;
    this.ended = false;
  }

  put(peer, session, raw, verified) {
    const queue = raw.lane === SIGNAL ? this.first : this.rest;
    // The latency-first lane has no credit: when too many wait the oldest goes.
    if (raw.lane === LATENCY && ++this.lossy > this.litz.limits.lossyMessages) {
      queue.splice(queue.findIndex((each) => each.payloadType === LATENCY), 1);
      this.lossy -= 1;
      session.lossy.lost += 1;
    }
    queue.push(new Message(this.litz, peer, session, raw, verified));
    this.wake?.();
  }

  end() {
    this.ended = true;
    this.wake?.();
  }

  async *messages() {
    if (this.taken) throw new LitzError("usage", "one consumer at a time: messages() is being iterated already");
    this.taken = true;
    try {
      for (;;) {
        const queue = this.first.length ? this.first : this.rest;
        if (queue.length) {
          const message = queue.shift();
          const { peer, session, raw } = message.source;
          if (raw.lane === LATENCY) this.lossy -= 1;
          try {
            yield message;
          } finally {
            peer.consumed(session, raw);
          }
        } else if (this.ended) return;
        else {
          await new Promise((resolve) => {
            this.wake = resolve;
          });
          this.wake = null;
        }
      }
    } finally {
      this.taken = false;
    }
  }
}
