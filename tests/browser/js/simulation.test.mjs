// The session of litz.js against itself over faulty wires, on virtual time. SEEDS=first-last chooses other seeds.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Run } from "./simulated.mjs";

const [first, last] = (process.env.SEEDS ?? "0-299").split("-").map(Number);
const MUST_HIT = [
  "cut", "half-open", "one way", "delay", "restart", "discard", "forget", "reload", "goodbye", "refuse", "dial refused",
  "frame lost", "resume", "pair", "mismatch", "mismatch names not all", "lane moved", "moved", "unknown", "never accepted",
  "tab: peer restarted", "tab: unknown to peer", "tab: expired", "tab: closed here",
];

test(`seeds ${first} to ${last}: exactly once, in order, loud`, async () => {
  const hits = new Map();
  for (let seed = first; seed <= last; seed++) {
    const run = await new Run(seed).play();
    assert.deepEqual(run.problems.slice(0, 3), []);
    for (const [kind, count] of run.world.hits) hits.set(kind, (hits.get(kind) ?? 0) + count);
  }
  console.log(Object.fromEntries([...hits].sort()));
  if (last - first >= 299) for (const kind of MUST_HIT) assert.ok(hits.get(kind), `never hit: ${kind}`);
});

test("a wire that answers and breaks again and again is no storm of dials", async () => {
  const run = new Run(1);
  run.startNode();
  run.startTab();
  const { tab, world } = run;
  const dials = () => tab.snapshot()[0].wires.reduce((sum, { dials }) => sum + dials, 0);
  tab.addEventListener("wireup", () => world.at(world.now() + 10 * run.latency, () => tab.cut("node")));
  await world.run(61);
  const most = run.two ? 2 : 1;
  assert.ok(dials() <= most * (8 + 120 + 2), `${dials()} dials in a minute`);
  assert.ok(dials() >= 30, `${dials()} dials: nobody is left alone`);
  assert.deepEqual(run.problems, []);
});
