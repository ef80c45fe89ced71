// Bytes as hexadecimal text, as the vectors have them.
export const bytesOf = (hex) => Uint8Array.from(hex.match(/../g) ?? [], (pair) => parseInt(pair, 16));
export const hexOf = (bytes) => Buffer.from(bytes).toString("hex");
