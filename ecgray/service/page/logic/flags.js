// What the service's stable words mean, in a sentence each (docs/data.md, docs/generation.md). A word that is not known
// here is shown as it is.

const QUALITY = {
  amplitude_implausible: [
    "implausible voltage",
    "The voltages are larger than a heart makes; the unit may be wrong.",
  ],
  checksum_mismatch: [
    "wrong checksum",
    "A signal does not add up to its header's checksum: the file may be damaged.",
  ],
  clipped: ["clipped", "The lead is cut off at its own extreme value, as an amplifier at its rail."],
  date_ignored: ["date ignored", "The header's date is not written as WFDB writes it; it was not read."],
  first_10_s: ["first 10 s", "The recording is longer; ten seconds of it were read."],
  gain_defaulted: [
    "gain assumed",
    "The header states no gain; 200 counts per unit were taken, so the voltages may be wrong.",
  ],
  lead_flat: ["flat", "Hardly any voltage: the electrode may be off."],
  lead_identity_violation: [
    "leads do not fit each other",
    "III, aVR, aVL or aVF is not what I and II say: leads may be swapped or mislabelled.",
  ],
  lead_missing: ["missing", "The source lacks the lead; a flat line stands in its place."],
  leads_derived: ["leads derived", "III, aVR, aVL or aVF was absent and was computed from I and II."],
  noise_high: ["noisy", "Muscle or mains: the trace jumps between neighbouring samples."],
  non_finite_repaired: ["gaps filled", "Samples that were not measured were filled in from their neighbours."],
  padded: ["too short", "The recording is shorter than 10 s; a flat line stands at its end."],
  polarity_inverted: ["turned over", "The header's gain is negative, so the lead was turned over."],
  possible_limb_reversal: [
    "possible arm lead reversal",
    "I points down and against V6, as with the arm electrodes swapped.",
  ],
  resampled: ["resampled", "The source is not at 500 Hz and was resampled."],
  sampling_rate_defaulted: [
    "sampling rate assumed",
    "The header states none; 250 Hz were taken, so all times may be wrong.",
  ],
  sampling_rate_suspect: ["sampling rate suspect", "The beats come much faster or slower than the recorder says."],
  trailing_data: ["trailing data", "A signal file is longer than its header says; the rest was not read."],
  wander_high: ["wandering baseline", "The baseline moves by more than twice the lead's height."],
};
const HARMLESS = new Set(["leads_derived", "resampled", "first_10_s", "date_ignored", "trailing_data"]);

const REASONS = {
  no_lead: "no lead could be read",
  no_beat: "no QRS was found",
  one_beat: "only one beat was found",
  beats_uncertain: "beats may have been missed",
  no_p_wave: "no P wave before most beats",
  no_t_wave: "no end of T was found",
};

const PROMPT = {
  rate_against_text: "The heart rate does not fit the text; the number in its field is followed.",
  age_against_text: "The age does not fit the text; the number in its field is followed.",
  sex_against_text: "The sex does not fit the text; the field is followed.",
  number_out_of_range: "A rate or an age in the text is beyond what can be drawn; it was passed over.",
  text_against_itself: "Two findings of the text can hardly stand on one strip.",
  negation:
    "Negation is not understood: what is denied may well be drawn. Say what the ECG shows, not what it lacks.",
  no_known_term: "No finding of the vocabulary stands in the text; the ECG follows age, sex and heart rate at best.",
  finding_not_drawn: "This generator is known not to draw a finding of the text: do not take this ECG for it.",
  rate_not_followed: "This generator does not follow so slow or so fast a heart rate.",
};

/**
 * Quality flags as `[{flag, title, leads, text, doubtful}]`: one entry a flag with all its leads, those that make an
 * answer doubtful first.
 */
export function explainedQuality(flags) {
  const leads = new Map();
  for (const each of flags) {
    const [flag, lead] = each.split(":", 2);
    leads.set(flag, [...(leads.get(flag) ?? []), ...(lead ? [lead] : [])]);
  }
  const found = [...leads].map(([flag, named]) => {
    const [title, text] = Object.hasOwn(QUALITY, flag) ? QUALITY[flag] : [flag, ""];
    return { flag, title, leads: named, text, doubtful: !HARMLESS.has(flag) };
  });
  return [...found.filter((each) => each.doubtful), ...found.filter((each) => !each.doubtful)];
}

/** Why a value is null. */
export function explainedReason(word) {
  return Object.hasOwn(REASONS, word) ? REASONS[word] : word;
}

/** What is odd about a prompt. */
export function explainedPrompt(word) {
  return Object.hasOwn(PROMPT, word) ? PROMPT[word] : word;
}
