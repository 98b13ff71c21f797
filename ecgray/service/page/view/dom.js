// Small hands for the document. Whatever comes from outside is set as text, never as markup.

const SVG = "http://www.w3.org/2000/svg";

/** The element with this id. */
export function byId(id) {
  return document.getElementById(id);
}

/** An element; `attributes` may hold listeners as functions (`click: () => ...`); children are elements or texts. */
export function el(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") made.addEventListener(name, value);
    else if (value === true) made.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) made.setAttribute(name, value);
  }
  made.append(...children.filter((child) => child !== null));
  return made;
}

/** A drawing's tree (logic/drawing.js) as SVG elements. */
export function svgOf({ tag, attributes, children, text }) {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) if (name !== "xmlns") made.setAttribute(name, value);
  if (text) made.textContent = text;
  made.append(...children.map(svgOf));
  return made;
}

/** Say something to those who listen; it is not shown. */
export function say(words) {
  byId("said").textContent = words;
}

/** Give a file to the reader. */
export function download(name, content, type = "application/octet-stream") {
  const address = URL.createObjectURL(content instanceof Blob ? content : new Blob([content], { type }));
  const link = el("a", { href: address, download: name });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
}

/** Put a text on the clipboard and say so on the button. */
export async function copy(text, button) {
  const before = button.textContent;
  try {
    await navigator.clipboard.writeText(text);
    button.textContent = "Copied";
    say("Copied");
  } catch {
    button.textContent = "Select and copy";
  }
  setTimeout(() => {
    button.textContent = before;
  }, 1500);
}

/** A group of radio buttons that looks like one control. `choices` are pairs of value and label. */
export function choice(name, title, choices, chosen, change) {
  const inputs = choices.map(([value, label]) =>
    el(
      "label",
      {},
      el("input", { type: "radio", name, value, checked: value === chosen, change: () => change(value) }),
      el("span", {}, label),
    ),
  );
  return el("fieldset", { class: "choice" }, el("legend", { class: "unseen" }, title), ...inputs);
}

/** Lines that a reader can copy, in one or more languages: `[{title, text}]`. */
export function showCode(place, pieces) {
  const open = pieces.findIndex(({ title }) => title === place.dataset.open);
  const pre = el("pre", { tabindex: 0 });
  const button = el("button", { type: "button", class: "plain", click: () => copy(pre.textContent, button) }, "Copy");
  const show = (title) => {
    place.dataset.open = title;
    pre.textContent = pieces.find((piece) => piece.title === title).text;
    pre.setAttribute("aria-label", `${title} lines`);
  };
  const shown = pieces[Math.max(open, 0)].title;
  const names = pieces.map(({ title }) => [title, title]);
  place.replaceChildren(
    el("div", { class: "code-head" }, choice(`${place.id}-in`, "Language", names, shown, show), button),
    pre,
  );
  show(shown);
}
