// The account: password, sessions, workstations.

import assert from 'node:assert/strict';
import { fillSignIn, follow, journey, openButton, path, signIn, words } from './journey.mjs';

async function changePassword(page, current, next, repeated = next) {
  await page.fill('[name=current_password]', current);
  await page.fill('[name=new_password]', next);
  await page.fill('[name=repeat_password]', repeated);
  return follow(page, page.getByRole('button', { name: 'Change password' }));
}

journey('a password is changed, and the other sessions end', async ({ site, visit }) => {
  const { page } = await visit();
  const other = await visit();
  const [old, next] = [site.password('felix'), 'a long new password'];
  await signIn(site, page, 'felix');
  await signIn(site, other.page, 'felix');
  await page.goto(`${site.url}/account`);
  for (const wrong of [['not the password', next], [old, next, 'another'], [old, 'password']]) {
    const response = await changePassword(page, ...wrong);
    assert.equal(response.status(), 422, wrong.join(', '));
    assert.match(await page.getByRole('alert').innerText(), /password/i);
  }
  await changePassword(page, old, next);
  assert.match(await page.getByRole('status').first().innerText(), /password/i);

  await other.page.goto(`${site.url}/account`);
  assert.equal(path(other.page), '/login');
  assert.equal((await fillSignIn(other.page, 'felix', old)).status(), 401);
  await fillSignIn(other.page, 'felix', next);
  assert.equal(path(other.page), '/account');
});

journey('a session that was ended elsewhere asks to sign in, and leads back',
  async ({ site, visit }) => {
    const { page } = await visit();
    const other = await visit();
    await signIn(site, page, 'anna');
    await signIn(site, other.page, 'anna');
    await page.goto(`${site.url}/account`);
    await follow(page, page.getByRole('button', { name: /^End: / }));
    assert.equal(await page.getByRole('button', { name: /^End: / }).count(), 0);

    const response = await follow(other.page, openButton(other.page, 'Price List'));
    assert.equal(response.status(), 401);
    assert.match(await words(other.page), /sign in/i);
    await other.page.goto(`${site.url}/desktop`);
    assert.equal(path(other.page), '/login');
    await fillSignIn(other.page, 'anna', site.password('anna'));
    assert.equal(path(other.page), '/desktop');
  });

journey('all sessions are ended at once, this one too', async ({ site, visit }) => {
  const { page } = await visit();
  const other = await visit();
  await signIn(site, page, 'anna');
  await signIn(site, other.page, 'anna');
  await page.goto(`${site.url}/account`);
  await follow(page, page.getByRole('button', { name: 'End all sessions' }));
  assert.equal(path(page), '/login');
  await other.page.goto(site.url);
  assert.equal(path(other.page), '/login');
});

journey('a workstation is given a name', async ({ site, visit }) => {
  const { page } = await visit();
  await signIn(site, page, 'anna');
  await page.goto(`${site.url}/account`);
  const row = page.locator('.rows li', { hasText: 'this workstation' });
  await row.locator('[name=name]').fill('Desk by the window');
  await follow(page, row.getByRole('button'));
  assert.equal(await row.locator('[name=name]').inputValue(), 'Desk by the window');
  await page.goto(site.url);
  await follow(page, openButton(page, 'Price List'));
  await page.goto(`${site.url}/account`);
  const leases = page.getByRole('region', { name: 'Leases' });
  assert.match(await leases.innerText(), /Desk by the window/);
});
