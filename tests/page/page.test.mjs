// The page in a real browser.
//
//     PAGE_URL=http://127.0.0.1:8090/ node --test tests/page/page.test.mjs
//
// Without PAGE_URL it starts the mock. Tests marked `mock` need it: they ask for texts that only it writes. All others hold
// for any server. PLAYWRIGHT is the folder that has playwright-core in its node_modules (default: here), CHROMIUM the browser.

import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { after, before, test as plainTest } from 'node:test';

const require = createRequire(`${process.env.PLAYWRIGHT ?? new URL('.', import.meta.url).pathname}/x.js`);
const { chromium } = require('playwright-core');

let base = process.env.PAGE_URL, isMock = !base, mock, browser;
const PATIENCE = 60_000;

before(async () => {
  if (!base) {
    mock = (await import('./mock.mjs')).server;
    await new Promise((resolve) => mock.listen(0, '127.0.0.1', resolve));
    base = `http://127.0.0.1:${mock.address().port}/`;
  }
  isMock = isMock || (await fetch(new URL('mock', base))).ok;
  browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: ['--headless', '--no-sandbox', '--disable-gpu', '--disable-background-networking'],
  });
});

after(async () => {
  await browser?.close();
  mock?.close();
  mock?.closeAllConnections();
});

/** A page that has loaded, watched: nothing may be refused by the policy, fail, or go to another origin. */
async function visit(run, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(PATIENCE);
  const wrong = [];
  page.on('request', (request) => {
    const url = request.url();
    if (!url.startsWith('data:') && new URL(url).origin !== new URL(base).origin) wrong.push(`asked ${url}`);
  });
  page.on('pageerror', (error) => wrong.push(`failed: ${error.stack}`));
  page.on('console', (message) => {
    if (message.type() === 'error' && !/Failed to load resource/.test(message.text())) wrong.push(`said ${message.text()}`);
  });
  page.on('dialog', (dialog) => { wrong.push(`dialog ${dialog.message()}`); dialog.dismiss(); });
  await page.addInitScript(() => {
    window.violations = [];
    document.addEventListener('securitypolicyviolation', (event) => window.violations.push(`${event.violatedDirective} ${event.blockedURI}`));
  });
  try {
    await page.goto(base);
    await page.waitForFunction(() => document.title !== 'llama_selfmod');
    await run(page);
    assert.deepEqual(await page.evaluate(() => window.violations), []);
    assert.equal(await page.evaluate(() => window.hacked), undefined);
    assert.deepEqual(wrong, []);
  } finally {
    await context.close();
  }
}

const test = (name, run, options) => plainTest(name, { timeout: 2 * PATIENCE }, () => visit(run, options));
const mockTest = (name, run, options) => plainTest(`mock: ${name}`, { timeout: 2 * PATIENCE }, async (context) => {
  if (!isMock) return context.skip('needs the mock');
  await fetch(new URL('mock', base), { method: 'POST', body: '{"key": null}' });
  return visit(run, options);
});
const told = async () => (await fetch(new URL('mock', base))).json();

const isQuiet = () => document.querySelector('#turns').getAttribute('aria-busy') === 'false';
const over = (page) => page.waitForFunction(isQuiet);
const begun = (page, tokens = 1) => page.waitForFunction((least) => document.querySelectorAll('.turn:last-child .t').length >= least, tokens);

/** Short replies: a real server is slow. */
async function limit(page, tokens = 24) {
  await page.click('#panels [data-panel=parameters]');
  await page.fill('[name=max_tokens]', String(tokens));
  await page.fill('[name=seed]', '1');
  await page.click('#close');
}

async function ask(page, text, waits = true) {
  await page.fill('#input', text);
  await page.click('#go');
  if (waits) {
    await page.waitForFunction(() => document.querySelector('.turn:last-child .facts'));
    await over(page);
  }
}

const standing = (page) => page.evaluate(() => [...document.querySelectorAll('.turn:last-child .t:not(.gone):not(.beyond)')].map((span) => span.textContent).join(''));

