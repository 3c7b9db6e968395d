// From signing in to a document and a lease, and out again: with script and without.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { follow, journey, openButton, path, picture, signIn, tile, words } from './journey.mjs';

journey('search, mark, open, release, sign out', (given) => wholeWay(given, 'wide', {}));

journey('search, mark, open, release, sign out, without script on a narrow page', (given) => {
  const options = { javaScriptEnabled: false, viewport: { width: 360, height: 740 } };
  return wholeWay(given, 'narrow-without-script', options);
});

async function wholeWay({ site, visit }, name, options) {
  const visitor = await visit(options);
  const { page } = visitor;
  await page.goto(site.url);
  assert.equal(path(page), '/login');
  await signIn(site, page, 'anna');
  await finds(page);
  await marks(page);
  await picture(page, `${name}-first-access-point`);
  await opens(site, page, name);
  await releases(site, page, name);
  await signsOut(visitor);
}

async function titles(page) {
  return page.locator('.tiles h3').allInnerTexts();
}

async function finds(page) {
  assert.equal((await titles(page)).length, 12);
  assert.match(await words(page), /Named CAL since/);
  await page.getByRole('searchbox').fill('price');
  await follow(page, page.getByRole('search').getByRole('button'));
  assert.deepEqual(await titles(page), ['Price List']);
  await follow(page, page.getByRole('link', { name: 'Documents' }));
  await follow(page, page.getByRole('link', { name: 'Sales', exact: true }));
  const sales = ['Customer Overview', 'Order Book', 'Price List', 'Regional Sales'];
  assert.deepEqual(await titles(page), sales);
}

async function marks(page) {
  await follow(page, page.getByRole('link', { name: 'Documents' }));
  await follow(page, tile(page, 'Price List').locator('.star'));
  await follow(page, page.getByRole('link', { name: 'Documents' }));
  assert.equal((await titles(page))[0], 'Price List');
  assert.equal(await tile(page, 'Price List').locator('.star').innerText(), '★');
}

async function opens(site, page, name) {
  const arrives = page.waitForEvent('download');
  const response = await follow(page, openButton(page, 'Price List'));
  assert.equal(response.status(), 200);
  const told = await words(page);
  assert.match(told, /Opening Price List/);
  assert.match(told, /Granted until .* \(30 days\)/);
  assert.match(told, /opens in the plug-in by itself/);
  await picture(page, `${name}-first-hand-over`);
  // It leads on by itself, and the link does the same once more.
  const file = await arrives;
  assert.equal(file.suggestedFilename(), 'Price List.qvw');
  const expected = await site.document('Sales/Price List.qvw');
  assert.deepEqual(await readFile(await file.path()), expected);
  const again = page.waitForEvent('download');
  await page.getByRole('link', { name: 'by hand' }).click();
  assert.deepEqual(await readFile(await (await again).path()), expected);
}

async function releases(site, page, name) {
  await follow(page, page.getByRole('link', { name: 'My account' }));
  const here = page.locator('tbody tr', { hasText: 'Chrome' }).first();
  assert.match(await here.innerText(), /Live/);
  await picture(page, `${name}-first-account`);
  await follow(page, here.getByRole('button', { name: 'Release' }));
  assert.match(await page.getByRole('status').first().innerText(), /lease/i);
  const row = page.locator('tr', { hasText: 'Released' });
  assert.match(await row.innerText(), /Chrome/);
  // The other workstation keeps its own.
  assert.match(await page.locator('tr', { hasText: 'DESK-3' }).innerText(), /Live/);
}

async function signsOut({ context, page }) {
  await follow(page, page.getByRole('button', { name: 'Sign out' }));
  assert.equal(path(page), '/login');
  assert.match(await words(page), /signed out/i);
  for (let back = 0; back < 3; back += 1) {
    // An answer to a form is not kept; the browser asks before it sends the form again.
    await page.goBack().catch((error) => assert.match(String(error), /ERR_CACHE_MISS/));
    const shown = await page.locator('body').innerText();
    assert.doesNotMatch(shown, /Anna|Price List|Named CAL since/, page.url());
  }
  const kept = (await context.cookies()).map(({ name }) => name);
  assert.ok(kept.includes('__Host-workstation'), 'the workstation stays known');
}
