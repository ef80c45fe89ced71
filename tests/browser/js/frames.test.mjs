// The frames of litz.js agree with docs/vectors/frames.json in both directions.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import * as frames from "../../../outproc/node/web/src/frames.js";
import { tagOf } from "../../../outproc/node/web/src/halves.js";
import { bytesOf, hexOf } from "./hexadecimal.mjs";

const vectors = JSON.parse(readFileSync(new URL("../../../docs/vectors/frames.json", import.meta.url)));
const WIDE = ["number", "first", "last", "received", "processed", "durable", "messages", "token"];
const NAMES = ["batch", "skip", "fin", "lossy", "ack", "credit", "session_credit", "ping", "pong", "goodbye", "closed", "leave"];

function asVector(record) {
  const value = { ...record, type: NAMES.find((name) => frames[name.toUpperCase()] === record.type) };
  for (const name of WIDE) if (name in value) value[name] = String(value[name]);
  if ("size" in value) value.size = String(value.size);
  if (value.bodies) value.bodies = value.bodies.map(hexOf);
  if (value.correlations) value.correlations = value.correlations.map(([kind, id]) => [kind, String(id)]);
  if (value.positions) value.positions = value.positions.map((each) => { const { type, ...rest } = asVector(each); return rest; });
  return value;
}

for (const vector of vectors.good) {
  test(`decodes and encodes: ${vector.name}`, () => {
    const decoded = frames.decodeFrame(bytesOf(vector.hex));
    assert.equal(decoded.tag, vector.tag);
    assert.equal(decoded.flags, vector.flags);
    assert.deepEqual(decoded.records.map(asVector), vector.records);
    if (vector.canonical) assert.equal(hexOf(frames.encodeFrame(decoded.tag, decoded.flags & 1, decoded.records)), vector.hex);
  });
}

for (const vector of vectors.bad) {
  test(`refuses: ${vector.name}`, () => {
    assert.throws(() => frames.decodeFrame(bytesOf(vector.hex)), { name: "LitzError", code: "protocol" });
  });
}

for (const vector of vectors.tags) {
  test(`tag of ${vector.text}`, () => {
    const halves = vector.halves.map(({ started, random, counter }) => ({ started: BigInt(started), random: BigInt(random), counter: BigInt(counter) }));
    assert.equal(tagOf(...halves), vector.tag);
    assert.equal(tagOf(...halves.reverse()), vector.tag);
  });
}
