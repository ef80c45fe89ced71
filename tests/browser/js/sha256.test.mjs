// The page's SHA-256, piece by piece, is that of WebCrypto.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Sha256 } from "../../../outproc/node/web/tab_sha256.js";
import { hexOf } from "./hexadecimal.mjs";

for (const size of [0, 1, 55, 56, 57, 63, 64, 65, 119, 120, 127, 128, 1000, 70001]) {
  test(`of ${size} bytes`, async () => {
    const bytes = Uint8Array.from({ length: size }, (_, index) => (index * 7919) >> 3);
    const expected = hexOf(new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)));
    for (const piece of [1, 7, 64, 100, size + 1]) {
      const hash = new Sha256();
      for (let at = 0; at < size; at += piece) hash.update(bytes.subarray(at, at + piece));
      assert.equal(hexOf(hash.digest()), expected);
    }
  });
}
