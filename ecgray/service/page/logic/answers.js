// What the service answered, in the order and the words in which it is shown.

import { explainedReason } from "./flags.js";

/** Answers, the most probable first; equal ones in the order asked. */
export function ranked(results) {
  return results
    .map((result, place) => ({ ...result, place }))
    .sort((a, b) => b.probability - a.probability || a.place - b.place);
}

/** A probability in two digits; what is not quite 0 or 1 is not written so. */
export function twoDigits(probability) {
  if (probability > 0 && probability < 0.005) return "<0.01";
  if (probability < 1 && probability >= 0.995) return ">0.99";
  return probability.toFixed(2);
}

// Name, title, unit, digits, what is usual in adults.
const MEASURED = [
  ["heart_rate_bpm", "Heart rate", "bpm", 0, "60\u2013100"],
  ["pr_ms", "PR", "ms", 0, "120\u2013200"],
  ["qrs_ms", "QRS", "ms", 0, "70\u2013110"],
  ["qt_ms", "QT", "ms", 0, ""],
  ["qtcf_ms", "QTcF", "ms", 0, "350\u2013460"],
  ["rr_ms", "RR", "ms", 0, "600\u20131000"],
  ["p_ms", "P", "ms", 0, "80\u2013120"],
  ["t_ms", "T", "ms", 0, ""],
  ["st60_mv", "ST at J+60, largest", "mV", 2, ""],
  ["qrs_global_ms", "QRS, all leads", "ms", 0, ""],
  ["qt_global_ms", "QT, all leads", "ms", 0, ""],
];
/** How many of the rows are the ones that everybody reads. */
export const MAIN_ROWS = 5;

/** Measured values as `[{name, title, value, unit, usual, reason}]`; a value that could not be measured is a dash. */
export function measuredRows(intervals, reasons = {}) {
  return MEASURED.filter(([name]) => name in intervals).map(([name, title, unit, digits, usual]) => {
    const value = intervals[name];
    const none = value === null || value === undefined;
    const reason = none ? explainedReason(reasons[name] ?? "not measured") : "";
    return {
      name,
      title,
      value: none ? "\u2013" : value.toFixed(digits).replace("-", "\u2212"),
      unit,
      usual,
      reason,
    };
  });
}

/** What was done to the input, as `[[title, text]]`. */
export function inputRows(input) {
  const seconds = (value) => `${Number(value.toFixed(2))} s`;
  const rows = [
    ["Sampling rate", `${Number(input.fs_hz.toFixed(2))} Hz${input.resampled ? ", resampled to 500 Hz" : ""}`],
    ["Length", `${seconds(input.duration_s)}${input.padded ? ", padded to 10 s" : ""}`],
    ["Window read", `${seconds(input.window_s[0])} to ${seconds(input.window_s[1])}`],
    ["Unit", input.unit ?? "as the recording says"],
    ["Leads found", listedLeads(input.leads_found)],
  ];
  if (input.leads_derived.length) rows.push(["Leads derived", `${listedLeads(input.leads_derived)} from I and II`]);
  if (input.leads_missing.length) rows.push(["Leads missing", `${listedLeads(input.leads_missing)}: a flat line`]);
  return rows;
}

/** Leads in words; neighbours on the chest are joined: V1\u2013V3. */
export function listedLeads(leads) {
  if (leads.length === 12) return "all twelve";
  const parts = [];
  let run = [];
  const close = () => {
    if (run.length > 2) parts.push(`${run[0]}\u2013${run.at(-1)}`);
    else parts.push(...run);
    run = [];
  };
  for (const lead of leads) {
    const follows = run.length && /^V[2-6]$/.test(lead) && run.at(-1) === `V${lead[1] - 1}`;
    if (!follows) close();
    run.push(lead);
  }
  close();
  return parts.join(", ");
}

/**
 * A heart rate that was asked, or assumed where none was, beside the one measured: `{text, far}`; far where they differ by
 * over 10 % and 5 bpm.
 */
export function askedAgainst(asked, measured, { reason = "", assumed = null } = {}) {
  if ((asked ?? null) === null && assumed !== null) {
    const { text, far } = askedAgainst(assumed, measured, { reason });
    return { text: text.replace("asked", "assumed"), far };
  }
  if (measured === null || measured === undefined) {
    const before = asked === null || asked === undefined ? "" : `${Math.round(asked)} asked, `;
    return { text: `${before}not measured${reason && ` (${explainedReason(reason)})`}`, far: false };
  }
  const found = `${Math.round(measured)} bpm`;
  if (asked === null || asked === undefined) return { text: `${found} (none asked)`, far: false };
  const difference = Math.round(measured) - Math.round(asked);
  const sign = difference < 0 ? "\u2212" : "+";
  const far = Math.abs(difference) > Math.max(5, 0.1 * asked);
  return { text: `${Math.round(asked)} asked, ${found} measured (${sign}${Math.abs(difference)})`, far };
}

/** A batch as rows for a CSV file: one line a recording. Entries: `{title, quality, intervals, results, error}`. */
export function batchRows(entries, queries) {
  const measured = ["heart_rate_bpm", "pr_ms", "qrs_ms", "qt_ms", "qtcf_ms"];
  const head = ["recording", "quality_ok", "flags", ...measured, ...queries, "error"];
  const lines = entries.map(({ title, quality, intervals, results, error }) => [
    title,
    quality ? String(quality.ok) : "",
    quality ? quality.flags.join(" ") : "",
    ...measured.map((name) => intervals?.[name] ?? null),
    ...queries.map((query) => results?.find((each) => each.query === query)?.probability ?? null),
    error ?? "",
  ]);
  return [head, ...lines];
}

/** Why an answer is not to be trusted whatever the recording is. */
export function questionDoubt(flag) {
  const said = {
    negation: "a denial: the words are taken for the finding",
    no_known_term: "names no finding that is known",
    term_not_learnt: "a finding that the classifier was not trained on",
  };
  return said[flag] ?? flag;
}
