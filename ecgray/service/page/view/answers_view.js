// The questions and their bars.

import { questionDoubt, ranked, twoDigits } from "../logic/answers.js";
import { typedQuestions } from "../logic/prompt.js";
import { byId, el, say } from "./dom.js";

const MOST = 256;

/** The card of questions. `changed` is called when other questions are asked, `chosen` with one to explain. */
export class AnswersView {
  constructor({ queries, changed, chosen }) {
    Object.assign(this, { queries, changed, chosen, results: null, open: null, threshold: 0.5, busy: false });
    const text = byId("ask-text");
    byId("ask").addEventListener("submit", (event) => {
      event.preventDefault();
      this.add(typedQuestions(text.value, this.queries));
      text.value = "";
      text.rows = 1;
    });
    text.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
      event.preventDefault();
      byId("ask").requestSubmit();
    });
    text.addEventListener("input", () => (text.rows = Math.min(6, text.value.split("\n").length)));
    byId("clear").addEventListener("click", () => {
      this.ask([]);
      text.focus();
    });
    byId("lists").addEventListener("change", (event) => {
      const list = this.lists?.find(({ name }) => name === event.target.value);
      event.target.value = "";
      if (list) this.add(typedQuestions(list.queries.map(({ query }) => query).join("\n"), this.queries));
    });
    byId("threshold").addEventListener("input", (event) => {
      this.threshold = Number(event.target.value);
      this.draw();
    });
    this.draw();
  }

  /** Offer the service's own lists. */
  offer(lists) {
    this.lists = lists.filter(({ queries }) => queries.length);
    byId("lists").append(
      ...this.lists.map(({ name, title, queries }) => el("option", { value: name }, `${title} (${queries.length})`)),
    );
  }

  add(more) {
    if (more.length) this.ask([...more, ...this.queries].slice(0, MOST));
  }

  /** Ask these questions and no others. */
  ask(queries) {
    this.queries = queries;
    this.open = null;
    this.changed(queries);
    this.draw();
  }

  /** Show answers; null: there are none yet. */
  show(results, stamp = "") {
    Object.assign(this, { results, busy: false });
    byId("stamp").textContent = stamp;
    this.draw();
    if (results?.length) {
      const [first] = ranked(results);
      say(`${results.length} answers. First: ${first.query}, ${twoDigits(first.probability)}.`);
    }
  }

  /** Answers are on their way. */
  wait() {
    this.busy = true;
    byId("bars").setAttribute("aria-busy", "true");
  }

  /** Mark the question whose answer is explained on the paper. */
  mark(query) {
    this.open = query;
    this.draw();
  }

  draw() {
    const known = new Map((this.results ?? []).map((result) => [result.query, result]));
    const rows = this.queries.map((query) => known.get(query) ?? { query, probability: null });
    const answered = rows.filter(({ probability }) => probability !== null);
    const open = rows.filter(({ probability }) => probability === null);
    const over = answered.filter(({ probability }) => probability >= this.threshold).length;
    const counted = answered.length ? `${over} of ${answered.length} at or above` : "no answers yet";
    byId("threshold-text").textContent = `${this.threshold.toFixed(2)} \u00b7 ${counted}`;
    const focused = document.activeElement?.closest?.("#bars li")?.dataset.query;
    byId("bars").setAttribute("aria-busy", String(this.busy));
    byId("bars").replaceChildren(...[...open, ...ranked(answered)].map((row) => this.row(row)));
    if (focused)
      [...byId("bars").children]
        .find(({ dataset }) => dataset.query === focused)
        ?.querySelector("button")
        ?.focus();
  }

  row({ query, probability, flags = [] }) {
    const none = probability === null;
    const bar = el("i", {});
    const line = el("b", {});
    bar.style.width = `${none ? 0 : Math.max(0.5, 100 * probability)}%`;
    line.style.left = `${100 * this.threshold}%`;
    const pressed = String(this.open === query);
    const words = none ? "" : twoDigits(probability);
    const tip = none ? "" : "Show on the paper where this comes from";
    const name = el(
      "button",
      {
        type: "button",
        class: "query",
        disabled: none,
        "aria-pressed": pressed,
        title: tip,
        click: () => this.chosen(query),
      },
      el("span", { class: "name" }, query, ...flags.map((flag) => el("small", { class: "doubt" }, questionDoubt(flag)))),
      el("span", { class: "rail" }, bar, line),
      el("span", { class: "value" }, words || "\u2013"),
    );
    const away = el(
      "button",
      { type: "button", class: "away", "aria-label": `Remove ${query}`, click: () => this.remove(query) },
      "\u00d7",
    );
    const over = !none && probability >= this.threshold;
    return el("li", { class: over ? "over" : "", "data-query": query }, name, away);
  }

  remove(query) {
    const place = [...byId("bars").children].findIndex(({ dataset }) => dataset.query === query);
    this.queries = this.queries.filter((each) => each !== query);
    if (this.open === query) this.chosen(query);
    this.changed(this.queries, { fewer: true });
    this.draw();
    const next = byId("bars").children[Math.min(place, this.queries.length - 1)];
    (next?.querySelector(".away") ?? byId("ask-text")).focus();
  }
}
