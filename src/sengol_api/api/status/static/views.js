// The upper half of the page: how the host is, what is wrong, requests, and the dependencies with their circuit breakers.

import * as draw from "./draw.js";
import {
  attribute,
  byId,
  bytes,
  clock,
  el,
  keyed,
  milliseconds,
  NONE,
  number,
  secondsBetween,
  share,
  short,
  span,
  text,
} from "./dom.js";

const WORDS = { ok: "All is well", degraded: "Degraded", down: "Down", unknown: "Not known yet" };
const SHAPES = {
  ok: "M12 2a10 10 0 1 0 0 20a10 10 0 0 0 0-20zm-1.4 14.2-4-4 1.6-1.6 2.4 2.4 5.2-5.2 1.6 1.6z",
  degraded: "M12 2.5 23 21.5H1zM11 9v6h2V9zm0 7.6v2.2h2v-2.2z",
  down: "M7.5 1.5h9l6 6v9l-6 6h-9l-6-6v-9zm1.6 5.6-2 2L10.1 12l-3 2.9 2 2L12 14l2.9 2.9 2-2L14 12l2.9-2.9-2-2L12 10z",
  unknown:
    "M12 2a10 10 0 1 0 0 20a10 10 0 0 0 0-20zm-1 13h2v2h-2zm1-8a3.5 3.5 0 0 1 1 6.8V14h-2v-1.8l1-.3" +
    "a1.5 1.5 0 1 0-1.5-1.4h-2A3.5 3.5 0 0 1 12 7z",
};

let spoken = null;

export function showHost(told) {
  const severe = told.problems.filter((each) => each.severity !== "warning").length;
  const warnings = told.problems.length - severe;
  attribute(byId("hero"), "data-state", told.status === "ok" && warnings ? "warning" : told.status);
  attribute(byId("sign"), "d", SHAPES[told.status === "ok" && warnings ? "degraded" : told.status]);
  const words = told.status === "ok" && warnings ? "Well, with warnings" : WORDS[told.status];
  text(byId("state"), words);
  const workers = told.workers.filter((each) => each.state === "answered").length;
  const answer = told.workers.length === 1 ? "worker answers" : "workers answer";
  const up = told.startedAt ? `up ${span(secondsBetween(told.startedAt, told.at))} · ` : "";
  text(byId("about"), `${workers} of ${told.workers.length} ${answer} · ${up}version ${told.version}`);
  document.title = `${words} · Sengol API`;
  keyed(byId("problems"), told.problems, (each) => `${each.severity} ${each.about}`, makeProblem, updateProblem);
  // Spoken when the state or what is wrong changes, not with every sample.
  const about = [...new Set(told.problems.map((each) => each.about))].join(", ");
  const sentence = about ? `${words}: ${about}` : words;
  if (spoken !== sentence) text(byId("spoken"), sentence);
  spoken = sentence;
}

function makeProblem() {
  const about = el("strong");
  const words = el("span");
  const severity = el("span", { class: "badge" });
  return { node: el("li", {}, severity, about, " ", words), about, words, severity };
}

function updateProblem(part, problem) {
  attribute(part.severity, "data-state", problem.severity);
  text(part.severity, problem.severity);
  text(part.about, problem.about);
  text(part.words, problem.text);
}

const TILES = [
  ["Requests a second", (told) => number(told.service.perSecond), "line", (told) => told.service.requests, number, 1],
  ["Failed (5xx)", (told) => share(told.service.failedShare), "bars bad", (told) => told.service.failed, share, 0.05],
  ["95th percentile", (told) => milliseconds(told.service.slowNow), "line", (told) => told.service.slow, milliseconds, 10],
  ["Median", (told) => milliseconds(told.service.median)],
  ["In flight", (told) => short(told.service.inFlight)],
  ["Loop lag", (told) => milliseconds(Math.max(0, ...told.workers.map((each) => each.lag ?? 0)))],
  ["Memory", (told) => bytes(told.memory)],
];

