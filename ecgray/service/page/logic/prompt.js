// What is asked of the generator: examples, the part of it that can be shared, and the words of a prompt as questions.

export const EXAMPLES = [
  { prompt: "sinus rhythm, normal ECG", age: 45, sex: "F", heart_rate: 72 },
  { prompt: "atrial fibrillation with rapid ventricular response", age: 74, sex: "M", heart_rate: 128 },
  { prompt: "sinus bradycardia, left bundle branch block", age: 71, sex: "M", heart_rate: 48 },
  { prompt: "sinus tachycardia, right bundle branch block", age: 60, sex: "F", heart_rate: 112 },
  { prompt: "inferior myocardial infarction, sinus rhythm", age: 66, sex: "M", heart_rate: 80 },
  { prompt: "left ventricular hypertrophy", age: 58, sex: "M", heart_rate: 70 },
];
export const SAMPLERS = ["sde-dpm++", "dpm++", "ddim", "ddpm"];

const NUMBERS = ["age", "heart_rate", "n", "steps", "guidance_scale", "seed"];

/** The settings as the fragment of an address: never sent to a server. The prompt only where it is asked for. */
export function toFragment(asked, { withPrompt = false } = {}) {
  const names = [...NUMBERS, "sex", "sampler", ...(withPrompt ? ["prompt"] : [])];
  const pairs = names
    .filter((name) => asked[name] !== null && asked[name] !== undefined && asked[name] !== "")
    .map((name) => `${name}=${encodeURIComponent(asked[name])}`);
  return `#write${pairs.length ? `?${pairs.join("&")}` : ""}`;
}

/** `{pane, asked}` of a fragment; pane is read, write, or null; what is not known or no number is passed over. */
export function fromFragment(fragment) {
  const [pane, query = ""] = fragment.replace(/^#/, "").split("?", 2);
  const asked = {};
  for (const pair of query.split("&").filter(Boolean)) {
    const [name, value = ""] = pair.split("=", 2);
    const text = decoded(value);
    if (NUMBERS.includes(name) && text.trim() && Number.isFinite(Number(text))) asked[name] = Number(text);
    if (name === "sex" && ["F", "M"].includes(text)) asked.sex = text;
    if (name === "sampler" && SAMPLERS.includes(text)) asked.sampler = text;
    if (name === "prompt") asked.prompt = text.slice(0, 2000);
  }
  return { pane: ["read", "write"].includes(pane) ? pane : null, asked };
}

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return "";
  }
}

const PERSON = /\b\d+(\.\d+)?[\s-]*(years?|yrs?|y)[\s-]*(old|of age)?\b|\b(fe)?male\b|\b(wo)?man\b|\b\d+\s*y\/?o\b/gi;
const RATE =
  /\b(heart )?(rate|hr)\s*(of|is|at|[:=])?\s*\d+(\.\d+)?(\s*(bpm|\/\s*min))?|\b\d+(\.\d+)?\s*(bpm|\/\s*min)\b/gi;

/** The findings that a prompt names, as questions for the classifier, without what it says of age, sex and rate. */
export function questionsOf(prompt) {
  const parts = prompt
    .replace(RATE, " ")
    .replace(PERSON, " ")
    .split(/[,;\n]|\.(?=\s|$)|\s(?:with|and)\s/i)
    .map((part) =>
      part
        .replace(/^[\s-]*((with|and|in|an?|of)\s+)*|\s+(in|at|of|an?)\s*$/gi, "")
        .replace(/\s+/g, " ")
        .trim(),
    )
    .filter((part) => /[a-z]{2}/i.test(part));
  return [...new Set(parts.map((part) => part.slice(0, 512)))];
}

/** Questions typed by a person: one a line; blank lines and repetitions left out. */
export function typedQuestions(text, before = []) {
  const lines = text
    .split(/\r?\n/)
    .map((line) => line.replace(/\s+/g, " ").trim())
    .filter(Boolean);
  const seen = new Set(before.map((query) => query.toLowerCase()));
  return lines.filter((line) => !seen.has(line.toLowerCase()) && seen.add(line.toLowerCase()));
}
