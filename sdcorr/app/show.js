"use strict";
/* Drawing the state: the pictures, the list of points, the progress, and errors. */

function refresh() {
  sessionStorage.setItem("state", JSON.stringify({ state, how }));
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
  if (!both) tellAtOnce(); // else it was told with the pair
  const own = state.source?.own || state.target?.own;
  $("#notice").textContent =
    own && about.only_drawings ? "This model knows only drawings; start with model=sd14 for photographs." : "";
  $("#pair-said").textContent = both ? pairSaid() : "";
  $("#swap").disabled = !both;
  $("#undo").disabled = !past.length;
  $("#clear").disabled = !state.points.length;
  const ready = both && state.points.length && state.points.every((point) => found.has(keyOf(point)));
  for (const button of document.querySelectorAll("[data-file]")) button.disabled = !ready;
}

function drawPair() {
  const points = state.points.map((point, index) => {
    const match = found.get(keyOf(point));
    return { source: point, target: match?.target ?? atOnce(point)?.target ?? null, truth: null, right: null,
      confidence: match?.confidence, probability: probabilityOf(match), doubt: doubtOf(match, index),
      counterpart: counterpartOf(index) };
  });
  const narrow = matchMedia("(max-width: 600px)").matches;
  const options = { source: state.source, target: state.target, points, stacked: narrow, ballot: ballotOf() };
  const focused = view && view.svg.contains(document.activeElement) ? document.activeElement : null;
  const onPad = focused?.classList.contains("pad");
  const onGroup = focused ? view.groups.indexOf(focused) : -1;
  if (view) view.set(options);
  else {
    view = new PairView($("#view"), {
      ...options, layers: about.layers, hover: true, map: mapOf, onSource: addPoint, onChoose: markRows,
    });
  }
  const labels = []; // where there is one, so that those of matches in one place stand below each other
  points.forEach((point, index) => {
    const known = found.has(keyOf(point.source));
    view.groups[index].classList.toggle("pending", !known);
    view.groups[index].classList.toggle("at-once", !known && Boolean(point.target));
    if (!known) return;
    const [x, top] = view.at("target", point.target);
    const size = 4.2 * view.unit;
    let y = top;
    while (labels.some(([right, down]) => Math.abs(right - x) < 11 * view.unit && Math.abs(down - y) < size)) y += size;
    labels.push([x, y]);
    const atEdge = point.target[0] > 0.85 * state.target.width;
    const away = (atEdge ? -3 : 3) * view.unit;
    const place = { x: x + away, y: y - 1.6 * view.unit, "text-anchor": atEdge ? "end" : "start" };
    const label = { class: "sure", "font-size": size, "stroke-width": 0.8 * view.unit };
    node("text", { ...place, ...label }, view.groups[index]).textContent =
      point.probability === null ? point.confidence.toFixed(2) : percent(point.probability);
  });
  armKeyboard();
  drawFollowing();
  if (onPad && byKeyboard) view.svg.querySelector(".pad").focus();
  else if (onGroup >= 0) view.groups[Math.min(onGroup, view.groups.length - 1)]?.focus();
}

async function mapOf(side, index, layer) {
  const match = found.get(keyOf(state.points[index]));
  if (!match) return null;
  const size = about.cells ** 2;
  return { cells: match.maps[side].subarray(layer * size, (layer + 1) * size), side: about.cells };
}

/* Between which peaks each point's match was chosen, and where the pair sends a grid; null where nobody was asked. */
function ballotOf() {
  const told = state.points.map((point) => found.get(keyOf(point))?.weighed);
  const grid = told.find(Boolean)?.grid;
  if (!grid) return null;
  return { grid, candidates: told.map((each) => (each?.peaks[0] || []).map((peak) => [peak.x, peak.y, peak.map, peak.votes])) };
}

/* What the two pictures have said of the pair as a whole. */
function pairSaid() {
  const told = state.points.map((point) => found.get(keyOf(point))?.weighed).find(Boolean);
  if (!told) return "";
  if (told.trust === 0) return "The two pictures have too little in common: each point is where its map has it.";
  const half = told.trust < 1 ? `The two pictures are believed by ${percent(told.trust)}. ` : "";
  if (told.mirrored === null) return half;
  const side = told.mirrored > 0.5 ? `The target shows the other side: ${percent(told.mirrored)} likely.`
    : `Both show the same side: ${percent(1 - told.mirrored)} likely.`;
  return half + side;
}

/* Points without a mouse: arrow keys move a cross over the source, Enter adds a point there. */
let aim = null;
let byKeyboard = false;