test('a reply is written, token by token, in a chat and as plain text', async (page) => {
  await limit(page);
  await ask(page, 'Tell me a story.');
  assert.ok((await standing(page)).trim().length > 5);
  assert.match(await page.textContent('.turn:last-child .facts'), /\d+ tokens? · /);
  await page.click('#mode label:nth-of-type(2)');
  assert.equal(await page.locator('.turn').count(), 0);
  await page.fill('#input', 'Once upon a time');
  await page.press('#input', 'Control+Enter');
  await page.waitForFunction(() => document.querySelector('.turn:last-child .facts'));
  const first = await standing(page);
  assert.ok(first.trim().length > 5);
  await page.click('#go');
  await page.waitForFunction((length) => document.querySelectorAll('.turn:last-child .t').length > length + 3, await page.locator('.turn:last-child .t').count()).catch(() => {});
  await over(page);
  assert.ok((await standing(page)).startsWith(first), 'going on changes nothing that stands');
  await page.click('#mode label:nth-of-type(1)');
  assert.equal(await page.locator('.turn.user').textContent(), 'Tell me a story.');
});

test('tokens are told apart by each scale, also without colour', async (page) => {
  await limit(page, 60);
  await ask(page, 'Tell me a story.');
  for (const scale of ['confidence', 'agreement', 'leader']) {
    await page.selectOption('#scale', scale);
    const looks = await page.evaluate(() => {
      const seen = new Set();
      for (const span of document.querySelectorAll('.reply .t:not(.gone)')) {
        const style = getComputedStyle(span);
        seen.add(`${style.textDecorationLine} ${style.textDecorationStyle} ${style.textDecorationThickness}`);
      }
      return [...seen];
    });
    // Another server may be as sure of every token.
    if (isMock) assert.ok(looks.length > 1, `${scale}: ${looks}`);
    assert.ok(await page.locator('#legend .t').count() > 1);
  }
  await page.selectOption('#scale', 'none');
  assert.equal(await page.locator('#legend').isVisible(), false);
  assert.equal(await page.evaluate(() => [...document.querySelectorAll('.reply .t:not(.gone)')].every((span) => getComputedStyle(span).textDecorationLine === 'none')), true);
});

mockTest('text that was taken back stays where it stood, with the reason', async (page) => {
  await ask(page, 'A story, please.');
  assert.equal(await page.evaluate(() => [...document.querySelectorAll('.t.gone')].map((span) => span.textContent).join('')), ' but then suddenly');
  const sign = page.locator('.note.retract button');
  assert.match(await sign.textContent(), /three unlikely tokens in a row/);
  assert.equal(await sign.evaluate((button) => button.parentElement.previousElementSibling.textContent), ' suddenly');
  await sign.click();
  assert.equal(await page.locator('.note.retract .words').innerText(), '3 tokens taken back by calm: three unlikely tokens in a row');
  assert.equal(await page.locator('.note.mark').count(), 2);
  assert.match(await page.locator('.note.mark button').first().getAttribute('aria-label'), /calm: temperature 0.56, repeat penalty 1.10. unsure/);
  await page.click('#panels [data-panel=parameters]');
  await page.check('#hide-retracted');
  assert.equal(await page.locator('.t.gone').first().isVisible(), false);
});

test('a picked candidate is where the text goes on from, and nothing before it changes', async (page) => {
  await limit(page);
  await ask(page, 'Tell me a story.');
  const old = await standing(page);
  const at = Number(await page.evaluate(() => [...document.querySelectorAll('.turn:last-child .t:not(.gone)')][5].dataset.at));
  const until = await page.evaluate((end) => [...document.querySelectorAll('.turn:last-child .t:not(.gone)')].filter((span) => Number(span.dataset.at) < end).map((span) => span.textContent).join(''), at);
  await page.locator(`.turn:last-child .t[data-at="${at}"]`).click();
  const members = await page.locator('.column').count();
  assert.ok(members >= 1);
  assert.ok(await page.locator('.column').first().locator('li button').count() >= 2);
  // One that was not written, and has text.
  const choice = page.locator('.column').first().locator('li button:not([aria-current]):not(:has(.end))').first();
  const picked = (await choice.locator('.piece').textContent()).replaceAll('␣', ' ').replaceAll('↵', '\n');
  await choice.click();
  await page.waitForFunction(() => document.querySelector('.versions'));
  await over(page);
  const now = await standing(page);
  assert.ok(now.startsWith(until + picked), `${JSON.stringify(now)} begins with ${JSON.stringify(until + picked)}`);
  assert.ok(now.length >= (until + picked).length);
  assert.match(await page.textContent('.versions'), /2 of 2/);
  await page.click('[data-act=back]');
  assert.equal(await standing(page), old, 'the old branch is still there');
  await page.click('[data-act=next]');
  assert.equal(await standing(page), now);
});

