// Signs in by the npm package openid-client, as an app would; the user is played by fetch.
// Arguments: issuer, client id, redirect URI, e-mail address, password.
import assert from 'node:assert/strict';
import * as client from 'openid-client';

const [issuer, id, back, email, password] = process.argv.slice(2);
const config = await client.discovery(new URL(issuer), id, undefined, client.None(), {
  execute: [client.allowInsecureRequests],
});

const verifier = client.randomPKCECodeVerifier();
const state = client.randomState();
const nonce = client.randomNonce();
const url = client.buildAuthorizationUrl(config, {
  redirect_uri: back,
  scope: 'openid profile offline_access user/Patient.rs',
  code_challenge: await client.calculatePKCECodeChallenge(verifier),
  code_challenge_method: 'S256',
  state,
  nonce,
});

const cookies = new Map();
async function send(target, form) {
  const headers = { cookie: [...cookies].map(([name, value]) => `${name}=${value}`).join('; ') };
  const body = form && new URLSearchParams(form);
  const method = form ? 'POST' : 'GET';
  const answer = await fetch(target, { method, headers, body, redirect: 'manual' });
  for (const cookie of answer.headers.getSetCookie()) {
    const [name, value] = cookie.split(';')[0].split('=');
    cookies.set(name, value);
  }
  return { next: answer.headers.get('location'), html: await answer.text() };
}
function hidden(html, name) {
  const [, value] = html.match(new RegExp(`name="${name}" value="([^"]*)"`));
  return value.replaceAll('&amp;', '&');
}
function filled(page, more) {
  return { request: hidden(page.html, 'request'), form: hidden(page.html, 'form'), ...more };
}

let page = await send(url);
page = await send(`${issuer}/auth/authorize/sign-in`, filled(page, { email, password }));
page = await send(page.next);
page = await send(`${issuer}/auth/authorize/decision`, filled(page, { decision: 'allow' }));

const tokens = await client.authorizationCodeGrant(config, new URL(page.next), {
  pkceCodeVerifier: verifier,
  expectedState: state,
  expectedNonce: nonce,
  idTokenExpected: true,
});
const { sub } = tokens.claims();
const told = await client.fetchUserInfo(config, tokens.access_token, sub);
assert.equal(told.sub, sub);
const again = await client.refreshTokenGrant(config, tokens.refresh_token);
assert.equal(again.claims().sub, sub);
const search = () =>
  fetch(`${issuer}/fhir/Patient`, { headers: { authorization: `Bearer ${again.access_token}` } });
assert.equal((await search()).status, 200);
await client.tokenRevocation(config, again.refresh_token);
assert.equal((await search()).status, 401);
console.log('signed in');
