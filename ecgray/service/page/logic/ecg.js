// An ECG as the service sends it, and as the page holds it: int16 counts of 1/1000 mV at 500 Hz, one array a lead.

import { fromBase64, toBase64 } from "./bytes.js";

export const LEADS = ["I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6"];
export const COUNTS_PER_MV = 1000;
/** The count of a sample that was not measured. */
export const MISSING = -32768;

/** The ECG in the service's JSON: `{fs, leads, rows}`, a row of counts for each of the standard leads, in our order. */
export function readEcg(json) {
  if (json.encoding !== "base64" || json.dtype !== "int16" || json.unit !== "uV") {
    throw new Error("The service sent an ECG that this page cannot read.");
  }
  const [leads, samples] = json.shape;
  const bytes = fromBase64(json.data);
  if (bytes.length !== 2 * leads * samples || json.leads.length !== leads) {
    throw new Error("The service sent an ECG of another length than it says.");
  }
  const view = new DataView(bytes.buffer);
  const rows = LEADS.map((lead) => {
    const place = json.leads.indexOf(lead);
    if (place < 0) throw new Error("The service sent an ECG without all twelve leads.");
    return Int16Array.from({ length: samples }, (_, time) => view.getInt16(2 * (place * samples + time), true));
  });
  return { fs: json.fs, leads: LEADS, rows };
}

/** The same ECG as the service's JSON, ready to be asked about. */
export function writeEcg(ecg) {
  const samples = ecg.rows[0].length;
  const bytes = new Uint8Array(2 * ecg.rows.length * samples);
  const view = new DataView(bytes.buffer);
  ecg.rows.forEach((row, lead) => {
    for (let time = 0; time < samples; time += 1) view.setInt16(2 * (lead * samples + time), row[time], true);
  });
  return {
    encoding: "base64",
    dtype: "int16",
    shape: [ecg.rows.length, samples],
    fs: ecg.fs,
    unit: "uV",
    leads: [...ecg.leads],
    data: toBase64(bytes),
  };
}

/** Seconds from the first sample to the end of the last. */
export function durationS(ecg) {
  return ecg.rows[0].length / ecg.fs;
}

/** The middle of a row's counts: what a lead is drawn around, because a constant offset says nothing of the heart. */
export function median(row) {
  const sorted = Int16Array.from(row.filter((count) => count !== MISSING)).sort();
  if (!sorted.length) return 0;
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/** How far III, aVR, aVL and aVF are from what I and II say they are: the largest distance in uV, by lead. */
export function frontalResidualUv(ecg) {
  const [one, two, three, right, left, foot] = ecg.rows;
  const most = { III: 0, aVR: 0, aVL: 0, aVF: 0 };
  for (let time = 0; time < one.length; time += 1) {
    most.III = Math.max(most.III, Math.abs(three[time] - (two[time] - one[time])));
    most.aVR = Math.max(most.aVR, Math.abs(right[time] + (one[time] + two[time]) / 2));
    most.aVL = Math.max(most.aVL, Math.abs(left[time] - (one[time] - two[time] / 2)));
    most.aVF = Math.max(most.aVF, Math.abs(foot[time] - (two[time] - one[time] / 2)));
  }
  return most;
}
