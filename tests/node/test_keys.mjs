// Public keys that are none: refused when they are registered, imported or told of, by the member they stand in.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { generateKeyPairSync } from 'node:crypto';
import fs from 'node:fs';
import { test } from 'node:test';
import { AS_DER, Citizen, Key } from './citizens.mjs';
import { Client, assertProblem } from './client.mjs';
import { authenticate, byCard, untilAttemptsAreTaken } from './flows.mjs';
import { Site } from './site.mjs';
import { badKey, table } from './vectors.mjs';

const cases = table('public_key');
const an = new Citizen();
const site = await Site.make([an]);
const portal = new Client(site, site.files('portal'));
const backend = new Client(site, site.files('backend'));
const register = new Client(site, site.files('register'));
await untilAttemptsAreTaken(portal, an, 'portal');

test('no device is registered with a key that is none', async () => {
  for (const each of cases) {
    const device = { id: an.id, device_id: 'second' };
    const { text } = badKey(each);
    const answer = await backend.post('/v1/accounts/devices/add', { ...device, public_key: text, evidence: 'in_person' });
    if (each.status === 200) {
      assert.equal(answer.status, 200, `${each.name}: ${answer.text}`);
      assert.equal((await backend.post('/v1/accounts/devices/remove', device)).status, 200);
    } else {
      assertProblem(answer, 400, 'invalid_request');
      assert.deepEqual(answer.json.errors.map((error) => error.pointer), ['/public_key'], each.name);
    }
  }
});

test('a key of RSA, of another curve or a private one is none', async () => {
  const keys = [
    generateKeyPairSync('rsa', { modulusLength: 2048, ...AS_DER }).publicKey,
    generateKeyPairSync('ec', { namedCurve: 'P-384', ...AS_DER }).publicKey,
    generateKeyPairSync('ec', { namedCurve: 'secp256k1', ...AS_DER }).publicKey,
    generateKeyPairSync('x25519', AS_DER).publicKey,
    generateKeyPairSync('ed448', AS_DER).publicKey,
    generateKeyPairSync('ec', { namedCurve: 'P-256', paramEncoding: 'explicit', ...AS_DER }).publicKey,
    new Key('p256').private.export({ type: 'pkcs8', format: 'der' }),
    new Key('ed25519').private.export({ type: 'pkcs8', format: 'der' }),
  ];
  for (const key of keys) {
    const answer = await backend.post('/v1/accounts/devices/add', {
      id: an.id, device_id: 'second', public_key: key.toString('base64url'), evidence: 'in_person',
    });
    assertProblem(answer, 400, 'invalid_request');
  }
});

// Each as the key of a card, and of a device; those that are right are in the table as well.
function importOf(place) {
  const file = site.at(`${place}.ndjson`);
  const rejects = site.at(`${place}-rejects.ndjson`);
  const people = cases.map((each) => {
    const record = new Citizen().toRecord();
    (place === 'card' ? record.card : record.account.devices[0]).public_key = badKey(each).text;
    return `${JSON.stringify(record)}\n`;
  });
  fs.writeFileSync(file, people.join(''));
  const done = spawnSync(process.env.XT_XACTHUC, ['import', site.folder, file, '--rejects', rejects], { encoding: 'utf8' });
  assert.equal(done.status, 1, done.stderr);
  return fs.readFileSync(rejects, 'utf8').trim().split('\n').map((line) => JSON.parse(line));
}

test('no import brings a key that is none', () => {
  for (const [place, pointer] of [['card', '/card/public_key'], ['device', '/account/devices/0/public_key']]) {
    const told = importOf(place);
    const wrong = cases.flatMap((each, i) => (each.status === 200 ? [] : [i + 1]));
    assert.deepEqual(told.map((reject) => reject.line), wrong);
    for (const reject of told) {
      assert.equal(reject.pointer, pointer);
      if (reject.code === 'bad_key') assert.match(reject.hint, /SubjectPublicKeyInfo/);
      else assert.ok(['empty', 'too_long', 'wrong_type'].includes(reject.code), reject.code);
    }
  }
});

test('no event brings a card with a key that is none', async () => {
  const given = (each, i) => ({
    event_id: `card-${i}`, type: 'card_issued', id: an.id, at: new Date().toISOString(),
    data: { issued_on: '2026-01-01', expires_on: '2099-01-01', public_key: badKey(each).text },
  });
  const wrong = cases.filter((each) => each.status !== 200);
  const told = await register.lines('/v1/events', wrong.map(given));
  const lines = told.text.trim().split('\n').map((line) => JSON.parse(line));
  assert.equal(lines.at(-1).summary.errors, wrong.length);
  for (const [i, each] of wrong.entries()) {
    assert.equal(lines[i].code, 'invalid_event', each.name);
    assert.deepEqual(lines[i].errors.map((error) => error.pointer), ['/data/public_key'], each.name);
  }
  const answer = await authenticate(portal, an, 'portal', 'portal.login', await byCard(portal, an, 'portal'));
  assert.equal(answer.status, 200); // he has his card still
});

test('the server ends in order', () => site.stop());
