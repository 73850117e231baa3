// What the tests stand on: a browser, the mock or the demo as a process, and claims that are waited for.

import { spawn } from 'node:child_process';
import { createServer } from 'node:net';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';

const require = createRequire(`${process.env.SERIN_UI_MODULES}/`);
const { chromium } = require('playwright-core');
export const AXE = require.resolve('axe-core/axe.min.js');

const MOCK = fileURLToPath(new URL('./mock.mjs', import.meta.url));
export const DESKTOP = { width: 1440, height: 900 };
export const PHONE = { width: 390, height: 844 };

/** A process with an address; `stop` ends it. */
export class Server {
  constructor(child, base) {
    Object.assign(this, { child, base });
  }

  async stop(signal = 'SIGKILL') {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return;
    const ended = new Promise((resolve) => this.child.once('exit', resolve));
    this.child.kill(signal);
    await ended;
  }
}

export async function freePort() {
  return new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}

export async function mock(...options) {
  const port = options.includes('--port') ? options[options.indexOf('--port') + 1] : await freePort();
  const child = spawn(process.execPath, [MOCK, ...options, '--port', String(port)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  await new Promise((resolve, reject) => {
    child.stdout.once('data', resolve);
    child.once('exit', (code) => reject(new Error(`the mock ended with ${code}`)));
  });
  return new Server(child, `http://127.0.0.1:${port}`);
}

/** Starts `serin demo` at a port, and waits until it answers. */
export async function demo(program, port) {
  const child = spawn(program, ['demo', '--port', String(port), '--api-port', '0'], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const said = [];
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (piece) => said.push(piece.toString()));
  const server = new Server(child, `http://127.0.0.1:${port}`);
  /** The address with the token in it, as the demo prints it. */
  server.withToken = () => /http:\/\/\S+\/#token=\S+/.exec(said.join(''))?.[0];
  await until(
    async () => {
      if (child.exitCode !== null) throw new Error(`the demo ended: ${said.join('')}`);
      const reply = await fetch(`${server.base}/readyz`).catch(() => null);
      return reply?.ok;
    },
    60_000,
    () => `the demo is ready: ${said.join('')}`,
  );
  return server;
}

export async function browser() {
  return chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: ['--no-sandbox', '--disable-dev-shm-usage'],
  });
}

/** A page that remembers what went wrong on it. 4xx and lost connections are what some tests are about. */
export async function open(chrome, url, { size = DESKTOP, scheme = 'light', motion = 'no-preference' } = {}) {
  const context = await chrome.newContext({ viewport: size, colorScheme: scheme, reducedMotion: motion });
  const page = await context.newPage();
  page.wrong = [];
  page.on('pageerror', (error) => page.wrong.push(String(error.stack ?? error)));
  page.on('dialog', (dialog) => {
    page.wrong.push(`a dialog: ${dialog.message()}`);
    void dialog.dismiss();
  });
  page.on('console', (message) => {
    const harmless = /Failed to load resource|net::ERR_/.test(message.text());
    if (message.type() === 'error' && !harmless) page.wrong.push(message.text());
  });
  page.setDefaultTimeout(30_000);
  page.setDefaultNavigationTimeout(60_000);
  await page.goto(url);
  return page;
}

export function claim(holds, words) {
  if (!holds) throw new Error(`it does not hold: ${words}`);
}

/** Waits until something holds. */
export async function until(holds, patience, words) {
  const end = Date.now() + patience;
  let last;
  do {
    last = await holds();
    if (last) return last;
    await pause(100);
  } while (Date.now() < end);
  throw new Error(`not within ${patience / 1000} s: ${typeof words === 'function' ? await words() : words}`);
}

/** What a page shows follows what it heard: it has to hold soon, and not in the same moment. */
export function soon(holds, words) {
  return until(holds, 15_000, words);
}

export function pause(ms) {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** Text as it is seen. */
export async function seen(page, selector) {
  return page.locator(selector).first().innerText();
}

/** The row of a Canary. */
export function row(page, name) {
  return page.locator('.rows .row', { has: page.locator('.name', { hasText: new RegExp(`^${name}$`) }) });
}
