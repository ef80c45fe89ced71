// What litz.js remembers of the lives of a peer.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Gate } from "../../../outproc/node/web/src/halves.js";

const life = (started) => ({ started: BigInt(started), random: 1n });
const half = (started, counter) => ({ ...life(started), counter: BigInt(counter) });

test("what a life gave up stays given up while another comes and goes", () => {
  const gate = new Gate();
  gate.decide(life(1000), 0, 0);
  gate.note(half(1000, 3));
  gate.decide(life(1010), 0, 1);
  gate.note(half(1010, 1));
  assert.deepEqual(gate.remembered, half(1010, 1));
  gate.decide(life(1000), 0, 2);
  assert.equal(gate.decide(life(1000), 0, 3), "after-end");
  assert.deepEqual(gate.remembered, half(1000, 3));
  for (let next = 2000; next < 2100; next += 1) {
    gate.decide(life(next), 0, 4);
    gate.note(half(next, 1));
  }
  assert.equal(gate.highest.length, 8);
});
