// JSON Web Signatures that are nearly right: what vectors/jws.json and the tables of claims say, made from keys of ours.
import assert from 'node:assert/strict';
import { createHash, createHmac } from 'node:crypto';
import fs from 'node:fs';
import { Key } from './citizens.mjs';
import { OTHER, der, numberOf, reversed, strangers, value, withBit, withSpareBits } from './vectors.mjs';

const encode = (text) => Buffer.from(text).toString('base64url');

// A family of the server's own keys, DIR/keys/NAME.key (crypto/answer_key.h): the one that signs, with its kid.
export function serverKey(site, name) {
  const lines = fs.readFileSync(site.at(`DIR/keys/${name}.key`), 'utf8').split('\n');
  const line = lines.find((each) => each.startsWith('current'));
  const seed = Buffer.from(line.split(/\s+/)[2], 'hex');
  const head = Buffer.from('302e020100300506032b657004220420', 'hex'); // RFC 8410, section 7
  const key = new Key('ed25519');
  key.takes(Buffer.concat([head, seed]));
  key.kid = createHash('sha256').update(`{"crv":"Ed25519","kty":"OKP","x":"${key.jwk.x}"}`).digest('base64url'); // RFC 7638
  return key;
}

// ---- JSON ------------------------------------------------------------------------------------------------------------

const escaped = (name) => `\\u${name.charCodeAt(0).toString(16).padStart(4, '0')}${name.slice(1)}`;
const member = (name, content) => `${JSON.stringify(name)}:${JSON.stringify(content)}`;
const before = (text, more) => `{${more},${text.slice(1)}`;
const behind = (text, more) => `${text.slice(0, -1)},${more}}`;

function changed(text, name, change) {
  const object = JSON.parse(text);
  return JSON.stringify({ ...object, [name]: change(object[name]) });
}

function firstOf(text) {
  const [name, content] = Object.entries(JSON.parse(text))[0];
  return { name, content, other: typeof content === 'string' ? `${content}x` : 0 };
}

// What becomes of a JSON object's text.
const JSON_TEXTS = {
  reversed: (text) => JSON.stringify(Object.fromEntries(Object.entries(JSON.parse(text)).reverse())),
  blanks: (text) => JSON.stringify(JSON.parse(text), null, 1),
  'byte order mark': (text) => `\ufeff${text}`,
  tail: (text) => `${text}{}`,
  comment: (text) => `/**/${text}`,
  comma: (text) => `${text.slice(0, -1)},}`,
  'single quotes': (text) => text.replaceAll('"', "'"),
  list: (text) => `[${text}]`,
  string: (text) => JSON.stringify(text),
  null: () => 'null',
  empty: () => '',
  'no members': () => '{}',
  'not UTF-8': (text) => Buffer.from(behind(text, '"x":"?"').replace('?', '\u00ff'), 'latin1'),
  deep: (text) => behind(text, `"x":${'['.repeat(60)}${']'.repeat(60)}`),
  'UTF-16': (text) => Buffer.from(text, 'utf16le'),
  nested: (text) => `${encode('{"alg":"none"}')}.${encode(text)}.`,
  long: (text) => behind(text, member('x', 'x'.repeat(3200))),
  'very long': (text) => behind(text, member('x', 'x'.repeat(7000))),
  unknown: (text) => behind(text, '"admin":true'),
  prototype: (text) => behind(text, '"__proto__":{"admin":true}'),
  'first again': (text) => behind(text, member(firstOf(text).name, firstOf(text).content)),
  'first other before': (text) => before(text, member(firstOf(text).name, firstOf(text).other)),
  'first other after': (text) => behind(text, member(firstOf(text).name, firstOf(text).other)),
  'first escaped': (text) => behind(text, `"${escaped(firstOf(text).name)}":${JSON.stringify(firstOf(text).content)}`),
  'exp again': (text) => behind(text, '"exp":4102444800'),
  'alg none first': (text) => before(text, '"alg":"none"'),
  'alg none last': (text) => behind(text, '"alg":"none"'),
  'alg again': (text) => behind(text, member('alg', JSON.parse(text).alg)),
  'alg escaped': (text) => behind(text, `"${escaped('alg')}":"none"`),
  'kid again': (text) => behind(text, member('kid', JSON.parse(text).kid)),
  'alg in lower case': (text) => changed(text, 'alg', (alg) => alg.toLowerCase()),
  'alg with a blank': (text) => changed(text, 'alg', (alg) => `${alg} `),
  'alg with NUL': (text) => changed(text, 'alg', (alg) => `${alg}\0`),
  'typ in upper case': (text) => changed(text, 'typ', (typ) => typ.toUpperCase()),
  'typ with application/': (text) => changed(text, 'typ', (typ) => `application/${typ}`),
  'kid with NUL': (text) => changed(text, 'kid', (kid) => `${kid}\0`),
  'kid and a character': (text) => changed(text, 'kid', (kid) => `${kid}A`),
  'kid cut': (text) => changed(text, 'kid', (kid) => kid.slice(0, -1)),
  'kid very long': (text) => changed(text, 'kid', (kid) => kid.repeat(100).slice(0, 2000)),
};

