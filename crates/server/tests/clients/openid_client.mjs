// Signs in by the npm package openid-client, as an app would; the user is played by fetch.
// Arguments: issuer, client id, redirect URI, e-mail address, password.
import assert from 'node:assert/strict';
import * as client from 'openid-client';
import { allowed } from './browser.mjs';

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

const home = await allowed(url, email, password);
const tokens = await client.authorizationCodeGrant(config, home, {
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
