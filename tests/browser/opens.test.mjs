// Opening again, opening in other ways, and what becomes of words that people choose.

import assert from 'node:assert/strict';
import {
  fillSignIn, follow, journey, openButton, path, picture, signIn, tile, words,
} from './journey.mjs';

/** The rows of the leases that the account shows. */
async function leases(site, page) {
  await page.goto(`${site.url}/account`);
  return page.getByRole('region', { name: 'Leases' }).locator('tbody tr').allInnerTexts();
}

/** Opens a document in a way that stands in the menu of its tile. */
async function openOtherwise(page, title, way) {
  await tile(page, title).locator('summary').click();
  return follow(page, tile(page, title).locator(`details button[value=${way}]`));
}

journey('opening again renews the same lease', async ({ site, visit }) => {
  const { page } = await visit();
  await signIn(site, page, 'anna');
  const arrives = page.waitForEvent('download');
  await follow(page, openButton(page, 'Price List'));
  assert.match(await words(page), /Granted until/);
  await arrives;
  await follow(page, page.getByRole('link', { name: 'Back to the documents' }));
  assert.match(await words(page), /1 of 2 workstations used/);
  const arrivesAgain = page.waitForEvent('download');
  await openOtherwise(page, 'Price List', 'desktop');
  assert.match(await words(page), /Renewed until .* \(30 days\)/);
  await arrivesAgain;
  const here = (await leases(site, page)).filter((row) => row.includes('Chrome'));
  assert.equal(here.length, 1, here.join('\n'));
});

journey('a download takes no lease and no place of a workstation', async ({ site, visit }) => {
  const { page } = await visit();
  await signIn(site, page, 'emma');
  const arrives = page.waitForEvent('download');
  const response = await openOtherwise(page, 'Budget 2026', 'download');
  assert.equal(response.status(), 200);
  const told = await words(page);
  assert.match(told, /Not applicable/);
  assert.match(told, /The download starts by itself/);
  assert.doesNotMatch(told, /What you can do/);
  await picture(page, 'wide-download-hand-over');
  assert.equal((await arrives).suggestedFilename(), 'Budget 2026.qvw');
  const rows = await leases(site, page);
  assert.equal(rows.filter((row) => row.includes('Chrome')).length, 0, rows.join('\n'));
});

journey('words that look like markup stay words', async ({ site, visit }) => {
  const { page } = await visit();
  const markup = '<img src=x onerror=alert(1)> & "\'</b>';
  await signIn(site, page, markup, 'not the password');
  assert.equal(await page.inputValue('[name=username]'), markup);
  await fillSignIn(page, 'anna', site.password('anna'));
  await page.getByRole('searchbox').fill(markup);
  await follow(page, page.getByRole('search').getByRole('button'));
  assert.equal(await page.getByRole('searchbox').inputValue(), markup);
  assert.match(await words(page), /No document matches\./);

  await page.goto(`${site.url}/account`);
  const row = page.locator('.rows li', { hasText: 'this workstation' });
  await row.locator('[name=name]').fill(markup);
  await follow(page, row.getByRole('button'));
  assert.equal(await row.locator('[name=name]').inputValue(), markup);
  assert.match(await page.getByRole('region', { name: 'Sessions' }).innerText(), /<img src=x/);
  assert.equal(await page.locator('img[src=x]').count(), 0);
});

journey('a sign-in form whose cookie is gone keeps the name, and works the second time',
  async ({ site, visit }) => {
    const { context, page } = await visit();
    await page.goto(`${site.url}/login?return_to=/desktop`);
    await context.clearCookies();
    const response = await fillSignIn(page, 'anna', site.password('anna'));
    assert.equal(response.status(), 403);
    assert.equal(await page.inputValue('[name=username]'), 'anna');
    assert.match(await page.getByRole('alert').innerText(), /cookies/);
    await fillSignIn(page, 'anna', site.password('anna'));
    assert.equal(path(page), '/desktop');
  });

journey('on paper there are the words without the buttons', async ({ site, visit }) => {
  const { page } = await visit({ colorScheme: 'dark' });
  await signIn(site, page, 'anna');
  await page.emulateMedia({ media: 'print' });
  for (const hidden of ['header', 'button', '[name=q]', 'summary']) {
    assert.equal(await page.locator(hidden).first().isVisible(), false, hidden);
  }
  assert.match(await words(page), /Named CAL since/);
  const ink = await page.evaluate(() => getComputedStyle(document.body).color);
  assert.equal(ink, 'rgb(0, 0, 0)');
  await picture(page, 'print-access-point');
});
