// Forms that are filled wrongly, late, or by somebody else; and the language.

import assert from 'node:assert/strict';
import { fillSignIn, follow, journey, openButton, path, signIn, words } from './journey.mjs';

journey('a wrong password keeps the name and says one sentence', async ({ site, visit }) => {
  const { page } = await visit();
  const response = await signIn(site, page, 'anna', 'not the password');
  assert.equal(response.status(), 401);
  assert.equal(await page.inputValue('[name=username]'), 'anna');
  assert.equal(await page.inputValue('[name=password]'), '');
  const told = await page.getByRole('alert').innerText();
  assert.equal(told.trim(), 'The name or the password is not right.');
  await fillSignIn(page, 'anna', site.password('anna'));
  assert.equal(path(page), '/');
});

journey('a form with a wrong token changes nothing and says what to do',
  async ({ site, visit }) => {
    const { page } = await visit();
    await signIn(site, page, 'anna');
    await page.evaluate(() => {
      for (const field of document.querySelectorAll('[name=csrf_token]')) field.value = 'forged';
    });
    const response = await follow(page, openButton(page, 'Price List'));
    assert.equal(response.status(), 403);
    assert.match(await words(page), /Nothing was changed\./);
    await page.goto(`${site.url}/account`);
    const leases = await page.getByRole('region', { name: 'Leases' }).innerText();
    assert.doesNotMatch(leases, /Chrome/);
  });

journey('what does not exist says so, signed in or not', async ({ site, visit }) => {
  const { page } = await visit();
  const outside = await page.goto(`${site.url}/nowhere`);
  assert.equal(outside.status(), 404);
  await follow(page, page.locator('main a.button'));
  assert.equal(path(page), '/login');
  await signIn(site, page, 'anna');
  assert.equal((await page.goto(`${site.url}/nowhere`)).status(), 404);
  await follow(page, page.locator('main a.button'));
  assert.equal(path(page), '/');
});

journey('the language is that of the browser until another is chosen, and then kept',
  async ({ site, visit }) => {
    const { page } = await visit({ locale: 'de-DE' });
    await page.goto(`${site.url}/login`);
    assert.equal(await page.getAttribute('html', 'lang'), 'de');
    assert.match(await words(page), /Anmelden/);
    await follow(page, page.locator('header a[hreflang=en]'));
    assert.equal(await page.getAttribute('html', 'lang'), 'en');
    await signIn(site, page, 'anna');
    assert.match(await words(page), /Named CAL since/);
    await follow(page, page.getByRole('link', { name: 'My account' }));
    await follow(page, page.locator('main a[hreflang=de]'));
    assert.equal(await page.getAttribute('html', 'lang'), 'de');
    assert.equal(path(page), '/account');
  });
