/* Tables that sort by the column whose head is clicked, and the gallery of pairs. */

const AT_ONCE = 24; // cards that are added when the end of the gallery comes into view

function sortBy(table, column) {
  const heads = [...table.tHead.rows[0].cells];
  const before = heads[column].getAttribute("aria-sort");
  const numbers = heads[column].classList.contains("number");
  // numbers start with the greatest, words with the first
  const down = before === "none" ? numbers : before === "ascending";
  heads.forEach((head) => head.setAttribute("aria-sort", "none"));
  heads[column].setAttribute("aria-sort", down ? "descending" : "ascending");
  const value = (row) => (numbers ? Number(row.cells[column].dataset.order ?? -Infinity) : row.cells[column].textContent);
  const compare = (a, b) => (numbers ? (a < b ? -1 : a > b ? 1 : 0) : a.localeCompare(b, "en", { numeric: true }));
  const rows = [...table.tBodies[0].rows].map((row) => [value(row), row]);
  rows.sort((a, b) => (down ? -1 : 1) * compare(a[0], b[0]));
  table.tBodies[0].append(...rows.map(([, row]) => row));
}

for (const table of document.querySelectorAll("table.sortable")) {
  [...table.tHead.rows[0].cells].forEach((head, column) => {
    head.querySelector("button").addEventListener("click", () => sortBy(table, column));
  });
}

/* Read the levels, 0..255, of an image of maps: one row of tiles per point, one column per layer. */
async function readTiles(url, layers) {
  const picture = new Image();
  picture.src = url;
  await picture.decode();
  const canvas = document.createElement("canvas");
  canvas.width = picture.naturalWidth;
  canvas.height = picture.naturalHeight;
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(picture, 0, 0);
  const { data } = context.getImageData(0, 0, canvas.width, canvas.height);
  const side = canvas.width / layers;
  return (row, layer) => {
    const cells = new Uint8Array(side * side);
    for (let y = 0; y < side; y++) {
      for (let x = 0; x < side; x++) cells[y * side + x] = data[4 * ((row * side + y) * canvas.width + layer * side + x)];
    }
    return { cells, side };
  };
}

class Gallery {
  constructor(data) {
    this.data = data;
    this.room = document.querySelector(".gallery");
    this.form = document.querySelector(".filters");
    this.count = document.querySelector(".count");
    this.more = document.querySelector(".more button");
    this.sources = new Map(); // index of a source's maps -> promise of its tiles
    const categories = [...new Set(data.pairs.map((pair) => pair.category))].sort();
    for (const category of categories) this.form.elements.category.add(new Option(category, category));
    this.form.addEventListener("input", () => this.filter());
    this.form.addEventListener("submit", (event) => event.preventDefault());
    this.more.addEventListener("click", () => this.add());
    const end = new IntersectionObserver((seen) => seen.some((each) => each.isIntersecting) && this.add(), {
      rootMargin: "600px",
    });
    end.observe(this.more.parentElement);
    this.filter();
  }

  filter() {
    const chosen = this.form.elements;
    const [from, to] = [Number(chosen.from.value), Number(chosen.to.value)];
    chosen.least.value = from.toFixed(2);
    chosen.most.value = to.toFixed(2);
    const correct = chosen.correct ? chosen.correct.value : "";
    const is = { "": () => true, right: (s) => s === 1, some: (s) => s > 0 && s < 1, wrong: (s) => s === 0 }[correct];
    this.shown = this.data.pairs.filter(
      (pair) =>
        (!chosen.category.value || pair.category === chosen.category.value) &&
        (!correct || (pair.fraction !== null && is(pair.fraction))) &&
        pair.confidence >= from &&
        pair.confidence <= to,
    );
    const order = chosen.order.value;
    const key = order.replace("-", "");
    if (order) this.shown.sort((a, b) => (order === key ? 1 : -1) * ((a[key] ?? -1) - (b[key] ?? -1)));
    this.count.textContent = `${this.shown.length} of ${this.data.pairs.length} pairs`;
    this.room.replaceChildren();
    this.add();
  }

  add() {
    const start = this.room.children.length;
    for (const pair of this.shown.slice(start, start + AT_ONCE)) this.room.append(this.card(pair));
    const left = this.shown.length - this.room.children.length;
    this.more.hidden = left === 0;
    this.more.textContent = `Show more (${left} left)`;
  }

  card(pair) {
    const card = document.createElement("article");
    card.className = "card";
    const write = (tag, className, text, parent) => {
      const made = document.createElement(tag);
      made.className = className;
      made.textContent = text;
      parent.append(made);
      return made;
    };
    write("h3", "", pair.category, card);
    const about = write("p", "about", "", card);
    const points = pair.points.map(([x, y, foundX, foundY, trueX, trueY, right, confidence, name, hidden, missing]) => ({
      source: [x, y],
      target: [foundX, foundY],
      truth: trueX === null || trueY === null ? null : [trueX, trueY],
      right,
      confidence,
      name: this.data.names[name],
      doubt: [hidden ? "hidden in the target" : null, missing].filter(Boolean).join("; ") || null,
    }));
    const known = points.filter((point) => point.right !== null);
    if (known.length) {
      write("span", "", `${known.filter((point) => point.right).length} of ${known.length} right`, about);
    }
    write("span", "", `confidence ${pair.confidence.toFixed(2)}`, about);
    write("p", "id", pair.id, card);
    const place = document.createElement("div");
    card.append(place);
    card.view = new PairView(place, {
      source: this.data.images[pair.source],
      target: this.data.images[pair.target],
      points,
      layers: pair.maps ? this.data.layers : [],
      ballot: pair.ballot,
      map: (side, point, layer) => this.map(pair, side, point, layer),
    });
    return card;
  }

  async map(pair, side, point, layer) {
    if (!pair.maps) return null;
    const layers = this.data.layers.length;
    if (side === "target") {
      pair.tiles ??= readTiles(pair.maps.target, layers);
      return (await pair.tiles)(point, layer);
    }
    const { source, rows } = pair.maps;
    if (!this.sources.has(source)) this.sources.set(source, readTiles(this.data.sources[source], layers));
    return (await this.sources.get(source))(rows[point], layer);
  }
}

const held = document.getElementById("gallery-data");
if (held) new Gallery(JSON.parse(held.textContent));
