// An ECG on paper: drawn anew at every change of its scale; zoomed, panned, measured and printed.

import { drawing, scale } from "../logic/drawing.js";
import { pageOf, valueAt } from "../logic/paper.js";
import { Calipers } from "./caliper_view.js";
import { el, svgOf } from "./dom.js";
import { toolbar } from "./paper_tools.js";

const PX_PER_MM = 96 / 25.4;
const ZOOMS = [0.5, 0.75, 1, 1.25, 1.5, 2, 3, 4];
const SMALLEST_FIT = 0.62;

/** One paper in `place`. `show` gives it an ECG; everything else it does by itself. */
export class PaperView {
  constructor(place, name) {
    Object.assign(this, { name, ecg: null, about: {}, parts: null, zoom: 0 });
    this.settings = { layout: "3x4+1", speed: 25, gain: 10 };
    this.viewport = el("div", { class: "viewport", tabindex: 0, role: "group", "aria-label": "ECG paper" });
    this.sheet = el("div", { class: "sheet" });
    this.readout = el("span", { class: "readout" });
    this.scaleText = el("span", {});
    this.legend = el("div", { class: "legend", hidden: true });
    this.head = el("figcaption", { class: "paper-head" });
    this.calipers = new Calipers(
      this.sheet,
      () => this.shown,
      (words) => (this.measure.textContent = words),
    );
    this.measure = el("output", { class: "measure" });
    this.viewport.append(this.sheet);
    this.figure = el(
      "figure",
      { class: "paper", "aria-label": "ECG on paper", hidden: true },
      this.head,
      toolbar(this),
      this.viewport,
      el("div", { class: "paper-foot" }, this.scaleText, this.readout, this.measure),
      this.legend,
    );
    place.append(this.figure);
    this.listen();
  }

  /** Draw this ECG. `about`: `{title, subtitle, printed, description, synthetic, name, comments, json}`. */
  show(ecg, about) {
    Object.assign(this, { ecg, about, parts: null });
    this.legend.hidden = true;
    this.figure.hidden = false;
    this.figure.parentNode.nextElementSibling.hidden = true; // what stood there while it was empty
    this.head.replaceChildren(el("strong", {}, about.title), el("span", { class: "quiet" }, about.subtitle ?? ""));
    this.draw();
  }

  /** Put the parts of an answer behind the trace, with a legend; null takes them away. */
  highlight(parts, title = "", words = "", leads = []) {
    this.parts = parts;
    this.legend.hidden = !parts;
    if (parts) {
      this.legend.replaceChildren(
        el(
          "p",
          {},
          "Where ",
          el("b", {}, `\u201c${title}\u201d`),
          " comes from: ",
          el("span", { class: "key for" }),
          " for, ",
          el("span", { class: "key against" }),
          " against. ",
          words,
        ),
        el("ol", { class: "by-lead", "aria-label": "Share of each lead" }, ...leads.map(leadBar)),
      );
    }
    this.draw();
  }

  get shown() {
    return pageOf(this.ecg, this.settings);
  }

  /** Draw anew after a change; the calipers stay on the same beat. */
  draw(before = null) {
    if (!this.ecg) return;
    const { title, description, synthetic } = this.about;
    const svg = svgOf(drawing(this.ecg, this.shown, { title, description, synthetic, parts: this.parts }));
    svg.classList.add("trace");
    this.sheet.querySelector("svg.trace")?.remove();
    this.sheet.prepend(svg);
    this.calipers.redraw(before);
    this.resize();
  }

  /** Set the size of the paper on the screen. */
  resize() {
    if (!this.ecg || !this.viewport.clientWidth) return;
    const { sheet } = this.shown;
    const zoom = this.zoom || this.fit();
    const root = this.sheet.style;
    root.width = `${sheet.width * PX_PER_MM * zoom}px`;
    this.viewport.classList.toggle("zoomed", zoom > this.fit());
    root.setProperty("--print-width", `${sheet.width}mm`);
    const share = Math.round(100 * zoom);
    this.zoomText.textContent = `${share} %`;
    const size = el(
      "span",
      { class: "screen-only" },
      ` \u00b7 ${share === 100 ? "true size" : `${share} % of true size`}`,
    );
    this.scaleText.replaceChildren(scale(this.settings), size);
  }

