// Files that were dropped or chosen, put together to recordings.

import { endingOf } from "./requests.js";

const SINGLE = ["zip", "npy", "csv", "tsv", "txt", "edf"];

/** The signal files that a WFDB header names. The service reads it properly and says what is wrong with it. */
export function namedFiles(header) {
  const lines = header.split(/\r?\n|\r/).filter((line) => line.trim() && !line.trimStart().startsWith("#"));
  const names = lines.slice(1).map((line) => line.trim().split(/\s+/)[0]);
  return [...new Set(names)].filter((name) => !/[\\/]/.test(name) && name !== "~");
}

/**
 * Recordings of files `[{name, header}]` (header: a .hea's text): `{recordings: [{title, kind, places}], problems}`.
 * A place is an index into the list. A header takes the files that it names, by any case of letters.
 */
export function grouped(files) {
  const taken = new Set();
  const recordings = [];
  const problems = [];
  files.forEach(({ name, header }, place) => {
    if (endingOf(name) !== "hea") return;
    taken.add(place);
    const signals = namedFiles(header ?? "");
    const found = signals.map((wanted) =>
      files.findIndex((file) => file.name.toLowerCase() === wanted.toLowerCase()),
    );
    const lacking = signals.filter((_, number) => found[number] < 0);
    const title = name.slice(0, -4);
    if (lacking.length)
      problems.push(`${name} names ${lacking.join(", ")}, which was not chosen: choose them together.`);
    else {
      found.forEach((each) => taken.add(each));
      recordings.push({ title, kind: "files", places: [place, ...found.filter((each) => each !== place)] });
    }
  });
  files.forEach(({ name }, place) => {
    if (taken.has(place)) return;
    const ending = endingOf(name);
    if (SINGLE.includes(ending)) recordings.push({ title: name, kind: "file", places: [place] });
    else if (["dat", "mat", "d"].includes(ending)) {
      if (!problems.length) problems.push(`${name} has no header: choose its .hea file together with it.`);
    } else problems.push(`${name} is none of .hea with .dat, .zip, .npy, .csv or .edf.`);
  });
  return { recordings, problems };
}
