// Several recordings at once: a table of what was measured and answered, and the same as a CSV file.

import { batchRows, measuredRows, ranked, twoDigits } from "../logic/answers.js";
import { csv } from "../logic/files.js";
import { explainedQuality } from "../logic/flags.js";
import { byId, download, el, say } from "./dom.js";
import { readSource } from "./source_view.js";
import { ask } from "./service.js";

const AT_ONCE = 16;

/** The table of a batch. `opened` is called with the entry that the reader wants to see. */
export class BatchView {
  constructor(opened) {
    Object.assign(this, { opened, entries: [], queries: [], sorted: "", chosen: null });
  }

  /** Take other recordings; fewer than two are no batch. */
  take(sources) {
    this.entries = sources.map((source) => ({ source, title: source.title }));
    byId("batch").hidden = sources.length < 2;
    this.sorted = "";
  }

  /** Read, measure and ask about all of them, a few at a time; the table grows meanwhile. */
  async run(queries, signal) {
    this.queries = queries;
    for (const [number, entry] of this.entries.entries()) {
      if (entry.ecg || entry.error) continue;
      try {
        Object.assign(entry, await readSource(entry.source, signal));
        Object.assign(entry, await ask("v1/measure", { body: { ecg: entry.ecg }, signal }), {
          ecg: entry.ecg,
          quality: entry.quality,
          input: entry.input,
        });
      } catch (error) {
        if (error.name === "AbortError") throw error;
        entry.error = error.message;
      }
      this.draw(`${number + 1} of ${this.entries.length} read`);
    }
    await this.askAll(queries, signal);
  }

  /** Other questions about the same recordings. */
  async askAll(queries, signal) {
    this.queries = queries;
    const good = this.entries.filter(({ ecg }) => ecg);
    for (let start = 0; start < good.length && queries.length; start += AT_ONCE) {
      const part = good.slice(start, start + AT_ONCE);
      const answer = await ask("v1/classify/batch", {
        body: { items: part.map(({ ecg }) => ({ ecg })), queries },
        signal,
      });
      for (const item of answer.items) part[item.index].results = item.results ?? [];
    }
    this.draw();
    say(`${this.entries.length} recordings answered`);
  }

  draw(progress = "") {
    const place = byId("batch");
    const choices = [
      el("option", { value: "" }, "the most probable"),
      ...this.queries.map((query) => el("option", { selected: query === this.sorted }, query)),
    ];
    const select = el(
      "select",
      { id: "batch-by", change: (event) => ((this.sorted = event.target.value), this.draw()) },
      ...choices,
    );
    const save = () => download("ecgray-batch.csv", csv(batchRows(this.entries, this.queries)), "text/csv");
    const head = ["Recording", "Quality", "HR", "PR", "QRS", "QTcF", "Answer"].map((title) =>
      el("th", { scope: "col" }, title),
    );
    place.replaceChildren(
      el(
        "div",
        { class: "batch-head" },
        el("h2", {}, `${this.entries.length} recordings`),
        el("label", { for: "batch-by" }, "Answer shown"),
        select,
        el("span", { class: "spring quiet" }, progress),
        el("button", { type: "button", click: save }, "Download CSV"),
      ),
      el(
        "div",
        { class: "table", tabindex: 0, role: "group", "aria-label": "Recordings" },
        el(
          "table",
          {},
          el("thead", {}, el("tr", {}, ...head)),
          el("tbody", {}, ...this.ordered().map((entry) => this.row(entry))),
        ),
      ),
    );
  }

  ordered() {
    if (!this.sorted) return this.entries;
    const of = ({ results }) => results?.find(({ query }) => query === this.sorted)?.probability ?? -1;
    return [...this.entries].sort((a, b) => of(b) - of(a));
  }

  row(entry) {
    const { title, error, quality, intervals, reasons, results } = entry;
    const open = el(
      "button",
      {
        type: "button",
        class: "link",
        disabled: !entry.ecg,
        "aria-pressed": String(entry === this.chosen),
        click: () => this.open(entry),
      },
      title,
    );
    if (error) return el("tr", {}, el("th", { scope: "row" }, open), el("td", { colspan: 6, class: "bad" }, error));
    const flags = quality ? explainedQuality(quality.flags).filter(({ doubtful }) => doubtful) : [];
    const seen = quality ? (quality.ok ? "good" : flags.map((flag) => flag.title).join(", ")) : "";
    const values = intervals ? measuredRows(intervals, reasons) : [];
    const value = (name) => {
      const found = values.find((each) => each.name === name);
      return el("td", { class: "n", title: found?.reason ?? "" }, found ? found.value : "");
    };
    const best = results?.length
      ? this.sorted
        ? results.find(({ query }) => query === this.sorted)
        : ranked(results)[0]
      : null;
    return el(
      "tr",
      { class: entry === this.chosen ? "chosen" : "" },
      el("th", { scope: "row" }, open),
      el("td", { class: quality?.ok === false ? "warn" : "" }, seen),
      ...["heart_rate_bpm", "pr_ms", "qrs_ms", "qtcf_ms"].map(value),
      el("td", {}, best ? `${best.query} ${twoDigits(best.probability)}` : ""),
    );
  }

  open(entry) {
    this.chosen = entry;
    this.draw();
    this.opened(entry);
  }
}
