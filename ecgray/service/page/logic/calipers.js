// Calipers: two points on the paper, and what lies between them.

import { timeAt } from "./paper.js";

const SAMPLE_S = 0.002;

/**
 * What two points `{x, y}` in mm measure: `{ms, bpm, mv, from_s, to_s}`. bpm is 60,000 / ms, null below 1 ms; mv is
 * positive where the second point is higher. Times run along the row, as the paper does.
 */
export function between(shown, first, second) {
  const ms = (Math.abs(second.x - first.x) / shown.speed) * 1000;
  const mv = (first.y - second.y) / shown.gain;
  const times = [timeAt(shown, first.x), timeAt(shown, second.x)].sort((a, b) => a - b);
  return { ms, bpm: ms >= 1 ? 60000 / ms : null, mv: mv === 0 ? 0 : mv, from_s: times[0], to_s: times[1] };
}

/** The measure in words, as it is read out. */
export function words(found) {
  const bpm = found.bpm === null || found.bpm > 600 ? "" : `, ${Math.round(found.bpm)} bpm`;
  return `${Math.round(found.ms)} ms${bpm}, ${signed(found.mv)} mV`;
}

function signed(mv) {
  const rounded = Math.abs(mv).toFixed(2);
  return rounded === "0.00" ? rounded : `${mv > 0 ? "+" : "\u2212"}${rounded}`;
}

/** Where further marks stand at the same distance, in mm, to both sides of the two points, within the traces. */
export function marching(shown, first, second) {
  const step = Math.abs(second.x - first.x);
  const right = shown.start + shown.duration * shown.speed;
  if (step < 2) return [];
  const low = Math.min(first.x, second.x);
  const marks = [];
  for (let x = low - step; x >= shown.start - 1e-9; x -= step) marks.unshift(x);
  for (let x = low + 2 * step; x <= right + 1e-9; x += step) marks.push(x);
  return marks;
}

const KEYS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

/** The point after an arrow key: a sample (2 ms) or 0.02 mV further, ten times that with Shift; null: another key. */
export function nudged(shown, point, key, large) {
  const way = KEYS[key];
  if (!way) return null;
  const times = large ? 10 : 1;
  return within(shown, {
    x: point.x + way[0] * SAMPLE_S * shown.speed * times,
    y: point.y + way[1] * 0.02 * shown.gain * times,
  });
}

/** The nearest point on the paper. */
export function within(shown, point) {
  return {
    x: Math.min(Math.max(point.x, shown.left), shown.left + shown.width),
    y: Math.min(Math.max(point.y, shown.top), shown.top + shown.height),
  };
}

/** The same place of time and voltage on a page with another scale. */
export function moved(before, after, point) {
  const row = nearestRow(before, point.y);
  const x = after.start + timeAt(before, point.x) * after.speed;
  const baseline = after.baselines[Math.min(row, after.baselines.length - 1)];
  return within(after, { x, y: baseline + ((point.y - before.baselines[row]) / before.gain) * after.gain });
}

function nearestRow(shown, y) {
  const away = shown.baselines.map((baseline) => Math.abs(baseline - y));
  return away.indexOf(Math.min(...away));
}
