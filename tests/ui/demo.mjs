// The pages on `serin demo`: the real server and the real controller, on applications that ship good and bad versions.

import { PHONE, claim, demo, freePort, open, row, seen, soon, until } from './stage.mjs';

/** A release of the demo takes up to a minute; each test begins with a demo of its own. */
const PATIENCE = 120_000;

async function stagedAt(stage, hash, view) {
  const server = stage.keep(await demo(stage.program, await freePort()));
  const address = await until(() => server.withToken(), 5000, 'the demo prints an address with a token');
  const page = await open(stage.chrome, address, view);
  await row(page, 'storefront').waitFor();
  claim(!page.url().includes('token'), 'the token is out of the address');
  if (hash !== '#/') await page.goto(`${server.base}/${hash}`);
  return { server, page };
}

function fine(page) {
  claim(page.wrong.length === 0, `nothing went wrong on the page: ${page.wrong.join('; ')}`);
}

export async function a_release_is_seen_to_progress(stage) {
  const { page } = await stagedAt(stage, '#/');
  const storefront = row(page, 'storefront');
  await storefront.locator('.percent', { hasText: '10 %' }).waitFor({ timeout: PATIENCE });
  await soon(async () => (await storefront.locator('.cell-version').innerText()).includes('2.0.0'), 'from and to');
  await storefront.locator('.percent', { hasText: '50 %' }).waitFor({ timeout: PATIENCE });
  await storefront.locator('.name').click();
  await page.locator('.card', { has: page.locator('h3', { hasText: 'request-success-rate' }) }).locator('.plot').waitFor({ timeout: PATIENCE });
  await page.locator('.head .badge', { hasText: 'Promoted' }).waitFor({ timeout: PATIENCE });
  await soon(async () => (await page.locator('.attempt').first().innerText()).includes('Promoted'), 'the history has it');
  claim(Number(await page.locator('.weights .plot').getAttribute('aria-valuemax')) > 5, 'the chart has points');
  fine(page);
}

export async function an_approval_is_given(stage) {
  const { page } = await stagedAt(stage, '#/shop/payments');
  await page.locator('.verbs [data-verb=promote]').click({ timeout: PATIENCE });
  await page.locator('.dialog [name=reason]').fill('looks good');
  await page.locator('.is-confirm').click();
  await page.locator('.dialog .notice.is-good', { hasText: 'Followed' }).waitFor();
  await page.keyboard.press('Enter');
  await soon(async () => (await seen(page, '.request')).includes('looks good'), 'the reason is kept');
  await page.locator('.head .badge', { hasText: 'Promoted' }).waitFor({ timeout: PATIENCE });
  fine(page);
}

export async function an_abort_is_followed(stage) {
  const { page } = await stagedAt(stage, '#/shop/payments', { size: PHONE });
  await page.locator('.verbs [data-verb=promote]').waitFor({ timeout: PATIENCE });
  await page.locator('.verbs [data-verb=abort]').click();
  await page.locator('.dialog [name=reason]').fill('conversion fell');
  await page.locator('.is-confirm').click();
  await page.locator('.dialog .notice.is-good', { hasText: 'Followed' }).waitFor();
  await page.keyboard.press('Escape');
  await page.locator('.head .badge', { hasText: 'Rejected' }).waitFor({ timeout: PATIENCE });
  const newest = await page.locator('.attempt').first().innerText();
  claim(newest.includes('Aborted') && newest.includes('conversion fell'), `the history says it: ${newest}`);
  fine(page);
}

export async function blue_and_green_are_switched(stage) {
  const { page } = await stagedAt(stage, '#/shop/website');
  await page.locator('.between-weight', { hasText: '100' }).waitFor({ timeout: PATIENCE });
  await page.locator('.head .badge', { hasText: /^Promoted$/ }).waitFor({ timeout: PATIENCE });
  fine(page);
}

export async function a_failure_is_explained(stage) {
  const { page } = await stagedAt(stage, '#/shop/reviews');
  await page.locator('.troubles').waitFor({ timeout: PATIENCE });
  await soon(async () => /Image/.test(await seen(page, '.trouble-reason')), 'the reason is named');
  await page.locator('.head .badge', { hasText: 'Rejected' }).waitFor({ timeout: PATIENCE });
  fine(page);
}

export async function errors_are_shown_against_the_limit(stage) {
  const { page } = await stagedAt(stage, '#/shop/checkout');
  await page.locator('.head .badge', { hasText: 'Rejected' }).waitFor({ timeout: PATIENCE });
  const card = page.locator('.card', { has: page.locator('h3', { hasText: 'request-success-rate' }) });
  claim(
    (await card.innerText()).includes('≥\u00a099%') && (await card.locator('.failed-spot').count()) > 0,
    'value, limit and failed rounds',
  );
  fine(page);
}

export async function a_restart_is_survived(stage) {
  const port = await freePort();
  const first = stage.keep(await demo(stage.program, port));
  const page = await open(stage.chrome, `${first.base}/`);
  await row(page, 'storefront').waitFor();
  await first.stop();
  await page.locator('.banner', { hasText: 'Reconnecting…' }).waitFor();
  stage.keep(await demo(stage.program, port));
  await page.locator('.banner').waitFor({ state: 'detached', timeout: 60_000 });
  await until(async () => (await seen(page, '.link')) === 'live', 5000, 'it is live again');
  await row(page, 'storefront').locator('.percent').waitFor({ timeout: PATIENCE });
  fine(page);
}
