"use strict";
/* Which points are the two sides of one part, where the mirror images were asked: found by the server in what it has read
   of the source and its mirror image, as soon as all points have their matches. It depends on which points there are. */

const answered = new Map(); // by way, pictures and points -> {pairs, doubts}; null while it is on its way

function sidesKey() {
  return `${where()}|${JSON.stringify(state.points)}`;
}

/* {pairs, doubts} of all points, once they are known; else null. */
function sides() {
  return answered.get(sidesKey()) ?? null;
}

async function askForSides() {
  const key = sidesKey();
  if (how.consensus !== "dense_flip" || !where() || !state.points.length || answered.has(key)) return;
  answered.set(key, null);
  await attempt(async () => {
    answered.set(key, await (await ask("/api/counterparts", { body: question(state.points) })).json());
    if (key === sidesKey()) refresh();
  });
}

/* The index of the point that is another's counterpart; null: none is known. */
function counterpartOf(index) {
  const both = sides()?.pairs.find((pair) => pair.includes(index));
  return both ? both[both[0] === index ? 1 : 0] : null;
}
