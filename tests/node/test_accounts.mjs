// Accounts from their beginning: levels, devices, passcodes, locks; and what they are good for then.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Citizen, Key } from './citizens.mjs';
import { Client, assertProblem } from './client.mjs';
import { authenticate, byCard, byDevice, byPasscode, login, untilAttemptsAreTaken } from './flows.mjs';
import { Site } from './site.mjs';
import { introspect } from './tokens.mjs';

const PASSCODE = 'mật khẩu 1';
const an = new Citizen();
const binh = new Citizen({ account: false }); // becomes one of level 1, then 2
const chi = new Citizen({ account: false });
const nobody = new Citizen();
const site = await Site.make([an, binh, chi]);
const portal = new Client(site, site.files('portal'));
const backend = new Client(site, site.files('backend'));
await untilAttemptsAreTaken(portal, an, 'portal');

const change = (what, citizen, members) => backend.post(`/v1/accounts/${what}`, { id: citizen.id, ...members });

async function changed(what, citizen, members) {
  const answer = await change(what, citizen, members);
  assert.equal(answer.status, 200, answer.text);
  return answer.json;
}

async function refused(citizen, ...factors) {
  const answer = await authenticate(portal, citizen, 'portal', 'portal.login', ...factors);
  assertProblem(answer, 401, 'authentication_failed');
}

const device = (citizen) => ({ device_id: citizen.deviceId, public_key: citizen.device.spki.toString('base64url') });

test('an account begins at level 1, is raised, and never lowered', async () => {
  await refused(binh, await byCard(portal, binh, 'portal'));
  assert.equal((await changed('activate', binh, { level: 1 })).level, 1);
  assertProblem(await change('activate', binh, { level: 1 }), 409, 'already_active');
  const raised = await changed('activate', binh, { level: 2 });
  assert.deepEqual([raised.level, raised.locks, raised.devices, raised.passcode], [2, [], 0, false]);
  assertProblem(await change('activate', binh, { level: 1 }), 409, 'already_active');
  const answer = await authenticate(portal, binh, 'portal', 'portal.login', await byCard(portal, binh, 'portal'));
  assert.equal(answer.status, 200, answer.text);
});

test('a device is added by who was there, then by a factor he has', async () => {
  await changed('activate', chi, { level: 2 });
  await refused(chi, await byDevice(portal, chi, 'portal'));
  const added = await changed('devices/add', chi, { ...device(chi), evidence: 'in_person' });
  assert.equal(added.devices, 1);
  await login(portal, chi, 'portal');
  assertProblem(await change('devices/add', chi, { ...device(chi), evidence: 'in_person' }), 409, 'device_known');

  const second = Object.assign(Object.create(chi), { deviceId: 'tablet', device: new Key('ed25519') });
  const proof = await byDevice(backend, chi, 'accounts');
  assert.equal((await changed('devices/add', chi, { ...device(second), factors: [proof] })).devices, 2);
  await login(portal, second, 'portal');
  const third = { device_id: 'watch', public_key: new Key('p256').spki.toString('base64url') };
  assertProblem(await change('devices/add', chi, { ...third, factors: [proof] }), 401, 'authentication_failed');
  const toLogIn = await byDevice(backend, chi, 'portal'); // was signed for something else
  assertProblem(await change('devices/add', chi, { ...third, factors: [toLogIn] }), 401, 'authentication_failed');
  assertProblem(await change('devices/add', chi, third), 400, 'invalid_request');

  assert.equal((await changed('devices/remove', chi, { device_id: 'tablet' })).devices, 1);
  await refused(second, await byDevice(portal, second, 'portal'));
  await login(portal, chi, 'portal');
  assertProblem(await change('devices/remove', chi, { device_id: 'tablet' }), 409, 'device_unknown');
});

