// What litz.js loads when the first node comes along that speaks WebRTC: data channels as wires, and their signaling.
import { DataChannelWire } from "./data_channel.js";
import { Signaling } from "./signaling.js";

export function install(litz) {
  litz.signaling = new Signaling(litz);
  litz.wires.webrtc ??= (...given) => new DataChannelWire(...given);
}