export function showTiles(told) {
  keyed(
    byId("tiles"),
    TILES,
    ([name]) => name,
    makeTile,
    (part, [name, value, , series, words, floor]) => {
      text(part.value, value(told));
      if (part.graph) {
        const points = series(told);
        draw.plot(part.graph, points, inWords(name, points, words), floor);
      }
    },
  );
}

function makeTile([name, , kind]) {
  const value = el("dd", { class: "value" });
  const node = el("div", { class: kind ? "tile drawn" : "tile" }, el("dt", {}, name), value);
  const graph = kind ? draw.graph(kind) : null;
  if (graph) node.append(el("dd", {}, graph.node));
  return { node, value, graph };
}

function inWords(name, points, words) {
  const known = points.filter((value) => value !== null);
  if (!known.length) return `${name}, last five minutes: nothing to show`;
  return `${name}, last five minutes: last ${words(known.at(-1))}, highest ${words(Math.max(...known))}`;
}

// Dependencies

export function showDependencies(told, admin) {
  const show = (place, dependencies) =>
    keyed(
      byId(place),
      dependencies,
      (each) => each.name,
      (each) => makeCard(each, admin),
      (part, each) => updateCard(part, each, told),
    );
  // Those without a circuit breaker have little to show: beside the others they would be mostly empty.
  show("checks", told.dependencies.filter((each) => each.calls === null));
  show("dependencies", told.dependencies.filter((each) => each.calls !== null));
}

function makeCard(dependency, admin) {
  const id = `dependency-${dependency.name.replace(/[^\w-]/g, "-")}`;
  const part = {
    health: el("span", { class: "badge" }),
    state: el("span", { class: "badge" }),
    about: el("p", { class: "soft about" }),
    slow: el("dd", { class: "value" }),
    failed: el("dd", { class: "value" }),
    failedRow: null,
    slowGraph: draw.graph("line"),
    failedGraph: draw.graph("bars bad"),
    slowName: el("dt"),
    breaker: el("div", { class: "breaker", hidden: "" }),
    strip: draw.strip(),
    standing: el("p", { class: "standing" }),
    summary: el("summary"),
    rows: el("tbody"),
  };
  part.failedRow = el("div", { class: "measure" }, el("dt", {}, "failed"), part.failed, el("dd", {}, part.failedGraph.node));
  const head = ["When", "From", "To", "Why", "Workers"].map((name) => el("th", { scope: "col" }, name));
  const history = el(
    "div",
    { class: "scroll", tabindex: "0", role: "region", "aria-label": `Changes of the circuit breaker of ${dependency.name}` },
    el("table", {}, el("thead", {}, el("tr", {}, ...head)), part.rows),
  );
  part.breaker.append(part.strip.node, part.standing, el("details", {}, part.summary, history));
  if (dependency.pipeline) part.breaker.append(admin.breakerButtons(dependency.pipeline));
  part.node = el(
    "article",
    { class: "card", "aria-labelledby": id },
    el("header", {}, el("h3", { id }, dependency.name), part.health, part.state),
    part.about,
    el("dl", {}, el("div", { class: "measure" }, part.slowName, part.slow, el("dd", {}, part.slowGraph.node)), part.failedRow),
    part.breaker,
  );
  return part;
}

