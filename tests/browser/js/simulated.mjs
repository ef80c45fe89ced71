// One seeded run: a tab (the real Litz) and a node (acceptor.mjs) on virtual time, while a nemesis works on both. The
// checker stands outside: it knows what was accepted, what arrived, and what each end of a session said.
import { Acceptor } from "./acceptor.mjs";
import { SimWire, World } from "./world.mjs";

// LITZ_JS names another build to test, such as the one that is served.
const { Litz } = await import(process.env.LITZ_JS ?? "../../../outproc/node/web/src/litz.js");

const LANES = [0, 1, 2];
const CALM = 400;

export class Run {
  constructor(seed) {
    this.seed = seed;
    this.world = new World(seed);
    this.problems = [];
    this.flows = new Map(); // "sender|session|lane" -> {sent, got, lost}
    this.lives = 0;
    this.pairs = new Map(); // session object or "life/index" -> name of the pair
    const { world } = this;
    this.two = world.random() < 0.5;
    this.maxFrame = world.pick([1024, 1500, 4096, 65536]);
    this.limits = {
      logMessages: world.pick([4, 50, 16384]), logSize: world.pick([3000, 100000]),
      windowMessages: world.pick([5, 60, 16384]), windowSize: world.pick([9000, 1 << 20]), sessionWindow: world.pick([9000, 2 << 20]),
      maxMessage: 9000, sessionKept: world.pick([3, 120]), pingAfter: 1, deadAfter: 1,
    };
    this.limits.earlySize = this.maxFrame; // little: so it is reached
    this.latency = world.pick([0.001, 0.02, 0.1]);
    this.counter = 0;
    this.started = 10n;
  }

  fail(text) {
    this.problems.push(`seed ${this.seed}, at ${this.world.now().toFixed(3)} s: ${text}`);
  }

  // -- the two ends

  startNode() {
    const { limits } = this;
    this.node = new Acceptor(this.world, "node", {
      started: ++this.started, limits: { ...limits, maxFrame: this.maxFrame },
      record: {
        paired: (node, session) => (session.flow = this.name(session.theirs, session.mine)),
        sent: (node, session, lane, number, body) => this.flow("node", session.flow, lane).sent.set(number, body),
        received: (node, session, { lane, number, body }) => this.arrived("tab", session.flow, lane, number, body),
        ended: (node, session, lost) => session.flow && this.ended("node", session.flow, lost),
        violation: (text) => this.fail("violation " + text),
      },
    });
  }

  name(tab, node) {
    return [tab, node].map((half) => `${half.started}.${half.random}/${half.counter}`).join("|");
  }

  startTab() {
    const life = ++this.lives;
    const { world } = this;
    const dial = (url, owner) => {
      if (this.refusing > world.now()) {
        world.at(world.now() + 0.01, () => owner.closed("refused"));
        world.note("dial refused");
        return { kind: "websocket", maxFrame: this.maxFrame, writable: false, close() {}, send() {} };
      }
      const wire = new SimWire(world, { latency: this.latency, maxFrame: this.maxFrame, kind: "websocket" });
      const { client, server } = wire.ends;
      client.onframe = (bytes) => owner.frame(bytes);
      client.onclose = () => owner.closed("cut");
      world.at(world.now() + this.latency, () => {
        if (client.closed || server.closed) return;
        this.node.accept(server);
        owner.opened();
      });
      return client;
    };
    const urls = this.two ? ["ws://one", "ws://two"] : ["ws://one"];
    const tab = new Litz({ id: "tab", url: urls, wires: { websocket: dial }, env: world.environment(++this.started), ...this.limits });
    tab.life = life;
    tab.received = 0;
    tab.addEventListener("violation", ({ detail }) => this.fail("violation at tab: " + detail.error.message));
    tab.addEventListener("sessionstarted", () => {
      const { session } = tab.peers.get("node");
      session.flow = this.name(session.mine, session.theirs);
      tab.flows = { ...tab.flows, [session.index]: session.flow };
    });
    tab.addEventListener("sessionended", ({ detail }) => {
      this.world.note("tab: " + detail.reason);
      this.ended("tab", tab.flows[detail.session], detail.lost.map(({ receipt, outcome }) => [receipt.lane, receipt.number, outcome]));
    });
    tab.addEventListener("lanemoved", () => world.note("lane moved"));
    this.tab = tab;
    tab.connect("node").catch(() => {});
    this.consume(tab);
  }

