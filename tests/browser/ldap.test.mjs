// Signing in with a directory: Debian's slapd with TLS, in a folder of its own.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fillSignIn, journey, opensOrders, path, picture, words } from './journey.mjs';
import { beside, makeCertificate, startPeer } from './peer.mjs';
import { freePort, startServed } from './site.mjs';

const PASSWORD = 'paper kite 22';
const WRONG = 'another password 3';
const ENTRIES = `dn: dc=example
objectClass: dcObject
objectClass: organization
o: x
dc: example

dn: cn=svc,dc=example
objectClass: organizationalRole
objectClass: simpleSecurityObject
cn: svc
userPassword: service secret

dn: uid=ann,dc=example
objectClass: inetOrgPerson
uid: ann
cn: Ann of the directory
sn: x
title: analyst
userPassword: ${PASSWORD}

dn: uid=ben,dc=example
objectClass: inetOrgPerson
uid: ben
cn: Ben of the directory
sn: x
title: guest
userPassword: ${PASSWORD}
`;

/** Starts a directory. */
async function startDirectory() {
  const folder = mkdtempSync(join(tmpdir(), 'accesspoint-slapd-'));
  const at = (name) => join(folder, name);
  mkdirSync(at('data'));
  const { key, certificate } = makeCertificate(folder, 'directory');
  writeFileSync(at('entries.ldif'), ENTRIES);
  writeFileSync(at('slapd.conf'), `include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
modulepath /usr/lib/ldap
moduleload back_mdb
pidfile ${folder}/slapd.pid
TLSCertificateFile ${certificate}
TLSCertificateKeyFile ${key}
database mdb
maxsize 67108864
suffix "dc=example"
rootdn "cn=admin,dc=example"
directory ${folder}/data
access to attrs=userPassword by anonymous auth by * none
access to * by dn.exact="cn=svc,dc=example" read by * none
`);
  execFileSync('/usr/sbin/slapadd', ['-f', at('slapd.conf'), '-l', at('entries.ldif')]);
  const port = await freePort();
  const url = `ldaps://127.0.0.1:${port}`;
  const peer = startPeer(folder, '/usr/sbin/slapd', ['-f', at('slapd.conf'), '-h', url, '-d', '0']);
  while (!await listens(port)) {
    assert.equal(peer.program.exitCode, null, 'slapd ended');
  }
  return { ...peer, url, certificate };
}

function listens(port) {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('connect', () => { socket.destroy(); resolve(true); });
    socket.once('error', () => setTimeout(() => resolve(false), 20));
  });
}

/** A site with people of its own and of a directory. */
async function withDirectory() {
  const directory = await startDirectory();
  const site = await startServed(`
[[sign_in.source]]
kind = "ldap"
name = "hq"
[[sign_in.source]]
kind = "local"
name = "local"
[ldap.hq]
servers = ["${directory.url}"]
ca_file = "${directory.certificate}"
bind_dn = "cn=svc,dc=example"
bind_password = "service secret"
user_base = "dc=example"
user_filter = "(&(objectClass=person)(uid={username}))"
user_name = "{uid}"
display_name = "{cn}"
groups = "title"
[[ldap.hq.rule]]
when = { claim = "groups", has = "analyst" }
named_cal = "assign"
`, { secrets: [PASSWORD, WRONG, 'service secret'] });
  assert.equal(await site.addUser('local-lea', PASSWORD), 0);
  return beside(site, directory);
}

journey('a person of the directory signs in and opens a document; one without a rule is told why',
  async ({ site, visit }) => {
    const { page } = await visit();
    await page.goto(site.url);
    assert.equal((await fillSignIn(page, 'ann', WRONG)).status(), 401);
    await fillSignIn(page, 'ann', PASSWORD);
    assert.equal(path(page), '/');
    assert.match(await page.locator('body').innerText(), /Ann of the directory/);
    assert.match(await words(page), /Named CAL since/);
    await opensOrders(page);

    const other = await visit();
    await other.page.goto(site.url);
    const refused = await fillSignIn(other.page, 'ben', PASSWORD);
    assert.equal(refused.status(), 403);
    assert.match(await words(other.page), /ben/);
    await picture(other.page, 'ldap-no-rule');
  }, withDirectory);

journey('while the directory is silent, the others come in and the page says so',
  async ({ site, visit }) => {
    const { page } = await visit();
    await site.silence();
    await page.goto(site.url);
    assert.equal((await fillSignIn(page, 'ann', PASSWORD)).status(), 503);
    assert.match(await words(page), /hq/);
    await picture(page, 'ldap-silent');
    await fillSignIn(page, 'local-lea', PASSWORD);
    assert.equal(path(page), '/');
  }, withDirectory);
