// What README.md shows to partners who use Node is what stands here, and it runs.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import { test } from 'node:test';
import { Citizen } from './citizens.mjs';
import { Client } from './client.mjs';
import { login, untilAttemptsAreTaken } from './flows.mjs';
import { Site } from './site.mjs';
import partner from './partner.cjs';

const an = new Citizen();
const site = await Site.make([an]);
const files = site.files('portal');
const client = new Client(site, files);
const certificate = fs.readFileSync(files.cert);
await untilAttemptsAreTaken(client, an, 'portal');

const readme = fs.readFileSync(new URL('../../README.md', import.meta.url), 'utf8');
const blocks = [...readme.matchAll(/```js\n([^]*?)```/g)].map(([, text]) => text);
const portal = new partner.Partner(site.issuer, files);

test('README.md shows this file', () => {
  const text = fs.readFileSync(new URL('partner.cjs', import.meta.url), 'utf8');
  assert.equal(blocks[0], text.replace(/^'use strict';\n.*\n/, ''));
});

test('its lines run', async () => {
  const ours = {
    'https://id.example.vn:8443': site.issuer, 'portal.crt': files.cert, 'portal.key': files.key, 'ca.crt': files.ca,
    '001099012345': an.id,
  };
  const lines = blocks[1].replace(/'([^']*)'/g, (_, text) => `'${ours[text] ?? text}'`);
  const AsyncFunction = (async () => {}).constructor;
  const run = new AsyncFunction('Partner', 'token', 'certificate', `${lines}\nreturn [verdict, claims];`);
  const { access_token: token, sub } = await login(client, an, 'portal');
  const [verdict, claims] = await run(partner.Partner, token, certificate);
  assert.equal(verdict, 'verified');
  assert.deepEqual([claims.sub, claims.acr], [sub, '1']);
});

test('a refusal is thrown with its code', async () => {
  const question = { id: an.id, purpose: 'sim.register', claims: { full_name: 'Nguyễn Văn An' } };
  await assert.rejects(portal.ask('POST', '/v1/verify', question), { status: 403, code: 'purpose_not_permitted' });
});

test('a token for another audience, by another certificate or with a changed letter is none', async () => {
  const { access_token: token } = await login(client, an, 'portal');
  const other = fs.readFileSync(site.files('shop').cert);
  await assert.rejects(portal.check(token, 'shop', certificate), { code: 'ERR_JWT_CLAIM_VALIDATION_FAILED' });
  await assert.rejects(portal.check(token, 'portal', other), /another certificate/);
  const changed = token.replace(/^(.*\..{40})(.)/, (_, before, letter) => before + (letter === 'A' ? 'B' : 'A'));
  await assert.rejects(portal.check(changed, 'portal', certificate), { code: 'ERR_JWS_SIGNATURE_VERIFICATION_FAILED' });
  await portal.check(token, 'portal', certificate);
});

test('the server ends in order', async () => {
  portal.agent.destroy();
  client.close();
  await site.stop();
});
