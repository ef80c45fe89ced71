// The frames of the handshake: which fields each has, and how their values are written (docs/handshake.md).
import { fromBase64, protocolError, toBase64, toUtf8 } from "./bytes.js";

const bad = (what) => {
  throw protocolError("a handshake frame has a bad " + what);
};

const MAX_U64 = 2n ** 64n - 1n;

const u64 = (value) => {
  const number = typeof value === "string" && /^(0|[1-9]\d{0,19})$/.test(value) ? BigInt(value) : bad("number");
  return number <= MAX_U64 ? number : bad("number");
};
// Positions and credits as Numbers where they are exact.
const count = (value) => {
  const number = u64(value);
  return number <= Number.MAX_SAFE_INTEGER ? Number(number) : number;
};
const integer = (low, high) => (value) => (Number.isInteger(value) && value >= low && value <= high ? value : bad("number"));
const bytes = (low, high) => (value) => {
  const found = typeof value === "string" ? fromBase64(value) : undefined;
  return found && found.length >= low && found.length <= high ? found : bad("binary value");
};
const one = (...allowed) => (value) => (allowed.includes(value) ? value : bad("word"));
const word = (value) => (typeof value === "string" && /^[a-z0-9-]{1,32}$/.test(value) ? value : bad("word"));
const text = (value) => (typeof value === "string" && [...value].length <= 200 && !/\p{C}/u.test(value) ? value : bad("text"));
const flag = (value) => (typeof value === "boolean" ? value : bad("flag"));
const orNull = (kind) => (value) => (value === null ? null : kind(value));
const list = (low, high, kind) => (value) =>
  Array.isArray(value) && value.length >= low && value.length <= high ? value.map(kind) : bad("list");
const lanes = (kind) => (value) => {
  const found = list(0, 32, kind)(value);
  return new Set(found.map((each) => each.lane)).size === found.length ? found : bad("list");
};
const fields = (kinds, open) => (value) => {
  if (typeof value !== "object" || value === null || Array.isArray(value)) bad("object");
  if (!open && Object.keys(value).some((name) => !Object.hasOwn(kinds, name))) bad("field that is not known");
  const found = {};
  for (const name in kinds) found[name] = Object.hasOwn(value, name) ? kinds[name](value[name]) : bad(name);
  return found;
};

// A dest: 1 to 255 bytes of UTF-8, printable, no white space.
export const isDest = (value) =>
  typeof value === "string" && toUtf8(value).length < 256 && /^[^\p{C}\p{Z}]+$/u.test(value);
const dest = (value) => (isDest(value) ? value : bad("id"));

const lane = integer(0, 2 ** 32 - 1);
const incarnation = fields({ started: u64, random: u64 });
const half = fields({ started: u64, random: u64, counter: u64 });
const limits = fields({ max_frame: count, max_message: count });
const auth = fields({ method: word, credential: bytes(0, 6144) });
const position = (value) => {
  const found = fields({ lane, number: count, offset: count, processed: count, durable: count })(value);
  if (found.processed > found.number || found.durable > found.number) bad("position");
  const { number, ...rest } = found;
  return { ...rest, received: number };
};
const positions = lanes(position);
const terms = (value) => {
  const found = fields({
    positions,
    log: fields({ messages: count, bytes: count }),
    credit: lanes((each) => {
      const { lane: of, messages, bytes: size } = fields({ lane, messages: count, bytes: count })(each);
      return { lane: of, messages, size };
    }),
    session_credit: count,
  })(value);
  return { positions: found.positions, log: found.log, credit: found.credit, sessionCredit: found.session_credit };
};
const join = integer(1, 2 ** 31 - 1);

const KINDS = {
  challenge: fields({
    type: word, version: integer(1, 65535), acceptor: dest, nonce: bytes(32, 32), incarnation, auth, bound: flag,
    x25519: orNull(bytes(32, 32)), limits, features: list(0, 32, word),
  }),
  ok: fields({ type: word, join, mine: half, yours: half, terms }),
  mismatch: fields({ type: word, join, mine: half, yours: half, final: orNull(positions), partial: flag, reason: text }),
  refuse: fields({
    type: word, code: one("incompatible", "busy", "unauthenticated", "stale", "replaced", "duplicate"),
    join: integer(0, 2 ** 31 - 1), versions: list(0, 16, integer(1, 65535)), retry_after_ms: integer(0, 3600000), reason: text,
  }, true),
};

// The checked fields of a frame for a dialler. Throws "protocol".
export function readFields(object) {
  const kind = typeof object.type === "string" && Object.hasOwn(KINDS, object.type) ? KINDS[object.type] : bad("type");
  const found = kind(object);
  const low = found.limits;
  if (found.partial && !found.final) bad("flag");
  if (low && (low.max_frame < 1024 || low.max_message < 1)) bad("limit");
  return found;
}

const asText = (object) => Object.fromEntries(Object.entries(object).map(([name, value]) => [name, String(value)]));

export const showHalf = (value) => value && asText(value);

export const showTerms = ({ positions: stated, log, credit, sessionCredit }) => ({
  positions: stated.map((each) => ({
    lane: each.lane, number: String(each.received), offset: String(each.offset), processed: String(each.processed), durable: "0",
  })),
  log: asText(log),
  credit: credit.map((each) => ({ lane: each.lane, messages: String(each.messages), bytes: String(each.size) })),
  session_credit: String(sessionCredit),
});

export const showBytes = toBase64;
