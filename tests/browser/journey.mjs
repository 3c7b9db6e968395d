// What every journey has: a fresh site, visitors with browsers of their own, and checks of all that
// these browsers see on their way.

import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { chromium } from 'playwright-core';
import { startSite } from './site.mjs';

const CHROMIUM = process.env.CHROMIUM ?? '/usr/bin/chromium';
const SCREENSHOTS = process.env.SCREENSHOTS;
const DAY_S = 86_400;

/** Headers that every answer of the gateway has, and what they must say. */
const HEADERS = {
  'content-security-policy': /^(?!.*unsafe)(?=.*default-src 'none')(?=.*frame-ancestors 'none')/,
  'strict-transport-security': /^max-age=31536000/,
  'x-content-type-options': /^nosniff$/,
  'x-frame-options': /^DENY$/,
  'referrer-policy': /^no-referrer$/,
  'cross-origin-opener-policy': /^same-origin$/,
  'cross-origin-resource-policy': /^same-origin$/,
  'x-ua-compatible': /^IE=edge$/,
};

let browser;

after(async () => browser?.close());

/** The browser of this process; the first visitor starts it. */
async function theBrowser() {
  browser ??= await startBrowser();
  return browser;
}

async function startBrowser() {
  const args = ['--disable-gpu', '--disable-quic', '--no-first-run',
    '--disable-background-networking', '--disable-component-update', '--disable-sync'];
  const launch = (more) => chromium.launch({ executablePath: CHROMIUM, args: [...args, ...more] });
  // Root has no sandbox. Others have none where the machine forbids user namespaces; the browser
  // visits nothing but a site on this machine.
  if (process.getuid() === 0) return launch(['--no-sandbox']);
  try {
    return await launch([]);
  } catch (error) {
    if (!/sandbox/i.test(String(error))) throw error;
    return launch(['--no-sandbox']);
  }
}

/**
 * A test on a site of its own, the sample site if no other is started. `body` gets the site, and `visit`, which brings a new visitor: a
 * browser without any past. What a visitor's browser complained about fails the journey at its end.
 */
export function journey(title, body, start = startSite) {
  test(title, async () => {
    const site = await start();
    const visitors = [];
    const visit = async (options) => {
      visitors.push(await newVisitor(site, options));
      return visitors.at(-1);
    };
    try {
      await body({ site, visit });
      for (const visitor of visitors) await visitor.check();
    } finally {
      for (const { context } of visitors) await context.close();
      await site.stop();
    }
  });
}

async function newVisitor(site, options = {}) {
  const context = await (await theBrowser()).newContext({ ignoreHTTPSErrors: true, ...options });
  await context.addInitScript(() => {
    document.addEventListener('securitypolicyviolation', (event) => {
      console.error(`refused by ${event.violatedDirective}: ${event.blockedURI}`);
    });
  });
  const page = await context.newPage();
  const complaints = [];
  let answers = 0;
  page.on('pageerror', (error) => complaints.push(String(error)));
  page.on('console', (message) => {
    // A page with a status of its own is judged by its journey; what a page loads, below.
    const isStatus = message.text().startsWith('Failed to load resource');
    if (message.type() === 'error' && !isStatus) complaints.push(message.text());
  });
  page.on('response', (response) => {
    answers += 1;
    complaints.push(...judged(site, response));
  });
  const check = async () => {
    assert.deepEqual(complaints, []);
    assert.ok(answers > 0, 'this visitor saw something');
    const cookies = await context.cookies();
    // A provider on the same host has cookies of its own.
    const ours = cookies.filter(({ name }) => !site.providers || name.startsWith('__Host-'));
    ours.forEach(checkCookie);
  };
  return { context, page, check };
}

/** What is wrong with an answer; those that a site passes on are judged by its own journeys. */
function judged(site, response) {
  const url = new URL(response.url());
  if (site.providers?.includes(url.origin) || site.passesOn?.(response)) return [];
  if (url.origin !== new URL(site.url).origin) return [`another site was asked: ${url}`];
  const found = [];
  const headers = response.headers();
  for (const [name, fits] of Object.entries(HEADERS)) {
    if (!fits.test(headers[name] ?? '')) found.push(`${url.pathname}: ${name}: ${headers[name]}`);
  }
  const isStatic = url.pathname.startsWith('/static/');
  const kept = headers['cache-control'] ?? '';
  if (isStatic !== !kept.includes('no-store')) found.push(`${url.pathname} is kept: ${kept}`);
  if (isStatic && !response.ok()) found.push(`${url.pathname}: ${response.status()}`);
  if (headers.server) found.push(`${url.pathname} says what serves it: ${headers.server}`);
  const toProvider = site.providers?.some((issuer) => headers.location?.startsWith(`${issuer}/`));
  if (headers.location && !headers.location.startsWith('/') && !toProvider) {
    found.push(`${url.pathname} leads to a host: ${headers.location}`);
  }
  return found;
}

function checkCookie(cookie) {
  const { name, path, secure, httpOnly, sameSite, expires } = cookie;
  assert.match(name, /^__Host-/);
  assert.deepEqual({ path, secure, sameSite }, { path: '/', secure: true, sameSite: 'Lax' }, name);
  // Desktop's is set by our script, so that it can be read by it too.
  assert.equal(httpOnly, name !== '__Host-desktop', name);
  if (name === '__Host-workstation') {
    const days = (expires - Date.now() / 1000) / DAY_S;
    assert.ok(days > 399 && days <= 400, `the workstation is known for ${days} days`);
  }
}

/** Signs in by the form; answers the page that it leads to. */
export async function signIn(site, page, name, password = site.password(name)) {
  await page.goto(`${site.url}/login`);
  return fillSignIn(page, name, password);
}

/** Fills the form that is shown, and sends it. */
export async function fillSignIn(page, name, password) {
  await page.fill('[name=username]', name);
  await page.fill('[name=password]', password);
  return follow(page, page.locator('main form[action="/login"] button'));
}

/** Clicks what leads to another page; answers that page. */
export async function follow(page, link) {
  const [response] = await Promise.all([page.waitForNavigation(), link.click()]);
  return response;
}

/** The words of the page, without header and footer. */
export async function words(page) {
  return page.locator('main').innerText();
}

/** The path that the page stands at. */
export function path(page) {
  return new URL(page.url()).pathname;
}

/** The tile of a document. */
export function tile(page, title) {
  return page.locator('.tiles > li', { has: page.getByRole('heading', { name: title }) });
}

/** The *Open* button of a document; with script its name for listeners says the title too. */
export function openButton(page, title) {
  return tile(page, title).locator('form > button[name=client]');
}

/** Opens the document Orders, and sees what it leased for how long, and the document itself. */
export async function opensOrders(page) {
  const arrives = page.waitForEvent('download');
  await follow(page, openButton(page, 'Orders'));
  assert.match(await words(page), /Granted until .* \(30 days\)/);
  assert.equal((await arrives).suggestedFilename(), 'Orders.qvw');
}

/** Keeps a picture of the page where somebody wants to look. */
export async function picture(page, name) {
  if (!SCREENSHOTS) return;
  mkdirSync(SCREENSHOTS, { recursive: true });
  await page.screenshot({ path: join(SCREENSHOTS, `${name}.png`), fullPage: true });
}
