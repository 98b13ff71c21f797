// Writing an ECG: from a clinical text to strips on paper, with progress, and back to the reader.

import { askedAgainst, measuredRows } from "../logic/answers.js";
import { frontalResidualUv, readEcg } from "../logic/ecg.js";
import { SYNTHETIC } from "../logic/files.js";
import { explainedPrompt } from "../logic/flags.js";
import { pageOf, strokes } from "../logic/paper.js";
import { node } from "../logic/drawing.js";
import { EXAMPLES, SAMPLERS, questionsOf, toFragment } from "../logic/prompt.js";
import { generateBody, generateCurl, generatePython } from "../logic/requests.js";
import { byId, copy, el, say, showCode, svgOf } from "./dom.js";
import { PaperView } from "./paper_view.js";
import { Refused, calm, complain, events, hasToken, origin } from "./service.js";

const NUMBERS = ["age", "heart_rate", "n", "steps", "guidance_scale", "seed"];

/** The pane. `classify` is called with a recording for the reader and its questions. */
export class WritePane {
  constructor({ classify }) {
    this.paper = new PaperView(byId("write-paper"), "write");
    Object.assign(this, { classify, drawing: null, answer: null, chosen: 0 });
    byId("w-sampler").append(...SAMPLERS.map((name) => el("option", { value: name }, name)));
    byId("examples").append(
      ...EXAMPLES.map((example) =>
        el("button", { type: "button", class: "chip", click: () => this.fill(example) }, example.prompt),
      ),
    );
    byId("dice").addEventListener("click", () => this.roll());
    byId("share").addEventListener("click", (event) => copy(this.link(), event.currentTarget));
    byId("write").addEventListener("input", () => this.remember());
    byId("write").addEventListener("submit", (event) => {
      event.preventDefault();
      this.generate();
    });
    byId("cancel").addEventListener("click", () => this.drawing?.abort());
    byId("classify-this").addEventListener("click", () => this.hand());
    this.roll();
  }

  /** What the form says. */
  asked() {
    const number = (name) => (byId(`w-${name}`).value === "" ? null : Number(byId(`w-${name}`).value));
    const numbers = Object.fromEntries(NUMBERS.map((name) => [name, number(name)]));
    return {
      prompt: byId("prompt").value.trim(),
      ...numbers,
      sex: byId("w-sex").value,
      sampler: byId("w-sampler").value,
    };
  }

  /** Put values into the form; those that are not named are emptied where `whole`, else left. */
  fill(asked) {
    if ("prompt" in asked) byId("prompt").value = asked.prompt;
    for (const name of [...NUMBERS, "sex", "sampler"]) if (name in asked) byId(`w-${name}`).value = asked[name];
    this.remember();
  }

  roll() {
    const [seed] = crypto.getRandomValues(new Uint32Array(1));
    byId("w-seed").value = seed;
    this.remember();
  }

  /** The address follows the form, but never holds the text by itself. */
  remember() {
    if (!byId("pane-write").hidden) history.replaceState(null, "", toFragment(this.asked()));
  }

  /** A link that another reader can open: its fragment, with the text, is sent to no server. */
  link() {
    return `${document.baseURI.split("#")[0]}${toFragment(this.asked(), { withPrompt: true })}`;
  }

  async generate() {
    const asked = generateBody(this.asked());
    this.drawing?.abort();
    const drawing = new AbortController();
    this.drawing = drawing;
    calm();
    this.busy(true, "Waiting for a place");
    let done = null;
    try {
      for await (const { event, data } of events("v1/generate", asked, drawing.signal)) {
        if (event === "progress") this.step(data);
        else if (event === "error") throw new Refused(data);
        else if (event === "result") done = data;
      }
      if (!done) throw new Refused({ detail: "The service closed the connection before the ECGs came; ask again." });
      this.show(asked, done);
    } catch (error) {
      if (error.name === "AbortError") say("Given up");
      else complain(error);
    } finally {
      if (this.drawing === drawing) this.busy(false);
    }
  }

  busy(on, words = "") {
    for (const id of ["cancel", "progress"]) byId(id).hidden = !on;
    byId("generate").disabled = on;
    byId("progress-text").textContent = words;
    if (on) {
      byId("progress-bar").removeAttribute("value");
      byId("cancel").focus();
    } else if (document.activeElement === document.body) byId("generate").focus();
  }

  step({ step, of }) {
    byId("progress-bar").max = of;
    byId("progress-bar").value = step;
    byId("progress-text").textContent = `Step ${step} of ${of}`;
  }

  show(asked, answer) {
    this.answer = {
      ...answer,
      request: asked,
      ecgs: answer.ecgs.map((each) => ({ ...each, read: readEcg(each.ecg) })),
    };
    const list = byId("thumbs");
    list.hidden = answer.ecgs.length < 2;
    list.replaceChildren(...this.answer.ecgs.map((each, place) => el("li", {}, this.thumb(each, place))));
    this.choose(0);
    showCode(byId("write-code"), [
      {
        title: "curl",
        text: generateCurl({ origin: origin(), asked: { ...asked, seed: answer.seed }, withToken: hasToken() }),
      },
      { title: "Python", text: generatePython({ origin: origin(), asked: { ...asked, seed: answer.seed } }) },
    ]);
    byId("write-again").hidden = false;
    say(`${answer.ecgs.length} synthetic ECGs drawn.`);
  }

