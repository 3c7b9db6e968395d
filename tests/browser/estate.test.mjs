// In front of an estate: its documents, its pages and its plug-in through the gateway, in a browser
// that signed in at a provider. Nothing of the estate's own is seen outside.

import assert from 'node:assert/strict';
import { follow, journey, openButton, path, picture, tile, words } from './journey.mjs';
import { clientKey, startProvider } from './provider.mjs';
import { startEstate, startServed } from './site.mjs';

const PASSED_ON = /^\/(qlikview|qvajaxzfc|qvplugin)\//i;
/** Headers of the web server that stay inside. */
const INSIDE = ['server', 'x-powered-by', 'x-inside-node', 'content-location', 'set-cookie',
  'access-control-allow-origin', 'keep-alive', 'www-authenticate'];
const SEEN_WITHIN_MS = 15_000;
const ENDS_WITHIN_MS = 30_000;

/** A site in front of an estate, with a provider. */
async function inFront() {
  const estate = await startEstate('--assign', 'CUSTOM\\ann');
  const provider = await startProvider();
  const key = clientKey();
  const site = await startServed(`
[license]
server = "qlikview"
[qlikview]
web_server = "${estate.webServer}"
management_service = "${estate.managementService}"
[[sign_in.source]]
kind = "oidc"
name = "corp"
[oidc.corp]
label = "Sign in at corp"
issuer = "${provider.issuer}"
allow_http_loopback = true
client_id = "accesspoint"
private_key = '''${key.pem}'''
scopes = ["openid", "profile", "groups"]
user_name = "{preferred_username}"
display_name = "{name}"
groups = "groups"
[[oidc.corp.rule]]
`);
  provider.serve(site, 'corp', key.jwk);
  return {
    ...site,
    estate,
    providers: [provider.issuer],
    passesOn: (response) => PASSED_ON.test(new URL(response.url()).pathname)
      && response.headers()['x-frame-options'] === 'SAMEORIGIN',
    stop: async () => {
      await site.stop();
      await provider.stop();
      await estate.stop();
    },
  };
}

async function signedIn(site, page, name = 'ann') {
  await page.goto(site.url);
  await follow(page, page.getByRole('link', { name: 'Sign in at corp' }));
  await page.fill('[name=login]', name);
  await follow(page, page.getByRole('button', { name: 'Sign in at Corp' }));
  assert.equal(path(page), '/');
}

/** Looks at all that a page's browser gets; the answer says what leaked, and how much was seen. */
function watch(site, page) {
  const inside = new URL(site.estate.webServer).host;
  const seen = [];
  page.on('response', (response) => {
    seen.push((async () => {
      const url = response.url();
      const found = [];
      const headers = await response.allHeaders();
      const ours = url.startsWith(site.url);
      for (const [name, value] of Object.entries(headers)) {
        if (ours && value.includes(inside)) found.push(`${url}: ${name}: ${value}`);
        if (site.passesOn(response) && INSIDE.includes(name)) found.push(`${url}: ${name}: ${value}`);
      }
      if (/html|xml|script/.test(headers['content-type'] ?? '')) {
        const text = await response.text().catch(() => '');
        if (text.includes(inside)) found.push(`${url}: its body`);
      }
      return { url, found, passedOn: site.passesOn(response) };
    })());
  });
  page.on('websocket', (socket) => seen.push({ url: socket.url(), found: [], passedOn: true }));
  return async () => {
    const all = await Promise.all(seen);
    const hosts = new Set(all.map(({ url }) => new URL(url).host));
    assert.ok(!hosts.has(inside), `the browser asked the inside: ${[...hosts]}`);
    return { leaks: all.flatMap(({ found }) => found), passed: all.filter((one) => one.passedOn) };
  };
}

async function until(what, within, holds) {
  const late = Date.now() + within;
  while (!await holds()) {
    assert.ok(Date.now() < late, `${what} does not come about`);
    await new Promise((resolve) => { setTimeout(resolve, 100); });
  }
}

/** Nothing that came up was other than the estate wants it. */
async function wasAskedWell(site) {
  assert.deepEqual((await site.estate.told()).complaints, []);
}

