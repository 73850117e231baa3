// How it looks to whom: accessibility, phones, and how fast a long list is.

import { readFileSync } from 'node:fs';
import { AXE, DESKTOP, PHONE, claim, mock, open, pause, row, until } from './stage.mjs';

const FORMS = [
  ['desktop', DESKTOP],
  ['phone', PHONE],
].flatMap(([name, size]) => ['light', 'dark'].map((scheme) => ({ name: `${name}, ${scheme}`, size, scheme })));

/** How long the page takes to calculate something on a quiet machine, in milliseconds. */
const QUIET = 60;

async function audit(page, where) {
  await page.evaluate(readFileSync(AXE, 'utf8'));
  const found = await page.evaluate(() => window.axe.run(document, { resultTypes: ['violations'] }));
  const serious = found.violations.map(
    (one) =>
      `${one.impact} ${one.id}: ${one.nodes
        .slice(0, 3)
        .map((node) => `${node.target} ${node.failureSummary}`)
        .join(' | ')}`,
  );
  claim(serious.length === 0, `${where} is accessible: ${serious.join('\n')}`);
}

export async function the_overview_is_accessible(stage) {
  const server = stage.keep(await mock());
  await pause(16_000);
  for (const form of FORMS) {
    const page = await open(stage.chrome, `${server.base}/`, form);
    await page.locator('.rows .row').first().waitFor();
    await audit(page, `the overview, ${form.name}`);
    await page.close();
  }
}

export async function the_page_of_one_is_accessible(stage) {
  const server = stage.keep(await mock());
  await pause(16_000);
  for (const form of FORMS) {
    for (const place of ['shop/storefront', 'shop/reviews', 'shop/payments']) {
      const page = await open(stage.chrome, `${server.base}/#/${place}`, form);
      await page.locator('.plan').waitFor();
      await audit(page, `${place}, ${form.name}`);
      await page.close();
    }
  }
}

export async function dialogs_are_accessible(stage) {
  const server = stage.keep(await mock());
  for (const form of FORMS) {
    const page = await open(stage.chrome, `${server.base}/#/shop/payments`, form);
    await page.locator('.verbs [data-verb=abort]').click();
    await audit(page, `the dialog, ${form.name}`);
    await page.keyboard.press('Escape');
    await page.locator('#top').getByRole('button', { name: 'Help with keys' }).click();
    await audit(page, `the keys, ${form.name}`);
    await page.close();
  }
}

export async function empty_pages_and_the_token_are_accessible(stage) {
  const empty = stage.keep(await mock('--empty'));
  const closed = stage.keep(await mock('--token', 'secret'));
  for (const form of FORMS) {
    const page = await open(stage.chrome, `${empty.base}/`, form);
    await page.getByText('No Canaries yet').waitFor();
    await audit(page, `no Canaries, ${form.name}`);
    const login = await open(stage.chrome, `${closed.base}/`, form);
    await login.getByText('Who are you?').waitFor();
    await audit(login, `the token, ${form.name}`);
    await page.close();
    await login.close();
  }
}

export async function the_wall_is_accessible(stage) {
  const server = stage.keep(await mock());
  const many = stage.keep(await mock('--count', '200'));
  await pause(16_000);
  for (const form of FORMS) {
    const page = await open(stage.chrome, `${server.base}/#/?wall=1`, form);
    await page.locator('.tile.is-bad').first().waitFor();
    await audit(page, `the wall, ${form.name}`);
    await page.goto(`${server.base}/#/?wall=1&q=identity`);
    await page.getByText('All quiet').waitFor();
    await audit(page, `a quiet wall, ${form.name}`);
    await page.goto(`${many.base}/#/?wall=1`);
    await page.locator('.tile').first().waitFor();
    await audit(page, `a full wall, ${form.name}`);
    await page.close();
  }
}

