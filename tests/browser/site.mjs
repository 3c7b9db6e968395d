// A fresh sample site for each journey, and a browser to visit it with.

import { spawn } from 'node:child_process';
import { mkdtempSync, mkdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { chromium } from 'playwright-core';

const PROGRAM = process.env.ACCESSPOINT ?? '../../target/debug/accesspoint';
const CHROMIUM = process.env.CHROMIUM ?? '/usr/bin/chromium';
const SHOTS = process.env.SCREENSHOTS;

/** Starts `accesspoint demo` on a free port; `stop` ends it and takes its folder away. */
export async function startSite() {
  const folder = mkdtempSync(join(tmpdir(), 'accesspoint-journey-'));
  const data = join(folder, 'site');
  const demo = ['demo', '--json', '--listen', '127.0.0.1:0', '--data', data];
  const program = spawn(PROGRAM, demo, { stdio: ['ignore', 'pipe', 'inherit'] });
  const ended = new Promise((resolve) => program.once('exit', resolve));
  const lines = createInterface({ input: program.stdout });
  const line = await Promise.race([
    new Promise((resolve) => lines.once('line', resolve)),
    ended.then((code) => { throw new Error(`the demo ended with ${code}`); }),
  ]);
  const { url, accounts } = JSON.parse(line);
  return {
    url,
    config: join(data, 'accesspoint.toml'),
    password: (name) => accounts.find((account) => account.name === name).password,
    /** Runs a command of the program on this site. */
    run: (...command) => new Promise((resolve) => {
      const child = spawn(PROGRAM, [...command, '--config', join(data, 'accesspoint.toml')]);
      child.once('exit', resolve);
    }),
    stop: async () => {
      program.kill('SIGTERM');
      await ended;
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

export async function startBrowser() {
  const args = ['--disable-gpu', '--disable-quic', '--no-first-run',
    '--disable-background-networking', '--disable-component-update', '--disable-sync'];
  if (process.getuid() === 0) args.push('--no-sandbox');
  return chromium.launch({ executablePath: CHROMIUM, args });
}

/** A new visitor: a context of their own, and a page that collects what it complains about. */
export async function visitor(browser, options = {}) {
  const context = await browser.newContext({ ignoreHTTPSErrors: true, ...options });
  const page = await context.newPage();
  const complaints = [];
  page.on('pageerror', (error) => complaints.push(String(error)));
  page.on('console', (message) => {
    const text = message.text();
    // A refusal has its own status; the browser says so as an error.
    if (message.type() === 'error' && !text.startsWith('Failed to load resource')) {
      complaints.push(text);
    }
  });
  return { context, page, complaints };
}

export async function signIn(site, page, name, password = site.password(name)) {
  await page.goto(`${site.url}/login`);
  await page.fill('[name=username]', name);
  await page.fill('[name=password]', password);
  await submit(page, 'main form button');
}

/** Clicks what leads to another page, and waits for it. */
export async function submit(page, button) {
  await Promise.all([page.waitForNavigation(), page.locator(button).first().click()]);
}

/** Keeps a picture of the page where somebody wants to look. */
export async function shot(page, name) {
  if (!SHOTS) return;
  mkdirSync(SHOTS, { recursive: true });
  await page.screenshot({ path: join(SHOTS, `${name}.png`), fullPage: true });
}
