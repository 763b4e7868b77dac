"use strict";
/* The page: what is on it is in `state`; the server keeps the pictures, and finds matches of points that it is asked for.

   state.source, state.target   {name, url, width, height, own} or null
   state.points                 [[x, y], ...] in pixels of the source
   found                        what is known of a point, by `keyOf`: {target, confidence, maps: {source, target}}
*/

const $ = (selector) => document.querySelector(selector);
const HISTORY = 100; // steps that can be undone

let about = null; // what the server says of itself
let session = sessionStorage.getItem("session") || "";
let state = { source: null, target: null, points: [], example: null };
let method = null;
let past = []; // earlier states
let running = null; // {keys, where, abort, fact} of the request under way
let halted = false; // after a failure or a stop: nothing is asked for until one goes on
const loading = { source: 0, target: 0 }; // counts pictures that are asked for, so that one that comes late does not replace a newer one
let view = null;
const found = new Map();

/* --- talking to the server --- */

class Forgotten extends Error {}

async function ask(path, options = {}) {
  let response;
  try {
    response = await fetch(path, { method: "POST", ...options, headers: { "X-Session": session, ...options.headers } });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Error("The server does not answer: is it still running?");
  }
  if (response.ok) return response;
  const said = await response.json().catch(() => ({}));
  const sentence = said.error || `The server answered with ${response.status}.`;
  throw response.status === 410 ? new Forgotten(sentence) : new Error(sentence);
}

async function attempt(work) {
  try {
    await work();
  } catch (error) {
    if (error.name === "AbortError") return;
    toast(error.message);
    if (error instanceof Forgotten) await begin();
  }
}

/* A session, the old one if the server still knows it after the page was loaded anew. */
async function begin() {
  const before = session;
  about = await (await ask("/api/session")).json();
  session = about.session;
  sessionStorage.setItem("session", session);
  found.clear();
  past = [];
  state = { source: null, target: null, points: [], example: null };
  method = method || about.method;
  if (session === before) {
    const saved = JSON.parse(sessionStorage.getItem("state") || "null");
    if (saved) ({ state, method } = saved);
  }
  halted = false;
  introduce();
  refresh();
}

function question(points) {
  return JSON.stringify({ source: state.source.name, target: state.target.name, method, points });
}

/* --- what changes the state --- */

function change(next) {
  past.push(state);
  if (past.length > HISTORY) past.shift();
  state = { ...state, ...next };
  halted = false;
  refresh();
}

function addPoint(x, y) {
  if (state.points.length >= about.most.points) {
    toast(`${about.most.points} points at a time is the most: remove one first.`);
    return;
  }
  const point = [x, y].map((value) => Math.round(value * 100) / 100);
  if (!state.points.some((other) => other[0] === point[0] && other[1] === point[1])) {
    view.choose(null);
    change({ points: [...state.points, point] });
  }
}

function removePoint(index) {
  view.choose(null);
  change({ points: state.points.filter((_, other) => other !== index) });
}

/* The matches become the query points of the other direction; points without a match have no place there. */
function swap() {
  const points = state.points.map((point) => found.get(keyOf(point))).filter(Boolean);
  if (view) view.choose(null);
  change({ source: state.target, target: state.source, points: points.map((match) => match.target), example: null });
}

function undo() {
  if (view) view.choose(null);
  state = past.pop();
  halted = false;
  refresh();
}

async function takeFile(side, file) {
  if (!file) return;
  const turn = ++loading[side];
  await attempt(async () => {
    if (file.size > about.most.bytes) {
      throw new Error(`This file is larger than ${about.most.bytes / 2 ** 20} MB: make it smaller and try again.`);
    }
    say(`Reading ${file.name} …`);
    try {
      const headers = { "X-Label": encodeURIComponent(file.name), "Content-Type": "application/octet-stream" };
      const picture = await (await ask("/api/pictures", { body: file, headers })).json();
      if (turn === loading[side]) put({ [side]: { ...picture, own: true }, example: null });
    } finally {
      refresh();
    }
  });
}

