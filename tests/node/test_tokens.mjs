// Access tokens after they were given: introspection, revocation, rotation of keys, a partner with two certificates.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Citizen } from './citizens.mjs';
import { Client, assertOauthError, assertProblem } from './client.mjs';
import { login, untilAttemptsAreTaken } from './flows.mjs';
import { jose } from './jose.mjs';
import { Site, sleep } from './site.mjs';
import { checkAccessToken, introspect, keysOf, revoke, thumbprint } from './tokens.mjs';

const CONNECTIONS = 8; // enough to reach both workers, but for one time in 128

const an = new Citizen();
const binh = new Citizen({ device: 'ed25519' });
const chi = new Citizen();
const site = await Site.make([an, binh, chi]);
site.run('partner', 'set', site.folder, 'portal', '--issue', site.at('renewed'));
const portal = new Client(site, site.files('portal'));
const renewed = new Client(site, site.files('portal', 'renewed'));
const shop = new Client(site, site.files('shop'));
const backend = new Client(site, site.files('backend'));
const register = new Client(site, site.files('register'));
await untilAttemptsAreTaken(portal, an, 'portal');
const metadata = (await portal.get('/.well-known/oauth-authorization-server')).json;

// On several connections at once: what every worker says.
async function everywhere(token) {
  const clients = Array.from({ length: CONNECTIONS }, () => new Client(site, site.files('portal'), 1));
  const said = await Promise.all(clients.map((client) => introspect(client, token, metadata.introspection_endpoint)));
  clients.forEach((client) => client.close());
  return said.map((one) => one.active);
}
const ALL = Array(CONNECTIONS).fill(true);
const NONE = Array(CONNECTIONS).fill(false);

test('introspection tells what the token says', async () => {
  const { access_token: token } = await login(portal, an, 'portal');
  const said = await introspect(portal, token, metadata.introspection_endpoint);
  const { active, token_type: type, ...claims } = said;
  assert.deepEqual([active, type], [true, 'Bearer']);
  assert.deepEqual(claims, jose.decodeJwt(token));
  assert.deepEqual(await everywhere(token), ALL);
});

test('a token counts over the certificate it is bound to, and for its audience', async () => {
  const { access_token: bound } = await login(portal, an, 'portal', 'somewhere');
  assert.equal((await introspect(portal, bound)).active, true);
  assert.equal((await introspect(renewed, bound)).active, false);
  assert.equal((await introspect(shop, bound)).active, false);
  const { access_token: shops } = await login(portal, an, 'portal', 'shop');
  assert.equal((await introspect(shop, shops)).cnf['x5t#S256'], thumbprint(portal.certificate));
  const { access_token: after } = await login(renewed, an, 'portal', 'somewhere');
  await checkAccessToken(renewed, after, { audience: 'somewhere', partner: 'portal', acr: '1', amr: ['pop'] });
  assert.equal((await introspect(portal, after)).active, false);
});

test('a revoked token is over on every worker, also after the writer was killed', async () => {
  const { access_token: token } = await login(portal, an, 'portal');
  const { access_token: other } = await login(portal, an, 'portal');
  await revoke(portal, token, metadata.revocation_endpoint);
  assert.deepEqual(await everywhere(token), NONE);
  assert.deepEqual(await everywhere(other), ALL);
  await revoke(portal, token); // once more, and what is no token: the same answer
  await revoke(portal, 'not.a.token');
});

test('only who was given a token revokes it', async () => {
  const { access_token: token } = await login(portal, an, 'portal', 'shop');
  assertOauthError(await shop.form('/v1/revoke', { token }), 'unauthorized_client');
  assert.equal((await introspect(portal, token)).active, true);
  assertOauthError(await portal.form('/v1/revoke', { token, client_id: 'shop' }), 'invalid_client', 401);
  assertOauthError(await portal.form('/v1/introspect', { token, client_id: 'shop' }), 'invalid_client', 401);
  assert.equal((await portal.form('/v1/introspect', { token, client_id: 'portal' })).json.active, true);
});

test('who asks wrongly is told as OAuth has it', async () => {
  for (const target of ['/v1/introspect', '/v1/revoke']) {
    for (const form of ['', 'token=', 'token=a&token=b', 'token', 'token=%', 'token=%00', 'token=%ff', '&', 'token=\u0001']) {
      assertOauthError(await portal.form(target, form), 'invalid_request');
    }
    assertProblem(await portal.post(target, { token: 'a' }), 415, 'unsupported_media_type');
    assertProblem(await register.form(target, { token: 'a' }), 403, 'endpoint_not_permitted');
    assertProblem(await portal.form(target, { token: 'a'.repeat(9000) }), 413, 'body_too_large');
    const wrong = await portal.get(target);
    assertProblem(wrong, 405, 'method_not_allowed');
    assert.equal(wrong.headers.allow, 'POST, OPTIONS');
  }
});

test('a lock and a death end what was given before', async () => {
  const { access_token: token } = await login(portal, binh, 'portal');
  const id = { id: binh.id, reason: 'authority' };
  assert.equal((await backend.post('/v1/accounts/lock', id)).status, 200);
  assert.deepEqual(await everywhere(token), NONE);
  assert.equal((await backend.post('/v1/accounts/unlock', id)).status, 200);
  assert.deepEqual(await everywhere(token), ALL);
  const event = { event_id: 'node-1', type: 'deceased', id: binh.id, at: new Date().toISOString() };
  const told = await register.lines('/v1/events', [event]);
  assert.equal(told.status, 200);
  assert.match(told.text, /"status":"applied"/);
  assert.deepEqual(await everywhere(token), NONE);
});

test('a new key signs what was published before, and the old one still counts', async () => {
  const before = await keysOf(portal);
  const { access_token: old } = await login(portal, chi, 'portal');
  site.run('keys', 'rotate', site.folder, 'token');
  let token;
  for (let left = 500; ; left -= 1) { // every worker takes it within a second
    token = (await login(portal, chi, 'portal')).access_token;
    if (jose.decodeProtectedHeader(token).kid !== jose.decodeProtectedHeader(old).kid) break;
    assert.ok(left > 0, 'the new key does not sign');
    await sleep(20);
  }
  const options = { issuer: site.issuer, audience: 'portal', typ: 'at+jwt' };
  await jose.jwtVerify(token, jose.createLocalJWKSet(before), options); // by a list that is kept
  await jose.jwtVerify(old, jose.createLocalJWKSet(await keysOf(portal)), options);
  assert.deepEqual(await everywhere(old), ALL);
  assert.deepEqual(await everywhere(token), ALL);
  const after = await keysOf(portal);
  assert.ok(after.keys.some(({ kid }) => before.keys.every((key) => key.kid !== kid)), 'another next one is published');
});

test('the server ends in order', () => site.stop());