mockTest('a pick while text is written stops it and goes on from there', async (page) => {
  await ask(page, 'SLOW: a story.', false);
  await begun(page, 4);
  await page.locator('.turn:last-child .t').nth(2).click();
  await page.keyboard.press('ArrowRight');
  assert.match(await page.textContent('#candidates h2'), /^Token 4/);
  await page.keyboard.press('ArrowLeft');
  await page.locator('.column').first().locator('li button:not([aria-current]):not(:has(.end))').first().click();
  await page.waitForFunction(() => document.querySelectorAll('.turn:last-child .t').length >= 5);
  const asked = (await told()).requests;
  assert.equal(asked.length, 2);
  assert.equal(asked[0].aborted, true);
  assert.equal(asked[1].given.length, 3);
  await page.keyboard.press('Escape');
  await over(page);
  assert.match(await page.textContent('.versions'), /2 of 2/);
  await page.click('[data-act=back]');
  assert.match(await page.textContent('.turn:last-child .facts'), /stopped by you/);
});

test('Esc stops, and what was written stands and goes on', async (page) => {
  await limit(page, 400);
  await ask(page, 'SLOW: a long story, please.', false);
  await begun(page, 3);
  await page.keyboard.press('Escape');
  await over(page);
  assert.match(await page.textContent('.turn:last-child .facts'), /stopped by you|complete/);
  const text = await standing(page);
  assert.ok(text.length > 0);
  await page.waitForTimeout(500);
  assert.equal(await standing(page), text);
  if (isMock) assert.equal((await told()).requests.at(-1).aborted, true);
  const more = page.locator('[data-act=go-on]');
  if (!await more.count()) return;
  await more.click();
  await page.waitForFunction((length) => document.querySelectorAll('.turn:last-child .t').length > length, await page.locator('.turn:last-child .t').count());
  assert.ok((await standing(page)).startsWith(text));
  await page.click('#go');
  await over(page);
});

mockTest('a knob, a fusion and a policy change while text is written', async (page) => {
  await ask(page, 'SLOW: a story.', false);
  await begun(page);
  await page.click('#panels [data-panel=policies]');
  await page.fill('input[type=number][data-knob=unlikely]', '0.25');
  await page.waitForFunction(() => /unlikely is 0.25/.test(document.querySelector('#status').textContent) || /unlikely is 0.25/.test(document.querySelector('#voice').textContent));
  assert.equal(await page.inputValue('input[type=range][data-knob=unlikely]'), '0.25');
  await page.selectOption('select.fusion', 'average');
  await page.uncheck('[data-policy=calm]');
  await page.waitForTimeout(300);
  assert.deepEqual((await told()).changes, [{ hook: 'calm', knob: 'unlikely', value: 0.25 }, { fusion: 'average' }, { policy: 'calm', running: false }]);
  assert.equal(await page.evaluate(isQuiet), false, 'it is still being written');
  await page.click('#go');
  await over(page);
});

test('a knob is sent to the server, and comes back', async (page) => {
  await page.click('#panels [data-panel=policies]');
  await page.waitForFunction(() => document.querySelector('#policies').childElementCount > 1);
  const knob = page.locator('.knob input[type=number]').first();
  if (!await knob.count()) return;
  const { value, minimum, maximum } = await knob.evaluate((input) => ({ value: Number(input.value), minimum: Number(input.min), maximum: Number(input.max) }));
  const other = value === maximum ? minimum : maximum;
  const answer = page.waitForResponse((response) => response.url().endsWith('/v1/hooks') && response.request().method() === 'POST');
  await knob.fill(String(other));
  assert.equal((await answer).status(), 200);
  await page.reload();
  await page.click('#panels [data-panel=policies]');
  await page.waitForFunction(() => document.querySelector('.knob'));
  assert.equal(Number(await knob.inputValue()), other);
  const back = page.waitForResponse((response) => response.url().endsWith('/v1/hooks') && response.request().method() === 'POST');
  await knob.fill(String(value));
  await back;
});

