// An ECG on paper as a tree of SVG elements: `{tag, attributes, children, text}`. The page shows it, a file holds it.

import { strokes } from "./paper.js";

const INK = "#15151a";
const QUIET = "#5b5b66";
const PAPER = "#fffaf8";
const FINE = "#f8d6d2";
const BOLD = "#ee9f99";
const WARNING = "#b3261e";
const FOR = "#1f5fa8";
const AGAINST = "#b35c00";
const NOTICE = "Research use only, not a medical device";

/** One element. */
export function node(tag, attributes = {}, children = [], text = "") {
  return { tag, attributes, children, text };
}

/** The whole drawing. `parts`: what to highlight, see `highlight`; `title`, `subtitle` and `foot` on a framed page. */
export function drawing(
  ecg,
  shown,
  { title = "ECG", subtitle = "", description = "", synthetic = false, parts = null } = {},
) {
  const { sheet } = shown;
  const head = [node("title", {}, [], title), node("desc", {}, [], description)];
  if (shown.top) head.push(node("rect", { width: sheet.width, height: sheet.height, fill: "#ffffff" }));
  const drawn = [...head, ...grid(shown), ...highlight(shown, parts), ...mark(shown, synthetic)];
  if (shown.top) drawn.push(...frame(shown, title, subtitle, synthetic));
  shown.baselines.forEach((_, row) => drawn.push(pulse(shown, row)));
  for (const cell of shown.cells) drawn.push(trace(ecg, shown, cell));
  for (const cell of shown.cells) drawn.push(...label(shown, cell));
  return node("svg", attributesOf(sheet), drawn);
}

function attributesOf({ width, height }) {
  return {
    ...{ xmlns: "http://www.w3.org/2000/svg", width: `${width}mm`, height: `${height}mm` },
    ...{ viewBox: `0 0 ${width} ${height}`, "font-family": "Helvetica, Arial, sans-serif", role: "img" },
  };
}

/** A line every millimetre, a stronger one every five. */
function grid({ left, top, width, height }) {
  const lines = [
    [1, FINE, 0.1, "mm1"],
    [5, BOLD, 0.18, "mm5"],
  ].map(([step, stroke, pen, name]) => {
    const upright = `M${left} ${top}v${height}${`m${step}-${height}v${height}`.repeat(width / step)}`;
    const level = `M${left} ${top}h${width}${`m-${width} ${step}h${width}`.repeat(height / step)}`;
    return node("path", { class: name, d: upright + level, fill: "none", stroke, "stroke-width": pen });
  });
  return [node("rect", { x: left, y: top, width, height, fill: PAPER }), ...lines];
}

/**
 * Where an answer comes from, behind the trace: `parts` is `{step_s, values: {lead: [number, ...]}, most}`; a column
 * is as strong as its share of `most`. Blue speaks for the answer, brown against it.
 */
function highlight(shown, parts) {
  if (!parts) return [];
  const rects = [];
  for (const cell of shown.cells) {
    const row = parts.values[cell.lead] ?? [];
    row.forEach((value, number) => {
      const from = Math.max(number * parts.step_s, cell.from_s);
      const to = Math.min((number + 1) * parts.step_s, cell.to_s);
      const strength = Math.min(Math.abs(value) / parts.most, 1);
      if (to - from < 1e-9 || strength < 0.06) return;
      rects.push(
        node("rect", {
          x: round(shown.start + from * shown.speed),
          y: cell.top,
          width: round((to - from) * shown.speed),
          height: round(cell.bottom - cell.top),
          fill: value > 0 ? FOR : AGAINST,
          "fill-opacity": round(0.5 * strength),
        }),
      );
    });
  }
  return [node("g", { class: "highlight" }, rects)];
}

