// By keyboard alone, from signing in to the opened document; what has the focus is always seen.

import assert from 'node:assert/strict';
import { journey, path, words } from './journey.mjs';

const STEPS_MAX = 80;

/** What has the focus, and how it is seen. */
function focused(page) {
  return page.evaluate(() => {
    const element = document.activeElement;
    const style = getComputedStyle(element);
    const box = element.getBoundingClientRect();
    return {
      is: element.name || element.className || element.tagName,
      text: (element.closest('li') ?? element).textContent.trim(),
      ring: style.outlineStyle === 'solid' ? parseFloat(style.outlineWidth) : 0,
      inSight: box.width > 1 && box.left >= 0 && box.top >= 0
        && box.right <= innerWidth && box.bottom <= innerHeight,
    };
  });
}

/** Presses Tab until `fits`; every stop on the way must be seen. */
async function tabTo(page, fits) {
  for (let steps = 0; steps < STEPS_MAX; steps += 1) {
    const now = await focused(page);
    const isNothing = now.is === 'BODY' || now.is === 'wide';
    if (!isNothing) {
      assert.ok(now.ring >= 3, `a ring of ${now.ring} px on ${now.is}: ${now.text}`);
      assert.ok(now.inSight, `out of sight: ${now.is}: ${now.text}`);
    }
    if (fits(now)) return;
    await page.keyboard.press('Tab');
  }
  assert.fail('Tab does not come there');
}

async function enter(page) {
  await Promise.all([page.waitForNavigation(), page.keyboard.press('Enter')]);
}

journey('from signing in to the opened document by keyboard alone', async ({ site, visit }) => {
  const { page } = await visit();
  await page.goto(`${site.url}/login`);
  await tabTo(page, (now) => now.is === 'username');
  await page.keyboard.type('felix');
  await page.keyboard.press('Tab');
  await page.keyboard.type(site.password('felix'));
  await enter(page);
  assert.equal(path(page), '/');

  // The first stop leads past the header.
  await page.keyboard.press('Tab');
  assert.equal((await focused(page)).is, 'skip');
  await page.keyboard.press('Enter');
  await tabTo(page, (now) => now.is === 'client' && now.text.startsWith('Shift Plan'));
  const arrives = page.waitForEvent('download');
  await enter(page);
  assert.match(await words(page), /Opening Shift Plan/);
  assert.match(await words(page), /Granted until/);
  assert.equal((await arrives).suggestedFilename(), 'Shift Plan.qvw');
});

journey('every stop of every page is seen', async ({ site, visit }) => {
  const { page } = await visit({ viewport: { width: 360, height: 740 } });
  await page.goto(`${site.url}/login`);
  await page.fill('[name=username]', 'anna');
  await page.fill('[name=password]', site.password('anna'));
  await enter(page);
  for (const address of ['/', '/account', '/desktop', '/nowhere']) {
    await page.goto(site.url + address);
    let stops = 0;
    // Round once: after the last stop the focus leaves the page, which shows as the body.
    await page.keyboard.press('Tab');
    await tabTo(page, (now) => {
      stops += 1;
      return now.is === 'BODY';
    });
    assert.ok(stops > 5, `${address} has ${stops} stops`);
  }
});
