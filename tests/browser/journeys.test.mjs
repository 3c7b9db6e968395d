// Journeys of people in real Chromium, each on a fresh sample site.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { shot, signIn, startBrowser, startSite, submit, visitor } from './site.mjs';

let browser;
let site;

before(async () => {
  browser = await startBrowser();
  site = await startSite();
});

after(async () => {
  await browser?.close();
  await site?.stop();
});

const OPEN = '.tiles button[name=client]';

async function text(page) {
  return page.locator('main').innerText();
}

/** Follows the link of the hand-over page by hand; answers what was downloaded. */
async function download(page) {
  const [file] = await Promise.all([
    page.waitForEvent('download'),
    page.locator('main a[href*="/content?launch="]').first().click(),
  ]);
  return file;
}

async function wholeJourney(options, tag, marks) {
  const { context, page, complaints } = await visitor(browser, options);
  await page.goto(`${site.url}/`);
  assert.match(page.url(), /\/login$/);
  await shot(page, `${tag}-sign-in`);

  await signIn(site, page, 'anna', 'not the password');
  assert.equal(await page.inputValue('[name=username]'), 'anna');
  assert.match(await text(page), /The name or the password is not right\./);
  await signIn(site, page, 'anna');
  assert.equal(await page.locator('.tiles > li').count(), 12);
  assert.match(await text(page), /Named CAL since/);
  await shot(page, `${tag}-access-point`);

  await page.fill('[name=q]', 'sales');
  await submit(page, 'form[role=search] button');
  assert.match(await text(page), /Regional Sales/);
  await page.goto(`${site.url}/?category=Finance`);
  assert.equal(await page.locator('.tiles > li').count(), 4);

  await page.goto(`${site.url}/`);
  const tile = page.locator('.tiles > li', { hasText: marks });
  await Promise.all([page.waitForNavigation(), tile.locator('.star').click()]);
  const favourites = await page.locator('.tiles > li:has(.star[value=false])').allInnerTexts();
  assert.ok(favourites.some((title) => title.includes(marks)), favourites.join());
  assert.match(await page.locator('.tiles > li').first().innerText(), /★/);

  await submit(page, OPEN);
  const told = await text(page);
  assert.match(told, /Granted until|Renewed until/);
  assert.match(told, /\(30 days\)/);
  await shot(page, `${tag}-hand-over`);
  const file = await download(page);
  assert.match(file.suggestedFilename(), /\.qvw$/);

  await page.goto(`${site.url}/account`);
  await shot(page, `${tag}-account`);
  const here = page.locator('tr', { hasText: 'Live' }).first();
  await Promise.all([page.waitForNavigation(), here.locator('button').click()]);
  assert.match(await text(page), /Released/);

  await submit(page, 'header form[action="/logout"] button');
  assert.match(page.url(), /\/login/);
  await page.goBack();
  assert.doesNotMatch(await page.locator('body').innerText(), /Named CAL since/);
  assert.deepEqual(complaints, []);
  await context.close();
}

test('sign in, search, mark, open, release, sign out', async () => {
  await wholeJourney({}, 'wide', 'Price List');
});

test('the same with script switched off', async () => {
  const options = { javaScriptEnabled: false, viewport: { width: 360, height: 740 } };
  await wholeJourney(options, 'narrow', 'Stock Levels');
});

test('a third workstation is refused with the two holders and the date', async () => {
  const { context, page } = await visitor(browser);
  await signIn(site, page, 'emma');
  await submit(page, OPEN);
  const told = await text(page);
  assert.match(told, /The document is open, but this workstation cannot lease a licence now\./);
  assert.match(told, /LAPTOP-7 \(.*\) and DESK-21 \(.*\)/);
  assert.match(told, /If LAPTOP-7 stays unused, this one can lease from /);
  assert.doesNotMatch(told, /[Rr]elease/);
  await page.locator('summary').click();
  assert.match(await text(page), /R13/);
  await shot(page, 'refused-lease');
  assert.match((await download(page)).suggestedFilename(), /\.qvw$/);
  await context.close();
});

test('a CAL in quarantine is explained, and opens at once when it is given back', async () => {
  const { context, page } = await visitor(browser);
  await signIn(site, page, 'clara');
  await submit(page, OPEN);
  assert.match(await text(page), /your named CAL was taken back on .* and rests until /);
  assert.match(await text(page), /Your administrator can give it back at once\./);
  await shot(page, 'refused-quarantine');
  assert.equal(await site.run('cal', 'assign', 'clara'), 0);
  await page.goto(`${site.url}/`);
  await submit(page, OPEN);
  assert.match(await text(page), /Granted until/);
  await context.close();
});

test('without a CAL nothing opens, and the page says whom to ask', async () => {
  const { context, page } = await visitor(browser);
  await signIn(site, page, 'ben');
  await submit(page, OPEN);
  assert.match(await text(page), /You cannot open this document/);
  assert.match(await text(page), /Ask your administrator/);
  await context.close();
});

test('a disabled account gets the answer of a wrong password', async () => {
  const { context, page } = await visitor(browser);
  await signIn(site, page, 'david');
  assert.match(await text(page), /The name or the password is not right\./);
  await context.close();
});

