// What the pages show, and how one gets about in them.

import { claim, mock, open, pause, row, seen, soon, until } from './stage.mjs';

async function fleet({ chrome, keep }, options = [], hash = '#/', view = {}) {
  const server = keep(await mock(...options));
  return { server, page: await open(chrome, `${server.base}/${hash}`, view) };
}

function fine(page) {
  claim(page.wrong.length === 0, `nothing went wrong on the page: ${page.wrong.join('; ')}`);
}

export async function the_overview_puts_what_needs_a_person_first(stage) {
  const { page } = await fleet(stage);
  await row(page, 'website').locator('.badge', { hasText: 'Waits for you' }).waitFor({ timeout: 30_000 });
  await row(page, 'reviews').locator('.badge', { hasText: 'Rejected' }).waitFor({ timeout: 30_000 });
  const groups = await page.locator('.group h2').allInnerTexts();
  claim(
    /^Needs attention/.test(groups[0]) && /^In progress/.test(groups[1]) && /^Quiet/.test(groups[2]),
    `the order of ${groups}`,
  );
  const first = await page.locator('.group').first().locator('.badge').allInnerTexts();
  claim(
    first.every((word) => /Waits|Rejected|Suspended/.test(word)),
    `only those need attention: ${first}`,
  );
  claim(first[0].includes('Waits'), 'who waits for a person stands before the rejected');
  await soon(async () => (await page.title()).startsWith('('), 'the title says how many');
  fine(page);
}

export async function a_row_follows_its_release_without_being_made_anew(stage) {
  const { page } = await fleet(stage);
  const storefront = row(page, 'storefront');
  await storefront.getByText('10 %').first().waitFor();
  await storefront.locator('.name').evaluate((name) => {
    name.mark = 'kept';
  });
  await soon(async () => /1\.0\.0\s*→?.*1\.1\.0/s.test(await storefront.locator('.cell-version').innerText()), 'it says from and to');
  await soon(async () => /\d+ s|due/.test(await storefront.locator('.cell-next').innerText()), 'it says when the next check is');
  await storefront.locator('.percent', { hasText: '50 %' }).waitFor({ timeout: 40_000 });
  claim((await storefront.locator('.name').evaluate((name) => name.mark)) === 'kept', 'its element is the same');
  await soon(async () => (await storefront.locator('.steps').innerText()).includes('step 2 of 3'), 'it says the step');
  fine(page);
}

export async function filters_narrow_and_stand_in_the_address(stage) {
  const { page } = await fleet(stage);
  await page.locator('.rows .row').first().waitFor();
  await page.keyboard.press('/');
  await page.keyboard.type('pay');
  await until(async () => (await page.locator('.rows .row').count()) === 1, 3000, 'only payments is left');
  claim(page.url().includes('q=pay'), 'the search stands in the address');
  await page.keyboard.press('Escape');
  await page.keyboard.press('Escape');
  await page.locator('.choice select').first().selectOption('batch');
  await until(async () => (await page.locator('.rows .row').count()) === 1, 3000, 'only mailer is left');
  await page.reload();
  await row(page, 'mailer').waitFor();
  claim((await page.locator('.choice select').first().inputValue()) === 'batch', 'the choice survives a reload');
  await page.locator('.choice select').nth(1).selectOption('Failed');
  await page.getByText('No Canary fits').waitFor();
  await page.getByRole('button', { name: 'Show all' }).click();
  await until(async () => (await page.locator('.rows .row').count()) === 12, 3000, 'all are back');
  fine(page);
}

export async function everything_can_be_done_by_keys(stage) {
  const { page } = await fleet(stage);
  await page.locator('.rows .row').first().waitFor();
  const focused = () => page.evaluate(() => document.activeElement.textContent);
  await page.keyboard.press('j');
  let first = await focused();
  // A release that goes on may change the order between two keys.
  await soon(async () => {
    first = await focused();
    await page.keyboard.press('j');
    const second = await focused();
    await page.keyboard.press('k');
    return first !== second && (await focused()) === first;
  }, 'j goes on, and k goes back');
  await page.keyboard.press('Enter');
  await until(async () => (await seen(page, 'h1')) === first, 5000, 'Enter opens the Canary');
  await page.keyboard.press('?');
  await page.locator('#help[open]').waitFor();
  await page.keyboard.press('Escape');
  await soon(async () => (await page.locator('#help[open]').count()) === 0, 'Escape closes the help');
  await page.keyboard.press('Escape');
  await page.locator('.overview').waitFor();
  await until(async () => (await focused()) === first, 3000, 'one is where one left the list');
  await page.keyboard.press('3');
  await until(
    async () => (await page.locator('.group').count()) === 1 && page.url().includes('group=quiet'),
    3000,
    '3 shows the quiet ones',
  );
  fine(page);
}

