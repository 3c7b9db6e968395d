// Signing in with the example receiver of a webhook, as somebody would run it beside the gateway.

import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { fillSignIn, follow, journey, openButton, path, picture, words } from './journey.mjs';
import { freePort, startServed } from './site.mjs';

const RECEIVER = fileURLToPath(new URL('../../deploy/webhook-receiver.py', import.meta.url));
const PASSWORD = 'glass harbour 17';
const WRONG = 'another password 3';
const SECRET = 'what the receiver and the gateway share';

/** Starts the receiver; `silence` ends it, `stop` takes its folder away too. */
async function startReceiver() {
  const folder = mkdtempSync(join(tmpdir(), 'accesspoint-receiver-'));
  const at = (name) => join(folder, name);
  execFileSync('openssl', ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2',
    '-subj', '/CN=receiver', '-addext', 'subjectAltName=IP:127.0.0.1',
    '-addext', 'basicConstraints=critical,CA:FALSE',
    '-keyout', at('key.pem'), '-out', at('certificate.pem')], { stdio: 'ignore' });
  writeFileSync(at('both.pem'), readFileSync(at('key.pem')) + readFileSync(at('certificate.pem')));
  writeFileSync(at('secret'), SECRET);
  writeFileSync(at('people.json'), JSON.stringify({ ann: { password: PASSWORD, groups: ['finance'] } }));
  const port = await freePort();
  const options = [RECEIVER, String(port), at('both.pem'), at('secret'), at('people.json')];
  const program = spawn('python3', options, { stdio: ['ignore', 'pipe', 'ignore'] });
  const ended = new Promise((resolve) => program.once('exit', resolve));
  process.once('exit', () => program.kill('SIGKILL'));
  await Promise.race([
    new Promise((resolve) => createInterface({ input: program.stdout }).once('line', resolve)),
    ended.then((code) => assert.fail(`the receiver ended with ${code}`)),
  ]);
  const silence = async () => {
    program.kill('SIGKILL');
    await ended;
  };
  return {
    url: `https://127.0.0.1:${port}/check`,
    certificate: at('certificate.pem'),
    silence,
    stop: async () => {
      await silence();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** A site whose people the receiver knows. */
async function withReceiver() {
  const receiver = await startReceiver();
  const site = await startServed(`
[[sign_in.source]]
kind = "local"
name = "local"
[[sign_in.source]]
kind = "webhook"
name = "hr"
[webhook.hr]
label = "Human resources"
url = "${receiver.url}"
ca_file = "${receiver.certificate}"
secret = "${SECRET}"
user_name = "{preferred_username}"
groups = "groups"
[[webhook.hr.rule]]
named_cal = "assign"
`, { secrets: [PASSWORD, WRONG, SECRET] });
  const { stop } = site;
  return {
    ...site,
    silenceReceiver: receiver.silence,
    stop: async () => {
      await stop();
      await receiver.stop();
    },
  };
}

journey('a person whom a webhook vouches for opens a document; nothing of it is in the log',
  async ({ site, visit }) => {
    const { page } = await visit();
    await page.goto(site.url);
    assert.equal((await fillSignIn(page, 'ann', WRONG)).status(), 401);
    await fillSignIn(page, 'ann', PASSWORD);
    assert.equal(path(page), '/');
    const arrives = page.waitForEvent('download');
    await follow(page, openButton(page, 'Orders'));
    assert.match(await words(page), /Granted until .* \(30 days\)/);
    assert.equal((await arrives).suggestedFilename(), 'Orders.qvw');

    const other = await visit();
    await site.silenceReceiver();
    await other.page.goto(site.url);
    assert.equal((await fillSignIn(other.page, 'ann', PASSWORD)).status(), 503);
    assert.match(await words(other.page), /Human resources/);
    await picture(other.page, 'webhook-silent');
  }, withReceiver);
