// How one finds a Canary among many: the order, pins, labels. And the screen on the wall.

import { claim, mock, open, pause, row, seen, soon, until } from './stage.mjs';

const WALL = { width: 1920, height: 1080 };
const HIGH = { width: 1080, height: 1920 };

async function fleet({ chrome, keep }, options = [], hash = '#/', view = {}) {
  const server = keep(await mock(...options));
  return { server, page: await open(chrome, `${server.base}/${hash}`, view) };
}

function fine(page) {
  claim(page.wrong.length === 0, `nothing went wrong on the page: ${page.wrong.join('; ')}`);
}

function names(page, group) {
  return page.locator(`.group.is-${group} .name`).allInnerTexts();
}

/** The percentages of a group, all at the same moment. */
function weights(page, group) {
  return page.locator(`.group.is-${group} .percent`).evaluateAll((all) => all.map((one) => Number.parseInt(one.textContent, 10)));
}

function sorted(numbers, turned) {
  return numbers.every((number, place) => place === 0 || (turned ? numbers[place - 1] <= number : numbers[place - 1] >= number));
}

export async function headings_sort_within_the_groups(stage) {
  const { page } = await fleet(stage, ['--count', '120']);
  const mixed = async () => {
    const all = await weights(page, 'progress');
    return all.length > 4 && new Set(all).size > 1 && !sorted(all, false) && !sorted(all, true);
  };
  await until(mixed, 30_000, 'shares differ, and stand in no order');
  const heading = page.locator('.heading.is-weight');
  await heading.click();
  await soon(async () => sorted(await weights(page, 'progress'), false), 'the largest share stands first');
  claim(page.url().includes('sort=weight'), 'the order stands in the address');
  claim((await heading.getAttribute('aria-pressed')) === 'true', 'it is said which order it is');
  await page.reload();
  await page.locator('.rows .row').first().waitFor();
  await soon(async () => sorted(await weights(page, 'progress'), false), 'the order survives a reload');
  await heading.click();
  await soon(async () => sorted(await weights(page, 'progress'), true), 'a second click turns it round');
  const groups = await page.locator('.group h2').allInnerTexts();
  claim(!/Progress/i.test(groups[0]) || groups.length < 3, `what needs attention stays first: ${groups}`);
  await heading.click();
  claim(!page.url().includes('sort'), 'a third one gives the usual order back');
  await page.locator('.choice select').nth(2).selectOption('name');
  const quiet = await names(page, 'quiet');
  claim(JSON.stringify(quiet) === JSON.stringify([...quiet].sort()), 'by name, whatever the namespace is');
  fine(page);
}

export async function pinned_ones_stand_first_and_stay_pinned(stage) {
  const { page } = await fleet(stage, ['--count', '40'], '#/?group=quiet');
  await row(page, 'service-0001').waitFor();
  const last = (await names(page, 'quiet')).at(-1);
  await row(page, last).locator('.name').focus();
  await page.keyboard.press('p');
  await soon(async () => (await names(page, 'quiet'))[0] === last, 'it stands first in its group');
  claim((await page.evaluate(() => document.activeElement.textContent)) === last, 'the focus stays with it');
  const other = await page.context().newPage();
  await other.goto(page.url());
  await soon(async () => (await names(other, 'quiet'))[0] === last, 'another tab knows it');
  await other.locator('.pinned-only').click();
  await soon(async () => (await other.locator('.rows .row').count()) === 1, 'only the pinned one is left');
  claim(other.url().includes('pinned=1'), 'that stands in the address');
  await row(page, last).locator('.pin').click();
  await other.getByText('The star beside a name pins').waitFor();
  await page.reload();
  await row(page, last).waitFor();
  await soon(async () => (await names(page, 'quiet'))[0] !== last, 'it is let go for good');
  await row(page, last).locator('.name').click();
  await page.locator('.head .pin[aria-pressed=false]').waitFor();
  await page.keyboard.press('p');
  await page.locator('.head .pin[aria-pressed=true]').waitFor();
  await page.keyboard.press('Escape');
  await soon(async () => (await names(page, 'quiet'))[0] === last, 'it can be pinned on its own page too');
  fine(page);
}

