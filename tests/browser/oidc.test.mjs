// Signing in and out through providers, in a browser: tabs, the back button, a page left open.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { violations } from './axe.mjs';
import {
  fillSignIn, follow, journey, opensOrders, path, picture, words,
} from './journey.mjs';
import { clientKey, startMock, startProvider } from './provider.mjs';
import { freePort, startServed } from './site.mjs';

const OPEN = '/QvAJAXZfc/AccessPoint.aspx?open=&id=Sales%2FOrders.qvw&client=Plugin';
const WANTED = `/oidc/corp/login?return_to=${encodeURIComponent(OPEN)}`;

/** Providers of these names, each with a key of its own for the gateway. */
async function startProviders(...names) {
  const providers = [];
  for (const name of names) providers.push({ name, at: await startProvider(), key: clientKey() });
  return providers;
}

/** The settings of a provider. */
const settingsOf = ({ name, at, key }) => `
[[sign_in.source]]
kind = "oidc"
name = "${name}"
[oidc.${name}]
label = "Sign in at ${name}"
issuer = "${at.issuer}"
allow_http_loopback = true
client_id = "accesspoint"
private_key = '''${key.pem}'''
scopes = ["openid", "profile", "groups"]
user_name = "${name === 'corp' ? '' : `${name}-`}{preferred_username}"
display_name = "{name}"
groups = "groups"
[[oidc.${name}.rule]]
when = { claim = "groups", has = "staff" }
named_cal = "assign"
`;

/** A site with these providers. */
async function siteWith(...names) {
  const providers = await startProviders(...names);
  return serving(await startServed(providers.map(settingsOf).join('')), providers);
}

/** A site that browsers call by a name, whose provider signs people out at another host of its own. */
async function signingOutElsewhere() {
  const providers = await startProviders('corp');
  const site = await startServed(providers.map(settingsOf).join(''), { host: 'localhost' });
  const elsewhere = providers[0].at.issuer.replace('127.0.0.1', 'localhost');
  const serves = serving(site, providers, 'localhost');
  serves.providers.push(elsewhere);
  return serves;
}

/** A site with every way in: two providers, a directory that is silent, and accounts of its own. */
async function everyWayIn() {
  const providers = await startProviders('corp', 'partner');
  const [first, second] = providers.map(settingsOf);
  const site = await startServed(`${first}
[[sign_in.source]]
kind = "ldap"
name = "hq"
[ldap.hq]
label = "Head office"
servers = ["ldaps://127.0.0.1:${await freePort()}"]
user_base = "dc=example"
user_filter = "(uid={username})"
user_name = "{uid}"
[[ldap.hq.rule]]
[[sign_in.source]]
kind = "local"
name = "local"
${second}`);
  assert.equal(await site.addUser('lea', 'paper kite 22'), 0);
  return serving(site, providers);
}

/** The site, with its providers, which stop with it. */
function serving(site, providers, signsOutAt) {
  for (const { name, at, key } of providers) at.serve(site, name, key.jwk, signsOutAt);
  site.providers = providers.map(({ at }) => at.issuer);
  const { stop } = site;
  site.stop = async () => {
    await stop();
    for (const { at } of providers) await at.stop();
  };
  return site;
}

const withCorp = () => siteWith('corp');

/** Signs in on the provider's page that is shown. */
async function signInThere(page, name = 'ann') {
  await page.fill('[name=login]', name);
  return follow(page, page.getByRole('button', { name: 'Sign in at Corp' }));
}

async function signedIn(site, page, name) {
  await page.goto(site.url);
  await follow(page, page.getByRole('link', { name: 'Sign in at corp' }));
  await signInThere(page, name);
  assert.equal(path(page), '/');
}

journey('a provider, from the sign-in page to an opened document', async ({ site, visit }) => {
  const { page } = await visit();
  await page.goto(site.url);
  assert.equal(path(page), '/login');
  await picture(page, 'oidc-sign-in');
  await follow(page, page.getByRole('link', { name: 'Sign in at corp' }));
  assert.ok(page.url().startsWith(site.providers[0]));
  await signInThere(page);
  assert.equal(path(page), '/');
  assert.match(await page.locator('body').innerText(), /ann of Corp/);
  assert.match(await words(page), /Named CAL since/);
  await opensOrders(page);
}, withCorp);

