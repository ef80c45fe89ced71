// A peer for the Python tests: the built litz.js under node.js, over real WebSockets.
// Arguments, as one JSON object: url, dest, id, count, bundle, and for keys: secret, or key and trusted.
const asked = JSON.parse(process.argv[2]);
const { Litz, sharedKey, ed25519 } = await import(asked.bundle);
const say = (object) => console.log(JSON.stringify(object, (_, value) => (typeof value === "bigint" ? String(value) : value)));
const LANES = [0, 1, 2];

async function authenticator() {
  if (asked.secret) return sharedKey(asked.secret);
  if (!asked.key) return undefined;
  const privateKey = await crypto.subtle.importKey("pkcs8", Buffer.from(asked.key, "base64"), "Ed25519", false, ["sign"]);
  const publicKey = await crypto.subtle.importKey("raw", Buffer.from(asked.public, "base64"), "Ed25519", true, ["verify"]);
  return ed25519({ privateKey, publicKey }, asked.trusted);
}

const litz = new Litz({ id: asked.id, url: asked.url, auth: await authenticator(), ...asked.limits });
const heals = { wireup: 0, wiredown: 0, sessionstarted: 0, sessionended: 0, violation: 0 };
for (const type in heals) litz.addEventListener(type, ({ detail }) => {
  heals[type] += 1;
  if (type === "violation" || type === "sessionended") say({ event: type, reason: detail.reason ?? detail.error.message });
});

async function receive() {
  const next = [...LANES];
  let got = 0;
  for await (const message of litz.messages()) {
    if (message.isRequest) {
      if (message.text() === "fail") await message.fail(new TypeError("asked to"));
      else await message.reply("tab got " + message.text());
      continue;
    }
    const number = parseInt(message.text(), 10);
    const lane = message.payloadType;
    if (number !== next[lane]) throw new Error(`lane ${lane}: ${number} came, ${next[lane]} was next`);
    next[lane] += LANES.length;
    if (++got === asked.count) say({ event: "all received", verified: message.verified });
  }
}

async function send() {
  for (let number = 0; number < asked.count; number++) {
    // Now and then one that takes many frames.
    const text = String(number) + (number % 500 === 7 ? " ".repeat(200000) : "");
    await litz.send(asked.dest, text, { payloadType: LANES[number % 3] });
    // As an application does: not all in one turn.
    if (number % 50 === 0) await new Promise((resolve) => setTimeout(resolve, 2));
  }
  for (const lane of LANES) await litz.send(asked.dest, "end", { payloadType: lane, confirm: "processed" });
  say({ event: "all confirmed" });
}

const receiving = receive();
receiving.catch((error) => { say({ event: "error", text: error.message }); process.exit(1); });
try {
  await litz.connect(asked.dest);
  await send();
  const reply = await litz.request(asked.dest, "from tab");
  say({ event: "reply", text: new TextDecoder().decode(reply) });
  await litz.request(asked.dest, "fail", { timeout: 5 }).catch((error) => say({ event: "failed", code: error.code, name: error.remote, text: error.message }));
  await litz.request(asked.dest, "slow", { timeout: 0.2 }).catch((error) => say({ event: "failed", code: error.code }));
} catch (error) {
  say({ event: "error", code: error.code, text: error.message });
}
process.stdin.on("data", async () => {
  await litz.close();
  say({ event: "closed", ...heals, snapshot: litz.snapshot() });
  process.exit(0);
});
