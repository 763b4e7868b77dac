"use strict";
/* The match at once: while the cursor moves over the source, its match moves on the target. A student's features of
   both pictures are here, so a point is one matrix product and no request. A click has the match confirmed by the method. */

const MOST_READ = 12; // pictures whose features are kept, as many as the server has of a page
const NEAR = 0.1; // of the target's longer side: so near, the method confirms the match at once
const RETRY = 5000; // milliseconds after which features that could not be had are asked for again
const read = new Map(); // name of a picture -> {features, side} once they are here, null until then
let cursor = null; // the point under the cursor, pixels of the source
let frame = null; // the drawing that is waiting for the next frame

/* --- features --- */

/* The features of a picture, or null while they are on their way. */
function featuresOf(picture) {
  if (read.has(picture.name)) return read.get(picture.name);
  read.set(picture.name, null);
  while (read.size > MOST_READ) read.delete(read.keys().next().value);
  fetchFeatures(picture.name);
  return null;
}

async function fetchFeatures(name) {
  try {
    const response = await ask(`/pictures/${name}/features`, { method: "GET" });
    read.set(name, decoded(await response.arrayBuffer(), Number(response.headers.get("x-cells"))));
    if (state.points.length) refresh();
    else drawFollowing(); // and nothing else is drawn anew, which would take the focus away
  } catch {
    setTimeout(() => read.delete(name), RETRY); // and is asked for again when it is needed
  }
}

/* (side * side, C) bytes, then the scale of every cell: features of unit length, cell by cell. */
function decoded(buffer, side) {
  const cells = side * side;
  const channels = buffer.byteLength / cells - 4;
  const bytes = new Int8Array(buffer, 0, cells * channels);
  const scales = new Float32Array(buffer.slice(cells * channels));
  const features = Float32Array.from(bytes, (value, index) => value * scales[Math.floor(index / channels)]);
  return { features, side, channels };
}

/* The features at a place between cells, bilinear, of unit length; x and y are shares of the picture's sides. */
function featuresAt({ features, side, channels }, x, y) {
  const [right, down] = [x, y].map((share) => Math.min(Math.max(share * side - 0.5, 0), side - 1));
  const [left, top] = [right, down].map((value) => Math.min(Math.floor(value), side - 2));
  const query = new Float32Array(channels);
  for (const [row, column] of [[0, 0], [0, 1], [1, 0], [1, 1]]) {
    const weight = (row ? down - top : 1 - down + top) * (column ? right - left : 1 - right + left);
    const start = ((top + row) * side + left + column) * channels;
    for (let c = 0; c < channels; c++) query[c] += weight * features[start + c];
  }
  const length = Math.hypot(...query) || 1;
  return query.map((value) => value / length);
}

/* Where the target is most like a query: {place: [x, y] as shares of its sides, cosine}. As `Peaks` has it: the mean of
   the cells round the greatest one, weighted by their softmax. */
function mostLike({ features, side, channels }, query, { window, temperature }) {
  const cosines = new Float32Array(side * side);
  let best = 0;
  for (let cell = 0, at = 0; cell < cosines.length; cell++) {
    let sum = 0;
    for (let c = 0; c < channels; c++, at++) sum += query[c] * features[at];
    cosines[cell] = sum;
    if (sum > cosines[best]) best = cell;
  }
  const [column, row] = [best % side, Math.floor(best / side)];
  let [total, x, y] = [0, 0, 0];
  for (let i = Math.max(row - window, 0); i <= Math.min(row + window, side - 1); i++) {
    for (let j = Math.max(column - window, 0); j <= Math.min(column + window, side - 1); j++) {
      const weight = Math.exp((cosines[i * side + j] - cosines[best]) / temperature);
      total += weight;
      x += weight * (j + 0.5);
      y += weight * (i + 0.5);
    }
  }
  return { place: [x / total / side, y / total / side], cosine: cosines[best] };
}

