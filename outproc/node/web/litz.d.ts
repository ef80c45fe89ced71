// Types of litz.js: messages by destination id, exactly once and in order, over wires that break.
// docs/browser.md explains; docs/protocol.md is what travels.

export type Data = string | ArrayBuffer | ArrayBufferView | readonly Data[];

/** Each payload type is a lane of its own: ordered in itself, and not held up by the others. */
export declare const PayloadType: {
  /** Exactly once, in order: the default. */
  readonly RPC_RELIABLE: 0;
  /** The same for small messages that overtake all others. */
  readonly RPC_SIGNAL: 1;
  /** One shared lane for simple streaming, such as files. */
  readonly STREAM_RELIABLE: 2;
  /** At most once, one frame at most: the oldest unsent is dropped when a wire is slow. */
  readonly STREAM_LATENCY_FIRST: 3;
};
export type PayloadTypeValue = 0 | 1 | 2 | 3;

/** What `send` returns: names the message when something goes wrong. `session` counts this tab's sessions with `dest`. */
export interface Receipt {
  readonly dest: string;
  readonly session: number;
  readonly lane: number;
  readonly number: number;
}

/** "never accepted": sending it again cannot double it. "unknown": it may have been processed. */
export type Outcome = "never accepted" | "unknown";

export interface LostReceipt {
  readonly receipt: Receipt;
  readonly outcome: Outcome;
}

/**
 * How to react:
 * - "usage": the call is wrong. "unknown-dest": no URL is known. "too-large": cut the message into several.
 * - "backpressure": too much waits already; await what you send.
 * - "unreachable": each URL has failed once; it is dialled on. `cause` is the last error.
 * - "session-ended": the peer restarted, expired or left; `outcome` says what is known of this message.
 * - "closed": the peer said goodbye, or this Litz is closed. "replaced": a newer tab uses this id.
 * - "timeout", "remote" (the handler there raised; `remote` names its class).
 * - of wires, in events: "wire", "protocol", "unauthenticated", "incompatible", "busy", "stale", "dismissed", "duplicate".
 */
export declare class LitzError extends Error {
  readonly code: string;
  readonly outcome?: Outcome;
  readonly receipt?: Receipt;
  readonly remote?: string;
}

export interface Message {
  readonly sender: string;
  readonly data: Uint8Array;
  readonly payloadType: PayloadTypeValue;
  readonly number: number;
  readonly session: number;
  /** Whether the sender's id is proved, and not only a claim. */
  readonly verified: boolean;
  /** Whether the sender waits for `reply` or `fail`. */
  readonly isRequest: boolean;
  /** The data as UTF-8. Throws for what is none. */
  text(): string;
  reply(data?: Data): Promise<void>;
  fail(error: Error): Promise<void>;
}

/** Proves this tab's id, and checks those of peers. Made by `sharedKey` or `ed25519`; `claims` proves nothing. */
export interface Authenticator {
  readonly method: string;
  readonly proves: "nothing" | "group" | "id";
  /** The id that the key proves by itself (ed25519 only). */
  readonly id?: string;
}

export declare const claims: Authenticator;
/** Membership of the group that shares `secret`: at least 16 random bytes; text counts as UTF-8. */
export declare function sharedKey(secret: string | Uint8Array): Promise<Authenticator>;
/** `trusted`: public keys (32 bytes, or "ed25519-public:...") of each id. Derived ids need no entry. */
export declare function ed25519(
  keys: CryptoKeyPair,
  trusted?: Record<string, string | Uint8Array | readonly (string | Uint8Array)[]>,
): Promise<Authenticator>;
/** The id that an Ed25519 public key (32 bytes) proves by itself. */
export declare function derivedId(publicKey: Uint8Array): Promise<string>;

/** Sizes in bytes, times in seconds. Nothing is unlimited. */
export interface Limits {
  logMessages: number;
  logSize: number;
  windowMessages: number;
  windowSize: number;
  sessionWindow: number;
  maxMessage: number;
  lossyMessages: number;
  maxDests: number;
  maxRequests: number;
  maxWaiting: number;
  sessionKept: number;
  pingAfter: number;
  deadAfter: number;
  handshakeTimeout: number;
  dialTimeout: number;
  closeTimeout: number;
  backoffBase: number;
  backoffCap: number;
  stableAfter: number;
  /** Kinds of wire, best first. */
  prefer: readonly string[];
}