journey('a provider, the page of a document through the gateway, and out', async ({ site, visit }) => {
  const { page } = await visit();
  const looked = watch(site, page);
  await signedIn(site, page);
  assert.match(await words(page), /Orders/);
  assert.doesNotMatch(await words(page), /Budget/, 'Finance is for others');
  await picture(page, 'estate-documents');
  await tile(page, 'Orders').locator('summary').click();
  const ajax = tile(page, 'Orders').locator('button[value=ajax]');
  await follow(page, await ajax.count() ? ajax : openButton(page, 'Orders'));
  await picture(page, 'estate-hand-over');
  await page.waitForURL(/\/QvAJAXZfc\/opendoc\.htm/);
  await page.getByText('Can you hear me?').waitFor();
  assert.match(await page.locator('#told').innerText(), /Sales\/Orders\.qvw CUSTOM\\ann https:/);
  assert.equal(await page.locator('#bytes').innerText(), '2048');
  assert.equal(await page.locator('#cookies').innerText(), '', 'script sees no cookie of the estate');
  assert.equal(await page.evaluate(() => document.cookie), '');
  assert.ok(!(await page.content()).includes(new URL(site.estate.webServer).host));
  await picture(page, 'estate-document');

  // The estate's own list, by the link of its page.
  await follow(page, page.getByRole('link', { name: 'Documents' }));
  assert.equal(path(page), '/qlikview/');
  await page.getByText('Orders (Ajax)').waitFor();
  assert.equal(await page.locator('#user').innerText(), 'CUSTOM\\ann');
  await page.fill('[name=text]', 'ma');
  await page.getByRole('button', { name: 'Search' }).click();
  await page.getByText('Orders (Ajax)').waitFor({ state: 'detached' });
  assert.equal(await page.locator('#documents li').count(), 1);
  await picture(page, 'estate-list');
  // A link there is an open here.
  await follow(page, page.getByRole('link', { name: 'Maße (Ajax)' }));
  assert.match(await words(page), /Maße/);
  await page.waitForURL(/\/QvAJAXZfc\/opendoc\.htm/);
  await page.getByText('Can you hear me?').waitFor();

  const { leaks, passed } = await looked();
  assert.deepEqual(leaks, []);
  assert.ok(passed.length > 10, `only ${passed.length} answers were passed on`);
  assert.ok(passed.some(({ url }) => url.startsWith('wss:')), 'the socket was');
  assert.equal((await site.estate.told()).sessions, 1);

  await page.goto(site.url);
  await follow(page, page.getByRole('button', { name: 'Sign out' }));
  await page.getByRole('button', { name: 'Yes, sign me out' }).click();
  await page.waitForURL(`${site.url}/login?notice=signed-out`);
  await page.goto(`${site.url}/qlikview/`);
  assert.equal(path(page), '/login');
  await until('the end of the session there', ENDS_WITHIN_MS,
    async () => (await site.estate.told()).sessions === 0);
  await wasAskedWell(site);
}, inFront);

journey('an open for the plug-in, and the lease that it took', async ({ site, visit }) => {
  const { page } = await visit();
  const looked = watch(site, page);
  await signedIn(site, page);
  await tile(page, 'Orders').locator('summary').click();
  await follow(page, tile(page, 'Orders').locator('button[value=plugin]'));
  assert.match(await words(page), /30 days/);
  await picture(page, 'estate-plugin-hand-over');
  const launched = Date.now();
  await page.waitForURL(/\/QvPlugin\/opendoc\.htm/);
  const link = await page.locator('#qvp').getAttribute('href');
  assert.match(link, /^qvp:\/\/cluster\/Sales\/Orders\.qvw\?TICKET=[0-9a-f]{40}$/);
  await picture(page, 'estate-plugin');
  const outcome = await page.context().newPage();
  await outcome.goto(`${site.url}/account/lease`);
  await outcome.getByText(/has leased to PC-STAND-IN until/).waitFor({ timeout: SEEN_WITHIN_MS });
  assert.ok(Date.now() - launched < 2 * SEEN_WITHIN_MS);
  await picture(outcome, 'estate-lease');
  await outcome.goto(`${site.url}/account`);
  assert.match(await words(outcome), /PC-STAND-IN/);
  // What guards the account is changed in a fresh session alone.
  const answer = await outcome.request.get(`${site.url}/api/v1/admin/users`);
  assert.equal(answer.status(), 403);
  assert.deepEqual((await looked()).leaks, []);
  await wasAskedWell(site);
}, inFront);

journey('while the web server is silent, the page says so', async ({ site, visit }) => {
  const { page } = await visit();
  await signedIn(site, page);
  await site.estate.stop();
  const answer = await page.goto(`${site.url}/qlikview/`);
  assert.equal(answer.status(), 503);
  assert.match(await words(page), /QlikView web server/);
  assert.ok(!(await page.content()).includes(new URL(site.estate.webServer).host));
  await picture(page, 'estate-silent');
}, inFront);