  async consume(tab) {
    for await (const message of tab.messages()) {
      this.arrived("node", tab.flows[message.session], message.payloadType, message.number, message.data);
      if (this.slow) await new Promise((resolve) => this.world.at(this.world.now() + this.slow, resolve));
    }
  }

  // -- the checker

  flow(sender, pair, lane) {
    const key = `${sender}|${pair}|${lane}`;
    if (!this.flows.has(key)) this.flows.set(key, { sent: new Map(), next: 0, lost: null });
    return this.flows.get(key);
  }

  arrived(sender, pair, lane, number, body) {
    const flow = this.flow(sender, pair, lane);
    const sent = flow.sent.get(number);
    if (number !== flow.next) this.fail(`${sender} lane ${lane}: ${number} came, ${flow.next} was next`);
    if (!sent || Buffer.compare(sent, body)) this.fail(`${sender} lane ${lane}: ${number} has other bytes`);
    if (flow.lost?.get(number) === "never accepted") this.fail(`${sender} lane ${lane}: ${number} arrived after it was "never accepted"`);
    flow.next = number + 1;
    this.world.note("message");
  }

  ended(sender, pair, lost) {
    this.world.note("session ended");
    for (const lane of LANES) {
      const flow = this.flow(sender, pair, lane);
      flow.lost = new Map(lost.filter((each) => each[0] === lane).map(([, number, outcome]) => [number, outcome]));
      for (const outcome of flow.lost.values()) this.world.note(outcome);
      // What arrives at the tab is consumed later than it is received, so only the node's side is judged at once.
      if (sender !== "tab") continue;
      for (const [number, outcome] of flow.lost) {
        if (outcome === "never accepted" && number < flow.next) this.fail(`tab lane ${lane}: ${number} arrived, and is "never accepted"`);
      }
      for (const number of flow.sent.keys()) {
        if (!flow.lost.has(number) && number >= flow.next) this.fail(`tab lane ${lane}: ${number} is neither lost nor there`);
      }
    }
  }

  // -- traffic and faults

  body() {
    const { world } = this;
    const size = world.pick([0, 5, 5, 40, 300, 1000, 8000]);
    const body = new Uint8Array(size).fill(this.counter & 255);
    new TextEncoder().encodeInto(String(this.counter++), body);
    return body;
  }

  sendFromTab() {
    const { tab } = this;
    const lane = this.world.pick(LANES);
    const body = this.body();
    // Called in the turn of acceptance, before anything can be acknowledged.
    tab.send("node", body, { payloadType: lane }).then(
      (receipt) => this.flow("tab", tab.flows[receipt.session], lane).sent.set(receipt.number, body),
      (error) => this.world.note("send: " + error.code),
    );
  }

