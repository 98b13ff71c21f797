// The bar above a paper: how it is drawn, how large, what measures on it, and the files that it is saved as.

import { drawing, svgText } from "../logic/drawing.js";
import { ecgCsv, ecgNpy, recordName, wfdbZip } from "../logic/files.js";
import { GAINS, LAYOUTS, SPEEDS, pageOf } from "../logic/paper.js";
import { choice, download, el, say } from "./dom.js";

const TIMES = "\u00d7";
const DOTS_PER_MM = 10;

/** The bar of a PaperView; it also makes the view's `zoomText`. */
export function toolbar(view) {
  const button = (label, words, click) =>
    el("button", { type: "button", "aria-label": words, title: words, click }, label);
  const radios = (name, title, values, write) => {
    const choices = values.map((value) => [value, write(value)]);
    return choice(`${view.name}-${name}`, title, choices, view.settings[name], (value) =>
      view.set({ [name]: value }),
    );
  };
  view.zoomText = button("", "True size", () => view.zoomTo(1));
  view.zoomText.className = "zoom";
  return el(
    "div",
    { class: "toolbar", role: "group", "aria-label": "Paper" },
    radios("layout", "Layout", Object.keys(LAYOUTS), (value) => value.replace("x", TIMES)),
    radios("speed", "Speed", SPEEDS, (value) => (value === SPEEDS.at(-1) ? `${value} mm/s` : `${value}`)),
    radios("gain", "Gain", GAINS, (value) => (value === GAINS.at(-1) ? `${value} mm/mV` : `${value}`)),
    el(
      "div",
      { class: "choice zooms" },
      button("\u2212", "Smaller", () => view.step(-1)),
      view.zoomText,
      button("+", "Larger", () => view.step(1)),
      button("Fit", "Fit to the width", () => view.zoomTo(0)),
    ),
    ...measuring(view),
    el("span", { class: "spring" }),
    files(view),
    el("button", { type: "button", click: () => window.print() }, "Print"),
  );
}

/** The buttons of the calipers. */
function measuring(view) {
  const off = { type: "button", class: "toggle", "aria-pressed": "false" };
  const march = el("button", { ...off, hidden: true }, "March out");
  const calipers = el("button", off, "Calipers");
  march.addEventListener("click", () => march.setAttribute("aria-pressed", view.calipers.march()));
  calipers.addEventListener("click", () => {
    const on = view.calipers.toggle();
    calipers.setAttribute("aria-pressed", on);
    march.hidden = !on;
    view.viewport.classList.toggle("measuring", on);
  });
  return [calipers, march];
}

/** The menu of files. */
function files(view) {
  const save = (ending, content, type) =>
    download(`${recordName(view.about.name ?? view.about.title)}.${ending}`, content, type);
  const zip = () => wfdbZip(view.ecg, recordName(view.about.name ?? view.about.title), view.about.comments);
  const kinds = {
    "WFDB (.hea + .dat)": () => save("zip", zip(), "application/zip"),
    "CSV, in mV": () => save("csv", ecgCsv(view.ecg), "text/csv"),
    "NumPy (.npy)": () => save("npy", ecgNpy(view.ecg)),
    "SVG, on paper": () => save("svg", framed(view).text, "image/svg+xml"),
    "PNG, on paper": () => picture(framed(view), (blob) => save("png", blob)),
    "JSON of the answer": () => save("json", JSON.stringify(view.about.json(), null, 1), "application/json"),
  };
  const menu = el("details", { class: "menu" }, el("summary", {}, "Download"));
  const close = () => (menu.open = false);
  const items = Object.entries(kinds).map(([label, act]) => {
    const click = () => {
      act();
      close();
      menu.querySelector("summary").focus();
      say(`${label} saved`);
    };
    return el("li", {}, el("button", { type: "button", click }, label));
  });
  menu.append(el("ul", {}, ...items));
  menu.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || !menu.open) return;
    close();
    menu.querySelector("summary").focus();
  });
  document.addEventListener("click", (event) => menu.contains(event.target) || close());
  return menu;
}

/** The page with its frame: title above, scale and warning below. */
function framed(view) {
  const page = pageOf(view.ecg, { ...view.settings, framed: true });
  const { title, subtitle, printed, description, synthetic } = view.about;
  const words = { title, subtitle: printed ?? subtitle, description, synthetic };
  return { text: svgText(drawing(view.ecg, page, { ...words, parts: view.parts })), sheet: page.sheet };
}

/** A drawing as PNG. */
function picture({ text, sheet }, done) {
  const address = URL.createObjectURL(new Blob([text], { type: "image/svg+xml" }));
  const image = new Image();
  image.addEventListener("load", () => {
    const canvas = el("canvas", { width: sheet.width * DOTS_PER_MM, height: sheet.height * DOTS_PER_MM });
    canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
    canvas.toBlob(done, "image/png");
    URL.revokeObjectURL(address);
  });
  image.src = address;
}
