// Where things stand on standard ECG paper, in millimetres: the same geometry as ecgray.waveform.paper.

import { COUNTS_PER_MV, MISSING, durationS, median } from "./ecg.js";

const FRONTAL = ["I", "II", "III", "aVR", "aVL", "aVF"];
const CHEST = ["V1", "V2", "V3", "V4", "V5", "V6"];

/** The rows of a page; the leads of a row share its ten seconds, one after the other. */
export const LAYOUTS = {
  "3x4+1": [["I", "aVR", "V1", "V4"], ["II", "aVL", "V2", "V5"], ["III", "aVF", "V3", "V6"], ["II"]],
  "6x2": FRONTAL.map((lead, row) => [lead, CHEST[row]]),
  "12x1": [...FRONTAL, ...CHEST].map((lead) => [lead]),
};
export const SPEEDS = [25, 50];
export const GAINS = [5, 10, 20];

const ROW_MM = { "3x4+1": 35, "6x2": 25, "12x1": 15 };
const MARGIN_MM = 5;
const HEAD_MM = 17;
const FOOT_MM = 8;
const ROOM_MM = 5;
const ROW_S = 10;
/** A wave further than this from its baseline is cut open, not bent. */
const REACH_MM = 40;
/** A trace may leave out points as long as it moves by less than this: half a dot of a 600 dpi printer. */
const TOLERANCE_MM = 0.02;

/**
 * The page: sizes in mm, and its cells, one for each piece of a lead: `{lead, row, x, width, baseline, top, bottom,
 * from_s, to_s}`. `framed` leaves room for a title above and a line of text below, as a page that is printed has.
 */
export function page({ layout = "3x4+1", speed = 25, gain = 10, framed = false, duration = ROW_S } = {}) {
  const rows = LAYOUTS[layout];
  const rowMm = ROW_MM[layout];
  const leadIn = 5 + 0.2 * speed;
  const left = framed ? MARGIN_MM : 0;
  const top = framed ? HEAD_MM : 0;
  const width = Math.ceil((leadIn + duration * speed) / 5) * 5;
  const height = rowMm * rows.length + 2 * ROOM_MM;
  const start = left + leadIn;
  const baselines = rows.map((_, row) => top + ROOM_MM + row * rowMm + Math.ceil(rowMm * 0.11) * 5);
  const cells = rows.flatMap((leads, row) =>
    leads.map((lead, place) => {
      const share = duration / leads.length;
      return {
        lead,
        row,
        place,
        x: start + place * share * speed,
        width: share * speed,
        baseline: baselines[row],
        top: top + ROOM_MM + row * rowMm,
        bottom: top + ROOM_MM + (row + 1) * rowMm,
        from_s: place * share,
        to_s: (place + 1) * share,
      };
    }),
  );
  return {
    ...{ layout, speed, gain, duration, left, top, width, height, start, rowMm, baselines, cells },
    sheet: { width: width + 2 * left, height: height + (framed ? HEAD_MM + FOOT_MM : 0) },
  };
}

/** The time in s at a place on the paper; 0 is the first sample. */
export function timeAt(shown, x) {
  return (x - shown.start) / shown.speed;
}

/** The cell under a place on the paper, the nearest row where it lies between; null beside the traces. */
export function cellAt(shown, x, y) {
  const row = Math.min(Math.max(Math.floor((y - shown.cells[0].top) / shown.rowMm), 0), shown.baselines.length - 1);
  return shown.cells.find((cell) => cell.row === row && x >= cell.x && x <= cell.x + cell.width) ?? null;
}

/** What the trace of a cell shows at a place: `{lead, time_s, mv}` above the lead's own median; null beside it. */
export function valueAt(ecg, shown, x, y) {
  const cell = cellAt(shown, x, y);
  if (!cell) return null;
  const row = ecg.rows[ecg.leads.indexOf(cell.lead)];
  const sample = Math.min(Math.round(timeAt(shown, x) * ecg.fs), row.length - 1);
  if (row[sample] === MISSING) return null;
  return { lead: cell.lead, time_s: sample / ecg.fs, mv: (row[sample] - median(row)) / COUNTS_PER_MV };
}

/** The pieces of a cell's trace: lists of points [x, y] in mm, broken where a sample is missing or off the paper. */
export function strokes(ecg, shown, cell) {
  const row = ecg.rows[ecg.leads.indexOf(cell.lead)];
  const middle = median(row);
  const first = Math.round(cell.from_s * ecg.fs);
  const last = Math.min(Math.round(cell.to_s * ecg.fs), row.length - 1); // one more, to meet the next lead
  const above = Math.min(REACH_MM, cell.baseline - shown.top);
  const below = Math.min(REACH_MM, shown.top + shown.height - cell.baseline);
  const pieces = [];
  let piece = [];
  for (let sample = first; sample <= last; sample += 1) {
    const y = (-(row[sample] - middle) / COUNTS_PER_MV) * shown.gain;
    if (row[sample] === MISSING || y < -above || y > below) {
      if (piece.length) pieces.push(thin(piece));
      piece = [];
    } else piece.push([shown.start + (sample / ecg.fs) * shown.speed, cell.baseline + y]);
  }
  if (piece.length) pieces.push(thin(piece));
  return pieces;
}

/** Leave out what no eye sees (Ramer, Douglas and Peucker): the line moves by less than `TOLERANCE_MM`. */
export function thin(points) {
  const kept = new Uint8Array(points.length);
  kept[0] = 1;
  kept[points.length - 1] = 1;
  const spans = [[0, points.length - 1]];
  while (spans.length) {
    const [first, last] = spans.pop();
    const [x, y] = points[first];
    const [along, up] = [points[last][0] - x, points[last][1] - y];
    let farthest = 0;
    let distance = TOLERANCE_MM * Math.hypot(along, up);
    for (let index = first + 1; index < last; index += 1) {
      const away = Math.abs(along * (points[index][1] - y) - up * (points[index][0] - x));
      if (away > distance) {
        distance = away;
        farthest = index;
      }
    }
    if (farthest) {
      kept[farthest] = 1;
      spans.push([first, farthest], [farthest, last]);
    }
  }
  return points.filter((_, index) => kept[index]);
}

/** How many seconds a page shows of an ECG: all of it, in rows of ten seconds as a rule. */
export function pageOf(ecg, settings) {
  return page({ ...settings, duration: durationS(ecg) });
}
