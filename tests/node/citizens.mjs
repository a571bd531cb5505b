// People who can authenticate: the keys of their devices and cards are made here, by Node's own library.
import { createHash, createPrivateKey, createPublicKey, generateKeyPairSync, sign } from 'node:crypto';

// "password", as the reference implementation of Argon2 hashes it.
const IMPORTED = '$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4';
export const IMPORTED_PASSCODE = 'password';

export const AS_DER = {
  publicKeyEncoding: { type: 'spki', format: 'der' }, privateKeyEncoding: { type: 'pkcs8', format: 'der' },
};

export class Key {
  constructor(kind) {
    this.kind = kind;
    // By way of DER: the two objects that Node makes share a lock, and its collector may wait for itself there.
    const pair = generateKeyPairSync(kind === 'ed25519' ? 'ed25519' : 'ec', { namedCurve: 'P-256', ...AS_DER });
    this.takes(pair.privateKey);
  }

  // der: PKCS #8. public, jwk and spki (DER) are of its public key.
  takes(der) {
    const source = { key: der, format: 'der', type: 'pkcs8' };
    this.private = createPrivateKey(source);
    this.public = createPublicKey(source);
    this.jwk = this.public.export({ format: 'jwk' });
    this.spki = this.public.export({ type: 'spki', format: 'der' });
  }

  // 64 bytes: r and s, or Ed25519's.
  sign(message, digest = 'sha256') {
    const key = { key: this.private, dsaEncoding: 'ieee-p1363' };
    return sign(this.kind === 'ed25519' ? null : digest, Buffer.from(message), key);
  }
}

const base64url = (key) => key.spki.toString('base64url');
let made = 0;

export class Citizen {
  // device: 'p256' (also when left out), 'ed25519' or false; unlockedBy: a biometric; record: members of his own.
  constructor({ device = 'p256', unlockedBy, account = true, passcode = false, record = {} } = {}) {
    this.id = `001099${String(900000 + made).padStart(6, '0')}`;
    this.deviceId = `phone-${made}`;
    made += 1;
    this.device = device === false ? null : new Key(device);
    this.card = new Key('p256');
    this.account = account && {
      level: 2, locks: [],
      devices: this.device === null ? [] : [
        { device_id: this.deviceId, public_key: base64url(this.device), unlocked_by: unlockedBy }],
      ...(passcode ? { passcode_hash: IMPORTED } : {}),
    };
    this.record = record;
  }

  toRecord() {
    return {
      id: this.id, full_name: 'Nguyễn Văn An', date_of_birth: '1999-01-25', sex: 'male', status: 'alive',
      card: {
        issued_on: '2021-04-25', expires_on: '2099-01-25', state: 'active', public_key: base64url(this.card),
      },
      ...(this.account ? { account: this.account } : {}),
      ...this.record,
    };
  }
}

export const sha256 = (bytes) => createHash('sha256').update(bytes).digest();