// ---- signing ---------------------------------------------------------------------------------------------------------

const HMAC_SECRETS = {
  spki: (key) => key.spki,
  pem: (key) => key.public.export({ type: 'spki', format: 'pem' }),
  raw: (key) => key.spki.subarray(key.kind === 'p256' ? -65 : -32),
  jwk: (key) => JSON.stringify(key.jwk),
  x: (key) => key.jwk.x,
  kid: (_, kid) => kid,
  empty: () => '',
};

function signed(how, parts, key, kid) {
  const text = parts.join('.');
  if (how.startsWith('hmac')) {
    const digest = how.startsWith('hmac512') ? 'sha512' : 'sha256';
    return createHmac(digest, HMAC_SECRETS[how.split(' ')[1]](key, kid)).update(text).digest();
  }
  return {
    key: () => key.sign(text),
    nothing: () => Buffer.alloc(0),
    stranger: () => strangers[key.kind].sign(text),
    payload: () => key.sign(parts[1]),
    decoded: () => key.sign(Buffer.concat(parts.map((part) => Buffer.from(part, 'base64url')))),
    dot: () => key.sign(`${text}.`),
    another: () => key.sign(`${parts[0]}.${encode('{}')}`),
    digest: () => key.sign(createHash('sha256').update(text).digest()),
  }[how]();
}

const bytesOf = (hex) => Buffer.from(hex, 'hex');
const half = (hex, which) => hex.slice(64 * which, 64 * which + 64);

const SIGNATURES = {
  cut: (hex) => bytesOf(hex.slice(0, -2)),
  'zero behind': (hex) => bytesOf(`${hex}00`),
  zeros: () => Buffer.alloc(64),
  ones: () => Buffer.alloc(64, 255),
  swapped: (hex) => bytesOf(half(hex, 1) + half(hex, 0)),
  bit: (hex) => bytesOf(withBit(hex, 77)),
  hex: (hex) => Buffer.from(hex),
  der: (hex) => bytesOf(der(half(hex, 0), half(hex, 1))),
  'r = n': (hex) => bytesOf(value('n') + half(hex, 1)),
  's = n': (hex) => bytesOf(half(hex, 0) + value('n')),
  'S + L': (hex) => bytesOf(half(hex, 0) + reversed(value('S+L', { S: numberOf(reversed(half(hex, 1))) }))),
  'small order': () => Buffer.concat([Buffer.from([1]), Buffer.alloc(63)]),
};

// ---- the compact form --------------------------------------------------------------------------------------------------

const PARTS = ['header', 'payload', 'signature'];
const PART_TEXTS = {
  padded: (part) => part.padEnd(Math.ceil(part.length / 4) * 4, '='),
  plus: (part) => `+${part.slice(1)}`,
  'spare bits': withSpareBits,
};

