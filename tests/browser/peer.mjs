// Servers that stand beside a site: a certificate, a process in a folder of its own, and its end.

import { execFileSync, spawn } from 'node:child_process';
import { rmSync } from 'node:fs';
import { join } from 'node:path';

/** Makes a key and a certificate for this machine in a folder; answers their files. */
export function makeCertificate(folder, name) {
  const key = join(folder, 'server.key');
  const certificate = join(folder, 'server.pem');
  execFileSync('openssl', ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2',
    '-subj', `/CN=${name}`, '-addext', 'subjectAltName=IP:127.0.0.1',
    '-addext', 'basicConstraints=critical,CA:FALSE',
    '-keyout', key, '-out', certificate], { stdio: 'ignore' });
  return { key, certificate };
}

/** Starts a program; `silence` ends it, `stop` takes its folder away too. */
export function startPeer(folder, command, options) {
  const program = spawn(command, options, { stdio: ['ignore', 'pipe', 'ignore'] });
  const ended = new Promise((resolve) => program.once('exit', resolve));
  process.once('exit', () => program.kill('SIGKILL'));
  const silence = async () => {
    program.kill('SIGKILL');
    await ended;
  };
  return {
    program,
    ended,
    silence,
    stop: async () => {
      await silence();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** A site that a peer stands beside, and ends with. */
export function beside(site, peer) {
  return {
    ...site,
    silence: peer.silence,
    stop: async () => {
      await site.stop();
      await peer.stop();
    },
  };
}
