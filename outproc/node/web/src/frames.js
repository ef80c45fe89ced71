// The binary frames of docs/protocol.md: bytes to records and back. Nothing a peer says is believed.
import { Reader, concat, fromUtf8, pack, protocolError, toUtf8 } from "./bytes.js";

export const BATCH = 0x10;
export const SKIP = 0x11;
export const FIN = 0x12;
export const LOSSY = 0x13;
export const ACK = 0x20;
export const CREDIT = 0x21;
export const SESSION_CREDIT = 0x22;
export const PING = 0x30;
export const PONG = 0x31;
export const GOODBYE = 0x40;
export const CLOSED = 0x41;
export const LEAVE = 0x42;

const MAX_NUMBER = 2n ** 63n - 1n;
const MAX_SIZE = 2 ** 32 - 1;
const CONTROL = /[\x00-\x1f\x7f-\x9f]/; // eslint-disable-line no-control-regex

function check(good, what) {
  if (!good) throw protocolError("frame: " + what);
}

// The sum of an array of numbers.
export const sum = (numbers) => numbers.reduce((total, number) => total + number, 0);

// {flags, tag, records}. Throws a LitzError "protocol": close the wire, apply nothing.
export function decodeFrame(bytes) {
  try {
    const reader = new Reader(bytes);
    const [mark, flags, reserved, tag] = reader.unpack("1124");
    check(mark === 1 && flags < 2 && !reserved, "header");
    const records = [];
    while (reader.at < bytes.length) records.push(decodeRecord(reader));
    check(records.length, "no record");
    return { flags, tag, records };
  } catch (error) {
    throw error instanceof RangeError || error instanceof TypeError ? protocolError("frame: cut off") : error;
  }
}

function decodeRecord(reader) {
  const [type, second, third] = reader.unpack("112");
  if (type === BATCH || type === LOSSY) return decodeMessages(reader, type, second, third);
  if (type === GOODBYE || type === CLOSED) return decodeEnd(reader, type, second, third);
  check(!third, "reserved");
  if (type === SKIP) {
    const [lane, epoch, first, last] = reader.unpack("4488");
    check(second >= 1 && second <= 5 && first <= last && last < MAX_NUMBER, "skip");
    return { type, reason: second, lane, epoch, first, last };
  }
  if (type === LEAVE) {
    check(second >= 1 && second <= 3 && !reader.unpack("4")[0], "leave");
    return { type, reason: second };
  }
  check(!second, "reserved");
  if (type === FIN) {
    const [lane, epoch, number] = reader.unpack("448");
    check(number < MAX_NUMBER, "fin");
    return { type, lane, epoch, number };
  }
  if (type === ACK) return { type, ...decodePosition(reader) };
  if (type === CREDIT) {
    const [lane, messages, size] = reader.unpack("488");
    check(messages <= MAX_NUMBER && size <= MAX_NUMBER, "credit");
    return { type, lane, messages, size };
  }
  check(type === SESSION_CREDIT || type === PING || type === PONG, "unknown type");
  const [wide, value] = reader.unpack("48");
  check(!wide, "reserved");
  check(type !== SESSION_CREDIT || value <= MAX_NUMBER, "credit");
  return type === SESSION_CREDIT ? { type, size: value } : { type, token: value };
}

function decodePosition(reader) {
  const [lane, received, offset, processed, durable] = reader.unpack("48488");
  check(received <= MAX_NUMBER && processed <= received && durable <= received, "position");
  return { lane, received, offset, processed, durable };
}

function decodeMessages(reader, type, flags, count) {
  const batch = type === BATCH;
  const [lane, epoch] = reader.unpack(batch ? "44" : "4");
  const [number] = reader.unpack("8");
  const [offset, remaining] = batch ? reader.unpack("44") : [0, 0];
  check(count && flags < 8 && BigInt(number) + BigInt(count) <= MAX_NUMBER, "batch");
  const lengths = reader.unpack((flags & 1 ? "4" : "2").repeat(count));
  const last = lengths[count - 1];
  check((!offset || lengths[0]) && (!remaining || last), "empty piece");
  const alone = count === 1;
  check(offset + lengths[0] + (alone ? remaining : 0) <= MAX_SIZE && last + remaining <= MAX_SIZE, "size");
  let correlations = null;
  if (flags & 2) {
    correlations = lengths.map(() => reader.unpack("18"));
    for (const [kind, id] of correlations) check(kind < 5 && (kind || !id), "correlation");
  }
  let keys = null;
  if (flags & 4) {
    const sizes = reader.unpack("1".repeat(count));
    keys = sizes.map((size) => (size ? fromUtf8(reader.take(size)) : null));
  }
  const bodies = lengths.map((length) => reader.take(length));
  return batch
    ? { type, lane, epoch, number, offset, remaining, bodies, correlations, keys }
    : { type, lane, number, bodies, correlations, keys };
}

function decodeEnd(reader, type, reason, count) {
  const [size, flags, reserved] = reader.unpack("112");
  check(flags < 2 && !reserved, "flags");
  const detail = fromUtf8(reader.take(size));
  check(!CONTROL.test(detail), "detail");
  const positions = Array.from({ length: count }, () => decodePosition(reader));
  check(new Set(positions.map((each) => each.lane)).size === count, "a lane twice");
  return { type, reason, detail, positions, partial: flags === 1 };
}

// The frame of these records (objects as `decodeFrame` gives them) as one Uint8Array.
export function encodeFrame(tag, ackNow, records) {
  return concat([pack("1124", 1, ackNow ? 1 : 0, 0, tag), ...records.flatMap(encodeRecord)]);
}

const packPosition = (each) => pack("48488", each.lane, each.received, each.offset, each.processed, each.durable);

function encodeRecord(record) {
  const { type, lane } = record;
  if (type === BATCH || type === LOSSY) return encodeMessages(record);
  if (type === SKIP) return pack1("1124488", type, record.reason, 0, lane, record.epoch, record.first, record.last);
  if (type === FIN) return pack1("112448", type, 0, 0, lane, record.epoch, record.number);
  if (type === ACK) return [pack("112", type, 0, 0), packPosition(record)];
  if (type === CREDIT) return pack1("112488", type, 0, 0, lane, record.messages, record.size);
  if (type === LEAVE) return pack1("1124", type, record.reason, 0, 0);
  if (type === GOODBYE || type === CLOSED) {
    const detail = toUtf8(record.detail);
    return [pack("112112", type, record.reason, record.positions.length, detail.length, record.partial ? 1 : 0, 0), detail, ...record.positions.map(packPosition)];
  }
  return pack1("11248", type, 0, 0, 0, type === SESSION_CREDIT ? record.size : record.token);
}

const pack1 = (...values) => [pack(...values)];

function encodeMessages({ type, lane, epoch, number, offset, remaining, bodies, correlations, keys }) {
  const lengths = bodies.map((body) => body.length);
  const wide = lengths.some((length) => length > 65535);
  const flags = (wide ? 1 : 0) | (correlations ? 2 : 0) | (keys ? 4 : 0);
  const parts = [pack("1124", type, flags, bodies.length, lane)];
  parts.push(type === BATCH ? pack("4844", epoch, number, offset, remaining) : pack("8", number));
  parts.push(pack((wide ? "4" : "2").repeat(bodies.length), ...lengths));
  if (correlations) parts.push(...correlations.map((each) => pack("18", ...each)));
  if (keys) {
    const texts = keys.map((key) => toUtf8(key ?? ""));
    parts.push(Uint8Array.from(texts, (text) => text.length), ...texts);
  }
  return [...parts, ...bodies];
}
