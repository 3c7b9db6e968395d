// Signing in with the example receiver of a webhook, as somebody would run it beside the gateway.

import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { fillSignIn, journey, opensOrders, path, picture, words } from './journey.mjs';
import { beside, makeCertificate, startPeer } from './peer.mjs';
import { freePort, startServed } from './site.mjs';

const RECEIVER = fileURLToPath(new URL('../../deploy/webhook-receiver.py', import.meta.url));
const PASSWORD = 'glass harbour 17';
const WRONG = 'another password 3';
const SECRET = 'what the receiver and the gateway share';

/** Starts the receiver. */
async function startReceiver() {
  const folder = mkdtempSync(join(tmpdir(), 'accesspoint-receiver-'));
  const at = (name) => join(folder, name);
  const { key, certificate } = makeCertificate(folder, 'receiver');
  writeFileSync(at('both.pem'), readFileSync(key) + readFileSync(certificate));
  writeFileSync(at('secret'), SECRET);
  writeFileSync(at('people.json'), JSON.stringify({ ann: { password: PASSWORD, groups: ['finance'] } }));
  const port = await freePort();
  const options = [RECEIVER, String(port), at('both.pem'), at('secret'), at('people.json')];
  const peer = startPeer(folder, 'python3', options);
  await Promise.race([
    new Promise((resolve) => createInterface({ input: peer.program.stdout }).once('line', resolve)),
    peer.ended.then((code) => assert.fail(`the receiver ended with ${code}`)),
  ]);
  return { ...peer, url: `https://127.0.0.1:${port}/check`, certificate };
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
  return beside(site, receiver);
}

journey('a person whom a webhook vouches for opens a document; nothing of it is in the log',
  async ({ site, visit }) => {
    const { page } = await visit();
    await page.goto(site.url);
    assert.equal((await fillSignIn(page, 'ann', WRONG)).status(), 401);
    await fillSignIn(page, 'ann', PASSWORD);
    assert.equal(path(page), '/');
    await opensOrders(page);

    const other = await visit();
    await site.silence();
    await other.page.goto(site.url);
    assert.equal((await fillSignIn(other.page, 'ann', PASSWORD)).status(), 503);
    assert.match(await words(other.page), /Human resources/);
    await picture(other.page, 'webhook-silent');
  }, withReceiver);
