// What a citizen and the partners of his do: challenges, factors, requests on the back channel.
import assert from 'node:assert/strict';
import { sleep } from './site.mjs';

export const CHALLENGE = /^[A-Za-z0-9_-]{60}$/;

export async function challenge(client, citizen, factor, audience) {
  const answer = await client.post('/v1/challenges', { id: citizen.id, factor, audience });
  assert.equal(answer.status, 200, answer.text);
  assert.match(answer.json.challenge, CHALLENGE);
  assert.equal(answer.json.expires_in, 60);
  return answer.json.challenge;
}

// Elements of "factors". sign: from the challenge to the text of the signature.
const usual = (key) => (text) => key.sign(text).toString('base64url');

export async function byDevice(client, citizen, audience, sign = usual(citizen.device)) {
  const text = await challenge(client, citizen, 'device_key', audience);
  return { type: 'device_key', device_id: citizen.deviceId, challenge: text, signature: sign(text) };
}

export async function byCard(client, citizen, audience, sign = usual(citizen.card)) {
  const text = await challenge(client, citizen, 'card_chip', audience);
  return { type: 'card_chip', challenge: text, signature: sign(text) };
}

export const byPasscode = (value) => ({ type: 'passcode', value });

export function authenticate(client, citizen, audience, purpose, ...factors) {
  return client.post('/v1/authenticate', { id: citizen.id, audience, purpose, factors });
}

// The shortest way to a token.
export async function login(client, citizen, partner, audience = partner) {
  const factor = await byDevice(client, citizen, audience);
  const answer = await authenticate(client, citizen, audience, `${partner}.login`, factor);
  assert.equal(answer.status, 200, answer.text);
  return answer.json;
}

// The writer opens what is served a moment after the server listens.
export async function untilAttemptsAreTaken(client, citizen, partner) {
  for (let left = 3000; ; left -= 1) {
    const factor = await byDevice(client, citizen, partner).catch(() => undefined);
    const answer = factor && (await authenticate(client, citizen, partner, `${partner}.login`, factor).catch(() => undefined));
    if (answer?.status === 200) return;
    assert.ok(left > 0, 'no attempt was taken');
    await sleep(20);
  }
}

// ---- the back channel --------------------------------------------------------------------------------------------

export const GRANT = 'urn:openid:params:grant-type:ciba';

export function ask(client, citizen, partner, more = {}) {
  return client.form('/v1/backchannel/authorize', {
    scope: 'openid', purpose: `${partner}.login`, login_hint: citizen.id, ...more,
  });
}

export async function pending(backend, citizen) {
  const answer = await backend.post('/v1/backchannel/pending', { id: citizen.id });
  assert.equal(answer.status, 200, answer.text);
  return answer.json.requests;
}

export async function decide(backend, citizen, request, decision, sign = usual(citizen.device), more = {}) {
  const text = await challenge(backend, citizen, 'device_key', request[`${decision}_audience`]);
  return backend.post('/v1/backchannel/decide', {
    id: citizen.id, request: request.request, decision, device_id: citizen.deviceId, challenge: text, signature: sign(text),
    ...more,
  });
}

export const fetchTokens = (client, authReqId) => client.form('/v1/token', { grant_type: GRANT, auth_req_id: authReqId });
