// What can be done, and what is said about it.

import { claim, mock, open, pause, seen, soon, until } from './stage.mjs';

async function one({ chrome, keep }, place, options = [], token = '') {
  const server = keep(await mock(...options));
  const page = await open(chrome, `${server.base}/#/${place}`);
  if (token) {
    // The page lets go of a token that was refused: not of this one, once it has heard that it has none.
    await page.getByText('Who are you?').waitFor();
    await page.evaluate((value) => sessionStorage.setItem('serin.token', value), token).then(() => page.reload());
  }
  return { server, page };
}

function button(page, verb) {
  return page.locator(`.verbs [data-verb="${verb}"]`);
}

async function post(server, place, verb, body = {}) {
  const [namespace, name] = place.split('/');
  return fetch(`${server.base}/api/v1/namespaces/${namespace}/canaries/${name}/${verb}`, {
    method: 'POST',
    body: JSON.stringify(body),
  });
}

export async function buttons_are_the_verbs_that_are_allowed(stage) {
  const { server, page } = await one(stage, 'shop/payments');
  await button(page, 'promote').waitFor({ timeout: 40_000 });
  const view = await (await fetch(`${server.base}/api/v1/namespaces/shop/canaries/payments`)).json();
  const drawn = await page.locator('.verbs button').evaluateAll((buttons) => buttons.map((one) => one.dataset.verb));
  const hidden = page.locator('.verbs [data-verb=promote-full]');
  claim(!(await hidden.isVisible()), 'what is seldom wanted is out of the way');
  await page.locator('.more-verbs summary').click();
  await soon(async () => (await hidden.innerText()).includes('becomes the main release'), 'and says what it would do');
  await page.keyboard.press('Escape');
  claim(!(await hidden.isVisible()) && page.url().endsWith('payments'), 'Escape closes the list, not the page');
  claim(
    drawn.sort().join() ===
      view.verbs
        .map((one) => one.verb)
        .sort()
        .join(),
    `${drawn} are ${JSON.stringify(view.verbs)}`,
  );
}

export async function an_approval_goes_on_and_promotes(stage) {
  const { page } = await one(stage, 'shop/payments');
  await button(page, 'promote').click({ timeout: 40_000 });
  await soon(async () => (await seen(page, '.effect')).includes('The approval at 50 % is given'), 'the effect is said before');
  await page.locator('.dialog [name=reason]').fill('looks good');
  await page.keyboard.press('Control+Enter');
  await page.locator('.dialog .notice.is-good', { hasText: 'Followed' }).waitFor();
  await page.keyboard.press('Enter');
  await soon(async () => (await page.locator('.dialog[open]').count()) === 0, 'Enter closes it');
  await soon(async () => (await seen(page, '.request')).includes('looks good'), 'the reason is shown');
  await page.locator('.head .badge', { hasText: /^Promoted$/ }).waitFor({ timeout: 60_000 });
  await soon(async () => (await page.locator('.attempt').first().innerText()).includes('Promoted'), 'the history has it');
}

export async function an_abort_needs_a_reason(stage) {
  const { page } = await one(stage, 'shop/storefront');
  await page.locator('.between-weight', { hasText: '10' }).waitFor({ timeout: 20_000 });
  await button(page, 'abort').click();
  const asked = [];
  page.on('request', (request) => request.method() === 'POST' && asked.push(request.postDataJSON()));
  await page.locator('.is-confirm').click();
  await pause(400);
  claim(asked.length === 0, 'without a reason nothing is sent');
  await page.locator('.dialog [name=reason]').fill('   ');
  await page.locator('.is-confirm').click();
  await page.getByText('this needs a reason').waitFor();
  await page.locator('.dialog [name=reason]').fill('errors in the basket');
  await page.locator('.is-confirm').click();
  await page.locator('.dialog .notice.is-good').waitFor();
  claim(
    asked.length === 1 && asked[0].reason === 'errors in the basket' && asked[0].revision,
    `reason and revision: ${JSON.stringify(asked)}`,
  );
  await page.keyboard.press('Escape');
  await page.locator('.head .badge', { hasText: 'Rejected' }).waitFor();
  claim(
    (await page.locator('.attempt').first().innerText()).includes('errors in the basket'),
    'the history has the reason',
  );
}

export async function blue_and_green_are_switched(stage) {
  const { page } = await one(stage, 'marketing/website');
  await button(page, 'promote').click({ timeout: 40_000 });
  await soon(async () => (await seen(page, '.effect')).includes('All users are switched'), 'it says that it switches');
  await page.locator('.dialog [name=reason]').fill('go');
  await page.locator('.is-confirm').click();
  await page.locator('.dialog .notice.is-good').waitFor();
  await page.keyboard.press('Escape');
  await page.locator('.between-weight', { hasText: '100' }).waitFor({ timeout: 20_000 });
}

