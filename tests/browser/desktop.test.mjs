// Desktop's embedded browser, which offers pages what Desktop can do. The engine here is Chromium;
// the real one is Internet Explorer's, which does not run here.

import assert from 'node:assert/strict';
import { follow, journey, openButton, picture, signIn, words } from './journey.mjs';

function inDesktop() {
  window.external.AvqInitServer = () => true;
}

/** Which client the *Open* buttons ask for. */
async function clients(page) {
  const asked = page.locator('.tiles form > button[name=client]');
  return new Set(await asked.evaluateAll((buttons) => buttons.map((button) => button.value)));
}

journey('inside Desktop documents open in Desktop, and the page says to relaunch it',
  async ({ site, visit }) => {
    const { page } = await visit();
    await page.addInitScript(inDesktop);
    await signIn(site, page, 'anna');
    assert.deepEqual(await clients(page), new Set(['desktop']));
    await picture(page, 'wide-in-desktop');
    const arrives = page.waitForEvent('download');
    await follow(page, openButton(page, 'Price List'));
    const told = await words(page);
    assert.match(told, /Granted until/);
    assert.match(told, /[Cc]lose .*Desktop/);
    await picture(page, 'wide-in-desktop-hand-over');
    assert.equal((await arrives).suggestedFilename(), 'Price List.qvw');
  });

journey('a session that is already there learns of Desktop by one reload',
  async ({ site, visit }) => {
    const { context, page } = await visit();
    await signIn(site, page, 'anna');
    assert.deepEqual(await clients(page), new Set(['plugin']));
    let loads = 0;
    page.on('load', () => { loads += 1; });
    await page.addInitScript(inDesktop);
    await page.goto(site.url);
    await page.locator('.tiles button[value=desktop]').first().waitFor();
    await page.waitForLoadState();
    await page.goto(site.url);
    assert.deepEqual(await clients(page), new Set(['desktop']));
    assert.ok(loads <= 3, `${loads} loads`);
    // Where the cookie cannot be kept, nothing is loaded again and again.
    await context.clearCookies({ name: '__Host-desktop' });
    await page.addInitScript(() => {
      Object.defineProperty(document, 'cookie', { get: () => '', set: () => {} });
    });
    loads = 0;
    await page.goto(site.url);
    await page.waitForTimeout(500);
    assert.equal(loads, 1);
    assert.deepEqual(await clients(page), new Set(['plugin']));
  });
