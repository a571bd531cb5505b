// A partner's connections: JSON and forms over mutual TLS. No answer may be the server's failure (5xx).
import assert from 'node:assert/strict';
import fs from 'node:fs';
import https from 'node:https';

export class Client {
  // files: as Site.files gives them; sockets: how many connections at most.
  constructor(site, files, sockets = 4) {
    this.issuer = site.issuer;
    this.certificate = fs.readFileSync(files.cert);
    this.agent = new https.Agent({
      cert: this.certificate, key: fs.readFileSync(files.key), ca: fs.readFileSync(files.ca),
      keepAlive: true, maxSockets: sockets,
    });
  }

  close() {
    this.agent.destroy();
  }

  // target: a path, or a whole address as the metadata tells it. Gives { status, headers, text, json }.
  async send(method, target, type, body) {
    const url = new URL(target, this.issuer);
    assert.equal(url.origin, this.issuer);
    const headers = type === undefined ? {} : { 'Content-Type': type };
    const answer = await new Promise((resolve, reject) => {
      https.request(url, { method, headers, agent: this.agent }, resolve).on('error', reject).end(body);
    });
    let text = '';
    for await (const piece of answer.setEncoding('utf8')) text += piece;
    assert.ok(answer.statusCode < 500, `${target}: ${answer.statusCode} ${text}`);
    assert.equal('www-authenticate' in answer.headers, answer.statusCode === 401); // RFC 9110, section 15.5.2
    const isJson = /^application\/(problem\+)?json$/.test(answer.headers['content-type']);
    const json = isJson && text !== '' ? JSON.parse(text) : undefined;
    return { status: answer.statusCode, headers: answer.headers, text, json };
  }

  get(target) {
    return this.send('GET', target);
  }

  post(target, question) {
    return this.send('POST', target, 'application/json', JSON.stringify(question));
  }

  form(target, fields) {
    const body = typeof fields === 'string' ? fields : new URLSearchParams(fields).toString();
    return this.send('POST', target, 'application/x-www-form-urlencoded', body);
  }

  lines(target, objects) {
    return this.send('POST', target, 'application/x-ndjson', objects.map((each) => `${JSON.stringify(each)}\n`).join(''));
  }
}

// What a refusal must be: RFC 9457, with this code, and nothing of what was asked.
export function assertProblem(answer, status, code) {
  assert.equal(answer.status, status, answer.text);
  assert.equal(answer.headers['content-type'], 'application/problem+json');
  assert.equal(answer.json.code, code);
  assert.equal(answer.json.status, status);
  assert.match(answer.json.type, /^urn:/);
  assert.equal(typeof answer.json.title, 'string');
  assert.match(answer.json.answer_id, /^[0-9A-Z]{26}$/);
}

// The same where OAuth speaks: RFC 6749, section 5.2.
export function assertOauthError(answer, error, status = 400) {
  assert.equal(answer.status, status, answer.text);
  assert.equal(answer.headers['content-type'], 'application/json');
  assert.equal(answer.headers['cache-control'], 'no-store');
  assert.equal(answer.json.error, error, answer.text);
}