export async function a_chosen_version_is_put_back(stage) {
  const { page } = await one(stage, 'platform/identity');
  const backs = page.locator('.attempt .button[data-to]');
  await backs.first().waitFor({ timeout: 20_000 });
  const lines = await page.locator('.attempt', { has: page.locator('.button[data-to]') }).allInnerTexts();
  claim(lines.length === 2 && lines.every((line) => line.includes('Promoted')), `only what was promoted, and is not stable: ${lines}`);
  const to = await backs.last().getAttribute('data-to');
  const asked = [];
  page.on('request', (request) => request.method() === 'POST' && asked.push([request.url(), request.postDataJSON()]));
  await backs.last().click();
  await soon(async () => (await seen(page, '.effect')).startsWith('identity:0.9.6, which was promoted before'), 'the version is named');
  await page.locator('.is-confirm').click();
  claim(asked.length === 0, 'it needs a reason');
  await page.locator('.dialog [name=reason]').fill('the new one leaks memory');
  await page.locator('.is-confirm').click();
  await page.locator('.dialog .notice.is-good', { hasText: 'Followed' }).waitFor();
  const [[url, body]] = asked;
  claim(url.endsWith('/rollback') && body.revision === to, `the revision is sent: ${url} ${JSON.stringify(body)}`);
  await page.keyboard.press('Escape');
  await page.locator('.version.is-stable', { hasText: 'identity:0.9.6' }).waitFor({ timeout: 20_000 });
  await soon(async () => /0\.9\.6[^]*KnownGood/.test(await page.locator('.attempt').first().innerText()), 'the history has it');
  const left = await backs.evaluateAll((all) => all.map((button) => button.dataset.to));
  claim(left.length === 2 && !left.includes(to), `what serves now is not offered: ${left}`);
}

export async function a_release_that_begins_takes_the_way_back_with_it(stage) {
  const { server, page } = await one(stage, 'platform/identity');
  await page.locator('.attempt .button[data-to]').first().click();
  await page.locator('.dialog[open]').waitFor();
  claim((await post(server, 'platform/identity', 'restart')).status === 202, 'somebody begins a release');
  await page.getByText('this is not possible any more').waitFor();
  await soon(async () => await page.locator('.is-confirm').isDisabled(), 'it cannot be sent');
  await soon(async () => (await page.locator('.attempt .button[data-to]').count()) === 0, 'nothing is offered meanwhile');
}

export async function what_changes_while_one_reads_is_said(stage) {
  const { server, page } = await one(stage, 'shop/storefront');
  await page.locator('.between-weight', { hasText: '10' }).waitFor({ timeout: 20_000 });
  await button(page, 'pause').click();
  claim(
    (await post(server, 'shop/storefront', 'abort', { reason: 'another person' })).status === 202,
    'somebody else aborts',
  );
  await page.getByText('this is not possible any more').waitFor();
  await soon(async () => await page.locator('.is-confirm').isDisabled(), 'it cannot be sent');
}

export async function a_conflict_says_what_is_possible(stage) {
  const { page } = await one(stage, 'shop/storefront');
  await page.route('**/pause', (route) =>
    route.fulfill({
      status: 409,
      contentType: 'application/problem+json',
      body: JSON.stringify({
        title: 'Conflict',
        status: 409,
        detail: 'pause does not fit now: it is promoting',
        allowed: ['abort', 'promote-full'],
      }),
    }),
  );
  await button(page, 'pause').click({ timeout: 20_000 });
  await page.locator('.is-confirm').click();
  const notice = page.locator('.dialog .notice.is-bad');
  await notice.waitFor();
  const words = await notice.innerText();
  claim(words.includes('it is promoting') && words.includes('Possible now: Abort, Promote in full'), words);
}

export async function a_missing_permission_is_named(stage) {
  const { page } = await one(stage, 'shop/storefront', ['--token', 'secret', '--reader', 'wall'], 'wall');
  await button(page, 'pause').click({ timeout: 20_000 });
  await page.locator('.is-confirm').click();
  await page.getByText('update canaries/pause in namespace shop').waitFor();
  await soon(async () => (await page.locator('#top').innerText()).includes('wall'), 'who one is stands on top');
}

export async function a_lost_answer_is_asked_for_again_with_the_same_key(stage) {
  const { page } = await one(stage, 'shop/storefront', ['--slow', '3000']);
  const keys = [];
  await page.route('**/skip', async (route) => {
    keys.push(route.request().headers()['idempotency-key']);
    if (keys.length > 1) return route.continue();
    await route.fetch();
    return route.abort('connectionreset');
  });
  await page.locator('.between-weight', { hasText: '10' }).waitFor({ timeout: 20_000 });
  await button(page, 'skip').click();
  await page.locator('.dialog [name=reason]').fill('hurry');
  await page.locator('.is-confirm').click();
  await page.getByText('send it again is safe').waitFor();
  await page.locator('.is-confirm').click();
  await page.locator('.dialog .notice.is-good').waitFor();
  claim(keys.length === 2 && keys[0] === keys[1] && keys[0].length >= 16, `one key: ${keys}`);
  await until(async () => (await seen(page, '.plan .aside')).includes('step 2'), 5000, 'one step was skipped, not two');
}