async function takeExample(name) {
  const turns = [++loading.source, ++loading.target];
  await attempt(async () => {
    const pair = await (await ask(`/api/examples/${name}`)).json();
    if (turns[0] === loading.source && turns[1] === loading.target) put({ ...pair, example: name });
  });
}

/* New pictures; points stay only where their source does. */
function put(pictures) {
  if (view) view.choose(null);
  change(pictures.source ? { ...pictures, points: [] } : pictures);
}

/* --- finding matches --- */

function where() {
  return state.source && state.target ? [method, state.source.name, state.target.name].join("|") : null;
}

function keyOf(point) {
  return `${where()}|${point.join("|")}`;
}

/* Ask for the points that have no match yet, in one request at a time. */
async function work() {
  const open = where() ? state.points.filter((point) => !found.has(keyOf(point))) : [];
  if (running) {
    const wanted = running.where === where() && open.some((point) => running.keys.includes(keyOf(point)));
    if (!wanted || halted) running.abort.abort();
    return;
  }
  if (!open.length || halted) return;
  const mine = { where: where(), keys: open.map(keyOf), abort: new AbortController(), fact: null };
  running = mine;
  try {
    const response = await ask("/api/match", { body: question(open), signal: mine.abort.signal });
    for await (const fact of linesOf(response)) {
      mine.fact = fact;
      if (fact.state === "failed") throw new Error(fact.error);
      if (fact.state === "done") fact.matches.forEach((match, index) => found.set(mine.keys[index], unpack(match)));
      else showStatus();
    }
    if (mine.fact?.state !== "done") throw new Error("The server ended before it was done: is it still running?");
  } catch (error) {
    if (error.name !== "AbortError") {
      halted = true;
      toast(error.message);
      if (error instanceof Forgotten) {
        running = null;
        await attempt(begin);
        return;
      }
    }
  }
  running = null;
  refresh();
}

async function* linesOf(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const lines = (rest + value).split("\n");
    rest = lines.pop();
    for (const line of lines) yield JSON.parse(line);
  }
}

function unpack(match) {
  const maps = {};
  for (const [side, coded] of Object.entries(match.maps)) {
    maps[side] = Uint8Array.from(atob(coded), (letter) => letter.charCodeAt(0));
  }
  return { ...match, maps };
}

/* --- showing it --- */

function refresh() {
  sessionStorage.setItem("state", JSON.stringify({ state, method }));
  const both = Boolean(state.source && state.target);
  $("#zones").hidden = both;
  $("#view").hidden = !both;
  for (const zone of document.querySelectorAll(".zone")) {
    const picture = state[zone.dataset.side];
    const image = zone.querySelector("img");
    image.hidden = !picture;
    if (picture) image.src = picture.url;
    zone.querySelector(".what").hidden = Boolean(picture);
  }
  for (const button of document.querySelectorAll(".example")) {
    button.setAttribute("aria-pressed", String(button.dataset.name === state.example));
  }
  work();
  if (both) drawPair();
  drawRows();
  showStatus();
  const own = state.source?.own || state.target?.own;
  $("#notice").textContent =
    own && about.only_drawings ? "This model knows only drawings; start with model=sd14 for photographs." : "";
  $("#swap").disabled = !both;
  $("#undo").disabled = !past.length;
  $("#clear").disabled = !state.points.length;
  const ready = both && state.points.length && state.points.every((point) => found.has(keyOf(point)));
  for (const button of document.querySelectorAll("[data-file]")) button.disabled = !ready;
}

