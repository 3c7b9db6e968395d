// What the gateway says where it says no, and what it offers then.

import assert from 'node:assert/strict';
import { follow, journey, openButton, picture, signIn, words } from './journey.mjs';

/** Opens a document as somebody who has just signed in. */
async function opened(site, page, name, title = 'Price List') {
  await signIn(site, page, name);
  return follow(page, openButton(page, title));
}

journey('a third workstation leases not: the page names the two that do, and from when it can',
  async ({ site, visit }) => {
    const { page } = await visit();
    const response = await opened(site, page, 'emma');
    assert.equal(response.status(), 200);
    const told = await words(page);
    assert.match(told, /this workstation cannot lease a licence now\./);
    assert.match(told, /LAPTOP-7 \(\d+ \w+, \d\d:\d\d\) and DESK-21 \(\d+ \w+, \d\d:\d\d\)/);
    assert.match(told, /If LAPTOP-7 stays unused, this one can lease from \d+ \w+, \d\d:\d\d\./);
    assert.doesNotMatch(told, /release/i);
    // The words can be read before the page leads on.
    assert.match(response.headers().refresh, /^20; url=\/documents\//);
    await page.locator('summary').click();
    assert.match(await words(page), /R13/);
    await picture(page, 'wide-lease-refused-with-rules');

    const arrives = page.waitForEvent('download');
    await page.getByRole('link', { name: 'by hand' }).click();
    assert.equal((await arrives).suggestedFilename(), 'Price List.qvw');
    await page.goto(`${site.url}/account`);
    const leases = await page.getByRole('region', { name: 'Leases' }).innerText();
    assert.match(leases, /LAPTOP-7/);
    assert.doesNotMatch(leases, /Chrome/);
  });

journey('a CAL in quarantine opens nothing until it is given back', async ({ site, visit }) => {
  const { page } = await visit();
  const response = await opened(site, page, 'clara');
  assert.equal(response.status(), 403);
  assert.equal(response.headers().refresh, undefined);
  const told = await words(page);
  assert.match(told, /your named CAL was taken back on \d+ \w+ and rests until \d+ \w+/);
  assert.match(told, /Your administrator can give it back at once\./);
  assert.match(told, /What you can do\s+Ask your administrator/);

  assert.equal(await site.run('cal', 'assign', 'clara'), 0);
  await follow(page, page.getByRole('link', { name: 'Back to the documents' }));
  await follow(page, openButton(page, 'Price List'));
  assert.match(await words(page), /Granted until/);
});

journey('without a CAL nothing opens, and the page says who can change that',
  async ({ site, visit }) => {
    const { page } = await visit();
    assert.equal((await opened(site, page, 'ben')).status(), 403);
    const told = await words(page);
    assert.match(told, /You cannot open this document/);
    assert.match(told, /Ask your administrator/);
    await follow(page, page.getByRole('link', { name: 'Sign in as someone else' }));
    assert.equal(await page.locator('[name=username]').count(), 1);
  });

journey('where all CALs are taken, the page says from when one may be free',
  async ({ site, visit }) => {
    assert.equal(await site.run('cal', 'assign', 'ben'), 0);
    assert.equal(await site.run('settings', 'set', 'allow-dynamic-assignment', 'true'), 0);
    const { page } = await visit();
    assert.equal((await opened(site, page, 'admin')).status(), 403);
    const told = await words(page);
    assert.match(told, /all 5 named CALs are taken/);
    assert.match(told, /may become free on \d+ \w+, \d\d:\d\d/);
    await picture(page, 'wide-no-free-cal');
  });

journey('a disabled account gets the answer of a wrong password', async ({ site, visit }) => {
  const { page } = await visit();
  assert.equal((await signIn(site, page, 'david')).status(), 401);
  assert.match(await words(page), /The name or the password is not right\./);
});
