// Negative vectors: tables of what must be refused (vectors/*.json), and how they are made of what is right.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import { Key } from './citizens.mjs';

// Every case has a class that the table explains, and a name of its own.
export function table(name) {
  const { classes, cases } = JSON.parse(fs.readFileSync(new URL(`vectors/${name}.json`, import.meta.url), 'utf8'));
  assert.deepEqual([...new Set(cases.map((each) => each.class))].sort(), Object.keys(classes).sort());
  assert.equal(new Set(cases.map((each) => each.name)).size, cases.length);
  return cases;
}

// Tries every case; tells all that went wrong and not only the first.
export async function everyCase(cases, step) {
  const wrong = [];
  for (const each of cases) {
    try {
      await step(each);
    } catch (error) {
      wrong.push(`${each.class}, ${each.name}: ${error.message}`);
    }
  }
  assert.deepEqual(wrong, []);
}

// ---- numbers and bytes ---------------------------------------------------------------------------------------------

const CONSTANTS = { // P-256 (SP 800-186) and Ed25519 (RFC 8032)
  n: 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n,
  p: 0xffffffff00000001000000000000000000000000ffffffffffffffffffffffffn,
  gx: 0x6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296n,
  L: 0x1000000000000000000000000000000014def9dea2f79cd65812631a5cf5d3edn,
};

export const numberOf = (hex) => BigInt(`0x${hex}`);
export const reversed = (hex) => Buffer.from(hex, 'hex').reverse().toString('hex');

// "n-s": sums and differences of names and numbers; as 32 bytes, big-endian.
export function value(text, names) {
  const known = { ...CONSTANTS, ...names };
  const sum = text.match(/[+-]?[^+-]+/g).reduce((total, part) => {
    const word = part.replace(/^[+-]/, '');
    const number = known[word] ?? BigInt(word);
    return part[0] === '-' ? total - number : total + number;
  }, 0n);
  assert.ok(sum >= 0n && sum < 1n << 256n, `${text} does not fit`);
  return sum.toString(16).padStart(64, '0');
}

export function withBit(hex, bit) {
  const bytes = Buffer.from(hex, 'hex');
  bytes[bit >> 3] ^= 1 << (bit & 7);
  return bytes.toString('hex');
}

// Hexadecimal digits with {names} of parts in them; every name must be known.
function fill(template, parts) {
  const hex = template.replace(/\{([^}]+)\}/g, (_, name) => {
    if (name === 'zeros 64') return '00'.repeat(64);
    assert.ok(name in parts, `no part ${name}`);
    return parts[name];
  });
  assert.match(hex, /^([0-9a-f]{2})*$/, template);
  return Buffer.from(hex, 'hex');
}

// ---- texts -----------------------------------------------------------------------------------------------------------

const DIGITS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';

export function withSpareBits(text) {
  assert.notEqual(text.length % 4, 0);
  return text.slice(0, -1) + DIGITS[DIGITS.indexOf(text.at(-1)) | 1];
}

// What may stand where base64url of these bytes is asked.
const TEXTS = {
  usual: (bytes) => bytes.toString('base64url'),
  padded: (bytes) => bytes.toString('base64url').padEnd(Math.ceil(bytes.length / 3) * 4, '='),
  'half padded': (bytes) => `${bytes.toString('base64url')}=`,
  'other alphabet': (bytes) => bytes.toString('base64url').replace(/^../, '/+'),
  'spare bits': (bytes) => withSpareBits(bytes.toString('base64url')),
  blank: (bytes) => `${bytes.toString('base64url')} `,
  'line feed': (bytes) => bytes.toString('base64url').replace(/^.{40}/, '$&\n'),
  hex: (bytes) => bytes.toString('hex'),
  pem: (bytes) => `-----BEGIN PUBLIC KEY-----\n${bytes.toString('base64')}\n-----END PUBLIC KEY-----\n`,
  jwk: (bytes) => {
    const [x, y] = [bytes.subarray(-64, -32), bytes.subarray(-32)].map((part) => part.toString('base64url'));
    return { kty: 'EC', crv: 'P-256', x, y };
  },
  long: (bytes) => bytes.toString('base64url').repeat(50),
  empty: () => '',
  null: () => null,
  list: (bytes) => [...bytes],
};