test('the checker speaks while a script is typed, and a wrong one is not saved', async (page) => {
  await page.click('#panels [data-panel=script]');
  await page.waitForFunction(() => document.querySelector('#script select').options.length > 0).catch(() => {});
  if (!await page.locator('#script select option').count()) return;
  const area = page.locator('#script textarea');
  await page.waitForFunction(() => document.querySelector('#script textarea').value.length > 0);
  const text = await area.inputValue();
  await area.fill(`${text}\nfn bad oops( {\n`);
  await page.waitForFunction(() => document.querySelector('.problems.wrong')?.textContent.length > 5);
  assert.equal(await area.getAttribute('aria-invalid'), 'true');
  await page.keyboard.press('Control+s');
  await page.waitForFunction(() => /not saved/.test(document.querySelector('#status').textContent));
  assert.match(await area.inputValue(), /oops/, 'nothing of the text is lost');
  await page.reload();
  await page.click('#panels [data-panel=script]');
  await page.waitForFunction(() => /oops/.test(document.querySelector('#script textarea').value));
  await area.fill(text);
  await page.waitForFunction(() => !document.querySelector('.problems.wrong'));
  await area.press('Control+s');
  await page.waitForFunction(() => document.querySelector('#script .save').textContent === 'Save');
});

mockTest('a problem leads to its line', async (page) => {
  await page.click('#panels [data-panel=script]');
  await page.waitForFunction(() => document.querySelector('#script textarea').value.length > 0);
  await page.fill('#script textarea', 'fn a() {\n  oops\n}\n');
  await page.locator('.problems button').click();
  assert.equal(await page.evaluate(() => getSelection().toString() || (({ value, selectionStart, selectionEnd }) => value.slice(selectionStart, selectionEnd))(document.querySelector('#script textarea'))), '  oops');
});

test('everything can be done with the keyboard', async (page) => {
  await limit(page);
  await page.focus('#input');
  await page.keyboard.type('Tell me a story.');
  await page.keyboard.press('Enter');
  await page.waitForFunction(() => document.querySelector('.turn:last-child .facts'));
  await page.focus('body');
  // Tab reaches the reply, arrows a token, Enter its candidates.
  for (let presses = 0; presses < 40; presses += 1) {
    await page.keyboard.press('Tab');
    if (await page.evaluate(() => document.activeElement.classList.contains('reply'))) break;
  }
  assert.equal(await page.evaluate(() => document.activeElement.className), 'reply');
  for (const key of ['ArrowRight', 'ArrowRight', 'ArrowRight']) await page.keyboard.press(key);
  const current = await page.evaluate(() => document.activeElement.dataset.at);
  assert.equal(current, '2');
  assert.notEqual(await page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle), 'none');
  await page.keyboard.press('Enter');
  assert.equal(await page.evaluate(() => document.activeElement.dataset.list), '0');
  const heading = await page.textContent('#candidates h2');
  await page.keyboard.press('ArrowRight');
  assert.notEqual(await page.textContent('#candidates h2'), heading, 'the panel moves with the arrows');
  await page.keyboard.press('ArrowLeft');
  assert.equal(await page.textContent('#candidates h2'), heading);
  if (await page.evaluate(() => document.activeElement.hasAttribute('aria-current'))) await page.keyboard.press('ArrowDown');
  await page.keyboard.press('Enter');
  await page.waitForFunction(() => document.querySelector('.versions'));
  await over(page);
  await page.keyboard.press('Escape');
  assert.equal(await page.locator('#side').isVisible(), false);
  assert.equal(await page.evaluate(() => document.activeElement.classList.contains('t')), true, 'focus is back at the token');
});

test('on a phone nothing is wider than the screen', async (page) => {
  const fits = () => page.evaluate(() => document.documentElement.scrollWidth <= innerWidth && [...document.querySelectorAll('header, main, aside:not([hidden]), #composer, header button')].every((part) => part.getBoundingClientRect().right <= innerWidth + 1));
  await limit(page);
  await ask(page, 'Tell me a story.');
  assert.ok(await fits());
  await page.locator('.turn:last-child .t').nth(3).tap();
  assert.ok(await page.locator('#candidates .column').first().isVisible());
  for (const panel of ['candidates', 'parameters', 'policies', 'script']) {
    if (await page.locator(`#panels [data-panel=${panel}]`).getAttribute('aria-expanded') !== 'true') await page.tap(`#panels [data-panel=${panel}]`);
    await page.waitForTimeout(150);
    assert.ok(await fits(), panel);
  }
}, { viewport: { width: 390, height: 844 }, isMobile: true, hasTouch: true });

