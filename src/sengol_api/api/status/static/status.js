// The connection: one stream of events, of which each says all there is to say. So nothing is asked again after a break.

import * as admin from "./admin.js";
import { attribute, byId, clock, text } from "./dom.js";
import { showTables } from "./tables.js";
import { showDependencies, showHost, showTiles } from "./views.js";

const STALE = 7000; // milliseconds without a sample, which comes every two seconds
const DEAD = 25000; // milliseconds without any event: a connection may stand and be none
const LONGEST_PAUSE = 15000;

let source = null;
let told = null;
let sampleAt = 0;
let eventAt = performance.now();
let tries = 0;
let again = null;

function connect() {
  clearTimeout(again);
  source?.close();
  source = new EventSource("/status/stream");
  eventAt = performance.now();
  source.addEventListener("status", (event) => {
    eventAt = sampleAt = performance.now();
    tries = 0;
    told = JSON.parse(event.data);
    show();
    line("live", "live");
    attribute(byId("stale"), "hidden", "");
  });
  source.addEventListener("beat", () => (eventAt = performance.now()));
  source.addEventListener("error", (event) => {
    // One with data is the server's word that it stops; the browser, or we, look for another one.
    line("wait", event.data ? "this replica stops, looking for another" : "connecting again");
    if (source.readyState === EventSource.CLOSED) later();
  });
}

function later() {
  tries += 1;
  const pause = Math.min(LONGEST_PAUSE, 1000 * 2 ** Math.min(tries, 5)) * (0.5 + Math.random() / 2);
  clearTimeout(again);
  again = setTimeout(connect, pause);
}

function show() {
  showHost(told);
  showTiles(told);
  showDependencies(told, admin);
  showTables(told, admin);
}

function line(state, words) {
  attribute(byId("line"), "data-state", state);
  text(byId("line-text"), state === "live" ? `live, ${clock(told.at)}` : words);
}

function watch() {
  const now = performance.now();
  if (told && now - sampleAt > STALE) {
    attribute(byId("stale"), "hidden", null);
    text(byId("stale"), `No news since ${clock(told.at)}: what is shown is how it was then.`);
    if (byId("line").dataset.state === "live") line("wait", "no news");
  }
  if (now - eventAt > DEAD) connect();
}

admin.begin();
connect();
setInterval(watch, 1000);
