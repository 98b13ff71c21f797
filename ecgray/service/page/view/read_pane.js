// Reading an ECG: from a file to its picture, its quality, its intervals and the answers about it.

import { readEcg } from "../logic/ecg.js";
import { SYNTHETIC } from "../logic/files.js";
import { classifyCurl, classifyPython } from "../logic/requests.js";
import { byLead, inWords, partsOf } from "../logic/saliency.js";
import { AnswersView } from "./answers_view.js";
import { BatchView } from "./batch_view.js";
import { byId, el, say, showCode } from "./dom.js";
import { describe, noMeasured, showInput, showMeasured, showQuality } from "./facts_view.js";
import { PaperView } from "./paper_view.js";
import { ask, calm, complain, hasToken, origin } from "./service.js";
import {
  askSettings,
  fileSources,
  listenForFiles,
  markSample,
  needsSettings,
  readSource,
  sampleSource,
  showSamples,
} from "./source_view.js";

const FIRST_QUESTIONS = [
  "normal ecg",
  "atrial fibrillation",
  "sinus bradycardia",
  "sinus tachycardia",
  "left bundle branch block",
  "right bundle branch block",
  "first degree av block",
  "myocardial infarction",
  "left ventricular hypertrophy",
  "long qt interval",
];
const ANYWAY = {
  leads_missing: ["Read it without them", { allow_missing_leads: true }],
  checksum_mismatch: ["Read it all the same", { strict: false }],
};

/** The pane; one recording at a time is open. */
export class ReadPane {
  constructor() {
    this.paper = new PaperView(byId("read-paper"), "read");
    this.paper.onchange = () => this.describe();
    this.batch = new BatchView((entry) => this.show(entry.source, entry));
    this.answers = new AnswersView({
      queries: FIRST_QUESTIONS,
      changed: (queries, how) => this.asked(queries, how),
      chosen: (query) => this.explain(query),
    });
    this.reading = new AbortController();
    this.asking = new AbortController();
    this.open = null;
    listenForFiles((files) => this.takeFiles(files));
  }

  /** Lists and samples of the service. */
  async prepare() {
    const [{ samples }, { lists }] = await Promise.all([ask("v1/samples"), ask("v1/queries")]);
    showSamples(samples, (sample) =>
      this.doing(async (signal) => this.take([await sampleSource(sample, signal)], signal)),
    );
    this.answers.offer(lists);
  }

  /** What the reader wants replaces what is under way. */
  async doing(work) {
    this.reading.abort();
    this.reading = new AbortController();
    this.tried = null;
    calm();
    document.body.classList.add("busy");
    try {
      await work(this.reading.signal);
    } catch (error) {
      this.failed(error);
    } finally {
      document.body.classList.remove("busy");
    }
  }

  failed(error) {
    const way = this.tried && ANYWAY[error.code];
    if (this.tried && error.message && error.name !== "AbortError") error.message = `${this.tried.title}: ${error.message}`;
    if (!way) return complain(error);
    const source = this.tried;
    const again = () =>
      this.doing((signal) => this.take([{ ...source, settings: { ...source.settings, ...way[1] } }], signal));
    return complain(error, el("button", { type: "button", click: again }, way[0]));
  }

  takeFiles(files) {
    this.tab?.();
    this.doing(async (signal) => {
      this.tried = null;
      const { sources, problems } = await fileSources(files);
      if (problems.length) complain(new Error(problems.join(" ")));
      if (sources.length) await this.take(sources, signal);
    });
  }

  /** Read one recording, or a table of several. */
  async take(sources, signal) {
    this.batch.take(sources);
    if (sources.length > 1) {
      const bare = sources.filter(needsSettings);
      const settings = bare.length
        ? await askSettings(bare[0], `${bare.length} files hold numbers only: say what all of them are.`)
        : null;
      for (const source of bare) source.settings = settings ?? {};
      await this.batch.run(this.answers.queries, signal);
      const first = this.batch.entries.find(({ ecg }) => ecg);
      if (first) this.batch.open(first);
      return;
    }
    let [source] = sources;
    let why = "";
    for (;;) {
      if (needsSettings(source) || why) {
        const settings = await askSettings(source, why);
        if (!settings) return;
        source = { ...source, settings };
      }
      this.tried = source;
      try {
        await this.show(source, await readSource(source, signal));
        return;
      } catch (error) {
        if (error.code !== "param_missing" || source.kind !== "file") throw error;
        why = error.message;
      }
    }
  }

