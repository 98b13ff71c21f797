// Where an answer comes from: the parts of its logit by lead and time, in words and for the paper.

import { listedLeads } from "./answers.js";

const NEAR_R_S = 0.1;

/** The parts for the drawing: `{step_s, values: {lead: [...]}, most}`; `most` is what is drawn strongest. */
export function partsOf(explained) {
  const sizes = explained.contributions
    .flat()
    .map(Math.abs)
    .sort((a, b) => a - b);
  const most = sizes[Math.floor(0.99 * (sizes.length - 1))] || sizes.at(-1) || 1;
  const values = Object.fromEntries(explained.leads.map((lead, row) => [lead, explained.contributions[row]]));
  return { step_s: explained.step_s, values, most };
}

/** Each lead's share of all weight, for and against together: `[{lead, share, net}]`, in the order of the leads. */
export function byLead(explained) {
  const rows = explained.contributions.map((row) => ({ size: sum(row.map(Math.abs)), net: sum(row) }));
  const whole = sum(rows.map((row) => row.size)) || 1;
  return explained.leads.map((lead, place) => ({ lead, share: rows[place].size / whole, net: rows[place].net }));
}

/**
 * The strongest stretch of time in s, over the given leads: the neighbourhood of the largest step in which each step
 * holds at least half as much.
 */
export function strongestStretch(explained, leads) {
  const steps = explained.contributions[0].length;
  const weight = Array.from({ length: steps }, (_, step) =>
    sum(leads.map((lead) => Math.abs(explained.contributions[explained.leads.indexOf(lead)][step]))),
  );
  const top = weight.indexOf(Math.max(...weight));
  let [first, last] = [top, top];
  while (first > 0 && weight[first - 1] >= weight[top] / 2) first -= 1;
  while (last < steps - 1 && weight[last + 1] >= weight[top] / 2) last += 1;
  return [first * explained.step_s, (last + 1) * explained.step_s];
}

/** The share of all weight that lies within 0.1 s of an R peak, and what it would be if it lay evenly. */
export function nearPeaks(explained, peaks_s) {
  const step = explained.step_s;
  const near = explained.contributions[0].map((_, number) => {
    const middle = (number + 0.5) * step;
    return peaks_s.some((peak) => Math.abs(middle - peak) <= NEAR_R_S + 1e-9);
  });
  const whole = sum(explained.contributions.flat().map(Math.abs)) || 1;
  const held = sum(explained.contributions.flatMap((row) => row.filter((_, number) => near[number]).map(Math.abs)));
  return { share: held / whole, even: near.filter(Boolean).length / near.length };
}

/** The text alternative of the highlight. `cells` are the page's: what of it the layout shows. */
export function inWords(explained, peaks_s, cells) {
  const strongest = byLead(explained).sort((a, b) => b.share - a.share);
  const near = strongest.filter(({ share }) => share >= (2 / 3) * strongest[0].share);
  const named = near.length > 4 ? strongest.slice(0, 3) : near;
  const share = sum(named.map((each) => each.share));
  const ordered = explained.leads.filter((lead) => named.some((each) => each.lead === lead));
  const [from, to] = strongestStretch(explained, ordered);
  const most = share < 0.4 ? "Spread over the leads, most in" : "Most in";
  const when = `${from.toFixed(1)}\u2013${to.toFixed(1)} s`;
  const parts = [`${most} ${listedLeads(ordered)} (${percent(share)} of the weight), strongest at ${when}.`];
  if (peaks_s.length) {
    const beats = nearPeaks(explained, peaks_s);
    parts.push(
      `${percent(beats.share)} lies within 0.1 s of an R peak (evenly spread it would be ${percent(beats.even)}).`,
    );
  }
  const shown = shareShown(explained, cells);
  if (shown < 0.95) parts.push(`This layout shows ${percent(shown)} of it; 12\u00d71 shows all.`);
  return parts.join(" ");
}

/** How much of all weight lies on the pieces of leads that a page shows. */
export function shareShown(explained, cells) {
  const step = explained.step_s;
  const whole = sum(explained.contributions.flat().map(Math.abs)) || 1;
  let held = 0;
  explained.contributions.forEach((row, place) => {
    row.forEach((value, number) => {
      const middle = (number + 0.5) * step;
      const visible = cells.some(
        (cell) => cell.lead === explained.leads[place] && middle >= cell.from_s && middle < cell.to_s,
      );
      if (visible) held += Math.abs(value);
    });
  });
  return held / whole;
}

function percent(share) {
  return `${Math.round(100 * share)} %`;
}

function sum(values) {
  return values.reduce((total, value) => total + value, 0);
}