function armKeyboard() {
  const pad = view.svg.querySelector(".pad");
  pad.setAttribute("tabindex", "0");
  pad.setAttribute("role", "application");
  pad.setAttribute("aria-label", "Source: arrow keys move the cross, with Shift in small steps; Enter adds a point");
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
  pad.addEventListener("blur", () => {
    follow(null);
    view.svg.querySelectorAll(".aim").forEach((part) => part.remove());
  });
  pad.addEventListener("focus", () => {
    if (!pad.matches(":focus-visible")) return;
    aim = aim || [state.source.width / 2, state.source.height / 2];
    drawAim();
  });
}

function drawAim() {
  follow(aim);
  view.svg.querySelectorAll(".aim").forEach((part) => part.remove());
  const [x, y] = view.at("source", aim);
  const r = 4 * view.unit;
  const d = `M${x - r},${y}H${x + r}M${x},${y - r}V${y + r}`;
  node("path", { d, class: "aim rim", "stroke-width": 1.2 * view.unit }, view.svg);
  node("path", { d, class: "aim", "stroke-width": 0.5 * view.unit }, view.svg);
}

/* Whether the calibration is one of these pictures: the toybox's own is of its drawings, one that was given of all. */
function calibrated() {
  return Boolean(about.calibration) || !(state.source?.own || state.target?.own);
}

/* That a match is right; null where nobody knows. */
function probabilityOf(match) {
  return calibrated() ? (match?.probability ?? null) : null;
}

/* Why a match is drawn hollow; that it is not there, a calibration knows. */
function doubtOf(match, index) {
  return (calibrated() && match?.missing) || (match && sides()?.doubts[index]) || (match?.doubt ?? null);
}

const percent = (share) => `${Math.round(100 * share)} %`;

/* One row per point. Rows are reused, so that the element with the focus keeps it. */
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
    const guess = match ? null : atOnce(point);
    const place = match ?? guess;
    row.querySelector(".to").textContent = place ? written(place.target) : "…";
    const twin = counterpartOf(index);
    const mark = row.querySelector(".twin");
    mark.hidden = twin === null;
    mark.textContent = twin === null ? "" : `↔ ${twin + 1}`;
    mark.setAttribute("aria-label", twin === null ? "" : `counterpart: point ${twin + 1}`);
    const probability = probabilityOf(match);
    const meter = probability ?? match?.confidence ?? 0;
    row.querySelector(".meter span").style.width = `${100 * meter}%`; // beside it in words
    const joint = how.consensus === "joint" ? " (joint)" : "";
    const bare = match && `confidence ${match.confidence.toFixed(2)}${joint}, uncalibrated`;
    const sure = probability === null ? bare : `${percent(probability)} likely right${joint}`;
    const why = doubtOf(match, index);
    const doubt = why ? `; ${why}` : "";
    const words = match
      ? `${sure}${doubt}${confirmed(point, match)}`
      : guess ? "at once, not confirmed yet" : "not found yet";
    row.querySelector(".sure-words").textContent = words.replaceAll(/ (%|px)/g, "\u00a0$1");
  });
  $("#twins-said").hidden = !sides()?.pairs.length;
  markRows();
}

function newRow(index) {
  const item = document.createElement("li");
  item.innerHTML = `<button type="button" class="row"><span class="which">${index + 1}<span class="swatch"></span></span><span class="from"></span><span
    class="to"></span><span class="sureness"><span class="meter"><span></span></span><span
    class="sure-words"></span></span><span class="twin" hidden></span></button>
    <button type="button" class="remove" title="Remove this point">✕</button>`;
  item.querySelector(".swatch").style.background = POINT_COLORS[index % POINT_COLORS.length];
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
  if (halted && open) return say(open === 1 ? "One point is waiting." : `${open} points are waiting.`);
  if (running) return showProgress(running.fact, bar);
  if (!state.points.length) return say("Click a point on the source.");
  say(
    matchMedia("(hover: none)").matches
      ? "Tap a point to see the heat map behind its match; tap the source to add another."
      : "Hover over a point to see the heat map behind its match, click it to keep the map, or add another point.",
  );
}

function showProgress(fact, bar) {
  bar.value = 0;
  if (fact?.state === "waiting" && fact.ahead) {
    return say(fact.ahead === 1 ? "One request is ahead of yours." : `${fact.ahead} requests are ahead of yours.`);
  }
  if (fact?.state === "optimizing") {
    bar.value = (0.9 * fact.step) / fact.steps;
    const left = fact.left === null ? "" : `, ${aboutSeconds(fact.left)} left`;
    return say(`Optimizing the prompt embedding: step ${fact.step} of ${fact.steps}${left}.`);
  }
  if (fact?.state === "reading") {
    bar.value = 0.9 + (0.1 * fact.done) / fact.of;
    return say("Reading the match on the target.");
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
