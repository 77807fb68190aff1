// Pictures of the page, to look at: `node shots.mjs FOLDER`, with PAGE_URL and PLAYWRIGHT as for the tests.

import { createRequire } from 'node:module';
import { mkdirSync } from 'node:fs';

const require = createRequire(`${process.env.PLAYWRIGHT ?? new URL('.', import.meta.url).pathname}/x.js`);
const { chromium } = require('playwright-core');
const folder = process.argv[2] ?? 'shots';
mkdirSync(folder, { recursive: true });

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  args: ['--headless', '--no-sandbox', '--disable-gpu', '--disable-background-networking'],
});

async function visit(name, options, run) {
  const page = await (await browser.newContext({ viewport: { width: 1280, height: 800 }, ...options })).newPage();
  await page.goto(process.env.PAGE_URL);
  await page.waitForFunction(() => document.title !== 'llama_selfmod');
  await run(page, (part) => page.screenshot({ path: `${folder}/${name}-${part}.png` }));
  await page.context().close();
}

async function write(page, text) {
  await page.fill('#input', text);
  await page.click('#go');
  await page.waitForFunction(() => document.querySelector('.turn:last-child .facts'));
}

async function tour(page, shoot) {
  await shoot('blank');
  await write(page, 'Tell me a story about a girl and a bird, please.');
  await shoot('reply');
  await page.locator('.reply .t').nth(6).click();
  await shoot('candidates');
  await page.locator('.column').first().locator('button:not([aria-current])').first().click();
  await page.waitForFunction(() => document.querySelector('.versions'));
  await shoot('picked');
  for (const panel of ['parameters', 'policies', 'script']) {
    await page.click(`#panels [data-panel=${panel}]`);
    await page.waitForTimeout(400);
    if (panel === 'script' && await page.locator('#script option').count()) {
      await page.locator('#script textarea').press('Control+End');
      await page.keyboard.type('fn oops( {');
      await page.waitForSelector('.problems.wrong').catch(() => {});
    }
    await shoot(panel);
  }
  await page.click('#close');
  await page.click('#mode label:nth-of-type(2)');
  await page.selectOption('#scale', 'leader');
  await write(page, 'Once upon a time');
  await shoot('text');
}

await visit('light', {}, tour);
await visit('dark', { colorScheme: 'dark' }, tour);
await visit('phone', { viewport: { width: 390, height: 844 }, isMobile: true, hasTouch: true, deviceScaleFactor: 2 }, tour);
await visit('contrast', { contrast: 'more' }, tour);
await browser.close();
