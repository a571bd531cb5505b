// CIBA in poll mode with plain https: the partner asks, the citizen's backend fetches, the citizen decides, tokens once.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Citizen, IMPORTED_PASSCODE, Key } from './citizens.mjs';
import { Client, assertOauthError, assertProblem } from './client.mjs';
import { GRANT, ask, decide, fetchTokens, pending, untilAttemptsAreTaken } from './flows.mjs';
import { Site, sleep } from './site.mjs';
import { checkAccessToken, checkIdToken, introspect } from './tokens.mjs';

const SHORTEST_S = 30; // requested_expiry
const an = new Citizen();
const binh = new Citizen({ device: 'ed25519' });
const chi = new Citizen();
const dung = new Citizen();
const giang = new Citizen({ unlockedBy: 'fingerprint', passcode: true });
const nobody = new Citizen();
const site = await Site.make([an, binh, chi, dung, giang], { clock: true });
const portal = new Client(site, site.files('portal'), 1); // one connection, one worker: intervals are counted
const shop = new Client(site, site.files('shop'));
const backend = new Client(site, site.files('backend'));
await untilAttemptsAreTaken(shop, an, 'shop');

async function asked(citizen, more = {}) {
  const answer = await ask(portal, citizen, 'portal', more);
  assert.equal(answer.status, 200, answer.text);
  assert.equal(answer.headers['cache-control'], 'no-store');
  assert.ok(answer.json.auth_req_id.length >= 27 && /^[A-Za-z0-9._-]+$/.test(answer.json.auth_req_id)); // CIBA 7.3
  assert.ok(answer.json.interval >= 1);
  return answer.json;
}

test('a request that is approved gives tokens once', async () => {
  const { auth_req_id: id } = await asked(an, { binding_message: 'Số "7"' });
  const [request, ...others] = await pending(backend, an);
  assert.equal(others.length, 0);
  assert.deepEqual([request.partner, request.purpose, request.scope, request.binding_message],
    ['portal', 'portal.login', 'openid', 'Số "7"']);
  assert.ok(request.expires_in <= 120 && !JSON.stringify(request).includes(id));
  assertOauthError(await fetchTokens(portal, id), 'authorization_pending');
  assertOauthError(await fetchTokens(portal, id), 'slow_down');
  assertOauthError(await fetchTokens(shop, id), 'invalid_grant'); // it is another's

  const decided = await decide(backend, an, request, 'approve');
  assert.deepEqual([decided.status, decided.json], [200, { state: 'approved' }]);
  assertProblem(await decide(backend, an, request, 'approve'), 409, 'request_closed');
  assertProblem(await decide(backend, an, request, 'deny'), 409, 'request_closed');

  const { status, json, headers } = await fetchTokens(portal, id);
  assert.equal(status, 200);
  assert.equal(headers['cache-control'], 'no-store');
  assert.deepEqual([json.token_type, json.expires_in, json.scope], ['Bearer', 600, 'openid']);
  const expected = { partner: 'portal', acr: '1', amr: ['pop'] };
  const identity = await checkIdToken(portal, json.id_token, expected);
  const access = await checkAccessToken(portal, json.access_token, { ...expected, audience: 'portal' });
  assert.equal(identity.sub, access.sub);
  assert.equal((await introspect(portal, json.access_token)).active, true);
  assert.equal((await introspect(portal, json.id_token)).active, false); // is no access token
  assertOauthError(await fetchTokens(portal, id), 'invalid_grant'); // once
  assert.deepEqual(await pending(backend, an), []);
});

test('a request that is denied gives none', async () => {
  const { auth_req_id: id } = await asked(binh);
  const [request] = await pending(backend, binh);
  const decided = await decide(backend, binh, request, 'deny');
  assert.deepEqual([decided.status, decided.json], [200, { state: 'denied' }]);
  assertOauthError(await fetchTokens(portal, id), 'access_denied');
  assertProblem(await decide(backend, binh, request, 'approve'), 409, 'request_closed');
});

