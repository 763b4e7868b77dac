"use strict";
/* What a consensus has weighed, drawn into a PairView: peaks with their prices, and the pair's warped grid. */

/* The peaks between which it has chosen for a point, with a table of their prices; null: of none. */
function drawBallot(view, index) {
  const { ballot } = view.options;
  view.warps.replaceChildren();
  view.prices.replaceChildren();
  view.root.classList.toggle("weighed", Boolean(ballot));
  if (!ballot || index === null) return;
  const { width, height } = view.places.source.picture;
  const last = ballot.grid.length - 1;
  drawGrid(view, "source", ballot.grid.map((row, i) => row.map((_, j) => [(j / last) * width, (i / last) * height])));
  drawGrid(view, "target", ballot.grid);
  const peaks = ballot.candidates[index];
  if (!peaks?.length) return;
  const prices = peaks.map(([, , share, votes]) => share * Math.exp(votes));
  const all = prices.reduce((sum, price) => sum + price);
  const own = peaks.reduce((best, peak, rank) => (peak[2] > peaks[best][2] ? rank : best), 0);
  const table = document.createElement("table");
  table.innerHTML = "<tr><th>peak</th><th>by its map</th><th>votes</th><th>with them</th><th></th></tr>";
  peaks.forEach(([x, y, share, votes], rank) => {
    const [cx, cy] = view.at("target", [x, y]);
    for (const look of ["rim", rank ? "" : "taken"]) {
      node("circle", { cx, cy, r: 3 * view.unit, class: `peak ${look}` }, view.warps);
    }
    const { y: top, height: down } = view.places.target;
    const below = cy + 9 * view.unit < top + down; // beside a dot stands how likely its match is
    const label = { x: cx, y: cy + (below ? 8 : -4.4) * view.unit, "font-size": 4.6 * view.unit, class: "rank" };
    node("text", label, view.warps).textContent = rank + 1;
    const told = [rank === 0 ? "taken" : "", rank === own ? "the map's own" : ""].filter(Boolean).join(", ");
    const [before, after] = [share, prices[rank] / all].map((each) => `${(100 * each).toFixed(0)} %`);
    const cells = [rank + 1, before, `× ${Math.exp(votes).toFixed(2)}`, after, told];
    const row = table.insertRow();
    for (const cell of cells) row.insertCell().textContent = cell;
  });
  view.prices.append(table);
}

/* Lines of a grid over a picture, cut off at its border; the source's upper and left edge have colors of their own. */
function drawGrid(view, side, rows) {
  const { x, y, width, height, picture } = view.places[side];
  const box = { x, y, width, height, viewBox: `0 0 ${picture.width} ${picture.height}`, preserveAspectRatio: "none" };
  const frame = node("svg", box, view.warps);
  const columns = rows[0].map((_, j) => rows.map((row) => row[j]));
  for (const [lines, edge] of [[rows, "upper"], [columns, "left"]]) {
    lines.forEach((line, number) => node("polyline", { points: line.join(" "), class: number ? "warp" : `warp ${edge}` }, frame));
  }
}