export async function labels_are_searched_as_kubectl_writes_them(stage) {
  const { page } = await fleet(stage);
  await page.locator('.rows .row').first().waitFor();
  const found = async (words) => {
    await page.locator('#search').fill(words);
    await page.waitForFunction((q) => new URLSearchParams(location.hash.split('?')[1]).get('q') === q, words);
    await pause(100);
    return page.locator('.rows .row').count();
  };
  const counts = [];
  for (const words of ['team=payments', 'team==payments', 'team!=payments', 'team=pay*', 'team=', '!team=payments', 'team=payments tier=edge', '!shop'])
    counts.push(await found(words));
  claim(counts.join() === '4,4,8,4,12,8,2,7', `as many as there are: ${counts}`);
  claim((await found('team=pay')) === 0, 'a part of a value is not the value');
  await page.getByText('team is one of: browse, payments, platform.').waitFor();
  await found('storefront');
  await row(page, 'storefront').locator('.name').click();
  await page.locator('.label', { hasText: 'team=payments' }).click();
  await soon(async () => (await page.locator('.rows .row').count()) === 4, 'a label leads to all that have it');
  claim((await page.locator('#search').inputValue()) === 'team=payments', 'and stands in the search');
  fine(page);
}

/** Whether all of every tile can be seen, and how large the letters are. */
function measure(page) {
  return page.evaluate(() => {
    const size = (selector) =>
      Math.min(...[...document.querySelectorAll(selector)].map((one) => Number.parseFloat(getComputedStyle(one).fontSize)));
    const cut = [...document.querySelectorAll('.tile-in')].filter((one) => one.scrollHeight > one.clientHeight + 1);
    const { scrollWidth, scrollHeight } = document.documentElement;
    return {
      tiles: document.querySelectorAll('.tile:not(.is-rest)').length,
      name: size('.tile .name'),
      message: size('.tile-message'),
      cut: cut.map((one) => one.innerText),
      fits: scrollWidth <= innerWidth && scrollHeight <= innerHeight,
    };
  });
}

export async function the_wall_is_read_from_across_the_room(stage) {
  const { server, page } = await fleet(stage, ['--count', '300'], '#/?wall=1', { size: WALL });
  await page.locator('.tile.is-bad').first().waitFor({ timeout: 30_000 });
  for (const size of [WALL, HIGH, { width: 3840, height: 2160 }]) {
    await page.setViewportSize(size);
    await until(async () => (await measure(page)).fits, 5000, `nothing is outside of ${JSON.stringify(size)}`);
    const found = await measure(page);
    const unit = Math.min(size.width, size.height) / 1080;
    claim(found.name >= 26 * unit && found.message >= 16 * unit, `letters are large: ${JSON.stringify(found)}`);
    claim(found.cut.length === 0, `nothing is cut off: ${found.cut}`);
    claim(found.tiles === 15, `as many tiles as can be read: ${found.tiles}`);
  }
  const first = await page.locator('.tile').first().getAttribute('class');
  claim(/is-in-attention/.test(first), 'who needs a person stands first');
  await soon(async () => {
    const [shown, more] = [await page.locator('.tile:not(.is-rest)').count(), await seen(page, '.tile.is-rest b')];
    const numbers = await page.locator('.wall-number b').allInnerTexts();
    return shown + Number(more.replace('+', '')) === Number(numbers[0]) + Number(numbers[1]);
  }, 'those that have no room are counted');
  const few = await open(stage.chrome, `${server.base}/#/?wall=1&q=service-0000`, { size: WALL });
  await few.locator('.tile').first().waitFor();
  claim((await measure(few)).name > 50, 'fewer are larger');
  fine(page);
}

