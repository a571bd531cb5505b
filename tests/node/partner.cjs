'use strict';
// What a partner needs in Node, with the package jose (Debian: node-jose): README.md shows this file.
const { createHash, X509Certificate } = require('node:crypto');
const { readFileSync } = require('node:fs');
const https = require('node:https');
const { createLocalJWKSet, jwtVerify } = require('jose');

class Partner {
  // server: https://name:port, the issuer of tokens; files: your certificate, your key, and the server's authority
  constructor(server, { cert, key, ca }) {
    this.server = server;
    this.agent = new https.Agent({
      cert: readFileSync(cert), key: readFileSync(key), ca: readFileSync(ca), keepAlive: true,
    });
  }

  // JSON there and back; a refusal (RFC 9457) is thrown, with its code.
  ask(method, target, question) {
    return new Promise((resolve, reject) => {
      const headers = question === undefined ? {} : { 'Content-Type': 'application/json' };
      https.request(this.server + target, { method, headers, agent: this.agent }, async (answer) => {
        let text = '';
        for await (const piece of answer.setEncoding('utf8')) text += piece;
        const told = JSON.parse(text);
        if (answer.statusCode === 200) resolve(told);
        else reject(Object.assign(new Error(told.code), told));
      }).on('error', reject).end(question && JSON.stringify(question));
    });
  }

  // The claims of an access token that your peer, whose certificate this is (PEM), has shown; throws where it is none.
  async check(token, audience, certificate) {
    if (!(Date.now() < this.keysUntil)) {
      this.keys = createLocalJWKSet(await this.ask('GET', '/.well-known/jwks.json'));
      this.keysUntil = Date.now() + 3600e3; // Cache-Control says how long
    }
    const { payload } = await jwtVerify(token, this.keys, {
      issuer: this.server, audience, algorithms: ['EdDSA'], typ: 'at+jwt', requiredClaims: ['exp', 'sub', 'cnf'],
    });
    const print = createHash('sha256').update(new X509Certificate(certificate).raw).digest('base64url');
    if (payload.cnf['x5t#S256'] !== print) throw new Error('the token is bound to another certificate');
    return payload;
  }
}

module.exports = { Partner };