  /** The zoom at which ten seconds at 25 mm/s fill the width, where no scroll bar takes of it. */
  fit() {
    const { sheet } = pageOf(this.ecg, { ...this.settings, speed: 25 });
    return Math.max(SMALLEST_FIT, this.viewport.offsetWidth / (sheet.width * PX_PER_MM));
  }

  set(change) {
    const before = this.ecg && this.shown;
    this.settings = { ...this.settings, ...change };
    this.draw(before);
    if (this.onchange) this.onchange();
  }

  zoomTo(zoom, at = null) {
    const box = this.viewport.getBoundingClientRect();
    const [x, y] = at ? [at.clientX - box.left, at.clientY - box.top] : [box.width / 2, box.height / 2];
    const before = this.zoom || this.fit();
    const [left, top] = [this.viewport.scrollLeft + x, this.viewport.scrollTop + y];
    this.zoom = zoom;
    this.resize();
    const ratio = (zoom || this.fit()) / before;
    this.viewport.scrollTo({ left: left * ratio - x, top: top * ratio - y, behavior: "instant" });
  }

  step(way) {
    const now = this.zoom || this.fit();
    const next = way > 0 ? ZOOMS.find((zoom) => zoom > now + 0.01) : ZOOMS.findLast((zoom) => zoom < now - 0.01);
    if (next) this.zoomTo(next);
  }

  /** Where a pointer is, in mm on the paper. */
  place(event) {
    const box = this.sheet.getBoundingClientRect();
    const { sheet } = this.shown;
    return {
      x: ((event.clientX - box.left) / box.width) * sheet.width,
      y: ((event.clientY - box.top) / box.height) * sheet.height,
    };
  }

  listen() {
    new ResizeObserver(() => this.resize()).observe(this.viewport);
    this.viewport.addEventListener("pointermove", (event) => {
      if (!this.ecg) return;
      const { x, y } = this.place(event);
      const found = valueAt(this.ecg, this.shown, x, y);
      this.readout.textContent = found
        ? `${found.lead} \u00b7 ${found.time_s.toFixed(2)} s \u00b7 ${found.mv.toFixed(2)} mV`
        : "";
    });
    this.viewport.addEventListener("pointerleave", () => (this.readout.textContent = ""));
    this.viewport.addEventListener("pointerdown", (event) => this.grab(event));
    this.viewport.addEventListener("keydown", (event) => {
      if (event.target !== this.viewport) return;
      if (event.key === "+" || event.key === "=") this.step(1);
      else if (event.key === "-") this.step(-1);
      else if (event.key === "0") this.zoomTo(0);
      else return;
      event.preventDefault();
    });
    this.viewport.addEventListener(
      "wheel",
      (event) => {
        if (!event.ctrlKey) return;
        event.preventDefault();
        const now = this.zoom || this.fit();
        this.zoomTo(Math.min(Math.max(now * Math.exp(-event.deltaY / 300), 0.4), 5), event);
      },
      { passive: false },
    );
    let before = null;
    window.addEventListener("beforeprint", () => {
      before = this.settings;
      if (this.ecg && this.settings.speed > 25) this.set({ speed: 25 }); // 50 mm/s is wider than the sheet
    });
    window.addEventListener("afterprint", () => before && before !== this.settings && this.set(before));
  }

  /** With the calipers a pointer measures, else a mouse pans. */
  grab(event) {
    if (!this.ecg || event.button !== 0) return;
    if (this.calipers.on) {
      this.calipers.grab(event, (each) => this.place(each));
      return;
    }
    if (event.pointerType !== "mouse") return;
    const start = {
      x: event.clientX,
      y: event.clientY,
      left: this.viewport.scrollLeft,
      top: this.viewport.scrollTop,
    };
    const move = (now) =>
      this.viewport.scrollTo({
        left: start.left + start.x - now.clientX,
        top: start.top + start.y - now.clientY,
        behavior: "instant",
      });
    const up = () => {
      window.removeEventListener("pointermove", move);
      this.viewport.classList.remove("panning");
    };
    this.viewport.classList.add("panning");
    window.addEventListener("pointermove", move);
    window.addEventListener("pointerup", up, { once: true });
  }
}

function leadBar({ lead, share }) {
  const bar = el("i", {});
  bar.style.height = `${Math.max(2, 100 * Math.min(1, share / 0.35))}%`;
  return el("li", { title: `${lead}: ${Math.round(100 * share)} %` }, bar, el("span", {}, lead));
}
