// Attributes by a citizen's consent: jose signs it with the key of his device, the partner shows it, the backend lists it
// and takes it back; and consents that are nearly right.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { Citizen, Key } from './citizens.mjs';
import { Client, assertProblem } from './client.mjs';
import { untilAttemptsAreTaken } from './flows.mjs';
import { badClaims, badJws, concerns } from './jws.mjs';
import { jose } from './jose.mjs';
import { Site } from './site.mjs';
import { everyCase, table } from './vectors.mjs';

const ASKED = ['full_name', 'date_of_birth'];
const PERMITTED = 'full_name,date_of_birth,sex,address,phones,card_expires_on';
const home = { province: '001', ward: '00004', text: 'Số 10 Tràng Thi' };
const an = new Citizen({ record: { address: home, phones: ['+84912345678'] } });
const binh = new Citizen({ device: 'ed25519' });
const chi = new Citizen();
const khoa = new Citizen();
khoa.account.locks = ['holder'];
const nobody = new Citizen();
const site = await Site.make([an, binh, chi, khoa], {
  prepare: (made) => made.run('partner', 'add', made.folder, 'bank', '--purpose', 'bank.open', '--attributes', PERMITTED,
    '--purpose', 'bank.login', '--attributes', 'full_name', '--right', 'attributes', '--issue', made.at('issued')),
});
const bank = new Client(site, site.files('bank'));
const portal = new Client(site, site.files('portal'));
const backend = new Client(site, site.files('backend'));
await untilAttemptsAreTaken(portal, chi, 'portal');

const now = () => Math.floor(Date.now() / 1000);
const fresh = () => randomBytes(16).toString('base64url');

function claimsFor(more = {}) {
  return { aud: 'bank', purpose: 'bank.open', attributes: ASKED, iat: now(), exp: now() + 3600, jti: fresh(), ...more };
}

// As an app of the citizen's would sign it.
function consentOf(citizen, claims = claimsFor(), key = citizen.device) {
  const alg = key.kind === 'ed25519' ? 'EdDSA' : 'ES256';
  const header = { alg, typ: 'consent+jwt', kid: citizen.deviceId };
  return new jose.CompactSign(Buffer.from(JSON.stringify(claims))).setProtectedHeader(header).sign(key.private);
}

const attributes = (citizen, consent, more = {}) => bank.post('/v1/attributes', {
  id: citizen.id, purpose: 'bank.open', attributes: ASKED, consent, ...more,
});

async function given(citizen, consent, more) {
  const answer = await attributes(citizen, consent, more);
  assert.equal(answer.status, 200, answer.text);
  return answer.json;
}

async function refused(citizen, consent, more) {
  assertProblem(await attributes(citizen, consent, more), 403, 'consent_refused');
}

test('a consent of either kind of key opens what it names', async () => {
  for (const citizen of [an, binh]) {
    const claims = claimsFor();
    const told = await given(citizen, await consentOf(citizen, claims));
    assert.deepEqual(told.attributes, { full_name: 'Nguyễn Văn An', date_of_birth: '1999-01-25' });
    assert.equal(told.consent_ref, claims.jti);
    assert.equal(Date.parse(told.expires_at), claims.exp * 1000);
  }
});

test('only what is asked for, consented to and permitted leaves', async () => {
  const all = ['full_name', 'sex', 'address', 'phones', 'card_expires_on'];
  const consent = await consentOf(an, claimsFor({ attributes: all }));
  const told = await given(an, consent, { attributes: ['sex', 'address', 'phones', 'card_expires_on'] });
  assert.deepEqual(told.attributes, { sex: 'male', address: home, phones: ['+84912345678'], card_expires_on: '2099-01-25' });
  await refused(an, consent, { attributes: ['full_name', 'date_of_birth'] });
  const more = await consentOf(an, claimsFor({ attributes: ['full_name', 'home_town', 'ethnicity'] }));
  for (const wanted of [['home_town'], ['ethnicity']]) {
    assertProblem(await attributes(an, more, { attributes: wanted }), 403, 'attribute_not_permitted');
  }
  const other = await attributes(an, consent, { purpose: 'bank.other' });
  assertProblem(other, 403, 'purpose_not_permitted');
  assertProblem(await portal.post('/v1/attributes', {}), 403, 'endpoint_not_permitted');
});