function drawPair() {
  const points = state.points.map((point) => {
    const match = found.get(keyOf(point));
    return { source: point, target: match?.target ?? null, truth: null, right: null, confidence: match?.confidence };
  });
  const narrow = matchMedia("(max-width: 600px)").matches;
  const options = { source: state.source, target: state.target, points, stacked: narrow };
  const focused = view && view.svg.contains(document.activeElement) ? document.activeElement : null;
  const onPad = focused?.classList.contains("pad");
  const onGroup = focused ? view.groups.indexOf(focused) : -1;
  if (view) view.set(options);
  else {
    view = new PairView($("#view"), {
      ...options, layers: about.layers, hover: true, map: mapOf, onSource: addPoint, onChoose: markRows,
    });
  }
  points.forEach((point, index) => {
    view.groups[index].classList.toggle("pending", !point.target);
    if (!point.target) return;
    const [x, y] = view.at("target", point.target);
    const size = 4.2 * view.unit;
    const atEdge = point.target[0] > 0.85 * state.target.width;
    const place = { x: x + (atEdge ? -3 : 3) * view.unit, y: y - 1.6 * view.unit, "text-anchor": atEdge ? "end" : "start" };
    const label = { class: "sure", "font-size": size, "stroke-width": 0.8 * view.unit };
    node("text", { ...place, ...label }, view.groups[index]).textContent = point.confidence.toFixed(2);
  });
  armKeyboard();
  if (onPad && byKeyboard) view.svg.querySelector(".pad").focus();
  else if (onGroup >= 0) view.groups[Math.min(onGroup, view.groups.length - 1)]?.focus();
}

async function mapOf(side, index, layer) {
  const match = found.get(keyOf(state.points[index]));
  if (!match) return null;
  const size = about.cells ** 2;
  return { cells: match.maps[side].subarray(layer * size, (layer + 1) * size), side: about.cells };
}

/* Points without a mouse: arrow keys move a cross over the source, Enter puts a point there. */
let aim = null;
let byKeyboard = false;

function armKeyboard() {
  const pad = view.svg.querySelector(".pad");
  pad.setAttribute("tabindex", "0");
  pad.setAttribute("role", "application");
  pad.setAttribute("aria-label", "Source picture: arrow keys move the cross, with Shift in small steps; Enter adds a point");
  pad.addEventListener("keydown", (event) => {
    const { width, height } = state.source;
    const by = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (by) {
      const step = Math.max(width, height) / (event.shiftKey ? 250 : 40);
      const inside = (value, most) => Math.min(Math.max(value, 0), most);
      const [x, y] = aim || [width / 2, height / 2];
      aim = [inside(x + by[0] * step, width), inside(y + by[1] * step, height)];
      drawAim();
    } else if ((event.key === "Enter" || event.key === " ") && aim) addPoint(...aim);
    else return;
    event.preventDefault();
  });
  pad.addEventListener("blur", () => view.svg.querySelectorAll(".aim").forEach((part) => part.remove()));
  pad.addEventListener("focus", () => {
    if (!pad.matches(":focus-visible")) return;
    aim = aim || [state.source.width / 2, state.source.height / 2];
    drawAim();
  });
}

function drawAim() {
  view.svg.querySelectorAll(".aim").forEach((part) => part.remove());
  const [x, y] = view.at("source", aim);
  const r = 4 * view.unit;
  const d = `M${x - r},${y}H${x + r}M${x},${y - r}V${y + r}`;
  node("path", { d, class: "aim rim", "stroke-width": 1.2 * view.unit }, view.svg);
  node("path", { d, class: "aim", "stroke-width": 0.5 * view.unit }, view.svg);
}

/* A row a point; rows are used again, so that what has the focus keeps it. */
function drawRows() {
  const list = $("#points ol");
  $("#no-points").hidden = state.points.length > 0;
  while (list.children.length > state.points.length) {
    const last = list.lastChild;
    if (last.contains(document.activeElement)) (last.previousSibling?.querySelector(".remove") ?? $("#undo")).focus();
    last.remove();
  }
  while (list.children.length < state.points.length) list.append(newRow(list.children.length));
  state.points.forEach((point, index) => {
    const row = list.children[index];
    const match = found.get(keyOf(point));
    const written = ([x, y]) => `(${x.toFixed(1)}, ${y.toFixed(1)})`;
    row.querySelector(".from").textContent = written(point);
    row.querySelector(".to").textContent = match ? written(match.target) : "…";
    row.querySelector("meter").value = match ? match.confidence : 0;
    row.querySelector(".sureness span").textContent = match ? `confidence ${match.confidence.toFixed(2)}` : "not found yet";
  });
  markRows();
}

