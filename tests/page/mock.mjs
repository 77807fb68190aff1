// A server that speaks the interface of the page without any model, for tests and for work on the page.
//
//     node tests/page/mock.mjs [PORT]
//
// What the prompt says decides what comes: SLOW, LONG (10,000 tokens), HOSTILE, BYTES (characters spread over pieces), BUSY (429),
// DOWN (503), LOST (the connection breaks), NOTICE, STOP (a stop string). `POST /mock` changes it: {"key": "secret"}.

import { createServer } from 'node:http';
import { readFileSync } from 'node:fs';

const PAGE = new URL('../../serve/src/page/', import.meta.url);
export const CSP = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
const TYPES = { html: 'text/html; charset=utf-8', css: 'text/css; charset=utf-8', js: 'text/javascript; charset=utf-8' };
const MEMBERS = ['tale', 'fable'];
const WORDS = ` there was a little girl named Lily. She loved to play in the park with her dog Tom, who was big and brown. One day
she saw a bird in a tall tree. "Hello, bird!" she said. The bird looked at her and sang a song.

Lily was happy. She ran home to tell her mother about the bird, and they sat in the garden until the sun went down.
`.replace(/(\w)\n(\w)/g, '$1 $2').match(/\s?[\w']+|[^\w\s]|\s/g);
const bytes = (text) => [...Buffer.from(text)];

// A unit is a word; its number is its place in this list.
const vocabulary = [...new Set(WORDS)];
const unit = (text) => {
  const found = vocabulary.indexOf(text);
  return found >= 0 ? found : vocabulary.push(text) - 1;
};
for (const text of [' cat', ' dog', ' fox', ' a', ' the', ' one', ' small', ' old', ' boy', ' house']) unit(text);
const END = unit('');

const state = {
  key: null, changes: [], requests: [],
  scripts: { calm: '// Takes unlikely tokens back.\nconst UNLIKELY = 0.05;\n\nfn on_assessment(step, a) {\n    if a.confidence < UNLIKELY { step.retract(1, "an unlikely token"); }\n}\n', 'loop-escape': '// Leaves loops.\nfn on_token(step) {\n}\n' },
  hooks: [
    { name: 'confidence', role: 'fusion', active: true, state: 'running', description: 'Weighs each member by how sure it is.', is_script: false, knobs: [{ name: 'sharpness', value: 1, default: 1, minimum: 0, maximum: 4 }] },
    { name: 'average', role: 'fusion', active: false, state: 'idle', description: 'All members count the same.', is_script: false, knobs: [] },
    { name: 'calm', role: 'policy', active: true, state: 'running', description: 'Takes unlikely tokens back and lowers the temperature where the members are unsure.', is_script: true, knobs: [{ name: 'unlikely', value: 0.05, default: 0.05, minimum: 0, maximum: 1 }, { name: 'tokens', value: 3, default: 3, minimum: 1, maximum: 16 }] },
    { name: 'loop-escape', role: 'policy', active: true, state: 'running', description: 'Breaks out of repetitions.', is_script: true, knobs: [] },
    { name: '<b onclick=alert(1)>bold', role: 'policy', active: false, state: 'parked: it failed three times', description: '<script>alert(1)</script>', is_script: false, knobs: [] },
  ],
};

let random = 7;
const draw = () => {
  random = (random * 1103515245 + 12345) % 2147483648;
  return random / 2147483648;
};

function alternatives(written, p) {
  const others = vocabulary.filter((text) => text !== written && text).slice(0, 60).sort(() => draw() - 0.5).slice(0, 9);
  let rest = 1 - p;
  const all = [[written, p], ...others.map((text) => {
    const share = rest * 0.45;
    rest -= share;
    return [text, share];
  })].sort((a, b) => b[1] - a[1]);
  if (draw() < 0.1) all[9] = ['', 0.0001];
  return all.map(([text, share]) => ({ units: [text === '' ? END : unit(text)], bytes: bytes(text), logprob: Math.log(share) }));
}

function token(text, index, raw = null) {
  const p = Math.min(0.999, draw() ** 0.5), q = Math.min(0.999, draw() ** 0.7);
  const own = raw ?? bytes(text);
  const fused = alternatives(text, p);
  const agreement = 1 - Math.abs(p - q) * 0.9;
  return {
    piece: { index, units: [unit(text)], bytes: own, logprob: Math.log(p), alternatives: fused, members: [alternatives(text, p), alternatives(text, q)] },
    event: {
      type: 'token', index, text, confidence: p, entropy: 2.4 * (1 - p), agreement, leader: MEMBERS[p > q ? 0 : 1],
      members: [{ name: 'tale', probability: p }, { name: 'fable', probability: q }],
    },
  };
}

/** The reply as a list of what is told, and the pauses between. */
function* script(prompt, given, most) {
  let text = '', index = 0;
  const lengths = [];
  const told = (word, raw) => {
    const made = token(word, index, raw);
    text += word;
    lengths.push(bytes(word).length);
    index += 1;
    return { type: 'token', text: word, committed: Math.max(0, bytes(text).length - 20), ...made };
  };
  const back = (units, policy, reason) => {
    const gone = lengths.splice(-units).reduce((a, b) => a + b, 0);
    index -= units;
    text = Buffer.from(text).subarray(0, bytes(text).length - gone).toString();
    const event = { type: 'retract', index, tokens: units, bytes: gone, policy, version: 1, reason };
    return { type: 'retract', index, units, bytes: gone, event };
  };
  for (const units of given) yield told(vocabulary[units[0]]);
  const has = (word) => prompt.includes(word);
  let finish = 'end';
  if (has('HOSTILE')) {
    for (const word of ['<img src=x onerror="window.hacked=1">', '</div><script>window.hacked=1</script>', ' &amp; <b>bold</b>', '\u202e\u0000']) yield told(word);
    yield back(1, '<i>policy</i>', '<img src=x onerror="window.hacked=2">');
    yield { type: 'event', event: { type: 'notice', text: '<svg onload="window.hacked=3">' } };
  } else if (has('BYTES')) {
    yield told('Gr');
    const half = (all, wholeText) => all.map((raw, at) => told(at === all.length - 1 ? wholeText : '', raw));
    yield* half([[0xc3], [0xbc]], 'ü');
    yield told('n ');
    yield* half([[0xf0, 0x9f], [0x90], [0xa2]], '🐢');
    yield told(' end');
  } else if (has('LONG')) {
    for (let at = 0; at < 10000; at += 1) yield told(at % 90 === 89 ? '\n' : WORDS[at % WORDS.length].replace('\n', ' '));
  } else {
    const words = WORDS.slice(given.length % WORDS.length);
    let at = 0;
    for (const word of words) {
      if (index >= most) { finish = 'length'; break; }
      yield told(word);
      at += 1;
      if (at === 12 && !given.length) {
        yield told(' but');
        yield told(' then');
        yield told(' suddenly');
        yield back(3, 'calm', 'three unlikely tokens in a row');
        yield { type: 'event', event: { type: 'adjust', policy: 'calm', version: 1, temperature: 0.56, repeat_penalty: 1.1, reason: 'unsure' } };
      }
      if (at === 30) yield { type: 'event', event: { type: 'notice', text: 'loop-escape.rhai, line 3: no such function; it is parked.' } };
      if (at === 20 && has('LOST')) { yield 'lost'; return; }
      if (at === 6 && has('STOP')) {
        const whole = text;
        yield told(' STOP');
        text = whole;
        finish = 'stop';
        break;
      }
    }
  }
  yield { type: 'done', finish: { kind: finish }, text, tokens: index, retracted: 3, event: { type: 'done' } };
}

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

async function answer(request, response, body) {
  const asked = JSON.parse(body);
  state.requests.push({ ...asked, aborted: false });
  const note = state.requests.at(-1);
  response.on('close', () => { note.aborted = !response.writableEnded; });
  const prompt = asked.prompt ?? asked.messages.filter(({ role }) => role === 'user').at(-1)?.content.split('\n\n').at(-1) ?? '';
  if (prompt.includes('BUSY')) return fail(response, 429, 'All lines are taken.', { 'retry-after': '7' });
  if (prompt.includes('DOWN')) return fail(response, 503, 'Draining.');
  response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' });
  const tell = (told) => response.write(`data: ${JSON.stringify(told)}\n\n`);
  response.write(': ping\n\n');
  tell({ type: 'started', prompt_tokens: 12, cached_tokens: 4, event: { type: 'init', models: MEMBERS, fusion_mode: 'confidence', policies: ['calm'], seed: 1 } });
  const pause = prompt.includes('SLOW') ? 120 : prompt.includes('LONG') ? 0 : 3;
  let number = 0;
  for (const told of script(prompt, asked.given ?? [], asked.max_tokens ?? 400)) {
    if (response.destroyed) return;
    if (told === 'lost') return response.destroy();
    tell(told);
    number += 1;
    if (pause) await sleep(pause);
    else if (number % 100 === 0) await sleep(1);
  }
  response.end('data: [DONE]\n\n');
}

function fail(response, status, message, headers = {}) {
  response.writeHead(status, { 'content-type': 'application/json', ...headers });
  response.end(JSON.stringify({ error: { message, type: 'invalid_request_error', param: null, code: null } }));
}

function problems(text) {
  const found = [];
  text.split('\n').forEach((line, at) => {
    if (/\boops\b/.test(line)) found.push(`line ${at + 1}, column ${line.indexOf('oops') + 1}: unknown name: oops`);
  });
  return found;
}

function api(method, url, body, response) {
  const say = (value) => {
    response.writeHead(200, { 'content-type': 'application/json' });
    response.end(JSON.stringify(value));
  };
  const asked = body ? JSON.parse(body) : null;
  switch (`${method} ${url.pathname}`) {
    case 'GET /v1/about':
      return say({
        name: 'tale+fable', members: MEMBERS, context: 2048, units: 4096, is_bytes: false, fingerprint: 'fp', end: { unit: 2, text: '</s>' }, beginning: { unit: 1, text: '<s>' }, template: null,
        defaults: { temperature: 0.7, top_p: 0.95, top_k: 40, min_p: 0.05, repeat_penalty: 1.1 }, max_tokens: 400, horizon: 32,
      });
    case 'GET /v1/hooks': return say({ hooks: state.hooks });
    case 'POST /v1/hooks': {
      state.changes.push(asked);
      if (asked.fusion) for (const hook of state.hooks) if (hook.role === 'fusion') hook.active = hook.name === asked.fusion;
      const hook = state.hooks.find(({ name }) => name === (asked.policy ?? asked.hook));
      if (asked.policy) hook.active = asked.running;
      const knob = hook?.knobs.find(({ name }) => name === asked.knob);
      if (knob) knob.value = asked.value;
      return say({ hooks: state.hooks, lines: [asked.fusion ? `${asked.fusion} fuses from now on` : asked.policy ? `${asked.policy} ${asked.running ? 'runs' : 'does not run'}` : `${asked.hook}: ${asked.knob} is ${asked.value}`] });
    }
    case 'GET /v1/script': {
      const text = state.scripts[url.searchParams.get('name')];
      return text === undefined ? fail(response, 404, 'There is no such script.') : say({ name: url.searchParams.get('name'), text });
    }
    case 'POST /v1/script/check': return say({ lines: problems(asked.text) });
    case 'PUT /v1/script': {
      const found = problems(asked.text);
      if (found.length) return fail(response, 400, found.join('\n'));
      state.scripts[asked.name] = asked.text;
      return say({ lines: [`${asked.name}.rhai saved (2nd version)`] });
    }
    case 'GET /mock': return say(state);
    case 'POST /mock':
      Object.assign(state, asked, { changes: [], requests: [] });
      return say(null);
    default: return fail(response, 404, 'There is nothing here.');
  }
}

export const server = createServer((request, response) => {
  const url = new URL(request.url, 'http://mock');
  const file = url.pathname === '/' ? 'index.html' : /^\/page\/([\w-]+\.(?:css|js))$/.exec(url.pathname)?.[1];
  if (request.method === 'GET' && file) {
    let text;
    try {
      text = readFileSync(new URL(file, PAGE));
    } catch {
      return fail(response, 404, 'There is nothing here.');
    }
    response.writeHead(200, { 'content-type': TYPES[file.split('.').pop()], 'content-security-policy': CSP, 'x-content-type-options': 'nosniff', 'referrer-policy': 'no-referrer', 'cache-control': 'no-cache' });
    return response.end(text);
  }
  let body = '';
  request.on('data', (part) => { body += part; });
  request.on('end', () => {
    if (state.key && url.pathname !== '/mock' && request.headers.authorization !== `Bearer ${state.key}`) return fail(response, 401, 'A key is needed.');
    if (request.method === 'POST' && url.pathname === '/v1/stream') answer(request, response, body).catch(() => response.destroy());
    else api(request.method, url, body, response);
  });
});

if (process.argv[1] === new URL(import.meta.url).pathname) {
  const port = Number(process.argv[2] ?? 8090);
  server.listen(port, '127.0.0.1', () => console.log(`http://127.0.0.1:${port}/`));
}
