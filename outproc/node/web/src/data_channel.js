// A WebRTC connection as a wire: frames on the first of two negotiated data channels (docs/signaling.md, Channels).
import { LitzError, concat, protocolError, toUtf8 } from "./bytes.js";
import { sha256 } from "./proofs.js";
import { fingerprintsOf } from "./signaling.js";

const LABELS = ["litz", "litz-urgent"];
const SAY_FRAME = 0;
const SAY_HELLO = 1;
const SAY_READING = 2;
const SAY_PING = 3;
const SAY_PONG = 4;
const SAY_CLOSE = 5;
const SIZES = { [SAY_HELLO]: 3, [SAY_READING]: 1, [SAY_PING]: 9, [SAY_PONG]: 9, [SAY_CLOSE]: 1 };
const HIGH = 256 << 10;
const LOW = 64 << 10;
const HEARTBEAT = 1000;
const DEAD = 3000;
const GATHERING = 2000;
const ANSWER = 5000;

const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

export class DataChannelWire {
  constructor(url, owner, peer) {
    const { signaling, settings, env } = peer.litz;
    Object.assign(this, { owner, peer, signaling });
    this.maxFrame = 65535;
    this.binding = null;
    this.attempt = Array.from(env.randomBytes(16), (byte) => byte.toString(16).padStart(2, "0")).join("");
    this.asking = this.over = this.peerReads = false;
    this.greeted = [false, false];
    this.leaving = [false, false];
    this.waiting = [];
    this.path = "";
    const connection = (this.connection = new RTCPeerConnection({ iceServers: settings.iceServers ?? [], iceTransportPolicy: settings.relayOnly ? "relay" : "all" }));
    connection.onconnectionstatechange = () => connection.connectionState === "failed" && this.#end("no path");
    this.channels = LABELS.map((label, id) => {
      const channel = connection.createDataChannel(label, { negotiated: true, id, ordered: true });
      channel.binaryType = "arraybuffer";
      channel.bufferedAmountLowThreshold = LOW;
      channel.onopen = () => {
        this.#say(id, SAY_HELLO, 1, 0);
        if (id === 0) this.#say(0, SAY_READING);
      };
      channel.onbufferedamountlow = () => owner.writable();
      channel.onmessage = ({ data }) => this.#message(id, data);
      channel.onclose = () => this.#end("closed");
      return channel;
    });
    this.#connect().catch((error) => this.#end(error.message, error));
  }

  async #connect() {
    const { connection } = this;
    await connection.setLocalDescription();
    if (connection.iceGatheringState !== "complete") {
      await Promise.race([pause(GATHERING), new Promise((resolve) => {
        connection.onicegatheringstatechange = () => connection.iceGatheringState === "complete" && resolve();
      })]);
    }
    if (this.over) return;
    const { sdp } = connection.localDescription;
    this.asking = true;
    const late = pause(ANSWER).then(() => {
      throw new LitzError("timeout", "no answer to the offer of a data channel");
    });
    late.catch(() => {});
    const answer = await Promise.race([this.signaling.ask(this.peer, this.attempt, sdp), late]);
    if (this.over) return;
    await connection.setRemoteDescription({ type: "answer", sdp: answer.sdp });
    const prints = [sdp, answer.sdp].map((each) => Uint8Array.from(fingerprintsOf(each)[0].slice(8).split(":"), (pair) => parseInt(pair, 16)));
    this.binding = await sha256(concat([toUtf8("litz webrtc binding 1\0"), ...prints]));
    this.#greet();
  }

  #say(id, ...bytes) {
    if (this.channels[id].readyState === "open") this.channels[id].send(Uint8Array.from(bytes));
  }

  #greet() {
    if (this.over || this.opened || !this.binding || this.greeted.includes(false)) return;
    this.opened = true;
    this.asking = false;
    this.maxFrame = Math.min(this.maxFrame, (this.connection.sctp?.maxMessageSize || 65536) - 1);
    this.heard = this.looked = performance.now();
    this.beating = setInterval(() => this.#beat(), HEARTBEAT);
    this.owner.opened();
  }

  #beat() {
    const now = performance.now();
    // While this page was late, what came was not read.
    if (now - this.looked > 2 * HEARTBEAT) this.heard = now;
    this.looked = now;
    if (now - this.heard >= DEAD) this.#end("silent");
    else if (now - this.heard >= HEARTBEAT) this.#say(1, SAY_PING, 0, 0, 0, 0, 0, 0, 0, 0);
  }

  #message(id, data) {
    if (this.over) return;
    this.heard = performance.now();
    const bytes = typeof data === "string" ? new Uint8Array(0) : new Uint8Array(data);
    const [kind] = bytes;
    const good = kind === SAY_FRAME ? bytes.length > 1 && this.opened && !this.leaving[id] : bytes.length === SIZES[kind] || (kind === SAY_HELLO && bytes.length > 2);
    if (!good || (kind === SAY_HELLO && bytes[1] !== 1) || (kind !== SAY_HELLO && !this.greeted[id])) this.#end("a message that breaks the rules", protocolError("data channel"));
    else if (kind === SAY_FRAME) this.owner.frame(bytes.subarray(1), id);
    else if (kind === SAY_HELLO && !this.greeted[id]) {
      this.greeted[id] = true;
      this.#say(id, SAY_HELLO, 1, 0);
      this.#greet();
    } else if (kind === SAY_READING) {
      this.peerReads = true;
      for (const frame of this.waiting.splice(0)) this.channels[0].send(frame);
    } else if (kind === SAY_PING) this.#say(id, SAY_PONG, ...bytes.subarray(1));
    else if (kind === SAY_CLOSE) {
      this.leaving[id] = true;
      if (!this.leaving.includes(false)) this.#end("closed by the peer");
    }
  }

  get writable() {
    return this.channels[0].bufferedAmount < HIGH;
  }

  send(bytes) {
    const message = concat([Uint8Array.of(SAY_FRAME), bytes]);
    if (this.peerReads) this.channels[0].send(message);
    else this.waiting.push(message);
  }

  #end(reason, error) {
    if (this.over) return;
    const { owner } = this;
    this.abort();
    owner.closed(reason, error);
  }

  // Close, after what was sent has gone.
  close() {
    if (this.over) return;
    if (!this.opened) return this.abort();
    this.#say(0, SAY_CLOSE);
    this.#say(1, SAY_CLOSE);
    const { connection } = this;
    this.#forget();
    return void setTimeout(() => connection.close(), 1000);
  }

  #forget() {
    this.over = true;
    clearInterval(this.beating);
    for (const channel of this.channels) channel.onopen = channel.onmessage = channel.onclose = channel.onbufferedamountlow = null;
    this.connection.onconnectionstatechange = null;
    if (this.asking) this.signaling.withdraw(this.peer, this.attempt);
  }

  abort() {
    if (this.over) return;
    this.#forget();
    this.connection.close();
  }
}
