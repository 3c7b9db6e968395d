// A fresh sample site: `accesspoint demo` on a free port, in a folder of its own.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const BUILT = fileURLToPath(new URL('../../target/debug/accesspoint', import.meta.url));
const PROGRAM = process.env.ACCESSPOINT ?? BUILT;
const STARTS_WITHIN_MS = 60_000;
const STOPS_WITHIN_MS = 20_000;

/** Sites that run now: what ends this process ends them too. */
const running = new Set();

function stopAll() {
  for (const { program, folder } of running) {
    program.kill('SIGKILL');
    rmSync(folder, { recursive: true, force: true });
  }
}

process.on('exit', stopAll);
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
  process.on(signal, () => process.exit(1));
}

/** An estate of QlikView's shape, which the tests of the gateway stand in front of too. */
const ESTATE = process.env.ESTATE
  ?? fileURLToPath(new URL('../../target/debug/examples/estate', import.meta.url));

// Sites log all that there is to log, so that what must not be logged shows.
const LOGGING = { ...process.env, ACCESSPOINT_LOG: 'trace' };

/** What no log may hold at any level, besides passwords: tokens, cookies, codes, states, tickets. */
const SECRETS = [
  /eyJ[\w-]{10,}\.[\w-]+/,
  /__Host-[\w-]+=[\w-]{16,}/,
  /\b(code|state|launch|step|webticket|code_verifier|client_assertion)=[\w-]{40,}/i,
];

/** Keeps what a site logs until it ends, and shows what is wrong. */
function keepLog(site, onLine = () => {}) {
  const lines = createInterface({ input: site.program.stderr });
  site.logged = new Promise((resolve) => lines.once('close', resolve));
  lines.on('line', (line) => {
    site.log.push(line);
    if (/ (WARN|ERROR) /.test(line)) process.stderr.write(`${line}\n`);
    onLine(line);
  });
}

/** H-20, L-10, W-02: asserts that no secret is in what a site logged. */
function keepsSecrets({ log, passwords }) {
  assert.ok(log.some((line) => / TRACE /.test(line)), 'a site logs everything');
  for (const line of log) {
    assert.ok(!SECRETS.some((secret) => secret.test(line)), `a secret is logged: ${line}`);
    const password = passwords.find((one) => line.includes(one));
    assert.equal(password, undefined, `a password is logged: ${line}`);
  }
}

/** Starts a site; `stop` ends it and takes its folder away. */
export async function startSite() {
  const folder = mkdtempSync(join(tmpdir(), 'accesspoint-journey-'));
  const data = join(folder, 'site');
  const demo = ['demo', '--json', '--listen', '127.0.0.1:0', '--data', data];
  const program = spawn(PROGRAM, demo, { stdio: ['ignore', 'pipe', 'pipe'], env: LOGGING });
  const site = { program, folder, log: [] };
  running.add(site);
  keepLog(site);
  const ended = new Promise((resolve) => program.once('exit', resolve));
  const { url, accounts, config } = JSON.parse(await firstLine(program));
  site.passwords = accounts.map((account) => account.password);
  return {
    url,
    password: (name) => accounts.find((account) => account.name === name).password,
    /** What a document of this site holds; `path` is the one under its root. */
    document: (path) => readFile(join(data, 'documents', path)),
    /** Runs a command of the program on this site; answers its exit code. */
    run: (...command) => exitCode([...command, '--config', config]),
    stop: () => stop(site, ended),
  };
}

/**
 * Starts `accesspoint serve` on a free port with these settings, five CALs and these documents, each
 * of which holds its title. With a `host`, browsers call it by that name. None of the `secrets` may be
 * in the log.
 */