export async function what_was_found_is_accessible(stage) {
  const server = stage.keep(await mock());
  for (const form of FORMS) {
    const page = await open(stage.chrome, `${server.base}/#/?q=team%3Dnobody`, form);
    await page.getByText('team is one of').waitFor();
    await audit(page, `a label that fits nothing, ${form.name}`);
    await page.goto(`${server.base}/#/?sort=-weight`);
    await row(page, 'identity').locator('.name').focus();
    await page.keyboard.press('p');
    await page.locator('.pin.is-pinned').waitFor();
    await audit(page, `pinned and sorted, ${form.name}`);
    await page.close();
  }
}

export async function the_way_back_and_a_lost_connection_are_accessible(stage) {
  for (const form of FORMS) {
    const server = stage.keep(await mock());
    const page = await open(stage.chrome, `${server.base}/#/platform/identity`, form);
    const list = await open(stage.chrome, `${server.base}/`, form);
    const wall = await open(stage.chrome, `${server.base}/#/?wall=1`, form);
    await page.locator('.attempt .button[data-to]').first().waitFor();
    await audit(page, `the way back, ${form.name}`);
    await page.locator('.attempt .button[data-to]').first().click();
    await audit(page, `its dialog, ${form.name}`);
    await page.keyboard.press('Escape');
    await row(list, 'storefront').waitFor();
    await wall.locator('.tile').first().waitFor();
    await server.stop();
    for (const one of [page, list, wall]) {
      await one.locator('.banner').waitFor();
      await audit(one, `no connection, ${one.url()}, ${form.name}`);
      await one.close();
    }
  }
}

export async function nothing_is_wider_than_a_phone(stage) {
  const server = stage.keep(await mock());
  await pause(14_000);
  for (const hash of [
    '#/',
    '#/shop/storefront',
    '#/shop/reviews',
    '#/discovery/recommendations',
    '#/?wall=1',
    '#/?q=team%3Dnobody',
    '#/platform/identity',
    '#/customer-communication-platform/internal-customer-notification-preferences-service',
  ]) {
    const page = await open(stage.chrome, `${server.base}/${hash}`, { size: PHONE });
    await page.locator('.rows .row, .versions, .tile, .placeholder .button').first().waitFor();
    const width = await page.evaluate(() => document.documentElement.scrollWidth);
    claim(width <= PHONE.width, `${hash} is ${width} wide`);
    const small = await page
      .locator('main button:visible, main select:visible')
      .evaluateAll((all) => all.filter((one) => one.getBoundingClientRect().height < 28).map((one) => one.outerHTML));
    claim(small.length === 0, `fingers can meet it: ${small}`);
  }
}

nothing_moves_by_itself.alone = true;
export async function nothing_moves_by_itself(stage) {
  const server = stage.keep(await mock());
  for (const hash of ['#/shop/storefront', '#/shop/payments']) {
    const page = await open(stage.chrome, `${server.base}/${hash}`);
    await page.locator('.card').first().waitFor({ timeout: 30_000 });
    await page.evaluate(() => {
      window.shifts = 0;
      new PerformanceObserver((list) => {
        for (const entry of list.getEntries()) window.shifts += entry.value;
      }).observe({ type: 'layout-shift' });
    });
    await pause(6000);
    const shifts = await page.evaluate(() => window.shifts);
    claim(shifts < 0.05, `${hash} keeps still: ${shifts}`);
  }
}

/** How much slower than on a quiet machine a page works now: budgets grow with what else runs. */
async function slowness(page) {
  const took = await page.evaluate(() => {
    const begun = performance.now();
    let sum = 0;
    for (let number = 0; number < 5e7; number += 1) sum += Math.sqrt(number);
    return sum > 0 ? performance.now() - begun : 0;
  });
  return Math.max(1, took / QUIET);
}

