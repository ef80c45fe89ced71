// One life of the tab under test. It reports all that it accepts, gets and is told through `report`, which the test has
// put here, because a reload forgets the rest.
import { Litz } from "/litz.js";

const say = (object) => globalThis.report(JSON.stringify(object));
const life = Math.round(performance.timeOrigin * 1000);
const LANES = [0, 1, 2];
const litz = new Litz({ id: "tab", url: `ws://${location.host}`, ...globalThis.options });
globalThis.litz = litz;
globalThis.stopped = false;
globalThis.sent = 0;

litz.addEventListener("sessionended", ({ detail }) => say({
  event: "ended", life, session: detail.session, reason: detail.reason,
  lost: detail.lost.map(({ receipt, outcome }) => [receipt.lane, receipt.number, outcome]),
}));
litz.addEventListener("violation", ({ detail }) => say({ event: "violation", text: detail.error.message }));
litz.addEventListener("wireup", ({ detail }) => say({ event: "wireup", kind: detail.kind }));
addEventListener("offline", () => say({ event: "offline" }));
addEventListener("error", (event) => say({ event: "violation", text: String(event.message) }));
addEventListener("unhandledrejection", (event) => say({ event: "violation", text: String(event.reason?.stack ?? event.reason) }));

async function receive() {
  for await (const message of litz.messages()) {
    say({ event: "got", life, session: message.session, lane: message.payloadType, number: message.number, text: message.text().trim() });
  }
}

async function send() {
  await litz.connect("bob").catch(() => {});
  for (;;) {
    if (globalThis.stopped) await new Promise((resolve) => setTimeout(resolve, 20));
    else {
      const number = globalThis.sent++;
      // Now and then one that takes many frames.
      const text = `${life} ${number}${number % 500 === 7 ? " ".repeat(150000) : ""}`;
      await litz.send("bob", text, { payloadType: LANES[number % 3] }).catch((error) => say({ event: "violation", text: error.message }));
      if (number % 20 === 0) await new Promise((resolve) => setTimeout(resolve, 4));
    }
  }
}

globalThis.drained = () => litz.snapshot().every((peer) => peer.state === "connected" && peer.lanes.every((lane) => lane.next === lane.received && !lane.waiting));
say({ event: "life", life });
receive();
send();
