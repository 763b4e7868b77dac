"use strict";
/* Two pictures side by side in one SVG, their points joined. Choosing a point shows the maps behind its match.

   const view = new PairView(element, {
     source: {url, width, height},      // width and height of the original picture, whatever the file at `url` has
     target: {url, width, height},
     points: [{source: [x, y], target: [x, y] | null, truth: [x, y] | null,     // pixels of the original pictures
               right: true | false | null, confidence: 0..1 | null, name: "beak",
               doubt: "not there" | null,      // why the match is drawn hollow, if it is
               counterpart: 1 | null}],        // the index of the point that is the other side of the same part
     layers: ["up_blocks.1.attentions.0", ..., "combined"],
     ballot: {                          // between which peaks a consensus has chosen, if there was one
       candidates: [[[x, y, share, votes], ...], ...],  // of each point, the peak that was taken first; target's pixels
       grid: [[[x, y], ...], ...],      // where the pair sends an even grid over the source; the target's pixels
     } | null,
     map: async (side, point, layer) => ({cells: Uint8Array, side: k}) | null,  // side: "source" or "target"
     onSource: (x, y) => {},            // called for a click on the source picture, in its pixels
     onChoose: (point) => {},           // the index of the point now chosen, or null
     hover: false,                      // true: the point under the mouse is shown, then again the chosen one
     stacked: false,                    // true: the target is below the source, for narrow screens
   });
   view.set({points, ...});             // replace some of these; the chosen point stays chosen if it still exists
   view.choose(0); view.showLayer(2);
*/

const SVG = "http://www.w3.org/2000/svg";
const POINT_COLORS = ["#E69F00", "#56B4E9", "#009E73", "#F0E442", "#0072B2", "#D55E00", "#CC79A7", "#FFFFFF"];
const GAP = 4; // between the pictures, where a picture is 100 high
// matplotlib's magma at sixteen places
const MAGMA = [
  [0, 0, 4], [11, 9, 36], [32, 17, 75], [59, 15, 112], [87, 21, 126], [114, 31, 129], [140, 41, 129], [168, 50, 125],
  [196, 60, 117], [222, 73, 104], [241, 96, 93], [250, 127, 94], [254, 159, 109], [254, 191, 132], [253, 222, 160],
  [252, 253, 191],
];

function node(name, attributes, parent) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (parent) parent.append(made);
  return made;
}

/* Draw a map: the greater, the brighter and the less transparent. Cells are 0..255, row by row. */
function heatUrl({ cells, side }) {
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = side;
  const context = canvas.getContext("2d");
  const image = context.createImageData(side, side);
  cells.forEach((cell, index) => {
    const level = (cell / 255) * (MAGMA.length - 1);
    const low = Math.min(Math.floor(level), MAGMA.length - 2);
    for (let c = 0; c < 3; c++) {
      image.data[4 * index + c] = MAGMA[low][c] + (level - low) * (MAGMA[low + 1][c] - MAGMA[low][c]);
    }
    image.data[4 * index + 3] = 200 * Math.pow(cell / 255, 0.7);
  });
  context.putImageData(image, 0, 0);
  return canvas.toDataURL();
}

/* "up_blocks.1.attentions.0" -> "up.1.0" */
function shortLayer(name) {
  return name.replace("_blocks", "").replace(".attentions", "").replace(".transformer_blocks.0.attn2", "");
}

class PairView {
  constructor(root, options) {
    this.options = { points: [], layers: [], ballot: null, map: async () => null };
    this.chosen = null; // the point that is shown
    this.kept = null; // the point that is shown when the mouse is on none
    this.drawing = 0; // counts the requests for maps, so that a late map is not drawn over a newer one
    this.root = root;
    root.classList.add("pair-view");
    this.svg = node("svg", { class: "pair", tabindex: "-1" }, root);
    this.layerBar = document.createElement("div");
    this.layerBar.className = "layers";
    this.layerBar.setAttribute("role", "radiogroup");
    this.layerBar.setAttribute("aria-label", "attention map of");
    this.caption = document.createElement("p");
    this.caption.className = "caption";
    this.caption.setAttribute("aria-live", "polite");
    this.prices = document.createElement("div");
    this.prices.className = "prices";
    root.append(this.layerBar, this.caption, this.prices);
    this.set(options);
  }

  set(changes) {
    Object.assign(this.options, changes);
    if (changes.layers || this.layer === undefined) this.layer = Math.max(0, this.options.layers.length - 1);
    if (this.chosen !== null && this.chosen >= this.options.points.length) this.chosen = null;
    if (this.kept !== null && this.kept >= this.options.points.length) this.kept = null;
    this.draw();
  }