five_hundred_are_drawn_and_kept_up_fast.alone = true;
export async function five_hundred_are_drawn_and_kept_up_fast(stage) {
  const server = stage.keep(await mock('--count', '500'));
  await pause(2000);
  const page = await open(stage.chrome, `${server.base}/`);
  await until(async () => (await page.locator('.rows .row').count()) === 500, 20_000, 'all are there');
  const drawn = Math.round(await page.evaluate(() => performance.now()));
  const factor = await slowness(page);
  claim(drawn < 2500 * factor, `they are there after ${drawn} ms, on a machine ${factor} times as slow`);
  await page.evaluate(() => {
    window.long = [];
    const note = (list) => window.long.push(...list.getEntries().map((entry) => Math.round(entry.duration)));
    new PerformanceObserver(note).observe({ type: 'longtask' });
  });
  await pause(8000);
  const long = await page.evaluate(() => window.long);
  const longest = Math.max(0, ...long);
  console.log(
    `  500 Canaries, 50 at work: drawn after ${drawn} ms; in 8 s ${long.length} tasks over 50 ms, the longest ${longest} ms; ` +
      `machine ${factor.toFixed(1)} times as slow as a quiet one`,
  );
  claim(longest < 150 * Math.max(factor, await slowness(page)), `no task takes long: ${long}`);
  await page.locator('#search').fill('service-0499');
  const found = async () => (await page.locator('.rows .row').count()) === 1;
  await until(found, 1500 * factor, 'the search finds one');
}

/** Notes from when on a drawing was wanted until the browser has shown it. */
function watchDrawing() {
  const frame = window.requestAnimationFrame.bind(window);
  window.drawn = [];
  window.requestAnimationFrame = (does) => {
    const wanted = performance.now();
    return frame((at) => {
      does(at);
      const { port1, port2 } = new MessageChannel();
      port1.onmessage = () => window.drawn.push(performance.now() - wanted);
      port2.postMessage(null);
    });
  };
}

a_change_among_a_thousand_is_drawn_at_once.alone = true;
export async function a_change_among_a_thousand_is_drawn_at_once(stage) {
  const server = stage.keep(await mock('--count', '1000'));
  for (const hash of ['#/', '#/?sort=weight', '#/?q=service+team%3Dpay*', '#/?wall=1']) {
    const page = await open(stage.chrome, 'about:blank');
    await page.addInitScript(watchDrawing);
    await page.goto(`${server.base}/${hash}`);
    await page.locator('.rows .row, .tile').first().waitFor();
    await pause(1500);
    const factor = await slowness(page);
    await page.evaluate(() => {
      window.drawn.length = 0;
    });
    await pause(5000);
    const took = (await page.evaluate(() => window.drawn)).map(Math.round).sort((one, other) => one - other);
    const middle = took[Math.floor(took.length / 2)];
    const most = took[Math.floor(took.length * 0.95)];
    console.log(`  1,000 Canaries, ${hash}: ${took.length} drawings, half within ${middle} ms, 95 % within ${most} ms; machine ${factor.toFixed(1)}`);
    claim(took.length > 5, `something is drawn: ${took.length}`);
    claim(middle < 100 * Math.max(factor, await slowness(page)), `a change is shown in less than 100 ms: ${took}`);
    await page.close();
  }
}

export async function a_quiet_fleet_leaves_the_page_alone(stage) {
  const server = stage.keep(await mock('--count', '5'));
  const page = await open(stage.chrome, `${server.base}/?#/?q=service-0001`);
  await row(page, 'service-0001').waitFor();
  await pause(1000);
  const changes = await page.evaluate(
    () =>
      new Promise((resolve) => {
        let count = 0;
        new MutationObserver((list) => {
          count += list.length;
        }).observe(document.getElementById('main'), {
          subtree: true,
          childList: true,
          attributes: true,
          characterData: true,
        });
        setTimeout(() => resolve(count), 4000);
      }),
  );
  claim(changes < 12, `${changes} changes in 4 s`);
}
