// The same request again, by curl and by Python: lines that a reader can copy and run as they stand.

import { LEADS } from "./ecg.js";

const TYPES = { zip: "application/zip", npy: "application/x-npy", csv: "text/csv", edf: "application/edf" };

/** The ending of a name, in lower case, without the dot. */
export function endingOf(name) {
  const dot = name.lastIndexOf(".");
  return dot < 0 ? "" : name.slice(dot + 1).toLowerCase();
}

/** The media type under which a file is sent. */
export function mediaType(name) {
  return TYPES[endingOf(name)] ?? "application/octet-stream";
}

/** A query string, without its question mark, of `[[name, value], ...]`. */
export function queryString(pairs) {
  return pairs.map(([name, value]) => `${encodeURIComponent(name)}=${encodeURIComponent(value)}`).join("&");
}

/** What is said of a recording beside its bytes, as pairs for a query string; the service's defaults are left out. */
export function settingPairs({ fs, unit, leads, allow_missing_leads, strict, start_s } = {}) {
  const pairs = [];
  if (fs) pairs.push(["fs", String(fs)]);
  if (unit) pairs.push(["unit", unit]);
  if (leads) pairs.push(["leads", leads.join(",")]);
  if (allow_missing_leads) pairs.push(["allow_missing_leads", "true"]);
  if (strict === false) pairs.push(["strict", "false"]);
  if (start_s) pairs.push(["start_s", String(start_s)]);
  return pairs;
}

/** The same settings as the `options` of a JSON body. */
export function optionsOf({ allow_missing_leads, strict, start_s } = {}) {
  const options = {};
  if (allow_missing_leads) options.allow_missing_leads = true;
  if (strict === false) options.strict = false;
  if (start_s) options.start_s = start_s;
  return options;
}

/** A word for a POSIX shell. */
export function shellWord(text) {
  return /^[A-Za-z0-9_./:@%+=-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}

/** A text for Python: what JSON writes is a literal there too. */
export function pythonText(text) {
  return JSON.stringify(text).replace(/[\u007f-\uffff]/gu, (letter) => {
    const code = letter.codePointAt(0);
    return code > 0x9f && code < 0xd800 && code !== 0x2028 && code !== 0x2029 ? letter : escapeOf(letter);
  });
}

function escapeOf(letter) {
  const code = letter.codePointAt(0).toString(16);
  return code.length > 4 ? `\\U${code.padStart(8, "0")}` : `\\u${code.padStart(4, "0")}`;
}

function bearer(withToken) {
  return withToken ? ` \\\n  -H "Authorization: Bearer $ECGRAY_TOKEN"` : "";
}

/**
 * The curl lines that classify a recording. `source` is `{kind, names, settings}`: kind sample (its name), files (a
 * .hea and its signal files), file, or generated (the zip that the page's download gives).
 */
export function classifyCurl({ origin, source, queries, withToken = false }) {
  const pairs = [...settingPairs(source.settings), ...queries.map((query) => ["q", query])];
  const address = `${origin}/v1/classify/file?${queryString(pairs)}`;
  const post = (body, type) =>
    `curl -sS ${shellWord(address)} \\\n  -H 'Content-Type: ${type}'${bearer(withToken)} --data-binary ${body}`;
  const [first] = source.names;
  if (source.kind === "sample") {
    const from = `${origin}/v1/samples/${encodeURIComponent(first)}`;
    const zip = shellWord(`${first}.zip`);
    return `curl -sS ${shellWord(from)}${bearer(withToken)} -o ${zip}\n${post(`@${zip}`, TYPES.zip)}`;
  }
  if (source.kind === "files") {
    return `zip -q - ${source.names.map(shellWord).join(" ")} | ${post("@-", TYPES.zip)}`;
  }
  const note = source.kind === "generated" ? "# the file that Download, WFDB gives\n" : "";
  return note + post(`@${shellWord(first)}`, mediaType(first));
}

/** The Python lines that classify a recording. */
export function classifyPython({ origin, source, queries }) {
  const { fs, unit, leads, allow_missing_leads, strict, start_s } = source.settings ?? {};
  const named = [];
  if (fs) named.push(`fs=${fs}`);
  if (unit) named.push(`unit=${pythonText(unit)}`);
  if (leads) named.push(`leads=[${leads.map(pythonText).join(", ")}]`);
  if (allow_missing_leads) named.push("allow_missing_leads=True");
  if (strict === false) named.push("strict=False");
  if (start_s) named.push(`start_s=${start_s}`);
  const [first] = source.names;
  const file =
    source.kind === "sample" ? `${first}.zip` : (source.names.find((name) => endingOf(name) === "hea") ?? first);
  const asked = queries.map((query) => `    ${pythonText(query)},`).join("\n");
  return [
    "from ecgray.client import Client",
    "",
    `client = Client(${pythonText(origin)})`,
    `queries = [\n${asked}\n]`,
    `found = client.classify_file(${[pythonText(file), "queries", ...named].join(", ")})`,
    "print(found.quality.flags)",
    "for answer in found.results:",
    "    print(answer.query, answer.probability)",
  ].join("\n");
}

/** The body of a request to generate: what was filled in, and nothing else. */
export function generateBody(asked) {
  const names = ["prompt", "age", "sex", "heart_rate", "n", "steps", "sampler", "guidance_scale", "seed"];
  return Object.fromEntries(
    names
      .filter((name) => asked[name] !== null && asked[name] !== undefined && asked[name] !== "")
      .map((name) => [name, asked[name]]),
  );
}

/** The curl line that generates the same ECGs as WFDB records in a zip. */
export function generateCurl({ origin, asked, withToken = false }) {
  const body = JSON.stringify({ ...generateBody(asked), format: "wfdb" });
  const address = shellWord(`${origin}/v1/generate`);
  const head = `curl -sS ${address} \\\n  -H 'Content-Type: application/json'${bearer(withToken)}`;
  return `${head} \\\n  -d ${shellWord(body)} -o synthetic.zip`;
}

/** The Python lines that generate the same ECGs. */
export function generatePython({ origin, asked }) {
  const named = Object.entries(generateBody(asked)).map(([name, value]) => {
    const literal = typeof value === "number" ? String(value) : pythonText(value);
    return name === "prompt" ? `    ${literal},` : `    ${name}=${literal},`;
  });
  return [
    "from ecgray.client import Client",
    "",
    `client = Client(${pythonText(origin)})`,
    `drawn = client.generate(\n${named.join("\n")}\n)`,
    'drawn.save_wfdb("synthetic")',
  ].join("\n");
}

/** Lead names as somebody types them: by commas or blanks; null where nothing is typed. */
export function typedLeads(text) {
  const names = text.split(/[\s,;]+/).filter(Boolean);
  return names.length ? names : null;
}

/** The usual order, as a form shows it. */
export const USUAL_LEADS = LEADS.join(", ");