export async function the_wall_is_entered_and_left(stage) {
  const { page } = await fleet(stage, ['--count', '20'], '#/?ns=team-01', { size: WALL });
  await page.locator('.rows .row').first().waitFor();
  await page.keyboard.press('w');
  await page.getByText('All quiet').waitFor();
  await soon(async () => (await seen(page, '.wall-only')) === 'only team-01', 'it says what it is narrowed to');
  claim(/^\d\d:\d\d$/.test(await seen(page, '.wall-clock')), 'a clock shows that it lives');
  claim((await page.locator('.wall-latest li').count()) > 0, 'the newest verdicts stand below');
  await page.keyboard.press('Escape');
  await page.locator('.toolbar').waitFor();
  await page.goto(`${page.url().split('#')[0]}#/?wall=1`);
  await page.locator('.tile .name').first().click();
  await page.locator('.plan').waitFor();
  await page.keyboard.press('Escape');
  await page.locator('.tiles').waitFor();
  claim(page.url().includes('wall=1'), 'one comes back to the wall');
  await page.getByRole('button', { name: 'Wall screen' }).click();
  await page.locator('.toolbar').waitFor();
  fine(page);
}

export async function the_wall_says_that_it_is_old(stage) {
  const { server, page } = await fleet(stage, [], '#/?wall=1', { size: WALL });
  await page.locator('.tile').first().waitFor();
  await server.stop();
  await page.locator('.banner', { hasText: /last update \d+ s ago/ }).waitFor();
  const size = await page.locator('.banner p').evaluate((one) => Number.parseFloat(getComputedStyle(one).fontSize));
  claim(size >= 26, `it is said aloud: ${size}`);
  claim(await page.evaluate(() => document.body.classList.contains('is-old')), 'colours go');
}

/** Plays a browser that can keep the screen awake. */
function playWakeLock() {
  window.locks = { asked: 0, held: 0 };
  const request = async () => {
    window.locks.asked += 1;
    window.locks.held += 1;
    const lock = new EventTarget();
    lock.release = async () => {
      window.locks.held -= 1;
      lock.dispatchEvent(new Event('release'));
    };
    return lock;
  };
  Object.defineProperty(navigator, 'wakeLock', { value: { request }, configurable: true });
}

export async function the_wall_keeps_the_screen_awake_and_nothing_else_does(stage) {
  const { server, page } = await fleet(stage);
  await page.addInitScript(playWakeLock);
  await page.goto(`${server.base}/?again#/`);
  const locks = () => page.evaluate(() => window.locks);
  await row(page, 'storefront').waitFor();
  claim((await locks()).asked === 0, 'a list lets it sleep');
  await page.keyboard.press('w');
  await page.locator('.tile').first().waitFor();
  await pause(2500);
  claim(JSON.stringify(await locks()) === '{"asked":1,"held":1}', `the wall holds it, once: ${JSON.stringify(await locks())}`);
  await page.keyboard.press('Escape');
  await soon(async () => (await locks()).held === 0, 'it may sleep again');
  fine(page);
}

export async function tiles_are_as_large_as_can_be(stage) {
  const { page } = await fleet(stage, ['--empty']);
  const got = await page.evaluate(async () => {
    const { grid } = await import('/ui/wall.js');
    const { nextSort } = await import('/ui/order.js');
    const wide = { width: 1920, height: 1080 };
    return {
      wide: [1, 2, 4, 7, 16, 99].map((count) => grid(count, wide)).map(({ columns, rows }) => `${columns}x${rows}`),
      high: [1, 5, 99].map((count) => grid(count, { width: 1080, height: 1920 })).map(({ columns, rows }) => `${columns}x${rows}`),
      sorts: ['', 'name', '-name', 'weight'].map((sort) => nextSort(sort, 'name')),
    };
  });
  claim(got.wide.join() === '1x2,1x2,2x2,2x4,4x4,4x4', `on a wide screen ${got.wide}`);
  claim(got.high.join() === '1x2,1x5,2x8', `on a high screen ${got.high}`);
  claim(got.sorts.join() === 'name,-name,,name', `orders ${got.sorts}`);
}