const COMPACT = {
  empty: () => '',
  'one part': (a) => a,
  'two parts': (a, b) => `${a}.${b}`,
  'four parts': (a, b, c) => `${a}.${b}.${c}.${c}`,
  'five parts': (a, b, c) => `${a}..${b}.${c}.${c}`,
  dots: () => '..',
  'dot before': (a, b, c) => `.${a}.${b}.${c}`,
  'dot behind': (a, b, c) => `${a}.${b}.${c}.`,
  'no header': (a, b, c) => `.${b}.${c}`,
  'no payload': (a, b, c) => `${a}..${c}`,
  flattened: (a, b, c) => JSON.stringify({ payload: b, protected: a, signature: c }),
  general: (a, b, c) => JSON.stringify({ payload: b, signatures: [{ protected: a, signature: c }] }),
  bearer: (a, b, c) => `Bearer ${a}.${b}.${c}`,
  quoted: (a, b, c) => `"${a}.${b}.${c}"`,
  percent: (a, b, c) => `${a}%2E${b}%2E${c}`,
  'blank before': (a, b, c) => ` ${a}.${b}.${c}`,
  'blank behind': (a, b, c) => `${a}.${b}.${c} `,
  'blank within': (a, b, c) => `${a}.${b} .${c}`,
  'line feed': (a, b, c) => `${a}.${b}.${c}\n`,
  NUL: (a, b, c) => `${a}.${b}.${c}\0`,
  'full width': (a, b, c) => `\uff45${a.slice(1)}.${b}.${c}`,
};

function compact(how, parts) {
  const [, name, what] = /^(header|payload|signature) (.*)$/.exec(how ?? '') ?? [];
  if (what !== undefined) return parts.map((part, i) => (PARTS[i] === name ? PART_TEXTS[what](part) : part)).join('.');
  return how === undefined ? parts.join('.') : COMPACT[how](...parts);
}

// ---- all of it -------------------------------------------------------------------------------------------------------

const ALGORITHMS = { p256: 'ES256', ed25519: 'EdDSA' };

// "{other}" in a header: what the surface has of another kind.
function headerOf(each, base, key, other) {
  const header = { ...base };
  for (const [name, content] of Object.entries(each.header ?? {})) {
    const stand = {
      '{other}': other[name], '{own}': key.jwk,
      '{stranger}': strangers[key.kind].jwk,
    };
    header[name] = typeof content === 'string' && content in stand ? stand[content] : content;
    assert.notEqual(header[name], undefined);
  }
  for (const name of each.without ?? []) delete header[name];
  return header;
}

// Blanks at the end, which JSON may have, until there are spare bits in the last character of the part.
function withRoom(text) {
  return Buffer.byteLength(text) % 3 === 0 ? `${text} ` : text;
}

// Whether a case says something about tokens of this key.
export const concerns = (each, key) => each.only === undefined || each.only === ALGORITHMS[key.kind];

// What a case of jws.json makes of { typ, kid }, claims and key; otherTyp: of another kind of token.
export function badJws(each, { typ, kid, claims, key, otherTyp }) {
  const other = { alg: ALGORITHMS[OTHER[key.kind]], typ: otherTyp };
  const header = headerOf(each, { alg: ALGORITHMS[key.kind], typ, kid }, key, other);
  const texts = [header, claims].map((object) => withRoom(JSON.stringify(object)));
  if (each.headerText !== undefined) texts[0] = JSON_TEXTS[each.headerText](texts[0].trim());
  if (each.payloadText !== undefined) texts[1] = JSON_TEXTS[each.payloadText](texts[1].trim());
  const parts = texts.map(encode);
  let signature = signed(each.sign ?? 'key', parts, key, kid);
  if (each.signature !== undefined) signature = SIGNATURES[each.signature](signature.toString('hex'));
  return compact(each.compact, [...parts, signature.toString('base64url')]);
}

// Claims of a case of a table of claims. words: what "{word}" in a text stands for.
export function badClaims(each, right, words) {
  const now = Math.floor(Date.now() / 1000);
  const fill = (content) => {
    if (typeof content === 'string') return content.replace(/\{([^}]+)\}/g, (_, word) => words[word] ?? assert.fail(word));
    if (Array.isArray(content)) return content.map(fill);
    if (content === null || typeof content !== 'object') return content;
    return Object.fromEntries(Object.entries(content).map(([name, value]) => [name, fill(value)]));
  };
  const claims = { ...right, ...fill(each.set ?? {}) };
  for (const [name, seconds] of Object.entries(each.seconds ?? {})) claims[name] = now + seconds;
  for (const name of each.without ?? []) delete claims[name];
  return claims;
}
