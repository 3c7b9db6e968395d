// An app that shows codes, as far as a journey needs one.

import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { follow, picture } from './journey.mjs';

const BASE32 = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567';
const STEP_MS = 30_000;

/** The code that an app with this key shows at an instant (RFC 6238). */
function code(key, at) {
  const bits = [...key].map((letter) => BASE32.indexOf(letter).toString(2).padStart(5, '0')).join('');
  const bytes = Buffer.from(bits.match(/.{8}/g).map((byte) => parseInt(byte, 2)));
  const counter = Buffer.alloc(8);
  counter.writeBigUInt64BE(BigInt(Math.floor(at / STEP_MS)));
  const mac = createHmac('sha1', bytes).update(counter).digest();
  const number = mac.readUInt32BE(mac[19] & 15) & 0x7fffffff;
  return String(number % 1_000_000).padStart(6, '0');
}

/**
 * Sets an app up on its page, from its *Set up* button to the recovery codes; answers these, and the
 * code of the step after, which is good for as long as the clock is at most one step away from it.
 */
export async function setUpApp(page) {
  await follow(page, page.locator('form[action="/account/second-factors/totp"] button'));
  const key = (await page.locator('#totp-key').innerText()).replace(/\s/g, '');
  await picture(page, 'factor-app');
  const at = Date.now();
  await page.fill('#code', code(key, at));
  await follow(page, page.locator('form[action="/account/second-factors/totp/code"] button'));
  const codes = await page.locator('.codes code').allInnerTexts();
  assert.equal(codes.length, 10);
  await picture(page, 'factor-codes');
  return { next: code(key, at + STEP_MS), codes };
}
