"use strict";
/* The page. Its content is in `state`; the server keeps the pictures and finds the matches.

   state.source, state.target   {name, url, width, height, own} or null
   state.points                 [[x, y], ...] in pixels of the source
   how                          {method, consensus, refine}: the way to find them; the last two may be "none"
   found                        the match of a point, by `keyOf`: {target, confidence, weighed, maps: {source, target}}
*/

const $ = (selector) => document.querySelector(selector);
const HISTORY = 100; // steps that can be undone

let about = null; // the server's description of its model and examples
let state = { source: null, target: null, points: [], example: null };
let how = null;
let past = []; // earlier states
let running = null; // {keys, where, abort, fact} of the request under way
let halted = false; // after a failure or a stop, until the user goes on or changes something
const loading = { source: 0, target: 0 }; // pictures asked for so far, so that a late one does not replace a newer one
let view = null;
const found = new Map();

/* --- what changes the state --- */

/* Start a session, or continue the old one if the server still knows it after a reload. */
async function begin() {
  const before = session;
  about = await (await ask("/api/session")).json();
  session = about.session;
  sessionStorage.setItem("session", session);
  found.clear();
  answered.clear();
  past = [];
  state = { source: null, target: null, points: [], example: null };
  how = how || about.default;
  if (session === before) {
    const saved = JSON.parse(sessionStorage.getItem("state") || "null");
    if (saved?.how) ({ state, how } = saved);
  }
  halted = false;
  introduce();
  refresh();
}

function change(next) {
  past.push(state);
  if (past.length > HISTORY) past.shift();
  state = { ...state, ...next };
  halted = false;
  refresh();
}

function addPoint(x, y) {
  if (state.points.length >= about.most.points) {
    toast(`There may be ${about.most.points} points at a time: remove one first.`);
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

/* The matches become the query points of the other direction; points without a match are dropped. */
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

/* New pictures. The points are kept only if the source is. */
function put(pictures) {
  if (view) view.choose(null);
  change(pictures.source ? { ...pictures, points: [] } : pictures);
}

/* --- finding matches --- */

function where() {
  if (!state.source || !state.target) return null;
  const others = how.consensus === "joint" ? JSON.stringify(state.points) : ""; // on which a joint match depends
  return [...Object.values(how), others, state.source.name, state.target.name].join("|");
}

function keyOf(point) {
  return `${where()}|${point.join("|")}`;
}

/* Ask for the matches of all points that have none yet; one request at a time. */
async function work() {
  let open = where() ? state.points.filter((point) => !found.has(keyOf(point))) : [];
  if (open.length && how.consensus === "joint") open = state.points;
  if (running) {
    const wanted = running.where === where() && open.some((point) => running.keys.includes(keyOf(point)));
    if (!wanted || halted) running.abort.abort();
    return;
  }
  if (halted) return;
  if (!open.length) return askForSides();
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

function question(points) {
  return JSON.stringify({ source: state.source.name, target: state.target.name, ...how, points });
}

/* --- the parts that never change --- */

function introduce() {
  $("#model").textContent = about.only_drawings
    ? "Model: toybox, a small diffusion model that knows only drawings."
    : `Model: ${about.model}.`;
  if (about.calibration) $("#model").textContent += ` Calibration: ${about.calibration}.`;
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
  $("#asks").textContent = ASKS[about.consensus];
  $("#consensus").checked = how.consensus !== "none";
  $("#refine").checked = how.refine !== "none";
  const fields = $("#methods");
  fields.querySelectorAll("label").forEach((label) => label.remove());
  for (const [name, title] of Object.entries(about.methods)) {
    const label = document.createElement("label");
    const radio = document.createElement("input");
    Object.assign(radio, { type: "radio", name: "method", value: name, checked: name === how.method });
    radio.addEventListener("change", () => find({ method: name }));
    label.append(radio, title);
    fields.append(label);
  }
}

/* Find the points in another way. */
function find(change) {
  how = { ...how, ...change };
  halted = false;
  refresh();
}

const ASKS = {
  dense: "Ask the whole pictures",
  dense_flip: "Ask the whole pictures, and their mirror images",
  joint: "Ask the whole pictures and the other points (joint)",
};

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

function listen() {
  listenToDrops();
  listenToCursor();
  for (const side of ["source", "target"]) {
    const input = $(`#file-${side}`);
    input.addEventListener("change", () => {
      takeFile(side, input.files[0]);
      input.value = "";
    });
  }
  $("#consensus").addEventListener("change", (event) => {
    find({ consensus: event.target.checked ? about.consensus : "none" });
  });
  $("#refine").addEventListener("change", (event) => find({ refine: event.target.checked ? "pixels" : "none" }));
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