test('by keyboard alone, with the focus always visible', async () => {
  const { context, page } = await visitor(browser);
  await page.goto(`${site.url}/login`);
  const focused = () => page.evaluate(() => {
    const style = getComputedStyle(document.activeElement);
    return { name: document.activeElement.name, ring: parseFloat(style.outlineWidth),
      text: document.activeElement.textContent };
  });
  const tabTo = async (fits) => {
    for (let steps = 0; steps < 60; steps += 1) {
      const now = await focused();
      if (fits(now)) {
        assert.ok(now.ring >= 3, `a focus ring of ${now.ring} px on ${now.text || now.name}`);
        return;
      }
      await page.keyboard.press('Tab');
    }
    assert.fail('nothing that fits can be reached by Tab');
  };
  await tabTo((now) => now.name === 'username');
  await page.keyboard.type('felix');
  await page.keyboard.press('Tab');
  await page.keyboard.type(site.password('felix'));
  await Promise.all([page.waitForNavigation(), page.keyboard.press('Enter')]);
  await tabTo((now) => now.name === 'client');
  await Promise.all([page.waitForNavigation(), page.keyboard.press('Enter')]);
  assert.match(await text(page), /Granted until|Renewed until/);
  await context.close();
});

test('a password is changed, and other sessions end', async () => {
  const first = await visitor(browser);
  const other = await visitor(browser);
  await signIn(site, first.page, 'felix');
  await signIn(site, other.page, 'felix');
  await first.page.goto(`${site.url}/account`);
  const change = async (current, next) => {
    await first.page.fill('[name=current_password]', current);
    await first.page.fill('[name=new_password]', next);
    await first.page.fill('[name=repeat_password]', next);
    await submit(first.page, 'form[action="/account/password"] button');
  };
  await change('wrong-password-1', 'a long new password');
  assert.match(await text(first.page), /password/);
  assert.doesNotMatch(first.page.url(), /done=password-changed/);
  await first.page.goto(`${site.url}/account`);
  await change(site.password('felix'), 'a long new password');
  assert.match(first.page.url(), /done=password-changed/);
  await other.page.goto(`${site.url}/account`);
  assert.match(other.page.url(), /\/login\?return_to=%2Faccount/);
  await signIn(site, other.page, 'felix', 'a long new password');
  assert.match(await text(other.page), /Named CAL since/);
  await first.context.close();
  await other.context.close();
});

test('the language is chosen on the page and kept', async () => {
  const { context, page } = await visitor(browser, { locale: 'de-DE' });
  await page.goto(`${site.url}/login`);
  assert.equal(await page.getAttribute('html', 'lang'), 'de');
  await submit(page, 'header a[hreflang=en]');
  assert.equal(await page.getAttribute('html', 'lang'), 'en');
  await page.goto(`${site.url}/login`);
  assert.equal(await page.getAttribute('html', 'lang'), 'en');
  await context.close();
});

test('a form with a wrong token changes nothing and says what to do', async () => {
  const { context, page } = await visitor(browser);
  await signIn(site, page, 'anna');
  await page.evaluate(() => {
    document.querySelectorAll('[name=csrf_token]').forEach((field) => { field.value = 'forged'; });
  });
  await submit(page, OPEN);
  assert.match(await text(page), /Nothing was changed\./);
  const missing = await page.goto(`${site.url}/nowhere`);
  assert.equal(missing.status(), 404);
  await shot(page, 'not-found');
  await context.close();
});

test('inside Desktop the opens are desktop opens', async () => {
  const { context, page } = await visitor(browser);
  await page.addInitScript(() => {
    window.external.AvqInitServer = () => true;
  });
  await signIn(site, page, 'anna');
  await page.locator('.tiles button[name=client][value=desktop]').first().waitFor();
  await page.waitForFunction(() => !document.querySelector('.tiles button[value=plugin]'));
  await submit(page, OPEN);
  assert.match(await text(page), /[Cc]lose .*Desktop|relaunch/);
  await shot(page, 'in-desktop');
  await context.close();
});

test('every page has the headers, and every cookie its attributes', async () => {
  const { context, page } = await visitor(browser);
  await signIn(site, page, 'anna');
  for (const path of ['/', '/account', '/desktop', '/login', '/nowhere']) {
    const headers = (await page.goto(site.url + path)).headers();
    const policy = headers['content-security-policy'];
    assert.match(policy, /default-src 'none'/, path);
    assert.match(policy, /frame-ancestors 'none'/, path);
    assert.doesNotMatch(policy, /unsafe/, path);
    assert.match(headers['strict-transport-security'], /max-age=31536000/, path);
    assert.equal(headers['x-content-type-options'], 'nosniff', path);
    assert.equal(headers['x-frame-options'], 'DENY', path);
    assert.equal(headers['referrer-policy'], 'no-referrer', path);
    assert.equal(headers['cross-origin-opener-policy'], 'same-origin', path);
    assert.equal(headers['cross-origin-resource-policy'], 'same-origin', path);
    assert.equal(headers['x-ua-compatible'], 'IE=edge', path);
    assert.equal(headers['cache-control'], 'no-store', path);
    assert.equal(headers.server, undefined, path);
  }
  for (const cookie of await context.cookies()) {
    assert.match(cookie.name, /^__Host-/);
    assert.ok(cookie.secure && cookie.httpOnly && cookie.sameSite === 'Lax' && cookie.path === '/');
  }
  await context.close();
});
