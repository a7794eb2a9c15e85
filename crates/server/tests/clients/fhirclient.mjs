// Launches by the npm package fhirclient, as an app on a server would, standalone and from an
// EHR; the user is played by fetch.
// Arguments: FHIR endpoint, client id, redirect URI, e-mail address, password, launch.
import assert from 'node:assert/strict';
import smart from 'fhirclient';
import { allowed } from './browser.mjs';

const [iss, clientId, redirectUri, email, password, launch] = process.argv.slice(2);

async function launched(extra) {
  const kept = new Map();
  const storage = {
    get: async (key) => kept.get(key),
    set: async (key, value) => { kept.set(key, value); return value; },
    unset: async (key) => kept.delete(key),
  };
  const back = new URL(redirectUri);
  const at = (url) => ({
    url,
    headers: { host: back.host, 'x-forwarded-proto': 'https' },
    socket: {},
  });
  let place;
  const response = { writeHead: (_, headers) => { place = headers.location; }, end: () => {} };
  const scope = extra.launch
    ? 'launch openid fhirUser patient/*.rs'
    : 'launch/patient openid fhirUser patient/*.rs';
  await smart(at('/launch'), response, storage)
    .authorize({ iss, clientId, redirectUri, scope, pkceMode: 'required', ...extra });
  const home = await allowed(place, email, password);
  const client = await smart(at(home.pathname + home.search), response, storage).ready();
  const patient = await client.patient.read();
  assert.equal(patient.id, client.patient.id);
  const found = await client.request(`Observation?subject=Patient/${patient.id}`);
  assert.equal(found.entry.length, 1);
  return patient.id;
}

assert.equal(await launched({}), 'eve');
assert.equal(await launched({ launch }), 'bob');
console.log('launched');
