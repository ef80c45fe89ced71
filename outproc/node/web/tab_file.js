// Sends one file as `litz send` does (outproc/cli/file_records.py), so that `litz recv` takes it.
import { PayloadType } from "/litz.js";
import { Sha256 } from "/tab_sha256.js";

export const CHUNK_SIZE = 256 << 10;
const MAGIC = [0x4c, 0x5a, 0x46, 0x31]; // LZF1
const HEADER = 1;
const CHUNK = 2;
const TRAILER = 3;
const ABORT = 4;
const VERDICT = 5;
const REFUSE = 6;
const PREFIX = 21;
const LANE = { payloadType: PayloadType.STREAM_RELIABLE };

const hex = (bytes) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");

function record(kind, transfer, body) {
  const prefix = Uint8Array.of(...MAGIC, kind, ...transfer);
  return body ? [prefix, JSON.stringify(body)] : prefix;
}

function chunk(transfer, offset, data) {
  const place = new Uint8Array(8);
  new DataView(place.buffer).setBigUint64(0, BigInt(offset), true);
  return [record(CHUNK, transfer), place, data];
}

// The refusal of a receiver as {transfer, reason}, null for any other message.
export function readRefusal(message) {
  const { data } = message;
  if (data.length < PREFIX || MAGIC.some((byte, at) => data[at] !== byte) || data[4] !== REFUSE) return null;
  try {
    return { transfer: hex(data.subarray(5, PREFIX)), reason: String(JSON.parse(new TextDecoder().decode(data.subarray(PREFIX))).reason) };
  } catch {
    return null;
  }
}

export class FileTransfer {
  // `abort()` ends it; so does `refused`, with what the receiver said.
  constructor(litz, dest, file) {
    Object.assign(this, { litz, dest, file });
    this.transfer = crypto.getRandomValues(new Uint8Array(16));
    this.id = hex(this.transfer);
    this.sent = 0; // bytes that send() has accepted
    this.header = null;
    this.stop = new AbortController();
  }

  refused(reason) {
    this.stop.abort(new Error(`${this.dest} refused the file: ${reason}`));
  }

  // Bytes that the receiver has written, as its acks say.
  acknowledged() {
    const at = this.header && this.litz.snapshot().find((each) => each.dest === this.dest && each.session === this.header.session);
    if (!at) return this.done ? this.sent : 0;
    const lane = at.lanes.find((each) => each.lane === LANE.payloadType);
    return Math.min(this.sent, Math.max(0, lane.processed - this.header.number - 1) * CHUNK_SIZE);
  }

  async #send(body, options) {
    this.stop.signal.throwIfAborted();
    const receipt = await this.litz.send(this.dest, body, { ...LANE, signal: this.stop.signal, ...options });
    if (this.header && receipt.session !== this.header.session) throw new Error(`${this.dest} was restarted, or out of reach for too long; send the file again`);
    return receipt;
  }

  // Resolves with {name, sha256} once the receiver has the same bytes.
  async run() {
    const { file, transfer } = this;
    try {
      this.header = await this.#send(record(HEADER, transfer, { name: file.name, size: file.size }));
      const hash = new Sha256();
      while (this.sent < file.size) {
        const data = new Uint8Array(await file.slice(this.sent, this.sent + CHUNK_SIZE).arrayBuffer());
        hash.update(data);
        await this.#send(chunk(transfer, this.sent, data));
        this.sent += data.length;
      }
      const sha256 = hex(hash.digest());
      await this.#send(record(TRAILER, transfer, { size: this.sent, sha256 }), { confirm: "processed" });
      const answer = new TextDecoder().decode(await this.litz.request(this.dest, record(VERDICT, transfer), { signal: this.stop.signal }));
      let verdict;
      try {
        verdict = JSON.parse(answer);
      } catch {
        throw new Error(`${this.dest} does not take files; run there: litz recv`);
      }
      if (!verdict.ok) throw new Error(`${this.dest} could not take the file: ${verdict.error}`);
      if (verdict.sha256 !== sha256) throw new Error(`${this.dest} has other bytes: sha256 ${verdict.sha256} there, ${sha256} here`);
      this.done = true;
      return { name: verdict.name, sha256 };
    } catch (error) {
      if (this.header) {
        this.litz.send(this.dest, record(ABORT, transfer, { reason: "it failed there, or was interrupted" }), { ...LANE, signal: AbortSignal.timeout(1000) }).catch(() => {});
      }
      throw error;
    }
  }
}
