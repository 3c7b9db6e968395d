// What every page must be, in both languages, light and dark, wide and narrow: without axe
// violations, and never wider than its window.

import assert from 'node:assert/strict';
import { violations } from './axe.mjs';
import { follow, journey, picture, signIn } from './journey.mjs';
import { setUpApp } from './totp.mjs';

const LOCALES = { english: 'en-GB', german: 'de-DE' };

/** Sizes at which people look. The last ones are 1280 px at 200 % and at 400 % zoom. */
const WIDE = { width: 1280, height: 800 };
const NARROW = { width: 360, height: 740 };
const ZOOMED = [{ width: 640, height: 400 }, { width: 320, height: 640 }];

/** Every page, in the order in which it is come to. */
function pages(site, page) {
  const to = (path) => () => page.goto(site.url + path);
  const openFirst = () => follow(page, page.locator('.tiles form > button[name=client]').first());
  const openAs = (name) => async () => {
    await signIn(site, page, name);
    await openFirst();
    await page.locator('summary').click();
  };
  return {
    'sign-in': to('/login'),
    'sign-in-failed': () => signIn(site, page, 'anna', 'not the password'),
    'access-point': () => signIn(site, page, 'anna'),
    'nothing-found': to('/?q=zzzz'),
    'other-ways': async () => {
      await page.goto(site.url);
      await page.locator('.tiles summary').first().click();
    },
    'hand-over': openFirst,
    account: to('/account'),
    'account-failed': async () => {
      await page.goto(`${site.url}/account`);
      for (const name of ['current', 'new', 'repeat']) {
        await page.fill(`[name=${name}_password]`, 'password');
      }
      await follow(page, page.locator('form[action="/account/password"] button'));
    },
    desktop: to('/desktop'),
    'not-found': to('/nowhere'),
    'lease-refused': openAs('emma'),
    'open-refused': openAs('ben'),
    'quarantined': openAs('clara'),
    'factors': async () => {
      await signIn(site, page, 'felix');
      await page.goto(`${site.url}/account/second-factors`);
    },
    'factor-app': () => follow(page, page.locator('form[action$="/totp"] button')),
    'factor-codes': async () => {
      await page.goto(`${site.url}/account/second-factors`);
      await setUpApp(page);
    },
    'factors-one': to('/account/second-factors'),
    'second-step': () => signIn(site, page, 'felix'),
    'signed-in': () => signIn(site, page, 'emma'),
    'signed-out': () => follow(page, page.locator('form[action="/logout"] button')),
  };
}

for (const [language, locale] of Object.entries(LOCALES)) {
  journey(`every page is fit for everybody, in ${language}`, async ({ site, visit }) => {
    const { page } = await visit({ locale });
    for (const [name, go] of Object.entries(pages(site, page))) {
      await go();
      for (const [size, viewport] of Object.entries({ wide: WIDE, narrow: NARROW })) {
        await page.setViewportSize(viewport);
        for (const colorScheme of ['light', 'dark']) {
          await page.emulateMedia({ colorScheme });
          const look = `${size}-${colorScheme}-${language}-${name}`;
          await picture(page, look);
          assert.deepEqual(await violations(page), [], look);
        }
        assert.deepEqual(await tooWide(page), [], `${size} ${name}`);
      }
      await page.emulateMedia({ colorScheme: 'light' });
      for (const viewport of ZOOMED) {
        await page.setViewportSize(viewport);
        assert.deepEqual(await tooWide(page), [], `${name} at ${viewport.width} px`);
      }
      await picture(page, `narrowest-light-${language}-${name}`);
      await page.setViewportSize(WIDE);
    }
  });
}

journey('documents stand beside the licence and the categories where there is room', async ({ site, visit }) => {
  const { page } = await visit();
  await page.setViewportSize(WIDE);
  await signIn(site, page, 'anna');
  for (const path of ['/', '/?q=zzzz']) {
    await page.goto(site.url + path);
    const [side, documents] = await Promise.all(
      ['.side', '.tiles, .empty'].map((part) => page.locator(part).boundingBox()),
    );
    assert.ok(documents.x >= side.x + side.width, `${path}: they stand over one another`);
    assert.ok(documents.width > 2 * side.width, `${path}: they have the rest of the width`);
    assert.ok(documents.y < side.y + side.height, `${path}: they stand below`);
  }
});

/** What makes a page wider than its window. */
async function tooWide(page) {
  return page.evaluate(() => {
    const { scrollWidth, clientWidth } = document.documentElement;
    if (scrollWidth <= clientWidth) return [];
    const reach = (element) => element.getBoundingClientRect().right;
    const beyond = [...document.querySelectorAll('body *')].filter((e) => reach(e) > clientWidth);
    return [`${scrollWidth} px of ${clientWidth} px`, ...beyond.map((e) => e.outerHTML.slice(0, 80))];
  });
}