// ---- signatures ------------------------------------------------------------------------------------------------------

const digestOf = (name, text) => createHash(name).update(text).digest();
const MESSAGES = {
  challenge: (text) => text,
  sha256: (text) => digestOf('sha256', text),
  sha512: (text) => digestOf('sha512', text),
  decoded: (text) => Buffer.from(text, 'base64url'),
  'with line feed': (text) => `${text}\n`,
  shortened: (text) => text.slice(0, -1),
  another: (text) => [...text].reverse().join(''),
  empty: () => '',
};

export const strangers = { p256: new Key('p256'), ed25519: new Key('ed25519') };
export const OTHER = { p256: 'ed25519', ed25519: 'p256' };

function signerOf(which, key, hisOther) {
  if (which === undefined) return key;
  return { stranger: strangers[key.kind], 'other kind': strangers[OTHER[key.kind]], 'his other': hisOther }[which];
}

// r and s as a DER sequence.
export function der(...numbers) {
  const integers = numbers.map((hex) => {
    const short = hex.replace(/^(00)+(?=..)/, '');
    const positive = Number.parseInt(short.slice(0, 2), 16) > 127 ? `00${short}` : short;
    return `02${(positive.length / 2).toString(16).padStart(2, '0')}${positive}`;
  }).join('');
  return `30${(integers.length / 2).toString(16).padStart(2, '0')}${integers}`;
}

function p256Parts(each, raw) {
  const right = { r: numberOf(raw.slice(0, 64)), s: numberOf(raw.slice(64)) };
  const r = value(each.r ?? 'r', right);
  const s = value(each.s ?? 's', right);
  return {
    r, s, usual: r + s, 'raw 63': (r + s).slice(0, 126), der: der(r, s), 'der 64': der(r, s).slice(0, 128),
    'r reversed': reversed(r), 's reversed': reversed(s),
  };
}

function ed25519Parts(each, raw, text) {
  const S = reversed(value(each.S ?? 'S', { S: numberOf(reversed(raw.slice(64))) }));
  const R = each.R ?? raw.slice(0, 64);
  return {
    R, S, usual: R + S, 'raw 63': (R + S).slice(0, 126), 'raw 18': (R + S).slice(0, 36), 'S reversed': reversed(S),
    'S with bit 255': withBit(S, 255), 'S with bit 253': withBit(S, 253), 'R with bit 255': withBit(R, 255),
    challenge: Buffer.from(text).toString('hex'),
  };
}

// What a case makes of the signature of a challenge by this key; hisOther: another one of the same person.
export function badSignature(each, key, hisOther, text) {
  const message = MESSAGES[each.message ?? 'challenge'](text);
  const raw = signerOf(each.key, key, hisOther).sign(message, each.digest).toString('hex');
  const parts = key.kind === 'p256' ? p256Parts(each, raw) : ed25519Parts(each, raw, text);
  return TEXTS[each.text ?? 'usual'](fill(each.bytes ?? '{usual}', parts));
}

// ---- keys ------------------------------------------------------------------------------------------------------------

// DER and what is sent in its place; each case has points of its own, since no key may be registered twice.
export function badKey(each) {
  const point = new Key('p256').spki.toString('hex').slice(-128);
  const ed = new Key('ed25519').spki.toString('hex').slice(-64);
  const [x, y] = [point.slice(0, 64), point.slice(64)];
  const parts = { x, y, ed, 'y+1': value('y+1', { y: numberOf(y) }), 'y 31': y.slice(0, 62), 'ed 31': ed.slice(0, 62) };
  const bytes = fill(each.der, parts);
  return { der: bytes, text: TEXTS[each.text ?? 'usual'](bytes) };
}
