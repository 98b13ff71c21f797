// How the page talks to the service: problems become errors with one sentence, a busy service is asked once more.

import { eventReader } from "../logic/sse.js";
import { byId, say } from "./dom.js";

const TOKEN = "ecgray-token";
const LONGEST_WAIT_S = 30;

/** What the service refuses with. `detail` is a sentence for the reader. */
export class Refused extends Error {
  constructor({ status = 0, code = "", detail = "", field = "" }) {
    super(detail || "The service does not answer.");
    Object.assign(this, { status, code, field });
  }
}

/** Whether a token was given in this tab. */
export function hasToken() {
  return Boolean(sessionStorage.getItem(TOKEN));
}

/** The service's own address, for lines that a reader copies. */
export function origin() {
  return new URL(".", document.baseURI).href.replace(/\/$/, "");
}

/** An answer as JSON. `body` is sent as JSON, or as it is where `type` names its media type. */
export async function ask(path, options = {}) {
  return (await send(path, options)).json();
}

/** The bare answer, of a status below 400; else `Refused`. */
export async function send(path, { body, type, accept = "application/json", signal, again = true } = {}) {
  const headers = { Accept: accept };
  const token = sessionStorage.getItem(TOKEN);
  if (token) headers.Authorization = `Bearer ${token}`;
  const options = { method: body === undefined ? "GET" : "POST", headers, signal, cache: "no-store" };
  if (body !== undefined) {
    headers["Content-Type"] = type ?? "application/json";
    options.body = type ? body : JSON.stringify(body);
  }
  let answer;
  try {
    answer = await fetch(new URL(path, document.baseURI), options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refused({ code: "unreachable", detail: "The service does not answer; is it still running?" });
  }
  if (answer.ok) return answer;
  const problem = await problemOf(answer);
  const rest = { body, type, accept, signal };
  if (problem.status === 401) {
    await newToken(problem);
    return send(path, rest);
  }
  const busy = problem.status === 429 || problem.status === 503;
  if (!busy || !again) throw problem;
  const wait_s = Math.min(Number(answer.headers.get("Retry-After")) || 1, LONGEST_WAIT_S);
  notice(`The service is busy; it is asked once more in ${wait_s} s.`);
  await pause(wait_s * 1000, signal);
  notice("");
  return send(path, { ...rest, again: false });
}

/** Events of a stream, one after the other; leaving the loop or aborting closes the connection. */
export async function* events(path, body, signal) {
  const answer = await send(path, { body, accept: "text/event-stream", signal });
  const letters = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  const reader = eventReader();
  try {
    for (;;) {
      const { value, done } = await letters.read();
      if (done) return;
      for (const { event, data } of reader.feed(value)) yield { event, data: JSON.parse(data) };
    }
  } finally {
    letters.cancel().catch(() => {});
  }
}

async function problemOf(answer) {
  try {
    const document = await answer.json();
    return new Refused({ ...document, status: answer.status });
  } catch {
    return new Refused({ status: answer.status, detail: `The service answered with status ${answer.status}.` });
  }
}

function pause(ms, signal) {
  return new Promise((done, failed) => {
    const timer = setTimeout(done, ms);
    signal?.addEventListener("abort", () => {
      clearTimeout(timer);
      failed(new DOMException("given up", "AbortError"));
    });
  });
}

let asking = null;

/** Wait until the reader has given a token; several requests wait for the same one. */
function newToken(problem) {
  asking ??= new Promise((done) => {
    const form = byId("token");
    form.hidden = false;
    byId("token-text").focus();
    if (problem.code === "token_wrong") say(problem.message);
    form.querySelector("label").textContent =
      problem.code === "token_wrong" ? "That was not the token of this service" : "This service asks for a token";
    form.onsubmit = (event) => {
      event.preventDefault();
      sessionStorage.setItem(TOKEN, byId("token-text").value.trim());
      byId("token-text").value = "";
      form.hidden = true;
      asking = null;
      done();
    };
  });
  return asking;
}

/** Show what went wrong, with buttons for what can be done about it; the focus moves there. */
export function complain(error, ...actions) {
  if (error.name === "AbortError") return;
  const place = byId("problem");
  place.className = "problem";
  const close = document.createElement("button");
  close.type = "button";
  close.className = "plain";
  close.textContent = "Close";
  close.addEventListener("click", calm);
  const sentence = document.createElement("p");
  sentence.textContent = error.message || String(error);
  place.replaceChildren(sentence, ...actions, close);
  place.hidden = false;
  place.focus();
}

/** Show a passing word in the same place; an empty one takes it away. */
export function notice(words) {
  const place = byId("problem");
  place.className = "problem passing";
  place.textContent = words;
  place.hidden = !words;
}

/** Take the complaint away. */
export function calm() {
  byId("problem").hidden = true;
}
