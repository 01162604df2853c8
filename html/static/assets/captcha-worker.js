// Proof of work in a Web Worker: for each part, a number so that the SHA-256 of
// `{id}.{part}.{number}` begins with enough zero bits. Our own SHA-256, because
// the browser's is asynchronous and exists only on https; it handles texts of one block,
// which is all that is needed.

const K = new Int32Array(64);
const FIRST = new Int32Array(8);
constants();
const w = new Int32Array(64);
const block = new Uint8Array(64);

onmessage = ({ data: { id, parts, bits } }) => {
  const work = [];
  for (let part = 0; part < parts; part += 1) {
    work.push(search(`${id}.${part}.`, bits));
    postMessage({ done: part + 1, of: parts });
  }
  postMessage({ work });
};

function search(prefix, bits) {
  const start = prefix.length;
  block.fill(0);
  for (let i = 0; i < start; i += 1) block[i] = prefix.charCodeAt(i);
  const firstWord = start >> 2;
  for (let i = 0; i < firstWord; i += 1) load(i);
  for (let number = 0; ; number += 1) {
    const digits = String(number);
    let end = start;
    for (let i = 0; i < digits.length; i += 1) block[end++] = digits.charCodeAt(i);
    block[end] = 0x80;
    block[62] = (end * 8) >> 8;
    block[63] = end * 8;
    for (let i = firstWord; i < 16; i += 1) load(i);
    if (firstOf(w) >>> (32 - bits) === 0) return number;
  }
}

function load(i) {
  const at = i * 4;
  w[i] = (block[at] << 24) | (block[at + 1] << 16) | (block[at + 2] << 8) | block[at + 3];
}

/** The first 32 bits of the digest of the block in `w`. */
function firstOf() {
  for (let i = 16; i < 64; i += 1) {
    const x = w[i - 15];
    const y = w[i - 2];
    const s0 = ((x >>> 7) | (x << 25)) ^ ((x >>> 18) | (x << 14)) ^ (x >>> 3);
    const s1 = ((y >>> 17) | (y << 15)) ^ ((y >>> 19) | (y << 13)) ^ (y >>> 10);
    w[i] = (w[i - 16] + s0 + w[i - 7] + s1) | 0;
  }
  let a = FIRST[0];
  let b = FIRST[1];
  let c = FIRST[2];
  let d = FIRST[3];
  let e = FIRST[4];
  let f = FIRST[5];
  let g = FIRST[6];
  let h = FIRST[7];
  for (let i = 0; i < 64; i += 1) {
    const s1 = ((e >>> 6) | (e << 26)) ^ ((e >>> 11) | (e << 21)) ^ ((e >>> 25) | (e << 7));
    const t1 = (h + s1 + ((e & f) ^ (~e & g)) + K[i] + w[i]) | 0;
    const s0 = ((a >>> 2) | (a << 30)) ^ ((a >>> 13) | (a << 19)) ^ ((a >>> 22) | (a << 10));
    const t2 = (s0 + ((a & b) ^ (a & c) ^ (b & c))) | 0;
    h = g;
    g = f;
    f = e;
    e = (d + t1) | 0;
    d = c;
    c = b;
    b = a;
    a = (t1 + t2) | 0;
  }
  return (FIRST[0] + a) | 0;
}

/** Fractions of the roots of the first primes (FIPS 180-4, 4.2.2 and 5.3.3). */
function constants() {
  const fraction = (x) => ((x - Math.floor(x)) * 2 ** 32) | 0;
  let found = 0;
  for (let n = 2; found < 64; n += 1) {
    let prime = true;
    for (let k = 2; k * k <= n; k += 1) if (n % k === 0) prime = false;
    if (!prime) continue;
    if (found < 8) FIRST[found] = fraction(n ** (1 / 2));
    K[found] = fraction(n ** (1 / 3));
    found += 1;
  }
}
