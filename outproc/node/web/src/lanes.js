// The lanes that every session has, and the limits of both ends.

export const SIGNAL = 1;
export const LATENCY = 3;
export const REPLY = 8;

// Sent before all others, and exempt from the session's credit.
export const PRIORITY = [SIGNAL, REPLY];
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
  ackDelay: 0.025,
  maxFaults: 3,
  lossyMessages: 256,
};