  choose(index) {
    this.kept = index;
    this.show(index);
  }

  /* Show a point for now; null: the one that was chosen, if any. */
  show(index) {
    if (index === null) index = this.kept;
    const changed = this.chosen !== index;
    this.chosen = index;
    this.mark();
    if (changed && this.options.onChoose) this.options.onChoose(index);
  }

  showLayer(index) {
    this.layer = index;
    this.mark();
  }

  draw() {
    const { source, target, points } = this.options;
    this.svg.replaceChildren();
    const [first, second] = [source, target].map((picture) => {
      const shape = picture ? picture.width / picture.height : 1;
      return this.options.stacked ? { width: 100, height: 100 / shape } : { width: 100 * shape, height: 100 };
    });
    // the unit grows with the width, so that dots on very flat or very tall pictures are neither tiny nor huge
    const across = this.options.stacked ? 100 : first.width + GAP + second.width;
    const down = this.options.stacked ? first.height + GAP + second.height : 100;
    this.unit = this.options.stacked ? 1 : across / 200;
    this.svg.setAttribute("viewBox", `0 0 ${across} ${down}`);
    const begin = this.options.stacked ? { x: 0, y: first.height + GAP } : { x: first.width + GAP, y: 0 };
    this.places = {
      source: source && { x: 0, y: 0, ...first, picture: source },
      target: target && { ...begin, ...second, picture: target },
    };
    this.images = {};
    this.heats = {};
    for (const side of ["source", "target"]) {
      const place = this.places[side];
      if (!place) continue;
      const { x, y, width, height } = place;
      const box = { x, y, width, height, preserveAspectRatio: "none" };
      this.images[side] = node("image", { ...box, href: place.picture.url, class: "picture" }, this.svg);
      this.heats[side] = node("image", { ...box, class: "heat" }, this.svg);
    }
    this.warps = node("g", { class: "warps" }, this.svg);
    if (this.options.onSource && this.images.source) this.listen();
    this.reaches = node("g", {}, this.svg); // below all dots: a line must not cover the dots that it passes
    this.groups = points.map((point, index) => this.drawPoint(point, index));
    this.drawLayers();
    this.mark();
  }

  at(side, [x, y]) {
    const { x: left, y: top, width, height, picture } = this.places[side];
    return [left + (x / picture.width) * width, top + (y / picture.height) * height];
  }

  listen() {
    const { x, y, width, height, picture } = this.places.source;
    const pad = node("rect", { x, y, width, height, class: "pad" }, this.svg);
    pad.addEventListener("click", (event) => {
      const box = pad.getBoundingClientRect();
      const right = ((event.clientX - box.left) / box.width) * picture.width;
      const down = ((event.clientY - box.top) / box.height) * picture.height;
      const inside = (value, most) => Math.min(Math.max(value, 0), most);
      this.options.onSource(inside(right, picture.width), inside(down, picture.height));
    });
  }

  drawPoint(point, index) {
    const known = point.right === true || point.right === false;
    const state = known ? (point.right ? "right" : "wrong") : "open";
    const group = node("g", { class: `match ${state}`, tabindex: "0", role: "button" }, this.svg);
    const title = node("title", {}, group);
    title.textContent = this.describe(point, index);
    group.setAttribute("aria-label", title.textContent);
    const color = POINT_COLORS[index % POINT_COLORS.length];
    const hit = [group];
    const [x1, y1] = this.at("source", point.source);
    const dot = (x, y, hollow = false) => {
      node("circle", { cx: x, cy: y, r: 3.2 * this.unit, class: "near" }, group); // large enough for a finger
      const look = hollow ? { class: "hollow", stroke: color } : { class: "dot", fill: color };
      if (hollow) node("circle", { cx: x, cy: y, r: 1.8 * this.unit, class: "hollow rim" }, group);
      node("circle", { cx: x, cy: y, r: (hollow ? 1.8 : 2) * this.unit, ...look }, group);
    };
    if (point.target && this.places.target) {
      const [x2, y2] = this.at("target", point.target);
      const ends = { x1, y1, x2, y2 };
      hit.push(node("line", { ...this.beyond(ends), class: "reach", "stroke-width": 5 * this.unit }, this.reaches));
      const strong = point.confidence === null || point.confidence === undefined ? 0.9 : 0.35 + 0.6 * point.confidence;
      const line = node("line", { ...ends, class: "line", "stroke-width": 0.7 * this.unit, opacity: strong }, group);
      if (!known) line.setAttribute("stroke", color);
      if (state === "wrong") line.setAttribute("stroke-dasharray", `${2.4 * this.unit} ${1.6 * this.unit}`);
      if (point.truth && state === "wrong") {
        const [x, y] = this.at("target", point.truth);
        node("line", { x1: x2, y1: y2, x2: x, y2: y, class: "miss", "stroke-width": 0.4 * this.unit }, group);
      }
      if (point.truth) this.cross(group, ...this.at("target", point.truth), color);
      dot(x2, y2, Boolean(point.doubt));
    }
    dot(x1, y1);
    const choose = (event) => {
      event.stopPropagation();
      this.choose(this.kept === index ? null : index);
    };
    for (const part of hit) {
      part.addEventListener("click", choose);
      part.addEventListener("pointerenter", () => group.classList.add("pointed"));
      part.addEventListener("pointerleave", () => group.classList.remove("pointed"));
    }
    group.addEventListener("keydown", (event) => {
      if (event.key === "Enter" || event.key === " ") {
        event.preventDefault();
        this.choose(this.kept === index ? null : index);
      }
    });
    if (this.options.hover) {
      const byMouse = (event, shown) => event.pointerType === "mouse" && this.show(shown);
      for (const part of hit) {
        part.addEventListener("pointerenter", (event) => byMouse(event, index));
        part.addEventListener("pointerleave", (event) => byMouse(event, null));
      }
    }
    return group;
  }

