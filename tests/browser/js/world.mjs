// Virtual time and faulty wires, all from one seed.

// Small, seeded (mulberry32).
export function generator(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

export class World {
  constructor(seed) {
    this.random = generator(seed);
    this.time = 1;
    this.order = 0;
    this.events = []; // a heap of {time, order, callback}
    this.hits = new Map();
    this.wires = [];
  }
  now() {
    return this.time;
  }
  integer(below) {
    return Math.floor(this.random() * below);
  }
  pick(list) {
    return list[this.integer(list.length)];
  }
  note(kind) {
    this.hits.set(kind, (this.hits.get(kind) ?? 0) + 1);
  }
  // Calls back at that time; returns what cancels it.
  at(time, callback) {
    const event = { time: Math.max(time, this.time), order: this.order++, callback };
    const { events } = this;
    let index = events.push(event) - 1;
    while (index) {
      const above = (index - 1) >> 1;
      if (!before(event, events[above])) break;
      events[index] = events[above];
      index = above;
    }
    events[index] = event;
    return () => (event.callback = null);
  }
  #pop() {
    const { events } = this;
    const [first] = events;
    const last = events.pop();
    if (events.length) {
      let index = 0;
      for (;;) {
        let child = 2 * index + 1;
        if (child >= events.length) break;
        if (child + 1 < events.length && before(events[child + 1], events[child])) child += 1;
        if (!before(events[child], last)) break;
        events[index] = events[child];
        index = child;
      }
      events[index] = last;
    }
    return first;
  }
  // Run until that time, with all promises settled after each event.
  async run(until) {
    while (this.events.length && this.events[0].time <= until) {
      const { time, callback } = this.#pop();
      if (!callback) continue;
      this.time = time;
      callback();
      await new Promise(setImmediate);
    }
    this.time = until;
  }
  // What litz.js is given for the machine.
  environment(started) {
    return {
      now: () => this.time,
      started: () => started,
      timer: (callback, seconds) => this.at(this.time + seconds, callback),
      soon: (callback) => this.at(this.time, callback),
      random: () => this.random(),
      randomBytes: (size) => Uint8Array.from({ length: size }, () => this.integer(256)),
      token: () => this.integer(2 ** 31),
    };
  }
}

const before = (left, right) => left.time < right.time || (left.time === right.time && left.order < right.order);

// One connection with two ends. `lost` swallows what goes to that end, without a word; `stuck` keeps it back.
export class SimWire {
  constructor(world, { latency, maxFrame, kind }) {
    Object.assign(this, { world, latency, kind });
    this.dead = false;
    this.lost = { client: false, server: false };
    this.stuck = { client: 0, server: 0 };
    this.last = { client: 0, server: 0 };
    this.ends = {};
    for (const side of ["client", "server"]) this.ends[side] = new End(this, side, maxFrame);
    world.wires.push(this);
  }
  cut() {
    if (this.dead) return;
    this.dead = true;
    for (const end of Object.values(this.ends)) {
      this.world.at(this.world.now() + this.latency * this.world.random() * 3, () => end.cutOff());
    }
  }
}

class End {
  constructor(wire, side, maxFrame) {
    Object.assign(this, { wire, side, maxFrame });
    this.kind = wire.kind;
    this.closed = false;
    this.queued = 0;
    this.onframe = this.onclose = null;
  }
  get writable() {
    return this.queued < 1 << 17;
  }
  send(bytes) {
    if (this.closed) return;
    // The handshake cannot be cut; 4,096 bytes suffice for it.
    if (bytes.length > (bytes[0] === 0x7b ? 4096 : this.maxFrame)) throw new Error(`a frame of ${bytes.length} bytes on a wire that takes ${this.maxFrame}`);
    const { wire } = this;
    const { world } = wire;
    const to = this.side === "client" ? "server" : "client";
    const copy = bytes.slice();
    const arrival = Math.max(wire.last[to], wire.stuck[to], world.now() + wire.latency * (0.5 + world.random()));
    wire.last[to] = arrival;
    this.queued += copy.length;
    world.at(arrival, () => {
      this.queued -= copy.length;
      const end = wire.ends[to];
      if (wire.lost[to]) world.note("frame lost");
      else if (!wire.dead && !end.closed) end.onframe?.(copy);
    });
  }
  close() {
    if (this.closed) return;
    this.closed = true;
    const { wire } = this;
    const other = wire.ends[this.side === "client" ? "server" : "client"];
    if (!wire.lost[other.side]) wire.world.at(Math.max(wire.last[other.side], wire.world.now() + wire.latency), () => other.cutOff());
  }
  cutOff() {
    if (this.closed) return;
    this.closed = true;
    this.onclose?.();
  }
}