/** SYNTHETIC in the corner (`stamp`), or across the paper too (`mark`), pale enough to read the trace over it. */
function mark({ left, top, width, height }, synthetic) {
  if (!synthetic) return [];
  const corner = text(left + width - 2, top + 4, "SYNTHETIC", {
    size: 3.4,
    weight: "bold",
    anchor: "end",
    ink: WARNING,
  });
  if (synthetic === "stamp") return [corner];
  const words = [
    [0.25, 0.3],
    [0.75, 0.3],
    [0.5, 0.62],
    [0.25, 0.94],
    [0.75, 0.94],
  ].map(([across, down]) =>
    text(left + width * across, top + height * down, "SYNTHETIC", {
      size: 11,
      weight: "bold",
      anchor: "middle",
      ink: null,
    }),
  );
  return [corner, node("g", { class: "synthetic", fill: WARNING, "fill-opacity": 0.1 }, words)];
}

/** Title above, scale and warning below. */
function frame(shown, title, subtitle, synthetic) {
  const right = shown.left + shown.width;
  const foot = shown.top + shown.height + 5.3;
  const words = [
    text(shown.left, 7.5, title, { size: 4.6, weight: "bold" }),
    text(shown.left, 13.5, subtitle, { size: 3.4, ink: QUIET }),
    text(shown.left, foot, scale(shown), { size: 3.2 }),
    text(right, foot, `ecgray: ${NOTICE.toLowerCase()}`, { size: 3.2, ink: QUIET, anchor: "end" }),
  ];
  if (synthetic)
    words.push(text(right, 7.5, "SYNTHETIC", { size: 4.6, weight: "bold", ink: WARNING, anchor: "end" }));
  return words;
}

/** Speed and gain in words. */
export function scale({ speed, gain }) {
  return `${speed} mm/s, ${gain} mm/mV`;
}

/** The calibration pulse before a row: 1 mV for 0.2 s. */
function pulse({ left, start, baselines, gain }, row) {
  const baseline = baselines[row];
  const d = `M${left} ${baseline}H${left + 2.5}V${baseline - gain}H${start - 2.5}V${baseline}H${start}`;
  return node("path", { class: "pulse", d, ...pen() });
}

/** The voltage of one lead's piece. */
function trace(ecg, shown, cell) {
  const d = strokes(ecg, shown, cell)
    .map((points) => `M${points.map(([x, y]) => `${round(x)} ${round(y)}`).join("L")}`)
    .join("");
  return node("path", { class: "lead", "data-lead": cell.lead, d, ...pen() });
}

/** The lead's name, readable over any trace, and a tick where the lead takes over from the one before. */
function label(shown, cell) {
  const y = cell.baseline - Math.min(12, 0.42 * shown.rowMm);
  const name = text(cell.x + 1.2, y, cell.lead, { size: 3.6, weight: "bold" });
  Object.assign(name.attributes, {
    stroke: PAPER,
    "stroke-width": 0.9,
    "stroke-linejoin": "round",
    "paint-order": "stroke",
  });
  if (!cell.place) return [name];
  const d = `M${round(cell.x)} ${cell.baseline - 9}v3m0 12v3`;
  return [node("path", { class: "tick", d, fill: "none", stroke: INK, "stroke-width": 0.25 }), name];
}

function pen() {
  return { fill: "none", stroke: INK, "stroke-width": 0.28, "stroke-linejoin": "round" };
}

function text(x, y, words, { size, weight = "normal", ink = INK, anchor = "start" }) {
  const how = { "font-size": size, "font-weight": weight, "text-anchor": anchor, ...(ink && { fill: ink }) };
  return node("text", { x: round(x), y: round(y), ...how }, [], words);
}

function round(value) {
  return Math.round(value * 100) / 100;
}

/** The drawing as the text of an SVG file. */
export function svgText({ tag, attributes, children, text: words }) {
  const named = Object.entries(attributes).map(([name, value]) => ` ${name}="${escaped(String(value))}"`);
  const inner = escaped(words) + children.map(svgText).join("\n");
  return `<${tag}${named.join("")}>${inner}</${tag}>`;
}

/** Escaped, without the characters that XML 1.0 forbids. */
function escaped(words) {
  return words
    .replace(/[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\u{10000}-\u{10ffff}]/gu, "")
    .replaceAll("&", "&amp;")
    .replaceAll("<", "&lt;")
    .replaceAll(">", "&gt;")
    .replaceAll('"', "&quot;");
}