function updateCard(part, dependency, told) {
  const { breaker, calls } = dependency;
  attribute(part.node, "data-state", worst(dependency));
  badge(part.health, dependency.status, dependency.status);
  badge(part.state, breaker?.state, breaker ? breaker.state.replace("_", "-").toLowerCase() : null);
  text(part.about, about(dependency));
  const measured = calls !== null;
  text(part.slowName, measured ? "p95" : "check");
  const slow = measured ? calls.slow : (dependency.checks ?? []);
  text(part.slow, milliseconds(measured ? calls.slowNow : dependency.responseTime));
  if (slow.length)
    draw.plot(part.slowGraph, slow, inWords(`${dependency.name}, ${part.slowName.textContent}`, slow, milliseconds), 1);
  attribute(part.failedRow, "hidden", measured ? null : "");
  if (measured) {
    text(part.failed, calls.recent ? share(calls.failedRecent / calls.recent) : NONE);
    draw.plot(part.failedGraph, calls.failed, inWords(`${dependency.name}, share of failed attempts`, calls.failed, share), 0.2);
  }
  attribute(part.breaker, "hidden", breaker ? null : "");
  if (breaker) updateBreaker(part, breaker, told);
}

function badge(node, state, words) {
  attribute(node, "hidden", state ? null : "");
  attribute(node, "data-state", state);
  text(node, words ?? "");
}

function worst({ status, breaker, required }) {
  if (status === "down" && required) return "down";
  if (status === "down" || ["OPEN", "ISOLATED", "HALF_OPEN"].includes(breaker?.state)) return "degraded";
  return status ?? "ok";
}

function about({ status, reason, required, responseTime, pipeline, name, calls }) {
  const parts = [];
  if (required) parts.push("required");
  if (status === "down") parts.push(reason);
  if (pipeline && pipeline !== name) parts.push(pipeline);
  if (calls)
    parts.push(
      calls.recent ? `${short(calls.recent)} attempts, median ${milliseconds(calls.median)}` : "no attempts in five minutes",
    );
  if (calls && responseTime !== null && status !== "down") parts.push(`health check ${milliseconds(responseTime)}`);
  return parts.join(" · ");
}

const STANDS = {
  CLOSED: "closed",
  OPEN: "open",
  HALF_OPEN: "half-open",
  ISOLATED: "isolated by hand",
  DISABLED: "disabled by hand",
};

function updateBreaker(part, breaker, told) {
  const many = Object.values(breaker.states).reduce((sum, count) => sum + count, 0);
  const where = many > 1 ? ` in ${breaker.states[breaker.state]} of ${many} workers` : "";
  const words = [`${STANDS[breaker.state] ?? breaker.state}${where} for ${span(secondsBetween(breaker.since, told.at))}`];
  if (breaker.retryAfter !== null) words.push(`next probe in ${span(breaker.retryAfter)}`);
  if (breaker.state === "CLOSED" && breaker.failures)
    words.push(`${breaker.failures} recent ${breaker.failures === 1 ? "failure" : "failures"}`);
  if (breaker.refused) words.push(`${short(breaker.refused)} ${breaker.refused === 1 ? "call" : "calls"} refused`);
  text(part.standing, `Circuit breaker ${words.join(" · ")}`);
  const seconds = told.step * told.service.requests.length;
  draw.plotStrip(part.strip, breaker.lanes, seconds, `Circuit breaker of ${breaker.name}, last five minutes: ${words[0]}`);
  const latest = breaker.changes[0];
  const ago = latest ? `, the last ${span(secondsBetween(latest.at, told.at))} ago` : "";
  const count = breaker.changes.length;
  text(part.summary, `History: ${count === 0 ? "no changes" : count === 1 ? "1 change" : `${count} changes`}${ago}`);
  keyed(part.rows, breaker.changes, (each) => `${each.at} ${each.state}`, makeChange, updateChange);
}

function makeChange(change) {
  const part = { workers: el("td") };
  const why = change.error ? `${change.reason} (${change.error})` : change.reason;
  part.node = el(
    "tr",
    {},
    el("td", {}, el("time", { datetime: change.at }, clock(change.at))),
    el("td", {}, change.previous),
    el("td", {}, el("span", { class: "badge", "data-state": change.state }, change.state)),
    el("td", { class: "wide" }, why),
    part.workers,
  );
  return part;
}

function updateChange(part, change) {
  text(part.workers, change.workers.join(", "));
}
