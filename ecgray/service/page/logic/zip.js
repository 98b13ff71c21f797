// A zip file without compression: what holds a WFDB record's two files together.

import { crc32, joined, utf8 } from "./bytes.js";

const UTF8_NAMES = 0x0800;
const FIRST_DAY = 0x0021; // 1 January 1980: the same files give the same bytes

/** Numbers as little-endian bytes, given as pairs of value and width. */
function little(...pairs) {
  const bytes = [];
  for (const [value, width] of pairs) {
    for (let place = 0; place < width; place += 1) bytes.push(Math.floor(value / 2 ** (8 * place)) & 255);
  }
  return Uint8Array.from(bytes);
}

/** A zip of `[{name, bytes}, ...]`, stored as they are. */
export function zip(files) {
  const bodies = [];
  const directory = [];
  let offset = 0;
  for (const { name, bytes } of files) {
    const title = utf8(name);
    const shared = [
      [20, 2],
      [UTF8_NAMES, 2],
      [0, 2],
      [0, 2],
      [FIRST_DAY, 2],
    ];
    const sizes = [
      [crc32(bytes), 4],
      [bytes.length, 4],
      [bytes.length, 4],
      [title.length, 2],
      [0, 2],
    ];
    const local = joined([little([0x04034b50, 4], ...shared, ...sizes), title, bytes]);
    const rest = [
      [0, 2],
      [0, 2],
      [0, 2],
      [0, 4],
      [offset, 4],
    ];
    directory.push(joined([little([0x02014b50, 4], [20, 2], ...shared, ...sizes, ...rest), title]));
    bodies.push(local);
    offset += local.length;
  }
  const listed = joined(directory);
  const counts = [
    [0, 2],
    [0, 2],
    [files.length, 2],
    [files.length, 2],
  ];
  const end = little([0x06054b50, 4], ...counts, [listed.length, 4], [offset, 4], [0, 2]);
  return joined([...bodies, listed, end]);
}
