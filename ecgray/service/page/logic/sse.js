// Server-sent events out of a stream of text, however it is cut into pieces.

/** A reader: `feed(text)` gives the events `{event, data}` that are complete by now. */
export function eventReader() {
  let held = "";
  let name = "";
  let data = [];

  function line(text, found) {
    if (text === "") {
      if (data.length) found.push({ event: name || "message", data: data.join("\n") });
      name = "";
      data = [];
      return;
    }
    const colon = text.indexOf(":");
    const field = colon < 0 ? text : text.slice(0, colon);
    const value = colon < 0 ? "" : text.slice(colon + 1).replace(/^ /, "");
    if (field === "event") name = value;
    else if (field === "data") data.push(value);
  }

  return {
    feed(text) {
      const found = [];
      held += text;
      for (;;) {
        const end = held.search(/[\r\n]/);
        // a CR at the very end may be the first half of a CR LF
        if (end < 0 || (held[end] === "\r" && end === held.length - 1)) return found;
        const next = held[end] === "\r" && held[end + 1] === "\n" ? end + 2 : end + 1;
        line(held.slice(0, end), found);
        held = held.slice(next);
      }
    },
  };
}
