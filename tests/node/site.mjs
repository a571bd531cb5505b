// A deployment of synthetic people in a folder of its own, and the real server on it. Failures throw.
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';

const PEOPLE = '2000';
const SEED = '7';
const START_MS = 60000; // sanitizers are slow
const PASSCODES = '[passcode]\nanswer_step = 200ms\n'; // the default is made for costs that nobody has here
const CONTROL_BYTES = 64; // no less than struct preload_control has
const STOP_MS = 40000; // longer than the server drains

// Calls step(each) for every element, so many at a time.
export async function together(list, count, step) {
  const queue = [...list];
  const lane = async () => {
    while (queue.length > 0) await step(queue.shift());
  };
  await Promise.all(Array.from({ length: count }, lane));
}

export const sleep = (ms) => new Promise((done) => setTimeout(done, ms));

function program(variable) {
  const file = process.env[variable];
  assert.ok(file, `${variable} is not set: run by meson test`);
  return file;
}

// The system's next free port: the issuer of tokens says it before the server listens.
function freePort() {
  return new Promise((resolve, reject) => {
    const server = net.createServer().on('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}

export class Site {
  // citizens: what toRecord() of each gives is imported with the generated people. clock: leap() is wanted. prepare:
  // what is done with the site before it serves.
  static async make(citizens, { clock = false, prepare = () => {} } = {}) {
    const site = new Site();
    site.hasClock = clock;
    site.root = fs.mkdtempSync(path.join(process.env.TMPDIR || os.tmpdir(), 'xacthuc-node-'));
    site.folder = site.at('DIR');
    process.on('exit', () => site.remove());
    site.run('init', site.folder);
    site.bench('gen', '--count', PEOPLE, '--seed', SEED, '--full', '--out', site.at('people.ndjson'));
    const lines = citizens.map((citizen) => `${JSON.stringify(citizen.toRecord())}\n`);
    fs.appendFileSync(site.at('people.ndjson'), lines.join(''));
    site.run('import', site.folder, site.at('people.ndjson'));
    site.addPartner('portal', 'authenticate');
    site.addPartner('shop', 'authenticate');
    site.addPartner('backend', 'authenticate,accounts');
    site.addPartner('register', 'registry');
    prepare(site);
    await site.start();
    return site;
  }

  at(name) {
    return path.join(this.root, name);
  }

  // Gives what the program printed.
  run(...words) {
    return this.#run(program('XT_XACTHUC'), words);
  }

  bench(...words) {
    return this.#run(program('XT_BENCH'), words);
  }

  #run(file, words) {
    const done = spawnSync(file, words, { encoding: 'utf8', maxBuffer: 1 << 26 });
    assert.equal(done.status, 0, `${path.basename(file)} ${words.join(' ')}: ${done.stderr}`);
    return done.stdout;
  }

  // Purposes: login takes every level, pay two factors, sign a biometric.
  addPartner(name, rights) {
    const claims = ['--claims', 'full_name,date_of_birth'];
    this.run('partner', 'add', this.folder, name, '--purpose', `${name}.login`, ...claims,
      '--purpose', `${name}.pay`, ...claims, '--least-level', '2', '--purpose', `${name}.sign`, ...claims, '--least-level', '3', '--right', rights, '--issue', this.at('issued'));
  }

  // Of a partner: the names of his files.
  files(name, folder = 'issued') {
    const issued = path.join(this.at(folder), name);
    return { cert: `${issued}.crt`, key: `${issued}.key`, ca: this.at('DIR/ca.crt') };
  }

  async start() {
    const port = await freePort();
    this.issuer = `https://127.0.0.1:${port}`;
    this.initial ??= fs.readFileSync(this.at('DIR/xacthuc.conf'), 'utf8');
    fs.writeFileSync(this.at('DIR/xacthuc.conf'), `${this.initial}\n[tokens]\nissuer = ${this.issuer}\n${PASSCODES}`);
    const log = fs.openSync(this.at('server.log'), 'a');
    this.server = spawn(program('XT_XACTHUC'), ['serve', this.folder, '--workers', '2', '--admin', '127.0.0.1:0',
      '--listen', `127.0.0.1:${port}`], { stdio: ['ignore', 'ignore', log], env: { ...process.env, ...this.#clock() } });
    fs.closeSync(log);
    this.ended = new Promise((done) => this.server.on('exit', (code, signal) => done(signal ?? code)));
    for (let left = START_MS; !this.log().includes('"event":"listening"'); left -= 20) {
      assert.ok(left > 0 && this.server.exitCode === null, `the server does not listen: ${this.log()}`);
      await sleep(20);
    }
  }

  // The server's clock under tests/preload.h, whose control begins with the milliseconds that it is ahead. It lies where
  // the sandbox lets every process come.
  #clock() {
    if (!this.hasClock) return {};
    this.control = this.at('DIR/supervisor/control');
    fs.mkdirSync(this.at('DIR/supervisor'), { recursive: true });
    fs.writeFileSync(this.control, Buffer.alloc(CONTROL_BYTES));
    return {
      LD_PRELOAD: program('XT_PRELOAD'), PRELOAD_FOLDER: this.at('none'), PRELOAD_CONTROL: this.control,
      ASAN_OPTIONS: `${process.env.ASAN_OPTIONS ?? ''}:verify_asan_link_order=0`, // a sanitizer wants to be the first library
    };
  }

  leap(ms) {
    const ahead = Buffer.alloc(8);
    ahead.writeBigInt64LE(BigInt(ms));
    const file = fs.openSync(this.control, 'r+');
    fs.writeSync(file, ahead, 0, 8, 0);
    fs.closeSync(file);
  }

  log() {
    return fs.readFileSync(this.at('server.log'), 'utf8');
  }

  // SIGTERM; the server must drain and end as it promises.
  async stop() {
    this.server.kill('SIGTERM');
    let timer;
    const late = new Promise((done) => { timer = setTimeout(done, STOP_MS, 'still there'); });
    const status = await Promise.race([this.ended, late]);
    clearTimeout(timer);
    assert.equal(status, 0);
  }

  remove() {
    if (this.server?.exitCode === null) this.server.kill('SIGKILL');
    spawnSync('chmod', ['-R', 'u+w', this.root]);
    fs.rmSync(this.root, { recursive: true, force: true });
  }
}