function newRow(index) {
  const item = document.createElement("li");
  item.innerHTML = `<button type="button" class="row"><span class="swatch"></span><span class="from"></span><span
    class="to"></span><span class="sureness"><meter min="0" max="1"></meter><span></span></span></button>
    <button type="button" class="remove" title="Remove this point">✕</button>`;
  item.querySelector(".swatch").style.background = POINT_COLOURS[index % POINT_COLOURS.length];
  const row = item.querySelector(".row");
  item.querySelector(".remove").setAttribute("aria-label", `Remove point ${index + 1}`);
  item.querySelector(".remove").addEventListener("click", () => removePoint(index));
  row.addEventListener("click", () => view?.choose(view.kept === index ? null : index));
  row.addEventListener("pointerenter", (event) => event.pointerType === "mouse" && view?.show(index));
  row.addEventListener("pointerleave", (event) => event.pointerType === "mouse" && view?.show(null));
  return item;
}

function markRows() {
  [...$("#points ol").children].forEach((item, index) => {
    item.classList.toggle("chosen", view !== null && view.chosen === index);
    item.querySelector(".row").setAttribute("aria-pressed", String(view !== null && view.kept === index));
  });
}

function say(sentence) {
  if ($("#hint").textContent !== sentence) $("#hint").textContent = sentence;
}

function showStatus() {
  const bar = $("#progress");
  const open = state.points.filter((point) => !found.has(keyOf(point))).length;
  bar.classList.toggle("busy", Boolean(running));
  $("#stop").hidden = !running || halted;
  $("#go-on").hidden = !halted || !open || Boolean(running);
  if (!state.source && !state.target) return say("Choose an example, or choose or drop two pictures.");
  if (!state.source) return say("Now the source: the picture that you will click on.");
  if (!state.target) return say("Now the target: the picture in which to find the same points.");
  if (halted && open) return say(open === 1 ? "One point waits." : `${open} points wait.`);
  if (running) return showProgress(running.fact, bar);
  if (!state.points.length) return say("Click a point on the source.");
  say(
    matchMedia("(hover: none)").matches
      ? "Tap a point to see the heat behind its match; tap the source to add another."
      : "Rest on a point to see the heat behind its match, click it to keep that; or add another point.",
  );
}

function showProgress(fact, bar) {
  bar.value = 0;
  if (fact?.state === "waiting" && fact.ahead) {
    return say(fact.ahead === 1 ? "Somebody else is before you." : `${fact.ahead} others are before you.`);
  }
  if (fact?.state === "optimising") {
    bar.value = (0.9 * fact.step) / fact.steps;
    const left = fact.left === null ? "" : `, ${aboutSeconds(fact.left)} left`;
    return say(`Optimising the prompt embedding: step ${fact.step} of ${fact.steps}${left}.`);
  }
  if (fact?.state === "reading") {
    bar.value = 0.9 + (0.1 * fact.done) / fact.of;
    return say("Looking for it in the target.");
  }
  say("Asking the model …");
}

function aboutSeconds(seconds) {
  if (seconds < 90) return `about ${Math.max(1, Math.round(seconds))} s`;
  return seconds < 5400 ? `about ${Math.round(seconds / 60)} min` : `about ${(seconds / 3600).toFixed(1)} h`;
}

function toast(sentence) {
  const box = document.createElement("div");
  box.className = "toast";
  const text = document.createElement("span");
  text.textContent = sentence;
  const close = document.createElement("button");
  close.type = "button";
  close.textContent = "✕";
  close.setAttribute("aria-label", "Close");
  close.addEventListener("click", () => box.remove());
  box.append(text, close);
  $("#toasts").append(box);
  setTimeout(() => box.remove(), 9000);
}

/* --- the parts that are there from the start --- */

