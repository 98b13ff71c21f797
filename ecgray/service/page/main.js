// The page: two panes, the models that answer, and what is shared between them.

import { fromFragment } from "./logic/prompt.js";
import { byId, el } from "./view/dom.js";
import { ReadPane } from "./view/read_pane.js";
import { ask, complain, send } from "./view/service.js";
import { WritePane } from "./view/write_pane.js";

const PANES = ["read", "write"];
const read = new ReadPane();
const write = new WritePane({
  classify: (source, queries) => {
    open("read");
    if (queries.length) read.answers.queries = queries;
    read.doing((signal) => read.take([source], signal));
    byId("main").scrollIntoView();
    byId("tab-read").focus();
  },
});
read.tab = () => open("read");

function open(name) {
  for (const pane of PANES) {
    const tab = byId(`tab-${pane}`);
    byId(`pane-${pane}`).hidden = pane !== name;
    tab.setAttribute("aria-selected", String(pane === name));
    tab.tabIndex = pane === name ? 0 : -1;
  }
  if (name === "write") write.remember();
  else history.replaceState(null, "", "#read");
}

for (const name of PANES) {
  const tab = byId(`tab-${name}`);
  tab.addEventListener("click", () => open(name));
  tab.addEventListener("keydown", (event) => {
    if (!["ArrowLeft", "ArrowRight", "Home", "End"].includes(event.key)) return;
    const other = event.key === "Home" ? "read" : event.key === "End" ? "write" : PANES.find((each) => each !== name);
    open(other);
    byId(`tab-${other}`).focus();
    event.preventDefault();
  });
}

function follow() {
  const { pane, asked } = fromFragment(location.hash);
  if (pane) open(pane);
  if (Object.keys(asked).length) write.fill(asked);
}
window.addEventListener("hashchange", follow);
follow();

/** Name, version and hash of each model, with its card. */
async function showModels() {
  const { models } = await ask("v1/models");
  const chips = models.map((model) => {
    const words = `${model.name} ${model.version} \u00b7 ${model.sha256.slice(0, 12)}`;
    const title = `${model.kind}, preset ${model.preset}; show its card`;
    return el("button", { type: "button", class: "plain", title, click: () => showCard(model.name) }, words);
  });
  byId("models").replaceChildren(...chips);
  byId("tab-write").hidden = !models.some(({ name }) => name === "generator");
}

async function showCard(name) {
  try {
    const card = await send(`v1/models/${encodeURIComponent(name)}/card`, { accept: "text/markdown" });
    byId("model-card-title").textContent = `Model card: ${name}`;
    byId("model-card-text").textContent = await card.text();
    byId("model-card").showModal();
  } catch (error) {
    complain(error);
  }
}

Promise.all([showModels(), read.prepare()]).catch(complain);
