// Small graphs of the last five minutes. Each has a name that says in words what it shows.

import { attribute, el, svg, text } from "./dom.js";

const HEIGHT = 32;
const ROOM = 3;

export function graph(kind) {
  const area = svg("path", { class: "area" });
  const line = svg("path", { class: "stroke" });
  const node = svg("svg", { class: `graph ${kind}`, role: "img", preserveAspectRatio: "none" }, area, line);
  return { node, area, line, kind };
}

// series: a number or null for each step; words: what the graph shows; floor: the least height of its scale.
export function plot(part, series, words, floor) {
  const known = series.filter((value) => value !== null);
  const most = Math.max(floor, ...known);
  const y = (value) => +(HEIGHT - ROOM - (value / most) * (HEIGHT - 2 * ROOM)).toFixed(2);
  attribute(part.node, "viewBox", `0 0 ${series.length - 1} ${HEIGHT}`);
  attribute(part.node, "aria-label", words);
  attribute(part.node, "data-empty", known.length ? null : "");
  if (part.kind.includes("bars")) {
    attribute(part.line, "d", series.map((value, x) => (value ? `M${x} ${HEIGHT - 1}V${y(value)}` : "")).join(""));
    return;
  }
  let lines = "";
  let areas = "";
  let start = null;
  series.forEach((value, x) => {
    if (value === null) return;
    const first = x === 0 || series[x - 1] === null;
    const last = x === series.length - 1 || series[x + 1] === null;
    if (first) start = x;
    lines += `${first ? "M" : "L"}${x} ${y(value)}${first && last ? "h0" : ""}`;
    areas += `${first ? `M${x} ${HEIGHT}` : ""}L${x} ${y(value)}${last ? `L${x} ${HEIGHT}L${start} ${HEIGHT}` : ""}`;
  });
  attribute(part.line, "d", lines);
  attribute(part.area, "d", areas);
}

// One lane a worker: what state its circuit breaker was in, and when.
export function strip() {
  return { node: el("div", { class: "strip", role: "img" }), drawn: "" };
}

export function plotStrip(part, lanes, seconds, words) {
  attribute(part.node, "aria-label", words);
  const now = JSON.stringify(lanes);
  if (part.drawn === now) return;
  part.drawn = now;
  const drawn = lanes.map((lane) => {
    const spans = lane.spans.map(({ start, end, state }) => {
      const box = svg("rect", { x: start, y: 0, width: Math.max(1.5, end - start), height: 1, class: `is-${state}` });
      box.append(titled(`worker ${lane.worker}: ${state}`));
      return box;
    });
    return svg("svg", { viewBox: `0 0 ${seconds} 1`, preserveAspectRatio: "none", class: "lane", "aria-hidden": "true" }, ...spans);
  });
  part.node.replaceChildren(...drawn);
}

function titled(words) {
  const title = svg("title");
  text(title, words);
  return title;
}
