// Who a session is with: incarnations, halves, the frame tag, and which session a wire joins (R1, R2, R13).
import { crc32, toUtf8 } from "./bytes.js";

const FIELDS = ["started", "random", "counter"];

// -1, 0 or 1. Works for incarnations too; their counters are both absent.
export function compareHalves(left, right) {
  for (const field of FIELDS) {
    const a = left[field] ?? 0n;
    const b = right[field] ?? 0n;
    if (a !== b) return a < b ? -1 : 1;
  }
  return 0;
}

export const sameHalf = (left, right) => !!left && !!right && compareHalves(left, right) === 0;

export const incarnationOf = ({ started, random }) => ({ started, random });

const show = (half) => `${half.started}.${half.random.toString(16).padStart(16, "0")}/${half.counter}`;

// Names a session, the same at both ends and never again.
export const nameOf = (mine, yours) => [mine, yours].sort(compareHalves).map(show).join("|");

export const tagOf = (mine, yours) => crc32(toUtf8(nameOf(mine, yours)));

// What to do with an OK that names the peer's half and, as ours, `named`: "pair", "resume", "renew", "stale" or
// "mismatch". `theirs`: the half our current one is paired with; `remembered`: the highest half of the peer seen.
export function decideOk(mine, theirs, peer, named, remembered) {
  if (theirs && compareHalves(peer, theirs) > 0) return "renew";
  const known = theirs ?? remembered;
  if (known && compareHalves(peer, known) < 0) return "stale";
  if (!sameHalf(named, mine)) return "mismatch";
  return theirs ? "resume" : "pair";
}

const MAX_CLAIMS = 8;
const MAX_LIVES = 8; // incarnations of one peer whose highest half is remembered

// Remembers the highest incarnation of one peer, and which lower ones asked (R13).
export class Gate {
  constructor() {
    this.current = null;
    this.claims = new Map(); // lower incarnation -> when it asked
    this.answeredPing = -Infinity; // when the latest ping was sent that the known incarnation answered
    this.highest = []; // of each life, the latest life last
  }
  // "admit", "after-end" (end the session of the known one first), "busy" (ping the known one) or "replaced".
  decide(incarnation, wires, now) {
    if (!this.current || compareHalves(incarnation, this.current) >= 0) return this.#take(incarnation, "admit");
    const key = show({ ...incarnation, counter: 0n });
    const asked = this.claims.get(key);
    if (asked === undefined) {
      if (this.claims.size < MAX_CLAIMS) this.claims.set(key, now);
      return "busy";
    }
    if (this.answeredPing > asked) {
      this.claims.delete(key);
      return "replaced";
    }
    return wires ? "busy" : this.#take(incarnation, "after-end");
  }
  #take(incarnation, entry) {
    this.current = incarnation;
    this.claims.clear();
    this.answeredPing = -Infinity;
    return entry;
  }
  // The known incarnation answered a ping that was sent at `pinged`.
  answered(pinged) {
    this.answeredPing = Math.max(this.answeredPing, pinged);
  }
  note(half) {
    if (sameHalf(incarnationOf(half), this.current) && (!this.remembered || compareHalves(half, this.remembered) > 0)) {
      const others = this.highest.filter((other) => !sameHalf(incarnationOf(other), this.current));
      this.highest = [...others.slice(1 - MAX_LIVES), half];
    }
  }
  // The highest half of the known life: what it gave up stays given up while other lives come and go.
  get remembered() {
    return this.highest.find((half) => sameHalf(incarnationOf(half), this.current)) ?? null;
  }
}
