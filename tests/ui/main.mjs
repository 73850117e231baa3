// Runs the tests, each on a server and pages of its own, some at the same time.

import { resolve } from 'node:path';

import { images } from './images.mjs';
import { browser } from './stage.mjs';

const args = process.argv.slice(2);
const option = (name) => (args.includes(name) ? (args[args.indexOf(name) + 1] ?? '') : null);
const named = option('--demo');
const program = named && resolve(process.env.SERIN_UI_FROM ?? '.', named);
const only = option('--only');
/** Longer than any test may take, in milliseconds. */
const DEADLINE = 240_000;
/** They wait more than they work; a demo works all the time. */
const AT_ONCE = program === null ? 4 : 2;

async function chosen() {
  const names = program === null ? ['house', 'pages', 'lists', 'verbs', 'lines', 'looks'] : ['demo'];
  const modules = await Promise.all(names.map((name) => import(`./${name}.mjs`)));
  return modules
    .flatMap((module) => Object.entries(module))
    .filter(([name, test]) => typeof test === 'function' && (!only || name.includes(only)));
}

/** Whether a test passes. What it opened and started ends with it. */
async function passes(chrome, [name, test]) {
  const left = [];
  const begun = Date.now();
  const keep = (thing) => {
    left.push(thing);
    return thing;
  };
  const scoped = {
    async newContext(options) {
      const context = await chrome.newContext(options);
      keep({ stop: () => context.close().catch(() => {}) });
      return context;
    },
  };
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error('it takes too long')), DEADLINE);
  });
  try {
    await Promise.race([test({ chrome: scoped, program, keep }), late]);
    console.log(`ok ${name} (${((Date.now() - begun) / 1000).toFixed(1)} s)`);
    return true;
  } catch (error) {
    console.log(`not ok ${name}\n  ${String(error.stack ?? error).replaceAll('\n', '\n  ')}`);
    return false;
  } finally {
    clearTimeout(timer);
    for (const thing of left.reverse()) await thing.stop();
  }
}

async function all(chrome, tests, atOnce) {
  const queue = [...tests];
  const results = [];
  const work = async () => {
    for (let test = queue.shift(); test; test = queue.shift()) results.push(await passes(chrome, test));
  };
  await Promise.all(Array.from({ length: atOnce }, work));
  return results;
}

const chrome = await browser();
if (args.includes('--images')) await images(chrome);
else {
  const tests = await chosen();
  const results = [
    ...(await all(
      chrome,
      tests.filter(([, test]) => !test.alone),
      AT_ONCE,
    )),
    ...(await all(
      chrome,
      tests.filter(([, test]) => test.alone),
      1,
    )),
  ];
  const passed = results.filter(Boolean).length;
  const failed = results.length - passed + (results.length === 0 ? 1 : 0);
  console.log(`${passed} passed, ${failed} failed, 0 skipped`);
  process.exitCode = failed === 0 ? 0 : 1;
}
await chrome.close();