  fault() {
    const { world } = this;
    const wires = world.wires.filter((wire) => !wire.dead && !(wire.ends.client.closed && wire.ends.server.closed));
    const wire = wires.length ? world.pick(wires) : null;
    const kind = world.pick(["cut", "cut", "cut both", "half-open", "one way", "delay", "restart", "discard", "forget", "reload", "goodbye", "refuse", "slow", "wake", "move", "move", "nothing"]);
    if (["restart", "discard", "forget", "reload", "goodbye"].includes(kind) && world.random() < 0.6) return;
    world.note(kind);
    if (kind === "cut") wire?.cut();
    else if (kind === "cut both") wires.forEach((each) => each.cut());
    else if (kind === "half-open" && wire) wire.lost.client = wire.lost.server = true;
    else if (kind === "one way" && wire) wire.lost[world.pick(["client", "server"])] = true;
    else if (kind === "delay" && wire) wire.stuck.client = wire.stuck.server = world.now() + world.random() * 3;
    else if (kind === "restart") {
      this.node.stop();
      this.startNode();
    } else if (kind === "discard" || kind === "forget") {
      this.node.end("expired", null, null);
      if (kind === "forget") this.node.forgetFinals();
    } else if (kind === "reload") {
      // As a tab that crashed: nothing is said.
      const old = this.tab;
      for (const slot of old.peers.get("node")?.slots ?? []) slot.link?.wire.close();
      old.dead = true;
      for (const peer of old.peers.values()) peer.closed = true;
      this.startTab();
    } else if (kind === "goodbye") {
      this.tab.close();
      this.startTab();
    } else if (kind === "refuse") this.refusing = world.now() + world.random() * 4;
    else if (kind === "slow") this.slow = world.pick([0, 0.001, 0.2]);
    else if (kind === "wake") this.tab.wake();
    else if (kind === "move") {
      // Either end may move a lane to another wire at any time (R5).
      const end = world.random() < 0.5 ? this.node : this.tab.peers.get("node");
      const joined = [...(end?.session.wires.keys() ?? [])];
      if (joined.length < 2 || end.session.ended || end.session.final) return;
      end.session.bind(world.pick(LANES), world.pick(joined));
      world.note("moved");
      end.arm();
    }
  }

  step() {
    const { world } = this;
    const choice = world.random();
    if (choice < 0.35) for (let count = world.integer(12); count >= 0; count--) this.sendFromTab();
    else if (choice < 0.7) for (let count = world.integer(12); count >= 0; count--) this.node.send(world.pick(LANES), this.body());
    else if (choice < 0.88) this.node.consume(world.integer(20));
    else this.fault();
  }

  async play(steps = 120) {
    const { world } = this;
    this.refusing = this.slow = 0;
    this.startNode();
    this.startTab();
    for (let count = 0; count < steps; count++) {
      this.step();
      await world.run(world.now() + world.pick([0, 0.001, 0.01, 0.05, 0.3, 1]));
      if (this.problems.length) return this;
    }
    await this.heal();
    return this;
  }

  // No more faults: all that was accepted in the session that lives must arrive.
  async heal() {
    const { world } = this;
    this.refusing = this.slow = 0;
    const end = world.now() + CALM;
    while (world.now() < end) {
      this.node.consume(10000);
      await world.run(world.now() + 0.5);
      if (this.drained()) break;
    }
    if (!this.drained()) this.fail("not all arrived: " + JSON.stringify(this.tab.snapshot(), (_, value) => (typeof value === "bigint" ? String(value) : value)));
    for (const [key, flow] of this.flows) {
      if (flow.lost) continue;
      const live = key.includes(this.tab.peers.get("node")?.session.flow ?? "none");
      if (live && flow.next !== flow.sent.size) this.fail(`${key}: ${flow.sent.size} accepted, ${flow.next} arrived`);
    }
    const closing = this.tab.close();
    await world.run(world.now() + 5);
    await closing;
    if (this.tab.peers.size) this.fail("a peer outlived close()");
  }

  drained() {
    const peer = this.tab.peers.get("node");
    if (!peer || !peer.links.length || !sameFlow(peer.session, this.node.session)) return false;
    const idle = (session) => [...session.send.values()].every((lane) => !lane.log.length);
    return idle(peer.session) && idle(this.node.session) && [...peer.queues.values()].every((queue) => !queue.length) && !this.tab.inbox.rest.length && !this.tab.inbox.first.length;
  }
}

const sameFlow = (left, right) => !!left.flow && left.flow === right.flow;
