// Signatures that are nearly right, wherever a citizen's signature is taken: each is refused as documented. It is the
// signature that is refused: whenever four were, the same person is let in with a right one, and waits begin after five.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Citizen } from './citizens.mjs';
import { Client, assertProblem } from './client.mjs';
import { ask, authenticate, byCard, byDevice, decide, pending, untilAttemptsAreTaken } from './flows.mjs';
import { Site } from './site.mjs';
import { badSignature, everyCase, table } from './vectors.mjs';

// Somebody of his own for each surface, so that they go on beside each other.
const people = Object.fromEntries(['p256', 'ed25519'].map((device) => [
  device, { login: new Citizen({ device }), device: new Citizen({ device }), request: new Citizen({ device }) },
]));
const an = new Citizen();
const binh = new Citizen();
const site = await Site.make([an, binh, ...Object.values(people).flatMap(Object.values)]);
const portal = new Client(site, site.files('portal'));
const backend = new Client(site, site.files('backend'));
await untilAttemptsAreTaken(portal, an, 'portal');

const vectors = { p256: table('signature_p256'), ed25519: table('signature_ed25519') };

function assertRefused(answer, each) {
  const status = each.status ?? 401;
  if (status === 200) assert.equal(answer.status, 200, `${each.name}: ${answer.text}`);
  else assertProblem(answer, status, status === 401 ? 'authentication_failed' : 'invalid_request');
}

const AT_A_TIME = 4; // refusals, before the account would wait

// attempt(sign): the surface with one person and the key that he signs with there.
async function everyWay(key, hisOther, attempt, cases = vectors[key.kind]) {
  let refused = 0;
  const letIn = async () => {
    const answer = await attempt((text) => key.sign(text).toString('base64url'));
    assert.equal(answer.status, 200, `with a right one: ${answer.text}`);
    refused = 0;
  };
  await everyCase(cases, async (each) => {
    const answer = await attempt((text) => badSignature(each, key, hisOther, text));
    assertRefused(answer, each);
    refused += answer.status === 401 ? 1 : 0;
    if (refused === AT_A_TIME) await letIn();
  });
  await letIn();
}

const logIn = ({ device, card }, citizen) => everyWay(device, card, async (sign) => {
  const factor = await byDevice(portal, citizen, 'portal', sign);
  return authenticate(portal, citizen, 'portal', 'portal.login', factor);
});

const addDevice = ({ device, card }, citizen) => everyWay(device, card, async (sign) => {
  const added = { id: citizen.id, device_id: 'second' };
  const key = new Citizen().device.spki.toString('base64url');
  const factors = [await byDevice(backend, citizen, 'accounts', sign)];
  const answer = await backend.post('/v1/accounts/devices/add', { ...added, public_key: key, factors });
  if (answer.status === 200) assert.equal((await backend.post('/v1/accounts/devices/remove', added)).status, 200);
  return answer;
});

const decideRequest = ({ device, card }, citizen) => everyWay(device, card, async (sign) => {
  let [request] = await pending(backend, citizen);
  if (request === undefined) {
    assert.equal((await ask(portal, citizen, 'portal')).status, 200);
    [request] = await pending(backend, citizen);
  }
  return decide(backend, citizen, request, 'approve', sign);
});

const SURFACES = [['login', logIn], ['device', addDevice], ['request', decideRequest]];

test('by a device, wherever its signature is taken', { concurrency: true }, async (t) => {
  const all = Object.entries(people).flatMap(([kind, of]) => SURFACES.map(([name, surface]) => (
    t.test(`${name} (${kind})`, () => surface(of[name], of[name]))
  )));
  await Promise.all(all);
});

test('by a card', () => everyWay(binh.card, binh.device, async (sign) => {
  const factor = await byCard(portal, binh, 'portal', sign);
  return authenticate(portal, binh, 'portal', 'portal.login', factor);
}));

// One of each class: every new passcode is hashed, right or wrong, which takes its time.
const ofEachClass = vectors.p256.filter((each, i, all) => all.findIndex((other) => other.class === each.class) === i);

test('setting a passcode', () => everyWay(an.card, an.device, async (sign) => {
  const factors = [await byCard(backend, an, 'accounts', sign)];
  return backend.post('/v1/accounts/passcode', { id: an.id, passcode: 'mật khẩu', factors });
}, ofEachClass));

test('one wrong signature of two is enough', async () => {
  const wrong = vectors.p256.find((each) => each.name === 'r = 0, s = 0');
  const device = await byDevice(portal, an, 'portal', (text) => badSignature(wrong, an.device, an.card, text));
  const card = await byCard(portal, an, 'portal');
  assertProblem(await authenticate(portal, an, 'portal', 'portal.pay', device, card), 401, 'authentication_failed');
});

test('the server ends in order', () => site.stop());
