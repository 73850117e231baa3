// Writes the pictures in docs/images.

import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { DESKTOP, PHONE, mock, open, pause } from './stage.mjs';

const FOLDER = fileURLToPath(new URL('../../docs/images/', import.meta.url));
const WALL = { width: 1600, height: 900 };
const BOTH = { desktop: DESKTOP, phone: PHONE };
/** Address, the milliseconds after which a fleet is worth a picture, forms, colours. */
const PAGES = {
  overview: ['#/', 19_000, BOTH, ['light', 'dark']],
  wall: ['#/?wall=1', 19_000, { '': WALL }, ['dark']],
  canary: ['#/shop/storefront', 17_000, BOTH, ['light', 'dark']],
};

export async function images(chrome) {
  for (const [name, [hash, wait, forms, schemes]] of Object.entries(PAGES)) {
    const server = await mock();
    await pause(wait);
    for (const [form, size] of Object.entries(forms)) {
      for (const scheme of schemes) {
        const page = await open(chrome, `${server.base}/${hash}`, { size, scheme });
        await page.locator('.rows, .plan, .tiles').first().waitFor();
        await pause(700);
        await picture(page, `${FOLDER}${['ui', name, form, scheme].filter(Boolean).join('-')}.png`);
        await page.context().close();
      }
    }
    await server.stop();
  }
}

async function picture(page, path) {
  await page.screenshot({ path });
  const how = ['--force', '--skip-if-larger', '--ext', '.png', '--quality', '80-98', '--strip'];
  execFileSync('pngquant', [...how, path]);
}
