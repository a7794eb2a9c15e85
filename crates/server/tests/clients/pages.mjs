// People at a real browser, on the pages as they are. Argument: what is where, as JSON.
import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { createRequire } from 'node:module';
import axe from 'axe-core';
import { chromium } from 'playwright-core';

const jsQR = createRequire(import.meta.url)('jsqr');
const about = JSON.parse(process.argv[2]);
const STRICT = 'https://refeds.org/profile/mfa';
const RULES = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'best-practice'];

const browser = await chromium.launch({
  executablePath: about.chromium,
  chromiumSandbox: false,
  args: [
    '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
    '--disable-component-update', '--disable-sync',
  ],
});

// Where an app sends its users.
function authorize(more) {
  const query = new URLSearchParams({
    client_id: about.client, redirect_uri: about.back, response_type: 'code', scope: 'openid',
    state: 's', nonce: 'n', code_challenge: about.challenge, code_challenge_method: 'S256', ...more,
  });
  return `${about.origin}/auth/authorize?${query}`;
}

// A page whose complaints fail the test, and the app that waits behind the answer.
async function opened(options) {
  const context = await browser.newContext({ viewport: { width: 900, height: 900 }, ...options });
  await context.route(`${new URL(about.back).origin}/**`, (route) =>
    route.fulfill({ contentType: 'text/html', body: '<!doctype html><title>The app</title>' }));
  const page = await context.newPage();
  const complaints = [];
  page.on('pageerror', (error) => complaints.push(String(error)));
  page.on('console', (message) => {
    // What was wrong is answered with 400 or 403, which browsers mention.
    const status = /^Failed to load resource: .*status of 40[03]/.test(message.text());
    if (message.type() === 'error' && !status) complaints.push(message.text());
  });
  return { context, page, complaints };
}

