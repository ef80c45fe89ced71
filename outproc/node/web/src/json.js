// The JSON of the handshake, read with all limits of docs/handshake.md: one object, no name twice, plain integers.
import { fromUtf8, protocolError } from "./bytes.js";

const MAX_DEPTH = 6;
const MAX_MEMBERS = 1024;
const TOKEN = /[{}[\],:]|"(?:[^"\\\x00-\x1f]|\\(?:["\\/bfnrt]|u[\da-fA-F]{4}))*"|-?(?:0|[1-9]\d*)|true|false|null/y; // eslint-disable-line no-control-regex
const LONE = /[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/;

function refuse() {
  throw protocolError("a handshake frame is not the JSON it should be");
}

export function parseObject(bytes) {
  let text;
  try {
    text = fromUtf8(bytes);
  } catch {
    refuse();
  }
  let at = 0;
  let members = 0;
  const next = () => {
    while (" \t\r\n".includes(text[at] ?? "x")) at += 1;
    TOKEN.lastIndex = at;
    const [token] = TOKEN.exec(text) ?? refuse();
    at += token.length;
    if ((token === "," || token === ":") && ++members > MAX_MEMBERS) refuse();
    return token;
  };
  const scalar = (token) => {
    if ("{}[],:".includes(token) || (/^[-\d]/.test(token) && token.length > 10)) refuse();
    const value = JSON.parse(token);
    return typeof value === "string" && LONE.test(value) ? refuse() : value;
  };
  const value = (token, depth) => {
    if (token !== "{" && token !== "[") return scalar(token);
    if (depth > MAX_DEPTH) refuse();
    const object = token === "{";
    const close = object ? "}" : "]";
    const found = object ? {} : [];
    for (token = next(); token !== close; token = next()) {
      if (object) {
        const name = token[0] === '"' ? scalar(token) : refuse();
        if (Object.hasOwn(found, name) || next() !== ":") refuse();
        Object.defineProperty(found, name, { value: value(next(), depth + 1), enumerable: true });
      } else found.push(value(token, depth + 1));
      token = next();
      if (token === close) break;
      // After a comma something must follow.
      if (token !== "," || text.slice(at).trimStart()[0] === close) refuse();
    }
    return found;
  };
  if (text[0] !== "{") refuse();
  const found = value(next(), 1);
  return text.slice(at).trim() ? refuse() : found;
}
