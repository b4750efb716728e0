// What an administrator may order. The token is in this module's memory alone: never in storage, in an address, or in the document.

import { attribute, byId, el, text } from "./dom.js";

let token = null;

const ORDERS = {
  reset: { name: "Reset", does: (name) => `The circuit breaker of ${name} is closed, and its failures are forgotten.` },
  isolate: {
    name: "Isolate",
    does: (name) => `The circuit breaker of ${name} is isolated: every call is refused until it is enabled or reset.`,
    sure: (name) => [
      `Isolate ${name}?`,
      "Every call through it is refused, in all workers and replicas, and in those that start later, until it is enabled or reset.",
    ],
  },
  enable: { name: "Enable", does: (name) => `What was set by hand on the circuit breaker of ${name} is ended.` },
};

export function breakerButtons(pipeline) {
  const buttons = Object.entries(ORDERS).map(([word, order]) => {
    const path = `/admin/circuit-breakers/${encodeURIComponent(pipeline)}/${word}`;
    const button = el(
      "button",
      {
        type: "button",
        class: word === "isolate" ? "grave" : "",
        "aria-label": `${order.name} the circuit breaker of ${pipeline}`,
      },
      order.name,
    );
    button.addEventListener("click", () => give("POST", path, order.does(pipeline), order.sure?.(pipeline), order.name, button));
    return button;
  });
  return el("p", { class: "row for-admin" }, ...buttons);
}

export function cacheButton(name) {
  const button = el("button", { type: "button", "aria-label": `Empty the cache ${name}` }, "Empty");
  button.addEventListener("click", () =>
    give("DELETE", `/admin/cache?name=${encodeURIComponent(name)}`, `The cache ${name} is emptied.`, null, "", button),
  );
  return button;
}

export function allCachesButton() {
  const button = el("button", { type: "button", class: "for-admin aside" }, "Empty all caches");
  const sure = [
    "Empty all caches?",
    "Every dependency gets all calls until they are filled again. The shared tier is emptied too.",
  ];
  button.addEventListener("click", () => give("DELETE", "/admin/cache", "All caches are emptied.", sure, "Empty all", button));
  return button;
}

async function give(method, path, done, sure, word, button) {
  if (sure && !(await agreed(sure, word))) return;
  attribute(button, "disabled", "");
  try {
    const answer = await ask(method, path);
    if (answer.ok) tell(`${done} All workers and replicas follow within about a second.`);
    else await refused(answer);
  } catch {
    tell("The order did not reach the service; nothing is known to have been done.", true);
  } finally {
    attribute(button, "disabled", null);
  }
}

const ask = (method, path, body) =>
  fetch(path, {
    method,
    body: body && JSON.stringify(body),
    headers: { ...(token && { Authorization: `Bearer ${token}` }), ...(body && { "Content-Type": "application/json" }) },
    credentials: "omit",
    cache: "no-store",
    referrerPolicy: "no-referrer",
  });

async function refused(answer) {
  if (answer.status === 401 || answer.status === 403) signOut();
  tell(`Refused: ${await reason(answer)}`, true);
}

async function reason(answer) {
  try {
    return (await answer.json()).error;
  } catch {
    return `the service answered with status ${answer.status}.`;
  }
}

function tell(words, wrong = false) {
  const told = byId("told");
  attribute(told, "hidden", null);
  attribute(told, "data-wrong", wrong ? "" : null);
  text(told, words);
}

function agreed([title, words], yes) {
  const dialog = byId("sure");
  text(byId("sure-title"), title);
  text(byId("sure-text"), words);
  text(byId("sure-yes"), yes);
  return new Promise((resolve) => {
    const end = (answer) => () => {
      dialog.close();
      resolve(answer);
    };
    byId("sure-yes").onclick = end(true);
    byId("sure-no").onclick = end(false);
    dialog.oncancel = () => resolve(false);
    dialog.showModal();
  });
}

function signOut() {
  token = null;
  attribute(document.body, "data-admin", null);
  text(byId("sign-in"), "Sign in");
}

async function signIn(form) {
  const email = form.elements.email.value;
  const password = form.elements.password.value;
  form.elements.password.value = "";
  const answer = await ask("POST", "/api/auth/login", { email, password });
  if (!answer.ok) return reason(answer);
  const { data } = await answer.json();
  if (data.user.role !== "admin") return "This account is no administrator. It may look, as everybody may.";
  token = data.token;
  attribute(document.body, "data-admin", "");
  text(byId("sign-in"), "Sign out");
  tell(`Signed in as ${data.user.email}.`);
  return "";
}

export function begin() {
  const dialog = byId("sign-in-dialog");
  const form = byId("sign-in-form");
  byId("sign-in").addEventListener("click", () => {
    if (token === null) {
      text(byId("sign-in-error"), "");
      dialog.showModal();
    } else {
      signOut();
      tell("Signed out.");
    }
  });
  byId("sign-in-cancel").addEventListener("click", () => dialog.close());
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const problem = await signIn(form).catch(() => "The service cannot be reached.");
    text(byId("sign-in-error"), problem);
    if (!problem) {
      dialog.close();
      form.reset();
    }
  });
}