journey('two providers in one browser', async ({ site, visit }) => {
  const { page } = await visit();
  await page.goto(site.url);
  const ways = await page.getByRole('link', { name: /^Sign in at/ }).allInnerTexts();
  assert.deepEqual(ways, ['Sign in at corp', 'Sign in at partner']);
  await follow(page, page.getByRole('link', { name: 'Sign in at partner' }));
  assert.ok(page.url().startsWith(site.providers[1]));
  await signInThere(page, 'ann');
  assert.equal(path(page), '/');
  // The other one's person of the same name is somebody else.
  const other = await visit();
  await other.page.goto(`${site.url}/oidc/corp/login`);
  await signInThere(other.page, 'ann');
  const answer = await other.page.request.get(`${site.url}/api/v1/session`);
  const mine = await page.request.get(`${site.url}/api/v1/session`);
  assert.deepEqual([(await mine.json()).user, (await answer.json()).user], ['partner-ann', 'ann']);
}, () => siteWith('corp', 'partner'));

journey('every way in, in the order of the configuration, while one of them is silent',
  async ({ site, visit }) => {
    const { page } = await visit();
    await page.goto(`${site.url}/login?return_to=%2Faccount`);
    const ways = await page.locator('main a.button, main form button').allInnerTexts();
    assert.deepEqual(ways, ['Sign in at corp', 'Sign in', 'Sign in at partner']);
    assert.match(await words(page), /asked in this order: Head office, this AccessPoint/);
    assert.doesNotMatch(await words(page), /does not answer/);
    await picture(page, 'sign-in-every-way');
    assert.equal((await fillSignIn(page, 'nobody', 'not the password')).status(), 503);
    assert.match(await words(page), /Head office does not answer now/);
    await picture(page, 'sign-in-one-way-silent');
    assert.deepEqual(await violations(page), []);
    await page.setViewportSize({ width: 360, height: 640 });
    await picture(page, 'sign-in-one-way-silent-narrow');
    await page.setViewportSize({ width: 1280, height: 720 });
    // The others go on, and lead to what was wanted.
    await fillSignIn(page, 'lea', 'paper kite 22');
    assert.equal(path(page), '/account');
    const other = await visit();
    await other.page.goto(`${site.url}/login?return_to=%2Faccount`);
    await follow(other.page, other.page.getByRole('link', { name: 'Sign in at partner' }));
    await signInThere(other.page);
    assert.equal(path(other.page), '/account');
  }, everyWayIn);

journey('whom no rule of the provider lets in is told why, and how to go on',
  async ({ site, visit }) => {
    const { page } = await visit();
    await page.goto(site.url);
    await follow(page, page.getByRole('link', { name: 'Sign in at corp' }));
    const refused = await signInThere(page, 'stranger');
    assert.equal(refused.status(), 403);
    assert.match(await words(page), /Sign in at corp let you in, but/);
    assert.match(await words(page), /stranger, in the groups: guests/);
    await picture(page, 'refused-by-mapping');
    assert.deepEqual(await violations(page), []);
    await page.setViewportSize({ width: 360, height: 640 });
    await picture(page, 'refused-by-mapping-narrow');
    assert.equal((await page.context().cookies()).some(({ name }) => name === '__Host-session'), false);
    // The provider knows who it was, and asks all the same.
    await follow(page, page.getByRole('link', { name: 'Sign in as somebody else' }));
    await signInThere(page);
    assert.match(await page.locator('body').innerText(), /ann of Corp/);
  }, withCorp);

journey('ten tabs, finished in the order in which nobody began them', async ({ site, visit }) => {
  const { context, page: first } = await visit();
  const tabs = [first];
  while (tabs.length < 10) tabs.push(await context.newPage());
  for (const page of tabs) await page.goto(`${site.url}/oidc/corp/login?return_to=%2Faccount`);
  for (const page of [...tabs].reverse()) {
    await page.bringToFront();
    await signInThere(page);
    assert.equal(path(page), '/account');
  }
}, withCorp);

journey('the back button after signing in', async ({ site, visit }) => {
  const { page } = await visit();
  await signedIn(site, page);
  await page.goBack();
  await page.goForward();
  await page.goto(site.url);
  assert.equal(path(page), '/');
  assert.match(await page.locator('body').innerText(), /ann of Corp/);
  // A callback that is called once more says what happened, and leads on to the same place.
  const answer = await page.goto(`${site.url}/oidc/corp/callback?code=x&state=y&iss=z`);
  assert.equal(answer.status(), 400);
  await picture(page, 'oidc-start-again');
  await follow(page, page.getByRole('link', { name: 'Start again' }));
  assert.equal(path(page), '/');
}, withCorp);