  /** Show a recording that was read: paper and quality at once, then what is measured and answered. */
  async show(source, read) {
    const ecg = readEcg(read.ecg);
    this.open = { source, read, ecg, measured: null, classified: null, explained: null };
    this.answers.show(null);
    this.answers.mark(null);
    markSample(source.kind === "sample" ? source.names[0] : "");
    showQuality(read.quality);
    showInput(read.input, source.settings.start_s, (start_s) => this.window(start_s));
    this.paper.show(ecg, this.about());
    this.lines();
    say(`${source.title} is shown.`);
    await Promise.all([this.measure(), this.classify()]);
  }

  about() {
    const { source, read } = this.open;
    const { title, subtitle = "", printed, synthetic, name = title } = source;
    return {
      ...{ title, subtitle, printed, synthetic, name },
      description: this.words(),
      comments: source.comments ?? (synthetic ? [SYNTHETIC] : []),
      json: () => ({
        input: read.input,
        quality: read.quality,
        measured: this.open.measured,
        classified: this.open.classified,
        explained: this.open.explained,
      }),
    };
  }

  words() {
    const { source, read, measured } = this.open;
    return describe(source.title, { ...read, measured, settings: this.paper.settings });
  }

  /** The words of the picture follow what is measured and how it is shown. */
  describe() {
    if (!this.open) return;
    this.paper.about.description = this.words();
    this.paper.figure.querySelector("svg.trace > desc").textContent = this.words();
    if (this.open.explained) this.legend();
  }

  window(start_s) {
    const { source } = this.open;
    this.doing((signal) => this.take([{ ...source, settings: { ...source.settings, start_s } }], signal));
  }

  async measure() {
    const { open } = this;
    try {
      const measured = await ask("v1/measure", { body: { ecg: open.read.ecg }, signal: this.reading.signal });
      if (open !== this.open) return;
      open.measured = measured;
      showMeasured(measured);
      this.describe();
    } catch (error) {
      if (open === this.open && error.name !== "AbortError") noMeasured(error.message);
    }
  }

  async classify() {
    const { open } = this;
    const { queries } = this.answers;
    this.asking.abort();
    this.asking = new AbortController();
    if (!open || !queries.length) return;
    this.answers.wait();
    const start = performance.now();
    try {
      const classified = await ask("v1/classify", {
        body: { ecg: open.read.ecg, queries },
        signal: this.asking.signal,
      });
      if (open !== this.open) return;
      open.classified = classified;
      const { name, version, sha256 } = classified.model;
      const took = Math.round(performance.now() - start);
      // the service may write a question in another way than it was typed
      this.answers.show(
        classified.results.map((result, place) => ({ ...result, query: queries[place] })),
        `${name} ${version} \u00b7 ${sha256.slice(0, 12)} \u00b7 ${took} ms`,
      );
    } catch (error) {
      if (error.name === "AbortError") return; // other questions are under way
      this.answers.show(null);
      complain(error);
    }
  }

  /** Other questions: the open recording is asked anew, and the batch too. */
  asked(queries, { fewer = false } = {}) {
    this.lines();
    if (!this.open || fewer) return;
    this.unexplain();
    this.classify();
    if (this.batch.entries.length > 1) this.doing((signal) => this.batch.askAll(queries, signal));
  }

  /** Show where an answer comes from; a second time takes it away. */
  async explain(query) {
    const { open } = this;
    if (this.answers.open === query) return this.unexplain();
    this.answers.mark(query);
    try {
      const explained = await ask("v1/explain", { body: { ecg: open.read.ecg, query }, signal: this.reading.signal });
      if (open !== this.open || this.answers.open !== query) return;
      open.explained = explained;
      this.legend();
      say(this.paper.legend.querySelector("p").textContent);
    } catch (error) {
      this.answers.mark(null);
      complain(error);
    }
  }

  legend() {
    const { explained, measured } = this.open;
    const words = inWords(explained, measured?.r_peaks_s ?? [], this.paper.shown.cells);
    this.paper.highlight(partsOf(explained), explained.query, words, byLead(explained));
  }

  unexplain() {
    if (this.open) this.open.explained = null;
    this.answers.mark(null);
    this.paper.highlight(null);
  }

  lines() {
    byId("again").hidden = !this.open || !this.answers.queries.length;
    if (byId("again").hidden) return;
    const asked = {
      origin: origin(),
      source: this.open.source,
      queries: this.answers.queries,
      withToken: hasToken(),
    };
    showCode(byId("again-code"), [
      { title: "curl", text: classifyCurl(asked) },
      { title: "Python", text: classifyPython(asked) },
    ]);
  }
}
