// Kinds of wire. A wire reports to its owner: opened(), frame(bytes), writable(), closed(reason); after close() to
// nobody. `send` takes one whole frame.
import { protocolError } from "./bytes.js";

const HIGH_WATER = 1 << 20;

export class WebSocketWire {
  constructor(url, owner) {
    this.maxFrame = 1 << 20;
    const at = new URL(url);
    if (at.pathname === "/") at.pathname = "/litz";
    const socket = (this.socket = new WebSocket(at, "litz.1"));
    socket.binaryType = "arraybuffer";
    socket.onopen = () => owner.opened();
    socket.onmessage = ({ data }) => {
      if (typeof data === "string") owner.closed("a text message", protocolError("a text message"));
      else owner.frame(new Uint8Array(data));
    };
    // What went wrong is hidden from pages on purpose; the code is all there is.
    socket.onerror = () => owner.closed("it cannot be connected, or broke");
    socket.onclose = ({ code, reason }) => owner.closed(`closed (${code}${reason && ", " + reason})`);
  }
  get writable() {
    return this.socket.bufferedAmount < HIGH_WATER;
  }
  send(bytes) {
    this.socket.send(bytes);
  }
  close() {
    const { socket } = this;
    socket.onopen = socket.onmessage = socket.onclose = socket.onerror = null;
    socket.close();
  }
}