  /** Lead II of one ECG, small. */
  thumb({ read, measured }, place) {
    const shown = pageOf(read, { layout: "12x1" });
    const cell = shown.cells.find(({ lead }) => lead === "II");
    const d = strokes(read, shown, cell)
      .map((points) => `M${points.map((point) => point.map((x) => x.toFixed(1)).join(" ")).join("L")}`)
      .join("");
    const svg = svgOf(
      node(
        "svg",
        {
          viewBox: `${cell.x} ${cell.baseline - 15} ${cell.width} 24`,
          "aria-hidden": "true",
          preserveAspectRatio: "none",
        },
        [
          node("path", {
            d,
            fill: "none",
            stroke: "#15151a",
            "stroke-width": 1,
            "vector-effect": "non-scaling-stroke",
          }),
        ],
      ),
    );
    const rate =
      measured.heart_rate_bpm === null ? "rate not measured" : `${Math.round(measured.heart_rate_bpm)} bpm`;
    return el(
      "button",
      { type: "button", class: "thumb", "aria-pressed": "false", click: () => this.choose(place) },
      svg,
      el("span", {}, `${place + 1} \u00b7 ${rate}`),
    );
  }

  choose(place) {
    this.chosen = place;
    const { answer } = this;
    const { seed, steps, sampler, guidance_scale } = answer;
    const one = answer.ecgs[place];
    [...byId("thumbs").children].forEach((item, number) =>
      item.firstChild.setAttribute("aria-pressed", String(number === place)),
    );
    const residual = frontalResidualUv(one.read);
    this.paper.show(one.read, {
      title: `Synthetic ECG ${place + 1} of ${answer.ecgs.length}`,
      subtitle: `seed ${seed}, index ${one.index}; ${steps} steps, ${sampler}, guidance ${guidance_scale}`,
      description: `Synthetic 12-lead ECG, generated by a model. ${this.checks(one, residual)
        .map(([title, text]) => `${title}: ${text}`)
        .join(". ")}`,
      synthetic: "mark",
      name: this.fileName(one),
      comments: this.comments(one),
      json: () => ({ ...answer, request: undefined, ecgs: [{ ...one, read: undefined }] }),
    });
    this.showChecks(one, residual);
  }

  fileName(one) {
    return `synthetic-${this.answer.seed}-${one.index}`;
  }

  /** What the header of a file says: never the text, which may speak of a patient. */
  comments(one) {
    const { model, seed, sampler, steps, guidance_scale } = this.answer;
    const how = `sampler ${sampler} steps ${steps} guidance ${guidance_scale}`;
    return [`${SYNTHETIC}; research use only`, `model ${model.sha256}`, `seed ${seed} index ${one.index}`, how];
  }

  checks(one, residual) {
    const wanted = this.answer.asked;
    const rate = askedAgainst(wanted.heart_rate_bpm, one.measured.heart_rate_bpm, {
      reason: one.reasons?.heart_rate_bpm,
      assumed: one.assumed?.heart_rate_bpm,
    });
    const most = Math.max(residual.aVR, residual.aVL, residual.aVF);
    const held = residual.III === 0 && most <= 1;
    const rows = [["Heart rate", rate.text, rate.far]];
    const person = [
      wanted.age === null ? "" : `${Math.round(wanted.age)} years`,
      { F: "female", M: "male" }[wanted.sex] ?? "",
    ]
      .filter(Boolean)
      .join(", ");
    if (person) rows.push(["Asked for", person, false]);
    const values = measuredRows(one.measured).filter(({ name }) => name !== "heart_rate_bpm");
    rows.push([
      "Measured",
      values
        .map(({ title, value, unit, reason }) => (reason ? `${title} \u2013` : `${title} ${value} ${unit}`))
        .join(" \u00b7 "),
      false,
    ]);
    rows.push([
      "Frontal plane",
      held
        ? `III = II \u2212 I exactly; aVR, aVL and aVF within ${most} \u00b5V`
        : `off by up to ${Math.max(residual.III, most)} \u00b5V`,
      !held,
    ]);
    return rows;
  }

  showChecks(one, residual) {
    byId("checks").hidden = false;
    const rows = this.checks(one, residual).flatMap(([title, text, odd]) => [
      el("dt", {}, title),
      el("dd", { class: odd ? "warn" : "" }, text),
    ]);
    const flags = this.answer.flags.map((flag) => el("li", {}, explainedPrompt(flag)));
    byId("checks-rows").replaceChildren(
      flags.length ? el("ul", { class: "prompt-flags" }, ...flags) : "",
      el("dl", { class: "rows" }, ...rows),
    );
  }

  /** Give the ECG that is shown to the reader, asked for what the text says. */
  hand() {
    const one = this.answer.ecgs[this.chosen];
    const name = this.fileName(one);
    const source = {
      title: `Synthetic ECG ${this.chosen + 1}`,
      subtitle: `drawn for: ${this.answer.request.prompt}`,
      printed: this.paper.about.subtitle, // what is saved does not hold the text
      ...{ kind: "generated", names: [`${name}.zip`], settings: {}, ecg: one.ecg, synthetic: "mark", name },
      comments: this.comments(one),
    };
    this.classify(source, questionsOf(this.answer.request.prompt));
  }
}