test('nobody, the locked, strangers and other people look alike', async () => {
  const stranger = new Key('p256');
  await refused(nobody, await consentOf(nobody));
  await refused(khoa, await consentOf(khoa));
  await refused(an, await consentOf(an, claimsFor(), stranger));
  await refused(chi, await consentOf(an));
  await refused(an, await consentOf({ ...chi, device: chi.device, deviceId: an.deviceId }));
});

test('a consent is listed, taken back, and over on every worker', async () => {
  const claims = claimsFor();
  const consent = await consentOf(chi, claims);
  await given(chi, consent);
  await given(chi, consent); // until it is over
  const changed = { ...claims, attributes: [...ASKED, 'sex'] };
  await refused(chi, await consentOf(chi, changed)); // under the same name another content
  const list = async () => (await backend.post('/v1/consents/list', { id: chi.id })).json.consents;
  const [entry, ...others] = await list();
  assert.equal(others.length, 0);
  assert.deepEqual([entry.consent_ref, entry.partner, entry.purpose], [claims.jti, 'bank', 'bank.open']);
  assert.deepEqual(entry.attributes.sort(), [...ASKED].sort());
  const name = { id: chi.id, consent_ref: claims.jti };
  const namesake = await backend.post('/v1/consents/revoke', { ...name, id: an.id }); // of his own, which he never used
  assert.equal(namesake.status, 200, namesake.text);
  await given(chi, consent);
  const revoked = await backend.post('/v1/consents/revoke', name);
  assert.equal(revoked.status, 200, revoked.text);
  const clients = Array.from({ length: 8 }, () => new Client(site, site.files('bank'), 1));
  const question = { id: chi.id, purpose: 'bank.open', attributes: ASKED, consent };
  const answers = await Promise.all(clients.map((client) => client.post('/v1/attributes', question)));
  clients.forEach((client) => client.close());
  answers.forEach((answer) => assertProblem(answer, 403, 'consent_refused'));
  assert.equal((await list())[0].revoked_at, revoked.json.revoked_at);
  assertProblem(await bank.post('/v1/consents/list', { id: chi.id }), 403, 'endpoint_not_permitted');
});

test('a device that is taken away consents no more', async () => {
  const consent = await consentOf(chi);
  await given(chi, consent);
  const key = { device_id: chi.deviceId, public_key: chi.device.spki.toString('base64url'), evidence: 'in_person' };
  assert.equal((await backend.post('/v1/accounts/devices/remove', { id: chi.id, device_id: chi.deviceId })).status, 200);
  await refused(chi, consent);
  const before = claimsFor({ iat: now() - 120 });
  assert.equal((await backend.post('/v1/accounts/devices/add', { id: chi.id, ...key })).status, 200);
  await refused(chi, consent); // used before it was taken away
  await refused(chi, await consentOf(chi, before)); // signed before it came back
  await given(chi, await consentOf(chi));
});

// ---- nearly right ----------------------------------------------------------------------------------------------------

async function tryCase(each, status, citizen, consent) {
  const answer = await attributes(citizen, consent);
  if (each.allowed) assert.equal(answer.status, 200, answer.text);
  else if (status === 413) assertProblem(answer, 413, 'body_too_large');
  else if (status === 403) assertProblem(answer, 403, 'consent_refused');
  else {
    assertProblem(answer, 400, 'invalid_request');
    assert.deepEqual(answer.json.errors.map((error) => error.pointer), ['/consent']);
  }
}

for (const citizen of [an, binh]) {
  const usual = () => ({
    typ: 'consent+jwt', otherTyp: 'at+jwt', kid: citizen.deviceId, claims: claimsFor(), key: citizen.device,
  });

  test(`a text that is nearly a consent is none (${citizen.device.kind})`, async () => {
    const cases = table('jws').filter((each) => concerns(each, citizen.device));
    await everyCase(cases, (each) => tryCase(each, each.consent, citizen, badJws(each, usual())));
  });

  test(`a consent to something else is none (${citizen.device.kind})`, async () => {
    await everyCase(table('consent_claims'), (each) => (
      tryCase(each, each.status, citizen, badJws({}, { ...usual(), claims: badClaims(each, claimsFor(), {}) }))
    ));
  });
}

test('the server ends in order, and its log names nobody', async () => {
  await site.stop();
  for (const secret of [an.id, binh.id, chi.id, home.text, '912345678']) assert.ok(!site.log().includes(secret));
});
