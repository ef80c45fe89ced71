// The handshake of litz.js agrees with docs/vectors/handshake.json: transcripts, proofs, frames, refusals.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { fromUtf8, toUtf8 } from "../../../outproc/node/web/src/bytes.js";
import { readFields } from "../../../outproc/node/web/src/fields.js";
import { Handshake, absorb, startTranscript } from "../../../outproc/node/web/src/handshake.js";
import { parseObject } from "../../../outproc/node/web/src/json.js";
import { claims, derivedId, ed25519, sharedKey } from "../../../outproc/node/web/src/proofs.js";
import { bytesOf, hexOf } from "./hexadecimal.mjs";

const vectors = JSON.parse(readFileSync(new URL("../../../docs/vectors/handshake.json", import.meta.url)));
const PKCS8 = "302e020100300506032b657004220420"; // what WebCrypto wants before the 32 bytes of a private key
const big = (object) => Object.fromEntries(Object.entries(object).map(([name, value]) => [name, BigInt(value)]));

function split(frame) {
  const [body, proof] = frame.split("\n");
  return { body: toUtf8(body), proof: proof === undefined ? null : new Uint8Array(Buffer.from(proof, "base64url")), said: JSON.parse(body) };
}

async function authenticator(vector, side) {
  if (vector.method === "none") return claims;
  if (vector.method === "shared-key") return sharedKey(bytesOf(vector.shared_secret));
  const privateKey = await crypto.subtle.importKey("pkcs8", bytesOf(PKCS8 + vector[`${side}_private_key`]), "Ed25519", false, ["sign"]);
  const raw = async (of) => crypto.subtle.importKey("raw", bytesOf(vector[of].credential), "Ed25519", true, ["verify"]);
  const other = side === "dialler" ? "acceptor" : "dialler";
  const known = "ed25519-public:" + Buffer.from(bytesOf(vector[other].credential)).toString("base64url");
  return ed25519({ privateKey, publicKey: await raw(side) }, { [vector[other].id]: known });
}

for (const vector of vectors.cases) {
  test(`transcripts and proofs: ${vector.name}`, async () => {
    const binding = vector.channel_binding ? bytesOf(vector.channel_binding) : new Uint8Array(0);
    const auths = { dialler: await authenticator(vector, "dialler"), acceptor: await authenticator(vector, "acceptor") };
    let transcript = await startTranscript();
    let joined;
    for (const { from, frame, proof_covers: covers } of vector.frames) {
      const { body, proof, said } = split(frame);
      const answer = ["ok", "mismatch", "refuse"].includes(said.type);
      let covered = await absorb(said.type === "join" && joined ? joined : transcript, said.type, body);
      if (said.type === "challenge") covered = await absorb(covered, "binding", binding);
      if (covers) {
        assert.equal(hexOf(covered), covers, said.type);
        const peer = from === "dialler" ? "acceptor" : "dialler";
        await auths[peer].verify(vector[from].id, bytesOf(vector[from].credential), covered, proof, from);
        if (proof.length) await assert.rejects(auths[peer].verify(vector[from].id, bytesOf(vector[from].credential), covered, proof, peer), { code: "unauthenticated" });
        assert.equal(hexOf(await auths[from].prove(covered, from)), hexOf(proof));
      }
      if (!answer) transcript = proof ? await absorb(covered, "proof", proof) : covered;
      if (said.type === "join" && !joined) joined = transcript;
    }
  });
}

async function prepared() {
  const vector = vectors.cases[0];
  const { dialler } = vector;
  const limits = { max_frame: dialler.limits.max_frame, max_message: dialler.limits.max_message };
  const node = { id: dialler.id, incarnation: big(dialler.incarnation), auth: claims, limits, features: dialler.features };
  const shake = new Handshake(node, vector.acceptor.id, vector.kind, bytesOf(vector.entropy.dialler[0]));
  return { shake, frames: vector.frames.map(({ frame }) => frame) };
}

test("the dialler writes and takes exactly the frames of the vector without proofs", async () => {
  const { shake, frames } = await prepared();
  assert.equal(fromUtf8(shake.hello()), frames[0]);
  assert.deepEqual(await shake.receive(toUtf8(frames[1])), { type: "proved" });
  for (const [ask, answer, type] of [[2, 3, "mismatch"], [4, 5, "ok"]]) {
    const said = split(frames[ask]).said;
    const { terms } = readFields({ type: "ok", join: 1, mine: said.mine, yours: said.mine, terms: said.terms });
    const { frame, sent } = await shake.join(big(said.mine), said.yours && big(said.yours), terms);
    assert.deepEqual(JSON.parse(fromUtf8(frame).split("\n")[0]), said);
    sent();
    assert.equal((await shake.receive(toUtf8(frames[answer]))).type, type);
  }
  await assert.rejects(shake.receive(toUtf8(frames[5])), { code: "protocol" }); // an OK nobody asked for
});

for (const text of vectors.refusals_without_proof) {
  test(`a refusal without proof: ${JSON.parse(text).code}`, async () => {
    const { shake, frames } = await prepared();
    shake.hello();
    await assert.rejects(shake.receive(toUtf8(text)), { code: JSON.parse(text).code });
    const later = await prepared();
    later.shake.hello();
    await later.shake.receive(toUtf8(frames[1]));
    await assert.rejects(later.shake.receive(toUtf8(text)), { code: "protocol" });
  });
}

for (const hex of vectors.refused_as_hello) {
  test(`no handshake JSON: ${hex.slice(0, 24)}...${hex.slice(-24)}`, () => {
    // A dialler gets no HELLO, so what is wrong with the fields of one is not its business; the JSON is.
    assert.throws(() => readFields(parseObject(bytesOf(hex))), { code: "protocol" });
  });
}

const REFUSED = [
  '{"a":1,"a":2}', '{"a":1,"\\u0061":2}', '{"a":1.5}', '{"a":1e3}', '{"a":NaN}', '{"a":12345678901}', '{"a":01}', '{"a":"\\ud800"}', '{"a":1,}',
  '{"a":[1,]}', '{,}', '{"a"}', '{"a":}', '{"a":1}x', '{"a":[[[[[[1]]]]]]}', `{"a":[${"1,".repeat(1024)}1]}`, '{"a":"\t"}', '{"a":"\\x"}', "{", '{"a":{}', '{"a":+1}', '{"a" 1}',
];
for (const text of REFUSED) test(`refused: ${text.slice(0, 30)}`, () => assert.throws(() => parseObject(toUtf8(text)), { code: "protocol" }));

for (const text of ['{}', '{"a":[]}', ' {"a":1}'.trim(), '{"__proto__":1}', '{"a":-12,"b":[{"c":null},true,"\\u00e9\\ud83d\\ude00"] }']) {
  test(`taken: ${text}`, () => assert.deepEqual(JSON.parse(JSON.stringify(parseObject(toUtf8(text)))), JSON.parse(text)));
}

test("an id is derived from its key as in Python", async () => {
  assert.match(await derivedId(new Uint8Array(32)), /^ed25519:[a-z2-7]{32}$/);
});