function introduce() {
  $("#model").textContent = about.only_drawings
    ? "Model: toybox, a small diffusion model that knows only drawings."
    : `Model: ${about.model}`;
  $("#examples").replaceChildren(
    ...about.examples.map((name) => {
      const button = document.createElement("button");
      button.type = "button";
      button.className = "example";
      button.dataset.name = name;
      const pair = document.createElement("span");
      for (const side of ["source", "target"]) {
        const image = document.createElement("img");
        image.src = `/examples/${name}/${side}`;
        image.alt = "";
        pair.append(image);
      }
      button.append(pair, name);
      button.addEventListener("click", () => takeExample(name));
      return button;
    }),
  );
  const fields = $("#methods");
  fields.querySelectorAll("label").forEach((label) => label.remove());
  for (const [name, title] of Object.entries(about.methods)) {
    const label = document.createElement("label");
    const radio = document.createElement("input");
    Object.assign(radio, { type: "radio", name: "method", value: name, checked: name === method });
    radio.addEventListener("change", () => {
      method = name;
      halted = false;
      refresh();
    });
    label.append(radio, title);
    fields.append(label);
  }
}

async function download(file) {
  await attempt(async () => {
    const content = await (await ask(`/api/download/${file}`, { body: question(state.points) })).blob();
    const link = document.createElement("a");
    link.href = URL.createObjectURL(content);
    link.download = file;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60000);
  });
}

/* Which side a dragged file is over, if any. */
function sideAt(event) {
  const zone = event.target.closest?.(".zone");
  if (zone) return zone.dataset.side;
  if (!event.target.closest?.("#view") || !view) return null;
  const box = view.svg.getBoundingClientRect();
  const before = view.options.stacked ? event.clientY < box.top + box.height / 2 : event.clientX < box.left + box.width / 2;
  return before ? "source" : "target";
}

function listen() {
  for (const side of ["source", "target"]) {
    const input = $(`#file-${side}`);
    input.addEventListener("change", () => {
      takeFile(side, input.files[0]);
      input.value = "";
    });
  }
  const mark = (event) => {
    const side = sideAt(event);
    for (const zone of document.querySelectorAll(".zone")) zone.classList.toggle("dropping", zone.dataset.side === side);
    $("#view").classList.toggle("dropping", side !== null);
  };
  const unmark = () => document.querySelectorAll(".dropping").forEach((part) => part.classList.remove("dropping"));
  document.addEventListener("dragover", (event) => {
    event.preventDefault();
    mark(event);
  });
  document.addEventListener("dragleave", (event) => event.relatedTarget || unmark());
  document.addEventListener("drop", async (event) => {
    event.preventDefault();
    unmark();
    const files = [...event.dataTransfer.files];
    const side = sideAt(event);
    if (files.length > 1) {
      await takeFile("source", files[0]);
      await takeFile("target", files[1]);
    } else if (side) await takeFile(side, files[0]);
    else if (files.length) await takeFile(state.source ? "target" : "source", files[0]);
  });
  $("#swap").addEventListener("click", swap);
  $("#undo").addEventListener("click", undo);
  $("#clear").addEventListener("click", () => {
    view?.choose(null);
    change({ points: [] });
  });
  $("#stop").addEventListener("click", () => {
    halted = true;
    refresh();
  });
  $("#go-on").addEventListener("click", () => {
    halted = false;
    refresh();
  });
  for (const button of document.querySelectorAll("[data-file]")) {
    button.addEventListener("click", () => download(button.dataset.file));
  }
  document.addEventListener("pointerdown", () => { byKeyboard = false; }, true);
  document.addEventListener("keydown", () => { byKeyboard = true; }, true);
  document.addEventListener("keydown", (event) => {
    if (event.key.toLowerCase() === "z" && (event.ctrlKey || event.metaKey) && !event.shiftKey && past.length) {
      event.preventDefault();
      undo();
    }
  });
  matchMedia("(max-width: 600px)").addEventListener("change", refresh);
}

listen();
attempt(begin);
