// Citizens authenticate, seen from Node: challenges, factors, levels, tokens that jose takes.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Citizen, IMPORTED_PASSCODE, Key } from './citizens.mjs';
import { Client, assertProblem } from './client.mjs';
import { authenticate, byCard, byDevice, byPasscode, challenge, login, untilAttemptsAreTaken } from './flows.mjs';
import { Site } from './site.mjs';
import { checkAccessToken, keysOf } from './tokens.mjs';

const an = new Citizen({ passcode: true });
const binh = new Citizen({ device: 'ed25519', passcode: true });
const chi = new Citizen();
const dung = new Citizen({ record: { status: 'deceased' } });
const ha = new Citizen({ account: false });
const khoa = new Citizen();
khoa.account.locks = ['holder'];
const lan = new Citizen({ record: { card: { issued_on: '2021-04-25', expires_on: '2099-01-25', state: 'lost' } } });
lan.record.card.public_key = lan.card.spki.toString('base64url');
const mai = new Citizen({ unlockedBy: 'face', passcode: true });
const nam = new Citizen({ unlockedBy: 'biometric' });
const nobody = new Citizen();
const site = await Site.make([an, binh, chi, dung, ha, khoa, lan, mai, nam]);
const portal = new Client(site, site.files('portal'));
const shop = new Client(site, site.files('shop'));
const backend = new Client(site, site.files('backend'));
await untilAttemptsAreTaken(portal, chi, 'portal');

// What an attempt gives, once it is checked as a library of the partner's does it.
async function passes(citizen, purpose, factors, acr, amr) {
  const answer = await authenticate(portal, citizen, 'portal', purpose, ...factors);
  assert.equal(answer.status, 200, answer.text);
  assert.equal(answer.headers['cache-control'], 'no-store'); // RFC 6749, section 5.1
  assert.equal(answer.json.token_type, 'Bearer');
  assert.ok(!answer.text.includes(citizen.id));
  const expected = { audience: 'portal', partner: 'portal', acr, amr };
  const claims = await checkAccessToken(portal, answer.json.access_token, expected);
  assert.equal(claims.exp - claims.iat, answer.json.expires_in);
  assert.deepEqual([answer.json.acr, answer.json.amr, answer.json.sub], [acr, amr, claims.sub]);
  return claims;
}

test('the metadata tell where everything is', async () => {
  const { status, json, headers } = await portal.get('/.well-known/oauth-authorization-server');
  assert.equal(status, 200);
  assert.equal(headers['content-type'], 'application/json');
  assert.equal(json.issuer, site.issuer); // RFC 8414, section 3.3
  assert.deepEqual(json.response_types_supported, []); // required, and there is no authorization endpoint
  assert.deepEqual(json.acr_values_supported, ['1', '2', '3', '4']);
  assert.deepEqual(json.grant_types_supported, ['urn:openid:params:grant-type:ciba']);
  assert.deepEqual(json.backchannel_token_delivery_modes_supported, ['poll']);
  assert.equal(json.tls_client_certificate_bound_access_tokens, true);
  for (const name of ['token', 'introspection', 'revocation', 'backchannel_authentication']) {
    const answer = await portal.form(json[`${name}_endpoint`], ''); // is there, and speaks OAuth
    assert.deepEqual([answer.status, answer.json.error], [400, 'invalid_request'], name);
  }
  assert.deepEqual((await portal.get(json.jwks_uri)).json, await keysOf(portal));
  assert.ok((await portal.get(json.service_documentation)).json.paths['/v1/authenticate']);
});

test('a device key of either kind is level 1', async () => {
  await passes(an, 'portal.login', [await byDevice(portal, an, 'portal')], '1', ['pop']);
  await passes(binh, 'portal.login', [await byDevice(portal, binh, 'portal')], '1', ['pop']);
});

test('a card and a passcode are level 1 as well', async () => {
  await passes(an, 'portal.login', [await byCard(portal, an, 'portal')], '1', ['sc']);
  await passes(an, 'portal.login', [byPasscode(IMPORTED_PASSCODE)], '1', ['pwd']);
});

test('two factors are level 2, and what asks for it takes no less', async () => {
  const device = await byDevice(portal, binh, 'portal');
  const card = await byCard(portal, binh, 'portal');
  assertProblem(await authenticate(portal, binh, 'portal', 'portal.pay', card), 403, 'level_too_low'); // is not tried
  await passes(binh, 'portal.pay', [device, byPasscode(IMPORTED_PASSCODE)], '2', ['pop', 'pwd', 'mfa']);
  const other = await byDevice(portal, binh, 'portal');
  await passes(binh, 'portal.pay', [card, other], '2', ['pop', 'sc']);
});