mockTest('10,000 tokens are written and scroll', async (page) => {
  const session = await page.context().newCDPSession(page);
  await session.send('Performance.enable');
  const figures = async () => Object.fromEntries((await session.send('Performance.getMetrics')).metrics.map(({ name, value }) => [name, value]));
  const start = await figures();
  await ask(page, 'LONG');
  const end = await figures();
  assert.equal(await page.locator('.turn:last-child .t').count(), 10_000);
  const spent = Object.fromEntries(['ScriptDuration', 'LayoutDuration', 'RecalcStyleDuration'].map((name) => [name, end[name] - start[name]]));
  console.log(`10,000 tokens: script ${spent.ScriptDuration.toFixed(2)} s, layout ${spent.LayoutDuration.toFixed(2)} s, style ${spent.RecalcStyleDuration.toFixed(2)} s`);
  assert.ok(spent.ScriptDuration < 8 && spent.LayoutDuration + spent.RecalcStyleDuration < 20, JSON.stringify(spent));
  const log = () => page.evaluate(() => { const { scrollTop, scrollHeight, clientHeight } = document.querySelector('#log'); return { scrollTop, rest: scrollHeight - scrollTop - clientHeight }; });
  assert.ok((await log()).rest < 40, 'the end is in sight');
  const frames = await page.evaluate(async () => {
    const box = document.querySelector('#log');
    const times = [];
    let last = performance.now();
    for (let step = 0; step < 60; step += 1) {
      box.scrollTop -= 400;
      await new Promise(requestAnimationFrame);
      times.push(performance.now() - last);
      last = performance.now();
    }
    return times.sort((a, b) => a - b);
  });
  console.log(`scrolling: median frame ${frames[30].toFixed(1)} ms, worst ${frames[59].toFixed(1)} ms`);
  assert.ok(frames[30] < 60, String(frames));
  assert.ok((await log()).rest > 5000);
  await page.reload();
  await page.waitForFunction(() => document.querySelectorAll('.turn .t').length === 10_000);
});

mockTest('the page stays where the reader is', async (page) => {
  await ask(page, 'LONG', false);
  await page.waitForFunction(() => document.querySelector('#log').scrollHeight > 3000);
  await page.mouse.move(400, 400);
  await page.mouse.wheel(0, -1500);
  await page.waitForTimeout(200);
  const place = await page.evaluate(() => document.querySelector('#log').scrollTop);
  const count = await page.locator('.turn .t').count();
  await page.waitForFunction((before) => document.querySelectorAll('.turn .t').length > before + 200, count).catch(() => {});
  assert.ok(Math.abs(await page.evaluate(() => document.querySelector('#log').scrollTop) - place) < 60);
  await page.click('#newest');
  await over(page);
  assert.ok(await page.evaluate(() => { const { scrollTop, scrollHeight, clientHeight } = document.querySelector('#log'); return scrollHeight - scrollTop - clientHeight; }) < 40);
});

mockTest('hostile text stays text', async (page) => {
  await ask(page, 'HOSTILE <img src=x onerror="window.hacked=9">');
  assert.match(await standing(page), /^<img src=x onerror="window.hacked=1"><\/div><script>/);
  await page.locator('.note.retract button').click();
  await page.locator('.note.mark button').click();
  assert.equal(await page.locator('.t').filter({ hasText: '\u202e' }).evaluate((span) => getComputedStyle(span).unicodeBidi), 'isolate');
  assert.match(await page.locator('.note.retract .words').innerText(), /<i>policy<\/i>: <img src=x/);
  await page.locator('.reply .t').first().click();
  await page.click('#panels [data-panel=policies]');
  await page.waitForFunction(() => document.querySelectorAll('.policy').length === 3);
  assert.equal(await page.evaluate(() => document.querySelectorAll('main img, main script, main svg, main i, aside b, aside script').length), 0);
});

mockTest('characters that are spread over pieces are shown whole', async (page) => {
  await ask(page, 'BYTES');
  assert.equal(await standing(page), 'Grün 🐢 end');
  await page.locator('.reply').focus();
  for (const key of ['ArrowRight', 'ArrowRight', 'Enter']) await page.keyboard.press(key);
  assert.match(await page.textContent('#candidates h2'), /C3/);
});

mockTest('a stop string is shown as no part of the text', async (page) => {
  await ask(page, 'STOP');
  assert.equal(await page.locator('.t.beyond').textContent(), ' STOP');
  assert.doesNotMatch(await standing(page), /STOP/);
  assert.match(await page.textContent('.facts'), /stop string/);
});

