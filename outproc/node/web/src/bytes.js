// Byte strings: packing integers, text, base64url, CRC-32.

export class LitzError extends Error {
  // `code` says how to react: see litz.d.ts
  constructor(code, message, more) {
    super(message);
    this.name = "LitzError";
    this.code = code;
    Object.assign(this, more);
  }
}

export const protocolError = (message) => new LitzError("protocol", message);

export const toUtf8 = (text) => new TextEncoder().encode(text);

// Strict: throws for what is no UTF-8, and keeps a byte order mark.
export const fromUtf8 = (bytes) => new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);

// A limit of 64 bits as a Number: beyond 2^53 it is out of reach anyway.
export const clamp = (number) => Math.min(Number(number), Number.MAX_SAFE_INTEGER);

export function concat(parts) {
  let total = 0;
  for (const part of parts) total += part.length;
  const joined = new Uint8Array(total);
  let at = 0;
  for (const part of parts) {
    joined.set(part, at);
    at += part.length;
  }
  return joined;
}

// Little-endian integers; `sizes` has one digit, the width in bytes, for each value: pack("128", a, b, c).
export function pack(sizes, ...values) {
  let at = 0;
  for (const size of sizes) at += +size;
  const view = new DataView(new ArrayBuffer(at));
  at = 0;
  values.forEach((value, index) => {
    const size = +sizes[index];
    if (size === 8) view.setBigUint64(at, BigInt(value), true);
    else view["setUint" + size * 8](at, value, true);
    at += size;
  });
  return new Uint8Array(view.buffer);
}

// Reads what `pack` wrote. 64-bit values are Numbers where they are exact, else BigInts. RangeError past the end.
export class Reader {
  constructor(bytes) {
    this.bytes = bytes;
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.at = 0;
  }
  unpack(sizes) {
    return Array.from(sizes, (digit) => {
      const size = +digit;
      const at = this.at;
      this.at += size;
      if (size < 8) return this.view["getUint" + size * 8](at, true);
      const value = this.view.getBigUint64(at, true);
      return value <= Number.MAX_SAFE_INTEGER ? Number(value) : value;
    });
  }
  take(size) {
    const from = this.at;
    this.at += size;
    if (this.at > this.bytes.length) throw new RangeError("past the end");
    return this.bytes.subarray(from, this.at);
  }
}

export function toBase64(bytes) {
  let text = "";
  for (const byte of bytes) text += String.fromCharCode(byte);
  return btoa(text).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
}

// One spelling for each value: undefined for any other text.
export function fromBase64(text) {
  if (!/^[\w-]*$/.test(text) || text.length % 4 === 1) return undefined;
  const bytes = Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), (char) => char.charCodeAt(0));
  return toBase64(bytes) === text ? bytes : undefined;
}

// As zlib and Ethernet have it.
export function crc32(bytes) {
  let crc = ~0;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
  }
  return ~crc >>> 0;
}
