// The connection: tokens, restarts, streams that end, and servers without streams.

import { claim, freePort, mock, open, pause, row, seen, soon, until } from './stage.mjs';

export async function a_token_is_asked_for(stage) {
  const server = stage.keep(await mock('--token', 'secret'));
  const page = await open(stage.chrome, `${server.base}/`);
  await page.getByText('Who are you?').waitFor();
  await page.locator('[name=token]').fill('wrong');
  await page.keyboard.press('Enter');
  await page.getByText('did not accept this token').waitFor();
  await page.locator('[name=token]').fill('Bearer secret');
  await page.keyboard.press('Enter');
  await row(page, 'storefront').waitFor();
  await soon(async () => (await page.locator('#top').innerText()).includes('alice@example.com'), 'who one is stands on top');
  claim((await page.evaluate(() => localStorage.length)) === 0, 'the token is kept for the tab only');
  await page.reload();
  await row(page, 'storefront').waitFor();
}

export async function a_token_that_ran_out_can_be_left_out(stage) {
  const server = stage.keep(await mock('--token', 'secret', '--anonymous'));
  const page = await open(stage.chrome, `${server.base}/#token=old`);
  await page.getByText('did not accept this token').waitFor();
  await page.getByRole('button', { name: 'Without a token' }).click();
  await row(page, 'storefront').waitFor();
  await page.getByRole('button', { name: 'Sign in' }).click();
  await page.locator('[name=token]').fill('secret');
  await page.keyboard.press('Enter');
  await page.getByRole('button', { name: 'alice@example.com' }).click();
  await page.getByRole('button', { name: 'Sign in' }).waitFor();
}

export async function a_token_in_the_address_is_taken_out_of_it(stage) {
  const server = stage.keep(await mock('--token', 'secret'));
  const page = await open(stage.chrome, `${server.base}/#token=secret`);
  await row(page, 'storefront').waitFor();
  claim(!page.url().includes('secret'), page.url());
  await page.goBack().catch(() => {});
  claim(!page.url().includes('secret'), 'it is not in the history');
}

export async function who_may_see_one_namespace_sees_it(stage) {
  const server = stage.keep(await mock('--only', 'shop'));
  const page = await open(stage.chrome, `${server.base}/`);
  await page.getByText('no permission to list canaries').waitFor();
  await page.locator('[name=namespace]').fill('shop');
  await page.keyboard.press('Enter');
  await row(page, 'storefront').waitFor();
  await soon(async () => (await row(page, 'mailer').count()) === 0, 'and no other');
  await page.reload();
  await row(page, 'storefront').waitFor();
  await row(page, 'storefront').locator('.percent').waitFor();
}

export async function a_restart_of_the_server_is_survived(stage) {
  const port = String(await freePort());
  const first = stage.keep(await mock('--port', port));
  const page = await open(stage.chrome, `${first.base}/#/shop/payments`);
  await page.locator('.verbs button').first().waitFor({ timeout: 20_000 });
  await first.stop();
  await page.locator('.banner', { hasText: /Reconnecting…\s+last update \d+ s ago/ }).waitFor();
  await soon(async () => await page.evaluate(() => document.body.classList.contains('is-old')), 'what is old is marked');
  await soon(async () => await page.locator('.verbs button').first().isDisabled(), 'nothing can be asked for');
  await soon(async () => (await seen(page, '#top')).includes('not live'), 'and the lamp says so');
  const second = stage.keep(await mock('--port', port));
  await page.locator('.banner').waitFor({ state: 'detached', timeout: 30_000 });
  await until(async () => (await seen(page, '.link')) === 'live', 5000, 'it is live again');
  await soon(async () => !(await page.evaluate(() => document.body.classList.contains('is-old'))), 'nothing is old any more');
  await second.stop();
}

export async function the_overview_survives_a_restart_too(stage) {
  const port = String(await freePort());
  const first = stage.keep(await mock('--port', port));
  const page = await open(stage.chrome, `${first.base}/`);
  await row(page, 'identity').waitFor();
  await first.stop();
  await page.locator('.banner').waitFor();
  await soon(async () => (await page.title()) === 'Serin', 'an old number is not in the title');
  await pause(1500);
  const drawn = await page.locator('time[data-time=next]').allInnerTexts();
  claim(
    drawn.every((words) => words === '–'),
    `nothing is counted down: ${drawn}`,
  );
  stage.keep(await mock('--port', port, '--count', '20'));
  await row(page, 'service-0001').waitFor({ timeout: 30_000 });
  await soon(async () => (await row(page, 'identity').count()) === 0, 'what is gone is gone');
}

export async function a_stream_that_ends_is_taken_up_where_it_was(stage) {
  const server = stage.keep(await mock());
  const page = await open(stage.chrome, `${server.base}/`);
  const asked = [];
  page.on('request', (request) => request.url().endsWith('/events') && asked.push(request.headers()['last-event-id']));
  await row(page, 'storefront').getByText('10 %').first().waitFor();
  server.child.kill('SIGUSR2');
  await until(() => asked.length > 0, 10_000, 'it comes back');
  claim(/-\d+$/.test(asked[0] ?? ''), `it says where it was: ${asked[0]}`);
  await row(page, 'storefront').locator('.percent', { hasText: '50 %' }).waitFor({ timeout: 40_000 });
}

export async function a_page_that_nobody_sees_lets_go(stage) {
  const server = stage.keep(await mock());
  const page = await open(stage.chrome, 'about:blank');
  await page.clock.install();
  const begun = [];
  const ended = [];
  page.on('request', (request) => request.url().endsWith('/events') && begun.push(request));
  page.on('requestfailed', (request) => request.url().endsWith('/events') && ended.push(request));
  await page.goto(server.base);
  await row(page, 'storefront').waitFor();
  const see = (hidden) =>
    page.evaluate((value) => {
      Object.defineProperty(document, 'hidden', { value, configurable: true });
      document.dispatchEvent(new Event('visibilitychange'));
    }, hidden);
  await see(true);
  await page.clock.fastForward(30_000);
  await pause(1500);
  claim(ended.length === 0, 'not at once');
  await page.clock.fastForward(31_000);
  await until(() => ended.length === 1, 5000, 'the stream ends');
  await see(false);
  await until(() => begun.length === 2, 5000, 'and begins again');
  await until(async () => (await seen(page, '.link')) === 'live', 5000, 'it is live again');
}

export async function without_streams_it_asks(stage) {
  const server = stage.keep(await mock('--no-streams'));
  const page = await open(stage.chrome, `${server.base}/`);
  await row(page, 'storefront').getByText('10 %').first().waitFor();
  await soon(async () => (await seen(page, '.link')).includes('asked every'), 'it says that it asks');
  await row(page, 'storefront').locator('.percent', { hasText: '50 %' }).waitFor({ timeout: 40_000 });
  await row(page, 'storefront').locator('.name').click();
  await page.locator('.plan').waitFor();
  await until(
    async () => (await page.locator('.between-weight').innerText()).startsWith('100'),
    40_000,
    'the page of one asks too',
  );
}