journey('a sign-in left open for longer than its life', async ({ site, visit }) => {
  const { page } = await visit();
  await page.goto(`${site.url}/oidc/corp/login?return_to=%2Fdesktop`);
  execFileSync('python3', ['-c', `
import sqlite3, sys
ledger = sqlite3.connect(sys.argv[1], timeout=10)
assert ledger.execute("UPDATE attempt SET expires_at = 1").rowcount == 1
ledger.commit()`, site.database]);
  await signInThere(page);
  // It began again by itself; the provider still knew who it was.
  assert.equal(path(page), '/desktop');
}, withCorp);

journey('signing out here and at the provider', async ({ site, visit }) => {
  const { page } = await visit();
  await signedIn(site, page);
  await follow(page, page.getByRole('button', { name: 'Sign out' }));
  assert.ok(page.url().startsWith(`${site.providers[0]}/session/end`), page.url());
  await page.getByRole('button', { name: 'Yes, sign me out' }).click();
  await page.waitForURL(`${site.url}/login?notice=signed-out`);
  assert.match(await words(page), /signed out/i);
  await follow(page, page.getByRole('link', { name: 'Sign in at corp' }));
  assert.equal(await page.locator('[name=login]').count(), 1, 'the provider asks again');
}, withCorp);

journey('signing out at the provider ends the session here', async ({ site, visit }) => {
  const { page, context } = await visit();
  await signedIn(site, page);
  const elsewhere = await context.newPage();
  await elsewhere.goto(`${site.providers[0]}/session/end`);
  await elsewhere.getByRole('button', { name: 'Yes, sign me out' }).click();
  await elsewhere.waitForURL(/session\/end\/success/);
  await page.goto(`${site.url}/account`);
  assert.equal(path(page), '/login');
}, withCorp);

journey('signing out at a provider that does so at another host, right after a restart',
  async ({ site, visit }) => {
    const { page } = await visit();
    await signedIn(site, page);
    await site.restart();
    await page.goto(site.url);
    assert.equal(path(page), '/', 'the session outlives the restart');
    const asks = page.waitForRequest((asked) => asked.url().startsWith(site.providers[1]));
    await page.getByRole('button', { name: 'Sign out' }).click();
    await page.getByRole('heading', { name: 'You are signed out here' }).waitFor();
    await picture(page, 'signing-out-elsewhere');
    assert.match((await asks).url(), /session\/end\?id_token_hint=.*state=/);
    // Nobody is signed in at that host of the provider, so it asks nothing.
    await page.waitForURL(`${site.url}/login?notice=signed-out`);
    await page.goto(`${site.url}/account`);
    assert.equal(path(page), '/login');
  }, signingOutElsewhere);

journey('a deep link comes through', async ({ site, visit }) => {
  const { page } = await visit();
  await page.goto(`${site.url}${WANTED}`);
  await page.fill('[name=login]', 'ann');
  const [request] = await Promise.all([
    page.waitForRequest((asked) => asked.url().includes('/QvAJAXZfc/')),
    page.getByRole('button', { name: 'Sign in at Corp' }).click(),
  ]);
  assert.equal(new URL(request.url()).pathname + new URL(request.url()).search, OPEN);
}, withCorp);

journey('a provider of another kind', async ({ site, visit }) => {
  const { page } = await visit();
  await page.route(/jsdelivr/, (route) => route.abort());
  await page.goto(site.url);
  await follow(page, page.getByRole('link', { name: 'Mock' }));
  await page.fill('[name=sub]', 'mia');
  await follow(page, page.getByRole('button', { name: 'Authorize' }));
  assert.equal(path(page), '/');
  assert.match(await words(page), /Orders/);
}, async () => {
  const mock = await startMock();
  const site = await startServed(`
[[sign_in.source]]
kind = "oidc"
name = "mock"
[oidc.mock]
label = "Mock"
issuer = "${mock.issuer}"
allow_http_loopback = true
client_id = "accesspoint"
client_secret = "any"
user_name = "{sub}"
[[oidc.mock.rule]]
`);
  const { stop } = site;
  return {
    ...site,
    providers: [mock.issuer],
    stop: async () => { await stop(); await mock.stop(); },
  };
});
