"use strict";
/* Pictures that are dropped on the page: where, and what becomes of them. */

/* The side that a dragged file is over, if any. */
function sideAt(event) {
  const zone = event.target.closest?.(".zone");
  if (zone) return zone.dataset.side;
  if (!event.target.closest?.("#view") || !view) return null;
  const box = view.svg.getBoundingClientRect();
  const middle = { x: box.left + box.width / 2, y: box.top + box.height / 2 };
  const before = view.options.stacked ? event.clientY < middle.y : event.clientX < middle.x;
  return before ? "source" : "target";
}

function listenToDrops() {
  const mark = (event) => {
    const side = sideAt(event);
    for (const zone of document.querySelectorAll(".zone")) {
      zone.classList.toggle("dropping", zone.dataset.side === side);
    }
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
}