export async function a_failure_is_explained(stage) {
  const { page } = await fleet(stage, [], '#/shop/reviews');
  const troubles = page.locator('.troubles');
  await troubles.waitFor({ timeout: 20_000 });
  const words = await troubles.innerText();
  claim(
    words.includes('ImagePullBackOff') && words.includes('manifest unknown') && words.includes('Try:'),
    `reason, message and hint: ${words}`,
  );
  await page.locator('.head .badge', { hasText: 'Rejected' }).waitFor({ timeout: 30_000 });
  const newest = await page.locator('.attempt').first().innerText();
  claim(
    newest.includes('Rejected') &&
      newest.includes('ImagePullBackOff') &&
      newest.includes('took') &&
      newest.includes('by Serin'),
    `the history: ${newest}`,
  );
  fine(page);
}

export async function checks_are_drawn_against_their_limits(stage) {
  const { page } = await fleet(stage, [], '#/shop/checkout');
  const card = page.locator('.card', { hasText: 'request-success-rate' });
  await card.getByText('fails').waitFor({ timeout: 40_000 });
  await soon(async () => (await card.locator('.limit').count()) === 1, 'the limit is drawn');
  await soon(async () => (await card.locator('.failed-spot').count()) >= 1, 'failed rounds are crossed');
  await soon(async () => /[78]\d(\.\d+)?%/.test(await card.locator('.pair.is-canary').innerText()), 'the canary’s value stands there');
  await soon(async () => /99\.\d+%|100/.test(await card.locator('.pair.is-stable').innerText()), 'stable’s value stands there');
  await soon(async () => (await card.locator('.pair.is-limit').innerText()).includes('≥\u00a099%'), 'and the limit in words');
  fine(page);
}

export async function no_line_leads_from_one_attempt_to_the_next(stage) {
  const { server, page } = await fleet(stage, [], '#/shop/checkout');
  await page.locator('.head .badge', { hasText: 'Rejected' }).waitFor({ timeout: 40_000 });
  const line = page.locator('.card', { hasText: 'request-success-rate' }).locator('.line.is-canary');
  const pieces = async () => ((await line.getAttribute('d')) ?? '').split('M').length - 1;
  claim((await pieces()) === 1, 'one attempt is one line');
  const retry = `${server.base}/api/v1/namespaces/shop/canaries/checkout/retry`;
  claim((await fetch(retry, { method: 'POST' })).status === 202, 'somebody tries again');
  await page.getByRole('button', { name: 'All recorded' }).click();
  await until(async () => (await pieces()) === 2, 40_000, 'the next one is a line of its own');
  claim((await line.getAttribute('d')).includes('L'), 'the rounds of an attempt are joined');
  fine(page);
}

export async function a_chart_is_read_by_keys(stage) {
  const { page } = await fleet(stage, [], '#/shop/storefront');
  const plot = page.locator('.weights .plot');
  await until(async () => Number(await plot.getAttribute('aria-valuemax')) > 3, 30_000, 'some points');
  await plot.focus();
  await page.keyboard.press('ArrowLeft');
  await page.locator('.weights .tip').waitFor();
  const last = await plot.getAttribute('aria-valuetext');
  await page.keyboard.press('Home');
  await until(async () => (await plot.getAttribute('aria-valuetext')) !== last, 3000, 'Home reads the first point');
  claim(
    /\d\d:\d\d:\d\d: wanted \d+ %, written \d+ %/.test(await plot.getAttribute('aria-valuetext')),
    'it is said in words',
  );
  await page.keyboard.press('Escape');
  await page.locator('.weights .tip').waitFor({ state: 'detached' });
  claim(page.url().endsWith('/shop/storefront'), 'Escape leaves the point, not the page');
  await page.getByRole('button', { name: 'All recorded' }).click();
  claim(
    (await page.getByRole('button', { name: 'All recorded' }).getAttribute('aria-pressed')) === 'true',
    'the whole recording can be seen',
  );
  fine(page);
}

export async function without_canaries_it_says_how_to_add_one(stage) {
  const { page } = await fleet(stage, ['--empty']);
  await page.getByText('No Canaries yet').waitFor();
  await soon(async () => (await seen(page, 'pre')).includes('kind: Canary'), 'with an example');
  fine(page);
}

export async function what_does_not_exist_is_said(stage) {
  const { page } = await fleet(stage, [], '#/shop/nobody');
  await page.getByText('there is no Canary nobody in namespace shop').waitFor();
  fine(page);
}