export async function startServed(
  settings, { host, secrets = [], documents = ['Sales/Orders.qvw'] } = {},
) {
  const folder = mkdtempSync(join(tmpdir(), 'accesspoint-journey-'));
  const config = join(folder, 'accesspoint.toml');
  for (const document of documents) {
    const file = join(folder, 'documents', document);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, basename(file, '.qvw'));
  }
  writeFileSync(join(folder, 'license.lef'), 'PRODUCTLEVEL;10;;\nNUMBER_OF_NAMED_CALS;5;;\n');
  const port = host ? await freePort() : 0;
  const address = host ? `public_url = "https://${host}:${port}"\n` : '';
  writeFileSync(config, `${address}[listen]\nhttps = "127.0.0.1:${port}"\n${settings}`);
  const run = (...command) => exitCode([...command, '--config', config]);
  // In front of an estate the licence is its server's.
  const owned = !settings.includes('server = "qlikview"');
  if (owned && await run('license', 'load', join(folder, 'license.lef')) !== 0) {
    throw new Error('the licence cannot be loaded');
  }
  const site = { folder, log: [], passwords: [...secrets] };
  let ended;
  const serve = () => {
    site.program = spawn(PROGRAM, ['serve', '--config', config], {
      stdio: ['ignore', 'ignore', 'pipe'], env: LOGGING,
    });
    ended = new Promise((resolve) => site.program.once('exit', resolve));
    return servedAddress(site);
  };
  running.add(site);
  return {
    url: await serve(),
    /** Stops the gateway and starts it again; browsers find it only where it has a `host`. */
    restart: async () => {
      site.program.kill('SIGTERM');
      await ended;
      await serve();
    },
    database: join(folder, 'accesspoint-data', 'accesspoint.db'),
    run,
    /** Adds somebody with this password. */
    addUser: (name, password) => {
      site.passwords.push(password);
      return exitCode(['user', 'add', name, '--password-stdin', '--config', config], password);
    },
    stop: () => stop(site, ended),
  };
}

/** Starts the estate with these arguments; `told` and `change` ask and tell it, `stop` ends it. */
export async function startEstate(...options) {
  const program = spawn(ESTATE, options, { stdio: ['ignore', 'pipe', 'inherit'] });
  process.once('exit', () => program.kill('SIGKILL'));
  const ended = new Promise((resolve) => program.once('exit', resolve));
  const addresses = JSON.parse(await firstLine(program));
  return {
    webServer: addresses.web_server,
    managementService: addresses.management_service,
    told: async () => (await fetch(addresses.control)).json(),
    change: async (change) => (await fetch(addresses.control, {
      method: 'PUT', headers: { 'content-type': 'application/json' }, body: JSON.stringify(change),
    })).json(),
    stop: async () => { program.kill('SIGKILL'); await ended; },
  };
}

async function stop(site, ended) {
  site.program.kill('SIGTERM');
  const hard = setTimeout(() => site.program.kill('SIGKILL'), STOPS_WITHIN_MS);
  await ended;
  await site.logged;
  clearTimeout(hard);
  running.delete(site);
  rmSync(site.folder, { recursive: true, force: true });
  keepsSecrets(site);
}

/** The address that the log names once the gateway serves. */
function servedAddress(site) {
  return new Promise((resolve, reject) => {
    const late = setTimeout(() => reject(new Error('it does not serve')), STARTS_WITHIN_MS);
    keepLog(site, (line) => {
      const found = /public_url=(https:\S+)/.exec(line);
      if (found) { clearTimeout(late); resolve(found[1]); }
    });
    site.program.once('exit', (code) => reject(new Error(`it ended with ${code}`)));
  });
}

/** A port on which nobody listens. */
export function freePort() {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}

/** The line that a program prints once it serves. */
function firstLine(program) {
  return new Promise((resolve, reject) => {
    const late = setTimeout(() => reject(new Error('it does not start')), STARTS_WITHIN_MS);
    const settle = (how) => (value) => { clearTimeout(late); how(value); };
    createInterface({ input: program.stdout }).once('line', settle(resolve));
    program.once('error', settle(reject));
    program.once('exit', settle((code) => reject(new Error(`it ended with ${code}`))));
  });
}

function exitCode(command, input = '') {
  return new Promise((resolve, reject) => {
    const child = spawn(PROGRAM, command, { stdio: ['pipe', 'ignore', 'ignore'] });
    child.once('error', reject);
    child.once('exit', resolve);
    child.stdin.end(input);
  });
}