export interface Options extends Partial<Limits> {
  /** This tab's id: 1 to 255 bytes without spaces. Two living tabs must not share one. */
  id: string;
  /** Where dests are that `peers` does not name: "ws://127.0.0.1:8400", "wss://...". */
  url?: string | readonly string[];
  /** Where each dest is. */
  peers?: Record<string, string | readonly string[]>;
  auth?: Authenticator;
  /**
   * Data channels, to nodes that speak WebRTC: `litz_webrtc.js`, which must be next to `litz.js`, is loaded for them.
   * `false`: none. `relayOnly`: only through TURN, so that peers do not learn this machine's addresses.
   */
  webrtc?: false | { iceServers?: RTCIceServer[]; relayOnly?: boolean };
}

export interface WireState {
  kind: string;
  url: string;
  state: "idle" | "dialling" | "up" | "cooling" | "yielded" | "stopped";
  dials: number;
  /** Smoothed, in seconds. */
  roundTrip: number | null;
  bytesIn: number;
  bytesOut: number;
  /** The lanes it carries now. */
  lanes: number[];
  error: string;
}

export interface LaneState {
  lane: number;
  /** The number of the next message that is accepted. */
  next: number;
  /** Below these the peer has received, processed and stored all. */
  received: number;
  receivedOffset: number;
  processed: number;
  durable: number;
  replayed: number;
  /** Sends that wait for space. */
  waiting: number;
}

export interface DestState {
  dest: string;
  state: "connecting" | "connected" | "detached" | "closed";
  session: number;
  wires: WireState[];
  lanes: LaneState[];
}

export interface LitzEvents {
  wireup: { dest: string; kind: string; url: string };
  wiredown: { dest: string; kind: string; url: string; cause: string; wiresLeft: number };
  connectfailed: { dest: string; url: string; error: LitzError; retryIn: number | null };
  lanemoved: { dest: string; lane: number; kind: string; url: string };
  /** A new session: the lanes count from 0 again. */
  sessionstarted: { dest: string; session: number; verified: boolean };
  /** The session ended; `lost` is the exact list of what is not confirmed. */
  sessionended: { dest: string; session: number; reason: string; detail: string; lost: LostReceipt[] };
  /** The typed gap: the sender dropped these numbers. */
  skipped: { dest: string; lane: number; first: number; last: number; reason: number };
  /** The peer broke the protocol and lost the wire for it. */
  violation: { dest: string; url: string; error: LitzError };
  /** Something was acknowledged: look at `snapshot()`. */
  progress: { dest: string };
  /** The peer gave up waiting for the answer to one of its requests. */
  cancelled: { dest: string; request: number | bigint };
}

export interface SendOptions {
  payloadType?: PayloadTypeValue;
  /** Wait until the peer has received, processed or stored it. */
  confirm?: "received" | "processed" | "durable";
  /** Aborts a send that is not accepted yet. */
  signal?: AbortSignal;
}

export declare class Litz extends EventTarget {
  constructor(options: Options);
  readonly id: string;
  /** Dials `dest`. Resolves when a wire is up; rejects when each URL has failed once, and is dialled on. */
  connect(dest: string): Promise<void>;
  /** Accepted into the log when it resolves: from then on delivered exactly once while both incarnations live. */
  send(dest: string, data: Data, options?: SendOptions): Promise<Receipt>;
  /** `timeout` in seconds (default 60). Giving up tells the peer. */
  request(dest: string, data: Data, options?: { timeout?: number; signal?: AbortSignal }): Promise<Uint8Array>;
  /** One consumer at a time. A message counts as processed when the next one is asked for. Ends after `close`. */
  messages(): AsyncGenerator<Message, void, void>;
  snapshot(): DestState[];
  /** Cut the live wires to `dest`, of one kind or all, as a broken network would. They heal. */
  cut(dest: string, kind?: string): void;
  /** The network or the machine changed: doubt each wire, dial at once what is not up. Browsers' events do it too. */
  wake(): void;
  /** Says goodbye to all and ends. `wait: false` does not wait for their answers. */
  close(options?: { wait?: boolean }): Promise<void>;
  addEventListener<K extends keyof LitzEvents>(type: K, listener: (event: CustomEvent<LitzEvents[K]>) => void, options?: AddEventListenerOptions): void;
  addEventListener(type: string, listener: EventListenerOrEventListenerObject | null, options?: boolean | AddEventListenerOptions): void;
}
