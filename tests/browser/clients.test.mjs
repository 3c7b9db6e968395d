// Clients that exist: npm's qlik-auth as a portal has it, and a client of the AccessPoint page's XML
// that reads it with xml-js, as a public extension of a browser does.

import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { request } from 'node:https';
import { test } from 'node:test';
import qlikAuth from 'qlik-auth';
import { xml2js } from 'xml-js';
import { follow, journey, openButton, path, picture, words } from './journey.mjs';
import { freePort, startServed } from './site.mjs';

const PASSWORD = 'paper kite 22';
const DOCUMENTS = ['Sales/Orders.qvw', 'Sales/Price List.qvw', 'Finance/Budget.qvw',
  ...Array.from({ length: 15 }, (_, number) => `More/Part ${String(number).padStart(2, '0')}.qvw`)];
const LINK = 'QvAJAXZfc/AccessPoint.aspx?open=&id=';

/** A portal that knows who somebody is, and sends them on with a ticket: `?user=&groups=&document=`. */
async function startPortal(tickets) {
  let gateway;
  const portal = createServer((request, response) => {
    const asked = new URL(request.url, 'http://portal').searchParams;
    const profile = {
      UserDirectory: 'CUSTOM', UserId: asked.get('user'), Groups: asked.getAll('group'),
    };
    qlikAuth.requestWebTicket(request, response, profile, {
      Host: tickets, RedirectUrl: gateway, Document: asked.get('document') ?? undefined,
      BackUrl: '/desktop',
    });
  });
  await new Promise((resolve) => portal.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${portal.address().port}`,
    leadsTo: (url) => { gateway = url; },
    stop: () => new Promise((resolve) => {
      portal.closeAllConnections();
      portal.close(resolve);
    }),
  };
}

/** A site beside a portal that may ask it for tickets, over plain HTTP. */
async function withPortal() {
  const tickets = `127.0.0.1:${await freePort()}`;
  const site = await startServed(`
[compat]
web_ticket_trusted = ["127.0.0.1"]
http_listen = "${tickets}"
[[documents.rule]]
path = "Finance/**"
groups = ["finance"]
`, { documents: DOCUMENTS });
  assert.equal(await site.addUser('ann', PASSWORD), 0);
  assert.equal(await site.addUser('Ben & Sons', PASSWORD), 0);
  const portal = await startPortal(`http://${tickets}`);
  portal.leadsTo(site.url);
  const { stop } = site;
  return {
    ...site,
    portal: portal.url,
    // Its pages are not ours to judge.
    providers: [portal.url],
    stop: async () => { await stop(); await portal.stop(); },
  };
}

/** The Authenticate address to which the portal sends somebody. */
async function sentTo(site, query) {
  const answer = await fetch(`${site.portal}/?${query}`, { redirect: 'manual' });
  return answer.headers.get('location');
}

journey('qlik-auth signs a browser in, with the groups that the portal tells', async ({ site, visit }) => {
  const { page } = await visit();
  await page.goto(`${site.portal}/?user=ann&group=finance`);
  assert.equal(path(page), '/');
  assert.ok(page.url().startsWith(site.url));
  assert.match(await page.locator('body').innerText(), /ann/);
  assert.match(await words(page), /Budget/);
  await follow(page, openButton(page, 'Budget'));
  assert.match(await words(page), /Granted until .* \(30 days\)/);
  const other = await visit();
  await other.page.goto(`${site.portal}/?user=ann`);
  assert.doesNotMatch(await words(other.page), /Budget/);
}, withPortal);

journey('qlik-auth leads on to a document', async ({ site, visit }) => {
  const { page } = await visit();
  const arrives = page.waitForEvent('download');
  await page.goto(`${site.portal}/?user=ann&document=Sales/Orders.qvw`);
  assert.equal((await arrives).suggestedFilename(), 'Orders.qvw');
  // Whoever follows a link of the portal's page is asked first.
  const other = await visit();
  await other.page.route(`${site.portal}/start`, (route) => route.fulfill({
    contentType: 'text/html',
    body: '<a href="/?user=ann&amp;document=Sales/Orders.qvw">Orders</a>',
  }));
  await other.page.goto(`${site.portal}/start`);
  await follow(other.page, other.page.getByRole('link', { name: 'Orders' }));
  assert.ok(other.page.url().startsWith(`${site.url}/QvAJAXZfc/opendoc.htm`));
  await picture(other.page, 'portal-asks-first');
  const later = other.page.waitForEvent('download');
  await follow(other.page, other.page.locator('main form button'));
  assert.equal((await later).suggestedFilename(), 'Orders.qvw');
}, withPortal);

journey('a ticket of qlik-auth is good once, and for its own person', async ({ site, visit }) => {
  const address = await sentTo(site, 'user=ann');
  assert.ok(address.startsWith(`${site.url}/QvAJAXZfc/Authenticate.aspx?type=html&webticket=`));
  const { page } = await visit();
  await page.goto(address);
  assert.equal(path(page), '/');
  const thief = await visit();
  await thief.page.goto(address);
  // Where the portal wants failures to lead, by way of the sign-in page.
  assert.equal(path(thief.page), '/login');
  assert.equal((await thief.page.request.get(`${site.url}/api/v1/session`)).status(), 401);
  // A ticket of somebody else does not take the place of a session without a word.
  assert.equal(await site.addUser('mallory', PASSWORD), 0);
  await page.goto(await sentTo(site, 'user=mallory'));
  assert.match(await words(page), /Sign in as mallory/);
  const session = await page.request.get(`${site.url}/api/v1/session`);
  assert.equal((await session.json()).user, 'ann');
}, withPortal);

test('whom the gateway does not know, and names that are not escaped, get no ticket', async () => {
  const site = await withPortal();
  try {
    for (const user of ['nobody', 'Ben %26 Sons', 'ann</UserId><UserId>root']) {
      const answer = await fetch(`${site.portal}/?user=${user}`, { redirect: 'manual' });
      assert.equal(await answer.text(), 'Error retrieving webticket', user);
    }
    // One that a careful client escapes.
    assert.match(await sentTo(site, 'user=ben %26amp; sons'), /webticket=[0-9a-f]{40}&/);
  } finally {
    await site.stop();
  }
});

/** Asks as programs do that are no browsers: what they are doing is in none of their headers. */
function asked(address, { method = 'GET', headers = {}, body = '' } = {}) {
  return new Promise((resolve, reject) => {
    const options = { method, headers, rejectUnauthorized: false };
    const asking = request(address, options, async (answer) => {
      let text = '';
      for await (const part of answer) text += part;
      resolve({ status: answer.statusCode, headers: answer.headers, text });
    });
    asking.once('error', reject);
    asking.end(body);
  });
}

/** A client of the AccessPoint page, with the cookies of a portal's ticket. */
async function client(site, query) {
  const cookies = new Map();
  const ask = async (address, options = {}) => {
    const cookie = [...cookies].map(([name, text]) => `${name}=${text}`).join('; ');
    const headers = { ...options.headers, cookie };
    const answer = await asked(address, { ...options, headers });
    for (const line of answer.headers['set-cookie'] ?? []) {
      const [, name, text] = /^([^=]+)=([^;]*)/.exec(line);
      cookies.set(name, text);
    }
    return answer;
  };
  const there = await ask(await sentTo(site, query));
  assert.equal(there.headers.location, '/qlikview/');
  return {
    ask,
    /** What the page answers to these settings, as xml-js reads it; the status where it does not. */
    async update(sets = '<set name="AccessPoint.Update" action=""/>') {
      const page = `${site.url}/QvAJAXZfc/AccessPoint.aspx?mark=&platform=browser.chrome&dpi=96`;
      const answer = await ask(page, {
        method: 'POST',
        headers: { 'content-type': 'text/plain' },
        body: '<update mark="" stamp="" cookie="true" scope="Document" ident="AccessPoint" '
          + `kind="AccessPoint">${sets}</update>`,
      });
      return answer.status === 200 ? xml2js(answer.text, { compact: true }) : answer.status;
    },
  };
}

function value(answer, name) {
  return answer.result.object.value.find((one) => one._attributes.name === name);
}

function documents(answer) {
  return value(answer, 'Documents').element.map((element) => element._attributes);
}

test('a client of the AccessPoint page lists, searches, sorts, pages, marks and opens', async () => {
  const site = await withPortal();
  try {
    const ann = await client(site, 'user=ann&group=finance');
    const set = (name, text) => `<set name="AccessPoint.${name}" value="${text}"/>`;
    const all = await ann.update(set('Pagesize', 0));
    assert.equal(documents(all).length, DOCUMENTS.length);
    const orders = documents(all).find(({ text }) => text === 'Orders');
    for (const [name, fits] of Object.entries({
      value: /^QVS@accesspoint\|Sales\/Orders\.qvw$/, server: /^QVS@accesspoint$/,
      category: /^Sales$/, path: /^Sales$/, filesize: /^\d+(\.\d)? \w*B|^\d+ bytes/i,
      lastModified: /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d$/, lastUpdate: /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d$/,
      clients: /^Plugin;Ajax/, imgHash: /^[0-9a-f]{32}$/,
    })) assert.match(orders[name], fits, name);
    assert.equal(value(all, 'User')._attributes.value, 'CUSTOM\\ann');
    assert.match(all.result._attributes.session, /^\{[0-9a-f-]{36}\}$/);
    assert.match(all.result._attributes.stamp, /^\d{18}$/);

    const paged = await ann.update(set('Pagesize', 12) + set('SortBy', 'Title desc'));
    assert.equal(documents(paged).length, 12);
    assert.equal(documents(paged)[0].text, 'Price List');
    assert.equal(value(paged, 'Pages')._attributes.max, '2');
    const rest = await ann.update(set('Pages.Current', 2));
    assert.equal(documents(rest).length, DOCUMENTS.length - 12);
    assert.equal(documents(rest).at(-1).text, 'Budget');

    const found = await ann.update('<set name="AccessPoint.SearchFilter" text="part"/>');
    assert.equal(documents(found).length, 12);
    assert.equal(value(found, 'FilteredDocCount')._attributes.text, '15');
    assert.equal(value(found, 'DocCount')._attributes.text, String(DOCUMENTS.length));
    const more = await ann.update(
      '<set name="AccessPoint.SearchFilter" text=""/><set name="AccessPoint.Category" value="More"/>');
    assert.equal(documents(more).length, 12);
    await ann.update('<set name="AccessPoint.ClearState" action="AccessPoint"/>');

    const marks = ['Sales/Orders.qvw', 'Finance/Budget.qvw']
      .map((name) => `<set name="AccessPoint.Favorites.Add" action="QVS@accesspoint|${name}"/>`);
    await ann.update(marks.join(''));
    const marked = documents(await ann.update('<set name="AccessPoint.GetFavorites"/>'));
    assert.deepEqual(marked.map(({ text, favorite }) => [text, favorite]),
      [['Budget', 'true'], ['Orders', 'true']]);

    const opened = await ann.ask(`${site.url}/${LINK}${orders.value}&client=Ajax`);
    assert.equal(opened.status, 200);
    const launch = /href="[^"]*(\/documents\/[^"]+\/content\?launch=[^"]+)"/.exec(opened.text)[1];
    const content = await ann.ask(`${site.url}${launch}`);
    assert.equal(content.text, 'Orders');
    const hidden = await client(site, 'user=ann');
    const refused = await hidden.ask(`${site.url}/${LINK}QVS@accesspoint|Finance/Budget.qvw`);
    assert.equal(refused.status, 404);

    const image = await ann.ask(
      `${site.url}/QvAJAXZfc/AccessPoint.aspx?datamode=binary&name=${encodeURIComponent(orders.value)}`
      + `&stamp=${orders.imgHash}&kind=AccessPoint`);
    assert.match(image.headers['content-type'], /^image\//);

    await ann.update('<set name="AccessPoint.Logout" action="" clientsizeWH=""/>');
    assert.equal(await ann.update(), 401);
  } finally {
    await site.stop();
  }
});
