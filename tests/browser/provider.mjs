// Providers to sign in at: the certified `oidc-provider`, and `oidc-provider-mock` as another kind.

import { spawn } from 'node:child_process';
import { generateKeyPairSync } from 'node:crypto';
import { createServer } from 'node:http';
import { createInterface } from 'node:readline';
import Provider from 'oidc-provider';

const MOCK = process.env.OIDC_PROVIDER_MOCK ?? 'oidc-provider-mock';
const STARTS_WITHIN_MS = 30_000;

// The gateway's certificate is its own; the provider of these tests calls it all the same.
process.env.NODE_TLS_REJECT_UNAUTHORIZED = '0';

/** A key pair on P-256: the private half in PEM form, the public one as a JWK. */
export function clientKey() {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const pem = privateKey.export({ type: 'pkcs8', format: 'pem' });
  return { pem, jwk: { ...publicKey.export({ format: 'jwk' }), use: 'sig', alg: 'ES256' } };
}

/**
 * Listens on a free port; `serve` says for which site, under which name, and with which public key
 * its client shows itself. PAR, `iss` in callbacks and back-channel logout are on.
 */
export async function startProvider() {
  let answer = (_, response) => response.writeHead(503).end();
  const server = createServer((request, response) => answer(request, response));
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address();
  const issuer = `http://127.0.0.1:${port}`;
  return {
    issuer,
    /** Begins to answer; with `signsOutAt` its page that signs people out is at that host. */
    serve(site, name, jwk, signsOutAt) {
      const provider = new Provider(issuer, configuration(site, name, jwk, port));
      if (signsOutAt) {
        provider.use(async (context, next) => {
          await next();
          const { body } = context;
          if (!body?.end_session_endpoint) return;
          body.end_session_endpoint = body.end_session_endpoint.replace('127.0.0.1', signsOutAt);
        });
      }
      const standard = provider.callback();
      answer = (request, response) => {
        if (!request.url.startsWith('/interaction/')) return standard(request, response);
        return interaction(provider, request, response).catch((error) => {
          response.writeHead(500).end(String(error));
        });
      };
    },
    stop: () => new Promise((resolve) => {
      server.closeAllConnections();
      server.close(resolve);
    }),
  };
}

function configuration(site, name, jwk, port) {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const signing = { ...privateKey.export({ format: 'jwk' }), use: 'sig', alg: 'RS256', kid: 'one' };
  // Cookies of one host are shared by its ports.
  const cookie = (what) => `provider_${port}_${what}`;
  return {
    clients: [{
      client_id: 'accesspoint',
      token_endpoint_auth_method: 'private_key_jwt',
      jwks: { keys: [jwk] },
      redirect_uris: [`${site.url}/oidc/${name}/callback`],
      post_logout_redirect_uris: [`${site.url}/oidc/${name}/signed-out`],
      backchannel_logout_uri: `${site.url}/oidc/${name}/backchannel-logout`,
      backchannel_logout_session_required: true,
    }],
    jwks: { keys: [signing] },
    scopes: ['openid', 'profile', 'groups'],
    claims: { openid: ['sub'], profile: ['preferred_username', 'name'], groups: ['groups'] },
    cookies: {
      keys: ['a key of tests'],
      names: {
        session: cookie('session'), interaction: cookie('interaction'), resume: cookie('resume'),
      },
    },
    features: {
      devInteractions: { enabled: false },
      pushedAuthorizationRequests: { enabled: true },
      backchannelLogout: { enabled: true },
    },
    pkce: { required: () => true },
    interactions: { url: (_, { uid }) => `/interaction/${uid}` },
    findAccount: (_, id) => ({
      accountId: id,
      claims: () => ({
        sub: id,
        preferred_username: id,
        name: `${id} of Corp`,
        groups: [id === 'stranger' ? 'guests' : 'staff'],
      }),
    }),
    // Nobody is asked whether the site may know who they are.
    async loadExistingGrant({ oidc }) {
      const grant = new oidc.provider.Grant({
        clientId: oidc.client.clientId, accountId: oidc.session.accountId,
      });
      grant.addOIDCScope('openid profile groups');
      await grant.save();
      return grant;
    },
  };
}

/** The provider's sign-in page: a name is enough. */
async function interaction(provider, request, response) {
  if (request.method === 'GET') {
    response.writeHead(200, { 'content-type': 'text/html' });
    response.end('<!doctype html><title>Corp</title><form method="post"><label>Name '
      + '<input name="login" autofocus></label><button>Sign in at Corp</button></form>');
    return;
  }
  let body = '';
  for await (const chunk of request) body += chunk;
  const login = { accountId: new URLSearchParams(body).get('login') };
  await provider.interactionFinished(request, response, { login });
}

/** Starts `oidc-provider-mock` on a free port. */
export async function startMock() {
  const program = spawn(MOCK, ['--port', '0'], { stdio: ['ignore', 'pipe', 'pipe'] });
  const stop = () => new Promise((resolve) => {
    program.once('exit', resolve);
    program.kill('SIGTERM');
  });
  const issuer = await new Promise((resolve, reject) => {
    const late = setTimeout(() => reject(new Error('it does not start')), STARTS_WITHIN_MS);
    const read = (line) => {
      const found = /running on (http:\/\/127\.0\.0\.1:\d+)/.exec(line);
      if (found) { clearTimeout(late); resolve(found[1]); }
    };
    createInterface({ input: program.stdout }).on('line', read);
    createInterface({ input: program.stderr }).on('line', read);
    program.once('error', reject);
    program.once('exit', (code) => reject(new Error(`${MOCK} ended with ${code}`)));
  });
  return { issuer, stop };
}
