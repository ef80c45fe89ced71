// The page of a node: messages, files and wires of one tab.
import { Litz } from "/litz.js";
import { FileTransfer, readRefusal } from "/tab_file.js";

const metaOf = (name) => document.querySelector(`meta[name="${name}"]`).content;
const node = metaOf("litz-node");
const find = (id) => document.getElementById(id);
const ID_KEY = "litz-tab-id";
const MAX_ROWS = 500;

// Kept over a reload, so that the node sees the same id in a new incarnation.
const id = (sessionStorage[ID_KEY] ??= "tab-" + Array.from(crypto.getRandomValues(new Uint8Array(4)), (byte) => byte.toString(16).padStart(2, "0")).join(""));
const litz = new Litz({ id, url: `${location.protocol === "https:" ? "wss" : "ws"}://${location.host}${metaOf("litz-path")}` });
globalThis.litz = litz; // to play with in the console
find("id").textContent = id;

function make(kind, text, name) {
  const element = document.createElement(kind);
  if (text !== undefined) element.textContent = text;
  if (name) element.className = name;
  return element;
}

function addRow(list, row) {
  list.querySelector(".empty")?.remove();
  const atEnd = list.scrollHeight - list.scrollTop - list.clientHeight < 40;
  list.append(row);
  while (list.children.length > MAX_ROWS) list.firstElementChild.remove();
  if (atEnd) list.scrollTop = list.scrollHeight;
}

const sizeOf = (bytes) => (bytes < 1024 ? `${bytes} B` : bytes < 1 << 20 ? `${(bytes / 1024).toFixed(1)} KiB` : `${(bytes / 1048576).toFixed(1)} MiB`);

function tell(text) {
  addRow(find("events"), make("li", `${new Date().toTimeString().slice(0, 8)} ${text}`));
}

function notice(text) {
  find("notice").hidden = false;
  find("notice").textContent = text;
}

// -- messages

function show(mine, about, text) {
  const row = make("li", undefined, mine ? "mine" : "");
  const line = make("span", about, "about");
  row.append(line, document.createTextNode(text));
  addRow(find("log"), row);
  return line;
}

async function send(dest, text, ask) {
  const line = show(true, `${ask ? "request " : ""}to ${dest}, on its way`, text);
  try {
    if (ask) {
      const reply = await litz.request(dest, text);
      line.textContent = `request to ${dest}, answered`;
      show(false, `${dest} answered`, new TextDecoder().decode(reply));
    } else {
      const receipt = await litz.send(dest, text, { confirm: "processed" });
      line.textContent = `to ${dest}, number ${receipt.number}, processed`;
    }
  } catch (error) {
    line.textContent = `to ${dest}, failed: ${error.message}`;
    line.classList.add("failed");
  }
}

find("compose").addEventListener("submit", (event) => {
  event.preventDefault();
  const text = find("text");
  send(find("dest").value.trim(), text.value, event.submitter?.value === "ask");
  text.value = "";
  text.focus();
});

async function receive() {
  for await (const message of litz.messages()) {
    const refusal = readRefusal(message);
    if (refusal) transfers.get(refusal.transfer)?.refused(refusal.reason);
    else {
      let text;
      try {
        text = message.text();
      } catch {
        text = `(${message.data.length} bytes that are no text)`;
      }
      show(false, `from ${message.sender}${message.isRequest ? ", a request: answered with its own text" : ""}`, text);
      if (message.isRequest) await message.reply(message.data);
    }
  }
}

// -- files

const transfers = new Map();

async function sendFile(file) {
  const dest = find("dest").value.trim() || node;
  const transfer = new FileTransfer(litz, dest, file);
  const row = make("li");
  const bar = make("progress");
  const about = make("div", "waiting", "about");
  const cancel = make("button", "Cancel", "second");
  bar.max = file.size || 1;
  bar.value = 0;
  bar.setAttribute("aria-label", `${file.name}, bytes acknowledged by ${dest}`);
  cancel.type = "button";
  cancel.onclick = () => transfer.stop.abort(new Error("cancelled"));
  row.append(make("div", file.name, "name"), bar, about, cancel);
  find("transfers").prepend(row);
  const from = performance.now();
  const paint = () => {
    const done = transfer.acknowledged();
    bar.value = file.size ? done : 1;
    const rate = done / Math.max(0.001, (performance.now() - from) / 1000);
    about.textContent = `${sizeOf(done)} of ${sizeOf(file.size)} acknowledged by ${dest}, ${sizeOf(rate)}/s${litz.snapshot().some((each) => each.dest === dest && each.state === "connected") ? "" : ", no wire, redialling"}`;
  };
  const painting = setInterval(paint, 100);
  transfers.set(transfer.id, transfer);
  try {
    const { name, sha256 } = await transfer.run();
    bar.value = bar.max;
    about.textContent = `${sizeOf(file.size)} in ${((performance.now() - from) / 1000).toFixed(1)} s. ${dest} has it as ${name}, sha256 ${sha256}`;
  } catch (error) {
    about.textContent = error.message;
    about.classList.add("failed");
  } finally {
    clearInterval(painting);
    transfers.delete(transfer.id);
    cancel.remove();
  }
}

let queue = Promise.resolve();
function sendFiles(files) {
  for (const file of files) queue = queue.then(() => sendFile(file));
}

