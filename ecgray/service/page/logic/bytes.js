// Bytes and what they stand for. No web API is used, so that every JavaScript engine runs this.

const LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const VALUES = new Uint8Array(128).fill(255);
for (let number = 0; number < 64; number += 1) VALUES[LETTERS.charCodeAt(number)] = number;

/** The bytes that a base64 text stands for. Throws where it is not base64. */
export function fromBase64(text) {
  const length = text.endsWith("==") ? text.length - 2 : text.endsWith("=") ? text.length - 1 : text.length;
  if (text.length % 4 || length % 4 === 1) throw new Error("This is not base64.");
  const bytes = new Uint8Array(Math.floor((length * 3) / 4));
  let held = 0;
  let bits = 0;
  let place = 0;
  for (let index = 0; index < length; index += 1) {
    const code = text.charCodeAt(index);
    const value = code < 128 ? VALUES[code] : 255;
    if (value === 255) throw new Error("This is not base64.");
    held = ((held << 6) | value) & 0xffffff;
    bits += 6;
    if (bits >= 8) {
      bits -= 8;
      bytes[place] = (held >> bits) & 255;
      place += 1;
    }
  }
  return bytes;
}

/** Bytes as base64. */
export function toBase64(bytes) {
  const parts = [];
  for (let start = 0; start < bytes.length; start += 3) {
    const three = (bytes[start] << 16) | ((bytes[start + 1] ?? 0) << 8) | (bytes[start + 2] ?? 0);
    const left = bytes.length - start;
    parts.push(
      LETTERS[three >> 18],
      LETTERS[(three >> 12) & 63],
      left > 1 ? LETTERS[(three >> 6) & 63] : "=",
      left > 2 ? LETTERS[three & 63] : "=",
    );
  }
  return parts.join("");
}

/** A text in UTF-8. A lone half of a surrogate pair becomes a question mark. */
export function utf8(text) {
  const bytes = [];
  for (const letter of text) {
    const code = letter.codePointAt(0);
    if (code < 0x80) bytes.push(code);
    else if (code < 0x800) bytes.push(0xc0 | (code >> 6), 0x80 | (code & 63));
    else if (code >= 0xd800 && code < 0xe000) bytes.push(63);
    else if (code < 0x10000) bytes.push(0xe0 | (code >> 12), 0x80 | ((code >> 6) & 63), 0x80 | (code & 63));
    else {
      const low = [0x80 | ((code >> 12) & 63), 0x80 | ((code >> 6) & 63), 0x80 | (code & 63)];
      bytes.push(0xf0 | (code >> 18), ...low);
    }
  }
  return Uint8Array.from(bytes);
}

/** Several byte arrays as one. */
export function joined(parts) {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let place = 0;
  for (const part of parts) {
    whole.set(part, place);
    place += part.length;
  }
  return whole;
}

const TABLE = new Uint32Array(256);
for (let byte = 0; byte < 256; byte += 1) {
  let rest = byte;
  for (let bit = 0; bit < 8; bit += 1) rest = rest & 1 ? (rest >>> 1) ^ 0xedb88320 : rest >>> 1;
  TABLE[byte] = rest >>> 0;
}

/** CRC-32 as zip files and PNG have it. */
export function crc32(bytes) {
  let sum = 0xffffffff;
  for (let index = 0; index < bytes.length; index += 1) sum = (sum >>> 8) ^ TABLE[(sum ^ bytes[index]) & 255];
  return (sum ^ 0xffffffff) >>> 0;
}