// Holds a page against WCAG in light and dark, and on a small screen.
let pictures = 0;
async function inspected(page, name) {
  pictures += 1;
  await page.evaluate(axe.source);
  for (const colorScheme of ['light', 'dark']) {
    await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
    // Only colours are others in the dark.
    const only = colorScheme === 'light' ? RULES : { type: 'rule', values: ['color-contrast'] };
    const { violations } = await page.evaluate((runOnly) => axe.run({ runOnly }), only);
    const told = violations.map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.html).join(' ')}`);
    assert.deepEqual(told, [], `${name}, ${colorScheme}`);
    const folder = process.env.SALUS_PICTURES;
    if (folder) {
      const path = `${folder}/${String(pictures).padStart(2, '0')} ${name} ${colorScheme}.png`;
      await page.screenshot({ path, fullPage: true });
    }
  }
  const before = page.viewportSize();
  await page.setViewportSize({ width: 320, height: 640 });
  const width = await page.evaluate(() => document.documentElement.scrollWidth);
  assert.ok(width <= 320, `${name} needs ${width} pixels`);
  await page.setViewportSize(before);
  assert.equal(await page.locator('h1').count(), 1, name);
}

// Waits for a page, also where no script runs in it.
async function titled(page, title) {
  const last = Date.now() + 10000;
  while (!(await page.title().catch(() => '')).startsWith(title)) {
    assert.ok(Date.now() < last, `${await page.title()} in the place of ${title}: ${page.url()}`);
    await page.waitForTimeout(20);
  }
}

async function typed(page, email, password = about.password) {
  await page.getByLabel('E-mail address').fill(email);
  await page.getByLabel('Password').fill(password);
  await page.getByRole('button', { name: 'Sign in' }).click();
}

// Agrees, and is back at the app with a code.
async function allowed(page) {
  await titled(page, 'Allow access');
  await page.getByRole('button', { name: 'Allow', exact: true }).click();
  await titled(page, 'The app');
  assert.ok(new URL(page.url()).searchParams.get('code'), page.url());
}

// The code of an authenticator app (RFC 6238), some steps from now.
function code(secret, steps) {
  const letters = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567';
  const bits = [...secret.replaceAll(' ', '')]
    .map((letter) => letters.indexOf(letter).toString(2).padStart(5, '0')).join('');
  const key = Buffer.from(bits.match(/.{8}/g).map((byte) => parseInt(byte, 2)));
  const counter = Buffer.alloc(8);
  counter.writeBigUInt64BE(BigInt(Math.floor(Date.now() / 30000) + steps));
  const mac = createHmac('sha1', key).update(counter).digest();
  const number = mac.readUInt32BE(mac[19] & 15) & 0x7fffffff;
  return String(number % 1000000).padStart(6, '0');
}

// What the drawing says to a camera.
async function scanned(page) {
  const { data, size } = await page.evaluate(() => {
    const drawing = document.querySelector('svg');
    const [, , width] = drawing.getAttribute('viewBox').split(' ').map(Number);
    const size = width * 4;
    const canvas = Object.assign(document.createElement('canvas'), { width: size, height: size });
    const pen = canvas.getContext('2d');
    pen.scale(4, 4);
    for (const path of drawing.querySelectorAll('path')) {
      pen.fillStyle = path.getAttribute('fill');
      pen.fill(new Path2D(path.getAttribute('d')));
    }
    return { data: [...pen.getImageData(0, 0, size, size).data], size };
  });
  return jsQR(Uint8ClampedArray.from(data), size, size).data;
}

async function withoutScripts() {
  const { context, page, complaints } = await opened({ javaScriptEnabled: false });
  await page.goto(authorize());
  await titled(page, 'Sign in');
  assert.ok(await page.locator('form[data-passkey]').isHidden());
  await typed(page, 'ben@example.org');
  await allowed(page);
  assert.deepEqual(complaints, []);
  await context.close();
}

// What is wrong is said at the top, beside the fields, and in the title; a keyboard gets everywhere.
async function mistakes() {
  const { context, page, complaints } = await opened();
  await page.goto(authorize());
  await inspected(page, 'sign in');
  const focused = () => page.evaluate(() => document.activeElement.id || document.activeElement.textContent);
  assert.equal(await focused(), 'email');
  const order = [];
  for (let i = 0; i < 5; i += 1) {
    await page.keyboard.press('Tab');
    order.push(await focused());
  }
  const links = ['Forgotten your password?', 'Make an account'];
  assert.deepEqual(order, ['password', 'Sign in', 'Use a passkey', ...links]);
  await typed(page, 'ben@example.org', 'another long password');
  await titled(page, 'Error: Sign in');
  await inspected(page, 'sign in again');
  const password = page.getByLabel('Password');
  assert.equal(await page.getByLabel('E-mail address').inputValue(), 'ben@example.org');
  assert.equal(await focused(), 'password');
  assert.equal(await password.getAttribute('aria-describedby'), await page.getByRole('alert').first().getAttribute('id'));
  await typed(page, 'ben@example.org');
  await titled(page, 'Allow access');
  await inspected(page, 'allow access');
  await allowed(page);
  assert.deepEqual(complaints, []);
  await context.close();
}

async function app() {
  const { context, page, complaints } = await opened();
  await page.goto(authorize({ acr_values: STRICT }));
  await typed(page, 'ada@example.org');
  await titled(page, 'Set up a second factor');
  await inspected(page, 'set up');
  const secret = await page.locator('code').first().textContent();
  const uri = await page.getByRole('link', { name: 'open it' }).getAttribute('href');
  assert.equal(await scanned(page), uri);
  assert.equal(new URL(uri).searchParams.get('secret'), secret.replaceAll(' ', ''));
  const field = page.getByLabel('Code that the app shows now');
  await field.fill('000');
  await page.getByRole('button', { name: 'Go on' }).click();
  await titled(page, 'Error: Set up');
  await inspected(page, 'set up again');
  assert.equal(await page.locator('code').first().textContent(), secret);
  await field.fill(code(secret, 0));
  await page.getByRole('button', { name: 'Go on' }).click();
  await titled(page, 'Recovery codes');
  await inspected(page, 'recovery codes');
  const codes = await page.locator('li').allTextContents();
  assert.equal(codes.length, 10);
  await page.emulateMedia({ media: 'print' });
  assert.ok(await page.getByText('Go on').isHidden());
  await page.emulateMedia({ media: 'screen' });
  await page.getByRole('link', { name: 'Go on' }).click();
  await allowed(page);

  await context.clearCookies();
  await page.goto(authorize());
  await typed(page, 'ada@example.org');
  await titled(page, 'Second factor');
  await inspected(page, 'second factor');
  await page.getByLabel('Code that your app shows').fill('000');
  await page.getByRole('button', { name: 'Go on' }).first().click();
  await titled(page, 'Error: Second factor');
  await inspected(page, 'second factor again');
  await page.getByLabel('Code that your app shows').fill(code(secret, 1));
  await page.getByRole('button', { name: 'Go on' }).first().click();
  await allowed(page);

  await context.clearCookies();
  await page.goto(authorize());
  await typed(page, 'ada@example.org');
  await page.getByText('Without the app').click();
  await page.getByLabel('One of your recovery codes').fill(codes[3]);
  await page.getByRole('button', { name: 'Go on' }).last().click();
  await allowed(page);
  assert.deepEqual(complaints, []);
  await context.close();
}

async function passkeys() {
  const { context, page, complaints } = await opened();
  // The virtual authenticator chooses from the list at the field at once; not where the button is tried.
  await page.addInitScript(() => {
    if (location.hash === '#button') PublicKeyCredential.isConditionalMediationAvailable = async () => false;
  });
  const devices = await context.newCDPSession(page);
  await devices.send('WebAuthn.enable', { enableUI: false });
  const { authenticatorId } = await devices.send('WebAuthn.addVirtualAuthenticator', {
    options: {
      protocol: 'ctap2', transport: 'internal', hasResidentKey: true, hasUserVerification: true,
      isUserVerified: true, automaticPresenceSimulation: false,
    },
  });
  const touched = (enabled) =>
    devices.send('WebAuthn.setAutomaticPresenceSimulation', { authenticatorId, enabled });
  const verified = (isUserVerified) =>
    devices.send('WebAuthn.setUserVerified', { authenticatorId, isUserVerified });

  await page.goto(authorize({ acr_values: STRICT }));
  await typed(page, 'ben@example.org');
  await titled(page, 'Set up a second factor');
  await touched(true);
  await page.getByRole('button', { name: 'Set up a passkey' }).click();
  await titled(page, 'Recovery codes');
  const { credentials } = await devices.send('WebAuthn.getCredentials', { authenticatorId });
  assert.deepEqual(credentials.map((one) => [one.rpId, one.isResidentCredential]), [['localhost', true]]);
  const codes = await page.locator('li').allTextContents();
  await page.getByRole('link', { name: 'Go on' }).click();
  await allowed(page);

  // As the second factor.
  await touched(false);
  await context.clearCookies();
  await page.goto(authorize());
  await typed(page, 'ben@example.org');
  await titled(page, 'Second factor');
  await inspected(page, 'second factor with a passkey');
  assert.equal(await page.getByLabel('Code that your app shows').count(), 0);
  await page.getByLabel('One of your recovery codes').fill('none');
  await page.getByRole('button', { name: 'Go on' }).click();
  await titled(page, 'Error: Second factor');
  await touched(true);
  await page.getByRole('button', { name: 'Use a passkey' }).click();
  await allowed(page);

  // Instead of all else: by the button, then from the list at the field.
  await context.clearCookies();
  await touched(true);
  await page.goto(`${authorize()}#button`);
  await page.getByRole('button', { name: 'Use a passkey' }).click();
  await allowed(page);
  await context.clearCookies();
  await page.goto(authorize());
  await allowed(page);

  // One that has not made sure of its owner is not enough, and that is no dead end.
  await context.clearCookies();
  await page.goto(`${authorize()}#button`);
  await verified(false);
  await page.getByRole('button', { name: 'Use a passkey' }).click();
  await page.getByRole('alert').waitFor();
  await inspected(page, 'no passkey');
  await typed(page, 'ben@example.org');
  await titled(page, 'Second factor');
  await page.getByLabel('One of your recovery codes').fill(codes[0]);
  await page.getByRole('button', { name: 'Go on' }).click();
  await allowed(page);
  assert.deepEqual(complaints, []);
  await context.close();
}