mockTest('what goes wrong is a sentence, and nothing is lost', async (page) => {
  await ask(page, 'BUSY now');
  assert.equal(await page.textContent('.turn:last-child [role=alert]'), 'The server is busy with other texts. Try again in 7 seconds.');
  assert.equal(await page.textContent('.turn.user'), 'BUSY now');
  assert.ok(await page.locator('[data-act=go-on]').isVisible());
  await page.click('#fresh');
  await page.click('#restore');
  assert.equal(await page.textContent('.turn.user'), 'BUSY now');
  await ask(page, 'DOWN now');
  assert.match(await page.textContent('.turn:last-child [role=alert]'), /loading or shutting down/);
  await ask(page, 'LOST now');
  assert.equal(await page.textContent('.turn:last-child [role=alert]'), 'The connection was lost. The text so far stands.');
  const text = await standing(page);
  assert.match(text, /little girl named Lily/);
  assert.deepEqual((await told()).requests.at(-1).messages, [{ role: 'user', content: 'BUSY now\n\nDOWN now\n\nLOST now' }]);
  await page.reload();
  await page.waitForSelector('.turn.assistant .t');
  assert.equal(await standing(page), text);
});

test('the text outlives a reload, in the middle of writing too', async (page) => {
  await limit(page, 200);
  await ask(page, 'SLOW: a story.', false);
  await begun(page, 4);
  await page.reload();
  await page.waitForSelector('.turn.assistant .t');
  assert.ok((await standing(page)).length > 0);
  assert.match(await page.textContent('.turn:last-child .facts'), /cut by a reload|complete|as long/);
  assert.equal(await page.inputValue('[name=max_tokens]'), '200');
});

mockTest('a key is asked for, and kept', async (page) => {
  await fetch(new URL('mock', base), { method: 'POST', body: '{"key": "secret"}' });
  try {
    await page.fill('#input', 'A story.');
    await page.click('#go');
    await page.fill('#key-field', 'wrong');
    await page.keyboard.press('Enter');
    await page.waitForFunction(() => /did not accept/.test(document.querySelector('#key-why').textContent));
    await page.fill('#key-field', 'secret');
    await page.keyboard.press('Enter');
    await page.waitForFunction(() => document.querySelector('.turn:last-child .facts'));
    assert.match(await standing(page), /little girl/);
    await page.click('#panels [data-panel=policies]');
    await page.waitForFunction(() => document.querySelectorAll('.policy').length === 3);
    // In a new tab the page itself needs it first; until then it says so, and loses nothing.
    await page.evaluate(() => sessionStorage.clear());
    await page.evaluate(() => addEventListener('pagehide', () => sessionStorage.clear()));
    await page.reload();
    await page.waitForSelector('#key[open]');
    await page.keyboard.press('Escape');
    await page.waitForFunction(() => /wants an API key/.test(document.querySelector('#status').textContent));
    await page.fill('#input', 'A story.');
    await page.click('#go');
    await page.fill('#key-field', 'secret');
    await page.click('#key .strong');
    await page.waitForFunction(() => document.querySelector('.turn:last-child .facts') && document.title === 'tale+fable');
  } finally {
    await fetch(new URL('mock', base), { method: 'POST', body: '{"key": null}' });
  }
});

mockTest('a screen reader hears sentences, not tokens', async (page) => {
  await page.evaluate(() => {
    window.heard = [];
    new MutationObserver(() => window.heard.push(document.querySelector('#voice').textContent)).observe(document.querySelector('#voice'), { childList: true, characterData: true, subtree: true });
  });
  await ask(page, 'A story, please.');
  const heard = await page.evaluate(() => window.heard);
  assert.ok(heard.length <= 4, JSON.stringify(heard));
  assert.match(heard.at(-1), /86 tokens, complete\.$/);
});

test('the head names a policy without inline text, and no file comes from elsewhere', async (page) => {
  const response = await page.request.get(base);
  const policy = response.headers()['content-security-policy'];
  assert.match(policy, /default-src 'none'/);
  assert.doesNotMatch(policy, /unsafe/);
  assert.equal(response.headers()['x-content-type-options'], 'nosniff');
  assert.equal(response.headers()['referrer-policy'], 'no-referrer');
});
