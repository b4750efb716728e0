// Building and updating the document. Texts become text nodes, never markup; and what did not change is not touched, so that
// focus, selections and screen readers stay where they are.

const SVG = "http://www.w3.org/2000/svg";

export const byId = (id) => document.getElementById(id);

export function el(tag, attributes = {}, ...children) {
  return filled(document.createElement(tag), attributes, children);
}

export function svg(tag, attributes = {}, ...children) {
  return filled(document.createElementNS(SVG, tag), attributes, children);
}

function filled(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) attribute(node, name, value);
  node.append(...children);
  return node;
}

export function attribute(node, name, value) {
  if (value === null || value === undefined || value === false) {
    if (node.hasAttribute(name)) node.removeAttribute(name);
  } else if (node.getAttribute(name) !== String(value)) {
    node.setAttribute(name, value);
  }
}

export function text(node, value) {
  if (node.textContent !== value) node.textContent = value;
}

// Children that follow a list: made once for each key, updated with every sample, in the list's order.
export function keyed(parent, items, keyOf, make, update) {
  const known = (parent.parts ??= new Map());
  const keys = new Set(items.map(keyOf));
  for (const [key, part] of known) {
    if (!keys.has(key)) {
      part.node.remove();
      known.delete(key);
    }
  }
  let after = null;
  for (const item of items) {
    const key = keyOf(item);
    if (!known.has(key)) known.set(key, make(item));
    const part = known.get(key);
    const due = after ? after.nextElementSibling : parent.firstElementChild;
    if (part.node !== due) parent.insertBefore(part.node, due);
    update(part, item);
    after = part.node;
  }
}

const NUMBER = new Intl.NumberFormat("en", { maximumFractionDigits: 1 });
const WHOLE = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });

export const NONE = "–";

export function number(value) {
  return value === null || value === undefined ? NONE : NUMBER.format(value);
}

export function short(value) {
  if (value >= 1e6) return `${NUMBER.format(value / 1e6)} M`;
  return value >= 1e4 ? `${NUMBER.format(value / 1e3)} k` : WHOLE.format(value);
}

export function milliseconds(value) {
  if (value === null || value === undefined) return NONE;
  if (value >= 1000) return `${NUMBER.format(value / 1000)} s`;
  return `${value >= 100 ? WHOLE.format(value) : NUMBER.format(value)} ms`;
}

export function share(value) {
  if (value === null || value === undefined) return NONE;
  const percent = value * 100;
  return `${percent > 0 && percent < 0.1 ? "< 0.1" : percent < 99.95 && percent > 99.9 ? "> 99.9" : NUMBER.format(percent)} %`;
}

export function bytes(value) {
  for (const unit of ["B", "KiB", "MiB", "GiB"]) {
    if (value < 1024 || unit === "GiB") return `${value < 10 && unit !== "B" ? NUMBER.format(value) : WHOLE.format(value)} ${unit}`;
    value /= 1024;
  }
}

export function dollars(value) {
  if (value === null || value === undefined) return NONE;
  return `$${value.toFixed(value > 0 && value < 0.1 ? 4 : 2)}`;
}

// Seconds as people say them.
export function span(seconds) {
  const whole = Math.max(0, Math.round(seconds));
  if (whole < 120) return `${whole} s`;
  if (whole < 7200) return `${Math.floor(whole / 60)} min`;
  if (whole < 172800) return `${Math.floor(whole / 3600)} h`;
  return `${Math.floor(whole / 86400)} days`;
}

// A moment as the clock on this wall shows it.
export function clock(moment) {
  return new Date(moment).toLocaleTimeString("en-GB");
}

export const secondsBetween = (earlier, later) => (Date.parse(later) - Date.parse(earlier)) / 1000;