// Who has no app of theirs in front comes in by mail on pages of ours.
async function byMail() {
  const { context, page, complaints } = await opened();
  await page.goto(authorize());
  await page.getByRole('link', { name: 'Forgotten your password?' }).click();
  await titled(page, 'Forgotten password');
  await inspected(page, 'forgotten password');
  await page.goBack();
  await page.getByRole('link', { name: 'Make an account' }).click();
  await titled(page, 'Make an account');
  await inspected(page, 'make an account');
  await page.getByLabel('E-mail address').fill('zoe@example.org');
  await page.getByRole('button').click();
  await page.getByRole('status').waitFor();
  await inspected(page, 'a link is sent');

  await page.goto(about.origin + about.links.verify);
  await inspected(page, 'confirm');
  await page.getByRole('button').click();
  await page.getByRole('status').waitFor();
  await page.goto(about.origin + about.links.password);
  await inspected(page, 'new password');
  await page.getByLabel('New password').fill('seven loud violet kettles');
  await page.getByRole('button').click();
  await page.getByRole('status').waitFor();
  // A new password does not go round the second factor.
  await page.goto(authorize());
  await typed(page, 'ada@example.org', 'seven loud violet kettles');
  await titled(page, 'Second factor');
  await page.goto(about.origin + about.links.join);
  await page.getByLabel('Password').fill('short');
  await page.getByRole('button').click();
  await titled(page, 'Error: Your account');
  await inspected(page, 'join again');
  await page.getByLabel('Password').fill(about.password);
  await page.getByRole('button').click();
  await page.getByRole('status').waitFor();
  await page.goto(authorize());
  await typed(page, 'eve@example.org');
  await allowed(page);
  assert.deepEqual(complaints, []);
  await context.close();
}

async function others() {
  const { context, page, complaints } = await opened();
  await page.goto(`${about.origin}/auth/device`);
  await inspected(page, 'device');
  await page.goto(`${about.origin}/setup`);
  await inspected(page, 'set up server');
  const theme = {
    name: 'St. Mary’s Clinic', logo: about.logo,
    colours: { background: '#fff8ee', text: '#2b2118', accent: '#8a3b12' },
  };
  const headers = { authorization: `Bearer ${about.token}`, 'content-type': 'application/json' };
  const put = (theme) =>
    fetch(`${about.origin}/admin/theme`, { method: 'PUT', headers, body: JSON.stringify(theme) });
  assert.equal((await put(theme)).status, 200);
  await page.goto(authorize());
  await titled(page, 'Sign in – St. Mary’s Clinic');
  await inspected(page, 'sign in with a theme');
  await typed(page, 'nobody@example.org');
  await titled(page, 'Error: Sign in');
  await inspected(page, 'sign in again with a theme');
  assert.deepEqual(complaints, []);
  await context.close();
}

try {
  await withoutScripts();
  await mistakes();
  await app();
  await passkeys();
  await byMail();
  await others();
} finally {
  await browser.close();
}
console.log('the pages are good');
