// Public keys that are none: refused when they are registered, and worth nothing when an import or an event has brought
// them.
import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { test } from 'node:test';
import { AS_DER, Citizen, Key } from './citizens.mjs';
import { Client, assertProblem } from './client.mjs';
import { authenticate, byCard, byDevice, login, untilAttemptsAreTaken } from './flows.mjs';
import { Site, together } from './site.mjs';
import { FORGED, badKey, table } from './vectors.mjs';

const LANES = 8; // people at a time
const cases = table('public_key');
const an = new Citizen();

// Somebody whose device and card have the key of a case, in the register already.
function withKeyOf(each) {
  const citizen = new Citizen();
  const text = badKey(each).der.toString('base64url');
  citizen.account.devices[0].public_key = text;
  citizen.record = { card: { ...citizen.toRecord().card, public_key: text } };
  return { each, citizen };
}

const imported = cases.filter((each) => each.imported).map(withKeyOf);
const site = await Site.make([an, ...imported.map(({ citizen }) => citizen)]);
const portal = new Client(site, site.files('portal'));
const backend = new Client(site, site.files('backend'));
const register = new Client(site, site.files('register'));
await untilAttemptsAreTaken(portal, an, 'portal');

const refused = (answer) => assertProblem(answer, 401, 'authentication_failed');

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

async function tries(citizen, sign) {
  const device = await byDevice(portal, citizen, 'portal', sign);
  refused(await authenticate(portal, citizen, 'portal', 'portal.login', device));
  const card = await byCard(portal, citizen, 'portal', sign);
  refused(await authenticate(portal, citizen, 'portal', 'portal.login', card));
}

test('what is signed with such a key of the register never counts', async () => {
  await together(imported, LANES, async ({ citizen }) => {
    await tries(citizen, (text) => citizen.device.sign(text).toString('base64url'));
    await tries(citizen, () => FORGED);
  });
});

// With right keys the same people are let in: it was the key, and no wait.
test('a key that is one puts an end to it', async () => {
  await together(imported, LANES, async ({ each, citizen }) => {
    const { id, deviceId } = citizen;
    const key = { public_key: citizen.device.spki.toString('base64url'), evidence: 'in_person' };
    assert.equal((await backend.post('/v1/accounts/devices/remove', { id, device_id: deviceId })).status, 200, each.name);
    assert.equal((await backend.post('/v1/accounts/devices/add', { id, device_id: deviceId, ...key })).status, 200, each.name);
    await login(portal, citizen, 'portal');
  });
});

test('a card with such a key comes by an event and opens nothing', async () => {
  const given = (i, key) => ({
    event_id: `card-${i}`, type: 'card_issued', id: imported[i].citizen.id, at: new Date().toISOString(),
    data: { issued_on: '2026-01-01', expires_on: '2099-01-01', public_key: key.toString('base64url') },
  });
  const keys = cases.filter((each) => each.forged).map((each) => badKey(each).der);
  keys.push(imported[keys.length].citizen.card.spki); // a right one
  const told = await register.lines('/v1/events', keys.map((key, i) => given(i, key)));
  assert.equal(told.text.match(/"status":"applied"/g)?.length, keys.length, told.text);
  for (let i = 0; i < keys.length - 1; i += 1) {
    const forged = await byCard(portal, imported[i].citizen, 'portal', () => FORGED);
    refused(await authenticate(portal, imported[i].citizen, 'portal', 'portal.login', forged));
  }
  const { citizen } = imported[keys.length - 1];
  const right = await byCard(portal, citizen, 'portal');
  assert.equal((await authenticate(portal, citizen, 'portal', 'portal.login', right)).status, 200);
});

test('the server ends in order', () => site.stop());
