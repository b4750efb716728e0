// The lower half: tables of what all workers count together.

import { attribute, byId, bytes, dollars, el, keyed, milliseconds, NONE, secondsBetween, share, short, span, text } from "./dom.js";

const REASONS = {
  full: "the line was full",
  displaced: "for a higher class",
  waited: "waited too long",
  deadline: "no time left",
  expired: "waited too long",
};

// A column: its name, the text of a row's cell, and beside the text a state (badge) or a share (bar).
const TABLES = [
  {
    name: "Admission and bulkheads",
    from: "places",
    key: (row) => row.name,
    columns: [
      ["Where", (row) => row.name],
      ["In flight", (row) => `${short(row.inFlight)} of ${short(row.limit)}`, { bar: (row) => row.inFlight / row.limit }],
      ["Queued", (row) => short(row.queued)],
      ["Shed", (row) => short(row.turnedAway), { hint: (row) => shed(row) }],
      ["State", (row) => (row.overloaded ? "overloaded" : "open"), { badge: (row) => (row.overloaded ? "degraded" : "ok") }],
    ],
    note: "Shed: turned away in five minutes.",
  },
  {
    name: "Answers by rung",
    from: "rungs",
    key: (row) => `${row.dependency} ${row.served}`,
    columns: [
      ["Of", (row) => row.dependency],
      ["Served from", (row) => row.served],
      ["Recent", (row) => short(row.recent), { bar: (row, all) => row.recent / (sum(all, row.dependency) || 1) }],
      ["In all", (row) => short(row.total)],
    ],
    note: "What answers were made from: a lower rung stands in for what is away.",
    empty: "No answer was made yet.",
  },
  {
    name: "Caches",
    from: "caches",
    key: (row) => row.name,
    orders: "cache",
    columns: [
      ["Cache", (row) => row.name],
      ["Hit rate", (row) => share(row.hitShare), { bar: (row) => row.hitShare ?? 0 }],
      [
        "Hits",
        (row) => short(row.hits + row.coalesced),
        { hint: (row) => (row.coalesced ? `${short(row.coalesced)} shared` : "") },
      ],
      ["Stale", (row) => short(row.stale)],
      ["Misses", (row) => short(row.misses)],
      ["Entries", (row) => short(row.entries), { hint: (row) => bytes(row.bytes) }],
      [
        "Shared tier",
        (row) => (row.tier === null ? "none" : row.tier),
        { badge: (row) => (row.tier === null ? null : row.tier === "read" ? "ok" : "degraded") },
      ],
    ],
    note: "Of five minutes; entries as they are now.",
  },
  {
    name: "Rate limits",
    from: "limits",
    key: (row) => row.name,
    columns: [
      ["Limit", (row) => row.name.replace(/^limit\./, "")],
      ["Allowed", (row) => short(row.allowed)],
      ["Refused", (row) => short(row.refused)],
      ["Subjects", (row) => short(row.keys)],
      ["Counted by", (row) => (row.store === "shared" ? "all replicas" : "each process")],
    ],
  },
  {
    name: "Models",
    from: "models",
    key: (row) => row.name,
    columns: [
      ["Model", (row) => row.name],
      ["Tokens in", (row) => short(row.input), { hint: (row) => (row.cached ? `${short(row.cached)} cached` : "") }],
      ["Tokens out", (row) => short(row.output)],
      ["Cost", (row) => dollars(row.cost)],
      [
        "In all",
        (row) => `${short(row.inputTotal + row.outputTotal)} tokens`,
        { hint: (row) => (row.costTotal === null ? "" : dollars(row.costTotal)) },
      ],
    ],
    empty: "No model is asked: questions come from evidence alone.",
  },
  {
    name: "Workers",
    from: "workers",
    key: (row) => String(row.place),
    columns: [
      ["Worker", (row) => String(row.place)],
      [
        "State",
        (row) => (row.state === "answered" ? row.phase : row.state),
        { badge: (row) => (row.state !== "answered" ? "down" : row.phase === "serving" ? "ok" : "degraded") },
      ],
      ["Dependencies", (row) => row.status ?? NONE],
      ["Longest lag", (row) => milliseconds(row.lag)],
      ["Up", (row, _, told) => (row.startedAt ? span(secondsBetween(row.startedAt, told.at)) : NONE)],
    ],
  },
];

const sum = (rows, dependency) => rows.filter((row) => row.dependency === dependency).reduce((all, row) => all + row.recent, 0);

function shed(row) {
  return Object.entries(row.reasons)
    .map(([reason, count]) => `${short(count)} ${REASONS[reason] ?? reason}`)
    .join(", ");
}

export function showTables(told, admin) {
  keyed(
    byId("tables"),
    TABLES,
    (table) => table.from,
    (table) => makeTable(table, admin),
    (part, table) => {
      const rows = told[table.from];
      attribute(part.empty, "hidden", rows.length ? "" : null);
      attribute(part.table, "hidden", rows.length ? null : "");
      keyed(
        part.rows,
        rows,
        table.key,
        (row) => makeRow(table, row, admin),
        (line, row) => updateRow(line, table, row, rows, told),
      );
    },
  );
}

function makeTable(table, admin) {
  const id = `table-${table.from}`;
  const head = el("tr", { role: "row" }, ...table.columns.map(([name]) => el("th", { scope: "col", role: "columnheader" }, name)));
  if (table.orders) head.append(el("th", { scope: "col", role: "columnheader", class: "for-admin" }, "Order"));
  const rows = el("tbody", { role: "rowgroup" });
  // The roles are said once more, because narrow screens get rows as blocks, and a browser forgets what those were.
  const node = el(
    "table",
    { role: "table", "aria-labelledby": id, class: "stacking" },
    el("thead", { role: "rowgroup" }, head),
    rows,
  );
  const empty = el("p", { class: "soft" }, table.empty ?? "None.");
  const title = el("h2", { id }, table.name);
  const section = el("section", { "aria-labelledby": id, class: "panel" }, title, node, empty);
  if (table.note) section.append(el("p", { class: "soft note" }, table.note));
  if (table.orders) title.after(admin.allCachesButton());
  return { node: section, table: node, rows, empty };
}

function makeRow(table, row, admin) {
  const cells = table.columns.map(([name, , more], index) => {
    const first = index === 0;
    const cell = el(first ? "th" : "td", { role: first ? "rowheader" : "cell", "data-label": name, scope: first ? "row" : null });
    const words = el("span", more?.badge ? { class: "badge" } : {});
    cell.append(words);
    const hint = more?.hint ? el("small", { class: "soft" }) : null;
    const bar = more?.bar ? el("progress", { max: "1", "aria-hidden": "true" }) : null;
    if (hint) cell.append(hint);
    if (bar) cell.append(bar);
    return { cell, words, hint, bar };
  });
  const node = el("tr", { role: "row" }, ...cells.map((each) => each.cell));
  if (table.orders) node.append(el("td", { role: "cell", "data-label": "Order", class: "for-admin" }, admin.cacheButton(row.name)));
  return { node, cells };
}

function updateRow(line, table, row, rows, told) {
  table.columns.forEach(([, value, more], index) => {
    const { words, hint, bar } = line.cells[index];
    text(words, value(row, rows, told));
    if (more?.badge) attribute(words, "data-state", more.badge(row));
    if (hint) text(hint, more.hint(row));
    if (bar) attribute(bar, "value", Math.min(1, Math.max(0, more.bar(row, rows))).toFixed(3));
  });
}
