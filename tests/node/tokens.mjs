// Tokens as a relying party sees them: checked by jose and by nothing of ours.
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { sha256 } from './citizens.mjs';
import { jose } from './jose.mjs';

export const thumbprint = (certificate) => sha256(new X509Certificate(certificate).raw).toString('base64url');

export async function keysOf(client) {
  const answer = await client.get('/.well-known/jwks.json');
  assert.equal(answer.status, 200);
  assert.match(answer.headers['cache-control'], /^max-age=[1-9]/);
  for (const key of answer.json.keys) {
    assert.equal(key.kid, await jose.calculateJwkThumbprint(key, 'sha256'));
    assert.deepEqual([key.kty, key.crv, key.alg, key.use, key.d], ['OKP', 'Ed25519', 'EdDSA', 'sig', undefined]);
  }
  return answer.json;
}

// The claims of an access token (RFC 9068) that was given to this client.
export async function checkAccessToken(client, token, { audience, partner, acr, amr }) {
  const { payload, protectedHeader } = await jose.jwtVerify(token, jose.createLocalJWKSet(await keysOf(client)), {
    issuer: client.issuer, audience, algorithms: ['EdDSA'], typ: 'at+jwt',
    requiredClaims: ['iss', 'exp', 'aud', 'sub', 'client_id', 'iat', 'jti'], // RFC 9068, section 2.2
  });
  assert.deepEqual(Object.keys(protectedHeader).sort(), ['alg', 'kid', 'typ']);
  assert.equal(payload.client_id, partner);
  assert.equal(payload.acr, acr);
  assert.deepEqual(payload.amr, amr);
  assert.equal(payload.cnf['x5t#S256'], thumbprint(client.certificate)); // RFC 8705, section 3.1
  assert.ok(payload.exp - payload.iat <= 900);
  assert.match(payload.sub, /^[A-Za-z0-9_-]{43}$/);
  return payload;
}

// The claims of an ID token (OpenID Connect Core, section 2).
export async function checkIdToken(client, token, { partner, acr, amr }) {
  const { payload } = await jose.jwtVerify(token, jose.createLocalJWKSet(await keysOf(client)), {
    issuer: client.issuer, audience: partner, algorithms: ['EdDSA'], typ: 'JWT',
    requiredClaims: ['iss', 'sub', 'aud', 'exp', 'iat', 'auth_time'],
  });
  assert.equal(payload.acr, acr);
  assert.deepEqual(payload.amr, amr);
  assert.ok(payload.auth_time <= payload.iat);
  return payload;
}

// RFC 7662, with the rule that an answer of "no" tells nothing else.
export async function introspect(client, token, endpoint = '/v1/introspect') {
  const answer = await client.form(endpoint, { token });
  assert.equal(answer.status, 200, answer.text);
  assert.equal(answer.headers['content-type'], 'application/json');
  assert.equal(answer.headers['cache-control'], 'no-store');
  assert.equal(typeof answer.json.active, 'boolean');
  if (!answer.json.active) assert.deepEqual(answer.json, { active: false });
  return answer.json;
}

export async function revoke(client, token, endpoint = '/v1/revoke') {
  const answer = await client.form(endpoint, { token, token_type_hint: 'access_token' });
  assert.equal(answer.status, 200, answer.text); // RFC 7009, section 2.2
}
