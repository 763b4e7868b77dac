"use strict";
/* Talking to the server: requests that carry the session, and answers that arrive line by line. */

let session = sessionStorage.getItem("session") || "";

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
