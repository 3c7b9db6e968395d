// What the engine of Internet Explorer 11 understands: checked on what is really served.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { get } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import doiuse from 'doiuse';
import postcss from 'postcss';
import { startSite } from './site.mjs';

const ES_CHECK = fileURLToPath(new URL('node_modules/.bin/es-check', import.meta.url));

let site;
let page;

before(async () => {
  site = await startSite();
  page = await fetched('/login');
});

after(async () => site?.stop());

function fetched(path) {
  return new Promise((resolve, reject) => {
    get(site.url + path, { rejectUnauthorized: false }, (response) => {
      assert.equal(response.statusCode, 200, path);
      let text = '';
      response.setEncoding('utf8');
      response.on('data', (part) => { text += part; });
      response.on('end', () => resolve(text));
    }).on('error', reject);
  });
}

test('the style sheet holds nothing that Internet Explorer 11 stumbles over', async () => {
  const css = await fetched(page.match(/\/static\/app\.[0-9a-f]+\.css/)[0]);
  const found = [];
  const plugin = doiuse({
    browsers: ['ie 11'],
    onFeatureUsage: ({ message }) => found.push(message),
  });
  await postcss([plugin]).process(css, { from: undefined });
  assert.deepEqual(found, []);
});

test('the script is ES5', async () => {
  const script = await fetched(page.match(/\/static\/app\.[0-9a-f]+\.js/)[0]);
  const folder = mkdtempSync(join(tmpdir(), 'accesspoint-es5-'));
  try {
    writeFileSync(join(folder, 'app.js'), script);
    execFileSync(ES_CHECK, ['es5', join(folder, 'app.js')]);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('no page has inline script, style or event attributes', async () => {
  assert.doesNotMatch(page, /<script(?![^>]* src=)/);
  assert.doesNotMatch(page, /<style|\sstyle=|\son[a-z]+=/);
});
