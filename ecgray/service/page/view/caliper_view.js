// Calipers on the paper: two handles, by pointer or by arrow keys, and what lies between them.

import { between, marching, moved, nudged, within, words } from "../logic/calipers.js";
import { node } from "../logic/drawing.js";
import { timeAt } from "../logic/paper.js";
import { svgOf } from "./dom.js";

const NEAR_MM = 3;

/** Calipers over the paper in `place`. `page` gives the page that is shown, `tell` takes the measure in words. */
export class Calipers {
  constructor(place, page, tell) {
    Object.assign(this, { place, page, tell, on: false, marched: false, points: null, svg: null });
  }

  /** Switch them on or off; whether they are on. */
  toggle() {
    this.on = !this.on;
    if (this.on && !this.points) {
      const shown = this.page();
      const y = shown.baselines.at(-1);
      this.points = [
        { x: shown.start + 2 * shown.speed, y },
        { x: shown.start + 3 * shown.speed, y: y - shown.gain },
      ];
    }
    this.redraw();
    if (this.on) this.svg.querySelector(".handle")?.focus();
    return this.on;
  }

  /** Repeat the distance over the strip, or not; whether it is. */
  march() {
    this.marched = !this.marched;
    this.redraw();
    return this.marched;
  }

  /** Draw them for the page that is shown; `before` is the page on which they stood. */
  redraw(before = null) {
    if (!this.on) {
      this.svg?.remove();
      this.svg = null;
      this.tell("");
      return;
    }
    const shown = this.page();
    if (before) this.points = this.points.map((point) => moved(before, shown, point));
    this.points = this.points.map((point) => within(shown, point));
    if (!this.svg || !this.svg.isConnected) {
      this.svg = svgOf(node("svg", { class: "calipers" }));
      this.marks = svgOf(node("g"));
      this.handles = ["First caliper", "Second caliper"].map((title, number) => this.handle(title, number));
      this.svg.append(this.marks, ...this.handles);
      this.place.append(this.svg);
    }
    this.svg.setAttribute("viewBox", `0 0 ${shown.sheet.width} ${shown.sheet.height}`);
    this.update();
  }

  handle(title, number) {
    const shape = [node("circle", { r: 5, class: "reach" }), node("circle", { r: 1.5, class: "knob" })];
    const made = svgOf(node("g", { class: "handle", tabindex: 0, role: "slider", "aria-label": title }, shape));
    made.addEventListener("keydown", (event) => {
      const next = nudged(this.page(), this.points[number], event.key, event.shiftKey);
      if (!next) return;
      event.preventDefault();
      this.points[number] = next;
      this.update();
    });
    return made;
  }

  update() {
    const shown = this.page();
    const [first, second] = this.points;
    const found = between(shown, first, second);
    const said = words(found);
    const { top, height, left, width } = shown;
    const line = (name, d) => node("path", { class: name, d });
    const upright = (x) => `M${x} ${top}v${height}`;
    const drawn = [
      node("rect", {
        class: "span",
        x: Math.min(first.x, second.x),
        y: Math.min(first.y, second.y),
        width: Math.abs(second.x - first.x),
        height: Math.abs(second.y - first.y),
      }),
      line("leg", upright(first.x) + upright(second.x)),
      line("level", `M${left} ${first.y}h${width}M${left} ${second.y}h${width}`),
      line("bridge", `M${first.x} ${top + 2.5}H${second.x}`),
    ];
    if (this.marched) drawn.push(line("march", marching(shown, first, second).map(upright).join("") || "M0 0"));
    const middle = Math.min(Math.max((first.x + second.x) / 2, left + 25), left + width - 25);
    const label = [
      node("rect", { x: middle - 24, y: top + 3.4, width: 48, height: 5.6, rx: 1 }),
      node("text", { x: middle, y: top + 7.5 }, [], said),
    ];
    drawn.push(node("g", { class: "label" }, label));
    this.marks.replaceChildren(...drawn.map(svgOf));
    this.handles.forEach((handle, number) => {
      const point = this.points[number];
      const time_s = timeAt(shown, point.x);
      handle.setAttribute("transform", `translate(${point.x} ${point.y})`);
      handle.setAttribute("aria-valuenow", Math.round(time_s * 1000));
      handle.setAttribute("aria-valuetext", `${time_s.toFixed(3)} s; between the calipers ${said}`);
    });
    this.tell(said);
  }

  /** A pointer came down: take the handle under it, else begin a new measure there. */
  grab(event, toPlace) {
    event.preventDefault();
    const shown = this.page();
    const start = within(shown, toPlace(event));
    const away = this.points.map((point) => Math.hypot(point.x - start.x, point.y - start.y));
    let held = away.indexOf(Math.min(...away));
    if (away[held] > NEAR_MM * Math.max(1, 6 / pxPerMm(this.svg, shown))) {
      this.points = [start, { ...start }];
      held = 1;
    }
    const move = (now) => {
      this.points[held] = within(this.page(), toPlace(now));
      this.update();
    };
    move(event);
    this.handles[held].focus({ preventScroll: true });
    const stop = () => {
      window.removeEventListener("pointermove", move);
      window.removeEventListener("pointerup", stop);
      window.removeEventListener("pointercancel", stop);
    };
    window.addEventListener("pointermove", move);
    window.addEventListener("pointerup", stop);
    window.addEventListener("pointercancel", stop);
  }
}

function pxPerMm(svg, shown) {
  return svg.getBoundingClientRect().width / shown.sheet.width;
}
