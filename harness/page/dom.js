// Making elements and writing numbers. Text becomes text nodes only: nothing on this page is parsed as HTML.

/** Make an element: properties that begin with "on" are listeners, the others attributes; false leaves one out. */
function h(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === false || value === null || value === undefined) continue;
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return made;
}

const $ = (id) => document.getElementById(id);

/** A count of tokens in at most six characters: 950, 12.3k, 1.25M. */
function tokens(count) {
  if (count < 1000) return String(count);
  return count < 999950 ? `${(count / 1000).toFixed(1)}k` : `${(count / 1e6).toFixed(2)}M`;
}

function dollars(amount) {
  if (amount === null || amount === undefined) return "–";
  return amount > 0 && amount < 0.1 ? `$${amount.toFixed(4)}` : `$${amount.toFixed(2)}`;
}

/** A duration as a person says it: 12 ms, 4.2 s, 3 m 05 s, 2 h 20 m, 3 d 4 h. */
function took(ms) {
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 59950) return `${(ms / 1000).toFixed(1)} s`;
  const seconds = Math.round(ms / 1000);
  if (seconds < 3600) return `${Math.floor(seconds / 60)} m ${String(seconds % 60).padStart(2, "0")} s`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 1440) return `${Math.floor(minutes / 60)} h ${String(minutes % 60).padStart(2, "0")} m`;
  const hours = Math.round(minutes / 60);
  return `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

/** A point in time since the session's beginning: 0:07, 12:03, 2:20:15; with tenths where `fine`. */
function clock(ms, fine = false) {
  const tenths = Math.round(ms / 100);
  const whole = fine ? Math.floor(tenths / 10) : Math.round(ms / 1000);
  const [hours, minutes, seconds] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  const two = (number) => String(number).padStart(2, "0");
  const rest = fine ? `.${tenths % 10}` : "";
  return hours ? `${hours}:${two(minutes)}:${two(seconds)}${rest}` : `${minutes}:${two(seconds)}${rest}`;
}

const count = (number) => number.toLocaleString("en-US");
const plural = (number, noun) => `${count(number)} ${noun}${number === 1 ? "" : "s"}`;
const said = (status) => status.replaceAll("_", " ");

/** A tool's name as a person would write it. */
const toolName = (name) =>
  name === "StructuredOutput" ? "answer" : name.replace(/^mcp__/, "").replace(/^harness__/, "").replaceAll("__", " ");

const SIGNS = {
  ok: "✓", done: "✓", error: "✕", failed: "✕", needs_help: "!", interrupted: "↯", suspended: "‖",
  cancelled: "–", open: "…", running: "▸", ready: "·", checking: "?",
};

function badge(status) {
  return h("span", { class: `badge is-${status}` }, h("span", { "aria-hidden": "true" }, SIGNS[status] ?? ""), said(status));
}

function copyButton(text, label = "Copy") {
  return h("button", { type: "button", class: "copy", "data-copy": text, title: text.length < 200 ? text : null }, label);
}

document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  const before = button.textContent;
  try {
    await navigator.clipboard.writeText(button.dataset.copy);
    button.textContent = "Copied";
  } catch {
    window.prompt("Copy this:", button.dataset.copy);
  }
  $("said").textContent = "Copied";
  setTimeout(() => { button.textContent = before; }, 1200);
});