test('a request is approved at the level it asks for', async () => {
  const passcode = { passcode: IMPORTED_PASSCODE };
  const cases = [
    [{ purpose: 'portal.sign' }, 3, {}, '3', ['pop', 'fpt', 'mfa']],
    [{ acr_values: 'urn:other 4' }, 4, passcode, '4', ['pop', 'fpt', 'pwd', 'mfa']],
  ];
  for (const [more, level, shown, acr, amr] of cases) {
    const { auth_req_id: id } = await asked(giang, more);
    const [request] = await pending(backend, giang);
    assert.equal(request.least_level, level);
    if (level === 4) assertProblem(await decide(backend, giang, request, 'approve'), 403, 'level_too_low');
    assert.equal((await decide(backend, giang, request, 'approve', undefined, shown)).status, 200);
    const { json } = await fetchTokens(portal, id);
    await checkIdToken(portal, json.id_token, { partner: 'portal', acr, amr });
    await checkAccessToken(portal, json.access_token, { partner: 'portal', audience: 'portal', acr, amr });
  }
  const { auth_req_id: id } = await asked(an, { purpose: 'portal.sign' });
  const [request] = await pending(backend, an);
  assertProblem(await decide(backend, an, request, 'approve'), 403, 'level_too_low'); // a plain device
  assertOauthError(await fetchTokens(portal, id), 'authorization_pending');
});

test('a signature decides what it was made for', async () => {
  await asked(binh);
  const [request] = await pending(backend, binh);
  const swapped = { ...request, approve_audience: request.deny_audience };
  assertProblem(await decide(backend, binh, swapped, 'approve'), 401, 'authentication_failed');
  const another = { ...request, approve_audience: 'portal' };
  assertProblem(await decide(backend, binh, another, 'approve'), 401, 'authentication_failed');
  const stranger = new Key('ed25519');
  const wrong = await decide(backend, binh, request, 'approve', (text) => stranger.sign(text).toString('base64url'));
  assertProblem(wrong, 401, 'authentication_failed');
  assertProblem(await decide(backend, an, request, 'approve'), 409, 'request_closed'); // it is not his
  assert.equal((await decide(backend, binh, request, 'approve')).status, 200);
});

test('whom nobody is is asked as everybody', async () => {
  const known = await asked(dung);
  const unknown = await asked(nobody);
  assert.deepEqual(Object.keys(unknown), Object.keys(known));
  assert.equal(unknown.auth_req_id.length, known.auth_req_id.length);
  assertOauthError(await fetchTokens(portal, unknown.auth_req_id), 'authorization_pending');
});

test('what is asked wrongly is refused as CIBA has it', async () => {
  const cases = [
    [{ scope: '' }, 400, 'invalid_scope'], [{ scope: 'profile' }, 400, 'invalid_scope'],
    [{ login_hint: '' }, 400, 'invalid_request'], [{ login_hint: '12' }, 400, 'invalid_request'],
    [{ login_hint_token: 'x' }, 400, 'invalid_request'], [{ id_token_hint: 'x' }, 400, 'invalid_request'],
    [{ requested_expiry: '0' }, 400, 'invalid_request'], [{ requested_expiry: '-1' }, 400, 'invalid_request'],
    [{ binding_message: 'x'.repeat(129) }, 400, 'invalid_binding_message'],
    [{ client_id: 'shop' }, 401, 'invalid_client'],
    [{ purpose: 'sim.register' }, 403, 'purpose_not_permitted'],
  ];
  for (const [more, status, error] of cases) {
    assertOauthError(await ask(portal, dung, 'portal', more), error, status);
  }
  const tokens = [
    [{}, 'invalid_request'], [{ grant_type: GRANT }, 'invalid_request'],
    [{ grant_type: 'authorization_code', code: 'x' }, 'unsupported_grant_type'],
    [{ grant_type: GRANT, auth_req_id: 'AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA' }, 'invalid_grant'],
  ];
  for (const [form, error] of tokens) assertOauthError(await portal.form('/v1/token', form), error);
});

test('a request that nobody decides is over in time', async () => {
  const forgotten = await asked(chi, { requested_expiry: String(SHORTEST_S) });
  assert.equal(forgotten.expires_in, SHORTEST_S);
  assertOauthError(await fetchTokens(portal, forgotten.auth_req_id), 'authorization_pending');
  const [request] = await pending(backend, chi);
  site.leap((SHORTEST_S - 5) * 1000);
  assert.equal((await pending(backend, chi)).length, 1);
  site.leap((SHORTEST_S + 1) * 1000);
  let answer; // a worker looks at the time of day now and then
  for (let left = 500; left > 0 && answer?.json.error !== 'expired_token'; left -= 1) {
    answer = await fetchTokens(portal, forgotten.auth_req_id);
    await sleep(20);
  }
  assertOauthError(answer, 'expired_token');
  for (let left = 500; left > 0 && (await pending(backend, chi)).length > 0; left -= 1) await sleep(20); // the other one
  assert.deepEqual(await pending(backend, chi), []);
  assertProblem(await decide(backend, chi, request, 'approve'), 409, 'request_closed');
});

test('the server ends in order', () => site.stop());