find("pick").addEventListener("change", ({ target }) => {
  sendFiles([...target.files]);
  target.value = "";
});
const drop = find("drop");
for (const type of ["dragenter", "dragover"]) {
  addEventListener(type, (event) => {
    event.preventDefault();
    drop.classList.add("over");
  });
}
for (const type of ["dragleave", "drop"]) {
  addEventListener(type, (event) => {
    event.preventDefault();
    drop.classList.remove("over");
  });
}
addEventListener("drop", (event) => sendFiles([...event.dataTransfer.files]));

// -- wires

const NAMES = { websocket: "WebSocket", webrtc: "Data channel" };
const STATES = { idle: "not dialled", dialling: "dialling", up: "up", cooling: "waiting to redial", yielded: "another is kept", stopped: "stopped" };
const rows = new Map();
const broken = new Map(); // url -> when it broke

function paintWires() {
  const found = litz.snapshot();
  const main = found.find((each) => each.dest === node);
  const shown = main?.state ?? "closed";
  find("state").dataset.state = shown;
  find("state").textContent = { connecting: "connecting", connected: "connected", detached: "no wire, redialling", closed: "closed" }[shown];
  const seen = new Set();
  for (const peer of found) {
    for (const wire of peer.wires) {
      const key = `${peer.dest} ${wire.url}`;
      seen.add(key);
      if (!rows.has(key)) rows.set(key, wireRow(peer.dest, wire));
      const { state, about, cut } = rows.get(key);
      state.textContent = STATES[wire.state];
      state.dataset.state = wire.state;
      cut.disabled = wire.state !== "up";
      const parts = [`to ${peer.dest}`, `${wire.dials} dial${wire.dials === 1 ? "" : "s"}`];
      if (wire.roundTrip !== null) parts.push(`round trip ${(wire.roundTrip * 1000).toFixed(1)} ms`);
      if (wire.state === "up") parts.push(`in ${sizeOf(wire.bytesIn)}, out ${sizeOf(wire.bytesOut)}`, wire.lanes.length ? `carries lanes ${wire.lanes.sort((a, b) => a - b).join(", ")}` : "stands by");
      else if (wire.error) parts.push(wire.error);
      about.textContent = parts.join(" · ");
    }
  }
  for (const [key, { row }] of rows) {
    if (seen.has(key)) continue;
    row.remove();
    rows.delete(key);
  }
  const lanes = (main?.lanes ?? []).filter((lane) => lane.next);
  find("counts").textContent = lanes.length
    ? lanes.map((lane) => `Lane ${lane.lane}: ${lane.next} accepted, ${lane.processed} processed${lane.replayed ? `, ${lane.replayed} sent again` : ""}.`).join(" ")
    : "Nothing sent yet.";
}

function wireRow(dest, wire) {
  const row = make("li");
  const name = make("div", NAMES[wire.kind] ?? wire.kind, "name");
  const state = make("span", "", "state");
  const about = make("div", "", "about");
  const cut = make("button", "Cut", "second");
  cut.type = "button";
  cut.setAttribute("aria-label", `Cut the ${NAMES[wire.kind] ?? wire.kind} wire to ${dest}`);
  cut.onclick = () => {
    litz.cut(dest, wire.kind);
    paintWires();
  };
  name.append(state);
  row.append(name, make("div", wire.url, "about"), about, cut);
  find("wires").append(row);
  return { row, state, about, cut };
}

litz.addEventListener("wireup", ({ detail: { dest, kind, url } }) => {
  const since = broken.get(url);
  broken.delete(url);
  tell(`${NAMES[kind]} to ${dest} up${since === undefined ? "" : `, healed in ${(performance.now() - since).toFixed(0)} ms`}`);
});
litz.addEventListener("wiredown", ({ detail: { dest, kind, url, cause } }) => {
  broken.set(url, performance.now());
  tell(`${NAMES[kind]} to ${dest} down: ${cause}`);
});
litz.addEventListener("connectfailed", ({ detail: { error, retryIn } }) => tell(`${error.message}${retryIn === null ? "" : `; again in ${retryIn.toFixed(1)} s`}`));

const moved = new Map(); // kind -> lanes that moved in this turn
litz.addEventListener("lanemoved", ({ detail: { lane, kind } }) => {
  if (lane > 8) return; // what nodes say to each other
  if (!moved.size) {
    queueMicrotask(() => {
      for (const [to, lanes] of moved) tell(`lanes ${lanes.sort((a, b) => a - b).join(", ")} on ${NAMES[to]}`);
      moved.clear();
    });
  }
  moved.set(kind, [...(moved.get(kind) ?? []), lane]);
});
litz.addEventListener("sessionstarted", ({ detail: { dest, session } }) => tell(`session ${session} with ${dest} began`));
litz.addEventListener("sessionended", ({ detail: { dest, reason, detail, lost } }) => {
  tell(`session with ${dest} ended: ${reason} (${detail}); ${lost.length} not confirmed`);
  if (reason === "replaced") notice(`Another tab uses the id ${id}: this one has stopped. Close one of the two, and reload the other.`);
  else if (dest === node) stay();
});
litz.addEventListener("violation", ({ detail: { error } }) => tell(`the peer broke the rules: ${error.message}`));

const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));
let staying = false;

// A node that said goodbye is not dialled again by itself; this page asks for it.
async function stay() {
  if (staying) return;
  staying = true;
  for (;;) {
    await pause(500);
    try {
      await litz.connect(node);
      break;
    } catch (error) {
      if (error.code === "closed" || error.code === "replaced") break;
      await pause(2000);
    }
  }
  staying = false;
}

receive();
litz.connect(node).catch(stay);
paintWires();
setInterval(paintWires, 250);
for (const type of ["wireup", "wiredown", "sessionstarted", "sessionended"]) litz.addEventListener(type, paintWires);
