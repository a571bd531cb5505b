// Access tokens that are nearly right, made with the server's own key: nobody takes them, and no answer says why.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Citizen } from './citizens.mjs';
import { Client, assertOauthError, assertProblem } from './client.mjs';
import { GRANT, login, untilAttemptsAreTaken } from './flows.mjs';
import { badClaims, badJws, concerns, serverKey } from './jws.mjs';
import { jose } from './jose.mjs';
import { Site } from './site.mjs';
import { introspect, thumbprint } from './tokens.mjs';
import { everyCase, table } from './vectors.mjs';

const an = new Citizen();
const site = await Site.make([an]);
const portal = new Client(site, site.files('portal'));
await untilAttemptsAreTaken(portal, an, 'portal');
const { access_token: right } = await login(portal, an, 'portal');
const claims = jose.decodeJwt(right);
const key = serverKey(site, 'token');
const usual = { typ: 'at+jwt', otherTyp: 'consent+jwt', kid: key.kid, claims, key };

// Wherever a token may be sent.
async function isRefused(token, each) {
  const form = { token };
  for (const target of each.ours ? ['/v1/introspect'] : ['/v1/introspect', '/v1/revoke']) {
    const answer = await portal.form(target, form);
    if (each.form === 413) assertProblem(answer, 413, 'body_too_large');
    else if (each.form === 400) assertOauthError(answer, 'invalid_request');
    else if (target === '/v1/revoke') assert.equal(answer.status, 200, answer.text); // RFC 7009, section 2.2
    else assert.deepEqual([answer.status, answer.json], [200, { active: false }], answer.text);
  }
  const taken = await portal.form('/v1/token', { grant_type: GRANT, auth_req_id: token || 'x' });
  if (each.form === undefined) assertOauthError(taken, 'invalid_grant');
}

async function tryCase(token, each) {
  if (each.allowed) assert.equal((await introspect(portal, token)).active, true);
  else await isRefused(token, each);
  assert.equal((await introspect(portal, right)).active, true); // and has ended nothing
}

test('a token that is nearly one is none', async () => {
  const cases = table('jws').filter((each) => concerns(each, key));
  await everyCase(cases, (each) => tryCase(badJws(each, usual), each));
});

test('claims that the server does not give are worth nothing', async () => {
  const words = {
    issuer: site.issuer, 'issuer in upper case': site.issuer.toUpperCase(),
    own: thumbprint(portal.certificate), other: 'A'.repeat(43),
  };
  await everyCase(table('token_claims'), (each) => (
    tryCase(badJws({}, { ...usual, claims: badClaims(each, claims, words) }), each)
  ));
});

test('the key of answers signs no tokens', async () => {
  const answers = serverKey(site, 'signing');
  await tryCase(badJws({}, { ...usual, key: answers, kid: answers.kid }), {});
});

test('tokens of jose by a key of its own are none', async () => {
  const pair = await jose.generateKeyPair('EdDSA', { crv: 'Ed25519' });
  const made = (header) => new jose.SignJWT({ ...claims }).setProtectedHeader(header).sign(pair.privateKey);
  const jwk = await jose.exportJWK(pair.publicKey);
  for (const header of [{ kid: key.kid }, { kid: await jose.calculateJwkThumbprint(jwk) }, { jwk }, {}]) {
    await tryCase(await made({ alg: 'EdDSA', typ: 'at+jwt', ...header }), {});
  }
  const unsecured = new jose.UnsecuredJWT({ ...claims }).encode();
  await tryCase(unsecured, {});
});

test('the server ends in order', () => site.stop());
