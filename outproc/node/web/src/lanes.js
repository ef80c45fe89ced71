// The lanes that every session has, and the limits of both ends.

export const SIGNAL = 1;
export const LATENCY = 3;
export const REPLY = 8;
// What the parts of nodes say to each other: consumed on arrival, and made when first used.
export const INTERNAL = 9;

// Sent before all others, and exempt from the session's credit.
export const PRIORITY = [SIGNAL, REPLY, INTERNAL];
// These share a wire in turn, by frames.
export const SHARING = [0, 2, LATENCY];
export const RELIABLE = [SIGNAL, REPLY, 0, 2];

export const LIMITS = {
  logMessages: 16384,
  logSize: 4 << 20,
  windowMessages: 16384,
  windowSize: 16 << 20,
  sessionWindow: 64 << 20,
  maxMessage: 16 << 20,
  batchMessages: 1024,
  frameSize: 64 << 10,
  earlySize: 128 << 10,
  ackDelay: 0.025,
  maxFaults: 3,
  lossyMessages: 256,
};

const internal = (messages, size, maxMessage) => ({
  ...LIMITS, logMessages: messages, logSize: size, windowMessages: messages, windowSize: size, maxMessage,
});
// Part of the protocol: whoever sends begins with that much credit.
export const INTERNAL_LIMITS = new Map([[INTERNAL, internal(1024, 1 << 20, 64 << 10)], [10, internal(4096, 4 << 20, 128 << 10)]]);
