// SHA-256 (FIPS 180-4) piece by piece: WebCrypto wants all of a file in memory at once.
const PRIMES = [];
for (let number = 2; PRIMES.length < 64; number++) if (PRIMES.every((prime) => number % prime)) PRIMES.push(number);
const fraction = (number) => ((number - Math.floor(number)) * 2 ** 32) | 0;
const ROUNDS = Int32Array.from(PRIMES, (prime) => fraction(Math.cbrt(prime)));
const START = PRIMES.slice(0, 8).map((prime) => fraction(Math.sqrt(prime)));

export class Sha256 {
  #state = Int32Array.from(START);
  #block = new Uint8Array(64);
  #view = new DataView(this.#block.buffer);
  #words = new Int32Array(64);
  #filled = 0;
  #length = 0;

  update(bytes) {
    this.#length += bytes.length;
    let at = 0;
    while (at < bytes.length) {
      const size = Math.min(64 - this.#filled, bytes.length - at);
      this.#block.set(bytes.subarray(at, at + size), this.#filled);
      this.#filled += size;
      at += size;
      if (this.#filled === 64) this.#mix();
    }
  }

  // The hash; nothing may be added afterwards.
  digest() {
    const bits = BigInt(this.#length) * 8n;
    this.update(Uint8Array.of(0x80));
    this.update(new Uint8Array((120 - this.#filled) % 64));
    this.#view.setBigUint64(56, bits);
    this.#mix();
    const hash = new DataView(new ArrayBuffer(32));
    this.#state.forEach((word, index) => hash.setInt32(4 * index, word));
    return new Uint8Array(hash.buffer);
  }

  #mix() {
    const words = this.#words;
    for (let index = 0; index < 16; index++) words[index] = this.#view.getInt32(4 * index);
    for (let index = 16; index < 64; index++) {
      const low = words[index - 15];
      const high = words[index - 2];
      const first = ((low >>> 7) | (low << 25)) ^ ((low >>> 18) | (low << 14)) ^ (low >>> 3);
      const second = ((high >>> 17) | (high << 15)) ^ ((high >>> 19) | (high << 13)) ^ (high >>> 10);
      words[index] = (words[index - 16] + first + words[index - 7] + second) | 0;
    }
    let [a, b, c, d, e, f, g, h] = this.#state;
    for (let index = 0; index < 64; index++) {
      const one = ((e >>> 6) | (e << 26)) ^ ((e >>> 11) | (e << 21)) ^ ((e >>> 25) | (e << 7));
      const sum = (h + one + ((e & f) ^ (~e & g)) + ROUNDS[index] + words[index]) | 0;
      const two = ((a >>> 2) | (a << 30)) ^ ((a >>> 13) | (a << 19)) ^ ((a >>> 22) | (a << 10));
      const most = (a & b) ^ (a & c) ^ (b & c);
      [h, g, f, e, d, c, b, a] = [g, f, e, (d + sum) | 0, c, b, a, (sum + two + most) | 0];
    }
    [a, b, c, d, e, f, g, h].forEach((word, index) => (this.#state[index] += word));
    this.#filled = 0;
  }
}
