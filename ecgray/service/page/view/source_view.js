// Where recordings come from: samples, files that are chosen or dropped, and the few words that npy and csv need.

import { toBase64 } from "../logic/bytes.js";
import { grouped } from "../logic/recordings.js";
import {
  USUAL_LEADS,
  endingOf,
  mediaType,
  optionsOf,
  queryString,
  settingPairs,
  typedLeads,
} from "../logic/requests.js";
import { byId, el } from "./dom.js";
import { ask, send } from "./service.js";

const MOST_JSON_FILES = 1_400_000;

/**
 * A recording that can be read again with other settings: `{title, kind, names, contents, settings, synthetic}`; kind
 * sample, file, files or generated (which has `ecg`, the service's JSON).
 */
export async function readSource(source, signal) {
  if (source.kind === "generated") return ask("v1/read", { body: { ecg: source.ecg }, signal });
  const { contents, names, settings } = source;
  if (source.kind === "files" && contents.reduce((sum, { length }) => sum + length, 0) < MOST_JSON_FILES) {
    const files = names.map((name, place) => ({ name, data: toBase64(contents[place]) }));
    return ask("v1/read", { body: { files, options: optionsOf(settings) }, signal });
  }
  const [body, type] =
    source.kind === "files"
      ? [await packed(source), "application/zip"]
      : [contents[0], source.type ?? mediaType(names[0])];
  const query = queryString(settingPairs(settings));
  return ask(`v1/read/file${query && `?${query}`}`, { body, type, signal });
}

async function packed({ names, contents }) {
  const { zip } = await import("../logic/zip.js");
  return zip(names.map((name, place) => ({ name, bytes: contents[place] })));
}

/** A sample of the service's. */
export async function sampleSource({ name, title, truth }, signal) {
  const answer = await send(`v1/samples/${encodeURIComponent(name)}`, { accept: "application/zip", signal });
  const contents = [new Uint8Array(await answer.arrayBuffer())];
  const drawn = truth.length ? `drawn with: ${truth.join(", ")}` : "drawn";
  return {
    ...{ title, kind: "sample", names: [name], contents, type: "application/zip", settings: {}, synthetic: "stamp" },
    subtitle: `sample, of no patient; ${drawn}`,
  };
}

/** Recordings of chosen files: `{sources, problems}`. */
export async function fileSources(list) {
  const opened = await Promise.all(
    [...list].map(async (file) => {
      const content = await file.arrayBuffer().catch(() => null);
      if (!content) return { name: file.name, bytes: null };
      const bytes = new Uint8Array(content);
      const header = endingOf(file.name) === "hea" ? new TextDecoder().decode(bytes.subarray(0, 100_000)) : null;
      return { name: file.name, bytes, header };
    }),
  );
  const files = opened.filter(({ bytes }) => bytes);
  const { recordings, problems } = grouped(files);
  for (const { name } of opened.filter(({ bytes }) => !bytes))
    problems.unshift(`${name} cannot be opened; of a folder, choose the files in it.`);
  const sources = recordings.map(({ title, kind, places }) => {
    const own = places.map((place) => files[place]);
    const synthetic = own.some(({ header }) => header && /^#\s*synthetic/im.test(header));
    return {
      ...{ title, kind, names: own.map(({ name }) => name), contents: own.map(({ bytes }) => bytes), settings: {} },
      ...{
        synthetic: synthetic ? "mark" : false,
        subtitle: own.length > 1 ? own.map(({ name }) => name).join(", ") : "",
      },
    };
  });
  return { sources, problems };
}

/** Whether a recording cannot be read before something is said of it. */
export function needsSettings(source) {
  return source.kind === "file" && endingOf(source.names[0]) === "npy" && !source.settings.fs;
}

/** The small form: resolves with the settings, or null where the reader gives up. */
export function askSettings(source, why) {
  const form = byId("settings");
  const npy = endingOf(source.names[0]) === "npy";
  byId("settings-why").textContent = why || `${source.title} holds numbers only: say what they are.`;
  byId("settings-fs").value = source.settings.fs ?? (npy ? 500 : "");
  byId("settings-fs").required = npy;
  byId("settings-unit").value = source.settings.unit ?? "mV";
  byId("settings-leads").value = source.settings.leads?.join(", ") ?? (npy ? USUAL_LEADS : "");
  byId("settings-leads").closest("label").hidden = !npy;
  form.hidden = false;
  byId("settings-fs").focus();
  return new Promise((done) => {
    const close = (found) => {
      form.hidden = true;
      form.onsubmit = null;
      done(found);
    };
    form.onsubmit = (event) => {
      event.preventDefault();
      const fs = Number(byId("settings-fs").value.replace(",", ".")) || null;
      const leads = npy ? typedLeads(byId("settings-leads").value) : null;
      close({ ...source.settings, fs, unit: byId("settings-unit").value, ...(leads && { leads }) });
    };
    byId("settings-cancel").onclick = () => close(null);
  });
}

/** Buttons for the service's samples. */
export function showSamples(samples, chosen) {
  const chips = samples.map((sample) =>
    el(
      "button",
      {
        type: "button",
        class: "chip",
        "aria-pressed": "false",
        "data-name": sample.name,
        click: () => chosen(sample),
      },
      sample.title,
    ),
  );
  byId("samples").replaceChildren(el("span", { class: "quiet" }, "Samples"), ...chips);
}

/** Mark the sample that is open; "": none is. */
export function markSample(name) {
  for (const chip of byId("samples").querySelectorAll("button"))
    chip.setAttribute("aria-pressed", String(chip.dataset.name === name));
}

/** Files that are chosen by the button or dropped anywhere go to `taken`. */
export function listenForFiles(taken) {
  const input = byId("files");
  byId("open").addEventListener("click", () => input.click());
  input.addEventListener("change", () => {
    if (input.files.length) taken([...input.files]);
    input.value = "";
  });
  const holds = (event) => event.dataTransfer?.types.includes("Files");
  const over = byId("dropping");
  window.addEventListener("dragover", (event) => {
    if (!holds(event)) return;
    event.preventDefault();
    over.hidden = false;
  });
  window.addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) over.hidden = true;
  });
  window.addEventListener("drop", (event) => {
    if (!holds(event)) return;
    event.preventDefault();
    over.hidden = true;
    taken([...event.dataTransfer.files]);
  });
}
