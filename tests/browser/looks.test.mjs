// What every page must be: without axe violations, and never wider than the window.

import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { after, before, test } from 'node:test';
import { shot, signIn, startBrowser, startSite, submit, visitor } from './site.mjs';

const AXE = createRequire(import.meta.url).resolve('axe-core/axe.min.js');
const TAGS = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'];
const OPEN = '.tiles button[name=client]';

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

/** Every page, each as somebody comes to it. */
const PAGES = [
  ['sign-in', async (page) => page.goto(`${site.url}/login`)],
  ['sign-in-failed', async (page) => signIn(site, page, 'anna', 'not the password')],
  ['access-point', async (page) => signIn(site, page, 'anna')],
  ['nothing-found', async (page) => page.goto(`${site.url}/?q=zzzz`)],
  ['hand-over', async (page) => { await page.goto(`${site.url}/`); await submit(page, OPEN); }],
  ['account', async (page) => page.goto(`${site.url}/account`)],
  ['desktop', async (page) => page.goto(`${site.url}/desktop`)],
  ['not-found', async (page) => page.goto(`${site.url}/nowhere`)],
  ['lease-refused', async (page) => { await signIn(site, page, 'emma'); await submit(page, OPEN); }],
  ['open-refused', async (page) => { await signIn(site, page, 'ben'); await submit(page, OPEN); }],
];

const LOOKS = [
  ['wide', { viewport: { width: 1280, height: 800 } }],
  ['wide-dark-german', { viewport: { width: 1280, height: 800 }, colorScheme: 'dark', locale: 'de-DE' }],
  ['narrow', { viewport: { width: 360, height: 740 }, locale: 'de-DE' }],
  // 200 % zoom of a window of 1280 px, and 400 % of it.
  ['zoomed', { viewport: { width: 640, height: 400 } }],
  ['narrowest', { viewport: { width: 320, height: 640 } }],
];

for (const [look, options] of LOOKS) {
  test(`no page has an axe violation or scrolls sideways: ${look}`, async () => {
    // The content security policy holds for axe too; it is only laid off for this.
    const { context, page } = await visitor(browser, { ...options, bypassCSP: true });
    for (const [name, go] of PAGES) {
      await go(page);
      await shot(page, `${look}-${name}`);
      await page.addScriptTag({ path: AXE });
      const run = (tags) => window.axe.run(document, { runOnly: tags });
      const { violations } = await page.evaluate(run, TAGS);
      const found = violations.map((v) => `${v.id}: ${v.nodes.map((node) => node.html).join(' ')}`);
      assert.deepEqual(found, [], `${look} ${name}`);
      const wider = await page.evaluate(() => {
        const root = document.documentElement;
        return root.scrollWidth - root.clientWidth;
      });
      assert.equal(wider, 0, `${look} ${name} is wider than the window`);
    }
    await context.close();
  });
}