test('a device that a biometric unlocks is level 3, with the passcode level 4', async () => {
  await passes(mai, 'portal.sign', [await byDevice(portal, mai, 'portal')], '3', ['pop', 'face', 'mfa']);
  await passes(nam, 'portal.sign', [await byDevice(portal, nam, 'portal')], '3', ['pop', 'mfa']);
  const both = [await byDevice(portal, mai, 'portal'), byPasscode(IMPORTED_PASSCODE)];
  await passes(mai, 'portal.sign', both, '4', ['pop', 'face', 'pwd', 'mfa']);
  const plain = [await byDevice(portal, an, 'portal'), byPasscode(IMPORTED_PASSCODE)];
  assertProblem(await authenticate(portal, an, 'portal', 'portal.sign', ...plain), 403, 'level_too_low');
  assertProblem(await authenticate(portal, an, 'portal', 'portal.sign', plain[1]), 403, 'level_too_low');
});

test('a person has one name for each partner', async () => {
  const names = new Set();
  for (const citizen of [an, binh, chi]) {
    for (const [client, partner] of [[portal, 'portal'], [shop, 'shop']]) {
      const first = await login(client, citizen, partner);
      const second = await login(client, citizen, partner, 'another');
      assert.equal(first.sub, second.sub);
      assert.notEqual(first.access_token, second.access_token);
      names.add(first.sub);
    }
  }
  assert.equal(names.size, 6);
});

test('a challenge counts once', async () => {
  const factor = await byDevice(portal, chi, 'portal');
  await passes(chi, 'portal.login', [factor], '1', ['pop']);
  assertProblem(await authenticate(portal, chi, 'portal', 'portal.login', factor), 401, 'authentication_failed');
  await login(portal, chi, 'portal');
});

test('a challenge counts for one person, factor, audience and partner', async () => {
  const key = (text) => chi.device.sign(text).toString('base64url');
  const factor = { type: 'device_key', device_id: chi.deviceId };
  const foreign = [
    await challenge(shop, chi, 'device_key', 'portal'), await challenge(portal, an, 'device_key', 'portal'),
    await challenge(portal, chi, 'card_chip', 'portal'), await challenge(portal, chi, 'device_key', 'shop'),
  ];
  for (const text of foreign) {
    const given = { ...factor, challenge: text, signature: key(text) };
    assertProblem(await authenticate(portal, chi, 'portal', 'portal.login', given), 401, 'authentication_failed');
  }
  await login(portal, chi, 'portal'); // the fifth would have had to wait
});

test('nobody, the dead, the locked and the wrong look alike', async () => {
  const answers = [];
  for (const citizen of [nobody, dung, ha, khoa]) {
    const factor = await byDevice(portal, citizen, 'portal');
    answers.push(await authenticate(portal, citizen, 'portal', 'portal.login', factor));
  }
  const stranger = new Key('p256');
  const wrong = await byDevice(portal, chi, 'portal', (text) => stranger.sign(text).toString('base64url'));
  answers.push(await authenticate(portal, chi, 'portal', 'portal.login', wrong));
  const lost = await byCard(portal, lan, 'portal');
  answers.push(await authenticate(portal, lan, 'portal', 'portal.login', lost));
  for (const answer of answers) {
    assertProblem(answer, 401, 'authentication_failed');
    const seen = answer.text.replace(answer.json.answer_id, '');
    assert.equal(seen, answers[0].text.replace(answers[0].json.answer_id, ''));
    assert.deepEqual(Object.keys(answer.headers), Object.keys(answers[0].headers));
  }
  await login(portal, lan, 'portal');
});

test('who fails five times waits, until it is taken back', async () => {
  const stranger = new Key('ed25519');
  for (let i = 0; i < 5; i += 1) {
    const wrong = await byDevice(portal, binh, 'portal', (text) => stranger.sign(text).toString('base64url'));
    assertProblem(await authenticate(portal, binh, 'portal', 'portal.login', wrong), 401, 'authentication_failed');
  }
  const right = await byDevice(portal, binh, 'portal');
  assertProblem(await authenticate(portal, binh, 'portal', 'portal.login', right), 401, 'authentication_failed');
  const unlocked = await backend.post('/v1/accounts/unlock', { id: binh.id, reason: 'attempts' });
  assert.equal(unlocked.status, 200, unlocked.text);
  await login(portal, binh, 'portal');
});

test('what is no request is told by the member', async () => {
  const text = await challenge(portal, an, 'device_key', 'portal');
  const good = { type: 'device_key', device_id: an.deviceId, challenge: text, signature: 'A'.repeat(86) };
  const cases = [
    [{ ...good, signature: 'A' }, 'bad_signature'], [{ ...good, challenge: `${text}=` }, 'bad_challenge'],
    [{ ...good, device_id: undefined }, 'missing_member'], [{ ...good, value: 'x' }, 'conflict'],
    [{ ...good, type: 'face' }, 'bad_factor'],
  ];
  for (const [factor, code] of cases) {
    const answer = await authenticate(portal, an, 'portal', 'portal.login', factor);
    assertProblem(answer, 400, 'invalid_request');
    assert.ok(answer.json.errors.some((error) => error.code === code), `${code}: ${answer.text}`);
  }
});

test('the server ends in order, and its log names nobody', async () => {
  await site.stop();
  for (const citizen of [an, binh, chi, dung, ha, khoa, lan, nobody]) assert.ok(!site.log().includes(citizen.id));
});