  /* The part of a line that can be clicked: what is off the source if a click there adds a point, else all of it. */
  beyond({ x1, y1, x2, y2 }) {
    if (!this.options.onSource) return { x1, y1, x2, y2 };
    const { width, height } = this.places.source;
    const share = this.options.stacked ? (height - y1) / (y2 - y1) : (width - x1) / (x2 - x1);
    return { x1: x1 + share * (x2 - x1), y1: y1 + share * (y2 - y1), x2, y2 };
  }

  cross(group, x, y, color) {
    const r = 1.7 * this.unit;
    const path = `M${x - r},${y - r}L${x + r},${y + r}M${x - r},${y + r}L${x + r},${y - r}`;
    node("path", { d: path, class: "truth-rim", "stroke-width": 1.4 * this.unit }, group);
    node("path", { d: path, class: "truth", stroke: color, "stroke-width": 0.7 * this.unit }, group);
  }

  describe(point, index) {
    const parts = [point.name || `point ${index + 1}`];
    if (point.right === true) parts.push("right");
    if (point.right === false) parts.push("wrong");
    if (point.target && point.truth) {
      const away = Math.hypot(point.target[0] - point.truth[0], point.target[1] - point.truth[1]);
      parts.push(`${away.toFixed(1)} px from the truth`);
    }
    if (point.doubt) parts.push(point.doubt);
    if (typeof point.counterpart === "number") parts.push(`its counterpart seems to be point ${point.counterpart + 1}`);
    if (typeof point.probability === "number") parts.push(`${Math.round(100 * point.probability)} % likely right`);
    else if (typeof point.confidence === "number") parts.push(`confidence ${point.confidence.toFixed(2)}`);
    return parts.join(", ");
  }

  drawLayers() {
    this.layerBar.replaceChildren();
    this.options.layers.forEach((name, index) => {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = shortLayer(name);
      button.title = name;
      button.setAttribute("role", "radio");
      button.addEventListener("click", () => this.showLayer(index));
      this.layerBar.append(button);
    });
  }

  /* Show what is chosen: the point, the layer, and their maps. */
  async mark() {
    const index = this.chosen;
    const point = index === null ? null : this.options.points[index];
    this.svg.classList.toggle("choosing", point !== null && point !== undefined);
    this.groups.forEach((group, other) => {
      group.classList.toggle("chosen", other === index);
      group.classList.toggle("counterpart", other === (point?.counterpart ?? null));
      group.setAttribute("aria-pressed", String(other === index));
    });
    this.layerBar.hidden = !point || !this.options.layers.length;
    [...this.layerBar.children].forEach((button, layer) => {
      button.setAttribute("aria-checked", String(layer === this.layer));
    });
    this.caption.textContent = point ? this.describe(point, index) : "";
    drawBallot(this, point ? index : null);
    const turn = ++this.drawing;
    for (const side of Object.keys(this.heats)) {
      const map = point ? await this.options.map(side, index, this.layer) : null;
      if (turn !== this.drawing) return;
      if (map) this.heats[side].setAttribute("href", heatUrl(map));
      else this.heats[side].removeAttribute("href");
      this.images[side].classList.toggle("under-heat", map !== null);
    }
    this.root.dataset.shown = point ? `${index}/${this.layer}` : "";
  }
}