/* The match of a point of the source, {target, cosine}, as soon as the features of both pictures are here; else null. */
function atOnce([x, y]) {
  if (!about?.student || !state.source || !state.target) return null;
  const [source, target] = [featuresOf(state.source), featuresOf(state.target)];
  if (!source || !target) return null;
  const query = featuresAt(source, x / state.source.width, y / state.source.height);
  const { place, cosine } = mostLike(target, query, about.student);
  return { target: [place[0] * state.target.width, place[1] * state.target.height], cosine };
}

/* What the method says of a match at once. */
function confirmed(point, match) {
  const guess = atOnce(point);
  if (!guess) return "";
  const away = Math.hypot(guess.target[0] - match.target[0], guess.target[1] - match.target[1]);
  const near = away <= NEAR * Math.max(state.target.width, state.target.height);
  return near ? `; confirms the match at once (${away.toFixed(1)}\u00a0px)` : `; at once it lay ${away.toFixed(1)}\u00a0px away`;
}

/* --- the cursor --- */

/* The point moves there, or is nowhere (null). Moves between two frames are drawn as one. */
function follow(point) {
  cursor = point;
  frame ??= requestAnimationFrame(() => {
    frame = null;
    drawFollowing();
  });
}

/* Pixels of the source under a mouse or pen; null elsewhere, and over a point, which shows its own match. */
function sourceAt(event) {
  if (!view || event.pointerType === "touch" || event.target.closest(".match")) return null;
  const { x, y, width, height, picture } = view.places.source;
  const at = new DOMPoint(event.clientX, event.clientY).matrixTransform(view.svg.getScreenCTM().inverse());
  const [right, down] = [(at.x - x) / width, (at.y - y) / height];
  return right < 0 || right > 1 || down < 0 || down > 1 ? null : [right * picture.width, down * picture.height];
}

function drawFollowing() {
  const guess = cursor && view ? atOnce(cursor) : null;
  let group = view?.svg.querySelector(".following");
  if (!guess) {
    group?.remove();
    return tellAtOnce();
  }
  const color = POINT_COLORS[state.points.length % POINT_COLORS.length]; // the one that it gets if one clicks
  if (!group) {
    group = node("g", { class: "following" }, view.svg);
    for (const part of ["rim", "color"]) {
      node("line", { class: part }, group);
      node("circle", { class: part }, group);
    }
  }
  const [[x1, y1], [x2, y2]] = [view.at("source", cursor), view.at("target", guess.target)];
  for (const part of group.children) {
    const rim = part.classList.contains("rim");
    const line = part.tagName === "line";
    const looks = line ? { x1, y1, x2, y2 } : { cx: x2, cy: y2, r: 2.2 * view.unit };
    const stroke = (line ? 0.45 : 0.9) + (rim ? 0.7 : 0);
    const all = { ...looks, "stroke-width": stroke * view.unit, stroke: rim ? "#000" : color };
    if (line) all["stroke-dasharray"] = `${1.6 * view.unit} ${1.2 * view.unit}`;
    for (const [name, value] of Object.entries(all)) part.setAttribute(name, value);
  }
  tellAtOnce(guess);
}

/* One line below the pictures: whether the match follows the cursor, and where it is. */
function tellAtOnce(guess = null) {
  const line = $("#at-once");
  const both = state.source && state.target;
  line.hidden = !both;
  if (!both) return;
  let told = "The match does not follow the cursor, for this model has no student: --student FOLDER names one.";
  if (about.student) {
    const ready = featuresOf(state.source) && featuresOf(state.target);
    told = ready ? "Move over the source: a student's match follows at once, and a click has it confirmed." : "Reading the pictures …";
    if (guess) told = `At once: (${guess.target.map((value) => value.toFixed(1)).join(", ")}), cosine ${guess.cosine.toFixed(2)}.`;
  }
  if (line.textContent !== told) line.textContent = told;
}

function listenToCursor() {
  $("#view").addEventListener("pointermove", (event) => follow(sourceAt(event)));
  $("#view").addEventListener("pointerleave", () => follow(null));
}