export async function verdicts_are_announced_and_nothing_else(stage) {
  const { server, page } = await fleet(stage);
  const said = () => page.locator('#said').innerText();
  await page.locator('.rows .row').first().waitFor();
  claim((await said()) === '', 'what was there at first is not news');
  await row(page, 'storefront').getByText('10 %').first().waitFor();
  const heard = new Set();
  await until(
    async () => {
      heard.add(await said());
      return [...heard].some((words) => /Rejected|Canaries changed/.test(words));
    },
    40_000,
    'a rejection is announced',
  );
  await row(page, 'reviews').locator('.badge', { hasText: 'Rejected' }).waitFor({ timeout: 30_000 });
  const retry = `${server.base}/api/v1/namespaces/shop/canaries/reviews/retry`;
  claim((await fetch(retry, { method: 'POST' })).status === 202, 'somebody tries again');
  await row(page, 'reviews').locator('.badge', { hasText: 'Progressing' }).waitFor();
  for (let round = 0; round < 60; round += 1) {
    heard.add(await said());
    await pause(100);
  }
  claim(heard.size < 9, `there is no chatter: ${[...heard].join(' | ')}`);
  claim(![...heard].some((words) => words.includes('Progressing')), 'progress is not announced');
}

export async function the_choice_of_colours_is_kept(stage) {
  const { page } = await fleet(stage);
  await page.locator('.rows .row').first().waitFor();
  const paper = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  const light = await paper();
  await page.keyboard.press('t');
  await page.keyboard.press('t');
  await until(async () => (await paper()) !== light, 3000, 'it is dark');
  await page.reload();
  await page.locator('.rows .row').first().waitFor();
  claim((await paper()) !== light, 'it is dark after a reload');
  fine(page);
}

export async function texts_that_want_to_do_harm_are_texts(stage) {
  const { server, page } = await fleet(stage, ['--bad']);
  const foreign = [];
  page.on('request', (request) => request.url().startsWith(server.base) || foreign.push(request.url()));
  await page.locator('.rows .row').first().waitFor();
  await soon(async () => (await page.locator('.name').first().innerText()).includes('onerror'), 'the name is shown as it is');
  await page.locator('.name', { hasText: 'onerror' }).click();
  await page.locator('.troubles').waitFor({ timeout: 20_000 });
  await pause(1500);
  await page.locator('.verbs button').first().click();
  await page.locator('.dialog[open]').waitFor();
  claim((await page.evaluate(() => window.broken)) === undefined, 'nothing was run');
  await soon(async () => (await page.locator('main img, main script, dialog img').count()) === 0, 'nothing was made of it');
  claim(
    await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth),
    'it does not make the page wider',
  );
  await page.goto(`${server.base}/#/${encodeURIComponent('../../whoami')}/plain`);
  await until(async () => (await seen(page, 'h1')) === 'plain', 5000, 'a namespace with slashes is only a namespace');
  claim(foreign.length === 0, `nobody else is asked: ${foreign}`);
  fine(page);
}

export async function values_and_limits_are_read_right(stage) {
  const { page } = await fleet(stage, ['--empty']);
  const got = await page.evaluate(async () => {
    const { bounds, quantity, range } = await import('/ui/scale.js');
    const { change, imageParts } = await import('/ui/words.js');
    const texts = ['99.93%', '0.4% slower than 500 ms', '107 ms', '3/3', undefined, '1e-7', 'ready', '-4.5'];
    return {
      numbers: texts.map((text) => quantity(text)?.number ?? null),
      bounds: bounds('>= 1, <= 3%').map(({ side, number }) => [side, number]),
      flat: range([100, 100], { floor: 0, ceiling: 100 }),
      images: ['host:5000/team/app', 'app:1@sha256:abcdef0123456789', 'app@sha256:abcdef0123456789'].map(
        (image) => imageParts(image).tag,
      ),
      moved: change({ images: ['a:1', 'b:1'] }, { images: ['a:1', 'b:2'] }),
    };
  });
  const want = JSON.stringify([99.93, 0.4, 107, null, null, 1e-7, null, -4.5]);
  claim(JSON.stringify(got.numbers) === want, `numbers ${JSON.stringify(got.numbers)}`);
  claim(JSON.stringify(got.bounds) === '[["min",1],["max",3]]', `bounds ${JSON.stringify(got.bounds)}`);
  claim(
    got.flat.high === 100 && got.flat.low < 100 && got.flat.marks.length > 0,
    `a flat line has a range: ${JSON.stringify(got.flat)}`,
  );
  claim(got.images.join() === 'latest,1,abcdef012345', `tags ${got.images}`);
  claim(got.moved.name === 'b' && got.moved.from === '1' && got.moved.to === '2', 'the image that changed is named');
}