test('a device that a biometric unlocks is level 3, and takes level 3 or him in person', async () => {
  const [first, second] = ['face', 'finger'].map((deviceId) => Object.assign(Object.create(binh), { deviceId, device: new Key('p256') }));
  const unlocked = { ...device(second), unlocked_by: 'fingerprint' };
  const byHisCard = await change('devices/add', binh, { ...unlocked, factors: [await byCard(backend, binh, 'accounts')] });
  assertProblem(byHisCard, 403, 'level_too_low');
  assertProblem(await change('devices/add', binh, { ...unlocked, unlocked_by: 'voice', evidence: 'in_person' }), 400, 'invalid_request');
  await changed('devices/add', binh, { ...device(first), unlocked_by: 'face', evidence: 'in_person' });
  const { acr, amr } = await login(portal, first, 'portal');
  assert.deepEqual([acr, amr], ['3', ['pop', 'face', 'mfa']]);
  const proof = await byDevice(backend, first, 'accounts');
  assert.equal((await changed('devices/add', binh, { ...unlocked, factors: [proof] })).devices, 2);
  const signed = await authenticate(portal, binh, 'portal', 'portal.sign', await byDevice(portal, second, 'portal'));
  assert.deepEqual([signed.status, signed.json.acr, signed.json.amr], [200, '3', ['pop', 'fpt', 'mfa']], signed.text);
  // The same key without it is something possessed, and no more.
  await changed('devices/remove', binh, { device_id: 'face' });
  await changed('devices/add', binh, { ...device(first), evidence: 'in_person' });
  assert.deepEqual((await login(portal, first, 'portal')).amr, ['pop']);
});

test('a passcode is set, is a factor, and is changed by who knows the old one', async () => {
  await refused(an, byPasscode(PASSCODE));
  assert.equal((await changed('passcode', an, { passcode: PASSCODE, evidence: 'in_person' })).passcode, true);
  const first = await byDevice(portal, an, 'portal');
  const both = await authenticate(portal, an, 'portal', 'portal.pay', byPasscode(PASSCODE), first);
  assert.deepEqual([both.status, both.json.acr], [200, '2'], both.text);
  const next = { passcode: `${PASSCODE}2` };
  const wrong = await change('passcode', an, { ...next, factors: [byPasscode('not the old one')] });
  assertProblem(wrong, 401, 'authentication_failed');
  await changed('passcode', an, { ...next, factors: [byPasscode(PASSCODE)] });
  await refused(an, byPasscode(PASSCODE));
  assert.equal((await authenticate(portal, an, 'portal', 'portal.login', byPasscode(next.passcode))).status, 200);
  assertProblem(await change('passcode', an, { passcode: '12345', evidence: 'in_person' }), 400, 'invalid_request');
});

test('an account works again when its last lock is gone', async () => {
  const { access_token: token } = await login(portal, an, 'portal');
  await changed('lock', an, { reason: 'holder' });
  const locked = await changed('lock', an, { reason: 'breach' });
  assert.deepEqual(locked.locks.map((lock) => [lock.reason, lock.actor]), [['holder', 'backend'], ['breach', 'backend']]);
  assert.ok(locked.locks.every((lock) => Math.abs(Date.now() - Date.parse(lock.at)) < 60000));
  assertProblem(await change('lock', an, { reason: 'holder' }), 409, 'already_locked');
  await refused(an, await byDevice(portal, an, 'portal'));
  assert.equal((await introspect(portal, token)).active, false);
  await changed('unlock', an, { reason: 'holder' });
  await refused(an, await byDevice(portal, an, 'portal'));
  assert.deepEqual((await changed('unlock', an, { reason: 'breach' })).locks, []);
  assertProblem(await change('unlock', an, { reason: 'breach' }), 409, 'not_locked');
  await login(portal, an, 'portal');
  assert.equal((await introspect(portal, token)).active, true);
});

test('who may not, and who is nobody, is told', async () => {
  const answer = await portal.post('/v1/accounts/lock', { id: an.id, reason: 'holder' });
  assertProblem(answer, 403, 'endpoint_not_permitted');
  assertProblem(await change('lock', nobody, { reason: 'holder' }), 409, 'unknown_person');
  assertProblem(await change('lock', an, { reason: 'death' }), 400, 'invalid_request');
  assertProblem(await change('activate', an, { level: 3 }), 400, 'invalid_request');
  await login(portal, an, 'portal');
});

test('the server ends in order, and its log names nobody', async () => {
  await site.stop();
  for (const secret of [an.id, binh.id, chi.id, PASSCODE]) assert.ok(!site.log().includes(secret));
});
