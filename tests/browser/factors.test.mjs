// Second factors: codes of an app, recovery codes, passkeys with a virtual authenticator, and a rule
// that asks for one.

import assert from 'node:assert/strict';
import {
  fillSignIn, follow, journey, openButton, path, picture, signIn, words,
} from './journey.mjs';
import { startServed } from './site.mjs';
import { setUpApp } from './totp.mjs';

const PAGE = '/account/second-factors';
const PASSWORD = 'paper kite 22';

async function signOut(page) {
  await follow(page, page.locator('form[action="/logout"] button'));
}

/** Answers the second step that is shown. */
async function answer(page, text) {
  await page.fill('#code', text);
  return follow(page, page.locator('form:not(.passkey)[action="/login/second-factor"] button'));
}

journey('an app is set up, asked for, and removed; a recovery code stands in for it',
  async ({ site, visit }) => {
    const { page } = await visit();
    await signIn(site, page, 'anna');
    await follow(page, page.getByRole('link', { name: 'My account' }));
    await follow(page, page.locator(`a[href="${PAGE}"]`));
    await picture(page, 'factors-none');
    // An address that is a number can have no passkeys.
    assert.equal(await page.getByText(/passkey/i).count(), 0);
    const { next, codes } = await setUpApp(page);
    await follow(page, page.getByRole('link', { name: /go on/ }));
    assert.equal(path(page), PAGE);
    await picture(page, 'factors-one');

    await signOut(page);
    await signIn(site, page, 'anna');
    assert.match(await words(page), /Second step/);
    await picture(page, 'second-step');
    assert.equal((await answer(page, '000000')).status(), 401);
    assert.match(await page.getByRole('alert').innerText(), /not right/);
    await answer(page, next);
    assert.equal(path(page), '/');

    // The same code again is no code any more; a recovery code is one, once.
    await signOut(page);
    await signIn(site, page, 'anna');
    await answer(page, codes[3]);
    assert.equal(path(page), '/');
    await page.goto(`${site.url}${PAGE}`);
    assert.match(await words(page), /9/);
    await signOut(page);
    await signIn(site, page, 'anna');
    assert.equal((await answer(page, codes[3])).status(), 401);
    await answer(page, codes[4]);

    await page.goto(`${site.url}${PAGE}`);
    await follow(page, page.getByRole('button', { name: /^Remove/ }));
    assert.match(await page.getByRole('status').first().innerText(), /removed/);
    await signOut(page);
    await signIn(site, page, 'anna');
    assert.equal(path(page), '/');
  });

/** A site that browsers call by a name, with somebody in it. */
async function named(settings = '') {
  const site = await startServed(settings, { host: 'localhost' });
  assert.equal(await site.addUser('ann', PASSWORD), 0);
  site.password = () => PASSWORD;
  return site;
}

/** Gives a browser an authenticator that knows its user and says yes. */
async function withAuthenticator(page) {
  const session = await page.context().newCDPSession(page);
  await session.send('WebAuthn.enable');
  await session.send('WebAuthn.addVirtualAuthenticator', {
    options: {
      protocol: 'ctap2', transport: 'internal', hasResidentKey: true, hasUserVerification: true,
      isUserVerified: true, automaticPresenceSimulation: true,
    },
  });
}

journey('a passkey is made, answers the second step, signs in alone, and is removed',
  async ({ site, visit }) => {
    const { page } = await visit();
    await withAuthenticator(page);
    await signIn(site, page, 'ann');
    await page.goto(`${site.url}${PAGE}`);
    await picture(page, 'factors-with-passkeys');
    await follow(page, page.getByRole('button', { name: /Set up: .*passkey/i }));
    await picture(page, 'factor-passkey');
    await follow(page, page.getByRole('button', { name: 'Make the passkey' }));
    assert.equal(await page.locator('.codes code').count(), 10);
    await follow(page, page.getByRole('link', { name: /go on/ }));

    await signOut(page);
    await signIn(site, page, 'ann');
    await picture(page, 'second-step-passkey');
    await follow(page, page.getByRole('button', { name: 'Use a passkey' }));
    assert.equal(path(page), '/');

    await signOut(page);
    await page.goto(`${site.url}/login?return_to=${encodeURIComponent('/desktop')}`);
    await picture(page, 'sign-in-with-passkey');
    await follow(page, page.locator('form[action="/login/passkey"] button'));
    assert.equal(path(page), '/desktop', 'a passkey is two factors: nothing more is asked');
    await page.goto(site.url);
    const arrives = page.waitForEvent('download');
    await follow(page, openButton(page, 'Orders'));
    assert.equal((await arrives).suggestedFilename(), 'Orders.qvw');

    await page.goto(`${site.url}${PAGE}`);
    await follow(page, page.getByRole('button', { name: /^Remove/ }));
    await signOut(page);
    // The browser has the passkey still; the gateway does not.
    await page.goto(`${site.url}/login`);
    const refused = await follow(page, page.locator('form[action="/login/passkey"] button'));
    assert.equal(refused.status(), 401);
    assert.match(await page.getByRole('alert').first().innerText(), /passkey/i);
    await fillSignIn(page, 'ann', PASSWORD);
    assert.equal(path(page), '/');
  }, named);

journey('whom a rule asks for a second factor sets one up first, and comes to what was wanted',
  async ({ site, visit }) => {
    const { page } = await visit({ javaScriptEnabled: false });
    await page.goto(`${site.url}/login?return_to=${encodeURIComponent('/desktop')}`);
    await fillSignIn(page, 'ann', PASSWORD);
    assert.equal(path(page), PAGE);
    await picture(page, 'factor-required');
    for (const elsewhere of ['/', '/account', '/desktop']) {
      await page.goto(`${site.url}${elsewhere}`);
      assert.equal(path(page), PAGE, elsewhere);
    }
    assert.equal((await page.request.get(`${site.url}/api/v1/documents`)).status(), 403);
    await setUpApp(page);
    await follow(page, page.getByRole('link', { name: /go on/ }));
    assert.equal(path(page), '/desktop');
    await page.goto(site.url);
    assert.equal(await openButton(page, 'Orders').count(), 1);
  }, () => named('[[second_factor.rule]]\nsource = "local"\nrequired = true\n'));
