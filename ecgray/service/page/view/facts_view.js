// What is known of a recording without the classifier: quality first, then what was measured and what was read.

import { MAIN_ROWS, inputRows, listedLeads, measuredRows } from "../logic/answers.js";
import { explainedQuality } from "../logic/flags.js";
import { byId, el } from "./dom.js";

/** Quality, before any answer: what makes one doubtful stands first. */
export function showQuality({ ok, flags }) {
  const found = explainedQuality(flags);
  const place = byId("quality");
  place.hidden = false;
  place.className = `card quality ${ok ? "good" : "doubtful"}`;
  const head = el(
    "p",
    { class: "verdict" },
    ok ? "Nothing seen that makes the answers doubtful." : "Read the answers with doubt:",
  );
  const rows = found.map(({ title, leads, text, doubtful }) =>
    el(
      "li",
      { class: doubtful ? "doubtful" : "done" },
      el("b", {}, capital(leads.length ? `${title}: ${listedLeads(leads)}` : title)),
      text ? ` ${text}` : "",
    ),
  );
  byId("quality-text").replaceChildren(head, el("ul", {}, ...rows));
}

/** Measured values, and why one is lacking. */
export function showMeasured({ intervals, reasons }) {
  byId("measured").hidden = false;
  const rows = measuredRows(intervals, reasons);
  const tile = ({ title, value, unit, usual, reason }) =>
    el(
      "div",
      { class: "tile" },
      el("dt", {}, title),
      el("dd", {}, el("b", {}, value), reason ? "" : el("span", { class: "unit" }, ` ${unit}`)),
      el("dd", { class: "usual", title: "usual in adults" }, usual && `(${usual})`),
    );
  const main = rows.slice(0, MAIN_ROWS);
  const why = main.filter(({ reason }) => reason).map(({ title, reason }) => `${title}: ${reason}.`);
  const more = rows
    .slice(MAIN_ROWS)
    .map(({ title, value, unit, usual, reason }) =>
      el(
        "tr",
        {},
        el("th", { scope: "row" }, title),
        el("td", {}, reason ? reason : `${value} ${unit}`),
        el("td", { class: "quiet" }, usual),
      ),
    );
  byId("measured-rows").replaceChildren(
    el("dl", { class: "tiles" }, ...main.map(tile)),
    why.length ? el("p", { class: "why" }, why.join(" ")) : "",
    el(
      "details",
      { class: "more" },
      el("summary", {}, "More; in brackets what is usual in adults"),
      el("table", {}, el("tbody", {}, ...more)),
    ),
  );
}

/** A measurement that failed. */
export function noMeasured(words) {
  byId("measured").hidden = false;
  byId("measured-rows").replaceChildren(el("p", { class: "quiet" }, words));
}

/** What was done to the input. `moved` is called with another start of the window, where the recording is longer. */
export function showInput(input, start_s, moved) {
  byId("input").hidden = false;
  const rows = inputRows(input).flatMap(([title, text]) => [el("dt", {}, title), el("dd", {}, text)]);
  const place = byId("input-rows");
  place.replaceChildren(...rows);
  byId("window")?.remove();
  if (input.duration_s <= 10.01) return;
  const last = Math.max(0, input.duration_s - 10);
  const field = el("input", {
    type: "number",
    min: 0,
    max: Number(last.toFixed(2)),
    step: "any",
    value: start_s || 0,
  });
  const form = el(
    "form",
    { id: "window", class: "window" },
    el("label", {}, "Window begins at ", field, " s"),
    el("button", {}, "Read"),
  );
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    moved(Number(field.value));
  });
  place.after(form);
}

/** The ECG in words, for those who do not see it. */
export function describe(title, { quality, measured, input, settings }) {
  const rows = measured ? measuredRows(measured.intervals, measured.reasons).slice(0, MAIN_ROWS) : [];
  const values = rows.map(({ title: name, value, unit, reason }) =>
    reason ? `${name}: ${reason}` : `${name} ${value} ${unit}`,
  );
  const flags = quality
    ? explainedQuality(quality.flags).map(({ title: flag, leads }) => [flag, ...leads].join(" "))
    : [];
  const parts = [`12-lead ECG, ${title}, layout ${settings.layout}, ${settings.speed} mm/s, ${settings.gain} mm/mV.`];
  if (input) parts.push(`${input.window_s[0]} to ${input.window_s[1]} s.`);
  if (values.length) parts.push(`Measured: ${values.join("; ")}.`);
  if (flags.length) parts.push(`Quality: ${flags.join("; ")}.`);
  return parts.join(" ");
}

function capital(words) {
  return words.charAt(0).toUpperCase() + words.slice(1);
}
