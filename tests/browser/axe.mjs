// What axe finds on a page.

import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';

const AXE = await readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const TAGS = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'];

/** What axe finds; target sizes and a contrast of 7 to 1 are asked for beyond its usual rules. */
export async function violations(page) {
  if (!await page.evaluate(() => 'axe' in window)) await page.evaluate(AXE);
  const found = await page.evaluate(async (tags) => {
    const rules = { 'target-size': { enabled: true }, 'color-contrast-enhanced': { enabled: true } };
    const run = await window.axe.run(document, { runOnly: tags, rules, preload: false });
    return run.violations;
  }, TAGS);
  return found.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(' ')}`);
}
